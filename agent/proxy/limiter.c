#include "proxy/limiter.h"

static uint32_t root(uint32_t n)
{
	uint32_t r = 0;

	while ((r + 1) * (r + 1) <= n)
		r++;
	return r;
}

static uint32_t within(uint64_t v, uint32_t low, uint32_t high)
{
	return v < low ? low : v > high ? high : (uint32_t)v;
}

/* In sixteenths. */
static uint32_t next_limit(uint32_t limit, uint64_t mean, uint64_t lowest, uint32_t peak)
{
	uint64_t gradient = within(lowest * LIMITER_TOLERANCE * 10 / (mean ? mean : 1), 500, 1000); /* thousandths */
	uint64_t want = limit * gradient / 1000 + root(limit / 16) * 16;
	uint64_t next = (limit * 4ull + want) / 5;

	if (next == limit && want > limit)
		next++;
	if (next > limit && peak * 2 < limit / 16)
		return limit; /* nobody needs more */
	return within(next, LIMITER_MIN * 16, LIMITER_MAX * 16);
}

static void end_round(struct limiter *l)
{
	uint64_t sum = atomic_exchange_explicit(&l->sum, 0, memory_order_relaxed);
	uint32_t n = atomic_exchange_explicit(&l->n, 0, memory_order_relaxed);
	uint32_t peak = atomic_exchange_explicit(&l->peak, 0, memory_order_relaxed);
	uint32_t dropped = atomic_exchange_explicit(&l->dropped, 0, memory_order_relaxed);
	uint64_t mean = n ? sum / n : 0, lowest = atomic_load_explicit(&l->lowest, memory_order_relaxed);
	uint32_t limit = atomic_load_explicit(&l->limit, memory_order_relaxed);

	if (!limit)
		limit = LIMITER_START * 16;
	uint32_t turn = atomic_fetch_add_explicit(&l->round, 1, memory_order_relaxed) % LIMITER_PROBE;
	if (turn == LIMITER_PROBE - 2 && peak * 2 >= limit / 16) {
		atomic_store_explicit(&l->saved, limit, memory_order_relaxed);
		atomic_store_explicit(&l->limit, within(limit / 2, LIMITER_MIN * 16, LIMITER_MAX * 16), memory_order_relaxed);
		return;
	}
	uint32_t saved = atomic_load_explicit(&l->saved, memory_order_relaxed);
	if (saved && turn == LIMITER_PROBE - 1)
		return; /* what waited before is still among these */
	if (saved) {
		atomic_store_explicit(&l->saved, 0, memory_order_relaxed);
		lowest = 0;
		limit = saved;
	}
	if (n && (!lowest || mean < lowest))
		lowest = mean ? mean : 1;
	if (n)
		limit = next_limit(limit, mean, lowest, peak);
	if (dropped)
		limit = within(limit * 9ull / 10, LIMITER_MIN * 16, LIMITER_MAX * 16);
	atomic_store_explicit(&l->lowest, lowest, memory_order_relaxed);
	atomic_store_explicit(&l->limit, limit, memory_order_relaxed);
}

static void count(struct limiter *l, usec now)
{
	uint64_t due = atomic_load_explicit(&l->due, memory_order_relaxed);

	if (now < due || (atomic_load_explicit(&l->n, memory_order_relaxed) < LIMITER_SAMPLES &&
				 atomic_load_explicit(&l->dropped, memory_order_relaxed) == 0))
		return;
	if (atomic_compare_exchange_strong_explicit(&l->due, &due, now + LIMITER_ROUND, memory_order_relaxed, memory_order_relaxed))
		end_round(l);
}

void limiter_report(struct limiter *l, usec latency, uint32_t busy, usec now)
{
	atomic_fetch_add_explicit(&l->sum, latency, memory_order_relaxed);
	atomic_fetch_add_explicit(&l->n, 1, memory_order_relaxed);
	if (busy > atomic_load_explicit(&l->peak, memory_order_relaxed))
		atomic_store_explicit(&l->peak, busy, memory_order_relaxed);
	count(l, now);
}

void limiter_drop(struct limiter *l, usec now)
{
	atomic_fetch_add_explicit(&l->dropped, 1, memory_order_relaxed);
	count(l, now); /* where nothing is answered any more, nobody else ends the round */
}

void limiter_reset(struct limiter *l)
{
	_Atomic uint64_t *const words[] = { &l->sum, &l->due, &l->lowest };
	_Atomic uint32_t *const halves[] = { &l->n, &l->peak, &l->limit, &l->dropped, &l->round, &l->saved };

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		atomic_store_explicit(words[i], 0, memory_order_relaxed);
	for (unsigned i = 0; i < sizeof(halves) / sizeof(halves[0]); i++)
		atomic_store_explicit(halves[i], 0, memory_order_relaxed);
}
