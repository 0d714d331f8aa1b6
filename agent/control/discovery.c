#include "control/discovery.h"

#include "base/list.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/table.h"
#include "control/option_mask.h"
#include "control/met.h"
#include "control/option_value.h"
#include "control/sources.h"
#include "net/timer.h"

#define TROUBLE_MAX 1024u
#define TICK USEC_SEC

struct asked { /* one registry of the chain */
	struct discovery *owner;
	const struct registry_ops *ops;
	struct registry *registry;
	struct text name, trouble;
	size_t services, endpoints;
	uint64_t updates;
	usec at;
	usec keep;   /* so long its sets are believed without a word of it; 0: without end */
	usec silent; /* since when it is in trouble (monotonic); 0: it is not */
};

struct part {                     /* what one registry says of one service */
	struct endpoint_set *set; /* NULL: nothing */
	bool watched, answered;
	usec heard; /* the last time it said something of it (monotonic) */
	usec gone; /* since when it says that there is none (monotonic); 0: it does not */
};

struct service {
	struct list link;
	struct str name; /* owned */
	struct part parts[DISCOVERY_REGISTRIES_MAX];
	uint8_t order[DISCOVERY_REGISTRIES_MAX]; /* registries to believe, the strongest first */
	uint8_t n_order;
	const struct endpoint_set *chosen; /* of one of the parts */
	usec wanted;                       /* the last time (monotonic) */
	bool told_unknown;
};

struct discovery {
	struct discovery_config cfg;
	usec hold, idle;
	struct resolver *names, *dns; /* owned; for peers; DNS only */
	struct table table;        /* name to struct service */
	struct met *met;           /* owned; what agents said */
	struct list services;
	struct timer tick;
	size_t n;
	struct asked at[DISCOVERY_REGISTRIES_MAX];
};

/* --- choosing ------------------------------------------------------------------------------------------------------ */

