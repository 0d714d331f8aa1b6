/* A small fast generator for balancing, jitter and ids: not for secrets. One per worker, or per test with
 * a fixed seed. xoshiro-like quality is enough. Thread: its owner's. */
#ifndef OUTRIDER_BASE_RNG_H
#define OUTRIDER_BASE_RNG_H

#include <stdint.h>

struct rng {
	uint64_t s[2];
};

void rng_seed(struct rng *r, uint64_t seed); /* any seed, 0 included */
void rng_seed_os(struct rng *r);             /* from getrandom(2) */
uint64_t rng_next(struct rng *r);
/* 0 .. n-1 without bias that matters; n >= 1. */
uint32_t rng_below(struct rng *r, uint32_t n);
double rng_unit(struct rng *r); /* [0, 1) */

#endif
