/* A reload over scripted sources, for the tests of reload and of its cache. */
#ifndef OUTRIDER_TESTS_RELOAD_HELP_H
#define OUTRIDER_TESTS_RELOAD_HELP_H

#include "base/json.h"
#include "control/reload.h"
#include "options_help.h"
#include "source_script.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

struct bench {
	struct loop *loop;
	struct log log;
	struct options *start;
	struct reload *r;
	struct reload_watch watch;
	char flags[256], *argv[16]; /* as reload reads them again */
	int argc;
	unsigned applied, watched;
	bool refuse;         /* apply() fails */
	struct slots *slots; /* set: apply() makes the spec too, as the agent does */
	struct spec_sidecar *spec;
	struct build *build; /* the next one */
	uint64_t apply_cpu; /* us, of the last */
	uint64_t requests;  /* outrider.limit.requests as it was applied */
};

/* This thread's time in us: what a loaded machine does not spoil. */
static inline uint64_t thread_cpu(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000;
}

static enum reload_apply bench_spec(struct bench *b, const struct options *o, usec until, struct err *err)
{
	uint64_t from = thread_cpu();
	struct build_request q = {
		.options = o, .command = COMMAND_SIDECAR, .slots = b->slots, .previous = b->spec
	};

	if (!b->build) {
		b->apply_cpu = 0;
		b->build = build_begin(&q, err);
	}
	enum build_state state = b->build ? build_step(b->build, until, err) : BUILD_FAILED;
	if (state == BUILD_DONE) {
		struct spec_sidecar *spec = build_take(b->build);
		build_unref(b->spec);
		b->spec = spec;
	}
	if (state == BUILD_FAILED)
		build_cancel(b->build);
	if (state != BUILD_MORE)
		b->build = NULL;
	b->apply_cpu += thread_cpu() - from;
	return state == BUILD_DONE ? APPLY_DONE : state == BUILD_MORE ? APPLY_MORE : APPLY_FAILED;
}

static enum reload_apply bench_apply(void *arg, const struct options *o, usec until, struct err *err)
{
	struct bench *b = arg;
	if (b->refuse) {
		err_set(err, "the port is taken");
		return APPLY_FAILED;
	}
	enum reload_apply done = b->slots ? bench_spec(b, o, until, err) : APPLY_DONE;
	if (done != APPLY_DONE)
		return done;
	b->applied++;
	b->requests = options_u64(o, OPT_LIMIT_REQUESTS);
	return APPLY_DONE;
}

static void bench_watch(void *arg)
{
	((struct bench *)arg)->watched++;
}

/* Flags as in from_flags(). The chain is in outrider.config, which the table of plug-ins does not judge. */
static inline void bench_open(struct bench *b, const char *flags)
{
	static char *const no_env[] = { NULL };
	struct err err = { "" };

	memset(b, 0, sizeof(*b));
	script_reset();
	b->loop = loop_new(NULL);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_init(&b->log, null, LEVEL_ERROR);
	b->start = from_flags(flags);
	ck_assert_msg(options_check(b->start, COMMAND_ANY, &err), "%s", err.text);
	ck_assert(str_copy(str_of(flags), b->flags, sizeof(b->flags)));
	for (char *save, *word = strtok_r(b->flags, " ", &save); word; word = strtok_r(NULL, " ", &save))
		b->argv[b->argc++] = word;
	struct reload_config c = { .loop = b->loop,
		.log = &b->log,
		.start = b->start,
		.command = COMMAND_SIDECAR,
		.argc = b->argc,
		.argv = b->argv,
		.environ_ = no_env,
		.plugins = script_plugins,
		.apply = bench_apply,
		.arg = b };
	b->r = reload_new(&c, &err);
	ck_assert_msg(b->r != NULL, "%s", err.text);
	b->watch = (struct reload_watch){ .fn = bench_watch, .arg = b };
	reload_watch(b->r, &b->watch);
}

static inline void bench_close(struct bench *b)
{
	build_cancel(b->build);
	reload_free(b->r);
	options_free(b->start);
	build_unref(b->spec);
	slots_free(b->slots);
	loop_turn(b->loop, false);
	loop_free(b->loop);
	close(b->log.fd);
	ck_assert_uint_eq(n_open, 0);
}

static inline uint64_t bench_jobs(const struct bench *b)
{
	struct reload_stats s = reload_stats(b->r);
	return s.applied + s.rejected + s.unchanged;
}

/* Turns until so many jobs have ended. */
static inline void bench_until(struct bench *b, uint64_t jobs)
{
	usec last = clock_now() + 20 * USEC_SEC;
	while (bench_jobs(b) < jobs) {
		ck_assert_uint_lt(clock_now(), last);
		loop_skip(b->loop, RELOAD_GAP);
		loop_turn(b->loop, false);
	}
}

static inline void bench_first(struct bench *b)
{
	struct err err = { "" };
	ck_assert_msg(reload_first(b->r, NULL, NULL, &err), "%s", err.text);
}

#endif
