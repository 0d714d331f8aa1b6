#include "proxy/client.h"

#include "base/mem.h"
#include "proxy/origin.h"
#include "proxy/steps.h"

#include <unistd.h>

#define READS_PER_TURN 4               /* a client that floods leaves the others their turn */
#define LINGER_MAX (256u * 1024u)      /* bytes discarded after the last reply */
#define LINGER_TIME (2 * USEC_SEC)
#define SNIFF_BYTES 24
#define HALF_CLOSE_TIME (2 * USEC_SEC) /* a reply may still come that long after a FIN that nothing announced */

static void parse_head(struct client *c);

static const struct spec_sidecar *spec_of(const struct client *c)
{
	return c->l->sc->cur->spec;
}

/* --- closing ------------------------------------------------------------------------------------------- */

static void drop_input(struct client *c)
{
	block_unref(c->in);
	c->in = NULL;
}

static void shut(struct client *c, enum stream_close how)
{
	if (c->state == CLIENT_CLOSED)
		return;
	c->state = CLIENT_CLOSED;
	stream_close(&c->s, how);
	timer_clear(&c->timer);
	drop_input(c);
	list_remove(&c->ready);
	list_remove(&c->link);
	list_append(&c->w->dead_clients, &c->link);
	c->l->n_clients--;
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
	shut(c, how);
}

