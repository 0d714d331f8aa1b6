#include "control/discovery_int.h"

#include "base/mem.h"
#include "control/option_value.h"

/* --- choosing ------------------------------------------------------------------------------------------------------ */

static struct endpoint_set *first_with_endpoints(const struct service *s)
{
	for (unsigned i = 0; i < s->n_order; i++) {
		const struct part *p = &s->parts[s->order[i]];
		if (p->set && p->set->n && !p->stale)
			return p->set;
	}
	return NULL;
}

static bool all_gone(const struct service *s)
{
	for (unsigned i = 0; i < s->n_order; i++)
		if (!s->parts[s->order[i]].gone)
			return false;
	return true;
}

/* Is the set that is in use still a part's, or does another one stand before it now? */
static void choose(struct discovery *d, struct service *s)
{
	const struct endpoint_set *best = first_with_endpoints(s);
	if (best != s->chosen) {
		if (d->cfg.replaced)
			d->cfg.replaced(d->cfg.arg, s->name, s->chosen, best);
		s->chosen = best;
		s->told_unknown = false;
		d->cfg.changed(d->cfg.arg, s->name);
	}
	if (!best && !s->told_unknown && all_gone(s)) {
		s->told_unknown = true;
		d->cfg.unknown(d->cfg.arg, s->name);
	}
}

/* Who wants a service hears of what is known already: a registry that said it once does not say it again. Not inside the call. */
void discovery_on_soon(void *arg)
{
	struct discovery *d = arg;

	LIST_EACH (it, tmp, &d->services) {
		struct service *s = LIST_OWNER(it, struct service, link);
		if (!s->again)
			continue;
		s->again = false;
		choose(d, s);
	}
}

/* --- what registries say --------------------------------------------------------------------------------------------- */

static struct part *part_of(struct asked *a, struct str name, struct service **ret)
{
	struct service *s = table_get(&a->owner->table, name);
	*ret = s;
	return s ? &s->parts[a - a->owner->at] : NULL;
}

static void on_trouble(void *arg, const char *why)
{
	struct asked *a = arg;
	text_clear(&a->trouble);
	text_add(&a->trouble, str_make(why, strnlen(why, DISCOVERY_TROUBLE_MAX)));
	if (a->keep && !a->trouble.n) /* what was not believed any more is now */
		timer_set(a->owner->cfg.loop, &a->owner->tick, loop_touch(a->owner->cfg.loop));
	a->owner->cfg.trouble(a->owner->cfg.arg, text_z(&a->name), text_z(&a->trouble));
}

/* It answers for the service. */
static void has_answered(struct part *p)
{
	p->answered = true;
	p->stale = false;
	p->silent = 0;
}

static void replace(struct asked *a, struct service *s, struct part *p, struct endpoint_set *set)
{
	struct endpoint_set *old = p->set;
	a->endpoints += (set ? set->n : 0) - (old ? old->n : 0);
	p->set = set;
	choose(a->owner, s);
	endpoint_set_unref(old); /* after that nobody has it as the chosen one */
}

static void on_endpoints(void *arg, struct str name, const struct registry_endpoint *at, size_t n)
{
	struct asked *a = arg;
	struct service *s;
	struct part *p = part_of(a, name, &s);

	if (!p)
		return;
	a->updates++;
	a->at = clock_wall();
	has_answered(p);
	p->gone = 0;
	struct endpoint_set *set = endpoint_set_new(at, n, text_z(&a->name));
	if (!set) {
		on_trouble(a, "a service has more instances than are taken, or memory is short; its former "
			      "ones stay");
		return;
	}
	if (endpoint_set_same(set, p->set)) {
		endpoint_set_unref(set);
		choose(a->owner, s); /* it may have been stale */
		return;
	}
	replace(a, s, p, set);
}

static void on_gone(void *arg, struct str name)
{
	struct asked *a = arg;
	struct service *s;
	struct part *p = part_of(a, name, &s);

	if (!p)
		return;
	has_answered(p);
	if (!p->gone)
		p->gone = loop_touch(a->owner->cfg.loop);
	if (p->set && !a->owner->hold)
		replace(a, s, p, NULL);
	else
		choose(a->owner, s);
}

