/* Route: which upstream a request goes to, by the kind of listener that it came in on. */
#include "proxy/client.h"
#include "proxy/park.h"
#include "proxy/steps.h"

static enum reason go(struct exchange *x, const struct spec_upstream *u)
{
	x->upstream = u;
	x->wup = part_upstream(x->w, u);
	return x->wup ? REASON_NONE : REASON_NO_MEMORY;
}

static bool is_own(const struct spec_sidecar *s, const struct addr *a)
{
	if (addr_is_loopback(a) || addr_is_any(a))
		return true;
	for (uint32_t i = 0; i < s->n_own; i++) {
		struct addr mine = s->own[i];
		addr_set_port(&mine, addr_port(a));
		if (addr_eq(&mine, a))
			return true;
	}
	return false;
}

static bool is_agent_port(const struct spec_sidecar *s, uint16_t port)
{
	for (uint32_t i = 0; i < s->n_agent_ports; i++)
		if (s->agent_ports[i] == port)
			return true;
	return false;
}

/* --- the authority rules of 4140, in the order in which they are asked (docs/architecture.md) -------------------- */

struct target { /* what the client wants to reach */
	struct str host;
	uint16_t port;
	bool is_ip;
	struct addr addr; /* valid when is_ip */
};

typedef bool (*rule_fn)(struct exchange *x, const struct target *t, enum reason *why);

/* A service's name, any port. */
static bool rule_service(struct exchange *x, const struct target *t, enum reason *why)
{
	const struct spec_upstream *u = t->is_ip ? NULL : spec_find_upstream(exchange_spec(x), t->host);

	if (!u)
		return false;
	*why = go(x, u);
	return true;
}

/* The address of a known endpoint: that upstream, that endpoint. */
static bool rule_endpoint(struct exchange *x, const struct target *t, enum reason *why)
{
	const struct spec_sidecar *s = exchange_spec(x);

	for (uint32_t i = 0; t->is_ip && i < s->n_upstreams; i++) {
		const struct spec_upstream *u = s->upstreams[i];
		for (uint32_t k = 0; k < u->n_endpoints; k++) {
			if (!addr_eq(&u->endpoints[k].addr, &t->addr))
				continue;
			*why = go(x, u);
			if (*why == REASON_NONE && !(x->fixed = part_endpoint(x->w, x->wup, &u->endpoints[k])))
				*why = REASON_NO_MEMORY;
			return true;
		}
	}
	return false;
}

/* localhost or an own address: that port in this namespace, never one of the agent's. */
static bool rule_local(struct exchange *x, const struct target *t, enum reason *why)
{
	const struct spec_sidecar *s = exchange_spec(x);
	struct addr a = t->addr;

	if (t->is_ip ? !is_own(s, &a) : !str_ieq(t->host, STR("localhost")))
		return false;
	if (is_agent_port(s, t->port)) {
		*why = REASON_OWN_PORT;
		return true;
	}
	if (!t->is_ip)
		(void)addr_parse_ip(STR("127.0.0.1"), t->port, &a);
	*why = go(x, s->local);
	if (*why == REASON_NONE &&
	    !(x->fixed = part_dynamic(x->w, x->wup, &a, loop_now(x->w->loop))))
		*why = REASON_NO_MEMORY;
	return true;
}

static bool listed(const struct spec_sidecar *s, struct str host)
{
	for (uint32_t i = 0; i < s->n_egress_list; i++)
		if (str_host_fits(s->egress_list[i], host))
			return true;
	return false;
}

/* A name that may be a service which nobody named yet: control asks the registries, the request waits. When it is none, the
 * next rule decides. */
static bool rule_called(struct exchange *x, const struct target *t, enum reason *why)
{
	const struct spec_sidecar *s = exchange_spec(x);

	if (t->is_ip || !s->discovers || !park_may_be_service(t->host))
		return false;
	switch (park(x, t->host, s->external->policy.endpoint_wait, false)) {
	case PARK_WAIT:
		return true;
	case PARK_FULL:
		*why = REASON_NO_ENDPOINT;
		return true;
	case PARK_NO:
		break;
	}
	return false;
}

