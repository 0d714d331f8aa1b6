/* Cells and columns of `outrider top`. */
#include "control/top_draw.h"

#include <math.h>
#include <stdio.h>

/* --- numbers ------------------------------------------------------------------------------------------------------------- */

/* Three digits that count: 0.12, 1.23, 12.3, 123, 12.3k, 123k, 1.23M. */
static void short_number(char dst[TOP_CELL], double v)
{
	static const char units[] = " kMGTP";
	unsigned u = 0;

	for (; v >= 9999.5 && u < sizeof(units) - 2; u++)
		v /= 1000;
	int digits = v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2;
	if (u)
		snprintf(dst, TOP_CELL, "%.*f%c", v >= 99.95 ? 0 : 1, v, units[u]);
	else
		snprintf(dst, TOP_CELL, "%.*f", digits, v);
}

static void age_text(char dst[TOP_CELL], double ms)
{
	static const struct {
		double below, unit;
		char letter;
	} rows[] = { { 100, 1, 's' }, { 100 * 60, 60, 'm' }, { 100 * 3600, 3600, 'h' }, { 1e300, 86400, 'd' } };
	double s = ms / 1000;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (s >= rows[i].below)
			continue;
		snprintf(dst, TOP_CELL, "%u%c", (unsigned)top_min(s / rows[i].unit, 9999), rows[i].letter);
		return;
	}
}

static void bytes_text(char dst[TOP_CELL], double v)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned u = 0;

	for (; v >= 1000 && u < 4; u++)
		v /= 1024;
	snprintf(dst, TOP_CELL, "%.*f %s", u && v < 10 ? 1 : 0, v, units[u]);
}

void top_number_text(char dst[TOP_CELL], double v, enum top_format f)
{
	if (isnan(v) || (f == FORMAT_STATUS && v == 0))
		snprintf(dst, TOP_CELL, "-");
	else if (f == FORMAT_AGE)
		age_text(dst, v);
	else if (f == FORMAT_BYTES)
		bytes_text(dst, v);
	else if (v == 0)
		snprintf(dst, TOP_CELL, "0");
	else if (f == FORMAT_COUNT || f == FORMAT_STATUS)
		v < 99999.5 ? (void)snprintf(dst, TOP_CELL, "%.0f", v) : short_number(dst, v);
	else if (f == FORMAT_MS && v >= 99999.5)
		age_text(dst, v);
	else if (f == FORMAT_MS && v >= 9999.5)
		snprintf(dst, TOP_CELL, "%.1fs", v / 1000);
	else if (v < 0.005)
		snprintf(dst, TOP_CELL, "<.01");
	else
		short_number(dst, v);
}

/* --- cells --------------------------------------------------------------------------------------------------------------- */

static void pair_text(char dst[TOP_CELL], const struct top_row *r)
{
	if (isnan(r->of[TOP_ENDPOINTS]) || isnan(r->of[TOP_HEALTHY]))
		snprintf(dst, TOP_CELL, "-");
	else
		snprintf(dst, TOP_CELL, "%.0f/%.0f", top_min(r->of[TOP_HEALTHY], 99999), top_min(r->of[TOP_ENDPOINTS], 99999));
}

void top_cell_text(char dst[TOP_CELL], const struct top_row *r, const struct top_column *c)
{
	const char *texts[] = { [CELL_NAME] = r->name, [CELL_OTHER] = r->other, [CELL_NODE] = r->node, [CELL_STATE] = r->state,
		[CELL_NOTE] = r->note, [CELL_KEY] = r->key };

	if (c->cell == CELL_NUMBER)
		top_number_text(dst, r->of[c->number], c->format);
	else if (c->cell == CELL_PAIR)
		pair_text(dst, r);
	else if (c->cell == CELL_TREND)
		dst[0] = '\0';
	else
		(void)str_copy(str_of(texts[c->cell][0] ? texts[c->cell] : "-"), dst, TOP_CELL);
}

enum paint top_cell_paint(const struct top_row *r, const struct top_column *c)
{
	double v = c->cell == CELL_NUMBER ? r->of[c->number] : NAN;

	if (c->cell == CELL_STATE)
		return style_word(str_of(r->state));
	if (c->cell == CELL_PAIR && r->of[TOP_HEALTHY] < r->of[TOP_ENDPOINTS])
		return r->of[TOP_HEALTHY] > 0 ? PAINT_WARN : PAINT_BAD;
	if (c->cell == CELL_TREND)
		return PAINT_DIM;
	if (isnan(v) || v == 0)
		return PAINT_NONE;
	if (c->format == FORMAT_PERCENT && c->number == TOP_PERCENT)
		return v >= 5 ? PAINT_BAD : PAINT_WARN;
	if (c->format == FORMAT_STATUS)
		return v >= 500 ? PAINT_BAD : PAINT_WARN;
	return c->number == TOP_OPEN ? PAINT_BAD : PAINT_NONE;
}

