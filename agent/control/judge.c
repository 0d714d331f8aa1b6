#include "control/judge.h"

#include "base/rng.h"
#include "control/hystrix_alias.h"

#include <stdio.h>

#define OPTION_PREFIX "outrider."

/* --- notes ----------------------------------------------------------------------------------------------------------- */

void notes_add(struct reload_notes *n, struct str key, struct str value, struct str origin, const char *why)
{
	n->total++;
	if (n->n == RELOAD_PROBLEMS_MAX)
		return;
	if (!n->arena.max)
		arena_init(&n->arena, RELOAD_NOTES_MAX, NULL, 0);
	struct reload_note *to = &n->at[n->n];
	to->key = arena_str(&n->arena, str_make(key.p, key.n < 512 ? key.n : 512));
	to->value = arena_str(&n->arena, str_make(value.p, value.n < 80 ? value.n : 80));
	to->origin = arena_str(&n->arena, str_make(origin.p, origin.n < 512 ? origin.n : 512));
	to->why = arena_str(&n->arena, str_of(why));
	n->n++;
}

void notes_release(struct reload_notes *n)
{
	if (n->arena.max)
		arena_release(&n->arena);
	n->arena.max = 0;
	n->n = n->total = 0;
}

/* --- steps --------------------------------------------------------------------------------------------------------- */

/* What a server could not decipher is no value (spring-config: `{cipher}…`, `invalid.<key>`). */
static const char *refused(const struct source_property *p)
{
	if (str_starts(p->value, STR("{cipher}")))
		return "the value is still encrypted; let the config server decrypt it, or give it the key";
	if (str_starts(p->key, STR("invalid.")) && str_eq(p->value, STR("<n/a>")))
		return "the config server could not decrypt the value; give it the key that it was encrypted "
		       "with";
	return NULL;
}

bool judge_merge(struct properties *p, uint32_t source, const struct source_values *v, size_t i,
	struct reload_notes *bad, struct err *err)
{
	const struct source_property *one = &v->at[i];

	if (i == 0 || one->set != v->at[i - 1].set)
		properties_begin_set(p);
	const char *why = refused(one);
	if (!why)
		return properties_add(p, source, one->key, one->value, one->origin, err);
	notes_add(bad, one->key, STR("***"), one->origin, why);
	return true;
}

void judge_resolve(struct properties *p, size_t i, char *const *environ_, struct reload_notes *bad)
{
	struct err err;

	if (!properties_resolve(p, i, environ_, &err))
		notes_add(bad, p->at[i].key, STR("***"), str_of(p->at[i].origin), err.text);
}

/* outrider.upstreams[0], [1] … of YAML are one comma list. */
static bool join_list(const struct properties *p, struct str root, struct text *list)
{
	char key[PROPERTIES_KEY_MAX + 24];
	const struct property *item;

	text_clear(list);
	for (unsigned i = 0; !list->failed; i++) {
		struct text t;
		text_init(&t, sizeof(key));
		text_fmt(&t, "%.*s[%u]", STR_ARG(root), i);
		item = properties_find(p, text_str(&t));
		text_release(&t);
		if (!item)
			break;
		text_fmt(list, "%s%.*s", i ? "," : "", STR_ARG(item->value));
	}
	return !list->failed;
}

/* A list may be said as one text or item by item: the stronger of the two counts, which is the one that was merged first. */
static bool hidden(const struct properties *p, const struct property *one, struct str root)
{
	char key[PROPERTIES_KEY_MAX + 4];

	if (root.p) {
		const struct property *whole = properties_find(p, root);
		return whole && whole < one;
	}
	memcpy(key, one->key.p, one->key.n);
	memcpy(key + one->key.n, "[0]", 3);
	const struct property *first = properties_find(p, str_make(key, one->key.n + 3));
	return first && first < one;
}

/* "[12]": an item of a plain list. A list of mappings is no option, and is refused by its name. */
static bool is_list_item(struct str s)
{
	uint64_t n;
	return s.n > 2 && s.p[s.n - 1] == ']' && str_u64(str_make(s.p + 1, s.n - 2), &n) &&
	       (s.p[1] != '0' || s.n == 3);
}

