#include "bus_wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static void down(struct bus_wire *w, const char *why)
{
	struct err kept; /* `why` may stand in what goes now */

	err_set(&kept, "%s", why);
	if (w->query)
		resolve_cancel(w->query);
	w->query = NULL;
	timer_clear(&w->timer);
	stream_close(&w->net.stream, STREAM_CLOSE);
	stream_shutdown(&w->own.stream);
	w->state = BUS_WIRE_ENDED;
	w->events->on_down(w->arg, kept.text);
}

static void down_stream(struct bus_wire *w, ssize_t what)
{
	struct err why = { .text = "" };

	if (what == STREAM_ERROR && !w->net.stream.tls && stream_errno(&w->net.stream) == ECONNRESET)
		what = STREAM_EOF;
	if (what != STREAM_EOF && (w->net.stream.tls || what == STREAM_ERROR))
		tls_why(&w->net.stream, &why);
	else if (w->state != BUS_WIRE_UP)
		err_set(&why, "it closed the connection");
	down(w, why.text);
}

/* --- both ways ----------------------------------------------------------------------------------------------------- */

/* What lies in `from` goes to `to`. false: to's stream is at its end. */
static bool pass(struct bus_wire_side *from, struct bus_wire_side *to, ssize_t *what)
{
	while (from->sent < from->n) {
		struct iovec v = { from->bytes + from->sent, from->n - from->sent };
		ssize_t n = stream_writev(&to->stream, &v, 1);
		if (n < 0) {
			*what = n;
			return false;
		}
		if (n == 0)
			break;
		from->sent += (size_t)n;
	}
	bool empty = from->sent == from->n;
	if (empty)
		from->n = from->sent = 0;
	stream_want_write(&to->stream, !empty);
	stream_want_read(&from->stream, empty);
	return true;
}

/* Reads once and passes it on: true, unless one of the two is at its end. *left: more may be there. */
static bool carry(struct bus_wire_side *from, struct bus_wire_side *to, bool *left)
{
	struct bus_wire *w = from->wire;
	ssize_t what = 0, n = stream_read(&from->stream, from->bytes, sizeof(from->bytes));
	struct err why;

	*left = n > 0;
	if (n == 0)
		return true;
	if (from == &w->net && n < 0) {
		down_stream(w, n);
		return false;
	}
	if (n < 0) { /* the thread has ended; its owner hears of that by itself */
		stream_want_read(&from->stream, false);
		return false;
	}
	if (from == &w->net && !bus_guard_feed(&w->guard, from->bytes, (size_t)n, &why)) {
		down(w, why.text);
		return false;
	}
	from->n = (size_t)n;
	if (pass(from, to, &what))
		return true;
	from->n = from->sent = 0;
	if (to == &w->net)
		down_stream(w, what);
	else
		stream_want_read(&from->stream, false);
	return false;
}

static void on_own_readable(void *arg)
{
	struct bus_wire *w = arg;
	bool left;

	if (w->state != BUS_WIRE_UP) /* what the thread says now goes nowhere */
		stream_want_read(&w->own.stream, false);
	else if (w->own.n == 0)
		(void)carry(&w->own, &w->net, &left);
}

static void on_net_readable(void *arg)
{
	struct bus_wire *w = arg;
	bool left = true;

	if (w->state != BUS_WIRE_UP) { /* TLS in the making, or a broker that speaks before it was asked */
		char byte;
		ssize_t n = stream_read(&w->net.stream, &byte, 1);
		if (n < 0)
			down_stream(w, n);
		else if (n > 0)
			down(w, "it speaks before it was asked: is this the port of RabbitMQ (5672)?");
		return;
	}
	/* Of TLS no poll announces what is decrypted already. */
	while (w->net.n == 0 && left && carry(&w->net, &w->own, &left) && stream_pending(&w->net.stream) > 0)
		continue;
}

static void on_own_writable(void *arg)
{
	struct bus_wire *w = arg;
	ssize_t what;

	if (!pass(&w->net, &w->own, &what))
		stream_want_write(&w->own.stream, false);
	else if (w->net.n == 0 && w->state == BUS_WIRE_UP && stream_pending(&w->net.stream) > 0)
		on_net_readable(w);
}

/* --- connecting ---------------------------------------------------------------------------------------------------- */

