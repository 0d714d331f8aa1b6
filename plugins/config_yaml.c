/* YAML (and so JSON) flattened to dotted keys as Spring does it. Scalars stay as they are written: `on` is "on", 0x10 is
 * "0x10"; null and ~ without quotes are an empty text. `<<: *other` gives what is not said beside it, key by key: a value
 * that is said, a list or a mapping too, replaces the other one whole. */
#include "config_nodes.h"

#include "base/text.h"

#define KEY_MAX 1024u
#define VISITS_MAX (1u << 20) /* places looked at in one file, aliases followed */

struct walk {
	struct config_props *p;
	const struct yaml_file *f;
	struct text key; /* of where we are */
	uint32_t set;
	unsigned visits;
	struct err *err;
};

static bool walk(struct walk *w, uint32_t i, unsigned depth);

static bool is_null(const struct yaml_item *node)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };
	if (!node->plain)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_eq(node->text, str_of(words[i])))
			return true;
	return false;
}

static bool fail(struct walk *w, uint32_t line, const char *why)
{
	return err_set(w->err, "%s:%u: %s", w->f->name, line, why);
}

static bool add(struct walk *w, uint32_t line, struct str value)
{
	if (w->key.failed)
		return fail(w, line, "the key is too long, or memory is short");
	if (!w->key.n)
		return fail(w, line, "keys and values are expected, as in `outrider.mode: on`");
	if (value.n && memchr(value.p, '\0', value.n))
		return fail(w, line, "the value has a NUL");
	return config_add(w->p, text_str(&w->key), value, w->f->name, line, w->set, w->err);
}

static void back_to(struct text *key, size_t n)
{
	key->n = n;
	if (key->p)
		key->p[n] = '\0';
}

/* --- lists and mappings -------------------------------------------------------------------------------------------------- */

static bool walk_list(struct walk *w, uint32_t line, const struct yaml_item *list, unsigned depth)
{
	size_t n = w->key.n, count = 0;

	if (list->first == YAML_NONE)
		return add(w, line, STR(""));
	for (uint32_t i = list->first; i != YAML_NONE; i = w->f->at[i].next) {
		text_fmt(&w->key, "[%zu]", count++);
		if (!walk(w, i, depth + 1))
			return false;
		back_to(&w->key, n);
	}
	return true;
}

static bool is_merge(const struct yaml_item *key)
{
	return key->kind == YAML_SCALAR && key->plain && str_eq(key->text, STR("<<"));
}

static bool walk_value(struct walk *w, const struct yaml_item *key, uint32_t value, unsigned depth)
{
	size_t n = w->key.n;
	if (n && key->text.p[0] != '[')
		text_char(&w->key, '.');
	text_add(&w->key, key->text);
	bool ok = walk(w, value, depth + 1);
	back_to(&w->key, n);
	return ok;
}

/* The pairs of one mapping but for `<<`. merged: keys that are there already were said by somebody stronger. */
static bool walk_pairs(struct walk *w, const struct yaml_item *map, struct table *seen, bool merged, unsigned depth)
{
	const struct yaml_item *at = w->f->at;
	for (uint32_t i = map->first; i != YAML_NONE; i = at[at[i].next].next) {
		const struct yaml_item *key = yaml_content(w->f, i);
		if (is_merge(key))
			continue;
		if (key->kind != YAML_SCALAR || !key->text.n)
			return fail(w, at[i].line, "a key must be a text");
		if (++w->visits > VISITS_MAX)
			return fail(w, at[i].line, "aliases and merges make it too large");
		if (table_get(seen, key->text)) {
			if (merged)
				continue;
			return err_set(w->err, "%s:%u: the key %.*s stands here twice", w->f->name, at[i].line,
				       (int)(key->text.n < 80 ? key->text.n : 80), key->text.p);
		}
		if (!table_put(seen, key->text, (void *)(uintptr_t)key))
			return err_set(w->err, "%s: out of memory", w->f->name);
		if (!walk_value(w, key, at[i].next, depth))
			return false;
	}
	return true;
}