const struct registry_events discovery_events = { on_endpoints, on_gone, on_trouble };

/* --- time ------------------------------------------------------------------------------------------------------------- */

static void unwatch(struct discovery *d, struct service *s)
{
	for (size_t i = 0; i < d->n; i++) {
		if (!s->parts[i].watched)
			continue;
		d->at[i].ops->unwatch(d->at[i].registry, s->name);
		s->parts[i].watched = false;
		d->at[i].services--;
	}
}

static bool any_set(const struct discovery *d, const struct service *s)
{
	for (size_t i = 0; i < d->n; i++)
		if (s->parts[i].set)
			return true;
	return false;
}

/* Its parts have no sets. */
static void forget(struct discovery *d, struct service *s)
{
	(void)table_remove(&d->table, s->name);
	list_remove(&s->link);
	mem_free((char *)(uintptr_t)s->name.p);
	mem_free(s);
}

/* Names come from whoever calls 4140: when there are too many, the one without instances that was wanted longest ago goes. */
static void make_room(struct discovery *d)
{
	LIST_EACH (it, tmp, &d->services) {
		struct service *s = LIST_OWNER(it, struct service, link);
		if (any_set(d, s))
			continue;
		unwatch(d, s);
		forget(d, s);
		return;
	}
}

/* Has its registry been silent for so long that what it said last is not believed any more? The set stays: a registry that comes
 * back says nothing of what has not changed meanwhile. */
static void judge_silence(struct asked *a, struct service *s, struct part *p, usec now)
{
	bool answers = !a->trouble.n || (p->watched && a->ops->answers && a->ops->answers(a->registry, s->name));
	if (answers)
		p->silent = 0;
	else if (!p->silent)
		p->silent = now;
	bool stale = p->silent && p->silent + a->keep <= now;
	if (stale == p->stale)
		return;
	p->stale = stale;
	choose(a->owner, s);
}

static void look_at(struct discovery *d, struct service *s, usec now)
{
	bool idle = s->wanted + d->idle < now;
	if (idle)
		unwatch(d, s);
	for (size_t i = 0; i < d->n; i++) {
		struct part *p = &s->parts[i];
		if (p->set && d->at[i].keep)
			judge_silence(&d->at[i], s, p, now);
		if (p->set && ((p->gone && p->gone + d->hold <= now) || (p->stale && !p->watched)))
			replace(&d->at[i], s, p, NULL);
	}
	if (idle && !any_set(d, s))
		forget(d, s);
	else if (!s->chosen && s->n_order == 0)
		choose(d, s);
}

void discovery_on_tick(void *arg)
{
	struct discovery *d = arg;
	usec now = loop_touch(d->cfg.loop);
	LIST_EACH (it, tmp, &d->services)
		look_at(d, LIST_OWNER(it, struct service, link), now);
	timer_set(d->cfg.loop, &d->tick, timer_shared(now + DISCOVERY_TICK, DISCOVERY_TICK));
}

/* --- services ---------------------------------------------------------------------------------------------------------- */

static bool is_named(struct str list, struct str name)
{
	struct str item;
	while (option_item_next(&list, &item))
		if (str_eq(item, name))
			return true;
	return false;
}

/* The upstream's own list, in its order; else all. */
static void put_order(struct discovery *d, struct service *s, struct str registries)
{
	struct str rest = registries, item;
	s->n_order = 0;
	if (!registries.n) {
		for (size_t i = 0; i < d->n; i++)
			s->order[s->n_order++] = (uint8_t)i;
		return;
	}
	while (option_item_next(&rest, &item)) {
		for (size_t i = 0; i < d->n && s->n_order < DISCOVERY_REGISTRIES_MAX; i++)
			if (str_eq(str_of(d->at[i].ops->name), item))
				s->order[s->n_order++] = (uint8_t)i;
	}
	for (size_t i = 0; i < d->n; i++) { /* what left the list is forgotten */
		if (s->parts[i].watched && !is_named(registries, str_of(d->at[i].ops->name))) {
			d->at[i].ops->unwatch(d->at[i].registry, s->name);
			s->parts[i].watched = false;
			d->at[i].services--;
		}
	}
}

