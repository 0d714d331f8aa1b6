#include "proxy/origin_int.h"

#include "base/mem.h"
#include "proxy/client.h"
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
	case EMFILE:
	case ENFILE:
	case ENOBUFS: /* also: a namespace without a socket in stock */
	case ENOMEM:
		return REASON_NO_SOCKET;
	default:
		return REASON_CONNECT_FAILED;
	}
}

/* The attempt fails before a response head. */
void origin_fail(struct origin *o, enum reason why, int err)
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
				origin_fail(o, REASON_NO_MEMORY, 0);
			return false;
		}
		if (r == H1_BAD) {
			origin_fail(o, o->parser.why, 0);
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
	if (o->x == x && x->is_throttled && !o->read_off)
		stop_reading(o);
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
		origin_fail(o, err ? REASON_UPSTREAM_RESET : REASON_UPSTREAM_CLOSED, err);
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
	bool large = o->head_done && !x->throttle && (f->left > BLOCK_SMALL_BYTES || f->bytes > BLOCK_SMALL_BYTES) &&
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
				origin_fail(o, REASON_NO_MEMORY, 0);
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
	leave_suspect_of(o->w, o->ep);
	origin_close(o, STREAM_CLOSE);
}

/* When the head of the reply must be there, by which of the two limits; USEC_NEVER: there is none. */
static usec origin_due(const struct exchange *x, bool *try_over)
{
	const struct spec_policy *p = &x->upstream->policy;
	usec first = p->first_byte_timeout ? x->a.sent_at + p->first_byte_timeout : USEC_NEVER;
	usec whole = p->try_timeout && x->upstream->mode == MODE_ON && !exchange_off(x) ? x->a.started + p->try_timeout : USEC_NEVER;

	*try_over = whole <= first;
	return *try_over ? whole : first;
}

/* --- callbacks ------------------------------------------------------------------------------------------------- */

void origin_on_readable(void *arg)
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
		origin_fail(o, REASON_UPSTREAM_RESET, err);
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

void origin_on_writable(void *arg)
{
	struct origin *o = arg;

	if (o->state == ORIGIN_CONNECTING) {
		origin_connect_look(o);
	} else if (o->x) {
		flush(o->x);
	} else {
		stream_want_write(&o->s, false);
	}
}

void origin_on_timer(void *arg)
{
	struct origin *o = arg;

	if (o->state == ORIGIN_CONNECTING) {
		origin_connect_late(o);
	} else if (o->state == ORIGIN_IDLE) {
		origin_close(o, STREAM_CLOSE);
	} else if (o->state == ORIGIN_BUSY && o->x && !o->head_done) {
		bool try_over;
		usec due = origin_due(o->x, &try_over);
		if (loop_now(o->w->loop) < due)
			timer_set(o->w->loop, &o->timer, due);
		else
			origin_fail(o, try_over ? REASON_TRY_TIMEOUT : REASON_RESPONSE_TIMEOUT, ETIMEDOUT);
	}
}

/* --- what an exchange asks for ------------------------------------------------------------------------------------ */

static bool queue_head(struct exchange *x)
{
	struct origin *o = x->a.o;
	bool try_over;

	if (!forward_request_head(x))
		return false;
	x->a.sent_at = loop_now(o->w->loop);
	usec due = origin_due(x, &try_over);
	if (due != USEC_NEVER)
		timer_set(o->w->loop, &o->timer, due);
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