static bool walk_map_into(struct walk *w, const struct yaml_item *map, struct table *seen, bool merged, unsigned depth);

/* `<<: *one` or `<<: [*one, *two]`, the first one stronger. */
static bool merge(struct walk *w, uint32_t value, struct table *seen, unsigned depth)
{
	const struct yaml_item *from = yaml_content(w->f, value);
	if (++w->visits > VISITS_MAX)
		return fail(w, w->f->at[value].line, "aliases and merges make it too large");
	if (from->kind == YAML_MAP)
		return walk_map_into(w, from, seen, true, depth + 1);
	if (from->kind != YAML_LIST)
		return fail(w, w->f->at[value].line, "<< needs a mapping");
	for (uint32_t i = from->first; i != YAML_NONE; i = w->f->at[i].next) {
		const struct yaml_item *one = yaml_content(w->f, i);
		if (one->kind != YAML_MAP)
			return fail(w, w->f->at[i].line, "<< needs mappings");
		if (!walk_map_into(w, one, seen, true, depth + 1))
			return false;
	}
	return true;
}

static bool walk_map_into(struct walk *w, const struct yaml_item *map, struct table *seen, bool merged, unsigned depth)
{
	const struct yaml_item *at = w->f->at;
	if (depth > CONFIG_DEPTH_MAX)
		return fail(w, map->line, "too many levels");
	if (!walk_pairs(w, map, seen, merged, depth))
		return false;
	for (uint32_t i = map->first; i != YAML_NONE; i = at[at[i].next].next)
		if (is_merge(yaml_content(w->f, i)) && !merge(w, at[i].next, seen, depth))
			return false;
	return true;
}

static bool walk_map(struct walk *w, uint32_t line, const struct yaml_item *map, unsigned depth)
{
	struct table seen;
	if (map->first == YAML_NONE)
		return !w->key.n || add(w, line, STR(""));
	table_init(&seen, SOURCE_PROPERTIES_MAX, (uintptr_t)w);
	bool ok = walk_map_into(w, map, &seen, false, depth);
	table_release(&seen);
	return ok;
}

static bool walk(struct walk *w, uint32_t i, unsigned depth)
{
	const struct yaml_item *node = yaml_content(w->f, i);
	uint32_t line = w->f->at[i].line;

	if (depth > CONFIG_DEPTH_MAX)
		return fail(w, line, "too many levels");
	if (++w->visits > VISITS_MAX)
		return fail(w, line, "aliases and merges make it too large");
	switch ((enum yaml_kind)node->kind) {
	case YAML_SCALAR:
		return add(w, line, is_null(node) ? STR("") : node->text);
	case YAML_LIST:
		return walk_list(w, line, node, depth);
	case YAML_MAP:
		return walk_map(w, line, node, depth);
	}
	return true;
}

/* --- documents ------------------------------------------------------------------------------------------------------------- */

static bool one_document(struct walk *w, uint32_t root, struct str profiles)
{
	size_t from = w->p->n;
	const struct yaml_item *node = yaml_content(w->f, root);

	w->set = w->p->sets++;
	if (node->kind == YAML_SCALAR && is_null(node))
		return true;
	text_clear(&w->key);
	if (!walk(w, root, 0))
		return false;
	config_end_document(w->p, from, profiles);
	return true;
}

bool config_read_yaml(struct config_props *p, struct str text, const char *name, struct str profiles, struct err *err)
{
	struct yaml_file f;
	struct walk w = { .p = p, .f = &f, .err = err };
	size_t all = p->n;
	uint32_t first_set = p->sets, root;
	struct err why = { "" };

	if (!yaml_file_open(&f, text, name, err))
		return false;
	text_init(&w.key, KEY_MAX);
	w.err = &why;
	while (!why.text[0] && yaml_file_next(&f, &root, &why))
		if (root != YAML_NONE && !one_document(&w, root, profiles))
			break;
	text_release(&w.key);
	yaml_file_close(&f);
	if (why.text[0])
		return err_set(err, "%s", why.text);
	config_strongest_first(p, all, first_set);
	return true;
}
