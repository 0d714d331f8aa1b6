/* One job: from the values that sources have now to options in force, in slices. */
#include "control/reload_int.h"

#include "base/mem.h"
#include "control/option_mask.h"
#include "control/options_impl.h"

#define CHUNK 64u                 /* items between two looks at the clock, */
#define CHUNK_BYTES (64u * 1024u) /* or so much text */
#define NAMED 3u                  /* keys of a change that are named, */
#define COMPARED_MAX 8192u        /* of at most so many properties */
#define OPTION_PREFIX_TEXT "outrider."

struct reload_job {
	struct reload *r;
	struct source_values *values[SOURCES_MAX];
	size_t n_values;
	struct options *o;
	struct properties p;
	struct reload_notes bad, held;
	size_t step, source, item; /* where it stands */
	usec until; /* end of this slice */
	bool held_any;
	struct text list; /* items of a list option, joined */
};

enum step_result { STEP_MORE, STEP_DONE, STEP_FAILED };

/* A whole change is refused for any problem, so one without a key needs no more than its reason. */
static enum step_result fail(struct reload_job *j, const char *why)
{
	j->r->retry = true; /* no word of the sources is wrong: it may do later */
	notes_add(&j->bad, STR(""), STR(""), STR(""), why);
	return STEP_FAILED;
}

/* --- steps ----------------------------------------------------------------------------------------------------------- */

static enum step_result step_begin(struct reload_job *j)
{
	const struct reload_config *c = &j->r->cfg;
	struct err err = { "" };
	int rest;

	j->o = options_new();
	if (!j->o || !options_add_env(j->o, c->environ_, &err) ||
		!options_add_flags(j->o, c->argc, c->argv, &rest, &err) ||
		(c->layers && !c->layers(c->arg, j->o, &err)))
		return fail(j, err.text[0] ? err.text : "out of memory");
	return STEP_DONE;
}

static enum step_result step_merge(struct reload_job *j)
{
	struct err err;
	if (j->source >= j->n_values) {
		j->source = j->item = 0;
		return STEP_DONE;
	}
	const struct source_values *v = j->values[j->source];
	for (unsigned k = 0; v && k < CHUNK && j->item < v->n; k++, j->item++) {
		if (!judge_merge(&j->p, (uint32_t)j->source, v, j->item, &j->bad, &err))
			return fail(j, err.text);
	}
	if (!v || j->item >= v->n) {
		j->source++;
		j->item = 0;
	}
	return STEP_MORE;
}

static enum step_result step_resolve(struct reload_job *j)
{
	size_t bytes = 0;
	for (unsigned k = 0; k < CHUNK && bytes < CHUNK_BYTES && j->item < j->p.n; k++, j->item++) {
		bytes += j->p.at[j->item].raw.n;
		judge_resolve(&j->p, j->item, j->r->cfg.environ_, &j->bad);
		properties_hash(&j->p, j->item);
	}
	if (j->item < j->p.n)
		return STEP_MORE;
	j->item = 0;
	return STEP_DONE;
}

static enum step_result step_options(struct reload_job *j)
{
	struct err err;
	for (unsigned k = 0; k < CHUNK && j->item < j->p.n; k++, j->item++) {
		if (!judge_option(j->o, &j->p, j->item, &j->list, &err))
			return fail(j, err.text);
	}
	if (j->item < j->p.n)
		return STEP_MORE;
	j->item = 0;
	return STEP_DONE;
}

static void on_held(void *arg, const struct option_held *h)
{
	struct reload_job *j = arg;
	struct text key, value;

	j->held_any = true;
	text_init(&key, OPTIONS_KEY_MAX);
	text_init(&value, 4 * OPTIONS_VALUE_MAX);
	text_fmt(&key, OPTION_PREFIX_TEXT "%s", h->row->name);
	mask_value(&value, h->row, text_str(&key), h->waiting);
	notes_add(&j->held, text_str(&key), text_str(&value), h->origin,
		"it needs a restart of the agent; until then the "
		"value stays what it was at the start");
	text_release(&key);
	text_release(&value);
}

static enum step_result note_problems(struct reload_job *j, const char *why)
{
	judge_problems(j->o, &j->bad);
	return j->bad.n ? STEP_FAILED : fail(j, why);
}

/* As a new start would judge them: what only a restart would show to be wrong is refused now. */
static enum step_result step_check(struct reload_job *j)
{
	struct err err = { "" };

	if (!options_check(j->o, j->r->cfg.command, &err) || j->bad.n)
		return note_problems(j, err.text);
	return STEP_DONE;
}

/* And with what stays until a restart in its place. */
static enum step_result step_hold(struct reload_job *j)
{
	struct reload *r = j->r;
	struct err err = { "" };

