#include "proxy/parts.h"

#include "base/mem.h"
#include "proxy/origin.h"
#include "proxy/alias.h"
#include "proxy/queue.h"

#include <stdio.h>

/* Slots are published with release order: control reads counters of parts that it finds there. */
#define SLOT_GET(table, slot) atomic_load_explicit(&(table)[slot], memory_order_relaxed)
#define SLOT_SET(table, slot, part) atomic_store_explicit(&(table)[slot], part, memory_order_release)

struct wsidecar *part_sidecar(struct worker *w, uint32_t slot, struct wsidecar **spare)
{
	struct wsidecar *sc = SLOT_GET(w->sidecars, slot);

	if (sc)
		return sc;
	sc = *spare;
	*spare = NULL;
	sc->w = w;
	sc->slot = slot;
	party_init(&sc->party, w->loop);
	list_init(&sc->listeners);
	list_init(&sc->names);
	SLOT_SET(w->sidecars, slot, sc);
	return sc;
}

static void zero(_Atomic uint64_t *c)
{
	atomic_store_explicit(c, 0, memory_order_relaxed);
}

static void forget_error(struct last_error *e)
{
	zero(&e->at);
	atomic_store_explicit(&e->reason, 0, memory_order_relaxed);
	atomic_store_explicit(&e->error, 0, memory_order_relaxed);
}

/* The slot belongs to another upstream now. What is under way still counts, and goes down by itself. */
static void renew_upstream(struct wupstream *u, uint32_t given)
{
	LIST_EACH (it, tmp, &u->dynamic) {
		struct wendpoint *e = LIST_OWNER(it, struct wendpoint, link);
		pool_clear(e);
		if (e->n_busy)
			continue;
		part_endpoint_free(e);
		u->n_dynamic--;
	}
	u->given = given;
	u->handler_own = u->handler_loop = false;
	u->handler_of = 0;
	zero(&u->c.requests);
	zero(&u->c.failures);
	zero(&u->c.retries);
	zero(&u->c.called);
	forget_error(&u->c.last);
	durations_zero(&u->durations);
}

static struct wupstream *upstream_at(struct worker *w, uint32_t slot, uint32_t generation)
{
	if (slot >= w->cfg.max_upstreams)
		return NULL;
	struct wupstream *u = SLOT_GET(w->upstreams, slot);
	if (u || !(u = mem_zalloc(sizeof(*u))))
		return u;
	u->slot = slot;
	u->given = generation;
	balance_part_init(&u->balance, w->stats, &w->rng);
	list_init(&u->dynamic);
	queue_init(u, w);
	SLOT_SET(w->upstreams, slot, u);
	return u;
}

struct wupstream *part_upstream(struct worker *w, const struct spec_upstream *s)
{
	return upstream_at(w, s->slot, s->generation);
}

struct durations *part_route(struct worker *w, const struct spec_route *r)
{
	struct wupstream *u = r->part ? upstream_at(w, r->part - 1, r->generation) : NULL;

	if (u && u->given != r->generation)
		renew_upstream(u, r->generation);
	return u ? &u->durations : NULL;
}

static struct wendpoint *make_endpoint(struct wupstream *up, const struct addr *a)
{
	struct wendpoint *e = mem_zalloc(sizeof(*e));

	if (!e)
		return NULL;
	e->up = up;
	e->addr = *a;
	char text[ADDR_TEXT_MAX];
	addr_text(a, text);
	(void)str_copy(str_of(text), e->text, sizeof(e->text));
	e->idle_age = USEC_NEVER;
	list_init(&e->link);
	list_init(&e->idle);
	return e;
}

/* The slot belongs to another endpoint now. */
static void renew_endpoint(
	struct worker *w, struct wendpoint *e, struct wupstream *up, const struct spec_endpoint *s)
{
	char text[ADDR_TEXT_MAX];

	pool_clear(e);
	e->generation++;
	e->given = s->generation;
	e->agent = s->agent;
	e->hello_hash = 0;
	w->stats[s->slot] = (struct balance_stat){ 0 };
	e->up = up;
	e->addr = s->addr;
	addr_text(&s->addr, text);
	(void)str_copy(str_of(text), e->text, sizeof(e->text));
	e->idle_age = USEC_NEVER;
	zero(&e->c.attempts);
	zero(&e->c.failures);
	zero(&e->c.connects);
	forget_error(&e->c.last);
}

static bool is_other(const struct wendpoint *e, const struct spec_endpoint *s)
{
	return e->given != s->generation || !addr_eq(&e->addr, &s->addr);
}

