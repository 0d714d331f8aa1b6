#include "control/sources.h"

#include "base/mem.h"
#include "control/nearest.h"
#include "control/option_mask.h"
#include "control/option_value.h"

#define TROUBLE_MAX 1024u

struct one { /* a source of the chain */
	struct sources *owner;
	const struct source_ops *ops;
	struct source *source;
	struct source_values *values;
	struct text name;
	char trouble[TROUBLE_MAX];
	bool own_trouble; /* it is about what we could not keep */
	bool said;
	uint64_t times;
	usec at;
};

struct sources {
	struct sources_config cfg;
	struct resolver *resolver; /* owned; for all of them */
	size_t n;
	struct one at[SOURCES_MAX];
};

/* --- values -------------------------------------------------------------------------------------------------------- */

struct source_values *values_copy(const struct source_property *at, size_t n)
{
	struct source_values *v = n <= SOURCE_PROPERTIES_MAX ? mem_zalloc(sizeof(*v)) : NULL;
	if (!v)
		return NULL;
	atomic_init(&v->refs, 1);
	arena_init(&v->arena, SOURCES_VALUES_MAX, NULL, 0);
	v->at = mem_zarray(n + 1, sizeof(*v->at));
	for (; v->at && v->n < n; v->n++) {
		const struct source_property *p = &at[v->n];
		struct source_property *to = &v->at[v->n];
		to->key = arena_str(&v->arena, p->key.p ? p->key : STR(""));
		to->value = arena_str(&v->arena, p->value.p ? p->value : STR(""));
		to->origin = arena_str(&v->arena, p->origin.p ? p->origin : STR(""));
		to->set = p->set;
		if (!to->key.p || !to->value.p || !to->origin.p)
			break;
	}
	if (v->at && v->n == n)
		return v;
	values_release(v);
	return NULL;
}

void values_release(struct source_values *v)
{
	if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < v->n; i++) /* nobody else holds these bytes, and some are secrets */
		explicit_bzero((void *)(uintptr_t)v->at[i].value.p, v->at[i].value.n);
	mem_free(v->at);
	arena_release(&v->arena);
	mem_free(v);
}

struct source_values *sources_take(const struct sources *s, size_t i)
{
	struct source_values *v = i < s->n ? s->at[i].values : NULL;
	if (v)
		atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}

void sources_put_cached(struct sources *s, size_t i, struct source_values *v)
{
	if (i >= s->n || s->at[i].said) {
		values_release(v);
		return;
	}
	values_release(s->at[i].values);
	s->at[i].values = v;
}

/* --- what sources say ---------------------------------------------------------------------------------------------- */

static void put_trouble(struct one *o, const char *why, bool own)
{
	size_t n = strnlen(why, TROUBLE_MAX - 1);
	memcpy(o->trouble, why, n);
	o->trouble[n] = '\0';
	o->own_trouble = own;
}

static void on_values(void *arg, const struct source_property *at, size_t n)
{
	struct one *o = arg;
	struct source_values *v = o->ops->trigger ? NULL : values_copy(at, n);
	size_t place = (size_t)(o - o->owner->at);

	o->times++;
	o->at = clock_wall();
	if (o->ops->trigger) {
		o->said = true;
		sources_refresh(o->owner);
		return;
	}
	if (!v) {
		put_trouble(o, "more properties than are taken, or memory is short; the former values stay",
			true);
		o->owner->cfg.on_change(o->owner->cfg.arg, place, false);
		return;
	}
	values_release(o->values);
	o->values = v;
	o->said = true;
	if (o->own_trouble)
		put_trouble(o, "", false);
	o->owner->cfg.on_change(o->owner->cfg.arg, place, true);
}

static void on_trouble(void *arg, const char *why)
{
	struct one *o = arg;
	put_trouble(o, why ? why : "", false);
	if (o->source) /* inside open() nobody can be told yet */
		o->owner->cfg.on_change(o->owner->cfg.arg, (size_t)(o - o->owner->at), false);
}

/* --- names --------------------------------------------------------------------------------------------------------- */