static struct endpoint_set *first_with_endpoints(const struct service *s)
{
	for (unsigned i = 0; i < s->n_order; i++) {
		struct endpoint_set *set = s->parts[s->order[i]].set;
		if (set && set->n)
			return set;
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
	text_add(&a->trouble, str_make(why, strnlen(why, TROUBLE_MAX)));
	if (!a->trouble.n || !a->silent)
		a->silent = a->trouble.n ? loop_touch(a->owner->cfg.loop) : 0;
	a->owner->cfg.trouble(a->owner->cfg.arg, text_z(&a->name), text_z(&a->trouble));
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
	p->answered = true;
	p->heard = loop_touch(a->owner->cfg.loop);
	p->gone = 0;
	struct endpoint_set *set = endpoint_set_new(at, n, text_z(&a->name));
	if (!set) {
		on_trouble(a, "a service has more instances than are taken, or memory is short; its former "
			      "ones stay");
		return;
	}
	if (endpoint_set_same(set, p->set)) {
		endpoint_set_unref(set);
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
	p->answered = true;
	p->heard = loop_touch(a->owner->cfg.loop);
	if (!p->gone)
		p->gone = p->heard;
	if (p->set && !a->owner->hold)
		replace(a, s, p, NULL);
	else if (!p->set)
		choose(a->owner, s);
}

static const struct registry_events events = { on_endpoints, on_gone, on_trouble };

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

/* Has its registry been silent for so long that what it said last is not believed any more? */
static bool is_stale(const struct asked *a, const struct part *p, usec now)
{
	return a->keep && a->silent && a->silent + a->keep <= now && p->heard + a->keep <= now;
}

static void look_at(struct discovery *d, struct service *s, usec now)
{
	if (s->wanted + d->idle < now)
		unwatch(d, s);
	for (size_t i = 0; i < d->n; i++) {
		struct part *p = &s->parts[i];
		if (p->set && ((p->gone && p->gone + d->hold <= now) || is_stale(&d->at[i], p, now)))
			replace(&d->at[i], s, p, NULL);
	}
	if (!s->chosen && s->n_order == 0)
		choose(d, s);
}

static void on_tick(void *arg)
{
	struct discovery *d = arg;
	usec now = loop_touch(d->cfg.loop);
	LIST_EACH (it, tmp, &d->services)
		look_at(d, LIST_OWNER(it, struct service, link), now);
	timer_set(d->cfg.loop, &d->tick, timer_shared(now + TICK, TICK));
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
		p->watched = a->ops->watch(a->registry, s->name);
		a->services += p->watched;
		ok = ok && p->watched;
	}
	return ok;
}

bool discovery_want(struct discovery *d, struct str name, struct str registries, bool called)
{
	struct service *s = table_get(&d->table, name);
	bool fresh = !s;

	if (fresh && !(s = service_new(d, name)))
		return false;
	s->wanted = loop_touch(d->cfg.loop);
	if (s->told_unknown) /* who asks again is told again */
		s->told_unknown = false;
	put_order(d, s, registries);
	return watch_all(d, s, called);
}

const struct endpoint_set *discovery_set(const struct discovery *d, struct str name)
{
	const struct service *s = d ? table_get(&d->table, name) : NULL;
	return s ? s->chosen : NULL;
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

/* --- the own instance ---------------------------------------------------------------------------------------------------- */

bool discovery_announce(struct discovery *d, const struct registry_instance *self)
{
	bool ok = true;
	for (size_t i = 0; i < d->n; i++)
		if (d->at[i].ops->announce)
			ok = d->at[i].ops->announce(d->at[i].registry, self) && ok;
	return ok;
}

struct leave { /* counts the registries that still have to say that they know */
	unsigned waiting;
	void (*done)(void *arg);
	void *arg;
};

static void on_withdrawn(void *arg)
{
	struct leave *l = arg;
	if (--l->waiting)
		return;
	l->done(l->arg);
	mem_free(l);
}

void discovery_withdraw(struct discovery *d, struct str id, void (*done)(void *arg), void *arg)
{
	struct leave *l = mem_zalloc(sizeof(*l));
	if (!l) { /* leases end by themselves */
		done(arg);
		return;
	}
	*l = (struct leave){ 1, done, arg };
	for (size_t i = 0; i < d->n; i++) {
		if (!d->at[i].ops->announce || !d->at[i].ops->withdraw)
			continue;
		l->waiting++;
		d->at[i].ops->withdraw(d->at[i].registry, id, on_withdrawn, l);
	}
	on_withdrawn(l);
}

/* --- life ----------------------------------------------------------------------------------------------------------------- */

static const struct registry_ops *find_ops(struct str item, struct str *address, struct err *err)
{
	size_t colon = str_find(item, ':');
	struct str name = str_make(item.p, colon == SIZE_MAX ? item.n : colon);

	*address = colon == SIZE_MAX ? STR("") : str_make(item.p + colon + 1, item.n - colon - 1);
	for (size_t i = 0; plugin_registries[i]; i++)
		if (str_eq(name, str_of(plugin_registries[i]->name)))
			return plugin_registries[i];
	err_set(err, "outrider.registry: there is no registry \"%.*s\"", STR_ARG(name));
	return NULL;
}

#define KEEP_DNS (3600 * USEC_SEC)

static usec keep_of(const struct options *o, const struct registry_ops *ops)
{
	if (str_ieq(options_text(o, OPT_REGISTRY_KEEP), STR("auto")))
		return ops->lazy ? KEEP_DNS : 0;
	return options_duration(o, OPT_REGISTRY_KEEP);
}

static bool open_one(struct discovery *d, struct str item, struct err *err)
{
	static const struct resolver_options dns = {
		.dns_only = true
	}; /* the hosts file may name this agent itself */
	const struct options *o = d->cfg.options;
	struct asked *a = &d->at[d->n];
	struct registry_config c = {
		.loop = d->cfg.loop,
		.ns = d->cfg.ns,
		.poll = options_duration(o, OPT_REGISTRY_POLL),
		.lease = options_duration(o, OPT_REGISTRY_LEASE),
		.settings = { options_setting, o },
	};
	if (str_eq(item, STR("static")) || str_eq(item, STR("static:")))
		return true;
	if (!d->names && !(d->names = resolver_new(d->cfg.loop, d->cfg.ns, err)))
		return false;
	if (!d->dns && !(d->dns = resolver_new_with(d->cfg.loop, d->cfg.ns, &dns, err)))
		return false;
	c.resolver = d->names;
	c.dns = d->dns;
	if (d->n == DISCOVERY_REGISTRIES_MAX)
		return err_set(err, "outrider.registry: more than %u registries", DISCOVERY_REGISTRIES_MAX);
	a->owner = d;
	a->ops = find_ops(item, &c.address, err);
	if (!a->ops)
		return false;
	text_init(&a->name, 512);
	text_init(&a->trouble, TROUBLE_MAX);
	mask_address(&a->name, item);
	d->n++;
	a->keep = keep_of(o, a->ops);
	a->registry = a->ops->open(&c, &events, a, err);
	return a->registry || err_prefix(err, "outrider.registry: %s", text_z(&a->name));
}

struct discovery *discovery_open(const struct discovery_config *config, struct err *err)
{
	struct discovery *d = mem_zalloc(sizeof(*d));
	struct str rest = options_text(config->options, OPT_REGISTRY), item;
	struct rng rng;

	if (!d) {
		err_set(err, "out of memory");
		return NULL;
	}
	d->cfg = *config;
	d->hold = options_duration(config->options, OPT_REGISTRY_HOLD);
	d->idle = options_duration(config->options, OPT_REGISTRY_IDLE);
	rng_seed_os(&rng);
	table_init(&d->table, REGISTRY_SERVICES_MAX, rng_next(&rng));
	d->met = met_new();
	list_init(&d->services);
	timer_init(&d->tick, on_tick, d);
	bool ok = d->met || err_set(err, "out of memory");
	while (ok && option_item_next(&rest, &item))
		ok = open_one(d, item, err);
	if (!ok) {
		discovery_close(d);
		return NULL;
	}
	if (d->n)
		timer_set(config->loop, &d->tick, loop_touch(d->cfg.loop) + TICK);
	return d;
}

void discovery_close(struct discovery *d)
{
	if (!d)
		return;
	timer_clear(&d->tick);
	for (size_t i = 0; i < d->n; i++) {
		if (d->at[i].registry)
			d->at[i].ops->close(d->at[i].registry);
		text_release(&d->at[i].name);
		text_release(&d->at[i].trouble);
	}
	LIST_EACH (it, tmp, &d->services) {
		struct service *s = LIST_OWNER(it, struct service, link);
		for (size_t i = 0; i < d->n; i++)
			endpoint_set_unref(s->parts[i].set);
		mem_free((char *)(uintptr_t)s->name.p);
		mem_free(s);
	}
	met_release(d->met);
	table_release(&d->table);
	loop_turn(d->cfg.loop, false); /* mail of threads that ended */
	if (d->names)
		resolver_free(d->names);
	if (d->dns)
		resolver_free(d->dns);
	mem_free(d);
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
