/* The pool: connections at rest, per worker and endpoint, the most recently used first (the others age and go). */
#include "proxy/origin.h"

#include <sys/socket.h>

void pool_remove(struct origin *o)
{
	list_remove(&o->link);
	o->ep->n_idle--;
	o->ep->n_busy++;
	count_sub(&o->ep->c.idle, 1);
}

/* Is there an end of stream that the loop has not told of yet? */
static bool still_open(const struct origin *o)
{
	char c;
	ssize_t n = recv(o->s.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	return n < 0; /* 0 is the end, more is what nobody asked for */
}

struct origin *pool_take(struct worker *w, struct wendpoint *ep, uint16_t port, usec now, bool careful)
{
	(void)w;
	LIST_EACH(it, tmp, &ep->idle) {
		struct origin *o = LIST_OWNER(it, struct origin, link);
		if (o->port != port)
			continue;
		if (now - o->rested < o->keep && (!careful || still_open(o))) {
			pool_remove(o);
			return o;
		}
		origin_close(o, STREAM_CLOSE);
	}
	return NULL;
}

void origin_rest(struct origin *o, usec keep, uint32_t max_idle)
{
	struct wendpoint *ep = o->ep;

	o->x = NULL;
	if (ep->gone || o->generation != ep->generation || keep == 0 || ep->n_idle >= max_idle) {
		origin_close(o, STREAM_CLOSE);
		return;
	}
	block_unref(o->in);
	o->in = NULL;
	if (o->s.wr.on)
		stream_want_write(&o->s, false);
	if (o->read_off) {
		o->read_off = false;
		stream_want_read(&o->s, true);
	}
	o->state = ORIGIN_IDLE;
	o->rested = loop_now(o->w->loop);
	o->keep = keep;
	list_push(&ep->idle, &o->link);
	ep->n_idle++;
	ep->n_busy--;
	count_add(&ep->c.idle, 1);
	timer_set(o->w->loop, &o->timer, o->rested + keep);
}

void pool_clear(struct wendpoint *ep)
{
	while (!list_empty(&ep->idle))
		origin_close(LIST_OWNER(ep->idle.next, struct origin, link), STREAM_CLOSE);
}

void pool_trim(struct wendpoint *ep, usec since)
{
	while (!list_empty(&ep->idle) && LIST_OWNER(ep->idle.prev, struct origin, link)->rested < since)
		origin_close(LIST_OWNER(ep->idle.prev, struct origin, link), STREAM_CLOSE);
}
