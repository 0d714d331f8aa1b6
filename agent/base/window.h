/* Rolling counts of the last ten buckets of time, shared by threads without a lock.
 *
 *     window_add(&w, KIND, bucket, now);              any thread; one atomic add in most cases
 *     uint64_t n = window_sum(&w, KIND, bucket, now); the present bucket and the nine before
 *
 * Each count is one word {number of its bucket of time, count}: a count of an older bucket is replaced by CAS by whoever
 * comes first, so nothing has to be swept and an idle window costs nothing. All zero is an empty window. `bucket` is the length
 * of a bucket (µs, at least 1); windows whose length changes forget what they held. Time is monotonic µs; a `now` that
 * lies before what was counted last is counted with that. Exact, but for adds of the instant in which a bucket begins. */
#ifndef OUTRIDER_BASE_WINDOW_H
#define OUTRIDER_BASE_WINDOW_H

#include "base/clock.h"

#include <stdatomic.h>
#include <stdint.h>

#define WINDOW_BUCKETS 10u
#define WINDOW_KINDS 12u

struct window {
	_Alignas(64) _Atomic uint64_t n[WINDOW_BUCKETS][WINDOW_KINDS];
};

void window_add(struct window *w, unsigned kind, usec bucket, usec now);
/* kind below WINDOW_KINDS. */
uint64_t window_sum(const struct window *w, unsigned kind, usec bucket, usec now);
/* All kinds at once. */
void window_sums(const struct window *w, usec bucket, usec now, uint64_t ret[WINDOW_KINDS]);
void window_clear(struct window *w);

/* One word of such counts, for other shapes of them: `stamp` is the number of the bucket. */
void window_count(_Atomic uint64_t *word, uint32_t stamp);
static inline uint32_t window_stamp(usec bucket, usec now)
{
	return (uint32_t)(now / bucket) + 1; /* 0 is what was never counted */
}
/* What the word counts if its bucket is one of the last `buckets` that end with `stamp`; else 0. */
static inline uint64_t window_value(const _Atomic uint64_t *word, uint32_t stamp, uint32_t buckets)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed);
	return stamp - (uint32_t)(v >> 32) < buckets && v >> 32 ? (uint32_t)v : 0;
}

#endif
