/* Circuit: what all workers share of the calls to one upstream, outliving specs: breaker, bulkhead, limiter, latencies.
 *
 *     step_admit ──> circuit_enter()   breaker, then bulkhead, as Hystrix orders them
 *     finish     ──> circuit_leave()   outcome and latency; a place is free again
 *     retry.c    ──> circuit_may_retry()  the retry budget
 *
 * One per upstream slot, in memory of control's that is never moved (control/slots.h). All atomics, no lock. */
#ifndef OUTRIDER_PROXY_CIRCUIT_H
#define OUTRIDER_PROXY_CIRCUIT_H

#include "base/str.h"
#include "proxy/breaker.h"
#include "proxy/limiter.h"

/* --- latencies of the last minute ------------------------------------------------------------------------------------ */
#define LATENCY_BINS 40u    /* two per doubling, from 64 µs to 64 s; the last holds what is above */
#define LATENCY_BUCKETS 6u  /* of 10 s */
#define LATENCY_BUCKET (10 * USEC_SEC)

struct latencies {
	_Atomic uint64_t n[LATENCY_BUCKETS][LATENCY_BINS]; /* words of base/window.h */
};

void latencies_add(struct latencies *l, usec latency, usec now);
struct latency_view {
	uint64_t n;
	uint64_t mean; /* µs, of the bins' middles */
	uint64_t bins[LATENCY_BINS];
};
void latencies_look(const struct latencies *l, usec now, struct latency_view *ret);
/* µs below which so many thousandths of the calls were; within the bin by interpolation. 0: no calls. */
uint64_t latency_quantile(const struct latency_view *v, unsigned permille);

/* --- bulkhead ---------------------------------------------------------------------------------------------------------- */
struct waker; /* proxy/queue.c: a worker in which calls wait for a place */

struct bulkhead_policy {
	uint32_t max;      /* calls under way over all workers; 0: no limit */
	uint32_t queue;    /* calls that may wait for a place; 0: none */
	usec queue_time;   /* a call waits at most that long */
	bool adaptive;     /* the limiter's limit holds, `max` (if any) is its ceiling */
	bool observe;
};

struct bulkhead {
	_Alignas(64) _Atomic uint32_t active;
	_Atomic uint32_t queued;
	_Atomic uint32_t peak;    /* most places taken, since circuit_peak() looked */
	_Atomic(struct waker *) wakers; /* grows only; one per worker at most */
	_Atomic uint64_t service; /* µs: how long calls have their places until they are answered, a moving mean; 0: none was yet */
};

static inline bool bulkhead_on(const struct bulkhead_policy *p)
{
	return p->max || p->adaptive;
}

#define CIRCUIT_KEYS 32u
#define CIRCUIT_LABEL 96u

/* Most calls under way in each of the last seconds, as far as somebody looked. Control's alone. */
#define PEAK_BUCKETS 10u
#define PEAK_BUCKET USEC_SEC

struct peaks {
	uint64_t stamp[PEAK_BUCKETS]; /* the second that a value belongs to */
	uint32_t most[PEAK_BUCKETS];
};

struct circuit {
	_Atomic uint32_t labelled; /* 0: no, 1: being written, 2: label may be read */
	char label[CIRCUIT_LABEL];
	struct breaker breaker;
	struct bulkhead bulkhead;
	struct limiter limiter;
	struct latencies latencies;
	struct peaks peaks;
};

/* Most calls under way in the last ten seconds: what took places since the last look, and `active` at the looks. Control only. */
uint32_t circuit_peak(struct circuit *c, uint32_t active, usec now);

uint32_t circuit_limit(const struct circuit *c, const struct bulkhead_policy *p); /* 0: none */
/* Takes a place. false: all are taken (and none is taken); in observe mode it is always taken, *would says what would have been. */
bool circuit_take(struct circuit *c, const struct bulkhead_policy *p, bool *would);
void circuit_give(struct circuit *c);
/* A call was answered that had a place for so long. */
void circuit_served(struct circuit *c, usec had);
/* Can a call with that deadline (0: none) no longer be answered in time, though it got a place now? Not known before any was answered: false. */
bool circuit_too_late(const struct circuit *c, usec deadline, usec now);

/* --- retry budget -------------------------------------------------------------------------------------------------------- */
struct budget_policy {
	uint8_t percent;     /* of the requests of the last ten buckets may be retried */
	uint32_t per_second; /* and so many more */
	usec bucket;         /* of the breaker's window */
	bool on;
};

/* Counts a retry when the budget allows one more; else counts CIRCUIT_RETRY_REFUSED. */
bool circuit_may_retry(struct circuit *c, const struct budget_policy *p, usec now);

/* Which of CIRCUIT_KEYS circuits is for what has that label, told apart by its first CIRCUIT_LABEL - 1 bytes; the first call gives it one that is
 * free. NULL: none is. Any thread. */
struct circuit *circuit_of_key(struct circuit *const *keyed, struct str label);
/* NULL: it has not been given to anybody. */
const char *circuit_label(const struct circuit *c);

void circuit_reset(struct circuit *c); /* another upstream's from now on; wakers stay */

#endif
