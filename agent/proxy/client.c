#include "proxy/client_int.h"

#include "base/mem.h"
#include "proxy/origin.h"
#include "proxy/steps.h"

#include <unistd.h>

#define LINGER_TIME (2 * USEC_SEC)
#define LOOK_TIME USEC_SEC

static const struct spec_sidecar *spec_of(const struct client *c)
{
	return c->l->sc->cur->spec;
}

/* --- closing ------------------------------------------------------------------------------------------- */

void client_drop_input(struct client *c)
{
	block_unref(c->in);
	c->in = NULL;
}

void client_shut(struct client *c, enum stream_close how)
{
	if (c->state == CLIENT_CLOSED)
		return;
	c->state = CLIENT_CLOSED;
	stream_close(&c->s, how);
	timer_clear(&c->timer);
	client_drop_input(c);
	list_remove(&c->ready);
	list_remove(&c->link);
	list_append(&c->w->dead_clients, &c->link);
	c->l->n_clients--;
	c->l->sc->n_clients--;
	c->w->n_clients--;
	c->l->n_dead++; /* until it is buried it points to its listener */
	count_down(c->l->sc, COUNTER_CONNECTIONS_OPEN);
	if (c->sniff) {
		c->sniff->sniffer = NULL;
		origin_close(c->sniff, STREAM_CLOSE);
		c->sniff = NULL;
	}
}

void client_close(struct client *c, enum stream_close how)
{
	if (c->x)
		exchange_client_gone(c->x); /* leaves with a reset */
	client_shut(c, how);
}

