#include "proxy/outlier.h"

#include <stdlib.h>

/* --- words ------------------------------------------------------------------------------------------------------ */

static uint64_t word_make(
	uint64_t holds, enum outlier_state state, uint32_t times, uint32_t epoch, usec until)
{
	usec ticks = (until + ((usec)1 << OUTLIER_TICK_SHIFT) - 1) >> OUTLIER_TICK_SHIFT; /* never early */

	if (times > OUTLIER_TIMES_MAX)
		times = OUTLIER_TIMES_MAX;
	return (holds & BALANCE_HOLDS) | (uint64_t)state << OUTLIER_STATE_SHIFT |
	       (uint64_t)times << OUTLIER_TIMES_SHIFT |
	       (uint64_t)(epoch & UINT16_MAX) << OUTLIER_EPOCH_SHIFT | ticks << OUTLIER_UNTIL_SHIFT;
}

/* The word with another state, in a new epoch. */
static uint64_t word_next(uint64_t old, enum outlier_state state, uint32_t times, usec until)
{
	return word_make(old, state, times, outlier_epoch(old) + 1u, until);
}

static bool word_cas(struct balance_cell *c, uint64_t *old, uint64_t next)
{
	return atomic_compare_exchange_strong_explicit(
		&c->word, old, next, memory_order_acq_rel, memory_order_relaxed);
}

/* Readers of `since` and `why` may see them a moment before or after the word: they are for people. */
static void changed(struct balance_cell *c, struct balance_tally *t, usec now)
{
	atomic_store_explicit(&c->since, now, memory_order_relaxed);
	atomic_fetch_add_explicit(&t->version, 1, memory_order_release);
}

/* --- the cap ------------------------------------------------------------------------------------------------------ */

uint32_t outlier_cap(const struct outlier_policy *p, uint32_t n)
{
	uint32_t share = (uint32_t)((uint64_t)n * p->max_percent / 100);

	if (n < 2 || p->max_percent == 0)
		return 0; /* the only one is better than none */
	if (share >= n)
		return n - 1;
	return share ? share : 1;
}

static bool cap_take(const struct outlier_policy *p, struct balance_tally *t, uint32_t n)
{
	uint32_t out = atomic_load_explicit(&t->ejected, memory_order_relaxed), cap = outlier_cap(p, n);

	do {
		if (out >= cap)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&t->ejected, &out, out + 1, memory_order_relaxed, memory_order_relaxed));
	return true;
}

static void cap_give(struct balance_tally *t)
{
	atomic_fetch_sub_explicit(&t->ejected, 1, memory_order_relaxed);
}

/* --- ejecting ----------------------------------------------------------------------------------------------------- */

/* Jitter, because many agents see the same endpoint fail at the same time and shall not probe it together. */
static usec penalty(const struct outlier_policy *p, uint32_t times, struct rng *r)
{
	usec most = p->max > p->base ? p->max : p->base;
	usec d = p->base > most / (times ? times : 1) ? most : p->base * (times ? times : 1);

	return d + (usec)((double)d / 5 * rng_unit(r));
}

/* Puts an endpoint out that is in, under `epoch`. */
static enum outlier_verdict eject(const struct outlier_policy *p, struct balance_cell *c,
	struct balance_tally *t, uint32_t n, uint16_t epoch, enum outlier_why why, usec now, struct rng *r)
{
	if (p->observe)
		return OUTLIER_WOULD_EJECT;
	if (!cap_take(p, t, n))
		return OUTLIER_CAPPED;
	uint64_t old = cell_word(c);
	for (;;) {
		if (outlier_state(old) != OUTLIER_IN || outlier_epoch(old) != epoch) {
			cap_give(t); /* another worker was faster */
			return OUTLIER_NOTHING;
		}
		uint32_t times = outlier_times(old) + 1;
		if (word_cas(c, &old, word_next(old, OUTLIER_OUT, times, now + penalty(p, times, r))))
			break; /* failed because of a hold: once more */
	}
	atomic_store_explicit(&c->consecutive, 0, memory_order_relaxed);
	atomic_store_explicit(&c->why, why, memory_order_relaxed);
	changed(c, t, now);
	return OUTLIER_EJECTED;
}

/* --- probes ------------------------------------------------------------------------------------------------------- */

