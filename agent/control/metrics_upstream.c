/* Metrics: families of upstreams. */
#include "control/metrics.h"

#include "base/mem.h"
#include "control/endpoint_state.h"

/* Services that only calls made known, local calls and egress are as many as callers think of: they go when nobody calls them any more. */
static bool has_expired(const struct metrics *m, const struct metrics_upstream *up)
{
	usec idle = m->a->process ? m->a->process->series_idle : 0;
	bool named = up->u->kind == UPSTREAM_SERVICE && !up->u->called;

	return idle && !named && !up->sum.active && up->sum.called + idle < clock_now();
}

static void add(struct metrics *m, const struct metrics_sidecar *s, const struct spec_upstream *u)
{
	struct metrics_upstream *up = &m->upstreams[m->n_upstreams];
	struct str labels;

	if (!u)
		return;
	*up = (struct metrics_upstream){ .u = u };
	agent_sum_upstream(m->a, u->slot, &up->sum);
	if (u->kind != UPSTREAM_SERVICE && !up->sum.requests)
		return; /* local calls and egress: most never make any */
	if (has_expired(m, up))
		return;
	labels = metrics_labels(m, s->labels_at, s->labels_n, "upstream", u->name);
	up->labels_at = m->names.n;
	up->labels_n = labels.n;
	text_add(&m->names, labels);
	m->n_upstreams++;
}

bool metrics_gather_upstreams(struct metrics *m)
{
	size_t n = 1;

	for (uint32_t i = 0; i < m->n_sidecars; i++)
		n += m->sidecars[i].spec->n_upstreams + 2;
	m->upstreams = mem_zarray(n, sizeof(*m->upstreams));
	if (!m->upstreams)
		return false;
	for (uint32_t i = 0; i < m->n_sidecars; i++) {
		const struct spec_sidecar *spec = m->sidecars[i].spec;
		for (uint32_t k = 0; k < spec->n_upstreams; k++)
			add(m, &m->sidecars[i], spec->upstreams[k]);
		add(m, &m->sidecars[i], spec->local);
		add(m, &m->sidecars[i], spec->external);
	}
	return true;
}

static struct str labels_and(struct metrics *m, const struct metrics_upstream *up, const char *key, const char *value)
{
	return metrics_labels(m, up->labels_at, up->labels_n, key, str_of(value));
}

/* --- calls ------------------------------------------------------------------------------------------------------------------------ */

static uint64_t requests(const struct upstream_sum *s)
{
	return s->requests;
}
static uint64_t failures(const struct upstream_sum *s)
{
	return s->failures;
}
static uint64_t retries(const struct upstream_sum *s)
{
	return s->retries;
}
static uint64_t active(const struct upstream_sum *s)
{
	return s->active;
}

static void put_calls(struct metrics *m)
{
	static const struct {
		enum family_id id;
		uint64_t (*of)(const struct upstream_sum *s);
	} rows[] = { { FAMILY_UPSTREAM_REQUESTS, requests }, { FAMILY_UPSTREAM_FAILURES, failures }, { FAMILY_UPSTREAM_RETRIES, retries },
		{ FAMILY_UPSTREAM_ACTIVE, active } };

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		exposition_family(&m->e, rows[r].id);
		for (uint32_t i = 0; i < m->n_upstreams; i++)
			exposition_u64(&m->e, labels_and(m, &m->upstreams[i], NULL, ""), rows[r].of(&m->upstreams[i].sum));
	}
}

static void put_durations(struct metrics *m)
{
	struct durations_view v;

	exposition_family(&m->e, FAMILY_UPSTREAM_RESPONSES);
	for (uint32_t i = 0; i < m->n_upstreams; i++) {
		agent_sum_upstream_durations(m->a, m->upstreams[i].u->slot, &v);
		(void)labels_and(m, &m->upstreams[i], NULL, "");
		metrics_put_classes(m, &v);
	}
	exposition_family(&m->e, FAMILY_UPSTREAM_DURATION);
	for (uint32_t i = 0; m->a->process && i < m->n_upstreams; i++) {
		agent_sum_upstream_durations(m->a, m->upstreams[i].u->slot, &v);
		exposition_histogram(&m->e, labels_and(m, &m->upstreams[i], NULL, ""), &m->a->process->bounds, &v);
	}
}

/* --- routes of an edge -------------------------------------------------------------------------------------------------------------- */

static void put_route(struct metrics *m, const struct metrics_sidecar *s, const struct spec_route *r, enum family_id id)
{
	struct durations_view v;

	agent_sum_upstream_durations(m->a, r->part - 1, &v); /* its slot is one of upstreams' */
	metrics_labels(m, s->labels_at, s->labels_n, "upstream", r->upstream->name);
	labels_put(&m->labels, "route", r->name);
	if (id == FAMILY_ROUTE_RESPONSES)
		metrics_put_classes(m, &v);
	else if (m->a->process)
		exposition_histogram(&m->e, text_str(&m->labels), &m->a->process->bounds, &v);
}

static void put_routes(struct metrics *m, enum family_id id)
{
	exposition_family(&m->e, id);
	for (uint32_t i = 0; i < m->n_sidecars; i++) {
		const struct spec_sidecar *spec = m->sidecars[i].spec;
		for (uint32_t k = 0; k < spec->n_routes; k++)
			if (spec->routes[k].part)
				put_route(m, &m->sidecars[i], &spec->routes[k], id);
	}
}

