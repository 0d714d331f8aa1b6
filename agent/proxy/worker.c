#include "proxy/worker.h"

#include "base/json.h"
#include "base/mem.h"
#include "proxy/client.h"
#include "proxy/origin.h"
#include "proxy/steps.h"

#include <signal.h>
#include <stdio.h>

#define KEEP_BLOCKS 128 /* free blocks kept by a worker: one turn of the loop may need that many */

/* --- listeners -------------------------------------------------------------------------------------------- */

static bool is_inbound(const struct wlistener *l)
{
	return l->kind == LISTEN_INBOUND || l->kind == LISTEN_EDGE;
}

bool wlistener_leaving(const struct wlistener *l)
{
	return l->index == UINT32_MAX || l->w->drain > DRAIN_INBOUND + 1 || (l->w->drain && is_inbound(l));
}

static void stop_accepting(struct wlistener *l)
{
	if (l->accepting)
		listener_stop(&l->l);
	l->accepting = false;
	LIST_EACH(it, tmp, &l->clients)
		client_close_idle(LIST_OWNER(it, struct client, link));
}

void wlistener_free_if_unused(struct wlistener *l)
{
	if (l->index != UINT32_MAX || l->n_clients)
		return;
	list_remove(&l->link);
	mem_free(l);
}

static void on_accept(void *arg, int fd, const struct addr *peer)
{
	client_accept(arg, fd, peer);
}

static struct wlistener *make_listener(struct wsidecar *sc, const struct spec_sidecar *spec, uint32_t i, int fd)
{
	static const char suffix[] = { [LISTEN_INBOUND] = 'i', [LISTEN_OUTBOUND] = 'o', [LISTEN_PINNED] = 'o',
				       [LISTEN_PINNED_TCP] = 'o', [LISTEN_EDGE] = 'e' };
	struct wlistener *l = mem_zalloc(sizeof(*l));

	if (!l)
		return NULL;
	l->w = sc->w;
	l->sc = sc;
	l->fd = fd;
	l->kind = spec->listeners[i].kind;
	l->index = i;
	list_init(&l->clients);
	/* in and out have marks of their own: a handler that copies Via from its request into its calls is no loop */
	snprintf(l->via, sizeof(l->via), "%.*s-%c", (int)(spec->forward.via.n > 48 ? 48 : spec->forward.via.n),
		 spec->forward.via.p ? spec->forward.via.p : "outrider", suffix[l->kind]);
	list_append(&sc->listeners, &l->link);
	l->accepting = listener_start(&l->l, sc->w->loop, fd, on_accept, l);
	return l;
}

static struct wlistener *find_listener(struct wsidecar *sc, int fd)
{
	LIST_EACH(it, tmp, &sc->listeners) {
		struct wlistener *l = LIST_OWNER(it, struct wlistener, link);
		if (l->fd == fd && l->index != UINT32_MAX)
			return l;
	}
	return NULL;
}

/* --- specs ---------------------------------------------------------------------------------------------------- */

struct release_mail {
	struct mail m;
	struct worker *w;
	struct spec_sidecar *spec;
};

static void on_released(struct mail *m)
{
	struct release_mail *r = LIST_OWNER(m, struct release_mail, m);

	r->w->cfg.released(r->w->cfg.arg, r->w->cfg.index, r->spec);
	mem_free(r);
}

static void release_spec(struct worker *w, struct spec_sidecar *spec)
{
	struct release_mail *r = w->cfg.released ? mem_alloc(sizeof(*r)) : NULL;

	if (!r)
		return; /* without memory the spec stays until the end of the process */
	r->m.fn = on_released;
	r->w = w;
	r->spec = spec;
	loop_post(w->cfg.control, &r->m);
}

struct wspec *wspec_use(struct wsidecar *sc)
{
	sc->cur->uses++;
	return sc->cur;
}

static void free_if_done(struct wspec *s)
{
	if (!s->retired || s->uses)
		return;
	release_spec(s->sc->w, s->spec);
	mem_free(s);
}

