#include "proxy/hello.h"

#include "base/mem.h"
#include "proxy/client.h"
#include "proxy/origin.h"
#include "proxy/steps.h"

#define DEFAULT_PORT 80

/* --- reading --------------------------------------------------------------------------------------------------------- */

static struct str hello_get(struct str hello, struct str key)
{
	struct str pair;
	while (str_next(&hello, ';', &pair)) {
		size_t equals = str_find(pair, '=');
		if (equals != SIZE_MAX && str_eq(str_trim(str_make(pair.p, equals)), key))
			return str_trim(str_make(pair.p + equals + 1, pair.n - equals - 1));
	}
	return STR("");
}

struct str hello_wanted(const struct exchange *x)
{
	const struct field *f = head_get(&x->req, FIELD_X_OUTRIDER_HELLO);

	return f ? hello_get(field_value(f), STR("to")) : STR("");
}

enum alias_verdict hello_is_for(struct exchange *x)
{
	if (x->l->kind != LISTEN_INBOUND)
		return ALIAS_MINE;
	x->greet = true;
	struct str to = hello_wanted(x);
	return !to.n || str_ieq(to, exchange_spec(x)->service) ? ALIAS_MINE : alias_of(x, to);
}

/* --- where an agent stands -------------------------------------------------------------------------------------------- */

static bool may_be_agent(const struct wendpoint *ep, usec now)
{
	return ep->agent == ENDPOINT_AGENT || ep->agent == ENDPOINT_MAYBE ||
	       (ep->agent == ENDPOINT_ABSENT && ep->absent_until <= now);
}

/* The port of the service itself, when the endpoint came without one. */
static uint16_t direct_port(const struct exchange *x)
{
	const struct spec_listener *l = x->l->index < exchange_spec(x)->n_listeners ?
						&exchange_spec(x)->listeners[x->l->index] : NULL;
	uint16_t said = x->upstream->port;

	if (x->l->kind == LISTEN_OUTBOUND && x->port_given)
		return x->port;
	if (said)
		return said;
	/* A pinned address of its own stands for the service's own URL, 127.0.0.1:9001 is just a door. */
	if (l && l->kind == LISTEN_PINNED && l->addr.sa.sa_family == AF_INET && ntohl(l->addr.in.sin_addr.s_addr) != INADDR_LOOPBACK)
		return addr_port(&l->addr);
	return DEFAULT_PORT;
}

struct addr hello_address(const struct exchange *x)
{
	const struct wendpoint *ep = x->a.ep;
	struct addr a = ep->addr;

	if (addr_port(&a) || a.sa.sa_family == AF_UNIX)
		return a;
	bool agent = !x->connect && may_be_agent(ep, loop_now(x->w->loop));
	addr_set_port(&a, agent ? AGENT_PORT : direct_port(x));
	return a;
}

bool hello_has_direct_port(const struct exchange *x)
{
	return direct_port(x) != AGENT_PORT;
}

bool hello_is_due(const struct exchange *x)
{
	const struct origin *o = x->a.o;

	return o && x->a.balanced && !x->connect && o->uses == 1 && exchange_spec(x)->hello.n && !exchange_off(x) &&
	       may_be_agent(x->a.ep, loop_now(x->w->loop)) && o->to_agent;
}

/* --- learning ----------------------------------------------------------------------------------------------------------- */

struct met_mail {
	struct mail m;
	struct worker *w;
	uint32_t sidecar;
	struct addr addr;
	size_t n;
	char text[HELLO_MAX];
};

static void on_met(struct mail *m)
{
	struct met_mail *q = LIST_OWNER(m, struct met_mail, m);

	q->w->cfg.met(q->w->cfg.arg, q->sidecar, &q->addr, str_make(q->text, q->n));
	mem_free(q);
}

/* Control hears of it when it is something new. */
static void tell_control(struct exchange *x, struct wendpoint *ep, struct str hello)
{
	struct worker *w = x->w;
	uint64_t hash = str_hash(hello, 1);

	if (!w->cfg.met || hello.n > HELLO_MAX || hash == ep->hello_hash)
		return;
	struct met_mail *q = mem_zalloc(sizeof(*q));
	if (!q)
		return; /* the next connection says it again */
	ep->hello_hash = hash;
	q->m.fn = on_met;
	q->w = w;
	q->sidecar = x->sc->slot;
	q->addr = ep->addr;
	q->n = hello.n;
	if (hello.n)
		memcpy(q->text, hello.p, hello.n);
	loop_post(w->cfg.control, &q->m);
}

/* The address has another owner: nobody of this upstream goes there any more, until it is told anew. */
static void drop_endpoint(struct exchange *x)
{
	const struct balance_spec *b = &x->upstream->balance;

	pool_clear(x->a.ep);
	outlier_hold(b->cells[x->a.ticket.index], b->tally, BALANCE_HOLD_GONE, true, false, loop_now(x->w->loop));
	count(x->sc, COUNTER_WRONG_SERVICES);
}

void hello_unsaid(struct exchange *x, struct wendpoint *ep)
{
	if (x->a.balanced && ep->agent != ENDPOINT_PLAIN && !ep->hello_hash) /* who once said one may be starting anew */
		tell_control(x, ep, STR(HELLO_NONE));
}

void hello_no_agent(struct exchange *x, struct wendpoint *ep)
{
	if (ep->agent == ENDPOINT_PLAIN)
		return;
	ep->agent = ENDPOINT_ABSENT;
	ep->absent_until = loop_now(x->w->loop) + HELLO_ABSENT_TIME;
	hello_unsaid(x, ep);
}

void hello_learn(struct exchange *x)
{
	const struct origin *o = x->a.o;
	const struct field *f = head_get(&x->res, FIELD_X_OUTRIDER_HELLO);

	if (!o || !o->said_hello || o->uses != 1 || x->res.status < 200)
		return;
	if (!f) {
		hello_no_agent(x, x->a.ep);
		return;
	}
	struct str hello = field_value(f);
	x->a.ep->agent = ENDPOINT_AGENT;
	tell_control(x, x->a.ep, hello);
	struct str service = hello_get(hello, STR("service"));
	if (x->res.status == 421 && service.n && !str_ieq(service, x->upstream->name))
		drop_endpoint(x);
}
