/* Durations: how long exchanges took and how they ended, as histograms that a scrape reads (control/metrics.h).
 *
 *     record.c ──> durations_exchange(x)        per sidecar and direction, per upstream that was tried, per route of an edge
 *              ──> durations_exemplar(d, …)     the trace that stands for a bucket, when the exchange was sampled
 *     control  ──> durations_look(), exemplar_look()
 *
 * One writer (the worker), relaxed atomics, any reader. Buckets are counted singly and added up by the reader, so that le="+Inf" and the
 * count of a page are one number. Bounds are the process's (option metrics.buckets): they never change, nor does what a counter means.
 * Where to count is known by the exchange's own parts: nothing is looked up. Cost: tests/bench/durations.c. */
#ifndef OUTRIDER_PROXY_DURATIONS_H
#define OUTRIDER_PROXY_DURATIONS_H

#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define DURATION_BOUNDS_MAX 20u
#define DURATION_BUCKETS (DURATION_BOUNDS_MAX + 1u)

struct duration_bounds {
	uint32_t n;                       /* 1 to DURATION_BOUNDS_MAX */
	uint32_t us[DURATION_BOUNDS_MAX]; /* ascending, at most an hour; what is not used is UINT32_MAX */
};

enum duration_class { DURATION_NONE /* cut, or the client left before a status */, DURATION_1XX, DURATION_2XX, DURATION_3XX, DURATION_4XX,
	DURATION_5XX, DURATION_CLASSES };

enum direction { DIRECTION_INBOUND, DIRECTION_OUTBOUND, DIRECTION_EDGE, DIRECTIONS };

struct exemplar { /* the last sampled exchange of a bucket; seq is odd while it is written, 0: there was none */
	_Atomic uint32_t seq;
	_Atomic uint32_t us;
	_Atomic uint64_t hi, lo; /* of the trace's id */
	_Atomic uint64_t at;     /* wall µs */
};

struct durations {
	_Atomic uint64_t buckets[DURATION_BUCKETS]; /* [bounds.n]: above the last bound; tunnels are in none */
	_Atomic uint64_t sum;                       /* µs, of what is in buckets */
	_Atomic uint64_t classes[DURATION_CLASSES]; /* all, tunnels included */
	struct exemplar exemplars[DURATION_BUCKETS];
};

/* The first bound that is not below us; b->n: above all. Branch-free. */
static inline uint32_t duration_bucket(const struct duration_bounds *b, uint64_t us)
{
	uint32_t at = 0, v = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX - 1;

	for (uint32_t i = 0; i < DURATION_BOUNDS_MAX; i++)
		at += v > b->us[i];
	return at > b->n ? b->n : at;
}

enum duration_class duration_class_of(unsigned status); /* 0: none */

void durations_add(struct durations *d, const struct duration_bounds *b, usec took);
/* The exchange with that trace stands for the bucket of `took`, at wall time `at`. hi and lo both 0: no trace, nothing is stored. */
void durations_exemplar(struct durations *d, const struct duration_bounds *b, uint64_t hi, uint64_t lo, usec took, usec at);
void durations_zero(struct durations *d); /* the writer's */

struct exchange;
/* Counts a finished exchange where it belongs. Once per exchange. */
void durations_exchange(struct exchange *x);
/* Says which trace it was, in the same places. To be called for sampled ones, after durations_exchange(). */
void durations_traced(struct exchange *x, uint64_t hi, uint64_t lo, usec at);

/* --- for the reader; any thread ------------------------------------------------------------------------------------------------ */

struct exemplar_view {
	uint64_t hi, lo, at;
	uint32_t us;
};
/* false: there is none, or it was being written; never a torn one. */
bool exemplar_look(const struct exemplar *e, struct exemplar_view *ret);

struct durations_view {
	uint64_t buckets[DURATION_BUCKETS], sum, count; /* count: of all buckets */
	uint64_t classes[DURATION_CLASSES];
	struct exemplar_view exemplars[DURATION_BUCKETS]; /* at is 0: none */
};
/* Adds d to what ret has, of exemplars the newest. */
void durations_look(const struct durations *d, struct durations_view *ret);

#endif
