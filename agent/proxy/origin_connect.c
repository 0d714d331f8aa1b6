/* The beginning of a connection: where to, whether an agent stands there, and what a namespace has sockets for. */
#include "proxy/origin_int.h"

#include "base/mem.h"
#include "proxy/hello.h"
#include "proxy/steps.h"

#include <errno.h>

#define SOCKET_PAUSE USEC_MS
#define GONE_PAUSE (250 * USEC_MS) /* so often who still waits for an address looks whether it is still one */

/* No agent at an address that came without a port: the service itself is next, within the same attempt. */
static bool tries_service_itself(struct origin *o, int err)
{
	struct exchange *x = o->x;

	if (!o->to_agent || !hello_has_direct_port(x) || addr_port(&o->ep->addr) || o->ep->addr.sa.sa_family == AF_UNIX)
		return false;
	if (o->ep->agent == ENDPOINT_AGENT && err == ETIMEDOUT)
		return false; /* one stood there: the whole instance is out of reach */
	hello_no_agent(x, o->ep);
	origin_close(o, STREAM_CLOSE);
	x->a.o = NULL;
	x->n_connects--; /* looking for an agent was no try */
	exchange_run(x);
	return true;
}

static void connect_failed(struct origin *o, int err)
{
	if (tries_service_itself(o, err))
		return;
	count(o->x->sc, COUNTER_CONNECT_FAILURES);
	origin_fail(o, origin_reason(err), err);
}

static void connected(struct origin *o)
{
	count(o->x->sc, COUNTER_CONNECTS);
	count_add(&o->ep->c.connects, 1);
	o->state = ORIGIN_BUSY;
	timer_clear(&o->timer);
}

/* The stock of a namespace is refilled within a millisecond or so. */
static int try_connect(struct origin *o, struct exchange *x)
{
	struct addr to = hello_address(x);
	int r = stream_connect(&o->s, exchange_spec(x)->ns, &to);

	o->no_socket = r < 0 && stream_errno(&o->s) == ENOBUFS && exchange_spec(x)->ns;
	return o->no_socket ? 0 : r;
}

static void await_connected(struct origin *o)
{
	usec soon = loop_now(o->w->loop) + (o->no_socket ? SOCKET_PAUSE : GONE_PAUSE);

	timer_set(o->w->loop, &o->timer, soon < o->until ? soon : o->until);
}

static void connect_again(struct origin *o)
{
	int r = try_connect(o, o->x);

	if (r < 0) {
		connect_failed(o, stream_errno(&o->s));
	} else if (r > 0) {
		connected(o);
		exchange_connected(o->x);
	} else {
		await_connected(o);
	}
}

void origin_connect_look(struct origin *o)
{
	int r = stream_connect_result(&o->s);

	if (r < 0)
		connect_failed(o, stream_errno(&o->s));
	if (r <= 0)
		return;
	connected(o);
	exchange_connected(o->x);
}

/* Nobody answers at an address that its registry has withdrawn meanwhile: a container that was killed. The call goes where the newer spec
 * says, instead of waiting for the rest of timeout.connect. */
static void give_up_address(struct origin *o)
{
	count(o->x->sc, COUNTER_CONNECT_FAILURES);
	origin_fail(o, REASON_CONNECT_TIMEOUT, ECANCELED);
}

void origin_connect_late(struct origin *o)
{
	if (loop_now(o->w->loop) >= o->until)
		connect_failed(o, o->no_socket ? ENOBUFS : ETIMEDOUT);
	else if (o->ep->gone && retry_leads_elsewhere(o->x))
		give_up_address(o);
	else if (o->no_socket)
		connect_again(o);
	else
		await_connected(o);
}

enum origin_start origin_connect(struct exchange *x)
{
	struct wendpoint *ep = x->a.ep;
	struct origin *o = mem_zalloc(sizeof(*o));

	if (!o) {
		x->a.err = ENOMEM;
		return ORIGIN_REFUSED;
	}
	o->w = x->w;
	o->ep = ep;
	list_init(&o->link);
	timer_init(&o->timer, origin_on_timer, o);
	stream_init(&o->s, x->w->loop, origin_on_readable, origin_on_writable, o);
	o->s.party = &x->sc->party;
	struct addr to = hello_address(x);
	bool portless = addr_port(&ep->addr) != addr_port(&to);
	o->port = addr_port(&to);
	o->to_agent = ep->agent != ENDPOINT_PLAIN && (!portless || o->port == AGENT_PORT);
	if (!o->to_agent)
		hello_unsaid(x, ep);
	int r = try_connect(o, x);
	if (r < 0 && portless && o->to_agent && hello_has_direct_port(x)) {
		hello_no_agent(x, ep);
		stream_close(&o->s, STREAM_CLOSE);
		mem_free(o);
		return origin_connect(x); /* once: it goes to the service itself now */
	}
	if (r < 0) {
		x->a.err = (uint32_t)stream_errno(&o->s);
		stream_close(&o->s, STREAM_CLOSE);
		mem_free(o);
		count(x->sc, COUNTER_CONNECT_FAILURES);
		return ORIGIN_REFUSED;
	}
	o->generation = ep->generation;
	ep->n_busy++;
	origin_attach(o, x);
	if (r == 1) {
		connected(o);
		return ORIGIN_READY;
	}
	o->state = ORIGIN_CONNECTING;
	usec limit = x->upstream->policy.connect_timeout;
	if (portless && o->to_agent && ep->agent != ENDPOINT_AGENT && limit > HELLO_PROBE_TIME)
		limit = HELLO_PROBE_TIME; /* a firewall that drops must not delay what needs no agent */
	usec try_limit = exchange_off(x) || x->upstream->mode != MODE_ON ? 0 : x->upstream->policy.try_timeout;
	if (try_limit && limit > try_limit)
		limit = try_limit;
	o->until = loop_now(x->w->loop) + limit;
	await_connected(o);
	return ORIGIN_WAIT;
}
