#include "proxy/sampler.h"

/* A second that has begun for one worker has begun for all: else workers on both sides of its border would set the count back in turns, and
 * none would ever be above the rate. */
static uint64_t second_of(uint64_t had, usec now)
{
	uint64_t second = (now / USEC_SEC + 1) & UINT32_MAX, counted = had >> 32;

	return had && (int32_t)(uint32_t)(counted - second) > 0 ? counted : second;
}

/* Above the rate nothing is written any more, so that workers do not fight for the word. */
static bool below_rate(uint32_t rate, _Atomic uint64_t *word, usec now)
{
	uint64_t had = atomic_load_explicit(word, memory_order_relaxed), want;

	do {
		uint64_t second = second_of(had, now), count = had >> 32 == second ? had & UINT32_MAX : 0;
		if (count >= rate)
			return false;
		want = second * ((uint64_t)UINT32_MAX + 1) + count + 1;
	} while (!atomic_compare_exchange_weak_explicit(word, &had, want, memory_order_relaxed, memory_order_relaxed));
	return true;
}

bool sampler_decide(const struct sampler_policy *p, _Atomic uint64_t *word, uint64_t id, usec now)
{
	switch ((enum sampler_kind)p->kind) {
	case SAMPLER_ALWAYS:
		return true;
	case SAMPLER_SHARE:
		return id < p->boundary;
	case SAMPLER_RATE:
		return below_rate(p->rate, word, now);
	case SAMPLER_NEVER:
		break;
	}
	return false;
}