void wspec_unuse(struct wspec *s)
{
	s->uses--;
	free_if_done(s);
}

static bool spec_has_endpoint(const struct spec_sidecar *s, uint32_t slot)
{
	for (uint32_t i = 0; i < s->n_upstreams; i++)
		for (uint32_t k = 0; k < s->upstreams[i]->n_endpoints; k++)
			if (s->upstreams[i]->endpoints[k].slot == slot)
				return true;
	return false;
}

/* Endpoints that are no longer listed finish what they do and pool nothing. */
static void drop_endpoints(struct worker *w, const struct spec_sidecar *old, const struct spec_sidecar *now)
{
	for (uint32_t i = 0; i < old->n_upstreams; i++) {
		const struct spec_upstream *u = old->upstreams[i];
		for (uint32_t k = 0; k < u->n_endpoints; k++) {
			uint32_t slot = u->endpoints[k].slot;
			struct wendpoint *e = slot < w->cfg.max_endpoints ? w->endpoints[slot] : NULL;
			if (!e || spec_has_endpoint(now, slot))
				continue;
			e->gone = true;
			pool_clear(e);
		}
	}
}

struct set_mail {
	struct mail m;
	struct worker *w;
	struct spec_sidecar *spec;
	struct wspec *ws;
	uint32_t n;
	int fds[];
};

static void update_listeners(struct wsidecar *sc, const struct set_mail *s)
{
	LIST_EACH(it, tmp, &sc->listeners) {
		struct wlistener *l = LIST_OWNER(it, struct wlistener, link);
		bool stays = false;
		for (uint32_t i = 0; i < s->n && !stays; i++)
			stays = s->fds[i] == l->fd;
		if (stays)
			continue;
		l->index = UINT32_MAX;
		stop_accepting(l);
		wlistener_free_if_unused(l);
	}
	for (uint32_t i = 0; i < s->n; i++) {
		struct wlistener *l = s->fds[i] < 0 ? NULL : find_listener(sc, s->fds[i]);
		if (l) {
			l->index = i;
			l->kind = s->spec->listeners[i].kind;
		} else if (s->fds[i] >= 0) {
			(void)make_listener(sc, s->spec, i, s->fds[i]);
		}
	}
}

static void on_set(struct mail *m)
{
	struct set_mail *s = LIST_OWNER(m, struct set_mail, m);
	struct wsidecar *sc = part_sidecar(s->w, s->spec->slot);

	if (!sc) {
		release_spec(s->w, s->spec);
		mem_free(s->ws);
		mem_free(s);
		return;
	}
	struct wspec *old = sc->cur;
	s->ws->sc = sc;
	s->ws->spec = s->spec;
	sc->cur = s->ws;
	update_listeners(sc, s);
	if (old) {
		drop_endpoints(s->w, old->spec, s->spec);
		old->retired = true;
		free_if_done(old);
	}
	mem_free(s);
}

