#include "proxy/worker.h"

#include "base/mem.h"
#include "proxy/alias.h"
#include "proxy/client.h"
#include "proxy/origin.h"
#include "proxy/park.h"
#include "proxy/steps.h"

#include <signal.h>
#include <stdio.h>

/* --- what is under way ------------------------------------------------------------------------------------ */

void worker_busy_add(struct worker *w, const struct wlistener *l)
{
	l->sc->n_busy++;
	count_add(&w->busy, 1);
	if (wlistener_is_inbound(l))
		count_add(&w->busy_inbound, 1);
}

void worker_busy_sub(struct worker *w, const struct wlistener *l)
{
	l->sc->n_busy--;
	count_sub(&w->busy, 1);
	if (wlistener_is_inbound(l))
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
		l->n_dead--;
		wlistener_free_if_unused(l);
	}
	while (!list_empty(&w->dead_origins)) {
		struct origin *o = LIST_OWNER(w->dead_origins.next, struct origin, link);
		list_remove(&o->link);
		origin_free(o);
	}
}

/* One pipelined request of each who has some: whoever sent hundreds that we answer ourselves has the rest in later turns. */
static void resume_ready(struct worker *w)
{
	struct list now;

	if (list_empty(&w->ready))
		return;
	list_init(&now);
	list_append(&w->ready, &now); /* what is appended from here on stands behind it */
	while (w->ready.next != &now) {
		struct list *it = w->ready.next;
		list_remove(it);
		client_resume(LIST_OWNER(it, struct client, ready));
	}
	list_remove(&now);
	if (!list_empty(&w->ready))
		loop_again(w->loop);
}

static void end_of_turn(void *arg)
{
	struct worker *w = arg;

	resume_ready(w);
	overload_weigh(w);
	bury(w);
}

static bool make_tables(struct worker *w)
{
	w->sidecars = mem_zarray(w->cfg.max_sidecars, sizeof(w->sidecars[0]));
	w->upstreams = mem_zarray(w->cfg.max_upstreams, sizeof(w->upstreams[0]));
	w->endpoints = mem_zarray(w->cfg.max_endpoints, sizeof(w->endpoints[0]));
	w->stats = mem_zarray(w->cfg.max_endpoints, sizeof(w->stats[0]));
	return w->sidecars && w->upstreams && w->endpoints && w->stats;
}

struct worker *worker_new(const struct worker_config *cfg, struct err *err)
{
	struct worker *w = mem_zalloc(sizeof(*w));

	if (!w) {
		err_set(err, "no memory for a worker");
		return NULL;
	}
	w->cfg = *cfg;
	block_pool_init(&w->blocks, cfg->buffers_max, WORKER_KEEP_BLOCKS);
	rng_seed_os(&w->rng);
	list_init(&w->dead_clients);
	list_init(&w->dead_origins);
	list_init(&w->ready);
	list_init(&w->tunnels);
	overload_init(w);
	record_init(w);
	if (!make_tables(w) || (cfg->recorded && !ring_init(&w->ring, cfg->ring))) {
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
	overload_end(w);
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
	w->ended = true;
	loop_turn(w->loop, false); /* what was posted while it ended: specs that are still to be given back */
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
	park_free(sc);
	alias_free(sc);
	if (sc->resolver)
		resolver_free(sc->resolver);
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
	mem_free(w->stats);
	ring_release(&w->ring);
	mem_free(w);
}

/* --- what control may look at -------------------------------------------------------------------------------------- */

usec worker_cpu(const struct worker *w)
{
	struct timespec t;
	clockid_t clock;

	if (!w->started || pthread_getcpuclockid(w->thread, &clock) != 0 || clock_gettime(clock, &t) != 0)
		return 0;
	return (usec)t.tv_sec * USEC_SEC + (usec)t.tv_nsec / 1000;
}

struct ring *worker_ring(struct worker *w)
{
	return &w->ring;
}

void worker_ring_read(struct worker *w)
{
	atomic_store_explicit(&w->ring_told, false, memory_order_seq_cst);
}

struct overload_view worker_overload(const struct worker *w)
{
	return (struct overload_view){
		.step = (enum overload_step)atomic_load_explicit(&w->over.step, memory_order_relaxed),
		.buffers = atomic_load_explicit(&w->over.buffers, memory_order_relaxed),
		.descriptors = atomic_load_explicit(&w->over.descriptors, memory_order_relaxed),
		.clients = atomic_load_explicit(&w->over.clients, memory_order_relaxed),
	};
}

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

const struct durations *worker_durations(const struct worker *w, uint32_t slot, enum direction d)
{
	const struct wsidecar *sc = PART(w->sidecars, w->cfg.max_sidecars, slot);
	return sc ? &sc->durations[d] : NULL;
}

const struct durations *worker_upstream_durations(const struct worker *w, uint32_t slot)
{
	const struct wupstream *u = PART(w->upstreams, w->cfg.max_upstreams, slot);
	return u ? &u->durations : NULL;
}

const struct endpoint_counters *worker_endpoint_counters(const struct worker *w, uint32_t slot)
{
	const struct wendpoint *e = PART(w->endpoints, w->cfg.max_endpoints, slot);
	return e ? &e->c : NULL;
}

const struct balance_stat *worker_balance_stat(const struct worker *w, uint32_t slot)
{
	return slot < w->cfg.max_endpoints ? &w->stats[slot] : NULL;
}

const struct balance_part *worker_balance_part(const struct worker *w, uint32_t slot)
{
	const struct wupstream *u = PART(w->upstreams, w->cfg.max_upstreams, slot);
	return u ? &u->balance : NULL;
}
