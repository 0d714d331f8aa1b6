#include "control/agent.h"

const char *agent_phase_word(enum agent_phase p)
{
	static const char *const words[] = {
		[AGENT_STARTING] = "starting",
		[AGENT_READY] = "ready",
		[AGENT_DRAINING] = "draining",
	};
	return (unsigned)p < sizeof(words) / sizeof(words[0]) ? words[p] : "?";
}

static uint64_t load(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

void agent_sum_counters(const struct agent *a, uint32_t sidecar_slot, uint64_t v[COUNTER_COUNT],
	uint64_t reasons[REASON_COUNT])
{
	memset(v, 0, COUNTER_COUNT * sizeof(*v));
	memset(reasons, 0, REASON_COUNT * sizeof(*reasons));
	for (unsigned w = 0; w < a->n_workers; w++) {
		const struct counters *c = worker_counters(a->workers[w], sidecar_slot);
		if (!c)
			continue;
		for (size_t i = 0; i < COUNTER_COUNT; i++)
			v[i] += load(&c->v[i]);
		for (size_t i = 0; i < REASON_COUNT; i++)
			reasons[i] += load(&c->reasons[i]);
	}
}

void agent_sum_upstream(const struct agent *a, uint32_t slot, struct upstream_sum *ret)
{
	*ret = (struct upstream_sum){ 0 };
	for (unsigned w = 0; w < a->n_workers; w++) {
		const struct upstream_counters *c = worker_upstream_counters(a->workers[w], slot);
		if (!c)
			continue;
		ret->requests += load(&c->requests);
		ret->failures += load(&c->failures);
		ret->active += load(&c->active);
		ret->retries += load(&c->retries);
	}
}

void agent_sum_endpoint(const struct agent *a, uint32_t slot, struct endpoint_sum *ret)
{
	*ret = (struct endpoint_sum){ 0 };
	for (unsigned w = 0; w < a->n_workers; w++) {
		const struct endpoint_counters *c = worker_endpoint_counters(a->workers[w], slot);
		if (!c)
			continue;
		ret->attempts += load(&c->attempts);
		ret->failures += load(&c->failures);
		ret->active += load(&c->active);
		ret->idle += load(&c->idle);
		ret->connects += load(&c->connects);
		uint64_t at = load(&c->last_error_at);
		if (at <= ret->last_error_at)
			continue;
		ret->last_error_at = at;
		ret->last_reason = atomic_load_explicit(&c->last_reason, memory_order_relaxed);
		ret->last_errno = atomic_load_explicit(&c->last_errno, memory_order_relaxed);
	}
}
