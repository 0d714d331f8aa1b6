#include "control/plain.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#define COLUMNS_MAX 24
#define CELL_MAX 512 /* bytes of a value as text; longer ones are cut in tables */
#define INDENT 2
#define DEPTH_MAX 12

static bool is_scalar(const cJSON *v)
{
	return !cJSON_IsObject(v) && !cJSON_IsArray(v);
}

static bool is_number_whole(double d)
{
	return d >= -9e15 && d <= 9e15 && (double)(int64_t)d == d;
}

static void scalar_text(const cJSON *v, char dst[CELL_MAX])
{
	if (!v || cJSON_IsNull(v))
		snprintf(dst, CELL_MAX, "-");
	else if (cJSON_IsBool(v))
		snprintf(dst, CELL_MAX, "%s", cJSON_IsTrue(v) ? "yes" : "no");
	else if (cJSON_IsNumber(v) && is_number_whole(v->valuedouble))
		snprintf(dst, CELL_MAX, "%lld", (long long)v->valuedouble);
	else if (cJSON_IsNumber(v))
		snprintf(dst, CELL_MAX, "%.3f", v->valuedouble);
	else if (cJSON_IsString(v))
		snprintf(dst, CELL_MAX, "%s", v->valuestring[0] ? v->valuestring : "-");
	else
		snprintf(dst, CELL_MAX, "(%d)", cJSON_GetArraySize(v));
}

/* What is written, and how: the style cleans what came over a network. */
struct sheet {
	struct text *t;
	const struct style *style;
};

static void add_padded(const struct sheet *s, const char *z, unsigned width, enum style_align align, enum paint p)
{
	if (width)
		style_cell(s->t, s->style, str_of(z), width, align, p);
	else
		style_add(s->t, s->style, str_of(z), p);
}

/* Members of these names say how something is: their words have colours. */
static enum paint paint_of(const char *key, const cJSON *v)
{
	static const char *const keys[] = { "state", "handler", "phase", "health", "circuit" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && cJSON_IsString(v); i++)
		if (key && strcmp(key, keys[i]) == 0)
			return style_word(str_of(v->valuestring));
	return PAINT_NONE;
}

static void add_indent(const struct sheet *s, int depth)
{
	style_blanks(s->t, (unsigned)(depth * INDENT));
}

/* --- tables -------------------------------------------------------------------------------------------------- */

static bool is_table(const cJSON *v)
{
	const cJSON *row;
	if (!cJSON_IsArray(v) || !v->child)
		return false;
	cJSON_ArrayForEach(row, v)
	{
		const cJSON *cell;
		if (!cJSON_IsObject(row))
			return false;
		cJSON_ArrayForEach(cell, row)
		{
			if (!is_scalar(cell))
				return false;
		}
	}
	return true;
}

static void add_list(const struct sheet *s, const cJSON *v, int depth);

struct column {
	const char *name;
	unsigned width;
	bool number; /* nothing but numbers, and what is not known: digits stand below each other */
};

static void measure(const struct sheet *s, const cJSON *v, struct column *c)
{
	char cell[CELL_MAX];
	const cJSON *row;
	bool text = false;

	cJSON_ArrayForEach(row, v)
	{
		const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, c->name);
		scalar_text(value, cell);
		unsigned n = style_columns(s->style, str_of(cell));
		if (n > c->width)
			c->width = n;
		c->number = c->number || cJSON_IsNumber(value);
		text = text || (value && !cJSON_IsNumber(value) && !cJSON_IsNull(value));
	}
	c->number = c->number && !text;
}

static size_t table_columns(const struct sheet *s, const cJSON *v, struct column cols[COLUMNS_MAX])
{
	size_t n = 0;
	const cJSON *c;
	cJSON_ArrayForEach(c, v->child)
	{
		if (n == COLUMNS_MAX || !c->string)
			break;
		cols[n] = (struct column){ c->string, style_columns(s->style, str_of(c->string)), false };
		measure(s, v, &cols[n++]);
	}
	return n;
}

