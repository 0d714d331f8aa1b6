/* Publish: how specs, listeners and orders to drain come from control to a worker, and how specs go back. */
#include "base/mem.h"
#include "proxy/client.h"
#include "proxy/origin.h"
#include "proxy/park.h"
#include "proxy/steps.h"

#include <stdio.h>

/* --- listeners -------------------------------------------------------------------------------------------- */

bool wlistener_leaving(const struct wlistener *l)
{
	return l->index == UINT32_MAX || l->w->drain > DRAIN_INBOUND + 1 ||
	       ((l->w->drain || l->sc->leaves) && wlistener_is_inbound(l));
}

static void stop_accepting(struct wlistener *l)
{
	if (l->accepting) {
		listener_accept_waiting(&l->l);
		listener_stop(&l->l);
	}
	l->accepting = false;
	LIST_EACH (it, tmp, &l->clients)
		client_close_idle(LIST_OWNER(it, struct client, link));
}

void wlistener_free_if_unused(struct wlistener *l)
{
	if (l->index != UINT32_MAX || l->n_clients || l->n_dead)
		return;
	list_remove(&l->link);
	mem_free(l);
}

static void on_accept(void *arg, int fd, const struct addr *peer)
{
	client_accept(arg, fd, peer);
}

/* Fills and starts the blank listener l. */
static void begin_listener(
	struct wlistener *l, struct wsidecar *sc, const struct spec_sidecar *spec, uint32_t i, int fd)
{
	static const char suffix[] = { [LISTEN_INBOUND] = 'i',
		[LISTEN_OUTBOUND] = 'o',
		[LISTEN_PINNED] = 'o',
		[LISTEN_PINNED_TCP] = 'o',
		[LISTEN_EDGE] = 'e' };

	l->w = sc->w;
	l->sc = sc;
	l->fd = fd;
	l->kind = spec->listeners[i].kind;
	l->index = i;
	list_init(&l->clients);
	/* in and out have marks of their own: a handler that copies Via from its request into its calls is no loop */
	snprintf(l->via, sizeof(l->via), "%.*s-%c",
		(int)(spec->forward.via.n > 48 ? 48 : spec->forward.via.n),
		spec->forward.via.p ? spec->forward.via.p : "outrider", suffix[l->kind]);
	list_append(&sc->listeners, &l->link);
	l->accepting = listener_start(&l->l, sc->w->loop, fd, on_accept, l);
	l->l.rd.party = &sc->party;
}

static struct wlistener *find_listener(struct wsidecar *sc, int fd)
{
	LIST_EACH (it, tmp, &sc->listeners) {
		struct wlistener *l = LIST_OWNER(it, struct wlistener, link);
		if (l->fd == fd && l->index != UINT32_MAX)
			return l;
	}
	return NULL;
}

/* --- specs ---------------------------------------------------------------------------------------------------- */

static void on_released(struct mail *m)
{
	struct wspec *s = LIST_OWNER(m, struct wspec, released);

	s->w->cfg.released(s->w->cfg.arg, s->w->cfg.index, s->spec);
	mem_free(s);
}

/* Back to control, which owns it: the mail is part of the wspec, so that this cannot fail. */
static void release_spec(struct wspec *s)
{
	s->released.fn = on_released;
	loop_post(s->w->cfg.control, &s->released);
}

struct wspec *wspec_use(struct wsidecar *sc)
{
	sc->cur->uses++;
	return sc->cur;
}

static void release_if_done(struct wspec *s)
{
	if (s->retired && !s->uses)
		release_spec(s);
}

void wspec_unuse(struct wspec *s)
{
	s->uses--;
	release_if_done(s);
}

