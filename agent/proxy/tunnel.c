/* A tunnel: two streams and no HTTP. Upgrades, CONNECT and tcp listeners end here (DESIGN section 7).
 *
 *   client.s  --read-->  to_origin  --write-->  origin.s
 *   client.s  <--write-- to_client  <--read--   origin.s
 *
 * A side that sends faster than the other reads is stopped above OUTQ_HIGH. A half-close is passed on; the tunnel ends when both
 * sides have ended, at once when one resets. A tunnel at rest owns no buffer, and no spec, so that it may live for days. */
#include "base/mem.h"
#include "proxy/client.h"
#include "proxy/origin.h"
#include "proxy/steps.h"

#define READS_PER_TURN 4

struct side { /* what is read from one stream and written to the other */
	struct tunnel *t;
	struct stream *from, *to;
	struct outq q;
	bool ended; /* from sent FIN */
	bool shut;  /* to was told */
	bool stopped;
};

struct tunnel {
	struct list link; /* worker.tunnels */
	struct worker *w;
	struct wlistener *l;
	struct client *c;
	struct origin *o;
	struct side up, down; /* client to origin, origin to client */
	struct timer timer;
	usec moved, idle;
	bool closed;
};

static void close_tunnel(struct tunnel *t, enum stream_close how)
{
	if (t->closed)
		return;
	t->closed = true;
	timer_clear(&t->timer);
	outq_clear(&t->up.q);
	outq_clear(&t->down.q);
	list_remove(&t->link);
	count_down(t->l->sc, COUNTER_TUNNELS_OPEN);
	worker_busy_sub(t->w, t->l);
	count_sub(&t->o->ep->c.active, 1);
	client_close(t->c, how);
	origin_close(t->o, how);
	mem_free(t);
}

/* Writes what is queued on that side; passes the end on. false: the tunnel is gone. */
static bool push(struct side *s)
{
	struct tunnel *t = s->t;
	enum outq_result r = outq_write(&s->q, s->to);

	if (r == OUTQ_FAILED) {
		close_tunnel(t, STREAM_CLOSE_RESET);
		return false;
	}
	if (s->to->wr.on != (r == OUTQ_PART))
		stream_want_write(s->to, r == OUTQ_PART);
	if (s->ended && !s->shut && r == OUTQ_DONE) {
		s->shut = true;
		stream_shutdown(s->to);
	}
	if (t->up.shut && t->down.shut) {
		close_tunnel(t, STREAM_CLOSE);
		return false;
	}
	if (s->stopped && !s->ended && s->q.bytes <= outq_low(&t->w->blocks)) {
		s->stopped = false;
		stream_want_read(s->from, true);
	}
	return true;
}

static void stop(struct side *s)
{
	s->stopped = true;
	stream_want_read(s->from, false);
}

static void pump(struct side *s)
{
	struct tunnel *t = s->t;

	for (int i = 0; i < READS_PER_TURN; i++) {
		struct block *b = block_get(&t->w->blocks, outq_is_short(&t->w->blocks) ? BLOCK_SMALL : BLOCK_LARGE);
		if (!b) {
			close_tunnel(t, STREAM_CLOSE_RESET);
			return;
		}
		uint32_t room = b->cap;
		ssize_t n = stream_read(s->from, b->data, room);
		bool queued = n <= 0 || outq_add(&s->q, &t->w->blocks, b, b->data, (size_t)n);
		block_unref(b);
		if (n == 0)
			return;
		if (!queued || n == STREAM_ERROR || n == STREAM_CUT) {
			close_tunnel(t, STREAM_CLOSE_RESET);
			return;
		}
		t->moved = loop_now(t->w->loop);
		if (n == STREAM_EOF) {
			s->ended = true;
			stop(s);
			(void)push(s);
			return;
		}
		count_n(t->l->sc, s == &t->up ? COUNTER_BYTES_IN : COUNTER_BYTES_OUT, (uint64_t)n);
		if (s->q.bytes > outq_high(&t->w->blocks))
			stop(s);
		if (!push(s) || s->stopped || n < (ssize_t)room)
			return;
	}
}

static void up_readable(void *arg)
{
	pump(&((struct tunnel *)arg)->up);
}
static void down_readable(void *arg)
{
	pump(&((struct tunnel *)arg)->down);
}
static void origin_writable(void *arg)
{
	(void)push(&((struct tunnel *)arg)->up);
}
static void client_writable(void *arg)
{
	(void)push(&((struct tunnel *)arg)->down);
}

static void on_timer(void *arg)
{
	struct tunnel *t = arg;

	if (loop_now(t->w->loop) - t->moved >= t->idle)
		close_tunnel(t, STREAM_CLOSE);
	else
		timer_set(t->w->loop, &t->timer, t->moved + t->idle);
}

static void take_over(struct stream *s, void (*readable)(void *), void (*writable)(void *), struct tunnel *t)
{
	s->on_readable = readable;
	s->on_writable = writable;
	s->arg = t;
}