static void add_cell(const struct sheet *s, const struct column *c, const char *z, bool last, enum paint p)
{
	add_padded(s, z, last && !c->number ? 0 : c->width, c->number ? STYLE_RIGHT : STYLE_LEFT, p);
	if (!last)
		style_blanks(s->t, INDENT);
}

static bool is_too_wide(const struct sheet *s, const struct column *cols, size_t n, int depth)
{
	unsigned all = (unsigned)(depth * INDENT);

	for (size_t i = 0; i < n; i++)
		all += cols[i].width + (i ? INDENT : 0);
	return s->style->width && all > s->style->width;
}

/* A table that the terminal would break is a list instead, each row below the other. */
static void add_table(const struct sheet *s, const cJSON *v, int depth)
{
	struct column cols[COLUMNS_MAX];
	size_t n = table_columns(s, v, cols);
	char cell[CELL_MAX];
	const cJSON *row;
	if (is_too_wide(s, cols, n, depth)) {
		add_list(s, v, depth);
		return;
	}
	add_indent(s, depth);
	for (size_t i = 0; i < n; i++)
		add_cell(s, &cols[i], cols[i].name, i + 1 == n, PAINT_BOLD);
	text_char(s->t, '\n');
	cJSON_ArrayForEach(row, v)
	{
		add_indent(s, depth);
		for (size_t i = 0; i < n; i++) {
			const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, cols[i].name);
			scalar_text(value, cell);
			add_cell(s, &cols[i], cell, i + 1 == n, paint_of(cols[i].name, value));
		}
		text_char(s->t, '\n');
	}
}

/* --- objects and lists --------------------------------------------------------------------------------------- */

static void add_value(const struct sheet *s, const cJSON *v, int depth);

static void add_object(const struct sheet *s, const cJSON *v, int depth)
{
	const cJSON *m;
	char cell[CELL_MAX];
	unsigned width = 0;
	cJSON_ArrayForEach(m, v)
	{
		unsigned n = is_scalar(m) ? style_columns(s->style, str_of(m->string)) : 0;
		if (n > width)
			width = n;
	}
	cJSON_ArrayForEach(m, v)
	{
		add_indent(s, depth);
		if (is_scalar(m)) {
			scalar_text(m, cell);
			add_padded(s, m->string, width + INDENT, STYLE_LEFT, PAINT_DIM);
			style_wrap(s->t, s->style, str_of(cell), (unsigned)(depth * INDENT) + width + INDENT, paint_of(m->string, m));
			text_char(s->t, '\n');
		} else {
			style_add(s->t, s->style, str_of(m->string), PAINT_BOLD);
			text_addz(s->t, m->child ? ":\n" : ": none\n");
			if (m->child)
				add_value(s, m, depth + 1);
		}
	}
}

static void add_list(const struct sheet *s, const cJSON *v, int depth)
{
	const cJSON *m;
	cJSON_ArrayForEach(m, v)
	{
		add_value(s, m, depth);
		if (!is_scalar(m) && m->next)
			text_char(s->t, '\n');
	}
}

static void add_value(const struct sheet *s, const cJSON *v, int depth)
{
	char cell[CELL_MAX];
	if (depth > DEPTH_MAX) {
		add_indent(s, depth);
		text_addz(s->t, "...\n");
	} else if (is_table(v)) {
		add_table(s, v, depth);
	} else if (cJSON_IsObject(v)) {
		add_object(s, v, depth);
	} else if (cJSON_IsArray(v)) {
		add_list(s, v, depth);
	} else {
		scalar_text(v, cell);
		add_indent(s, depth);
		style_add(s->t, s->style, str_of(cell), PAINT_NONE);
		text_char(s->t, '\n');
	}
}

bool plain_styled(struct text *t, struct str json, const struct style *style)
{
	const struct sheet s = { t, style };
	cJSON *v = cJSON_ParseWithLength(json.p ? json.p : "", json.n);
	if (!v)
		return false;
	if (cJSON_IsArray(v) && !v->child)
		text_addz(t, "none\n");
	else
		add_value(&s, v, 0);
	cJSON_Delete(v);
	return !t->failed;
}

bool plain_from_json(struct text *t, struct str json)
{
	static const struct style plain = { .utf8 = true };

	return plain_styled(t, json, &plain);
}