void client_close_idle(struct client *c)
{
	char byte;

	if (c->state == CLIENT_IDLE && !c->in && recv(c->s.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
		client_shut(c, STREAM_CLOSE); /* no request is on its way in */
}

void client_free(struct client *c)
{
	mem_free(c->connect_authority);
	mem_free(c);
}

/* --- callbacks of the stream and the timer -------------------------------------------------------------------- */

static void on_readable(void *arg)
{
	struct client *c = arg;

	switch (c->state) {
	case CLIENT_IDLE:
	case CLIENT_HEAD:
		client_read_head(c);
		break;
	case CLIENT_EXCHANGE:
		client_read_exchange(c);
		break;
	case CLIENT_SNIFF:
		client_read_sniff(c);
		break;
	case CLIENT_LINGER:
		client_read_linger(c);
		break;
	default:
		break;
	}
}

static void flush(struct exchange *x)
{
	struct client *c = x->c;
	struct outq *q = &x->down_flow.q;
	uint64_t before = q->sent;
	enum outq_result r = outq_write(q, &c->s);

	count_n(x->sc, COUNTER_BYTES_OUT, q->sent - before);
	if (r == OUTQ_FAILED) {
		exchange_client_gone(x);
		return;
	}
	if (c->s.wr.on != (r == OUTQ_PART))
		stream_want_write(&c->s, r == OUTQ_PART);
	exchange_client_flushed(x);
}

static void on_writable(void *arg)
{
	struct client *c = arg;

	if (c->x)
		flush(c->x);
	else
		stream_want_write(&c->s, false);
}

void client_look_after(struct client *c)
{
	if (c->state == CLIENT_EXCHANGE)
		timer_set(c->w->loop, &c->timer, loop_now(c->w->loop) + LOOK_TIME);
}

void client_await_move(struct client *c, usec stall)
{
	if (stall && c->state == CLIENT_EXCHANGE)
		timer_set(c->w->loop, &c->timer, loop_now(c->w->loop) + stall);
}

/* Nothing moved for the time that outrider.stall-timeout allows: whose fault is it? */
static void check_stall(struct client *c, struct exchange *x)
{
	usec stall = exchange_stall(x), now = loop_now(c->w->loop);

	if (!stall)
		return;
	bool waits = x->step == STEP_RELAY && (x->head_down || !x->request_done);
	if (!waits || now - x->moved < stall) {
		usec due = (waits ? x->moved : now) + stall;
		if (!c->read_off || due < c->timer.deadline)
			timer_set(c->w->loop, &c->timer, due);
		return;
	}
	exchange_request_failed(x, x->head_down || x->up.q.bytes ? REASON_RELAY_STALL : REASON_BODY_TIMEOUT);
}

static void on_timer(void *arg)
{
	struct client *c = arg;

	switch (c->state) {
	case CLIENT_HEAD:
		c->state = CLIENT_EXCHANGE;
		exchange_reject(c->x, REASON_HEAD_TIMEOUT);
		break;
	case CLIENT_EXCHANGE:
		if (c->gone_soon || (c->read_off && stream_broken(&c->s))) {
			exchange_client_gone(c->x);
			break;
		}
		if (c->read_off)
			client_look_after(c);
		check_stall(c, c->x);
		break;
	case CLIENT_IDLE:
	case CLIENT_LINGER:
		client_shut(c, STREAM_CLOSE);
		break;
	default:
		break;
	}
}

/* --- what an exchange asks for ---------------------------------------------------------------------------------- */

static void pull(struct exchange *x)
{
	struct client *c = x->c;

	client_go_on_reading(c);
	if (client_wants_body(x) && !client_feed_body(c, x))
		return;
	if (x->up.paused)
		client_stop_reading(c);
	exchange_request_moved(x);
}

static void linger(struct client *c)
{
	c->state = CLIENT_LINGER;
	c->linger = 0;
	client_drop_input(c);
	stream_shutdown(&c->s);
	client_go_on_reading(c);
	timer_clear(&c->timer);
	timer_set(c->w->loop, &c->timer, loop_now(c->w->loop) + LINGER_TIME);
}

/* Between two requests: no buffer unless the next one has begun to arrive. */
static void rest(struct client *c)
{
	usec now = loop_now(c->w->loop);

	c->state = c->sniff ? CLIENT_SNIFF : CLIENT_IDLE;
	c->active = now;
	timer_set(c->w->loop, &c->timer, now + spec_of(c)->times.idle);
	if (c->in && c->in->start == c->in->end)
		client_drop_input(c);
	if (c->in)
		list_append(&c->w->ready, &c->ready);
	else
		client_go_on_reading(c);
}

static void leave(struct exchange *x, bool clean)
{
	struct client *c = x->c;
	bool more = !x->request_done || (c->in && c->in->start < c->in->end);

	c->x = NULL;
	x->c = NULL;
	if (c->state == CLIENT_CLOSED)
		return;
	if (c->s.wr.on)
		stream_want_write(&c->s, false);
	if (!clean)
		client_shut(c, STREAM_CLOSE_RESET);
	else if (x->close_down && more && !c->half_closed)
		linger(c);
	else if (x->close_down || (c->half_closed && !more))
		client_shut(c, STREAM_CLOSE);
	else
		rest(c);
}

void client_resume(struct client *c)
{
	client_go_on_reading(c);
	if (c->state == CLIENT_SNIFF)
		client_judge_sniff(c, false);
	if (c->state != CLIENT_IDLE || !c->in)
		return;
	client_parse_head(c);
	if (c->half_closed && (c->state == CLIENT_IDLE || c->state == CLIENT_HEAD)) {
		if (c->x)
			client_forget_exchange(c);
		client_shut(c, STREAM_CLOSE);
	}
}

const struct session_ops client_ops = {
	.head = forward_response_head,
	.flush = flush,
	.pull = pull,
	.leave = leave,
};

/* --- the beginning -------------------------------------------------------------------------------------------------- */

static void start_at_once(struct client *c, bool refuse)
{
	struct exchange *x = exchange_new(c->w, c->l, c, &client_ops);

	if (!x) {
		client_shut(c, STREAM_CLOSE_RESET);
		return;
	}
	c->x = x;
	c->state = CLIENT_EXCHANGE;
	x->req.minor = 1;
	if (refuse)
		exchange_reject(x, REASON_TOO_MANY_CONNECTIONS);
	else
		exchange_start_tcp(x);
}

/* A client whose last request is complete has nothing to say any more, and its FIN means nothing (decision 0003): its
 * connection ends without ever having been watched. */
static void watch_when_needed(struct client *c)
{
	bool last = c->state == CLIENT_EXCHANGE && c->x && !c->x->tcp && c->x->request_done && !c->x->req.keep_alive;

	if (last)
		client_look_after(c);
	else if (c->state != CLIENT_CLOSED)
		client_go_on_reading(c);
}

void client_accept(struct wlistener *l, int fd, const struct addr *peer)
{
	struct worker *w = l->w;
	const struct spec_sidecar *spec = l->sc->cur->spec;
	struct client *c = mem_zalloc(sizeof(*c));

	if (!c) {
		count(l->sc, COUNTER_CONNECTIONS_REFUSED);
		close(fd);
		return;
	}
	c->w = w;
	c->l = l;
	c->peer = *peer;
	c->since = c->active = loop_now(w->loop);
	list_init(&c->ready);
	timer_init(&c->timer, on_timer, c);
	list_push(&l->clients, &c->link);
	bool refuse = spec->limits.connections && l->n_clients >= spec->limits.connections;
	l->n_clients++;
	l->sc->n_clients++;
	w->n_clients++;
	count(l->sc, COUNTER_CONNECTIONS);
	count_n(l->sc, COUNTER_CONNECTIONS_OPEN, 1);
	stream_init(&c->s, w->loop, on_readable, on_writable, c);
	c->s.party = &l->sc->party;
	stream_adopt(&c->s, fd);
	c->read_off = true;
	timer_set(w->loop, &c->timer, c->since + spec->times.idle);
	if (refuse)
		count(l->sc, COUNTER_CONNECTIONS_REFUSED);
	if (refuse || l->kind == LISTEN_PINNED_TCP)
		start_at_once(c, refuse);
	else
		client_read_head(c); /* its first request is likely there already */
	watch_when_needed(c);
	overload_saw(w, fd);
}

const struct addr *client_local(struct client *c)
{
	const struct spec_sidecar *spec = spec_of(c);

	if (c->local.len)
		return &c->local;
	if (c->l->index < spec->n_listeners && !addr_is_any(&spec->listeners[c->l->index].addr))
		c->local = spec->listeners[c->l->index].addr; /* it listens at one address only */
	else if (!socket_local(c->s.fd, &c->local))
		return NULL;
	addr_unmap(&c->local);
	return &c->local;
}

const char *client_state_name(const struct client *c)
{
	static const char *const names[] = { "idle", "head", "exchange", "connect", "tunnel", "linger", "closed" };

	return names[c->state];
}
