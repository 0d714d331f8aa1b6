/* Circuit breaker of an upstream: when its calls fail too often none are sent for a while, then one tries.
 *
 *                 volume reached and error share reached, looked at every BREAKER_TICK
 *        CLOSED ──────────────────────────────────────────────────────────────> OPEN   for the sleep window
 *          ^                                                                   │   ^
 *          │ the probes succeeded: the window begins anew       sleep is over, │   │ a probe failed, was refused
 *          │                                             a call wins the CAS   v   │ or its caller left
 *          └──────────────────────────────────────────────────────────────── HALF-OPEN
 *
 * Semantics as Hystrix documents them (shared/protocols/hystrix-stream.md section 7): calls are counted after their
 * retries; success, failure, timeout and rejection make the total, the last three the errors; the share is truncated to
 * whole percent; short circuits and calls that were the caller's mistake count in neither; a probe whose caller leaves
 * reopens; force-open beats force-closed, and a forced circuit goes on counting. Different: the state is looked at by the
 * first call after each half second instead of by a timer, so an idle circuit costs nothing; a probe is a lease, so one
 * that hangs blocks the circuit for one more sleep window only; a call that began before the state changed last
 * neither opens nor closes anything.
 *
 * The state is one word changed by CAS alone (DESIGN section 5): {state, forced, probes given, probes passed, epoch, until}.
 * All zero is a closed circuit. Pure: time is an argument. Any thread. */
#ifndef OUTRIDER_PROXY_BREAKER_H
#define OUTRIDER_PROXY_BREAKER_H

#include "base/window.h"

#include <stdbool.h>

#define BREAKER_TICK (500 * USEC_MS)
#define BREAKER_PROBES_MAX 15u

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
enum breaker_force { BREAKER_AUTO, BREAKER_FORCE_OPEN, BREAKER_FORCE_CLOSED };

/* How a call ended, and what else is counted in a circuit's window. */
enum circuit_event {
	CIRCUIT_SUCCESS,
	CIRCUIT_FAILURE,  /* no connection, cut, a status of breaker.statuses */
	CIRCUIT_TIMEOUT,  /* one of the agent's time limits */
	CIRCUIT_REJECTED, /* refused by the bulkhead */
	CIRCUIT_SHORT,    /* refused by the open circuit */
	CIRCUIT_BAD,      /* 4xx: the caller's mistake */
	CIRCUIT_ABORTED,  /* the caller left, or nothing can be said */
	CIRCUIT_FALLBACK, /* a fallback answered */
	CIRCUIT_FALLBACK_FAILED, /* there are fallbacks, and none of them had an answer */
	CIRCUIT_REQUEST, /* a call began: what the retry budget is a share of */
	CIRCUIT_RETRY,   /* an attempt that the budget allowed */
	CIRCUIT_RETRY_REFUSED,
	CIRCUIT_EVENTS
};
_Static_assert(CIRCUIT_EVENTS <= WINDOW_KINDS, "a window counts them all");

struct breaker_policy {
	bool on;
	bool observe;          /* only say what would have been refused */
	uint8_t force;         /* enum breaker_force, by option */
	uint8_t error_percent; /* 1 to 100 */
	uint8_t probes; /* calls at a time, and successes in all, that close it again; 1 to BREAKER_PROBES_MAX */
	uint32_t volume; /* calls within the window below which nothing is concluded; at least 1 */
	usec bucket;     /* a tenth of the window */
	usec sleep;      /* open that long, then a probe; also the lease of a probe */
};

struct breaker { /* shared by all workers, outlives specs */
	_Alignas(64) _Atomic uint64_t word;
	_Atomic uint64_t tick;   /* when the counts are looked at next (monotonic µs) */
	_Atomic uint64_t since;  /* of the present state (monotonic µs); 0: ever since */
	_Atomic uint64_t opened; /* when it left CLOSED last (monotonic µs) */
	_Atomic uint64_t
		cause; /* what was counted then: calls << 32 | those that failed. The window has forgotten it soon */
	_Atomic uint32_t probes_failed; /* since then */
	struct window counts;
};

enum breaker_pass {
	BREAKER_PASS,
	BREAKER_PROBE,
	BREAKER_REFUSED,
	BREAKER_WOULD_REFUSE /* policy.observe: the call goes on */
};

enum breaker_change {
	BREAKER_UNCHANGED,
	BREAKER_OPENED,
	BREAKER_REOPENED,
	BREAKER_HALF_OPENED,
	BREAKER_CLOSED_AGAIN
};

struct breaker_ticket { /* a call on its way */
	uint16_t epoch;
	bool probe;
	uint8_t change; /* enum breaker_change that its entering brought */
};

/* May the call go on? *t is set unless it is refused (its `change` always); then breaker_leave() must follow, once. A refusal
 * is counted as CIRCUIT_SHORT. */
enum breaker_pass breaker_enter(
	struct breaker *b, const struct breaker_policy *p, usec now, struct breaker_ticket *t);
/* How it ended: one of SUCCESS to REJECTED, BAD, ABORTED. */
enum breaker_change breaker_leave(struct breaker *b, const struct breaker_policy *p,
	const struct breaker_ticket *t, enum circuit_event how, usec now);
/* By hand. AUTO closes a circuit that was forced, and forgets its counts. */
void breaker_set_force(struct breaker *b, enum breaker_force f, usec now);
/* The circuit is another upstream's from now on. */
void breaker_reset(struct breaker *b);

struct breaker_view {
	enum breaker_state state;
	enum breaker_force force; /* by hand */
	bool open;         /* calls are refused, or would be but for a probe; what Hystrix calls open */
	usec since, until; /* monotonic µs; until: of the sleep window or a probe's lease; 0: none */
	usec opened; /* monotonic µs at which its calls' failures opened it, through all probes that failed; 0: they did not */
	uint32_t cause_total, cause_errors; /* calls in the window at that time, and those that failed */
	uint32_t probes_failed;             /* since then */
	uint64_t total, errors;
	unsigned error_percent; /* truncated */
	uint64_t n[CIRCUIT_EVENTS];
};
void breaker_look(
	const struct breaker *b, const struct breaker_policy *p, usec now, struct breaker_view *ret);
const char *breaker_state_word(enum breaker_state s); /* "closed", "open", "half-open" */
const char *breaker_force_word(enum breaker_force f); /* "auto", "open", "closed" */

#endif
