/* A histogram of durations with a relative error below 1 %: 128 steps per power of two, fixed size, no allocation.
 * Values are nanoseconds; those above 2^40 (18 minutes) count as that. */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 7
#define HIST_SUB (1u << HIST_SUB_BITS)
#define HIST_MAX_BITS 40
#define HIST_CELLS ((HIST_MAX_BITS - HIST_SUB_BITS + 1) * HIST_SUB)

struct hist {
	uint64_t count, max;
	uint64_t cells[HIST_CELLS];
};

static inline unsigned hist_cell(uint64_t ns)
{
	unsigned top;

	if (ns < HIST_SUB)
		return (unsigned)ns;
	if (ns >> HIST_MAX_BITS)
		return HIST_CELLS - 1;
	top = 63u - (unsigned)__builtin_clzll(ns);
	return (top - HIST_SUB_BITS + 1) * HIST_SUB + (unsigned)(ns >> (top - HIST_SUB_BITS)) - HIST_SUB;
}

static inline void hist_add(struct hist *h, uint64_t ns)
{
	h->cells[hist_cell(ns)]++;
	h->count++;
	if (ns > h->max)
		h->max = ns;
}

/* The largest duration of the cell in which the q-quantile (0 < q <= 1) lies; 0 when empty. */
static inline uint64_t hist_quantile(const struct hist *h, double q)
{
	uint64_t want = (uint64_t)((double)h->count * q), seen = 0;

	for (unsigned i = 0; i < HIST_CELLS; i++) {
		seen += h->cells[i];
		if (h->cells[i] && seen >= want) {
			unsigned shift = i < 2 * HIST_SUB ? 0 : i / HIST_SUB - 1;
			uint64_t base = i < HIST_SUB ? i : HIST_SUB + i % HIST_SUB;
			uint64_t top = ((base + 1) << shift) - 1;

			return top < h->max ? top : h->max;
		}
	}
	return h->max;
}

#endif
