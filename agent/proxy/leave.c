/* An instance that ends while its sidecar still stands: callers must leave before the network is taken from under it, for then no
 * packet tells them any more that nobody is there.
 *
 *     told to stop (control)       ──> worker_sidecar_leaves(): replies say Connection: close
 *     its handler closed on us     ──> leave_suspect() ──mail──> control looks whether anybody listens; if not:
 *                                  <── worker_rest_sidecar(): connections of callers at rest are closed */
#include "base/mem.h"
#include "proxy/client.h"
#include "proxy/steps.h"

#define SUSPECT_GAP (20 * USEC_MS) /* between two mails about one sidecar */

struct leave_mail {
	struct mail m;
	struct worker *w;
	uint32_t slot; /* of a sidecar; of on_let_go() how many */
};

static bool post(struct worker *w, struct loop *to, void (*fn)(struct mail *), uint32_t value)
{
	struct leave_mail *q = mem_zalloc(sizeof(*q));

	if (!q)
		return false;
	q->m.fn = fn;
	q->w = w;
	q->slot = value;
	loop_post(to, &q->m);
	return true;
}

/* --- to control ------------------------------------------------------------------------------------------------------- */

static void on_suspect(struct mail *m)
{
	struct leave_mail *q = LIST_OWNER(m, struct leave_mail, m);

	q->w->cfg.handler_left(q->w->cfg.arg, q->slot);
	mem_free(q);
}

void leave_suspect(struct wsidecar *sc)
{
	usec now = loop_now(sc->w->loop);

	if (!sc->w->cfg.handler_left || now < sc->suspect_next)
		return;
	sc->suspect_next = now + SUSPECT_GAP;
	(void)post(sc->w, sc->w->cfg.control, on_suspect, sc->slot); /* without memory: control looks by itself, later */
}

void leave_suspect_of(struct worker *w, const struct wendpoint *ep)
{
	uint32_t of = ep->up ? ep->up->handler_of : 0;

	if (of && w->sidecars[of - 1])
		leave_suspect(w->sidecars[of - 1]);
}

/* --- from control ------------------------------------------------------------------------------------------------------ */

static struct wsidecar *take(struct leave_mail *q)
{
	return q->slot < q->w->cfg.max_sidecars ? q->w->sidecars[q->slot] : NULL;
}

static void on_leaves(struct mail *m)
{
	struct leave_mail *q = LIST_OWNER(m, struct leave_mail, m);
	struct wsidecar *sc = take(q);

	if (sc)
		sc->leaves = true;
	mem_free(q);
}

bool worker_sidecar_leaves(struct worker *w, uint32_t slot)
{
	return post(w, w->loop, on_leaves, slot);
}

static void on_rest(struct mail *m)
{
	struct leave_mail *q = LIST_OWNER(m, struct leave_mail, m);
	struct wsidecar *sc = take(q);

	mem_free(q);
	if (!sc)
		return;
	LIST_EACH (it, tmp, &sc->listeners) {
		struct wlistener *l = LIST_OWNER(it, struct wlistener, link);
		if (!wlistener_is_inbound(l))
			continue;
		LIST_EACH (ct, ctmp, &l->clients)
			client_close_idle(LIST_OWNER(ct, struct client, link));
	}
}

bool worker_rest_sidecar(struct worker *w, uint32_t slot)
{
	return post(w, w->loop, on_rest, slot);
}

/* One exchange of any client; false: there is none under way. */
static bool end_one(struct wsidecar *sc)
{
	LIST_EACH (it, tmp, &sc->listeners) {
		struct wlistener *l = LIST_OWNER(it, struct wlistener, link);
		LIST_EACH (ct, ctmp, &l->clients) {
			struct client *c = LIST_OWNER(ct, struct client, link);
			if (c->state != CLIENT_EXCHANGE)
				continue;
			count(sc, COUNTER_LET_GO);
			client_close(c, STREAM_CLOSE);
			return true;
		}
	}
	return false;
}

static void on_let_go(struct mail *m)
{
	struct leave_mail *q = LIST_OWNER(m, struct leave_mail, m);
	struct worker *w = q->w;
	uint32_t n = q->slot;

	mem_free(q);
	while (n && tunnel_close_one(w))
		n--;
	for (uint32_t i = 0; n && i < w->cfg.max_sidecars; i++)
		while (n && w->sidecars[i] && end_one(w->sidecars[i]))
			n--;
}

bool worker_let_go(struct worker *w, uint32_t n)
{
	return post(w, w->loop, on_let_go, n);
}
