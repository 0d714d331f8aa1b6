#include "proxy/origin.h"

#include "base/mem.h"
#include "proxy/client.h"
#include "proxy/hello.h"
#include "proxy/steps.h"

#include <errno.h>

#define READS_PER_TURN 4

/* --- closing --------------------------------------------------------------------------------------------- */

static void drop_input(struct origin *o)
{
	block_unref(o->in);
	o->in = NULL;
}

void origin_close(struct origin *o, enum stream_close how)
{
	if (o->state == ORIGIN_CLOSED)
		return;
	if (o->state == ORIGIN_IDLE)
		pool_remove(o);
	o->ep->n_busy--;
	o->state = ORIGIN_CLOSED;
	o->x = NULL;
	stream_close(&o->s, how);
	timer_clear(&o->timer);
	drop_input(o);
	list_remove(&o->link);
	list_append(&o->w->dead_origins, &o->link);
}

void origin_free(struct origin *o)
{
	mem_free(o);
}

enum reason origin_reason(int err)
{
	switch (err) {
	case ECONNREFUSED:
	case ENOENT: /* a Unix socket that is not there */
		return REASON_CONNECT_REFUSED;
	case ETIMEDOUT:
		return REASON_CONNECT_TIMEOUT;
	default:
		return REASON_CONNECT_FAILED;
	}
}

/* The attempt fails before a response head. */
static void fail(struct origin *o, enum reason why, int err)
{
	struct exchange *x = o->x;

	x->a.got_bytes = o->got_bytes;
	origin_close(o, STREAM_CLOSE);
	exchange_attempt_failed(x, why, err);
}

/* --- reading the response ------------------------------------------------------------------------------------ */

static bool grow_for_head(struct origin *o)
{
	struct block *old = o->in;
	uint32_t n = old->end - old->start;
	struct block *b =
		block_get_huge(&o->w->blocks, exchange_spec(o->x)->limits.h1.head + 1 + BLOCK_SMALL_BYTES);

	if (!b)
		return false;
	memcpy(b->data, old->data + old->start, n);
	b->end = n;
	head_rebase(&o->x->res, old->data + old->start, n, b->data);
	block_unref(old);
	o->in = b;
	return true;
}

static bool head_complete(struct origin *o, struct exchange *x)
{
	bool interim = x->res.status < 200 && x->res.status != 101;

	o->in->start += o->parser.used;
	block_unref(x->res_block);
	x->res_block = block_ref(o->in);
	o->head_done = !interim;
	if (!exchange_response_head(x) || o->x != x)
		return false;
	if (interim) {
		head_init(&x->res);
		h1_parser_init(&o->parser);
	}
	return true;
}

/* Parses heads until the final one. false: nothing more to do now. */
static bool parse_heads(struct origin *o, struct exchange *x)
{
	const struct spec_limits *lim = &exchange_spec(x)->limits;

	while (!o->head_done) {
		if (o->in->start == o->in->end)
			return false;
		enum h1_result r = h1_parse_response(&o->parser, &x->res, o->in->data + o->in->start,
						     o->in->end - o->in->start, &lim->h1,
						     (enum http_method)x->req.method, &x->arena);
		if (r == H1_MORE) {
			if (block_room(o->in) == 0 && !grow_for_head(o))
				fail(o, REASON_NO_MEMORY, 0);
			return false;
		}
		if (r == H1_BAD) {
			fail(o, o->parser.why, 0);
			return false;
		}
		if (!head_complete(o, x))
			return false;
	}
	return true;
}

static void stop_reading(struct origin *o)
{
	o->read_off = true;
	stream_want_read(&o->s, false);
}

/* Decodes what lies in o->in and passes it on. false: x went another way or is gone. */
static bool feed_body(struct origin *o, struct exchange *x)
{
	struct flow *f = &x->down_flow;

	while (o->in && o->in->start < o->in->end && !f->ended && !f->paused) {
		switch (flow_feed(f, &o->w->blocks, o->in)) {
		case FLOW_MORE:
		case FLOW_END:
		case FLOW_LARGE:
			break;
		case FLOW_FULL:
			f->paused = true;
			break;
		case FLOW_BAD:
			exchange_response_failed(x, REASON_BAD_RESPONSE_CHUNK);
			return false;
		case FLOW_NOMEM:
			exchange_response_failed(x, REASON_NO_MEMORY);
			return false;
		}
	}
	block_recycle(&o->in);
	if (f->paused && !o->read_off)
		stop_reading(o);
	exchange_response_moved(x);
	return o->x == x;
}

/* Looks at what was received. false: this origin has nothing more to do for x. */
static bool process(struct origin *o, struct exchange *x)
{
	if (!o->head_done && !parse_heads(o, x))
		return o->x == x;
	return feed_body(o, x);
}

