/* Adaptive concurrency: how many calls at a time a server takes without queueing, found by measuring.
 *
 *     limiter_report(&l, latency, busy, now)    each call that ended well, any thread
 *     limiter_drop(&l, now)                     one that timed out or was refused for load
 *     limiter_limit(&l)                         how many may be under way at a time
 *
 * Every LIMITER_ROUND, and at least LIMITER_SAMPLES calls or a drop, the mean latency is compared with the lowest mean lately:
 *
 *     gradient = lowest × tolerance / mean, within 0.5 and 1        1: no queue stands at the server
 *     limit    = limit × gradient + √limit, one fifth of the way    the root is the queue that is allowed, and how it grows
 *
 * The limit grows only while it is used (half of it under way), and by a drop shrinks by a tenth, at most once per round. Once in
 * LIMITER_PROBE rounds the limit is halved for two of them, so that the server's queue drains, and the mean of the second is taken
 * as the lowest: a server that became slower for good is believed then, and a queue that never drains is not. All zero is a
 * limiter that has measured nothing: LIMITER_START. Pure: no clock of its own. After Netflix' concurrency-limits
 * (Gradient2), in integers. Any thread. */
#ifndef OUTRIDER_PROXY_LIMITER_H
#define OUTRIDER_PROXY_LIMITER_H

#include "base/clock.h"

#include <stdatomic.h>
#include <stdint.h>

#define LIMITER_START 20u
#define LIMITER_MIN 2u
#define LIMITER_MAX 10000u
#define LIMITER_ROUND (100 * USEC_MS)
#define LIMITER_SAMPLES 10u
#define LIMITER_PROBE 300u  /* rounds: half a minute */
#define LIMITER_TOLERANCE 150u /* percent: latency may be that much of the lowest without a queue being seen */

struct limiter {
	_Alignas(64) _Atomic uint64_t sum; /* µs of the calls of this round */
	_Atomic uint64_t due;              /* end of the round (monotonic µs) */
	_Atomic uint64_t lowest;           /* µs; 0: not measured */
	_Atomic uint32_t n, peak;          /* calls of the round; most under way in it */
	_Atomic uint32_t limit;            /* in sixteenths; 0: LIMITER_START */
	_Atomic uint32_t dropped;          /* in this round */
	_Atomic uint32_t round, saved;     /* rounds so far; the limit before it was halved */
};

/* latency: µs of a call that was answered; busy: calls under way, this one included. */
void limiter_report(struct limiter *l, usec latency, uint32_t busy, usec now);
void limiter_drop(struct limiter *l, usec now);
static inline uint32_t limiter_limit(const struct limiter *l)
{
	uint32_t v = atomic_load_explicit(&l->limit, memory_order_relaxed);
	return v ? v / 16 : LIMITER_START;
}
void limiter_reset(struct limiter *l);

#endif
