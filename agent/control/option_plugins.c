/* Names of plug-ins in options: each must be one that is built in, and a registry that an upstream names one that is asked at all. */
#include "control/options_impl.h"

#include "base/mem.h"
#include "control/nearest.h"
#include "control/option_value.h"
#include "plugin.h"

static const char *registry_name(size_t i)
{
	return i == 0 ? "static" : plugin_registries[i - 1] ? plugin_registries[i - 1]->name : NULL;
}

static const char *exporter_name(size_t i)
{
	return plugin_exporters[i] ? plugin_exporters[i]->name : NULL;
}

static const char *sink_name(size_t i)
{
	return plugin_sinks[i] ? plugin_sinks[i]->name : NULL;
}

static const struct kind {
	enum option_id id;
	const char *word;
	const char *(*name)(size_t i); /* NULL: there are no more */
} kinds[] = {
	{ OPT_REGISTRY, "registry", registry_name },
	{ OPT_TRACE, "exporter", exporter_name },
	{ OPT_LOG, "sink", sink_name },
};

static bool is_built_in(const struct kind *k, struct str name)
{
	const char *at;

	for (size_t i = 0; (at = k->name(i)) != NULL; i++)
		if (str_eq(name, str_of(at)))
			return true;
	return false;
}

/* What there is, and the nearest of it. */
static void say_none(const struct kind *k, struct str name, struct err *why)
{
	const char *near = NULL, *at;
	struct text all;

	text_init(&all, 256);
	for (size_t i = 0; (at = k->name(i)) != NULL; i++) {
		text_fmt(&all, "%s%s", i ? ", " : "", at);
		if (!near &&
			nearest_is_near(name, str_of(at))) /* the plainer one stands first: redis, rediss */
			near = at;
	}
	err_set(why, "there is no %s of that name%s%s%s; there are: %s", k->word,
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "", text_z(&all));
	text_release(&all);
}

static struct str before_colon(struct str item)
{
	size_t colon = str_find(item, ':');

	return colon == SIZE_MAX ? item : str_make(item.p, colon);
}

/* Sources are opened where options are judged, and say so then. */
static bool check_lists(struct options *o)
{
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct str rest = options_text(o, kinds[k].id), item;
		struct err why;
		while (!str_ieq(rest, STR("off")) && option_item_next(&rest, &item)) {
			if (is_built_in(&kinds[k], before_colon(item)))
				continue;
			say_none(&kinds[k], before_colon(item), &why);
			if (!options_note_entry(o, kinds[k].id, STR(""),
				    options_entry(o, kinds[k].id, STR("")), why.text))
				return false;
		}
	}
	return true;
}

/* --- of an upstream ------------------------------------------------------------------------------------------------------- */

/* static is always there. Where outrider.registry is not set, as in files judged for another machine, nobody knows what is. */
static bool is_asked(const struct options *o, struct str name)
{
	struct str rest = options_text(o, OPT_REGISTRY), item;

	if (!options_is_set(o, OPT_REGISTRY) || str_eq(name, STR("static")))
		return true;
	while (option_item_next(&rest, &item))
		if (str_eq(before_colon(item), name))
			return true;
	return false;
}

static bool check_choice(struct options *o, const struct option_cell *c)
{
	struct str rest = c->top->value, item;
	struct err why;

	while (option_item_next(&rest, &item)) {
		if (!is_built_in(&kinds[0], item) && str_find(item, ':') != SIZE_MAX)
			err_set(&why,
				"only the name stands here, such as %.*s; its address stands in "
				"outrider.registry",
				STR_ARG(before_colon(item)));
		else if (!is_built_in(&kinds[0], item))
			say_none(&kinds[0], item, &why);
		else if (!is_asked(o, item))
			err_set(&why,
				"outrider.registry does not list %.*s, so it would never be asked; add it "
				"there",
				STR_ARG(item));
		else
			continue;
		if (!options_note_entry(o, OPT_UPSTREAM_REGISTRY, c->subject, c->top, why.text))
			return false;
	}
	return true;
}

bool options_check_plugins(struct options *o)
{
	bool ok = check_lists(o);

	for (const struct option_cell *c = o->first; ok && c; c = c->next)
		if (c->id == OPT_UPSTREAM_REGISTRY && c->top)
			ok = check_choice(o, c);
	return ok;
}
