/* What the files of the balancer share: balance.c picks, balance_score.c measures, balance_census.c counts. */
#ifndef OUTRIDER_PROXY_BALANCE_INT_H
#define OUTRIDER_PROXY_BALANCE_INT_H

#include "proxy/balance.h"

#define BALANCE_WEIGHT 100u /* the usual one */

static inline struct balance_stat *balance_stat_of(
	const struct balance_spec *s, const struct balance_part *p, uint32_t i)
{
	return &p->stats[s->slots[i]];
}
static inline uint32_t balance_weight(const struct balance_spec *s, uint32_t i)
{
	return s->weights ? s->weights[i] : BALANCE_WEIGHT;
}

/* Relaxed: one writer, others only look. */
#define STAT_GET(st, field) atomic_load_explicit(&(st)->field, memory_order_relaxed)
#define STAT_SET(st, field, v) atomic_store_explicit(&(st)->field, v, memory_order_relaxed)

/* balance_score.c */
float balance_cost(
	const struct balance_spec *s, const struct balance_part *p, const struct balance_stat *st, usec now);
float balance_ghost(
	const struct balance_spec *s, const struct balance_part *p, const struct balance_stat *st, usec now);
/* 1 + what is in flight and pretended to be, by weight. */
float balance_load(const struct balance_spec *s, const struct balance_part *p, uint32_t i, usec now);
/* What two candidates are compared by; less is better. */
float balance_score(const struct balance_spec *s, const struct balance_part *p, uint32_t i, usec now);
/* Slow start: the part of its usual share that an endpoint gets, 0.1 to 1. */
float balance_warmth(const struct balance_spec *s, const struct balance_cell *c, usec now);

/* balance_census.c: counts anew when a word or the spec changed. */
void balance_recount(const struct balance_spec *s, struct balance_census *c, uint64_t version, usec now);
static inline void balance_census_fresh(const struct balance_spec *s, struct balance_part *p, usec now)
{
	struct balance_census *c = &p->census;
	uint64_t version = atomic_load_explicit(&s->tally->version, memory_order_acquire);

	if (__builtin_expect(
		    c->serial != s->serial || ((c->version != version || now >= c->due) && now >= c->again),
		    0))
		balance_recount(s, c, version, now);
}

#endif
