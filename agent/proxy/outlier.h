/* Outlier detection: endpoints whose real requests fail are put aside for a while, and come back by one real request.
 *
 *              5 failures in a row, or a success rate far below the others'
 *        IN ────────────────────────────────────────────────────────────────> OUT   for base × times, at most max
 *         ^                                                                 │  ^
 *         │ the probe succeeded                   time is over, a request   │  │ the probe failed (times + 1),
 *         │                                       passes by and wins the CAS v  │ or its lease expired
 *         └──────────────────────────────────────────────────────────────── TRIAL
 *
 * The state of an endpoint is one 64-bit word in its cell, changed by CAS alone (DESIGN section 5): holds (what control
 * says of it), state, how often it was ejected, epoch, and the instant at which OUT or the lease of TRIAL ends. The
 * epoch grows with every change of state, and a request carries the epoch under which it was picked: what it reports
 * is ignored when the endpoint has changed meanwhile, so requests that were under way when it was ejected neither
 * eject it again nor bring it back.
 *
 * Who calls what: workers report outcomes (outlier_report) and take probe leases (outlier_probe); control sets holds
 * and compares success rates once per interval (outlier_sweep), because that needs all endpoints and all workers. No
 * lock, no loop over endpoints on the request path, no allocation; time and randomness are arguments.
 *
 * The rules are those that Envoy documents for its outlier detection (consecutive gateway failures; success rate below
 * mean − k × standard deviation over hosts with enough volume; capped share; base × times), but for re-admission:
 * Envoy returns an endpoint to full traffic when its time is over. */
#ifndef OUTRIDER_PROXY_OUTLIER_H
#define OUTRIDER_PROXY_OUTLIER_H

#include "base/clock.h"
#include "base/rng.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How an attempt ended, as balancing and ejection see it. */
enum balance_outcome {
	BALANCE_OK,     /* a reply that is none of the below */
	BALANCE_ERROR,  /* the application failed (500 and the like): counts for the success rate */
	BALANCE_FAILED, /* no connection, reset, timeout, 502, 503, 504: also counts as a failure in a row */
	BALANCE_OVERLOADED, /* 429, 503 with Retry-After: it lives and says "less": never a reason to eject, since that
	                       would press its load onto others, but it looks loaded to the balancer */
	BALANCE_CANCELLED /* the caller left: says nothing of the endpoint */
};

/* Holds: what control says of an endpoint, bits of its word. */
enum {
	BALANCE_HOLD_REGISTRY = 1, /* the registry says down */
	BALANCE_HOLD_CHECK = 2,    /* the active check fails, or has not passed yet */
	BALANCE_HOLD_DRAINED = 4,  /* by hand (PUT /upstreams/…) */
	BALANCE_HOLD_GONE = 8,     /* not in the set any more; what runs there finishes */
	BALANCE_HOLDS = 15,
	BALANCE_HARD = BALANCE_HOLD_REGISTRY | BALANCE_HOLD_DRAINED |
		       BALANCE_HOLD_GONE /* hold even in panic */
};

enum outlier_state { OUTLIER_IN, OUTLIER_OUT, OUTLIER_TRIAL };

enum outlier_why { OUTLIER_NEVER, OUTLIER_CONSECUTIVE, OUTLIER_SUCCESS_RATE, OUTLIER_PROBE_FAILED };

/* Shared by workers and control, one cache line per endpoint, keyed by the endpoint's identity; outlives specs. All zero
 * is an endpoint that is in. */
struct balance_cell {
	_Alignas(64) _Atomic uint64_t word;
	_Atomic uint64_t
		ready; /* when it became available (monotonic µs): slow start counts from here; 0: long ago */
	_Atomic uint64_t since;       /* of the present state and holds (monotonic µs), for /upstreams */
	_Atomic uint32_t consecutive; /* gateway failures in a row, over all workers */
	_Atomic uint32_t why;         /* enum outlier_why of the last ejection */
};

/* Shared by workers and control, one per upstream, outlives specs. */
struct balance_tally {
	_Alignas(64) _Atomic uint64_t
		version;          /* grows whenever a word of this upstream changed: workers count anew */
	_Atomic uint32_t ejected; /* endpoints OUT or in TRIAL */
};

struct outlier_policy {
	uint32_t consecutive; /* gateway failures in a row; 0 = off. Default 5 */
	uint32_t
		max_percent; /* of the endpoints may be out at a time; one may always go when there are two. 0 = nobody */
	uint32_t
		min_hosts; /* endpoints with enough volume that success rates are compared from on. Default 5 */
	uint32_t
		min_volume; /* requests in an interval that make a rate meaningful. Default 100; 0 = no comparison */
	uint32_t stdev_permille; /* k of mean − k × stdev, in thousandths. Default 1,900 */
	uint32_t
		gap_permille; /* and at least that far below the mean, so that 99.8 % among 99.9 % is no outlier. Default 50 */
	usec base,
		max; /* penalty of the n-th ejection: n × base, at most max, plus jitter of a fifth. 5 s, 300 s */
	usec lease; /* a probe's outcome is waited for so long, then another request may probe. Default 10 s */
	bool observe; /* only say what would have been ejected */
	usec interval; /* between two sweeps; 0: none. 10 s */
};

