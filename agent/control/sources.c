#include "control/sources.h"

#include "base/mem.h"
#include "control/nearest.h"
#include "control/option_value.h"

#define TROUBLE_MAX 1024u

struct one { /* a source of the chain */
	struct sources *owner;
	const struct source_ops *ops;
	struct source *source;
	struct source_values *values;
	struct text name, trouble;
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
	v->refs = 1;
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
	if (!v || --v->refs > 0)
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
		v->refs++;
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

static void put_trouble(struct one *o, const char *why)
{
	text_clear(&o->trouble);
	text_add(&o->trouble, str_make(why, strnlen(why, TROUBLE_MAX)));
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
		put_trouble(o, "more properties than are taken, or memory is short; the former values stay");
		o->owner->cfg.on_change(o->owner->cfg.arg, place, false);
		return;
	}
	values_release(o->values);
	o->values = v;
	o->said = true;
	o->owner->cfg.on_change(o->owner->cfg.arg, place, true);
}

static void on_trouble(void *arg, const char *why)
{
	struct one *o = arg;
	put_trouble(o, why ? why : "");
	o->owner->cfg.on_change(o->owner->cfg.arg, (size_t)(o - o->owner->at), false);
}

/* --- names --------------------------------------------------------------------------------------------------------- */

void source_name_masked(struct text *t, struct str item)
{
	struct str rest = item, piece;
	bool first = true;
	while (str_next(&rest, '|', &piece)) {
		size_t at = str_rfind(piece, '@'), slashes = SIZE_MAX;
		for (size_t i = 0; i + 1 < piece.n && at != SIZE_MAX && i < at; i++) {
			if (piece.p[i] == '/' && piece.p[i + 1] == '/')
				slashes = i + 2;
		}
		size_t colon = str_find(piece, ':');
		size_t from = slashes != SIZE_MAX ? slashes : first && colon != SIZE_MAX ? colon + 1 : 0;
		if (!first)
			text_char(t, '|');
		first = false;
		if (at == SIZE_MAX || at < from) {
			text_add(t, piece);
			continue;
		}
		text_add(t, str_make(piece.p, from));
		text_addz(t, "***");
		text_add(t, str_make(piece.p + at, piece.n - at));
	}
}

const struct source_ops *source_find(struct str item, struct str *address, struct err *err)
{
	size_t colon = str_find(item, ':');
	struct str name = str_make(item.p, colon == SIZE_MAX ? item.n : colon);
	const char *near = NULL;

	for (size_t i = 0; plugin_sources[i]; i++) {
		if (str_eq(name, str_of(plugin_sources[i]->name))) {
			*address = colon == SIZE_MAX ? STR("") : str_make(item.p + colon + 1, item.n - colon - 1);
			return plugin_sources[i];
		}
		if (nearest_is_near(name, str_of(plugin_sources[i]->name)))
			near = plugin_sources[i]->name;
	}
	struct text all;
	text_init(&all, 256);
	for (size_t i = 0; plugin_sources[i]; i++)
		text_fmt(&all, "%s%s", i ? ", " : "", plugin_sources[i]->name);
	err_set(err, "outrider.config: there is no source \"%.*s\"%s%s%s; there are: %s", STR_ARG(name),
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "", text_z(&all));
	text_release(&all);
	return NULL;
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
	o->ops = source_find(item, &c.address, err);
	if (!o->ops)
		return false;
	text_init(&o->name, 512);
	text_init(&o->trouble, TROUBLE_MAX);
	source_name_masked(&o->name, item);
	s->n++;
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
	bool ok = true, network = false;
	while (ok && option_item_next(&rest, &item)) {
		struct str address;
		const struct source_ops *ops = source_find(item, &address, err);
		ok = ops && (s->n < SOURCES_MAX || err_set(err, "outrider.config: more than %u sources", SOURCES_MAX));
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
		values_release(s->at[i].values);
		text_release(&s->at[i].name);
		text_release(&s->at[i].trouble);
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
		.trouble = text_z(&o->trouble),
		.said = o->said,
		.n = o->values ? o->values->n : 0,
		.times = o->times,
		.at = o->at,
	};
}

void sources_refresh(struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!s->at[i].ops->trigger)
			s->at[i].ops->refresh(s->at[i].source);
	}
}
