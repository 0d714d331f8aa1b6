/* YAML (and so JSON) by libyaml, flattened to dotted keys as Spring does it. */
#include "config_files.h"

#include "base/table.h"
#include "base/text.h"

#include <yaml.h>

#define KEY_MAX 1024u

struct walk {
	struct config_props *p;
	yaml_document_t *doc;
	const char *name;
	struct text key; /* of where we are */
	uint32_t set;
	struct err *err;
};

static bool walk(struct walk *w, const yaml_node_t *node, unsigned depth);

static size_t line_of(const yaml_node_t *node)
{
	return node->start_mark.line + 1;
}

static struct str scalar(const yaml_node_t *node)
{
	return str_make((const char *)node->data.scalar.value, node->data.scalar.length);
}

static bool is_null(const yaml_node_t *node)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };
	if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_eq(scalar(node), str_of(words[i])))
			return true;
	return false;
}

static bool add(struct walk *w, const yaml_node_t *node, struct str value)
{
	if (w->key.failed)
		return err_set(w->err, "%s:%zu: the key is too long", w->name, line_of(node));
	if (!w->key.n)
		return err_set(w->err, "%s:%zu: keys and values are expected, as in `outrider.mode: on`", w->name,
			       line_of(node));
	if (memchr(value.p, '\0', value.n))
		return err_set(w->err, "%s:%zu: the value has a NUL", w->name, line_of(node));
	return config_add(w->p, text_str(&w->key), value, w->name, line_of(node), w->set, w->err);
}

static void back_to(struct text *key, size_t n)
{
	key->n = n;
	if (key->p)
		key->p[n] = '\0';
}

static bool walk_list(struct walk *w, const yaml_node_t *node, unsigned depth)
{
	size_t n = w->key.n;
	const yaml_node_item_t *from = node->data.sequence.items.start, *top = node->data.sequence.items.top;

	if (from == top)
		return add(w, node, STR(""));
	for (const yaml_node_item_t *i = from; i < top; i++) {
		text_fmt(&w->key, "[%zu]", (size_t)(i - from));
		if (!walk(w, yaml_document_get_node(w->doc, *i), depth + 1))
			return false;
		back_to(&w->key, n);
	}
	return true;
}

static bool is_merge(const yaml_node_t *key)
{
	return key->type == YAML_SCALAR_NODE && key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       str_eq(scalar(key), STR("<<"));
}

static bool walk_pair(struct walk *w, struct table *seen, const yaml_node_t *key, const yaml_node_t *value, unsigned depth)
{
	size_t n = w->key.n;
	if (key->type != YAML_SCALAR_NODE || !key->data.scalar.length)
		return err_set(w->err, "%s:%zu: a key must be a text", w->name, line_of(key));
	if (table_get(seen, scalar(key)))
		return err_set(w->err, "%s:%zu: the key %.*s stands here twice", w->name, line_of(key),
			       (int)(key->data.scalar.length < 80 ? key->data.scalar.length : 80),
			       (const char *)key->data.scalar.value);
	if (!table_put(seen, scalar(key), (void *)(uintptr_t)key))
		return err_set(w->err, "%s: out of memory", w->name);
	if (n && scalar(key).p[0] != '[')
		text_char(&w->key, '.');
	text_add(&w->key, scalar(key));
	bool ok = walk(w, value, depth + 1);
	back_to(&w->key, n);
	return ok;
}

/* `<<: *other` gives what is not said here; the first value of a key counts, so it comes last. */
static bool walk_merge(struct walk *w, const yaml_node_t *value, unsigned depth)
{
	if (value->type == YAML_MAPPING_NODE)
		return walk(w, value, depth + 1);
	if (value->type != YAML_SEQUENCE_NODE)
		return err_set(w->err, "%s:%zu: << needs a mapping", w->name, line_of(value));
	for (const yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top; i++) {
		const yaml_node_t *one = yaml_document_get_node(w->doc, *i);
		if (one->type != YAML_MAPPING_NODE)
			return err_set(w->err, "%s:%zu: << needs mappings", w->name, line_of(one));
		if (!walk(w, one, depth + 1))
			return false;
	}
	return true;
}

