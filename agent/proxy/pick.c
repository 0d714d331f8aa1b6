/* Pick: which endpoint of the upstream the next attempt goes to. Named services rotate over their endpoints; the own
 * handler, localhost and egress have endpoints that are made when they are first asked for. */
#include "proxy/client.h"
#include "proxy/park.h"
#include "proxy/steps.h"

static bool was_tried(const struct exchange *x, const struct wendpoint *e)
{
	for (unsigned i = 0; i < x->n_tried; i++)
		if (x->tried[i] == e)
			return true;
	return false;
}

static enum pick_result chosen(struct exchange *x, struct wendpoint *e, enum reason *why)
{
	if (!e) {
		*why = REASON_NO_MEMORY;
		return PICK_NONE;
	}
	x->a.ep = e;
	x->a.balanced = false;
	return PICK_OK;
}

/* --- a named service: the balancer ------------------------------------------------------------------------ */

_Static_assert(TRIED_MAX <= BALANCE_TRIED_MAX, "the balancer passes over all that was tried");

/* The spec changed: what was tried stands at other places now, or nowhere. */
static void find_tried_again(struct exchange *x)
{
	const struct spec_upstream *u = x->upstream;
	uint8_t kept = 0;

	for (uint8_t k = 0; k < x->n_tried; k++) {
		for (uint32_t i = 0; i < u->n_endpoints; i++) {
			if (!addr_eq(&u->endpoints[i].addr, &x->tried[k]->addr))
				continue;
			x->tried[kept] = x->tried[k];
			x->tried_index[kept++] = i;
			break;
		}
	}
	x->n_tried = kept;
	x->renewed = false;
}

static struct balance_request request_of(struct exchange *x)
{
	struct balance_request q = { .n_tried = x->n_tried };

	memcpy(q.tried, x->tried_index, x->n_tried * sizeof(q.tried[0]));
	if (x->upstream->balance.policy == BALANCE_RING_HASH)
		q.has_hash = hash_key(x, &q.hash);
	if (x->upstream->cookie.n)
		q.sticky = x->sticky = hash_sticky(x);
	return q;
}

/* Nobody takes requests now: it waits for discovery to say better. */
static enum pick_result wait_or_refuse(struct exchange *x, enum reason refusal, enum reason *why)
{
	const struct spec_upstream *u = x->upstream;

	*why = refusal;
	if (!u->policy.endpoint_wait || !exchange_spec(x)->discovers ||
	    park(x, u->name, u->policy.endpoint_wait, true) != PARK_WAIT)
		return PICK_NONE;
	return PICK_WAIT;
}

static enum pick_result pick_service(struct exchange *x, enum reason *why)
{
	const struct spec_upstream *u = x->upstream;

	if (u->n_endpoints == 0)
		return wait_or_refuse(x, REASON_NO_ENDPOINT, why);
	if (x->renewed)
		find_tried_again(x);
	struct balance_request q = request_of(x);
	x->a.ticket = balance_pick(&u->balance, &x->wup->balance, &q, loop_now(x->w->loop), &x->w->rng);
	if (x->a.ticket.index == BALANCE_NONE)
		return wait_or_refuse(x, REASON_NONE_AVAILABLE, why);
	enum pick_result r = chosen(x, part_endpoint(x->w, x->wup, &u->endpoints[x->a.ticket.index]), why);
	x->a.balanced = r == PICK_OK;
	return r;
}

/* --- the own handler: at the address that the caller used, else on loopback --------------------------------- */

static const struct addr loopback4 = { .len = sizeof(struct sockaddr_in),
				       .in = { .sin_family = AF_INET, /* 127.0.0.1 */ .sin_addr = { __builtin_bswap32(INADDR_LOOPBACK) } } };
static const struct addr loopback6 = { .len = sizeof(struct sockaddr_in6),
				       .in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT } };

/* 127.0.0.1 and ::1, which are tried anyway; 127.0.6.1 is an address of its own. */
static bool is_plain_loopback(const struct addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == loopback4.in.sin_addr.s_addr;
	return addr_is_loopback(a);
}

/* Candidate k of the handler's addresses: false when there is none. */
static bool handler_candidate(struct exchange *x, unsigned k, struct addr *ret)
{
	const struct spec_upstream *u = x->upstream;

	if (u->handler.len) {
		*ret = u->handler;
		return k == 0;
	}
	const struct addr *local = client_local(x->c);
	bool own = local && local->sa.sa_family != AF_UNIX && !is_plain_loopback(local);
	if (own && x->wup->handler_own && k > 0)
		return false; /* it does listen there: whatever listens on loopback is another page */
	if (!own || (x->wup->handler_loop && !x->wup->handler_own))
		k++; /* straight to loopback */
	if (k == 0) {
		*ret = *local;
		addr_set_port(ret, u->port);
		return true;
	}
	if (k > 2)
		return false;
	*ret = k == 1 ? loopback4 : loopback6;
	addr_set_port(ret, u->port);
	return true;
}

