#include "control/stack_yaml.h"

#include "base/table.h"

#include <yaml.h>

struct reader {
	struct arena *a;
	yaml_parser_t parser;
	char *const *env;
	yaml_say_fn say;
	void *arg;
	struct table anchors; /* to nodes that are whole: none can refer to itself */
	size_t nodes;
	struct err *err;
};

/* --- looking ------------------------------------------------------------------------------------------------------- */

const struct node_item *node_item(const struct node *map, struct str key)
{
	for (const struct node_item *i = map && map->kind == NODE_MAP ? map->first : NULL; i; i = i->next)
		if (str_eq(i->key, key))
			return i;
	return NULL;
}

const struct node *node_get(const struct node *map, struct str key)
{
	const struct node_item *i = node_item(map, key);
	return i ? i->value : NULL;
}

struct str node_text(const struct node *n)
{
	return n && n->kind == NODE_SCALAR ? n->text : STR("");
}

struct str node_value(const struct node *map, struct str key)
{
	return node_text(node_get(map, key));
}

bool node_lists(const struct node *n, struct str text)
{
	if (n && n->kind == NODE_MAP)
		return node_item(n, text) != NULL;
	for (const struct node_item *i = n && n->kind == NODE_LIST ? n->first : NULL; i; i = i->next)
		if (str_eq(node_text(i->value), text))
			return true;
	return false;
}

/* --- making -------------------------------------------------------------------------------------------------------- */

static bool no_room(struct reader *r, uint32_t line)
{
	return err_set(r->err, "%u: out of memory, or more than %u values", line, STACK_NODES_MAX);
}

static struct node *node_new(struct reader *r, enum node_kind kind, uint32_t line)
{
	struct node *n = r->nodes < STACK_NODES_MAX ? arena_zalloc(r->a, sizeof(*n)) : NULL;

	if (!n) {
		no_room(r, line);
		return NULL;
	}
	r->nodes++;
	n->kind = (uint8_t)kind;
	n->line = line;
	n->text = STR("");
	return n;
}

/* A list that is being made: items are put at its end. */
struct items {
	struct node *of;
	struct node_item *last;
	struct table keys;
};

static bool item_add(struct reader *r, struct items *to, struct node_item item)
{
	struct node_item *i = r->nodes < STACK_NODES_MAX ? arena_alloc(r->a, sizeof(*i)) : NULL;

	if (!i)
		return no_room(r, item.line);
	r->nodes++;
	*i = item;
	i->next = NULL;
	if (to->of->kind == NODE_MAP && !table_put(&to->keys, i->key, i))
		return no_room(r, item.line);
	if (to->last)
		to->last->next = i;
	else
		to->of->first = i;
	to->last = i;
	to->of->n++;
	return true;
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

static bool next_event(struct reader *r, yaml_event_t *e)
{
	if (yaml_parser_parse(&r->parser, e))
		return true;
	memset(e, 0, sizeof(*e));
	return err_set(r->err, "%zu: %s%s%s", r->parser.problem_mark.line + 1,
		r->parser.context ? r->parser.context : "", r->parser.context ? ": " : "",
		r->parser.problem ? r->parser.problem : "out of memory");
}

static uint32_t line_of(const yaml_event_t *e)
{
	return (uint32_t)e->start_mark.line + 1;
}

static struct str text_of(const yaml_event_t *e)
{
	return str_make((const char *)e->data.scalar.value, e->data.scalar.length);
}

static bool is_null(const yaml_event_t *e)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	if (e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_eq(text_of(e), str_of(words[i])))
			return true;
	return false;
}

static bool has_nul(struct str s)
{
	return s.n && memchr(s.p, '\0', s.n);
}

static struct node *read_scalar(struct reader *r, const yaml_event_t *e)
{
	struct str raw = text_of(e);
	struct node *n = node_new(r, is_null(e) ? NODE_NULL : NODE_SCALAR, line_of(e));

	if (!n || n->kind == NODE_NULL)
		return n;
	if (raw.n > STACK_VALUE_MAX || has_nul(raw)) {
		err_set(r->err, "%u: a value of more than %u bytes, or with a NUL", n->line, STACK_VALUE_MAX);
		return NULL;
	}
	n->text = stack_interpolate(r->a, raw, n->line, r->env, r->say, r->arg, r->err);
	return n->text.p ? n : NULL;
}

static const struct node *read_alias(struct reader *r, const yaml_event_t *e)
{
	const struct node *n = table_get(&r->anchors, str_of((const char *)e->data.alias.anchor));

	if (!n)
		err_set(r->err, "%u: *%.64s refers to no anchor above it", line_of(e),
			(const char *)e->data.alias.anchor);
	return n;
}

static const struct node *read_node(struct reader *r, const yaml_event_t *e, unsigned depth);

/* The items of `from` that the map does not have. */
static bool merge_map(struct reader *r, struct items *to, const struct node *from, uint32_t line)
{
	if (from->kind != NODE_MAP)
		return err_set(r->err, "%u: << needs a map, or a list of maps", line);
	for (struct node_item item, *i = from->first; i; i = i->next) {
		if (table_get(&to->keys, i->key))
			continue;
		item = *i;
		item.merged = true;
		if (!item_add(r, to, item))
			return false;
	}
	return true;
}

static bool merge(struct reader *r, struct items *to, const struct node *from, uint32_t line)
{
	if (from->kind != NODE_LIST)
		return merge_map(r, to, from, line);
	for (const struct node_item *i = from->first; i; i = i->next)
		if (!merge_map(r, to, i->value, line))
			return false;
	return true;
}