static int by_name(struct str a, struct str b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
	return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Both lists are sorted by name; parts that the two specs share have nothing to follow. */
static void follow_services(struct worker *w, const struct spec_sidecar *old, const struct spec_sidecar *now)
{
	uint32_t n_old = old ? old->n_upstreams : 0;

	for (uint32_t i = 0, k = 0; i < n_old || k < now->n_upstreams;) {
		const struct spec_upstream *a = i < n_old ? old->upstreams[i] : NULL;
		const struct spec_upstream *b = k < now->n_upstreams ? now->upstreams[k] : NULL;
		int c = !a ? 1 : !b ? -1 : by_name(a->name, b->name);
		i += c <= 0;
		k += c >= 0;
		if (a != b)
			parts_follow(w, c <= 0 ? a : NULL, c >= 0 ? b : NULL);
	}
}

static void follow_parts(struct worker *w, const struct spec_sidecar *old, const struct spec_sidecar *now)
{
	const struct spec_upstream *fixed[] = { now->handler, now->local, now->external };
	const struct spec_upstream *former[] = { old ? old->handler : NULL, old ? old->local : NULL,
		old ? old->external : NULL };

	w->changes++;
	follow_services(w, old, now);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (fixed[i] != former[i])
			parts_follow(w, former[i], fixed[i]);
}

/* Everything that a change needs is allocated by control before it is posted, so that a worker cannot fail at it. */
struct set_mail {
	struct mail m;
	struct worker *w;
	struct spec_sidecar *spec;
	struct wspec *ws;
	struct wsidecar *spare; /* used when the slot is new */
	uint32_t n;
	struct {
		int fd;
		struct wlistener *spare; /* used when the descriptor is new */
	} l[];
};

static void free_set(struct set_mail *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->n; i++)
		mem_free(s->l[i].spare);
	mem_free(s->spare);
	mem_free(s->ws);
	mem_free(s);
}

static void retire_listeners(struct wsidecar *sc, const struct set_mail *s)
{
	LIST_EACH (it, tmp, &sc->listeners) {
		struct wlistener *l = LIST_OWNER(it, struct wlistener, link);
		bool stays = false;
		for (uint32_t i = 0; i < s->n && !stays; i++)
			stays = s->l[i].fd == l->fd;
		if (stays)
			continue;
		stop_accepting(l);
		l->index = UINT32_MAX;
		wlistener_free_if_unused(l);
	}
}

static void update_listeners(struct wsidecar *sc, struct set_mail *s)
{
	retire_listeners(sc, s);
	for (uint32_t i = 0; i < s->n; i++) {
		struct wlistener *l = s->l[i].fd < 0 ? NULL : find_listener(sc, s->l[i].fd);
		if (l) {
			l->index = i;
			l->kind = s->spec->listeners[i].kind;
		} else if (s->l[i].fd >= 0) {
			begin_listener(s->l[i].spare, sc, s->spec, i, s->l[i].fd);
			s->l[i].spare = NULL;
		}
	}
}

static void on_set(struct mail *m)
{
	struct set_mail *s = LIST_OWNER(m, struct set_mail, m);
	struct wsidecar *sc = part_sidecar(s->w, s->spec->slot, &s->spare);
	struct wspec *old = sc->cur;

	s->ws->w = s->w;
	s->ws->spec = s->spec;
	sc->cur = s->ws;
	s->ws = NULL;
	update_listeners(sc, s);
	follow_parts(s->w, old ? old->spec : NULL, s->spec);
	s->w->n_seated += !old;
	if (old) {
		old->retired = true;
		release_if_done(old);
	}
	park_resume(sc);
	free_set(s);
}

bool worker_set_sidecar(struct worker *w, struct spec_sidecar *spec, const int *fds)
{
	struct set_mail *s = mem_zalloc(sizeof(*s) + spec->n_listeners * sizeof(s->l[0]));
	bool ok = s != NULL && spec->slot < w->cfg.max_sidecars;

	if (ok) {
		s->n = spec->n_listeners;
		s->ws = mem_zalloc(sizeof(*s->ws));
		s->spare = mem_zalloc(sizeof(*s->spare));
		ok = s->ws && s->spare;
	}
	for (uint32_t i = 0; ok && i < s->n; i++) {
		s->l[i].fd = fds[i];
		s->l[i].spare = mem_zalloc(sizeof(*s->l[i].spare));
		ok = s->l[i].spare != NULL;
	}
	if (!ok) {
		free_set(s);
		return false;
	}
	s->m.fn = on_set;
	s->w = w;
	s->spec = spec;
	loop_post(w->loop, &s->m);
	return true;
}

struct order_mail { /* drop and drain */
	struct mail m;
	struct worker *w;
	uint32_t value;
};

static bool post_order(struct worker *w, void (*fn)(struct mail *), uint32_t value)
{
	struct order_mail *o = mem_zalloc(sizeof(*o));

	if (!o)
		return false;
	o->m.fn = fn;
	o->w = w;
	o->value = value;
	loop_post(w->loop, &o->m);
	return true;
}