/* Bytes that were read ahead of the tunnel. false: no memory. */
static bool take_input(struct side *s, struct block **in)
{
	struct block *b = *in;
	bool ok = !b || b->start == b->end ||
		  outq_add(&s->q, &s->t->w->blocks, b, b->data + b->start, b->end - b->start);

	block_unref(b);
	*in = NULL;
	return ok;
}

static struct tunnel *make(struct worker *w, struct wlistener *l, struct client *c, struct origin *o, usec idle)
{
	struct tunnel *t = mem_zalloc(sizeof(*t));

	if (!t)
		return NULL;
	t->w = w;
	t->l = l;
	t->c = c;
	t->o = o;
	t->up = (struct side){ .t = t, .from = &c->s, .to = &o->s };
	t->down = (struct side){ .t = t, .from = &o->s, .to = &c->s };
	outq_init(&t->up.q);
	outq_init(&t->down.q);
	timer_init(&t->timer, on_timer, t);
	t->moved = loop_now(w->loop);
	t->idle = idle;
	list_push(&w->tunnels, &t->link);
	c->state = CLIENT_TUNNEL;
	o->state = ORIGIN_TUNNEL;
	count(l->sc, COUNTER_TUNNELS);
	count_n(l->sc, COUNTER_TUNNELS_OPEN, 1);
	count_add(&o->ep->c.active, 1);
	worker_busy_add(w, l);
	return t;
}

/* Everything that was read before is on its way; both directions run. */
static void run(struct tunnel *t)
{
	bool half = t->c->half_closed;

	take_over(&t->c->s, up_readable, client_writable, t);
	take_over(&t->o->s, down_readable, origin_writable, t);
	timer_clear(&t->c->timer);
	timer_clear(&t->o->timer);
	if (t->idle)
		timer_set(t->w->loop, &t->timer, t->moved + t->idle);
	if (!take_input(&t->up, &t->c->in) || !take_input(&t->down, &t->o->in)) {
		close_tunnel(t, STREAM_CLOSE_RESET);
		return;
	}
	if (t->c->read_off && !half)
		stream_want_read(&t->c->s, true);
	if (t->o->read_off)
		stream_want_read(&t->o->s, true);
	if (half) {
		t->up.ended = true;
		t->up.stopped = true;
	}
	if (push(&t->up))
		(void)push(&t->down);
}

void tunnel_join(struct client *c, struct origin *o)
{
	struct tunnel *t = make(c->w, c->l, c, o, c->tunnel_idle);

	if (!t) {
		client_close(c, STREAM_CLOSE_RESET);
		origin_close(o, STREAM_CLOSE_RESET);
		return;
	}
	run(t);
}

/* CONNECT: the connection is there; what the client sends next decides between exchanges and a tunnel. */
static void grant(struct exchange *x)
{
	struct client *c = x->c;
	struct origin *o = x->a.o;
	struct str a = x->req.authority;

	c->tunnel_idle = x->upstream->policy.tunnel_idle;
	mem_free(c->connect_authority);
	c->connect_authority = mem_dup(a.p, a.n);
	if (!c->connect_authority || !answer_connected(x)) {
		exchange_answer(x, REASON_NO_MEMORY);
		return;
	}
	o->x = NULL;
	x->a.o = NULL;
	attempt_end(x, BALANCE_OK);
	c->sniff = o;
	o->sniffer = c;
	x->status = 200;
	x->head_down = x->response_done = true;
	x->down->flush(x);
}

void tunnel_start(struct exchange *x)
{
	if (!x->tcp && x->connect) {
		grant(x);
		return;
	}
	struct client *c = x->c;
	struct origin *o = x->a.o;
	struct tunnel *t = make(x->w, x->l, c, o, x->upstream->policy.tunnel_idle);
	if (!t) {
		exchange_answer(x, REASON_NO_MEMORY);
		return;
	}
	t->down.q = x->down_flow.q; /* the 101 that may still wait there */
	outq_init(&x->down_flow.q);
	t->up.q = x->up.q;
	outq_init(&x->up.q);
	attempt_end(x, BALANCE_OK);
	o->x = NULL;
	x->a.o = NULL;
	c->x = NULL;
	x->c = NULL;
	exchange_finish(x);
	run(t);
}

void tunnel_close_of(struct wsidecar *sc)
{
	LIST_EACH(it, tmp, &sc->w->tunnels) {
		struct tunnel *t = LIST_OWNER(it, struct tunnel, link);
		if (t->l->sc == sc)
			close_tunnel(t, STREAM_CLOSE_RESET);
	}
}

bool tunnel_close_one(struct worker *w)
{
	if (list_empty(&w->tunnels))
		return false;
	struct tunnel *t = LIST_OWNER(w->tunnels.next, struct tunnel, link);
	count(t->l->sc, COUNTER_LET_GO);
	close_tunnel(t, STREAM_CLOSE);
	return true;
}

void tunnel_close_all(struct worker *w)
{
	while (!list_empty(&w->tunnels))
		close_tunnel(LIST_OWNER(w->tunnels.next, struct tunnel, link), STREAM_CLOSE_RESET);
}