void top_sparkline(struct text *t, const struct style *s, const float *v, unsigned n, unsigned columns)
{
	static const char *const fine[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }, *const plain[] = { ".", "_", "-", "~", "=", "+", "*", "#" };
	unsigned from = n > columns ? n - columns : 0;
	float most = 0;

	for (unsigned i = from; i < n; i++)
		most = v[i] > most ? v[i] : most;
	style_blanks(t, columns - (n - from));
	for (unsigned i = from; i < n; i++) {
		float level = most > 0 ? v[i] / most * 7 : 0;
		/* What is not nothing is never drawn as nothing. */
		unsigned k = v[i] > 0 ? (unsigned)top_max(1, level + 0.5) : 0;
		text_addz(t, (s->utf8 ? fine : plain)[k > 7 ? 7 : k]);
	}
}

/* --- columns ------------------------------------------------------------------------------------------------------------- */


static unsigned widest(const struct top_table *t, const struct top_column *c, const struct style *s)
{
	unsigned most = c->width;
	char cell[TOP_CELL];

	if (c->cell == CELL_TREND)
		return TOP_TREND;
	for (size_t i = 0; i < t->n; i++) {
		top_cell_text(cell, &t->rows[i], c);
		unsigned n = style_columns(s, str_of(cell));
		if (n > most)
			most = n;
	}
	return most;
}

/* In this order the room that is left is given away, to each at first no more than a usual name needs;
 * columns of rare interest come only then. */
static const enum top_cell greedy[] = { CELL_PAIR, CELL_NAME, CELL_OTHER, CELL_STATE, CELL_NOTE, CELL_NODE, CELL_KEY, CELL_TREND };
static void widen_one(const struct top_table *t, const struct top_column *c, const struct style *s, unsigned most, unsigned *width, struct top_layout *l, unsigned *left)
{
	unsigned want = t ? widest(t, c, s) : c->width;

	if (want > most)
		want = most;
	if (want <= *width)
		return;
	unsigned more = want - *width < *left ? want - *width : *left;
	*width += more;
	l->all += more;
	*left -= more;
}

static void widen(const struct top_model *m, enum top_view view, const struct style *s, unsigned bound, unsigned most, struct top_layout *l)
{
	size_t n;
	const struct top_column *columns = top_columns(view, &n);
	unsigned left = bound - (l->all < bound ? l->all : bound);

	for (size_t g = 0; g < sizeof(greedy) / sizeof(greedy[0]) && left; g++)
		for (size_t i = 0; i < n; i++)
			if (columns[i].cell == greedy[g] && l->width[i])
				widen_one(m ? &m->tables[view] : NULL, &columns[i], s, most, &l->width[i], l, &left);
}

static void add_ranks(enum top_view view, unsigned from, unsigned to, unsigned bound, bool grouped, bool trend, struct top_layout *l)
{
	size_t n;
	const struct top_column *columns = top_columns(view, &n);

	for (unsigned rank = from; rank < to; rank++)
		for (size_t i = 0; i < n; i++) {
			const struct top_column *c = &columns[i];
			if (c->rank != rank || (c->number == TOP_INSTANCES && c->cell == CELL_NUMBER && !grouped) || (c->cell == CELL_TREND && !trend))
				continue;
			if (l->all && l->all + 1 + c->width > bound)
				continue;
			l->width[i] = c->width < bound ? c->width : bound;
			l->all += l->width[i] + (l->all > 0);
		}
}

void top_lay_out(const struct top_model *m, enum top_view view, const struct style *s, unsigned width, bool grouped, struct top_layout *ret)
{
	const unsigned bound = width ? width : UINT32_MAX;
	bool trend = s->terminal || width; /* one look has no history */

	*ret = (struct top_layout){ .all = 0 };
	add_ranks(view, 0, TOP_RANK_RARE, bound, grouped, trend, ret);
	widen(m, view, s, bound, 16, ret);
	widen(m, view, s, bound, 24, ret);
	add_ranks(view, TOP_RANK_RARE, UINT8_MAX, bound, grouped, trend, ret);
	widen(m, view, s, bound, 40, ret); /* one long name does not cost the rates of the last minutes */
	widen(m, view, s, bound, UINT32_MAX, ret);
}