static enum pick_result pick_handler(struct exchange *x, enum reason *why)
{
	struct addr a;
	struct wendpoint *first = NULL;

	for (unsigned k = 0; handler_candidate(x, k, &a); k++) {
		struct wendpoint *e = part_dynamic(x->w, x->wup, &a, loop_now(x->w->loop));
		if (!e)
			break;
		if (!was_tried(x, e))
			return chosen(x, e, why);
		if (!first)
			first = e;
	}
	return chosen(x, first, why);
}

static bool handler_has_other(struct exchange *x)
{
	struct addr a;

	for (unsigned k = 0; handler_candidate(x, k, &a); k++) {
		struct wendpoint *e = part_dynamic(x->w, x->wup, &a, loop_now(x->w->loop));
		if (e && e != x->a.ep && !was_tried(x, e))
			return true;
	}
	return false;
}

/* --- egress: the name's addresses in turn --------------------------------------------------------------------- */

static void resolved(void *arg, const struct addr *addrs, size_t n, const char *why)
{
	struct exchange *x = arg;

	(void)why;
	x->a.query = NULL;
	if (n == 0) {
		exchange_answer(x, REASON_NAME_UNKNOWN);
		return;
	}
	x->n_addrs = 0;
	for (size_t i = 0; i < n && x->n_addrs < sizeof(x->addrs) / sizeof(x->addrs[0]); i++)
		x->addrs[x->n_addrs++] = addrs[i];
	exchange_run(x);
}

/* What no name may lead to: this agent's own ports, and link-local addresses (metadata services). */
static enum reason forbidden(const struct exchange *x, const struct addr *a)
{
	const struct spec_sidecar *s = exchange_spec(x);
	bool own = addr_is_loopback(a) || addr_is_any(a);

	if (addr_is_link_local(a))
		return REASON_EGRESS_DENIED;
	for (uint32_t i = 0; i < s->n_own && !own; i++) {
		struct addr mine = s->own[i];
		addr_set_port(&mine, addr_port(a));
		own = addr_eq(&mine, a);
	}
	for (uint32_t i = 0; own && i < s->n_agent_ports; i++)
		if (s->agent_ports[i] == addr_port(a))
			return REASON_OWN_PORT;
	return REASON_NONE;
}

struct resolver *pick_resolver(struct exchange *x)
{
	struct netspace *ns = exchange_spec(x)->ns;

	if (!ns)
		return x->w->resolver;
	if (!x->sc->resolver)
		x->sc->resolver = resolver_new(x->w->loop, ns, NULL);
	return x->sc->resolver;
}

static enum pick_result pick_external(struct exchange *x, enum reason *why)
{
	if (x->n_addrs == 0) {
		struct resolver *r = pick_resolver(x);
		x->a.query = r ? resolve(r, x->host, x->port ? x->port : 80, resolved, x) : NULL;
		if (x->a.query)
			return PICK_WAIT;
		*why = REASON_NO_MEMORY;
		return PICK_NONE;
	}
	const struct addr *a = &x->addrs[x->next_addr++ % x->n_addrs];
	*why = forbidden(x, a);
	if (*why != REASON_NONE)
		return PICK_NONE;
	return chosen(x, part_dynamic(x->w, x->wup, a, loop_now(x->w->loop)), why);
}

enum pick_result pick_endpoint(struct exchange *x, enum reason *why)
{
	if (x->fixed)
		return chosen(x, x->fixed, why);
	switch (x->upstream->kind) {
	case UPSTREAM_HANDLER:
		return pick_handler(x, why);
	case UPSTREAM_EXTERNAL:
		return pick_external(x, why);
	default:
		return pick_service(x, why);
	}
}

/* The present one has failed, but is not among those tried yet. */
static bool service_has_other(struct exchange *x)
{
	struct balance_request q = request_of(x);

	if (q.n_tried < BALANCE_TRIED_MAX)
		q.tried[q.n_tried++] = x->a.ticket.index;
	return balance_has_other(&x->upstream->balance, &x->wup->balance, &q);
}

bool pick_has_other(struct exchange *x)
{
	if (x->fixed)
		return false;
	switch (x->upstream->kind) {
	case UPSTREAM_HANDLER:
		return handler_has_other(x);
	case UPSTREAM_EXTERNAL:
		return x->next_addr < x->n_addrs;
	default:
		return service_has_other(x);
	}
}

void pick_connected(struct exchange *x)
{
	if (x->upstream->kind == UPSTREAM_HANDLER)
		x->wup->handler_of = x->sc->slot + 1;
	if (x->upstream->kind != UPSTREAM_HANDLER || x->upstream->handler.len)
		return;
	if (is_plain_loopback(&x->a.ep->addr))
		x->wup->handler_loop = true;
	else
		x->wup->handler_own = true;
}

void pick_failed(struct exchange *x, bool connecting)
{
	if (!connecting || x->upstream->kind != UPSTREAM_HANDLER)
		return;
	x->wup->handler_loop = false; /* look everywhere again next time */
	leave_suspect(x->sc);
}