static void response_ended(struct origin *o, struct exchange *x, ssize_t how)
{
	int err = how == STREAM_ERROR ? stream_errno(&o->s) : 0;

	if (!o->head_done) {
		if (o->uses > 1 && !o->got_bytes)
			count(x->sc, COUNTER_STALE);
		fail(o, err ? REASON_UPSTREAM_RESET : REASON_UPSTREAM_CLOSED, err);
		return;
	}
	if (how == STREAM_EOF && flow_close(&x->down_flow, &o->w->blocks) == FLOW_END)
		exchange_response_moved(x);
	else
		exchange_response_failed(x, REASON_RESPONSE_CUT);
}

static bool room_to_read(struct origin *o, const struct exchange *x)
{
	const struct flow *f = &x->down_flow;

	if (o->in && block_room(o->in) > 0 && (o->in->refs == 1 || o->in->start < o->in->end || !o->head_done))
		return true;
	if (o->in && o->in->start < o->in->end)
		return false;
	drop_input(o);
	bool large = o->head_done && (f->left > BLOCK_SMALL_BYTES || f->bytes > BLOCK_SMALL_BYTES) &&
		     !outq_is_short(&o->w->blocks);
	o->in = block_get(&o->w->blocks, large ? BLOCK_LARGE : BLOCK_SMALL);
	return o->in != NULL;
}

static void read_response(struct origin *o)
{
	struct exchange *x = o->x;

	for (int i = 0; i < READS_PER_TURN; i++) {
		if (!room_to_read(o, x)) {
			if (o->in) {
				stop_reading(o);
			} else if (o->head_done) {
				exchange_response_failed(x, REASON_NO_MEMORY);
			} else {
				fail(o, REASON_NO_MEMORY, 0);
			}
			return;
		}
		struct block *b = o->in;
		uint32_t room = block_room(b);
		ssize_t n = stream_read(&o->s, b->data + b->end, room);
		if (n < 0) {
			response_ended(o, x, n);
			return;
		}
		if (n == 0)
			return;
		b->end += (uint32_t)n;
		o->got_bytes = true;
		if (!process(o, x) || (uint32_t)n < room || o->read_off)
			return;
	}
}

/* A resting connection became readable: the peer closed it, or says what nobody asked for. */
static void idle_readable(struct origin *o)
{
	char c;
	usec age = loop_now(o->w->loop) - o->rested;

	if (stream_read(&o->s, &c, 1) == 0)
		return;
	if (age >= USEC_SEC && age < o->ep->idle_age)
		o->ep->idle_age = age; /* its closing age, as seen */
	origin_close(o, STREAM_CLOSE);
}

/* --- callbacks ------------------------------------------------------------------------------------------------- */

static void on_readable(void *arg)
{
	struct origin *o = arg;

	if (o->sniffer)
		client_sniff_end(o->sniffer);
	else if (o->state == ORIGIN_IDLE)
		idle_readable(o);
	else if (o->state == ORIGIN_BUSY && o->x)
		read_response(o);
}

static void write_failed(struct origin *o, struct exchange *x)
{
	int err = stream_errno(&o->s);

	if (o->s.wr.on)
		stream_want_write(&o->s, false);
	if (x->up.q.sent == x->a.sent_before && !o->got_bytes) {
		count(x->sc, COUNTER_STALE);
		fail(o, REASON_UPSTREAM_RESET, err);
		return;
	}
	/* It stopped listening in mid-request: what it says about that is still to be read. */
	o->write_failed = true;
	x->up.discard = true;
	outq_clear(&x->up.q);
	if (!o->read_off)
		read_response(o);
}

static void flush(struct exchange *x)
{
	struct origin *o = x->a.o;

	if (o->write_failed) {
		outq_clear(&x->up.q);
		exchange_origin_flushed(x);
		return;
	}
	enum outq_result r = outq_write(&x->up.q, &o->s);
	if (r == OUTQ_FAILED) {
		write_failed(o, x);
		return;
	}
	if (o->s.wr.on != (r == OUTQ_PART))
		stream_want_write(&o->s, r == OUTQ_PART);
	if (x->up.paused)
		exchange_origin_flushed(x);
}

/* No agent at an address that came without a port: the service itself is next, within the same attempt. */
static bool tries_service_itself(struct origin *o)
{
	struct exchange *x = o->x;

	if (!o->to_agent || addr_port(&o->ep->addr) || o->ep->addr.sa.sa_family == AF_UNIX)
		return false;
	hello_no_agent(o->ep, loop_now(o->w->loop));
	origin_close(o, STREAM_CLOSE);
	x->a.o = NULL;
	x->n_connects--; /* looking for an agent was no try */
	exchange_run(x);
	return true;
}