static bool walk_map(struct walk *w, const yaml_node_t *node, unsigned depth)
{
	const yaml_node_pair_t *from = node->data.mapping.pairs.start, *top = node->data.mapping.pairs.top;
	struct table seen;
	bool ok = true;

	if (from == top)
		return !w->key.n || add(w, node, STR(""));
	table_init(&seen, SOURCE_PROPERTIES_MAX, (uintptr_t)w);
	for (const yaml_node_pair_t *i = from; ok && i < top; i++) {
		const yaml_node_t *key = yaml_document_get_node(w->doc, i->key);
		ok = is_merge(key) || walk_pair(w, &seen, key, yaml_document_get_node(w->doc, i->value), depth);
	}
	for (const yaml_node_pair_t *i = from; ok && i < top; i++)
		if (is_merge(yaml_document_get_node(w->doc, i->key)))
			ok = walk_merge(w, yaml_document_get_node(w->doc, i->value), depth);
	table_release(&seen);
	return ok;
}

static bool walk(struct walk *w, const yaml_node_t *node, unsigned depth)
{
	if (depth > CONFIG_DEPTH_MAX)
		return err_set(w->err, "%s:%zu: more than %u levels", w->name, line_of(node), CONFIG_DEPTH_MAX);
	switch (node->type) {
	case YAML_SCALAR_NODE:
		return add(w, node, is_null(node) ? STR("") : scalar(node));
	case YAML_SEQUENCE_NODE:
		return walk_list(w, node, depth);
	case YAML_MAPPING_NODE:
		return walk_map(w, node, depth);
	default:
		return true;
	}
}

static bool one_document(struct config_props *p, yaml_document_t *doc, const char *name, struct str profiles, struct err *err)
{
	const yaml_node_t *root = yaml_document_get_root_node(doc);
	struct walk w = { .p = p, .doc = doc, .name = name, .set = p->sets++, .err = err };
	size_t from = p->n;
	if (root->type == YAML_SCALAR_NODE && is_null(root))
		return true;
	text_init(&w.key, KEY_MAX);
	bool ok = walk(&w, root, 0);
	text_release(&w.key);
	if (ok)
		config_end_document(p, from, profiles);
	return ok;
}

static bool syntax_error(const yaml_parser_t *y, const char *name, struct err *err)
{
	size_t line = y->problem_mark.line + 1;
	if (y->error == YAML_MEMORY_ERROR)
		return err_set(err, "%s: out of memory", name);
	if (y->error == YAML_READER_ERROR)
		return err_set(err, "%s: byte %zu: %s", name, y->problem_offset, y->problem ? y->problem : "not UTF-8");
	return err_set(err, "%s:%zu: %s%s%s (column %zu)", name, line, y->context ? y->context : "", y->context ? ", " : "",
		       y->problem ? y->problem : "broken YAML", y->problem_mark.column + 1);
}

bool config_read_yaml(struct config_props *p, struct str text, const char *name, struct str profiles, struct err *err)
{
	yaml_parser_t y;
	yaml_document_t doc;
	size_t all = p->n;
	uint32_t first_set = p->sets;
	bool ok = true, more = true;

	if (!yaml_parser_initialize(&y))
		return err_set(err, "%s: out of memory", name);
	yaml_parser_set_input_string(&y, (const unsigned char *)(text.p ? text.p : ""), text.n);
	while (ok && more) {
		if (!yaml_parser_load(&y, &doc)) {
			ok = syntax_error(&y, name, err);
			break;
		}
		more = yaml_document_get_root_node(&doc) != NULL;
		ok = !more || one_document(p, &doc, name, profiles, err);
		yaml_document_delete(&doc);
	}
	yaml_parser_delete(&y);
	if (ok)
		config_strongest_first(p, all, first_set);
	return ok;
}