/* --- endpoints -------------------------------------------------------------------------------------------------------------------- */

static void put_endpoints(struct metrics *m)
{
	static const char *const words[] = { "up", "ejected", "on-trial", "unhealthy", "down", "drained" };
	enum { STATES = sizeof(words) / sizeof(words[0]) };

	exposition_family(&m->e, FAMILY_ENDPOINTS);
	for (uint32_t i = 0; i < m->n_upstreams; i++) {
		const struct spec_upstream *u = m->upstreams[i].u;
		uint64_t n[STATES] = { 0 };
		if (u->kind != UPSTREAM_SERVICE)
			continue;
		for (uint32_t k = 0; k < u->balance.n; k++) {
			const char *word = endpoint_state(u->balance.cells[k]).word;
			for (unsigned s = 0; s < STATES; s++)
				n[s] += strcmp(word, words[s]) == 0;
		}
		for (unsigned s = 0; s < STATES; s++)
			exposition_u64(&m->e, labels_and(m, &m->upstreams[i], "state", words[s]), n[s]);
	}
}

static void put_pools(struct metrics *m)
{
	exposition_family(&m->e, FAMILY_POOL);
	for (uint32_t i = 0; i < m->n_upstreams; i++) {
		const struct spec_upstream *u = m->upstreams[i].u;
		uint64_t busy = 0, idle = 0;
		struct endpoint_sum s;
		if (u->kind != UPSTREAM_SERVICE)
			continue;
		for (uint32_t k = 0; m->upstreams[i].sum.requests && k < u->n_endpoints; k++) {
			agent_sum_endpoint(m->a, u->endpoints[k].slot, &s);
			busy += s.active;
			idle += s.idle;
		}
		exposition_u64(&m->e, labels_and(m, &m->upstreams[i], "state", "active"), busy);
		exposition_u64(&m->e, labels_and(m, &m->upstreams[i], "state", "idle"), idle);
	}
}

/* --- circuits --------------------------------------------------------------------------------------------------------------------- */

typedef void (*put_circuit_fn)(struct metrics *m, const struct spec_upstream *u);

static void put_state(struct metrics *m, const struct spec_upstream *u, const struct circuit *c)
{
	static const uint8_t values[] = { [BREAKER_CLOSED] = 0, [BREAKER_HALF_OPEN] = 1, [BREAKER_OPEN] = 2 };
	struct breaker_view v;

	breaker_look(&c->breaker, &u->policy.breaker, clock_now(), &v);
	if (u->policy.breaker.on || v.open)
		exposition_u64(&m->e, text_str(&m->labels), v.open && v.state == BREAKER_CLOSED ? values[BREAKER_OPEN] : values[v.state]);
}

/* The upstream's, then those of the SOAP actions that were called. */
static void put_breaker(struct metrics *m, const struct spec_upstream *u)
{
	size_t n = m->labels.n;

	put_state(m, u, u->circuit);
	for (unsigned i = 0; u->keyed && i < CIRCUIT_KEYS; i++) {
		if (!circuit_label(u->keyed[i]))
			continue;
		m->labels.n = n;
		labels_put(&m->labels, "key", str_of(circuit_label(u->keyed[i])));
		put_state(m, u, u->keyed[i]);
	}
}

static void put_places(struct metrics *m, const struct spec_upstream *u)
{
	const struct bulkhead *b = &u->circuit->bulkhead;
	size_t n = m->labels.n;

	labels_put(&m->labels, "state", STR("active"));
	exposition_u64(&m->e, text_str(&m->labels), atomic_load_explicit(&b->active, memory_order_relaxed));
	m->labels.n = n;
	labels_put(&m->labels, "state", STR("queued"));
	exposition_u64(&m->e, text_str(&m->labels), atomic_load_explicit(&b->queued, memory_order_relaxed));
}

static void put_limit(struct metrics *m, const struct spec_upstream *u)
{
	uint32_t limit = circuit_limit(u->circuit, &u->policy.bulkhead);

	if (limit)
		exposition_u64(&m->e, text_str(&m->labels), limit);
}

static void put_circuits(struct metrics *m, enum family_id id, put_circuit_fn put)
{
	exposition_family(&m->e, id);
	for (uint32_t i = 0; i < m->n_sidecars; i++) {
		const struct metrics_sidecar *s = &m->sidecars[i];
		const struct spec_upstream *u;
		for (uint32_t k = 0; (u = spec_policy_at(s->spec, k)) != NULL; k++) {
			if (!u->circuit)
				continue;
			metrics_labels(m, s->labels_at, s->labels_n, "upstream", u->name);
			labels_put(&m->labels, "route", u->route);
			put(m, u);
		}
	}
}

void metrics_put_upstreams(struct metrics *m)
{
	put_calls(m);
	put_durations(m);
	put_routes(m, FAMILY_ROUTE_RESPONSES);
	put_routes(m, FAMILY_ROUTE_DURATION);
	put_endpoints(m);
	put_pools(m);
	put_circuits(m, FAMILY_CIRCUIT, put_breaker);
	put_circuits(m, FAMILY_CIRCUIT_CALLS, put_places);
	put_circuits(m, FAMILY_CIRCUIT_LIMIT, put_limit);
}
