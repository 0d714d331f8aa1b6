/* Random events against a model: what the tests of that kind share (test_*_model.c).
 *
 * A model is the rules once more, in the plainest way: lists of all that happened, walked from the beginning each time. It is written from
 * headers and docs, not from the code. Every run has a seed, and whatever fails names it and the step; MODEL_SEED=n in the environment
 * makes other runs (n, n + 1, …), for a search that takes longer than a check may. */
#ifndef MODEL_H
#define MODEL_H

#include "base/clock.h"
#include "base/rng.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SEC USEC_SEC
#define MS USEC_MS
#define MODEL_RUNS 8 /* seeds of each test */

struct script {
	struct rng r;
	uint64_t seed;
	unsigned step;
	usec now;
};

static inline void script_begin(struct script *s, int run, usec now)
{
	const char *from = getenv("MODEL_SEED");

	*s = (struct script){ .seed = (uint64_t)run + (from ? strtoull(from, NULL, 10) : 1), .now = now };
	rng_seed(&s->r, s->seed);
}

static inline uint32_t chance(struct script *s, uint32_t n)
{
	return rng_below(&s->r, n);
}

/* Usually a short while, seldom a long one. */
static inline void pass(struct script *s, usec often, usec seldom)
{
	s->now += rng_next(&s->r) % ((chance(s, 40) ? often : seldom) + 1);
}

#define agree(s, what, got, want) agree_on((s), __LINE__, (what), (uint64_t)(got), (uint64_t)(want))

static inline void agree_on(const struct script *s, int line, const char *what, uint64_t got, uint64_t want)
{
	if (got != want) /* Check writes down each assertion, which takes longer than all else here */
		ck_abort_msg("line %d, seed %llu, step %u: %s is %llu, the model says %llu", line,
			(unsigned long long)s->seed, s->step, what, (unsigned long long)got,
			(unsigned long long)want);
}

#define holds(s, what) holds_on((s), __LINE__, (what), #what)

static inline void holds_on(const struct script *s, int line, bool is_true, const char *what)
{
	if (!is_true)
		ck_abort_msg(
			"line %d, seed %llu, step %u: %s", line, (unsigned long long)s->seed, s->step, what);
}

#endif