	if (r->options && !options_hold(j->o, r->options, on_held, j))
		return fail(j, "out of memory");
	if (j->held_any && !options_check(j->o, r->cfg.command, &err))
		return note_problems(j, err.text);
	return STEP_DONE;
}

static enum step_result step_apply(struct reload_job *j)
{
	struct reload *r = j->r;
	struct err err = { "" };

	enum reload_apply done = r->options ? r->cfg.apply(r->cfg.arg, j->o, j->until, &err) : APPLY_DONE;

	if (done == APPLY_FAILED)
		return fail(j, err.text);
	return done == APPLY_MORE ? STEP_MORE : STEP_DONE;
}

static enum step_result (*const steps[])(struct reload_job *j) = {
	step_begin,
	step_merge,
	step_resolve,
	step_options,
	step_check,
	step_hold,
	step_apply,
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

/* --- life ------------------------------------------------------------------------------------------------------------ */

struct reload_job *job_new(struct reload *r)
{
	struct reload_job *j = mem_zalloc(sizeof(*j));
	if (!j)
		return NULL;
	j->r = r;
	j->n_values = sources_count(r->sources);
	for (size_t i = 0; i < j->n_values; i++)
		j->values[i] = sources_take(r->sources, i);
	properties_init(&j->p, r->seed);
	text_init(&j->list, OPTIONS_VALUE_MAX);
	return j;
}

void job_free(struct reload_job *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < j->n_values; i++)
		values_release(j->values[i]);
	options_free(j->o);
	properties_release(&j->p);
	notes_release(&j->bad);
	notes_release(&j->held);
	text_release(&j->list);
	mem_free(j);
}

static bool says(const struct properties *p, const struct property *what)
{
	const struct property *its = properties_find(p, what->key);

	return its && str_eq(its->value, what->value);
}

/* Adds the keys of `p` that `others` has not, or otherwise; absent: only those that it has not. */
static void name_keys(struct text *t, size_t *n, const struct properties *p, const struct properties *others, bool absent)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct property *one = &p->at[i];
		if (absent ? properties_find(others, one->key) != NULL : says(others, one))
			continue;
		if ((*n)++ < NAMED && one->key.n < 64)
			text_fmt(t, "%s%.*s", t->n ? ", " : "", STR_ARG(one->key));
	}
}

static void name_changes(struct reload *r, const struct properties *former)
{
	struct text t;
	size_t n = 0;

	r->changed[0] = '\0';
	if (!r->options || r->properties.n + former->n > COMPARED_MAX)
		return; /* it is no matter of a slice */
	text_init(&t, sizeof(r->changed) - 1);
	name_keys(&t, &n, &r->properties, former, false);
	name_keys(&t, &n, former, &r->properties, true);
	if (n > NAMED)
		text_fmt(&t, " and %zu more", n - NAMED);
	str_copy(text_str(&t), r->changed, sizeof(r->changed));
	text_release(&t);
}

/* What the job made goes into force; what was there leaves with the job. */
static void take_over(struct reload_job *j)
{
	struct reload *r = j->r;
	struct options *o = r->options;
	struct properties p = r->properties;

	r->options = j->o;
	r->properties = j->p;
	j->o = o;
	j->p = p;
	name_changes(r, &j->p);
	r->stats.version++;
	r->stats.hash = r->properties.hash;
	r->stats.properties = r->properties.n;
	r->stats.at = clock_wall();
	notes_release(&r->held);
	r->held = j->held;
	j->held = (struct reload_notes){ .n = 0 };
}

static void keep_problems(struct reload_job *j)
{
	struct reload *r = j->r;
	notes_release(&r->rejected);
	r->rejected = j->bad;
	j->bad = (struct reload_notes){ .n = 0 };
	r->rejected_at = clock_wall();
}

static enum job_end run_steps(struct reload_job *j)
{
	while (j->step < STEPS) {
		enum step_result s = steps[j->step](j);
		if (s == STEP_FAILED)
			return JOB_REJECTED;
		if (s == STEP_DONE) {
			/* Values can only be the same as those in force when merging and resolving are over. */
			bool same = j->r->options && steps[j->step] == step_resolve && !j->bad.n &&
				    j->p.n == j->r->properties.n && j->p.hash == j->r->properties.hash;
			j->step++;
			if (same)
				return JOB_UNCHANGED;
		}
		if (j->step < STEPS && clock_now() >= j->until)
			return JOB_MORE;
	}
	return JOB_APPLIED;
}

enum job_end job_slice(struct reload_job *j)
{
	j->until = clock_now() + RELOAD_SLICE;
	enum job_end end = run_steps(j);

	if (end == JOB_APPLIED)
		take_over(j);
	else if (end == JOB_REJECTED)
		keep_problems(j);
	if (end != JOB_REJECTED && end != JOB_MORE)
		notes_release(&j->r->rejected);
	return end;
}