/* Anything else is egress. */
static bool rule_egress(struct exchange *x, const struct target *t, enum reason *why)
{
	const struct spec_sidecar *s = exchange_spec(x);
	bool allowed = s->egress == EGRESS_ALLOW || (s->egress == EGRESS_LIST && listed(s, t->host));

	if (!allowed || (t->is_ip && addr_is_link_local(&t->addr))) {
		*why = REASON_EGRESS_DENIED;
		return true;
	}
	if (t->is_ip) {
		x->addrs[0] = t->addr;
		x->n_addrs = 1;
	}
	*why = go(x, s->external);
	return true;
}

static const rule_fn authority_rules[] = { rule_service, rule_endpoint, rule_local, rule_called, rule_egress };

static enum reason route_outbound(struct exchange *x)
{
	struct str authority = x->c->connect_authority ? str_of(x->c->connect_authority) : x->req.authority;
	struct target t = { .port = 0 };
	enum reason why = REASON_NO_ROUTE;

	if (x->req.scheme.n && !str_ieq(x->req.scheme, STR("http")))
		return REASON_BAD_TARGET;
	if (!authority_split(authority, &t.host, &t.port))
		return REASON_BAD_HOST;
	x->port_given = t.port != 0;
	if (t.port == 0)
		t.port = 80;
	t.is_ip = addr_parse_ip(t.host, t.port, &t.addr);
	if (t.is_ip)
		addr_unmap(&t.addr);
	if (t.host.n && t.host.p[t.host.n - 1] == '.')
		t.host.n--;
	x->host = t.host;
	x->port = t.port;
	for (size_t i = 0; i < sizeof(authority_rules) / sizeof(authority_rules[0]); i++)
		if (authority_rules[i](x, &t, &why))
			break;
	return why;
}

/* --- the edge ------------------------------------------------------------------------------------------------------ */

static bool rewrite_path(struct exchange *x, const struct spec_route *r)
{
	if (!r->strip && r->rewrite.n == 0)
		return true;
	struct str rest = str_make(x->path.p + r->prefix.n, x->path.n - r->prefix.n);
	struct str head = r->rewrite;
	while (head.n && head.p[head.n - 1] == '/')
		head.n--;
	bool slash = rest.n == 0 || rest.p[0] != '/';
	if (head.n && (rest.n == 0 || rest.p[0] == '?'))
		slash = false; /* "/new" stays "/new" */
	size_t n = head.n + (slash ? 1 : 0) + rest.n;
	char *p = arena_bytes(&x->arena, n);
	if (!p)
		return false;
	if (head.n)
		memcpy(p, head.p, head.n);
	if (slash)
		p[head.n] = '/';
	if (rest.n)
		memcpy(p + head.n + (slash ? 1 : 0), rest.p, rest.n);
	x->path = str_make(p, n);
	return true;
}

static enum reason route_edge(struct exchange *x)
{
	const struct spec_sidecar *s = exchange_spec(x);
	uint16_t port;

	if (x->req.authority.n && !authority_split(x->req.authority, &x->host, &port))
		return REASON_BAD_HOST;
	if (x->req.form == TARGET_ASTERISK)
		return REASON_NO_ROUTE;
	if (!path_normalise(x->req.path, &x->arena, &x->path))
		return REASON_BAD_PATH;
	for (uint32_t i = 0; i < s->n_routes; i++) {
		const struct spec_route *r = &s->routes[i];
		if (!spec_route_matches(r, x->host, x->path))
			continue;
		if (!rewrite_path(x, r))
			return REASON_NO_MEMORY;
		x->route = r;
		return go(x, r->own ? r->own : r->upstream);
	}
	return REASON_NO_ROUTE;
}

enum reason route_find(struct exchange *x)
{
	const struct spec_sidecar *s = exchange_spec(x);

	x->path = x->req.path;
	if (x->l->kind == LISTEN_OUTBOUND)
		return route_outbound(x);
	if (x->l->kind == LISTEN_EDGE)
		return route_edge(x);
	if (x->l->index >= s->n_listeners || !s->listeners[x->l->index].upstream)
		return REASON_DRAINING; /* this listener has left the configuration */
	return go(x, s->listeners[x->l->index].upstream);
}