static void connect_failed(struct origin *o, int err)
{
	if (tries_service_itself(o))
		return;
	count(o->x->sc, COUNTER_CONNECT_FAILURES);
	fail(o, origin_reason(err), err);
}

static void connected(struct origin *o)
{
	count(o->x->sc, COUNTER_CONNECTS);
	count_add(&o->ep->c.connects, 1);
	o->state = ORIGIN_BUSY;
	timer_clear(&o->timer);
}

static void on_writable(void *arg)
{
	struct origin *o = arg;

	if (o->state == ORIGIN_CONNECTING) {
		int r = stream_connect_result(&o->s);
		if (r < 0)
			connect_failed(o, stream_errno(&o->s));
		if (r <= 0)
			return;
		connected(o);
		exchange_connected(o->x);
	} else if (o->x) {
		flush(o->x);
	} else {
		stream_want_write(&o->s, false);
	}
}

static void on_timer(void *arg)
{
	struct origin *o = arg;

	if (o->state == ORIGIN_CONNECTING) {
		connect_failed(o, ETIMEDOUT);
	} else if (o->state == ORIGIN_IDLE) {
		origin_close(o, STREAM_CLOSE);
	} else if (o->state == ORIGIN_BUSY && o->x && !o->head_done && o->x->upstream->policy.first_byte_timeout) {
		usec due = o->x->a.started + o->x->upstream->policy.first_byte_timeout;
		if (loop_now(o->w->loop) >= due)
			fail(o, REASON_RESPONSE_TIMEOUT, ETIMEDOUT);
		else
			timer_set(o->w->loop, &o->timer, due);
	}
}

/* --- what an exchange asks for ------------------------------------------------------------------------------------ */

static bool queue_head(struct exchange *x)
{
	struct origin *o = x->a.o;
	usec limit = x->upstream->policy.first_byte_timeout;

	if (!forward_request_head(x))
		return false;
	if (limit)
		timer_set(o->w->loop, &o->timer, loop_now(o->w->loop) + limit);
	return true;
}

static void pull(struct exchange *x)
{
	struct origin *o = x->a.o;

	if (o->read_off) {
		o->read_off = false;
		stream_want_read(&o->s, true);
	}
	if (o->in && o->in->start < o->in->end)
		feed_body(o, x);
}

/* How long may it rest? What the peer says, what was seen of it, what the option allows. */
static usec rest_time(const struct origin *o, const struct exchange *x)
{
	usec keep = x->upstream->policy.idle_timeout;
	usec said = (usec)x->res.keep_alive_s * USEC_SEC;

	if (said && keep > said - USEC_SEC / 2)
		keep = said - USEC_SEC / 2;
	if (o->ep->idle_age != USEC_NEVER && keep > o->ep->idle_age - o->ep->idle_age / 8)
		keep = o->ep->idle_age - o->ep->idle_age / 8;
	return keep;
}

static void leave(struct exchange *x, bool clean)
{
	struct origin *o = x->a.o;
	bool reusable = clean && o->head_done && !o->write_failed && !(o->in && o->in->start < o->in->end);

	if (!reusable) {
		origin_close(o, STREAM_CLOSE);
		return;
	}
	origin_rest(o, rest_time(o, x), x->upstream->policy.max_idle);
}

const struct session_ops origin_ops = {
	.head = queue_head,
	.flush = flush,
	.pull = pull,
	.leave = leave,
};

/* --- the beginning -------------------------------------------------------------------------------------------------- */

void origin_attach(struct origin *o, struct exchange *x)
{
	o->x = x;
	o->state = ORIGIN_BUSY;
	o->uses++;
	o->head_done = o->got_bytes = o->write_failed = false;
	h1_parser_init(&o->parser);
	x->a.o = o;
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
	timer_init(&o->timer, on_timer, o);
	stream_init(&o->s, x->w->loop, on_readable, on_writable, o);
	struct addr to = hello_address(x);
	bool portless = addr_port(&ep->addr) != addr_port(&to);
	o->port = addr_port(&to);
	o->to_agent = ep->agent != ENDPOINT_PLAIN && (!portless || o->port == AGENT_PORT);
	int r = stream_connect(&o->s, NULL, &to);
	if (r < 0 && portless && o->to_agent) {
		hello_no_agent(ep, loop_now(x->w->loop));
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
	if (portless && o->to_agent && limit > HELLO_PROBE_TIME)
		limit = HELLO_PROBE_TIME; /* a firewall that drops must not delay what needs no agent */
	timer_set(x->w->loop, &o->timer, loop_now(x->w->loop) + limit);
	return ORIGIN_WAIT;
}