bool worker_set_sidecar(struct worker *w, struct spec_sidecar *spec, const int *fds)
{
	struct set_mail *s = mem_zalloc(sizeof(*s) + spec->n_listeners * sizeof(int));
	struct wspec *ws = mem_zalloc(sizeof(*ws));

	if (!s || !ws) {
		mem_free(s);
		mem_free(ws);
		return false;
	}
	s->m.fn = on_set;
	s->w = w;
	s->spec = spec;
	s->ws = ws;
	s->n = spec->n_listeners;
	for (uint32_t i = 0; i < s->n; i++)
		s->fds[i] = fds[i];
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

static void on_drop(struct mail *m)
{
	struct order_mail *o = LIST_OWNER(m, struct order_mail, m);
	struct wsidecar *sc = o->value < o->w->cfg.max_sidecars ? o->w->sidecars[o->value] : NULL;

	if (sc) {
		LIST_EACH(it, tmp, &sc->listeners) {
			struct wlistener *l = LIST_OWNER(it, struct wlistener, link);
			l->index = UINT32_MAX;
			stop_accepting(l);
		}
	}
	mem_free(o);
}

bool worker_drop_sidecar(struct worker *w, uint32_t slot)
{
	return post_order(w, on_drop, slot);
}

/* --- draining ------------------------------------------------------------------------------------------------ */

static void on_drain(struct mail *m)
{
	struct order_mail *o = LIST_OWNER(m, struct order_mail, m);
	struct worker *w = o->w;

	w->drain = (uint8_t)(o->value + 1);
	for (uint32_t i = 0; i < w->cfg.max_sidecars && o->value != DRAIN_ANNOUNCE; i++) {
		struct wsidecar *sc = w->sidecars[i];
		if (!sc)
			continue;
		LIST_EACH(it, tmp, &sc->listeners) {
			struct wlistener *l = LIST_OWNER(it, struct wlistener, link);
			if (o->value == DRAIN_ALL || is_inbound(l))
				stop_accepting(l);
		}
	}
	mem_free(o);
}

bool worker_drain(struct worker *w, enum drain_step step)
{
	return post_order(w, on_drain, step);
}

void worker_busy_add(struct worker *w, const struct wlistener *l)
{
	count_add(&w->busy, 1);
	if (is_inbound(l))
		count_add(&w->busy_inbound, 1);
}

void worker_busy_sub(struct worker *w, const struct wlistener *l)
{
	count_sub(&w->busy, 1);
	if (is_inbound(l))
		count_sub(&w->busy_inbound, 1);
}

uint64_t worker_busy(const struct worker *w)
{
	return atomic_load_explicit(&w->busy, memory_order_relaxed);
}

uint64_t worker_busy_inbound(const struct worker *w)
{
	return atomic_load_explicit(&w->busy_inbound, memory_order_relaxed);
}

/* --- the loop -------------------------------------------------------------------------------------------------- */

static void bury(struct worker *w)
{
	while (!list_empty(&w->dead_clients)) {
		struct client *c = LIST_OWNER(w->dead_clients.next, struct client, link);
		struct wlistener *l = c->l;
		list_remove(&c->link);
		client_free(c);
		wlistener_free_if_unused(l);
	}
	while (!list_empty(&w->dead_origins)) {
		struct origin *o = LIST_OWNER(w->dead_origins.next, struct origin, link);
		list_remove(&o->link);
		origin_free(o);
	}
}

static void end_of_turn(void *arg)
{
	struct worker *w = arg;

	while (!list_empty(&w->ready)) {
		struct list *it = w->ready.next;
		list_remove(it);
		client_resume(LIST_OWNER(it, struct client, ready));
	}
	bury(w);
}

static bool make_tables(struct worker *w)
{
	w->sidecars = mem_zarray(w->cfg.max_sidecars, sizeof(w->sidecars[0]));
	w->upstreams = mem_zarray(w->cfg.max_upstreams, sizeof(w->upstreams[0]));
	w->endpoints = mem_zarray(w->cfg.max_endpoints, sizeof(w->endpoints[0]));
	return w->sidecars && w->upstreams && w->endpoints;
}

struct worker *worker_new(const struct worker_config *cfg, struct err *err)
{
	struct worker *w = mem_zalloc(sizeof(*w));

	if (!w) {
		err_set(err, "no memory for a worker");
		return NULL;
	}
	w->cfg = *cfg;
	block_pool_init(&w->blocks, cfg->buffers_max, KEEP_BLOCKS);
	rng_seed_os(&w->rng);
	list_init(&w->dead_clients);
	list_init(&w->dead_origins);
	list_init(&w->ready);
	list_init(&w->tunnels);
	if (!make_tables(w)) {
		err_set(err, "no memory for a worker's tables");
		worker_free(w);
		return NULL;
	}
	w->loop = loop_new(err);
	w->resolver = w->loop ? resolver_new(w->loop, NULL, err) : NULL;
	if (!w->resolver) {
		worker_free(w);
		return NULL;
	}
	loop_on_turn(w->loop, end_of_turn, w);
	return w;
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;

	loop_run(w->loop);
	return NULL;
}

bool worker_start(struct worker *w, struct err *err)
{
	sigset_t all, old;
	char name[16];

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = pthread_create(&w->thread, NULL, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return err_set(err, "cannot start worker %u: %s", w->cfg.index, strerror(r));
	w->started = true;
	snprintf(name, sizeof(name), "worker-%u", w->cfg.index % 1000);
	pthread_setname_np(w->thread, name);
	return true;
}

void worker_stop(struct worker *w)
{
	loop_stop(w->loop);
}

static void close_sidecar(struct wsidecar *sc)
{
	LIST_EACH(it, tmp, &sc->listeners) {
		struct wlistener *l = LIST_OWNER(it, struct wlistener, link);
		if (l->accepting)
			listener_stop(&l->l);
		LIST_EACH(ct, ctmp, &l->clients)
			client_close(LIST_OWNER(ct, struct client, link), STREAM_CLOSE_RESET);
	}
}

static void close_all(struct worker *w)
{
	tunnel_close_all(w);
	for (uint32_t i = 0; w->sidecars && i < w->cfg.max_sidecars; i++)
		if (w->sidecars[i])
			close_sidecar(w->sidecars[i]);
	for (uint32_t i = 0; w->endpoints && i < w->cfg.max_endpoints; i++)
		if (w->endpoints[i])
			pool_clear(w->endpoints[i]);
	for (uint32_t i = 0; w->upstreams && i < w->cfg.max_upstreams; i++) {
		struct wupstream *u = w->upstreams[i];
		if (!u)
			continue;
		LIST_EACH(it, tmp, &u->dynamic)
			pool_clear(LIST_OWNER(it, struct wendpoint, link));
	}
	bury(w);
}

void worker_join(struct worker *w)
{
	if (w->started)
		pthread_join(w->thread, NULL);
	w->started = false;
	close_all(w);
}

static void free_sidecar(struct wsidecar *sc)
{
	if (!sc)
		return;
	while (!list_empty(&sc->listeners)) {
		struct wlistener *l = LIST_OWNER(sc->listeners.next, struct wlistener, link);
		list_remove(&l->link);
		mem_free(l);
	}
	mem_free(sc->cur);
	mem_free(sc);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	for (uint32_t i = 0; w->sidecars && i < w->cfg.max_sidecars; i++)
		free_sidecar(w->sidecars[i]);
	for (uint32_t i = 0; w->endpoints && i < w->cfg.max_endpoints; i++)
		part_endpoint_free(w->endpoints[i]);
	for (uint32_t i = 0; w->upstreams && i < w->cfg.max_upstreams; i++)
		part_upstream_free(w->upstreams[i]);
	while (w->free_exchanges) {
		struct exchange *x = w->free_exchanges;
		w->free_exchanges = x->next;
		mem_free(x);
	}
	if (w->resolver)
		resolver_free(w->resolver);
	loop_free(w->loop);
	block_pool_release(&w->blocks);
	mem_free(w->sidecars);
	mem_free(w->upstreams);
	mem_free(w->endpoints);
	mem_free(w);
}

/* --- what control may look at -------------------------------------------------------------------------------------- */

struct loop *worker_loop(const struct worker *w)
{
	return w->loop;
}

#define PART(table, limit, slot)                                                                             \
	((slot) < (limit) ? atomic_load_explicit(&(table)[slot], memory_order_acquire) : NULL)

const struct counters *worker_counters(const struct worker *w, uint32_t slot)
{
	const struct wsidecar *sc = PART(w->sidecars, w->cfg.max_sidecars, slot);
	return sc ? &sc->counters : NULL;
}

const struct upstream_counters *worker_upstream_counters(const struct worker *w, uint32_t slot)
{
	const struct wupstream *u = PART(w->upstreams, w->cfg.max_upstreams, slot);
	return u ? &u->c : NULL;
}

const struct endpoint_counters *worker_endpoint_counters(const struct worker *w, uint32_t slot)
{
	const struct wendpoint *e = PART(w->endpoints, w->cfg.max_endpoints, slot);
	return e ? &e->c : NULL;
}