static void drop_clients(struct wsidecar *sc)
{
	tunnel_close_of(sc);
	LIST_EACH (it, tmp, &sc->listeners) {
		struct wlistener *l = LIST_OWNER(it, struct wlistener, link);
		if (l->accepting)
			listener_stop(&l->l);
		l->accepting = false;
		LIST_EACH (ct, ctmp, &l->clients)
			client_close(LIST_OWNER(ct, struct client, link), STREAM_CLOSE_RESET);
		l->index = UINT32_MAX;
		wlistener_free_if_unused(l);
	}
}

static void drop_parts(struct worker *w, const struct spec_sidecar *s)
{
	const struct spec_upstream *fixed[] = { s->handler, s->local, s->external };

	w->changes++;
	for (uint32_t i = 0; i < s->n_upstreams; i++)
		parts_follow(w, s->upstreams[i], NULL);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (fixed[i])
			parts_forget_dynamic(w, fixed[i]->slot);
}

/* Its resolver goes when nobody of this turn can wait for it any more. */
static void drop_sidecar(struct wsidecar *sc)
{
	struct wspec *last = sc->cur;

	drop_clients(sc);
	drop_parts(sc->w, last->spec);
	part_sidecar_forget(sc);
	if (sc->resolver)
		resolver_free(sc->resolver);
	sc->resolver = NULL;
	sc->cur = NULL;
	sc->w->n_seated--;
	last->retired = true;
	release_if_done(last);
}

static void on_drop(struct mail *m)
{
	struct order_mail *o = LIST_OWNER(m, struct order_mail, m);
	struct wsidecar *sc = o->value < o->w->cfg.max_sidecars ? o->w->sidecars[o->value] : NULL;

	if (sc && sc->cur)
		drop_sidecar(sc);
	mem_free(o);
}

bool worker_drop_sidecar(struct worker *w, uint32_t slot)
{
	return post_order(w, on_drop, slot);
}

struct unknown_mail {
	struct mail m;
	struct worker *w;
	uint32_t sidecar;
	size_t n;
	char name[PARK_NAME_BYTES];
};

static void on_unknown(struct mail *m)
{
	struct unknown_mail *u = LIST_OWNER(m, struct unknown_mail, m);
	struct wsidecar *sc = u->sidecar < u->w->cfg.max_sidecars ? u->w->sidecars[u->sidecar] : NULL;

	if (sc)
		park_unknown(sc, str_make(u->name, u->n));
	mem_free(u);
}

bool worker_unknown(struct worker *w, uint32_t slot, struct str name)
{
	if (w->ended) /* nobody would read it */
		return true;
	struct unknown_mail *u = name.n <= PARK_NAME_BYTES ? mem_zalloc(sizeof(*u)) : NULL;

	if (!u)
		return false;
	u->m.fn = on_unknown;
	u->w = w;
	u->sidecar = slot;
	u->n = name.n;
	memcpy(u->name, name.p, name.n);
	loop_post(w->loop, &u->m);
	return true;
}

/* --- draining ------------------------------------------------------------------------------------------------ */

/* What waits in the queue is the successor's. */
static void leave_to_successor(struct wlistener *l)
{
	if (l->accepting)
		listener_stop(&l->l);
	l->accepting = false;
}

static void on_drain(struct mail *m)
{
	struct order_mail *o = LIST_OWNER(m, struct order_mail, m);
	struct worker *w = o->w;

	w->drain = (uint8_t)(o->value + 1);
	for (uint32_t i = 0; i < w->cfg.max_sidecars && o->value != DRAIN_ANNOUNCE; i++) {
		struct wsidecar *sc = w->sidecars[i];
		if (!sc)
			continue;
		LIST_EACH (it, tmp, &sc->listeners) {
			struct wlistener *l = LIST_OWNER(it, struct wlistener, link);
			if (o->value == DRAIN_RELIEVED)
				leave_to_successor(l);
			else if (o->value == DRAIN_ALL || wlistener_is_inbound(l))
				stop_accepting(l);
		}
	}
	mem_free(o);
}

bool worker_drain(struct worker *w, enum drain_step step)
{
	return post_order(w, on_drain, step);
}
