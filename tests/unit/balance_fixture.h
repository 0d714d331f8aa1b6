/* An upstream of n endpoints for the balancer's tests: fixed seed, virtual time, one worker. */
#ifndef BALANCE_FIXTURE_H
#define BALANCE_FIXTURE_H

#include "proxy/balance_build.h"

#include <check.h>
#include <stdio.h>

#define FLEET_MAX 1024u
#define NOBODY ((struct balance_request){ 0 })

struct fleet {
	struct balance_options o;
	struct balance_spec spec;
	struct balance_part part;
	struct balance_tally tally;
	struct arena arena;
	struct rng rng;
	usec now;
	uint32_t n;
	char text[FLEET_MAX][32];
	struct balance_member m[FLEET_MAX];
	struct balance_cell cells[FLEET_MAX];
	struct balance_stat stats[FLEET_MAX];
	uint32_t hits[FLEET_MAX];
	uint32_t probes, nobody;
};

/* n equal endpoints, options as by default but for slow start (off) and policy; change .o and .m, then fleet_build(). */
static inline void fleet_init(struct fleet *f, uint32_t n, enum balance_policy policy)
{
	static const struct balance_options defaults = BALANCE_DEFAULTS;

	memset(f, 0, sizeof(*f));
	arena_init(&f->arena, (size_t)64 << 20, NULL, 0);
	rng_seed(&f->rng, 42);
	f->now = 1000 * USEC_SEC;
	f->n = n;
	f->o = defaults;
	f->o.policy = policy;
	f->o.slow_start = 0;
	for (uint32_t i = 0; i < n; i++) {
		snprintf(f->text[i], sizeof(f->text[i]), "10.0.%u.%u:8080", i / 250, i % 250 + 1);
		f->m[i] = (struct balance_member){
			.text = str_of(f->text[i]), .slot = i, .weight = 100, .cell = &f->cells[i]
		};
	}
}

static inline void fleet_build(struct fleet *f)
{
	ck_assert(balance_build(&f->arena, &f->o, f->m, f->n, &f->tally, &f->spec));
	f->o.serial++;
	if (!f->part.stats)
		balance_part_init(&f->part, f->stats, &f->rng);
}

static inline void fleet_make(struct fleet *f, uint32_t n, enum balance_policy policy)
{
	fleet_init(f, n, policy);
	fleet_build(f);
}

static inline void fleet_free(struct fleet *f)
{
	arena_release(&f->arena);
}

static inline struct balance_ticket fleet_pick(struct fleet *f, const struct balance_request *q)
{
	return balance_pick(&f->spec, &f->part, q, f->now, &f->rng);
}

static inline void fleet_hold(struct fleet *f, uint32_t i, unsigned holds, bool on)
{
	outlier_hold(&f->cells[i], &f->tally, holds, on, false, f->now);
	f->now += 20 * USEC_MS; /* beyond the least distance of two censuses */
}

static inline enum outlier_verdict fleet_end(
	struct fleet *f, struct balance_ticket t, enum balance_outcome o, usec latency)
{
	return balance_end(&f->spec, &f->part, t, o, latency, f->now, &f->rng);
}

/* k picks, counted in hits; nothing stays in flight. */
static inline void fleet_picks(struct fleet *f, uint32_t k)
{
	memset(f->hits, 0, sizeof(f->hits));
	f->probes = f->nobody = 0;
	while (k--) {
		struct balance_ticket t = fleet_pick(f, &NOBODY);
		if (t.index == BALANCE_NONE) {
			f->nobody++;
			continue;
		}
		f->hits[t.index]++;
		f->probes += t.probe;
	}
}

/* One attempt that is over at once. */
static inline struct balance_ticket fleet_attempt(struct fleet *f, enum balance_outcome o, usec latency)
{
	struct balance_ticket t = fleet_pick(f, &NOBODY);

	ck_assert_uint_ne(t.index, BALANCE_NONE);
	balance_start(&f->spec, &f->part, t, f->now);
	fleet_end(f, t, o, latency);
	return t;
}

/* hits[i] is within `percent` of what is expected. */
static inline void fleet_expect(const struct fleet *f, uint32_t i, double expected, double percent)
{
	ck_assert_msg(
		f->hits[i] >= expected * (1 - percent / 100) && f->hits[i] <= expected * (1 + percent / 100),
		"endpoint %u got %u, %.0f expected", i, f->hits[i], expected);
}

static inline double fleet_sum(const struct fleet *f, uint32_t from, uint32_t to)
{
	double sum = 0;

	for (uint32_t i = from; i < to; i++)
		sum += f->hits[i];
	return sum;
}

#endif