static struct service *service_new(struct discovery *d, struct str name)
{
	if (d->table.n >= REGISTRY_SERVICES_MAX)
		make_room(d);
	struct service *s = d->table.n < REGISTRY_SERVICES_MAX ? mem_zalloc(sizeof(*s)) : NULL;
	if (!s)
		return NULL;
	s->name = str_make(mem_dup(name.p, name.n), name.n);
	if (!s->name.p || !table_put(&d->table, s->name, s)) {
		mem_free((char *)(uintptr_t)s->name.p);
		mem_free(s);
		return NULL;
	}
	list_append(&d->services, &s->link);
	return s;
}

static bool watch_all(struct discovery *d, struct service *s, bool called)
{
	bool ok = true;
	for (unsigned i = 0; i < s->n_order; i++) {
		struct part *p = &s->parts[s->order[i]];
		struct asked *a = &d->at[s->order[i]];
		if (p->watched || (a->ops->lazy && !called))
			continue;
		if (!p->set)
			p->gone = 0; /* it was so when it was asked last */
		p->watched = a->ops->watch(a->registry, s->name);
		a->services += p->watched;
		ok = ok && p->watched;
	}
	return ok;
}

bool discovery_want(struct discovery *d, struct str name, struct str registries, bool called)
{
	struct service *s = table_get(&d->table, name);

	if (!s && !(s = service_new(d, name)))
		return false;
	list_remove(&s->link);
	list_append(&d->services, &s->link);
	s->wanted = loop_touch(d->cfg.loop);
	s->told_unknown = false; /* who asks again is told again */
	put_order(d, s, registries);
	bool ok = watch_all(d, s, called);
	s->again = true;
	timer_set(d->cfg.loop, &d->soon, s->wanted);
	return ok;
}

const struct endpoint_set *discovery_set(const struct discovery *d, struct str name)
{
	const struct service *s = d ? table_get(&d->table, name) : NULL;
	return s ? s->chosen : NULL;
}

usec discovery_wanted_at(const struct discovery *d, struct str name)
{
	const struct service *s = table_get(&d->table, name);
	return s ? s->wanted : 0;
}

void discovery_drop(struct discovery *d, struct str name)
{
	struct service *s = table_get(&d->table, name);

	if (!s)
		return;
	unwatch(d, s);
	for (size_t i = 0; i < d->n; i++) {
		d->at[i].endpoints -= s->parts[i].set ? s->parts[i].set->n : 0;
		endpoint_set_unref(s->parts[i].set);
	}
	forget(d, s);
}

bool discovery_answered(const struct discovery *d, struct str name)
{
	const struct service *s = table_get(&d->table, name);
	for (unsigned i = 0; s && i < s->n_order; i++)
		if (!s->parts[s->order[i]].answered && !d->at[s->order[i]].trouble.n)
			return false;
	return s != NULL;
}

bool discovery_asks(const struct discovery *d)
{
	return d->n > 0;
}

void discovery_refresh(struct discovery *d)
{
	for (size_t i = 0; i < d->n; i++)
		d->at[i].ops->refresh(d->at[i].registry);
}

bool discovery_met(struct discovery *d, const struct addr *a, struct str hello)
{
	return met_put(d->met, a, hello);
}

struct str discovery_hello(const struct discovery *d, const struct addr *a)
{
	return d ? met_get(d->met, a) : str_make(NULL, 0);
}

size_t discovery_count(const struct discovery *d)
{
	return d->n;
}

struct discovery_view discovery_view(const struct discovery *d, size_t i)
{
	const struct asked *a = &d->at[i];
	return (struct discovery_view){ text_z(&a->name), text_z(&a->trouble), a->services, a->endpoints,
		a->updates, a->at };
}
