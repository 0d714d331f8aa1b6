#include "control/reload_int.h"

#include "base/mem.h"

#include <sched.h>

/* --- jobs ------------------------------------------------------------------------------------------------------------ */

static void post_next(struct reload *r)
{
	if (r->next_posted)
		return;
	r->next_posted = true;
	/* A worker that shares our core goes first: on a busy one it gets its whole time slice between two of our slices. */
	sched_yield();
	loop_post(r->cfg.loop, &r->next);
}

static void begin_job(struct reload *r)
{
	r->dirty = r->retry = false;
	r->job = job_new(r);
	r->job_began = loop_touch(r->cfg.loop);
	r->stats.slice = 0;
	if (r->job) {
		post_next(r);
		return;
	}
	log_write(r->cfg.log, LEVEL_ERROR, "config", "a change waits: memory is short", NULL);
	r->dirty = true;
	timer_set(r->cfg.loop, &r->gap, r->job_began + USEC_SEC);
}

static void on_gap_over(void *arg)
{
	struct reload *r = arg;
	if (!r->job && r->dirty)
		begin_job(r);
}

static void want_job(struct reload *r)
{
	r->dirty = true;
	if (r->job || !r->first_over)
		return;
	usec now = loop_touch(r->cfg.loop);
	if (r->job_began + RELOAD_GAP <= now)
		begin_job(r);
	else
		timer_set(r->cfg.loop, &r->gap, r->job_began + RELOAD_GAP);
}

static void say_rejected(struct reload *r)
{
	const struct reload_notes *n = &r->rejected;
	for (size_t i = 0; i < n->n && i < 8; i++) {
		char key[512], value[96], origin[512], why[ERR_MAX];
		str_copy(n->at[i].key, key, sizeof(key));
		str_copy(n->at[i].value, value, sizeof(value));
		str_copy(n->at[i].origin, origin, sizeof(origin));
		str_copy(n->at[i].why, why, sizeof(why));
		log_write(r->cfg.log, LEVEL_ERROR, "config", r->options ? "a change is refused, the former options stay" : "options are wrong",
			LOG_FIELDS(log_text("key", key), log_text("value", value), log_text("origin", origin),
				log_text("why", why), log_u64("problems", n->total)));
	}
}

static void say_applied(struct reload *r)
{
	char hash[20];
	struct text t;
	text_init(&t, sizeof(hash));
	text_fmt(&t, "%016llx", (unsigned long long)r->stats.hash);
	str_copy(text_str(&t), hash, sizeof(hash));
	text_release(&t);
	log_write(r->cfg.log, LEVEL_INFO, "config", "new options are in force",
		LOG_FIELDS(log_u64("version", r->stats.version), log_text("hash", hash),
			log_u64("properties", r->stats.properties), log_u64("waiting_for_restart", r->held.total)));
}

static void tell_watches(struct reload *r)
{
	LIST_EACH(it, tmp, &r->watches) {
		struct reload_watch *w = LIST_OWNER(it, struct reload_watch, link);
		w->fn(w->arg);
	}
}

static void count(struct reload *r, enum job_end end)
{
	struct reload_stats *s = &r->stats;
	if (end == JOB_APPLIED)
		s->applied++;
	else if (end == JOB_REJECTED)
		s->rejected++;
	else
		s->unchanged++;
	s->in_row = end == JOB_REJECTED ? s->in_row + 1 : 0;
}

/* One slice; what the job made and no longer needs is freed within it. */
static enum job_end run_slice(struct reload *r)
{
	struct reload_stats *s = &r->stats;
	usec from = clock_now();
	enum job_end end = job_slice(r->job);

	if (end != JOB_MORE) {
		job_free(r->job);
		r->job = NULL;
		count(r, end);
	}
	usec now = clock_now();
	if (now - from > s->slice)
		s->slice = now - from;
	if (s->slice > s->longest)
		s->longest = s->slice;
	if (end != JOB_MORE)
		s->took = loop_touch(r->cfg.loop) - r->job_began;
	return end;
}

