#include "config_nodes.h"

#include "base/mem.h"

struct building { /* one document */
	struct yaml_file *f;
	struct err *err;
	uint32_t open[CONFIG_DEPTH_MAX]; /* containers that are not closed yet */
	unsigned depth;
	uint32_t root;
};

static uint32_t line_of(const yaml_event_t *e)
{
	return (uint32_t)e->start_mark.line + 1;
}

/* --- nodes ---------------------------------------------------------------------------------------------------------- */

static uint32_t take(struct building *b, const yaml_event_t *e, enum yaml_kind kind)
{
	struct yaml_file *f = b->f;
	if (f->n == YAML_NODES_MAX) {
		err_set(b->err, "%s:%u: more than %u values", f->name, line_of(e), YAML_NODES_MAX);
		return YAML_NONE;
	}
	if (f->n == f->cap) {
		uint32_t cap = f->cap ? f->cap * 2 : 256;
		void *more = mem_resize(f->at, cap * sizeof(*f->at));
		if (!more) {
			err_set(b->err, "%s: out of memory", f->name);
			return YAML_NONE;
		}
		f->at = more;
		f->cap = cap;
	}
	f->at[f->n] = (struct yaml_item){ .first = YAML_NONE, .last = YAML_NONE, .next = YAML_NONE,
		.same_as = YAML_NONE, .line = line_of(e), .kind = (uint8_t)kind };
	return f->n++;
}

/* Into the innermost container, or as the root. */
static void place(struct building *b, uint32_t i)
{
	struct yaml_item *at = b->f->at;
	if (b->depth == 0) {
		b->root = i;
		return;
	}
	struct yaml_item *in = &at[b->open[b->depth - 1]];
	if (in->first == YAML_NONE)
		in->first = i;
	else
		at[in->last].next = i;
	in->last = i;
}

static bool name_anchor(struct building *b, const yaml_event_t *e, const yaml_char_t *anchor, uint32_t i)
{
	struct yaml_file *f = b->f;
	if (!anchor)
		return true;
	if (f->anchors.n == YAML_ANCHORS_MAX)
		return err_set(b->err, "%s:%u: more than %u anchors", f->name, line_of(e), YAML_ANCHORS_MAX);
	struct str name = arena_str(&f->arena, str_of((const char *)anchor));
	if (!name.p || !table_put(&f->anchors, name, (void *)(uintptr_t)(i + 1)))
		return err_set(b->err, "%s: out of memory", f->name);
	return true;
}

/* --- events ---------------------------------------------------------------------------------------------------------- */

static bool on_scalar(struct building *b, const yaml_event_t *e)
{
	uint32_t i = take(b, e, YAML_SCALAR);
	if (i == YAML_NONE)
		return false;
	struct yaml_item *n = &b->f->at[i];
	n->text = arena_str(&b->f->arena, str_make((const char *)e->data.scalar.value, e->data.scalar.length));
	n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (!n->text.p)
		return err_set(b->err, "%s: out of memory", b->f->name);
	place(b, i);
	return name_anchor(b, e, e->data.scalar.anchor, i);
}

static bool on_open(struct building *b, const yaml_event_t *e, enum yaml_kind kind, const yaml_char_t *anchor)
{
	if (b->depth == CONFIG_DEPTH_MAX)
		return err_set(b->err, "%s:%u: more than %u levels", b->f->name, line_of(e), CONFIG_DEPTH_MAX);
	uint32_t i = take(b, e, kind);
	if (i == YAML_NONE)
		return false;
	place(b, i);
	b->open[b->depth++] = i;
	return name_anchor(b, e, anchor, i);
}

static bool on_alias(struct building *b, const yaml_event_t *e)
{
	struct yaml_file *f = b->f;
	const char *name = (const char *)e->data.alias.anchor;
	const void *known = table_get(&f->anchors, str_of(name));
	if (!known)
		return err_set(b->err, "%s:%u: there is no anchor &%.60s before this *%.60s", f->name, line_of(e), name, name);
	uint32_t to = (uint32_t)((uintptr_t)known - 1);
	for (unsigned k = 0; k < b->depth; k++)
		if (b->open[k] == to)
			return err_set(b->err, "%s:%u: *%.60s stands inside itself", f->name, line_of(e), name);
	uint32_t i = take(b, e, (enum yaml_kind)f->at[to].kind);
	if (i == YAML_NONE)
		return false;
	f->at[i].same_as = f->at[to].same_as == YAML_NONE ? to : f->at[to].same_as;
	place(b, i);
	return true;
}

