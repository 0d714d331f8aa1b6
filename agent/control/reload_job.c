/* One job: from the values that sources have now to options in force, in slices. */
#include "control/reload_int.h"

#include "base/mem.h"
#include "control/option_mask.h"
#include "control/options_impl.h"

#define CHUNK 64u                 /* items between two looks at the clock, */
#define CHUNK_BYTES (64u * 1024u) /* or so much text */
#define OPTION_PREFIX_TEXT "outrider."

struct reload_job {
	struct reload *r;
	struct source_values *values[SOURCES_MAX];
	size_t n_values;
	struct options *o;
	struct properties p;
	struct reload_notes bad, held;
	size_t step, source, item; /* where it stands */
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
		!options_add_flags(j->o, c->argc, c->argv, &rest, &err))
		return fail(j, err.text[0] ? err.text : "out of memory");
	return STEP_DONE;
}

/* What a server could not decipher is no value (spring-config: `{cipher}…`, `invalid.<key>`). */
static const char *refused(const struct source_property *p)
{
	if (str_starts(p->value, STR("{cipher}")))
		return "the value is still encrypted; let the config server decrypt it, or give it the key";
	if (str_starts(p->key, STR("invalid.")) && str_eq(p->value, STR("<n/a>")))
		return "the config server could not decrypt the value; give it the key that it was encrypted "
		       "with";
	return NULL;
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
		const struct source_property *p = &v->at[j->item];
		if (j->item == 0 || p->set != v->at[j->item - 1].set)
			properties_begin_set(&j->p);
		const char *why = refused(p);
		if (why)
			notes_add(&j->bad, p->key, STR("***"), p->origin, why);
		else if (!properties_add(&j->p, (uint32_t)j->source, p->key, p->value, p->origin, &err))
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
	struct err err;
	size_t bytes = 0;
	for (unsigned k = 0; k < CHUNK && bytes < CHUNK_BYTES && j->item < j->p.n; k++, j->item++) {
		const struct property *p = &j->p.at[j->item];
		bytes += p->raw.n;
		if (!properties_resolve(&j->p, j->item, j->r->cfg.environ_, &err))
			notes_add(&j->bad, p->key, STR("***"), str_of(p->origin), err.text);
		properties_hash(&j->p, j->item);
	}
	if (j->item < j->p.n)
		return STEP_MORE;
	j->item = 0;
	return STEP_DONE;
}

/* outrider.upstreams[0], [1] … of YAML are one comma list. */
static bool join_list(struct reload_job *j, struct str root, struct str *ret)
{
	char key[PROPERTIES_KEY_MAX + 24];
	const struct property *p;

	text_clear(&j->list);
	for (unsigned i = 0; !j->list.failed; i++) {
		struct text t;
		text_init(&t, sizeof(key));
		text_fmt(&t, "%.*s[%u]", STR_ARG(root), i);
		p = properties_find(&j->p, text_str(&t));
		text_release(&t);
		if (!p)
			break;
		text_fmt(&j->list, "%s%.*s", i ? "," : "", STR_ARG(p->value));
	}
	*ret = text_str(&j->list);
	return !j->list.failed;
}

/* "[12]": an item of a plain list. A list of mappings is no option, and is refused by its name. */
static bool is_list_item(struct str s)
{
	uint64_t n;
	return s.n > 2 && s.p[s.n - 1] == ']' && str_u64(str_make(s.p + 1, s.n - 2), &n) &&
	       (s.p[1] != '0' || s.n == 3);
}

static bool put_option(struct reload_job *j, const struct property *p, struct err *err)
{
	enum option_layer layer = LAYER_SOURCE((int)p->source);
	struct str root = properties_list_root(p->key), value = p->value;

	if (!root.p || !is_list_item(str_make(p->key.p + root.n, p->key.n - root.n)))
		return options_set(j->o, layer, p->key, value, str_of(p->origin), err);
	if (p->key.p[root.n + 1] != '0')
		return true; /* said with the first one */
	return (join_list(j, root, &value) || err_set(err, "a list is too long")) &&
	       options_set(j->o, layer, root, value, str_of(p->origin), err);
}

static enum step_result step_options(struct reload_job *j)
{
	struct err err;
	for (unsigned k = 0; k < CHUNK && j->item < j->p.n; k++, j->item++) {
		const struct property *p = &j->p.at[j->item];
		if (str_starts(p->key, STR(OPTION_PREFIX_TEXT)) && !put_option(j, p, &err))
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
	for (size_t i = 0; i < options_problem_count(j->o); i++) {
		const struct option_problem *p = options_problem(j->o, i);
		notes_add(&j->bad, p->key, p->value, p->origin, p->why.p);
	}
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

	if (r->options && !r->cfg.apply(r->cfg.arg, j->o, &err))
		return fail(j, err.text);
	return STEP_DONE;
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

static enum job_end run_steps(struct reload_job *j, usec until)
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
		if (j->step < STEPS && clock_now() >= until)
			return JOB_MORE;
	}
	return JOB_APPLIED;
}

enum job_end job_slice(struct reload_job *j)
{
	enum job_end end = run_steps(j, clock_now() + RELOAD_SLICE);

	if (end == JOB_APPLIED)
		take_over(j);
	else if (end == JOB_REJECTED)
		keep_problems(j);
	if (end != JOB_REJECTED && end != JOB_MORE)
		notes_release(&j->r->rejected);
	return end;
}
