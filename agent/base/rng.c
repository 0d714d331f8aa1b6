#include "base/rng.h"

#include "base/clock.h"

#include <sys/random.h>
#include <sys/types.h>

static uint64_t rotl(uint64_t v, int by)
{
	return (v << by) | (v >> (64 - by));
}

/* splitmix64: spreads a small seed over all bits. */
static uint64_t spread(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void rng_seed(struct rng *r, uint64_t seed)
{
	r->s[0] = spread(&seed);
	r->s[1] = spread(&seed) | 1; /* all zero is the one state that never leaves itself */
}

void rng_seed_os(struct rng *r)
{
	uint64_t seed;

	/* Eight bytes are never cut short; without them (seccomp, very early boot) the clock must do. */
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
		seed = clock_now() ^ (clock_wall() << 20) ^ (uint64_t)(uintptr_t)r;
	rng_seed(r, seed);
}

/* xoroshiro128++ of Blackman and Vigna. */
uint64_t rng_next(struct rng *r)
{
	uint64_t a = r->s[0], b = r->s[1];
	uint64_t ret = rotl(a + b, 17) + a;

	b ^= a;
	r->s[0] = rotl(a, 49) ^ b ^ (b << 21);
	r->s[1] = rotl(b, 28);
	return ret;
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

double rng_unit(struct rng *r)
{
	return (double)(rng_next(r) >> 11) * 0x1p-53;
}