bool outlier_probe(struct balance_cell *c, const struct outlier_policy *p, usec now, uint16_t *epoch)
{
	uint64_t old = cell_word(c);

	if (!outlier_due(old, now))
		return false;
	uint64_t next = word_next(old, OUTLIER_TRIAL, outlier_times(old), now + p->lease);
	if (!word_cas(c, &old, next))
		return false; /* somebody else has it, or a hold came: the next request may look again */
	*epoch = outlier_epoch(next);
	return true;
}

struct sentence { /* what follows from a probe's outcome */
	enum outlier_state state;
	uint32_t more; /* added to times */
	bool wait;     /* a penalty before the next probe */
	enum outlier_verdict verdict;
};

static const struct sentence sentences[] = {
	[BALANCE_OK] = { OUTLIER_IN, 0, false, OUTLIER_READMITTED },
	[BALANCE_ERROR] = { OUTLIER_OUT, 1, true, OUTLIER_STAYS_OUT },
	[BALANCE_FAILED] = { OUTLIER_OUT, 1, true, OUTLIER_STAYS_OUT },
	[BALANCE_OVERLOADED] = { OUTLIER_OUT, 0, true,
		OUTLIER_STAYS_OUT }, /* alive: not worse than before, but not now */
	[BALANCE_CANCELLED] = { OUTLIER_OUT, 0, false,
		OUTLIER_NOTHING }, /* decided nothing: the next one probes */
};

static enum outlier_verdict probed(const struct outlier_policy *p, struct balance_cell *c,
	struct balance_tally *t, const struct outlier_report *how, usec now, struct rng *r)
{
	const struct sentence *s = &sentences[how->outcome];
	uint64_t old = cell_word(c);

	for (;;) {
		if (outlier_state(old) != OUTLIER_TRIAL || outlier_epoch(old) != how->epoch)
			return OUTLIER_NOTHING; /* the lease expired and went to another, or control reset it */
		uint32_t times = outlier_times(old) + s->more;
		usec until = s->state == OUTLIER_IN ? 0 : s->wait ? now + penalty(p, times, r) : now;
		if (word_cas(c, &old, word_next(old, s->state, times, until)))
			break;
	}
	if (s->state == OUTLIER_IN) {
		atomic_store_explicit(&c->consecutive, 0, memory_order_relaxed);
		atomic_store_explicit(&c->ready, now, memory_order_relaxed);
		cap_give(t);
	} else if (s->more) {
		atomic_store_explicit(&c->why, OUTLIER_PROBE_FAILED, memory_order_relaxed);
	}
	changed(c, t, now);
	return s->verdict;
}

/* --- reports ------------------------------------------------------------------------------------------------------ */

static enum outlier_verdict failed(const struct outlier_policy *p, struct balance_cell *c,
	struct balance_tally *t, const struct outlier_report *how, usec now, struct rng *r)
{
	uint32_t row = atomic_fetch_add_explicit(&c->consecutive, 1, memory_order_relaxed) + 1;

	if (p->consecutive == 0 || row < p->consecutive)
		return OUTLIER_NOTHING;
	enum outlier_verdict v = eject(p, c, t, how->n_endpoints, how->epoch, OUTLIER_CONSECUTIVE, now, r);
	if (v == OUTLIER_WOULD_EJECT ||
		v == OUTLIER_CAPPED) /* said once per row, not with every further failure */
		atomic_store_explicit(&c->consecutive, 0, memory_order_relaxed);
	return v;
}

enum outlier_verdict outlier_report(const struct outlier_policy *p, struct balance_cell *c,
	struct balance_tally *t, const struct outlier_report *how, usec now, struct rng *r)
{
	if (how->probe)
		return probed(p, c, t, how, now, r);
	uint64_t word = cell_word(c);
	if (outlier_epoch(word) != how->epoch || outlier_state(word) != OUTLIER_IN)
		return OUTLIER_NOTHING;
	switch (how->outcome) {
	case BALANCE_FAILED:
		return failed(p, c, t, how, now, r);
	case BALANCE_OK:
	case BALANCE_ERROR: /* the gateway works: the row ends */
		/* Read first: the line stays shared between the workers while all is well. */
		if (atomic_load_explicit(&c->consecutive, memory_order_relaxed))
			atomic_store_explicit(&c->consecutive, 0, memory_order_relaxed);
		return OUTLIER_NOTHING;
	default:
		return OUTLIER_NOTHING;
	}
}

/* --- control ------------------------------------------------------------------------------------------------------ */

void outlier_hold(
	struct balance_cell *c, struct balance_tally *t, unsigned holds, bool on, bool fresh, usec now)
{
	uint64_t old = cell_word(c), next;