/* A time limit of Hystrix whose switch says false is none. */
static bool is_turned_off(const struct properties *p, struct str key)
{
	struct text own, standard;

	text_init(&own, PROPERTIES_KEY_MAX + 64);
	text_init(&standard, 128);
	const struct property *says = NULL;
	if (hystrix_alias_switch(key, &own, &standard)) {
		says = properties_find(p, text_str(&own));
		says = says ? says : properties_find(p, text_str(&standard));
	}
	text_release(&own);
	text_release(&standard);
	return says && str_ieq(str_trim(says->value), STR("false"));
}

/* A property of Hystrix is an option where no source says that option itself. */
static bool judge_alias(struct options *o, const struct properties *p, const struct property *one, struct err *err)
{
	static const char standard[] = "outrider.upstream.default.";
	struct text name, value;
	bool ok = true;

	text_init(&name, OPTIONS_KEY_MAX);
	text_init(&value, 64);
	if (!is_turned_off(p, one->key) && hystrix_alias(one->key, one->value, &name, &value)) {
		struct str key = text_str(&name), brief = STR("");
		char spelt[OPTIONS_KEY_MAX];
		if (str_starts(key, str_of(standard))) {
			int n = snprintf(spelt, sizeof(spelt), OPTION_PREFIX "%s", text_z(&name) + sizeof(standard) - 1);
			brief = str_make(spelt, n > 0 ? (size_t)n : 0);
		}
		if (!properties_find(p, key) && !(brief.n && properties_find(p, brief)))
			ok = options_set(o, LAYER_SOURCE((int)one->source), key, text_str(&value), str_of(one->origin), err);
	}
	text_release(&name);
	text_release(&value);
	return ok;
}

bool judge_option(struct options *o, const struct properties *p, size_t i, struct text *list, struct err *err)
{
	const struct property *one = &p->at[i];
	enum option_layer layer = LAYER_SOURCE((int)one->source);
	struct str root = properties_list_root(one->key);

	if (str_starts(one->key, STR(HYSTRIX_PREFIX)))
		return judge_alias(o, p, one, err);
	if (!str_starts(one->key, STR(OPTION_PREFIX)) || hidden(p, one, root))
		return true;
	if (!root.p || !is_list_item(str_make(one->key.p + root.n, one->key.n - root.n)))
		return options_set(o, layer, one->key, one->value, str_of(one->origin), err);
	if (one->key.p[root.n + 1] != '0')
		return true; /* said with the first one */
	return (join_list(p, root, list) || err_set(err, "a list is too long")) &&
	       options_set(o, layer, root, text_str(list), str_of(one->origin), err);
}

void judge_problems(const struct options *o, struct reload_notes *bad)
{
	for (size_t i = 0; i < options_problem_count(o); i++) {
		const struct option_problem *p = options_problem(o, i);
		notes_add(bad, p->key, p->value, p->origin, p->why.p);
	}
}

/* --- all at once --------------------------------------------------------------------------------------------------- */

static bool merge_all(struct properties *p, struct source_values *const *values, size_t n,
	char *const *environ_, struct reload_notes *bad, struct err *err)
{
	for (size_t s = 0; s < n; s++)
		for (size_t i = 0; values[s] && i < values[s]->n; i++)
			if (!judge_merge(p, (uint32_t)s, values[s], i, bad, err))
				return false;
	for (size_t i = 0; i < p->n; i++)
		judge_resolve(p, i, environ_, bad);
	return true;
}

bool judge_properties(struct options *o, struct source_values *const *values, size_t n, char *const *environ_,
	enum command command, struct reload_notes *bad, struct err *err)
{
	struct properties p;
	struct text list;
	struct rng rng;

	rng_seed_os(&rng);
	properties_init(&p, rng_next(&rng));
	text_init(&list, OPTIONS_VALUE_MAX);
	bool ok = merge_all(&p, values, n, environ_, bad, err);
	for (size_t i = 0; ok && i < p.n; i++)
		ok = judge_option(o, &p, i, &list, err);
	if (ok && !options_check(o, command, err)) {
		ok = options_problem_total(o) > 0;
		judge_problems(o, bad);
	}
	text_release(&list);
	properties_release(&p);
	return ok;
}