struct wendpoint *part_endpoint(struct worker *w, struct wupstream *up, const struct spec_endpoint *s)
{
	if (s->slot >= w->cfg.max_endpoints)
		return NULL;
	struct wendpoint *e = SLOT_GET(w->endpoints, s->slot);
	if (e) {
		e->gone = false;
		if (is_other(e, s))
			renew_endpoint(w, e, up, s);
		return e;
	}
	if (!(e = make_endpoint(up, &s->addr)))
		return NULL;
	e->given = s->generation;
	e->agent = s->agent;
	SLOT_SET(w->endpoints, s->slot, e);
	return e;
}

static struct wendpoint *endpoint_at(const struct worker *w, uint32_t slot)
{
	return slot < w->cfg.max_endpoints ? SLOT_GET(w->endpoints, slot) : NULL;
}

void parts_follow(struct worker *w, const struct spec_upstream *old, const struct spec_upstream *now)
{
	struct wupstream *u = now && now->slot < w->cfg.max_upstreams ? SLOT_GET(w->upstreams, now->slot)
								      : NULL;

	if (u && u->given != now->generation)
		renew_upstream(u, now->generation);
	for (uint32_t i = 0; now && i < now->n_endpoints; i++) {
		struct wendpoint *e = endpoint_at(w, now->endpoints[i].slot);
		if (!e)
			continue;
		e->seen = w->changes;
		if (u && is_other(e, &now->endpoints[i]))
			renew_endpoint(w, e, u, &now->endpoints[i]);
	}
	for (uint32_t i = 0; old && i < old->n_endpoints; i++) {
		struct wendpoint *e = endpoint_at(w, old->endpoints[i].slot);
		if (!e || e->seen == w->changes)
			continue;
		e->gone = true;
		pool_clear(e);
	}
}

void part_sidecar_forget(struct wsidecar *sc)
{
	sc->leaves = false;
	sc->suspect_next = 0;
	alias_free(sc);
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		zero(&sc->counters.v[i]);
	for (size_t i = 0; i < REASON_COUNT; i++)
		zero(&sc->counters.reasons[i]);
	for (size_t i = 0; i < DIRECTIONS; i++)
		durations_zero(&sc->durations[i]);
}

void parts_forget_dynamic(struct worker *w, uint32_t slot)
{
	struct wupstream *u = slot < w->cfg.max_upstreams ? SLOT_GET(w->upstreams, slot) : NULL;

	if (!u)
		return;
	LIST_EACH (it, tmp, &u->dynamic)
		pool_clear(LIST_OWNER(it, struct wendpoint, link));
	u->handler_own = u->handler_loop = false;
	u->handler_of = 0;
}

/* Makes room among the dynamic endpoints: the least recently used one without a busy connection goes. */
static void forget_one(struct wupstream *up)
{
	for (struct list *it = up->dynamic.prev; it != &up->dynamic; it = it->prev) {
		struct wendpoint *e = LIST_OWNER(it, struct wendpoint, link);
		if (e->n_busy)
			continue;
		part_endpoint_free(e);
		up->n_dynamic--;
		return;
	}
}

struct wendpoint *part_dynamic(struct worker *w, struct wupstream *up, const struct addr *a, usec now)
{
	(void)w;
	LIST_EACH (it, tmp, &up->dynamic) {
		struct wendpoint *e = LIST_OWNER(it, struct wendpoint, link);
		if (!addr_eq(&e->addr, a))
			continue;
		if (up->dynamic.next != it) {
			list_remove(it);
			list_push(&up->dynamic, it);
		}
		return e;
	}
	if (up->n_dynamic >= DYNAMIC_MAX)
		forget_one(up);
	if (up->n_dynamic >= DYNAMIC_MAX)
		return NULL;
	struct wendpoint *e = make_endpoint(up, a);
	if (!e)
		return NULL;
	e->dynamic = true;
	e->last_used = now;
	list_push(&up->dynamic, &e->link);
	up->n_dynamic++;
	return e;
}

void part_endpoint_free(struct wendpoint *e)
{
	if (!e)
		return;
	pool_clear(e);
	list_remove(&e->link);
	mem_free(e);
}

void part_upstream_free(struct wupstream *u)
{
	if (!u)
		return;
	while (!list_empty(&u->dynamic))
		part_endpoint_free(LIST_OWNER(u->dynamic.next, struct wendpoint, link));
	mem_free(u);
}