static void up(struct bus_wire *w)
{
	int pair[2];

	timer_clear(&w->timer);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
		down(w, strerror(errno));
		return;
	}
	if (!stream_open(&w->own.stream, pair[0])) {
		close(pair[1]);
		down(w, "no memory");
		return;
	}
	w->state = BUS_WIRE_UP;
	w->events->on_up(w->arg, pair[1]);
}

static void connected(struct bus_wire *w)
{
	struct err why;

	if (!w->to->secure) {
		up(w);
		return;
	}
	w->state = BUS_WIRE_SHAKING;
	if (!tls_start(&w->net.stream, w->tls, str_of(w->to->host), w->to->port, &why))
		down(w, why.text);
}

static void on_net_writable(void *arg)
{
	struct bus_wire *w = arg;
	ssize_t what;

	if (w->state == BUS_WIRE_CONNECTING) {
		int r = stream_connect_result(&w->net.stream);
		if (r < 0)
			down(w, strerror(stream_errno(&w->net.stream)));
		else if (r > 0)
			connected(w);
	} else if (w->state == BUS_WIRE_SHAKING) {
		stream_want_write(&w->net.stream, false);
		up(w);
	} else if (!pass(&w->own, &w->net, &what)) {
		down_stream(w, what);
	}
}

static void on_addresses(void *arg, const struct addr *addrs, size_t n, const char *why)
{
	struct bus_wire *w = arg;

	w->query = NULL;
	if (n == 0) {
		down(w, why);
		return;
	}
	w->state = BUS_WIRE_CONNECTING;
	int r = stream_connect(&w->net.stream, w->ns, &addrs[w->turn % n]);
	if (r < 0)
		down(w, strerror(stream_errno(&w->net.stream)));
	else if (r > 0)
		connected(w);
}

static void on_timer(void *arg)
{
	struct bus_wire *w = arg;
	static const char *const what[] = {
		[BUS_WIRE_RESOLVING] = "its name is not resolved in time",
		[BUS_WIRE_CONNECTING] =
			"no connection in time: is the address right, and does a firewall let it through?",
		[BUS_WIRE_SHAKING] =
			"the TLS handshake does not end in time: does it speak TLS on this port (5671)?",
	};

	if (w->state >= BUS_WIRE_RESOLVING && w->state <= BUS_WIRE_SHAKING)
		down(w, what[w->state]);
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

void bus_wire_init(struct bus_wire *w, struct loop *loop, struct netspace *ns, struct resolver *resolver,
	const struct bus_wire_events *events, void *arg)
{
	w->loop = loop;
	w->ns = ns;
	w->resolver = resolver;
	w->events = events;
	w->arg = arg;
	w->state = BUS_WIRE_OFF;
	w->net.wire = w->own.wire = w;
	stream_init(&w->net.stream, loop, on_net_readable, on_net_writable, w);
	stream_init(&w->own.stream, loop, on_own_readable, on_own_writable, w);
	timer_init(&w->timer, on_timer, w);
}

void bus_wire_open(struct bus_wire *w, const struct bus_address *to, unsigned turn)
{
	bus_wire_close(w);
	w->to = to;
	w->turn = turn;
	w->guard = (struct bus_guard){ .begun = false };
	w->state = BUS_WIRE_RESOLVING;
	timer_set(w->loop, &w->timer, loop_now(w->loop) + BUS_OPEN_TIME);
	w->query = resolve(w->resolver, str_of(to->host), to->port, on_addresses, w);
	if (!w->query)
		down(w, "too many names are being resolved");
}

void bus_wire_ready(struct bus_wire *w)
{
	w->guard.ready = true;
}

void bus_wire_stop(struct bus_wire *w)
{
	stream_shutdown(&w->own.stream);
}

void bus_wire_close(struct bus_wire *w)
{
	bool left;

	if (w->state == BUS_WIRE_UP && w->own.n == 0) /* the thread's farewell */
		(void)carry(&w->own, &w->net, &left);
	if (w->query)
		resolve_cancel(w->query);
	w->query = NULL;
	if (w->timer.fn)
		timer_clear(&w->timer);
	stream_close(&w->net.stream, STREAM_CLOSE);
	stream_close(&w->own.stream, STREAM_CLOSE);
	w->net.n = w->net.sent = w->own.n = w->own.sent = 0;
	w->state = BUS_WIRE_OFF;
}
