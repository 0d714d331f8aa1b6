/* /sidecars of a node: each container's sidecar, who it is, how it does. */
#include "attach/node.h"

#include "base/json.h"

#include <stdio.h>

#define CONNECTION_BYTES 900u      /* as measured at rest: docs/performance.md */
#define EXCHANGE_BYTES (16u * 1024) /* under way, the handler silent: docs/resilience.md */
#define SIDECAR_BYTES (128u * 1024) /* an idle one, both processes */

static void put_state(struct json *j, const struct node_sidecar *s)
{
	const struct handler *h = s->sidecar.handler;

	json_put_strz(j, "state", s->ending && !s->anew ? "ending" : s->serving ? "serving" : "failed");
	if (s->why.text[0])
		json_put_strz(j, "why", s->why.text);
	json_put_strz(j, "handler", h ? handler_word(handler_state(h)) : "none");
	if (h && handler_why(h)[0])
		json_put_strz(j, "handler_why", handler_why(h));
	if (s->problems.n)
		json_put_strz(j, "options_left_out", text_z(&s->problems));
}

const char *node_sidecar_name(const struct node_sidecar *s)
{
	return s->task[0] ? s->task : s->container.name.p;
}

/* Where http://user:password@HOST:PORT/ leads. false: it is nothing that we listen at. */
static bool proxy_address(struct str url, struct addr *ret)
{
	struct str host;
	struct err err;

	if (str_istarts(url, STR("http://")))
		url = str_make(url.p + 7, url.n - 7);
	if (!str_next(&url, '/', &host))
		return false;
	for (size_t at = str_find(host, '@'); at != SIZE_MAX; at = str_find(host, '@'))
		host = str_make(host.p + at + 1, host.n - at - 1);
	if (str_istarts(host, STR("localhost:"))) {
		uint64_t port;
		return str_u64(str_make(host.p + 10, host.n - 10), &port) && port <= UINT16_MAX &&
		       addr_parse_ip(STR("127.0.0.1"), (uint16_t)port, ret);
	}
	return addr_parse(host, ret, &err) && ret->sa.sa_family != AF_UNIX;
}

/* An image may bring the proxy of a company, which is none of ours. */
static bool leads_here(const struct spec_sidecar *spec, struct str url)
{
	struct addr a;

	if (!spec || !url.n || !proxy_address(url, &a))
		return false;
	for (uint32_t i = 0; i < spec->n_listeners; i++) {
		const struct spec_listener *l = &spec->listeners[i];
		if (l->kind == LISTEN_OUTBOUND && (addr_eq(&l->addr, &a) || (addr_is_any(&l->addr) && addr_port(&l->addr) == addr_port(&a))))
			return true;
	}
	return false;
}

enum agent_proxy node_proxy(const struct node_sidecar *s)
{
	struct str lower = container_env(&s->container, "http_proxy"), upper = container_env(&s->container, "HTTP_PROXY");

	if (leads_here(s->sidecar.spec, lower) || leads_here(s->sidecar.spec, upper))
		return AGENT_PROXY_SET;
	return lower.n || upper.n ? AGENT_PROXY_OTHER : AGENT_PROXY_UNSET;
}

const char *node_wiring(const struct node *n, const struct node_sidecar *s)
{
	const char *why = agent_wiring(&n->own.agent, &s->sidecar.view);

	return why ? why : "wired";
}

/* What of the node's it takes, estimated. */
static void put_cost(struct json *j, const struct node_sidecar *s, const uint64_t *v)
{
	unsigned stock = 0;

	for (unsigned k = 0; s->ns && k < NETSPACE_DIAG; k++)
		stock += netspace_stock(s->ns, (enum netspace_kind)k);
	json_key(j, "cost");
	json_object(j);
	json_key(j, "estimated");
	json_bool(j, true);
	json_put_u64(j, "cpu_ms", (uint64_t)(s->sidecar.agent.cost.cpu / USEC_MS));
	json_put_u64(j, "connections", v[COUNTER_CONNECTIONS_OPEN]);
	json_put_u64(j, "sockets_in_stock", stock);
	json_put_u64(j, "memory_kb", (v[COUNTER_CONNECTIONS_OPEN] * CONNECTION_BYTES + v[COUNTER_REQUESTS_ACTIVE] * EXCHANGE_BYTES + SIDECAR_BYTES) / 1024);
	json_end(j);
}

static void put_sidecar(struct json *j, const struct node *n, const struct node_sidecar *s)
{
	uint64_t v[COUNTER_COUNT] = { 0 }, reasons[REASON_COUNT];

	json_object(j);
	json_put_strz(j, "service", s->service);
	json_put_strz(j, "stack", s->stack);
	json_put_strz(j, "task", s->task);
	json_put_strz(j, "slot", s->slot);
	json_put_strz(j, "container", s->container.name.p);
	json_put_strz(j, "id", s->container.id.p);
	json_put_strz(j, "node", n->name);
	put_state(j, s);
	if (s->sidecar.spec)
		agent_sum_counters(&n->own.agent, s->sidecar.spec->slot, v, reasons);
	json_put_strz(j, "outbound", s->serving ? node_wiring(n, s) : "none");
	if (s->serving)
		json_put_u64(j, "serving_since_ms", (uint64_t)(s->served / USEC_MS));
	json_put_u64(j, "requests", v[COUNTER_REQUESTS]);
	put_cost(j, s, v);
	node_put_output(j, s);
	json_end(j);
}

static const struct agent_sidecar *view_of(const struct node *n, const struct node_sidecar *s)
{
	for (uint32_t i = 0; i < n->own.agent.n_sidecars; i++)
		if (n->views[i].agent == &s->sidecar.agent)
			return &n->views[i];
	return NULL;
}

void node_each_sidecar(void *arg, void (*fn)(void *to, const struct agent_fact *f), void *to)
{
	const struct node *n = arg;

	LIST_EACH(it, tmp, &n->sidecars) {
		const struct node_sidecar *s = LIST_OWNER(it, struct node_sidecar, link);
		const char *wiring = s->serving ? node_wiring(n, s) : "none";
		const struct agent_fact f = { .view = s->serving ? view_of(n, s) : NULL, .name = node_sidecar_name(s),
			.service = s->service, .stack = s->stack, .slot = s->slot,
			.state = s->ending && !s->anew ? "ending" : s->stopping ? "draining" : s->serving ? "serving" : "failed",
			.why = s->why.text, .wiring = strcmp(wiring, "wired") == 0 ? NULL : wiring, .left_out = (uint32_t)s->n_bad };
		fn(to, &f);
	}
}

void node_put_sidecars(void *arg, struct json *j)
{
	struct node *n = arg;

	crew_share_cpu(&n->crew.process);
	LIST_EACH(it, tmp, &n->sidecars)
		put_sidecar(j, n, LIST_OWNER(it, struct node_sidecar, link));
}

static bool is_named(const struct node_sidecar *s, struct str name)
{
	char both[300];

	snprintf(both, sizeof(both), "%s.%s", s->service, s->stack);
	return str_eq(name, str_of(s->service)) || str_eq(name, str_of(both)) || str_eq(name, str_of(s->task)) ||
	       str_eq(name, s->container.name) || (name.n >= 8 && str_starts(s->container.id, name));
}

struct admin *node_find_sidecar(void *arg, struct str name)
{
	struct node *n = arg;

	LIST_EACH(it, tmp, &n->sidecars) {
		struct node_sidecar *s = LIST_OWNER(it, struct node_sidecar, link);
		if (s->serving && !s->ending && is_named(s, name))
			return &s->sidecar.admin;
	}
	return NULL;
}
