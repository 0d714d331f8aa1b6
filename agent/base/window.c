#include "base/window.h"

void window_count(_Atomic uint64_t *word, uint32_t stamp)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed);

	for (;;) {
		uint32_t had = (uint32_t)(v >> 32);
		/* Newer than our clock: another thread's clock was read later than ours. */
		if (had && (int32_t)(had - stamp) >= 0) {
			atomic_fetch_add_explicit(word, 1, memory_order_relaxed);
			return;
		}
		if (atomic_compare_exchange_weak_explicit(word, &v, (uint64_t)stamp << 32 | 1, memory_order_relaxed,
			    memory_order_relaxed))
			return;
	}
}

void window_add(struct window *w, unsigned kind, usec bucket, usec now)
{
	uint32_t stamp = window_stamp(bucket, now);

	window_count(&w->n[stamp % WINDOW_BUCKETS][kind], stamp);
}

uint64_t window_sum(const struct window *w, unsigned kind, usec bucket, usec now)
{
	uint32_t stamp = window_stamp(bucket, now);
	uint64_t sum = 0;

	for (unsigned i = 0; i < WINDOW_BUCKETS; i++)
		sum += window_value(&w->n[i][kind], stamp, WINDOW_BUCKETS);
	return sum;
}

void window_sums(const struct window *w, usec bucket, usec now, uint64_t ret[WINDOW_KINDS])
{
	for (unsigned kind = 0; kind < WINDOW_KINDS; kind++)
		ret[kind] = window_sum(w, kind, bucket, now);
}

void window_clear(struct window *w)
{
	for (unsigned i = 0; i < WINDOW_BUCKETS; i++)
		for (unsigned kind = 0; kind < WINDOW_KINDS; kind++)
			atomic_store_explicit(&w->n[i][kind], 0, memory_order_relaxed);
}
