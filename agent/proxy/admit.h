/* Admit: may this call be made now? (DESIGN section 7: breaker, bulkhead, budget of the upstream.) And, when it ended, what it says
 * of its upstream.
 *
 *     admit(x)        deadline ──> breaker ──> bulkhead (and its queue) ──> injected faults
 *     admit_leave(x)  outcome to the breaker, latency to the limiter, the place to the next one
 *
 * Calls are counted after their retries, as Hystrix does; attempts by the balancer. Private to proxy/; thread: the worker's. */
#ifndef OUTRIDER_PROXY_ADMIT_H
#define OUTRIDER_PROXY_ADMIT_H

#include "proxy/exchange.h"

enum admit_result {
	ADMIT_GO,
	ADMIT_WAIT,   /* exchange_run() goes on later */
	ADMIT_REFUSED /* *why; may be answered by a fallback */
};

enum admit_result admit(struct exchange *x, enum reason *why);
void admit_placed(struct exchange *x); /* queue.c: its place was taken for it; runs it, x may be gone */
/* Idempotent. The call is over, or goes to another upstream. */
void admit_leave(struct exchange *x);
/* How x ended, as its circuit counts it. */
enum circuit_event admit_outcome(const struct exchange *x);
/* What is left of the deadline, ms, at least 1; 0: there is none. */
uint64_t admit_left_ms(const struct exchange *x);

#endif