static bool on_event(struct building *b, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(b, e);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(b, e, YAML_LIST, e->data.sequence_start.anchor);
	case YAML_MAPPING_START_EVENT:
		return on_open(b, e, YAML_MAP, e->data.mapping_start.anchor);
	case YAML_ALIAS_EVENT:
		return on_alias(b, e);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->depth--;
		return true;
	default:
		return true;
	}
}

static bool syntax_error(const struct yaml_file *f, struct err *err)
{
	const yaml_parser_t *y = &f->parser;
	size_t line = y->problem_mark.line + 1;
	if (y->error == YAML_MEMORY_ERROR)
		return err_set(err, "%s: out of memory", f->name);
	if (y->error == YAML_READER_ERROR)
		return err_set(err, "%s: byte %zu: %s", f->name, y->problem_offset, y->problem ? y->problem : "not UTF-8");
	return err_set(err, "%s:%zu: %s%s%s (column %zu)", f->name, line, y->context ? y->context : "",
		       y->context ? ", " : "", y->problem ? y->problem : "broken YAML", y->problem_mark.column + 1);
}

/* --- the file ------------------------------------------------------------------------------------------------------------ */

static void forget_document(struct yaml_file *f)
{
	f->n = 0;
	table_release(&f->anchors); /* anchors hold within one document */
}

bool yaml_file_next(struct yaml_file *f, uint32_t *root, struct err *err)
{
	struct building b = { .f = f, .err = err, .root = YAML_NONE };
	bool ok = true, more = true;

	forget_document(f);
	*root = YAML_NONE;
	while (ok && more) {
		yaml_event_t e;
		if (!yaml_parser_parse(&f->parser, &e))
			return syntax_error(f, err);
		yaml_event_type_t type = e.type;
		if (type == YAML_DOCUMENT_START_EVENT && ++f->documents > YAML_DOCUMENTS_MAX)
			ok = err_set(err, "%s:%u: more than %u documents", f->name, line_of(&e), YAML_DOCUMENTS_MAX);
		ok = ok && on_event(&b, &e);
		more = type != YAML_DOCUMENT_END_EVENT;
		yaml_event_delete(&e);
		if (type == YAML_STREAM_END_EVENT || type == YAML_NO_EVENT)
			return false;
	}
	*root = b.root;
	return ok;
}

/* libyaml looks through all %TAG lines for each of them. */
static bool few_directives(struct str text)
{
	unsigned n = 0;
	for (size_t i = 0; i < text.n && n <= YAML_DIRECTIVES_MAX; i++) {
		n += text.p[i] == '%';
		const char *end = memchr(text.p + i, '\n', text.n - i);
		i = end ? (size_t)(end - text.p) : text.n;
	}
	return n <= YAML_DIRECTIVES_MAX;
}

bool yaml_file_open(struct yaml_file *f, struct str text, const char *name, struct err *err)
{
	*f = (struct yaml_file){ .name = name };
	if (!few_directives(text))
		return err_set(err, "%s: more than %u lines begin with %%", name, YAML_DIRECTIVES_MAX);
	if (!yaml_parser_initialize(&f->parser))
		return err_set(err, "%s: out of memory", name);
	yaml_parser_set_input_string(&f->parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
	arena_init(&f->arena, CONFIG_MEMORY_MAX, NULL, 0);
	table_init(&f->anchors, YAML_ANCHORS_MAX, (uintptr_t)text.p);
	return true;
}

void yaml_file_close(struct yaml_file *f)
{
	yaml_parser_delete(&f->parser);
	table_release(&f->anchors);
	arena_release(&f->arena);
	mem_free(f->at);
}
