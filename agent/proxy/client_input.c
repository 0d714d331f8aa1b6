/* What a client sends: heads, bodies, what comes ahead of its turn, and what follows a granted CONNECT. */
#include "proxy/client_int.h"

#include "proxy/origin.h"
#include "proxy/steps.h"

#define READS_PER_TURN 4               /* a client that floods leaves the others their turn */
#define LINGER_MAX (256u * 1024u)      /* bytes discarded after the last reply */
#define SNIFF_BYTES 24
#define HALF_CLOSE_TIME (2 * USEC_SEC) /* a reply may still come that long after a FIN that nothing announced */

/* --- buffers --------------------------------------------------------------------------------------------- */

void client_stop_reading(struct client *c)
{
	c->read_off = true;
	stream_want_read(&c->s, false);
	client_look_after(c);
}

void client_go_on_reading(struct client *c)
{
	if (!c->read_off || c->half_closed)
		return;
	c->read_off = false;
	stream_want_read(&c->s, true);
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
		client_shut(c, STREAM_CLOSE_RESET);
}

static void head_complete(struct client *c, struct exchange *x)
{
	c->in->start += c->parser.used;
	x->req_block = block_ref(c->in);
	block_recycle(&c->in);
	c->state = CLIENT_EXCHANGE;
	c->active = loop_now(c->w->loop);
	c->requests++;
	client_await_move(c, exchange_stall(x));
	exchange_start(x);
}

void client_forget_exchange(struct client *c)
{
	struct exchange *x = c->x;

	c->x = NULL;
	x->c = NULL;
	exchange_finish(x);
}

void client_parse_head(struct client *c)
{
	if (!c->x) {
		c->x = exchange_new(c->w, c->l, c, &client_ops);
		if (!c->x) {
			client_shut(c, STREAM_CLOSE_RESET);
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
			client_forget_exchange(c);
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

/* For a request that begins. NULL: there is none left, or none for this sidecar. */
static struct block *first_block(struct client *c)
{
	const struct block_pool *p = &c->w->blocks;

	if (p->out > p->max_bytes - p->max_bytes / 100 * OVERLOAD_RESERVED && overload_is_reserved(c->l->sc))
		return NULL;
	return block_get(&c->w->blocks, BLOCK_SMALL);
}

void client_read_head(struct client *c)
{
	if (!c->in && !(c->in = first_block(c))) {
		count(c->l->sc, COUNTER_CONNECTIONS_REFUSED);
		client_shut(c, STREAM_CLOSE_RESET);
		return;
	}
	ssize_t n = fill(c);
	if (n > 0) {
		client_parse_head(c);
	} else if (n < 0) {
		if (c->x)
			client_forget_exchange(c);
		client_shut(c, STREAM_CLOSE);
	} else if (c->in->start == c->in->end) {
		client_drop_input(c);
	}
}

/* --- reading a body, or ahead -------------------------------------------------------------------------------- */

bool client_wants_body(const struct exchange *x)
{
	return !x->request_done && x->step == STEP_RELAY && !x->up.paused;
}

/* Decodes what lies in c->in. false: x went another way. */
bool client_feed_body(struct client *c, struct exchange *x)
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
	block_recycle(&c->in);
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
	client_stop_reading(c);
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
	client_drop_input(c);
	c->in = block_get(&c->w->blocks, (x->up.left > BLOCK_SMALL_BYTES || x->up.bytes > BLOCK_SMALL_BYTES) &&
							 !outq_is_short(&c->w->blocks)
						 ? BLOCK_LARGE
						 : BLOCK_SMALL);
	return c->in != NULL;
}

void client_read_exchange(struct client *c)
{
	struct exchange *x = c->x;

	for (int i = 0; i < READS_PER_TURN; i++) {
		if (!room_to_read(c, x)) {
			client_stop_reading(c);
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
		if (client_wants_body(x)) {
			if (!client_feed_body(c, x))
				return;
			if (x->up.paused)
				client_stop_reading(c);
			exchange_request_moved(x);
			if (c->x != x)
				return;
		}
		if ((uint32_t)n < room || c->read_off)
			return;
	}
}

void client_read_linger(struct client *c)
{
	char waste[4096];
	ssize_t n = stream_read(&c->s, waste, sizeof(waste));

	if (n > 0)
		c->linger += (uint32_t)n;
	if (n < 0 || c->linger > LINGER_MAX)
		client_shut(c, STREAM_CLOSE);
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
	client_parse_head(c);
}

void client_judge_sniff(struct client *c, bool ended)
{
	enum sniff what = ended ? SNIFF_OTHER : looks_like_http(c->in);

	if (what == SNIFF_HTTP)
		sniff_http(c);
	else if (what == SNIFF_OTHER)
		client_sniff_end(c); /* an end of stream is relayed like any other byte */
}

void client_read_sniff(struct client *c)
{
	if (!c->in && !(c->in = block_get(&c->w->blocks, BLOCK_SMALL))) {
		client_shut(c, STREAM_CLOSE_RESET);
		return;
	}
	ssize_t n = fill(c);
	if (n != 0)
		client_judge_sniff(c, n < 0);
}
