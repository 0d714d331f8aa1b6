/* Discovery's life: the registries of outrider.registry are opened, and closed with all that they said. */
#include "control/discovery_int.h"

#include "base/mem.h"
#include "base/rng.h"
#include "control/option_mask.h"
#include "control/option_value.h"
#include "control/sources.h"

#define KEEP_DNS (3600 * USEC_SEC)

static const struct registry_ops *find_ops(struct str item, struct str *address, struct err *err)
{
	size_t colon = str_find(item, ':');
	struct str name = str_make(item.p, colon == SIZE_MAX ? item.n : colon);

	*address = colon == SIZE_MAX ? STR("") : str_make(item.p + colon + 1, item.n - colon - 1);
	for (size_t i = 0; plugin_registries[i]; i++)
		if (str_eq(name, str_of(plugin_registries[i]->name)))
			return plugin_registries[i];
	err_set(err, "outrider.registry: there is no registry \"%.*s\"", STR_ARG(name)); /* the options' check says more */
	return NULL;
}

static usec keep_of(const struct options *o, const struct registry_ops *ops)
{
	bool is_auto = str_ieq(options_text(o, OPT_REGISTRY_KEEP), STR("auto"));
	return !is_auto ? options_duration(o, OPT_REGISTRY_KEEP) : ops->lazy ? KEEP_DNS : 0;
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
	text_init(&a->trouble, DISCOVERY_TROUBLE_MAX);
	mask_address(&a->name, item);
	d->n++;
	a->keep = keep_of(o, a->ops);
	a->registry = a->ops->open(&c, &discovery_events, a, err);
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
	timer_init(&d->tick, discovery_on_tick, d);
	timer_init(&d->soon, discovery_on_soon, d);
	bool ok = d->met || err_set(err, "out of memory");
	while (ok && option_item_next(&rest, &item))
		ok = open_one(d, item, err);
	if (!ok) {
		discovery_close(d);
		return NULL;
	}
	if (d->n)
		timer_set(config->loop, &d->tick, loop_touch(d->cfg.loop) + DISCOVERY_TICK);
	return d;
}

void discovery_close(struct discovery *d)
{
	if (!d)
		return;
	timer_clear(&d->tick);
	timer_clear(&d->soon);
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