/* A third may be out: on the usual three nodes that is one node lost, and what is left (two thirds) stays above the
 * panic threshold of one half, so ejection alone never brings an upstream into panic. Envoy's 10 % suits hundreds of
 * endpoints; a service of four replicas on a broken node would keep failing. */
#define OUTLIER_MAX_PERCENT 34u
#define OUTLIER_DEFAULTS                                                                                     \
	{                                                                                                    \
		.consecutive = 5, .max_percent = OUTLIER_MAX_PERCENT, .min_hosts = 5, .min_volume = 100,     \
		.stdev_permille = 1900, .gap_permille = 50, .base = 5 * USEC_SEC, .max = 300 * USEC_SEC,     \
		.lease = 10 * USEC_SEC, .interval = 10 * USEC_SEC                                            \
	}

enum outlier_verdict { /* what a report or a sweep did; all but NOTHING are worth a log record and a metric */
	OUTLIER_NOTHING,
	OUTLIER_EJECTED,
	OUTLIER_WOULD_EJECT, /* policy.observe */
	OUTLIER_CAPPED,      /* as many are out as may be */
	OUTLIER_READMITTED,
	OUTLIER_STAYS_OUT /* its probe failed */
};

/* --- reading a word -------------------------------------------------------------------------------------------- */
#define OUTLIER_STATE_SHIFT 4
#define OUTLIER_TIMES_SHIFT 6
#define OUTLIER_EPOCH_SHIFT 12
#define OUTLIER_UNTIL_SHIFT 28
#define OUTLIER_STATE_MASK ((uint64_t)3 << OUTLIER_STATE_SHIFT)
#define OUTLIER_TIMES_MAX 63u
#define OUTLIER_TICK_SHIFT 12 /* until counts 4,096 µs: 36 bits last nine years of uptime */

static inline uint64_t cell_word(const struct balance_cell *c)
{
	return atomic_load_explicit(&c->word, memory_order_relaxed);
}
static inline enum outlier_state outlier_state(uint64_t word)
{
	return (enum outlier_state)((word & OUTLIER_STATE_MASK) >> OUTLIER_STATE_SHIFT);
}
static inline uint32_t outlier_times(uint64_t word)
{
	return (uint32_t)(word >> OUTLIER_TIMES_SHIFT) & OUTLIER_TIMES_MAX;
}
static inline uint16_t outlier_epoch(uint64_t word)
{
	return (uint16_t)(word >> OUTLIER_EPOCH_SHIFT);
}
/* When OUT or the lease of TRIAL ends, up to 4 ms late. */
static inline usec outlier_until(uint64_t word)
{
	return (word >> OUTLIER_UNTIL_SHIFT) << OUTLIER_TICK_SHIFT;
}
/* In, and nothing holds it. */
static inline bool outlier_available(uint64_t word)
{
	return (word & (BALANCE_HOLDS | OUTLIER_STATE_MASK)) == 0;
}
/* Waits for a request that probes it. */
static inline bool outlier_due(uint64_t word, usec now)
{
	return (word & BALANCE_HOLDS) == 0 && outlier_state(word) != OUTLIER_IN && outlier_until(word) <= now;
}

/* --- workers ---------------------------------------------------------------------------------------------------- */
/* Takes the probe lease of an endpoint that is due. true for exactly one caller: its request decides, and is reported
 * with probe = true and *epoch. */
bool outlier_probe(struct balance_cell *c, const struct outlier_policy *p, usec now, uint16_t *epoch);

struct outlier_report {
	enum balance_outcome outcome;
	uint16_t epoch; /* as picked */
	bool probe;
	uint32_t n_endpoints; /* of the upstream, for the cap */
};
/* How an attempt ended. A probe must be reported, whatever became of it (a lost one costs its lease). */
enum outlier_verdict outlier_report(const struct outlier_policy *p, struct balance_cell *c,
	struct balance_tally *t, const struct outlier_report *how, usec now, struct rng *r);

/* --- control ---------------------------------------------------------------------------------------------------- */
/* Sets or clears holds. Clearing the last one begins slow start when `fresh`. */
void outlier_hold(
	struct balance_cell *c, struct balance_tally *t, unsigned holds, bool on, bool fresh, usec now);
/* The endpoint left for good, or is re-enabled by hand: in again, without a past; outcomes under way are ignored. */
void outlier_reset(struct balance_cell *c, struct balance_tally *t, usec now);
/* Endpoints of n that may be out at a time. */
uint32_t outlier_cap(const struct outlier_policy *p, uint32_t n);

/* One endpoint in a sweep: what its workers counted in the interval that ends now. */
struct outlier_host {
	struct balance_cell *cell;
	uint32_t ok, failed; /* BALANCE_OK; BALANCE_ERROR and BALANCE_FAILED */
	uint16_t epoch;  /* of its word when the interval began: one that changed meanwhile is passed over */
	uint8_t verdict; /* set: enum outlier_verdict */
};
/* Compares success rates and ejects the outliers, the worst first; forgives one past ejection of each endpoint that was
 * in all the while. Reorders `hosts`. Returns how many were ejected (or would have been). O(n), some 20 ns each. */
uint32_t outlier_sweep(const struct outlier_policy *p, struct balance_tally *t, struct outlier_host *hosts,
	uint32_t n, usec now, struct rng *r);

#endif