static const struct source_ops *find_in(
	const struct source_ops *const *plugins, struct str item, struct str *address, struct err *err)
{
	size_t colon = str_find(item, ':');
	struct str name = str_make(item.p, colon == SIZE_MAX ? item.n : colon);
	const char *near = NULL;

	for (size_t i = 0; plugins[i]; i++) {
		if (str_eq(name, str_of(plugins[i]->name))) {
			*address = colon == SIZE_MAX ? STR("")
						     : str_make(item.p + colon + 1, item.n - colon - 1);
			return plugins[i];
		}
		if (nearest_is_near(name, str_of(plugins[i]->name)))
			near = plugins[i]->name;
	}
	if (str_find(name, '@') !=
		SIZE_MAX) /* the end of a password that holds a comma, or no plug-in before it */
		name = STR("***");
	struct text all;
	text_init(&all, 256);
	for (size_t i = 0; plugins[i]; i++)
		text_fmt(&all, "%s%s", i ? ", " : "", plugins[i]->name);
	err_set(err, "outrider.config: there is no source \"%.*s\"%s%s%s; there are: %s", STR_ARG(name),
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "", text_z(&all));
	text_release(&all);
	return NULL;
}

const struct source_ops *source_find(struct str item, struct str *address, struct err *err)
{
	return find_in(plugin_sources, item, address, err);
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

static bool open_one(struct sources *s, struct str item, struct err *err)
{
	static const struct source_events events = { on_values, on_trouble };
	struct one *o = &s->at[s->n];
	struct source_config c = {
		.loop = s->cfg.loop,
		.resolver = s->resolver,
		.service = s->cfg.service,
		.profiles = s->cfg.profiles,
		.poll = s->cfg.poll,
		.settings = s->cfg.settings,
	};
	o->owner = s;
	o->ops = find_in(s->cfg.plugins, item, &c.address, err);
	if (!o->ops)
		return false;
	text_init(&o->name, 512);
	mask_address(&o->name, item);
	s->n++;
	if (o->name.failed)
		return err_set(err, "outrider.config: out of memory, or an address is too long");
	o->source = o->ops->open(&c, &events, o, err);
	return o->source || err_prefix(err, "outrider.config: %s", text_z(&o->name));
}

struct sources *sources_open(const struct sources_config *config, struct err *err)
{
	struct sources *s = mem_zalloc(sizeof(*s));
	struct str rest = config->chain, item;

	if (!s) {
		err_set(err, "out of memory");
		return NULL;
	}
	s->cfg = *config;
	if (!s->cfg.plugins)
		s->cfg.plugins = plugin_sources;
	bool ok = true, network = false;
	while (ok && option_item_next(&rest, &item)) {
		struct str address;
		const struct source_ops *ops = find_in(s->cfg.plugins, item, &address, err);
		ok = ops && (s->n < SOURCES_MAX ||
				    err_set(err, "outrider.config: more than %u sources", SOURCES_MAX));
		if (ok && !ops->local && !network) {
			s->resolver = resolver_new(config->loop, NULL, err);
			network = s->resolver != NULL;
			ok = network;
		}
		ok = ok && open_one(s, item, err);
	}
	if (ok)
		return s;
	sources_close(s);
	return NULL;
}

void sources_close(struct sources *s)
{
	for (size_t i = 0; s && i < s->n; i++) {
		if (s->at[i].source)
			s->at[i].ops->close(s->at[i].source);
		s->at[i].source = NULL;
		values_release(s->at[i].values);
		s->at[i].values = NULL;
		text_release(&s->at[i].name);
	}
	if (!s)
		return;
	loop_turn(s->cfg.loop, false); /* mail of threads that ended */
	if (s->resolver)
		resolver_free(s->resolver);
	mem_free(s);
}

size_t sources_count(const struct sources *s)
{
	return s->n;
}

struct source_view sources_view(const struct sources *s, size_t i)
{
	const struct one *o = &s->at[i];
	return (struct source_view){
		.ops = o->ops,
		.name = text_z(&o->name),
		.trouble = o->trouble,
		.said = o->said,
		.n = o->values ? o->values->n : 0,
		.times = o->times,
		.at = o->at,
	};
}

void sources_refresh(struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!s->at[i].ops->trigger && s->at[i].source)
			s->at[i].ops->refresh(s->at[i].source);
	}
}
