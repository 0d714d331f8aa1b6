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

bool agent_is_ready(const struct agent *a)
{
	enum handler_state handler = a->handler ? handler_state(a->handler) : HANDLER_NONE;

	return a->phase == AGENT_READY && handler != HANDLER_DOWN && handler != HANDLER_STARTING;
}

struct str agent_sidecar_name(const struct agent_sidecar *s)
{
	return s->name && s->name[0] ? str_of(s->name) : s->spec ? s->spec->service : STR("");
}

static bool was_called(const struct agent *a, const struct spec_upstream *u)
{
	struct upstream_sum sum = { .requests = 0 };

	if (u)
		agent_sum_upstream(a, u->slot, &sum);
	return sum.requests > 0;
}

const char *agent_wiring(const struct agent *a, const struct agent_sidecar *s)
{
	const struct spec_sidecar *spec = s->spec;
	bool pinned = false, called = spec && was_called(a, spec->external);

	for (uint32_t i = 0; spec && i < spec->n_upstreams; i++)
		called = called || was_called(a, spec->upstreams[i]);
	for (uint32_t i = 0; spec && i < spec->n_listeners; i++)
		pinned = pinned || spec->listeners[i].kind == LISTEN_PINNED || spec->listeners[i].kind == LISTEN_PINNED_TCP;
	if (called)
		return NULL;
	if (pinned || s->proxy == AGENT_PROXY_SET)
		return "ready: no call seen yet";
	if (s->proxy == AGENT_PROXY_OTHER)
		return "not wired: no call seen, the proxy variable names another proxy, no pinned name";
	return s->proxy == AGENT_PROXY_UNSET ? "not wired: no call seen, no proxy variable, no pinned name" :
					       "not wired: no call seen, no pinned name; a proxy variable would not be seen from here";
}

void agent_note(const struct agent *a, enum change_kind kind, struct str upstream, struct str subject, const char *fmt, ...)
{
	const struct spec_sidecar *spec = a->seat && a->n_sidecars ? a->sidecars[0].spec : NULL;
	const struct change what = { .kind = kind, .seat = a->seat, .node = a->node, .service = spec ? spec->service : STR(""),
		.upstream = upstream, .subject = subject, .wall = clock_wall() };
	va_list ap;

	va_start(ap, fmt);
	change_vnote(a->changes, &what, fmt, ap);
	va_end(ap);
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

static void newest(struct last_error_sum *ret, const struct last_error *l)
{
	uint64_t at = load(&l->at);
	if (at <= ret->at)
		return;
	ret->at = at;
	ret->reason = atomic_load_explicit(&l->reason, memory_order_relaxed);
	ret->error = atomic_load_explicit(&l->error, memory_order_relaxed);
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
		usec called = load(&c->called);
		ret->called = called > ret->called ? called : ret->called;
		newest(&ret->last, &c->last);
	}
}

void agent_sum_endpoint(const struct agent *a, uint32_t slot, struct endpoint_sum *ret)
{
	unsigned knowing = 0;
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
		newest(&ret->last, &c->last);
		const struct balance_stat *b = worker_balance_stat(a->workers[w], slot);
		float cost = b ? atomic_load_explicit(&b->cost, memory_order_relaxed) : 0;
		ret->cost += (double)cost;
		knowing += cost > 0;
	}
	if (knowing)
		ret->cost /= knowing;
}

void agent_sum_durations(const struct agent *a, uint32_t sidecar_slot, enum direction d, struct durations_view *ret)
{
	*ret = (struct durations_view){ 0 };
	for (unsigned w = 0; w < a->n_workers; w++) {
		const struct durations *from = worker_durations(a->workers[w], sidecar_slot, d);
		if (from)
			durations_look(from, ret);
	}
}

void agent_sum_upstream_durations(const struct agent *a, uint32_t slot, struct durations_view *ret)
{
	*ret = (struct durations_view){ 0 };
	for (unsigned w = 0; w < a->n_workers; w++) {
		const struct durations *from = worker_upstream_durations(a->workers[w], slot);
		if (from)
			durations_look(from, ret);
	}
}
