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
	for (char *p = dst; *p; p++) { /* a value must not move the cursor of a terminal */
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
}

/* Characters, not bytes: continuation bytes of UTF-8 take no room. */
static int shown_width(const char *z)
{
	int n = 0;
	for (; *z; z++)
		n += ((unsigned char)*z & 0xc0) != 0x80;
	return n;
}

static void add_padded(struct text *t, const char *z, int width)
{
	text_addz(t, z);
	for (int n = shown_width(z); n < width; n++)
		text_char(t, ' ');
}

static void add_indent(struct text *t, int depth)
{
	for (int i = 0; i < depth * INDENT; i++)
		text_char(t, ' ');
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

struct column {
	const char *name;
	int width;
};

static size_t table_columns(const cJSON *v, struct column cols[COLUMNS_MAX])
{
	size_t n = 0;
	char cell[CELL_MAX];
	const cJSON *c, *row;
	cJSON_ArrayForEach(c, v->child)
	{
		if (n == COLUMNS_MAX || !c->string)
			break;
		cols[n++] = (struct column){ c->string, shown_width(c->string) };
	}
	cJSON_ArrayForEach(row, v)
	{
		for (size_t i = 0; i < n; i++) {
			scalar_text(cJSON_GetObjectItemCaseSensitive(row, cols[i].name), cell);
			if (shown_width(cell) > cols[i].width)
				cols[i].width = shown_width(cell);
		}
	}
	return n;
}

static void add_table(struct text *t, const cJSON *v, int depth)
{
	struct column cols[COLUMNS_MAX];
	size_t n = table_columns(v, cols);
	char cell[CELL_MAX];
	const cJSON *row;
	add_indent(t, depth);
	for (size_t i = 0; i < n; i++)
		add_padded(t, cols[i].name, i + 1 < n ? cols[i].width + INDENT : 0);
	text_char(t, '\n');
	cJSON_ArrayForEach(row, v)
	{
		add_indent(t, depth);
		for (size_t i = 0; i < n; i++) {
			scalar_text(cJSON_GetObjectItemCaseSensitive(row, cols[i].name), cell);
			add_padded(t, cell, i + 1 < n ? cols[i].width + INDENT : 0);
		}
		text_char(t, '\n');
	}
}

/* --- objects and lists --------------------------------------------------------------------------------------- */

static void add_value(struct text *t, const cJSON *v, int depth);

static void add_object(struct text *t, const cJSON *v, int depth)
{
	const cJSON *m;
	char cell[CELL_MAX];
	int width = 0;
	cJSON_ArrayForEach(m, v)
	{
		if (is_scalar(m) && shown_width(m->string) > width)
			width = shown_width(m->string);
	}
	cJSON_ArrayForEach(m, v)
	{
		add_indent(t, depth);
		if (is_scalar(m)) {
			scalar_text(m, cell);
			add_padded(t, m->string, width + INDENT);
			text_addz(t, cell);
			text_char(t, '\n');
		} else if (!m->child) {
			text_addz(t, m->string);
			text_addz(t, ": none\n");
		} else {
			text_addz(t, m->string);
			text_addz(t, ":\n");
			add_value(t, m, depth + 1);
		}
	}
}

static void add_list(struct text *t, const cJSON *v, int depth)
{
	const cJSON *m;
	cJSON_ArrayForEach(m, v)
	{
		add_value(t, m, depth);
		if (!is_scalar(m) && m->next)
			text_char(t, '\n');
	}
}

static void add_value(struct text *t, const cJSON *v, int depth)
{
	char cell[CELL_MAX];
	if (depth > DEPTH_MAX) {
		add_indent(t, depth);
		text_addz(t, "...\n");
	} else if (is_table(v)) {
		add_table(t, v, depth);
	} else if (cJSON_IsObject(v)) {
		add_object(t, v, depth);
	} else if (cJSON_IsArray(v)) {
		add_list(t, v, depth);
	} else {
		scalar_text(v, cell);
		add_indent(t, depth);
		text_addz(t, cell);
		text_char(t, '\n');
	}
}

bool plain_from_json(struct text *t, struct str json)
{
	cJSON *v = cJSON_ParseWithLength(json.p ? json.p : "", json.n);
	if (!v)
		return false;
	if (cJSON_IsArray(v) && !v->child)
		text_addz(t, "none\n");
	else
		add_value(t, v, 0);
	cJSON_Delete(v);
	return !t->failed;
}