	holds &= BALANCE_HOLDS;
	do {
		next = on ? old | holds : old & ~(uint64_t)holds;
		if (next == old)
			return;
	} while (!word_cas(c, &old, next));
	if (fresh && outlier_available(next))
		atomic_store_explicit(&c->ready, now, memory_order_relaxed);
	changed(c, t, now);
}

void outlier_reset(struct balance_cell *c, struct balance_tally *t, usec now)
{
	uint64_t old = cell_word(c);

	while (!word_cas(c, &old, word_make(0, OUTLIER_IN, 0, outlier_epoch(old) + 1u, 0)))
		;
	if (outlier_state(old) != OUTLIER_IN)
		cap_give(t);
	atomic_store_explicit(&c->consecutive, 0, memory_order_relaxed);
	atomic_store_explicit(&c->why, OUTLIER_NEVER, memory_order_relaxed);
	atomic_store_explicit(&c->ready, 0, memory_order_relaxed);
	changed(c, t, now);
}

/* --- sweeps ------------------------------------------------------------------------------------------------------- */

static double rate(const struct outlier_host *h)
{
	return (double)h->ok / ((double)h->ok + (double)h->failed);
}

static int worst_first(const void *x, const void *y)
{
	double a = rate(x), b = rate(y);

	return (a > b) - (a < b);
}

/* In all through the interval? */
static bool steady(const struct outlier_host *h)
{
	uint64_t word = cell_word(h->cell);

	return outlier_state(word) == OUTLIER_IN && outlier_epoch(word) == h->epoch;
}

static bool voluminous(const struct outlier_policy *p, const struct outlier_host *h)
{
	return (uint64_t)h->ok + h->failed >= p->min_volume && steady(h);
}

/* One past ejection less, so that an endpoint that fails once a day does not pay for last week. */
static void forgive(struct balance_cell *c)
{
	uint64_t old = cell_word(c);

	if (outlier_state(old) == OUTLIER_IN &&
		outlier_times(old)) /* lost against another change: next time */
		word_cas(c, &old, old - ((uint64_t)1 << OUTLIER_TIMES_SHIFT));
}

struct spread { /* of the success rates */
	uint32_t n;
	double mean, variance;
};

static struct spread measure(const struct outlier_policy *p, const struct outlier_host *hosts, uint32_t n)
{
	struct spread s = { 0 };
	double sum = 0, squares = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!voluminous(p, &hosts[i]))
			continue;
		sum += rate(&hosts[i]);
		squares += rate(&hosts[i]) * rate(&hosts[i]);
		s.n++;
	}
	if (s.n == 0)
		return s;
	s.mean = sum / s.n;
	s.variance = squares / s.n - s.mean * s.mean;
	return s;
}

static bool is_outlier(const struct outlier_policy *p, const struct spread *s, const struct outlier_host *h)
{
	double k = p->stdev_permille / 1000.0, below = s->mean - rate(h);

	return below > p->gap_permille / 1000.0 && below * below > k * k * s->variance;
}

uint32_t outlier_sweep(const struct outlier_policy *p, struct balance_tally *t, struct outlier_host *hosts,
	uint32_t n, usec now, struct rng *r)
{
	uint32_t bad = 0, ejected = 0;
	struct spread s = p->min_volume ? measure(p, hosts, n) : (struct spread){ 0 };

	for (uint32_t i = 0; i < n; i++) {
		hosts[i].verdict = OUTLIER_NOTHING;
		if (s.n >= p->min_hosts && s.n > 0 && voluminous(p, &hosts[i]) &&
			is_outlier(p, &s, &hosts[i])) {
			struct outlier_host h = hosts[i];
			hosts[i] = hosts[bad];
			hosts[bad++] = h;
		}
	}
	for (uint32_t i = bad; i < n; i++)
		if (steady(&hosts[i]))
			forgive(hosts[i].cell);
	if (bad > 1)
		qsort(hosts, bad, sizeof(*hosts), worst_first);
	for (uint32_t i = 0; i < bad; i++) {
		struct outlier_host *h = &hosts[i];
		h->verdict = (uint8_t)eject(p, h->cell, t, n, h->epoch, OUTLIER_SUCCESS_RATE, now, r);
		ejected += h->verdict == OUTLIER_EJECTED || h->verdict == OUTLIER_WOULD_EJECT;
	}
	return ejected;
}