static bool map_add(struct reader *r, struct items *to, const yaml_event_t *key, const struct node *value)
{
	struct node_item item = { .line = line_of(key), .value = value };
	struct str k = text_of(key);

	if (k.n > STACK_VALUE_MAX || has_nul(k))
		return err_set(r->err, "%u: a key that is too long, or has a NUL", item.line);
	if (table_get(&to->keys, k)) {
		r->say(r->arg, YAML_TWICE, item.line, k);
		return true;
	}
	item.key = arena_str(r->a, k);
	return item.key.p ? item_add(r, to, item) : no_room(r, item.line);
}

/* What `<<` names is merged when all own keys are there. */
static bool read_map_items(struct reader *r, struct items *to, unsigned depth)
{
	const struct node *merges[16];
	size_t n_merges = 0;

	for (bool ok = true; ok;) {
		yaml_event_t key, e;
		if (!next_event(r, &key))
			return false;
		if (key.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&key);
			break;
		}
		bool scalar = key.type == YAML_SCALAR_EVENT;
		ok = (scalar || err_set(r->err, "%u: a key has to be a text", line_of(&key))) &&
		     next_event(r, &e);
		if (ok) {
			const struct node *value = read_node(r, &e, depth + 1);
			bool is_merge = str_eq(text_of(&key), STR("<<")) &&
					key.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
			if (value && is_merge && n_merges < sizeof(merges) / sizeof(merges[0]))
				merges[n_merges++] = value;
			else
				ok = value && map_add(r, to, &key, value);
			yaml_event_delete(&e);
		}
		yaml_event_delete(&key);
		if (!ok)
			return false;
	}
	for (size_t i = 0; i < n_merges; i++)
		if (!merge(r, to, merges[i], to->of->line))
			return false;
	return true;
}

static bool read_list_items(struct reader *r, struct items *to, unsigned depth)
{
	for (bool ok = true; ok;) {
		yaml_event_t e;
		if (!next_event(r, &e))
			return false;
		bool end = e.type == YAML_SEQUENCE_END_EVENT;
		const struct node *value = end ? NULL : read_node(r, &e, depth + 1);
		ok = value && item_add(r, to, (struct node_item){ .line = value->line, .value = value });
		yaml_event_delete(&e);
		if (end)
			return true;
	}
	return false;
}

static const struct node *read_collection(struct reader *r, const yaml_event_t *e, unsigned depth)
{
	bool map = e->type == YAML_MAPPING_START_EVENT;
	struct items to = { .of = NULL };

	if (depth >= STACK_DEPTH_MAX) {
		err_set(r->err, "%u: nested more than %u deep", line_of(e), STACK_DEPTH_MAX);
		return NULL;
	}
	to.of = node_new(r, map ? NODE_MAP : NODE_LIST, line_of(e));
	if (!to.of)
		return NULL;
	table_init(&to.keys, STACK_NODES_MAX, (uintptr_t)r);
	bool ok = map ? read_map_items(r, &to, depth) : read_list_items(r, &to, depth);
	table_release(&to.keys);
	return ok ? to.of : NULL;
}

static bool keep_anchor(struct reader *r, const yaml_char_t *anchor, const struct node *n)
{
	if (!anchor)
		return true;
	struct str name = arena_str(r->a, str_of((const char *)anchor));
	return (name.p && table_put(&r->anchors, name, (void *)(uintptr_t)n)) ||
	       err_set(r->err, "%u: more than %u anchors, or no memory", n->line, STACK_ANCHORS_MAX);
}

static const struct node *read_node(struct reader *r, const yaml_event_t *e, unsigned depth)
{
	const struct node *n = NULL;
	const yaml_char_t *anchor = NULL;

	switch (e->type) {
	case YAML_ALIAS_EVENT:
		return read_alias(r, e);
	case YAML_SCALAR_EVENT:
		anchor = e->data.scalar.anchor;
		n = read_scalar(r, e);
		break;
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		anchor = e->type == YAML_MAPPING_START_EVENT ? e->data.mapping_start.anchor
							     : e->data.sequence_start.anchor;
		n = read_collection(r, e, depth);
		break;
	default:
		err_set(r->err, "%u: a value is missing", line_of(e));
	}
	return n && keep_anchor(r, anchor, n) ? n : NULL;
}

static const struct node *read_document(struct reader *r)
{
	const struct node *root = NULL;

	for (bool ok = true; ok;) {
		yaml_event_t e;
		if (!next_event(r, &e))
			return NULL;
		bool end = e.type == YAML_STREAM_END_EVENT;
		bool frame = e.type == YAML_STREAM_START_EVENT || e.type == YAML_DOCUMENT_START_EVENT ||
			     e.type == YAML_DOCUMENT_END_EVENT;
		if (!end && !frame && root)
			ok = err_set(r->err, "%u: a second document; a stack file has one", line_of(&e));
		else if (!end && !frame)
			ok = (root = read_node(r, &e, 0)) != NULL;
		yaml_event_delete(&e);
		if (end)
			return root ? root : node_new(r, NODE_NULL, 1);
	}
	return NULL;
}

const struct node *stack_yaml(
	struct arena *a, struct str bytes, char *const *environ_, yaml_say_fn say, void *arg, struct err *err)
{
	struct reader r = { .a = a, .env = environ_, .say = say, .arg = arg, .err = err };

	if (bytes.n > STACK_BYTES_MAX) {
		err_set(err, "1: larger than %u bytes", STACK_BYTES_MAX);
		return NULL;
	}
	if (!yaml_parser_initialize(&r.parser)) {
		err_set(err, "1: out of memory");
		return NULL;
	}
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)(bytes.p ? bytes.p : ""), bytes.n);
	table_init(&r.anchors, STACK_ANCHORS_MAX, (uintptr_t)&r);
	const struct node *root = read_document(&r);
	table_release(&r.anchors);
	yaml_parser_delete(&r.parser);
	return root;
}