static void on_next(struct mail *m)
{
	struct reload *r = LIST_OWNER(m, struct reload, next);
	r->next_posted = false;
	if (!r->job)
		return;
	enum job_end end = run_slice(r);
	if (end == JOB_MORE) {
		post_next(r);
		return;
	}
	if (end != JOB_UNCHANGED && r->cfg.ended)
		r->cfg.ended(r->cfg.arg, end == JOB_REJECTED);
	if (end == JOB_REJECTED) {
		say_rejected(r);
	} else if (end == JOB_APPLIED) {
		say_applied(r);
		tell_watches(r);
		cache_write(r);
	}
	if (r->dirty) {
		want_job(r);
	} else if (end == JOB_REJECTED && r->retry) {
		r->dirty = true;
		timer_set(r->cfg.loop, &r->gap, loop_touch(r->cfg.loop) + RELOAD_RETRY);
	}
}

static void on_source(void *arg, size_t i, bool values)
{
	struct reload *r = arg;
	struct source_view v = sources_view(r->sources, i);

	if (values)
		want_job(r);
	else if (v.trouble[0])
		log_write(r->cfg.log, LEVEL_WARN, "config", "a source is in trouble, its last values stay",
			LOG_FIELDS(log_text("source", v.name), log_text("why", v.trouble)));
	else
		log_write(r->cfg.log, LEVEL_INFO, "config", "a source is well again", LOG_FIELDS(log_text("source", v.name)));
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

struct reload *reload_new(const struct reload_config *config, struct err *err)
{
	struct reload *r = mem_zalloc(sizeof(*r));
	struct rng rng;
	const struct options *o = config->start;

	if (!r) {
		err_set(err, "out of memory");
		return NULL;
	}
	r->cfg = *config;
	rng_seed_os(&rng);
	r->seed = rng_next(&rng);
	list_init(&r->watches);
	timer_init(&r->gap, on_gap_over, r);
	r->next.fn = on_next;
	struct str service = options_text(o, OPT_SERVICE);
	if (!service.n)
		service = config->command == COMMAND_EDGE ? STR("edge") : STR("application");
	struct sources_config c = {
		.loop = config->loop,
		.chain = options_text(o, OPT_CONFIG),
		.service = service,
		.profiles = options_text(o, OPT_PROFILE),
		.poll = options_duration(o, OPT_CONFIG_POLL),
		.settings = { options_setting, o },
		.plugins = config->plugins,
		.on_change = on_source,
		.arg = r,
	};
	r->sources = sources_open(&c, err);
	if (r->sources)
		return r;
	reload_free(r);
	return NULL;
}

void reload_free(struct reload *r)
{
	if (!r)
		return;
	job_free(r->job);
	r->job = NULL;
	r->first_over = false;
	timer_clear(&r->gap);
	cache_writer_free(r->writer); /* before the turn of sources_close(), which hands out mail that cannot be taken back */
	r->writer = NULL;
	sources_close(r->sources);
	loop_turn(r->cfg.loop, false);
	options_free(r->options);
	properties_release(&r->properties);
	notes_release(&r->rejected);
	notes_release(&r->held);
	mem_free(r);
}

/* --- start ----------------------------------------------------------------------------------------------------------- */

/* Waits for nobody any more? Local sources say their values on the next turns. */
static bool all_said(const struct reload *r)
{
	for (size_t i = 0; i < sources_count(r->sources); i++) {
		struct source_view v = sources_view(r->sources, i);
		if (!v.said && !v.ops->trigger && !(v.ops->local && v.trouble[0]))
			return false;
	}
	return true;
}

/* Has everyone said values or that they cannot? Then the cache may help at once. */
static bool all_tried(const struct reload *r)
{
	for (size_t i = 0; i < sources_count(r->sources); i++) {
		struct source_view v = sources_view(r->sources, i);
		if (!v.said && !v.ops->trigger && !v.trouble[0])
			return false;
	}
	return true;
}

static bool judge_sources(struct reload *r, struct err *err)
{
	bool required = options_bool(r->cfg.start, OPT_CONFIG_REQUIRED);
	for (size_t i = 0; i < sources_count(r->sources); i++) {
		struct source_view v = sources_view(r->sources, i);
		if (v.said || v.ops->trigger)
			continue;
		const char *why = v.trouble[0] ? v.trouble : "no answer within outrider.config-wait";
		if (v.ops->local || (required && v.n == 0))
			return err_set(err, "%s: %s", v.name, why);
		log_write(r->cfg.log, LEVEL_WARN, "config",
			v.n ? "a source says nothing yet: what the cache holds of it is used"
			    : "a source says nothing yet: the agent starts without it",
			LOG_FIELDS(log_text("source", v.name), log_text("why", why)));
	}
	return true;
}

static bool first_job(struct reload *r, struct err *err)
{
	enum job_end end = JOB_MORE;

	r->job = job_new(r);
	r->dirty = false;
	r->job_began = loop_touch(r->cfg.loop);
	if (!r->job)
		return err_set(err, "out of memory");
	while (end == JOB_MORE)
		end = run_slice(r);
	r->first_over = true;
	if (end == JOB_REJECTED) {
		say_rejected(r);
		return err_set(err, "the options of outrider.config are wrong");
	}
	r->stats.applied = 0; /* changes are counted, not the start */
	cache_write(r);
	return true;
}

static void wait_over(void *arg)
{
	*(bool *)arg = true;
}

bool reload_first(struct reload *r, bool (*stop)(void *arg), void *arg, struct err *err)
{
	const char *path = options_text(r->cfg.start, OPT_CONFIG_CACHE).n ?
				   options_text(r->cfg.start, OPT_CONFIG_CACHE).p : NULL;
	bool over = false, cached = false;
	struct timer end;

	timer_init(&end, wait_over, &over);
	timer_set(r->cfg.loop, &end,
		  loop_touch(r->cfg.loop) + options_duration(r->cfg.start, OPT_CONFIG_WAIT));
	while (!over && !all_said(r) && !(stop && stop(arg))) {
		if (path && !cached && all_tried(r)) {
			cached = true;
			if (cache_read(r, path) > 0)
				break;
		}
		loop_turn(r->cfg.loop, true);
	}
	timer_clear(&end);
	if (stop && stop(arg))
		return err_set(err, "stopped while it waited for outrider.config");
	if (path && !cached && !all_said(r))
		(void)cache_read(r, path);
	return judge_sources(r, err) && first_job(r, err);
}

bool reload_now(struct reload *r, struct err *err)
{
	return first_job(r, err);
}

/* --- reading --------------------------------------------------------------------------------------------------------- */

size_t reload_problems(const struct reload *r)
{
	return r->rejected.total;
}

bool reload_problem(const struct reload *r, struct str *key, struct str *why)
{
	if (!r->rejected.n)
		return false;
	*key = r->rejected.at[0].key;
	*why = r->rejected.at[0].why;
	return true;
}

const char *reload_changed(const struct reload *r)
{
	return r->changed;
}

bool reload_source(const struct reload *r, size_t i, struct source_view *ret)
{
	if (!r->sources || i >= sources_count(r->sources))
		return false;
	*ret = sources_view(r->sources, i);
	return true;
}

const struct options *reload_options(const struct reload *r)
{
	return r->options ? r->options : r->cfg.start;
}

const struct properties *reload_properties(const struct reload *r)
{
	return &r->properties;
}

struct reload_stats reload_stats(const struct reload *r)
{
	return r->stats;
}

void reload_refresh(struct reload *r)
{
	sources_refresh(r->sources);
	if (r->rejected.n) /* what they said is tried again, be it the same */
		want_job(r);
}

void reload_watch(struct reload *r, struct reload_watch *w)
{
	list_append(&r->watches, &w->link);
}

void reload_unwatch(struct reload_watch *w)
{
	if (w->link.next)
		list_remove(&w->link);
}