void client_close_idle(struct client *c)
{
	char byte;

	if (c->state == CLIENT_IDLE && !c->in && recv(c->s.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
		shut(c, STREAM_CLOSE); /* no request is on its way in */
}

void client_free(struct client *c)
{
	mem_free(c->connect_authority);
	mem_free(c);
}

/* --- buffers --------------------------------------------------------------------------------------------- */

static void stop_reading(struct client *c)
{
	c->read_off = true;
	stream_want_read(&c->s, false);
}

static void go_on_reading(struct client *c)
{
	if (!c->read_off || c->half_closed)
		return;
	c->read_off = false;
	stream_want_read(&c->s, true);
}

/* A consumed block is used again, or left to those who still refer to it. */
static void recycle_input(struct client *c)
{
	struct block *b = c->in;

	if (!b || b->start < b->end)
		return;
	if (b->refs == 1)
		b->start = b->end = 0;
	else
		drop_input(c);
}

/* Moves an incomplete head into a block that can hold the largest one. */
static bool grow_for_head(struct client *c)
{
	struct block *old = c->in;
	uint32_t n = old->end - old->start;
	uint32_t want = exchange_spec(c->x)->limits.h1.head + 1;
	struct block *b = want <= BLOCK_SMALL_BYTES ? block_get(&c->w->blocks, BLOCK_SMALL)
			: n < BLOCK_SMALL_BYTES / 2 ? block_get(&c->w->blocks, BLOCK_SMALL)
						    : block_get_huge(&c->w->blocks, want + BLOCK_SMALL_BYTES);
	if (!b)
		return false;
	memcpy(b->data, old->data + old->start, n);
	b->end = n;
	head_rebase(&c->x->req, old->data + old->start, n, b->data);
	block_unref(old);
	c->in = b;
	return true;
}

/* Reads once into c->in. > 0 bytes, 0 nothing now, < 0 as stream_read(). */
static ssize_t fill(struct client *c)
{
	struct block *b = c->in;
	ssize_t n = stream_read(&c->s, b->data + b->end, block_room(b));

	if (n > 0) {
		b->end += (uint32_t)n;
		count_n(c->l->sc, COUNTER_BYTES_IN, (uint64_t)n);
	}
	return n;
}

/* --- reading a head ---------------------------------------------------------------------------------------- */

static void head_incomplete(struct client *c)
{
	usec now = loop_now(c->w->loop);

	if (c->state != CLIENT_HEAD) {
		c->state = CLIENT_HEAD;
		c->active = now;
		timer_set(c->w->loop, &c->timer, now + exchange_spec(c->x)->times.head);
	}
	if (block_room(c->in) == 0 && !grow_for_head(c))
		shut(c, STREAM_CLOSE_RESET);
}

static void head_complete(struct client *c, struct exchange *x)
{
	c->in->start += c->parser.used;
	x->req_block = block_ref(c->in);
	recycle_input(c);
	c->state = CLIENT_EXCHANGE;
	c->active = loop_now(c->w->loop);
	c->requests++;
	usec stall = exchange_spec(x)->times.stall;
	if (stall)
		timer_set(c->w->loop, &c->timer, c->active + stall);
	exchange_start(x);
}

static void forget_exchange(struct client *c)
{
	struct exchange *x = c->x;

	c->x = NULL;
	x->c = NULL;
	exchange_finish(x);
}

static void parse_head(struct client *c)
{
	if (!c->x) {
		c->x = exchange_new(c->w, c->l, c, &client_ops);
		if (!c->x) {
			shut(c, STREAM_CLOSE_RESET);
			return;
		}
		h1_parser_init(&c->parser);
	}
	struct exchange *x = c->x;
	switch (h1_parse_request(&c->parser, &x->req, c->in->data + c->in->start, c->in->end - c->in->start,
				 &exchange_spec(x)->limits.h1, &x->arena)) {
	case H1_MORE:
		head_incomplete(c);
		if (c->state == CLIENT_CLOSED)
			forget_exchange(c);
		return;
	case H1_DONE:
		head_complete(c, x);
		return;
	case H1_BAD:
		c->state = CLIENT_EXCHANGE;
		c->requests++;
		exchange_reject(x, c->parser.why);
		return;
	}
}

static void read_head(struct client *c)
{
	if (!c->in && !(c->in = block_get(&c->w->blocks, BLOCK_SMALL))) {
		shut(c, STREAM_CLOSE_RESET);
		return;
	}
	ssize_t n = fill(c);
	if (n > 0) {
		parse_head(c);
	} else if (n < 0) {
		if (c->x)
			forget_exchange(c);
		shut(c, STREAM_CLOSE);
	} else if (c->in->start == c->in->end) {
		drop_input(c);
	}
}

/* --- reading a body, or ahead -------------------------------------------------------------------------------- */

static bool wants_body(const struct exchange *x)
{
	return !x->request_done && x->step == STEP_RELAY && !x->up.paused;
}

/* Decodes what lies in c->in. false: x went another way. */
static bool feed_body(struct client *c, struct exchange *x)
{
	while (c->in && c->in->start < c->in->end && !x->up.ended) {
		switch (flow_feed(&x->up, &c->w->blocks, c->in)) {
		case FLOW_MORE:
		case FLOW_END:
			break;
		case FLOW_FULL:
			x->up.paused = true;
			return true;
		case FLOW_BAD:
			exchange_request_failed(x, REASON_BAD_CHUNK);
			return false;
		case FLOW_LARGE:
			exchange_request_failed(x, REASON_BODY_TOO_LARGE);
			return false;
		case FLOW_NOMEM:
			exchange_request_failed(x, REASON_NO_MEMORY);
			return false;
		}
	}
	recycle_input(c);
	return true;
}

/* The client sent FIN (docs/decisions/0003): it left, or it has only said its last word. */
static void client_eof(struct client *c, ssize_t how)
{
	struct exchange *x = c->x;

	if (how != STREAM_EOF || !(x->request_done || x->tcp)) {
		exchange_client_gone(x);
		return;
	}
	c->half_closed = true;
	stop_reading(c);
	bool said_so = x->tcp || (c->in && c->in->start < c->in->end) || x->req.minor == 0 || !x->req.keep_alive;
	c->gone_soon = !said_so;
	if (!said_so)
		timer_set(c->w->loop, &c->timer, loop_now(c->w->loop) + HALF_CLOSE_TIME);
}

static bool room_to_read(struct client *c, const struct exchange *x)
{
	if (c->in && block_room(c->in) > 0)
		return true;
	if (c->in && c->in->start < c->in->end)
		return false; /* full of bytes that cannot be used yet */
	drop_input(c);
	c->in = block_get(&c->w->blocks, x->up.left > BLOCK_SMALL_BYTES || x->up.bytes > BLOCK_SMALL_BYTES
						 ? BLOCK_LARGE
						 : BLOCK_SMALL);
	return c->in != NULL;
}

static void read_exchange(struct client *c)
{
	struct exchange *x = c->x;

	for (int i = 0; i < READS_PER_TURN; i++) {
		if (!room_to_read(c, x)) {
			stop_reading(c);
			return;
		}
		uint32_t room = block_room(c->in);
		ssize_t n = fill(c);
		if (n < 0) {
			client_eof(c, n);
			return;
		}
		if (n == 0)
			return;
		if (wants_body(x)) {
			if (!feed_body(c, x))
				return;
			if (x->up.paused)
				stop_reading(c);
			exchange_request_moved(x);
			if (c->x != x)
				return;
		}
		if ((uint32_t)n < room || c->read_off)
			return;
	}
}

static void read_linger(struct client *c)
{
	char waste[4096];
	ssize_t n = stream_read(&c->s, waste, sizeof(waste));

	if (n > 0)
		c->linger += (uint32_t)n;
	if (n < 0 || c->linger > LINGER_MAX)
		shut(c, STREAM_CLOSE);
}

/* --- after CONNECT: HTTP, or bytes? ------------------------------------------------------------------------ */

enum sniff { SNIFF_MORE, SNIFF_HTTP, SNIFF_OTHER };

static enum sniff looks_like_http(const struct block *b)
{
	struct str s = str_make(b->data + b->start, b->end - b->start);
	size_t i = 0;

	while (i < s.n && i < SNIFF_BYTES && s.p[i] >= 'A' && s.p[i] <= 'Z')
		i++;
	if (i == s.n && i < SNIFF_BYTES)
		return SNIFF_MORE;
	if (i == 0 || i >= s.n || s.p[i] != ' ')
		return SNIFF_OTHER;
	enum http_method m = method_lookup(str_make(s.p, i));
	return m != METHOD_OTHER && m != METHOD_CONNECT ? SNIFF_HTTP : SNIFF_OTHER;
}

void client_sniff_end(struct client *c)
{
	struct origin *o = c->sniff;

	c->sniff = NULL;
	o->sniffer = NULL;
	tunnel_join(c, o);
}

static void sniff_http(struct client *c)
{
	struct origin *o = c->sniff;

	c->sniff = NULL;
	o->sniffer = NULL;
	origin_rest(o, 2 * USEC_SEC, 16);
	c->state = CLIENT_IDLE;
	parse_head(c);
}

static void judge_sniff(struct client *c, bool ended)
{
	enum sniff what = ended ? SNIFF_OTHER : looks_like_http(c->in);

	if (what == SNIFF_HTTP)
		sniff_http(c);
	else if (what == SNIFF_OTHER)
		client_sniff_end(c); /* an end of stream is relayed like any other byte */
}

static void read_sniff(struct client *c)
{
	if (!c->in && !(c->in = block_get(&c->w->blocks, BLOCK_SMALL))) {
		shut(c, STREAM_CLOSE_RESET);
		return;
	}
	ssize_t n = fill(c);
	if (n != 0)
		judge_sniff(c, n < 0);
}

/* --- callbacks of the stream and the timer -------------------------------------------------------------------- */

static void on_readable(void *arg)
{
	struct client *c = arg;

	switch (c->state) {
	case CLIENT_IDLE:
	case CLIENT_HEAD:
		read_head(c);
		break;
	case CLIENT_EXCHANGE:
		read_exchange(c);
		break;
	case CLIENT_SNIFF:
		read_sniff(c);
		break;
	case CLIENT_LINGER:
		read_linger(c);
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

/* Nothing moved for the time that outrider.stall-timeout allows: whose fault is it? */
static void check_stall(struct client *c, struct exchange *x)
{
	usec stall = exchange_spec(x)->times.stall, now = loop_now(c->w->loop);

	if (!stall)
		return;
	bool waits = x->step == STEP_RELAY && (x->head_down || !x->request_done);
	if (!waits || now - x->moved < stall) {
		timer_set(c->w->loop, &c->timer, (waits ? x->moved : now) + stall);
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
		if (c->gone_soon)
			exchange_client_gone(c->x);
		else
			check_stall(c, c->x);
		break;
	case CLIENT_IDLE:
	case CLIENT_LINGER:
		shut(c, STREAM_CLOSE);
		break;
	default:
		break;
	}
}

/* --- what an exchange asks for ---------------------------------------------------------------------------------- */

static void pull(struct exchange *x)
{
	struct client *c = x->c;

	go_on_reading(c);
	if (wants_body(x) && !feed_body(c, x))
		return;
	if (x->up.paused)
		stop_reading(c);
	exchange_request_moved(x);
}

static void linger(struct client *c)
{
	c->state = CLIENT_LINGER;
	c->linger = 0;
	drop_input(c);
	stream_shutdown(&c->s);
	go_on_reading(c);
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
		drop_input(c);
	if (c->in)
		list_append(&c->w->ready, &c->ready);
	else
		go_on_reading(c);
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
		shut(c, STREAM_CLOSE_RESET);
	else if (x->close_down && more && !c->half_closed)
		linger(c);
	else if (x->close_down || (c->half_closed && !more))
		shut(c, STREAM_CLOSE);
	else
		rest(c);
}

void client_resume(struct client *c)
{
	go_on_reading(c);
	if (c->state == CLIENT_SNIFF)
		judge_sniff(c, false);
	if (c->state != CLIENT_IDLE || !c->in)
		return;
	parse_head(c);
	if (c->half_closed && (c->state == CLIENT_IDLE || c->state == CLIENT_HEAD)) {
		if (c->x)
			forget_exchange(c);
		shut(c, STREAM_CLOSE);
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
		shut(c, STREAM_CLOSE_RESET);
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

	if (c->state != CLIENT_CLOSED && !last)
		go_on_reading(c);
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
	count(l->sc, COUNTER_CONNECTIONS);
	count_n(l->sc, COUNTER_CONNECTIONS_OPEN, 1);
	stream_init(&c->s, w->loop, on_readable, on_writable, c);
	stream_adopt(&c->s, fd);
	c->read_off = true;
	timer_set(w->loop, &c->timer, c->since + spec->times.idle);
	if (refuse)
		count(l->sc, COUNTER_CONNECTIONS_REFUSED);
	if (refuse || l->kind == LISTEN_PINNED_TCP)
		start_at_once(c, refuse);
	else
		read_head(c); /* its first request is likely there already */
	watch_when_needed(c);
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
