#include "control/top_draw.h"

#include <math.h>
#include <stdio.h>

#define HEIGHT_SMALL 16u /* below it, what changed has no place */
#define GUTTER_FROM 20u  /* columns above which the row under the cursor has a mark */
#define HEIGHT_TINY 9u   /* below it, only the first line, the table and its head */

/* --- a line that is never too long ---------------------------------------------------------------------------------------- */

struct pen {
	struct text *t;
	const struct style *s;
	unsigned width, at; /* columns; width UINT32_MAX: no bound */
	unsigned lines, height;
};

static unsigned room(const struct pen *p)
{
	return p->width - p->at;
}

static void put(struct pen *p, enum paint paint, const char *z)
{
	if (!z[0] || !room(p))
		return;
	style_begin(p->t, p->s, paint);
	p->at += style_cut(p->t, p->s, str_of(z), room(p));
	style_end(p->t, p->s, paint);
}

static void put_fmt(struct pen *p, enum paint paint, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void put_fmt(struct pen *p, enum paint paint, const char *fmt, ...)
{
	char z[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(z, sizeof(z), fmt, ap);
	va_end(ap);
	put(p, paint, z);
}

static bool end_line(struct pen *p)
{
	text_char(p->t, '\n');
	p->at = 0;
	return ++p->lines < p->height;
}

/* --- the head ------------------------------------------------------------------------------------------------------------- */

static const char *plural(double n)
{
	return n == 1 ? "" : "s";
}

static void draw_title(struct pen *p, const struct top_model *m, const struct top_ui *ui)
{
	put(p, PAINT_BOLD, "outrider top");
	if (m && ui->scope == TOP_SWARM)
		put_fmt(p, PAINT_NONE, "  swarm of %u agent%s", m->agents + m->agents_silent,
			plural(m->agents + m->agents_silent));
	else if (m && ui->scope == TOP_SIDECAR && (ui->service[0] || m->service[0]))
		put_fmt(p, PAINT_NONE, "  %s", ui->service[0] ? ui->service : m->service);
	if (m && m->node[0] && ui->scope != TOP_SWARM)
		put_fmt(p, PAINT_NONE, "  on %s", m->node);
	put_fmt(p, PAINT_NONE, "  scope %s", top_scope_words[ui->scope]);
	if (ui->paused)
		put(p, PAINT_WARN, "  PAUSED");
	else if (ui->live)
		put_fmt(p, PAINT_DIM, "  every %.3gs", (double)ui->interval / USEC_SEC);
	if (m && m->version[0])
		put_fmt(p, PAINT_DIM, "  %s", m->version);
}

static void put_ms(struct pen *p, const char *name, double v)
{
	char z[TOP_CELL];

	top_number_text(z, v, FORMAT_MS);
	put_fmt(p, PAINT_DIM, "  %s", name);
	put_fmt(p, PAINT_NONE, " %5s", z);
}

static void draw_point(
	struct pen *p, const char *name, const struct top_point *v, const float *trend, unsigned n, bool live)
{
	char rate[TOP_CELL], percent[TOP_CELL], active[TOP_CELL];
	double bad = v->rate > 0 ? 100 * v->errors / v->rate : 0;

	top_number_text(rate, v->rate, FORMAT_RATE);
	top_number_text(percent, bad, FORMAT_PERCENT);
	top_number_text(active, v->active, FORMAT_COUNT);
	put_fmt(p, PAINT_BOLD, "%-3s", name);
	put_fmt(p, PAINT_NONE, " %6s/s", rate);
	put_fmt(p, bad >= 5 ? PAINT_BAD : bad > 0 ? PAINT_WARN : PAINT_NONE, "  %5s%% failed", percent);
	put_ms(p, "p50", v->p50);
	put_ms(p, "p95", v->p95);
	put_ms(p, "p99", v->p99);
	put(p, PAINT_DIM, " ms");
	put_fmt(p, PAINT_NONE, " %4s now", active);
	if (!live || p->width == UINT32_MAX || room(p) < 6)
		return;
	unsigned columns = room(p) - 2 < TOP_TREND ? room(p) - 2 : TOP_TREND;
	put(p, PAINT_NONE, "  ");
	style_begin(p->t, p->s, PAINT_DIM);
	top_sparkline(p->t, p->s, trend, n, columns);
	style_end(p->t, p->s, PAINT_DIM);
	p->at += columns;
}

static void draw_counts(struct pen *p, const struct top_model *m)
{
	const struct top_table *services = &m->tables[TOP_SERVICES], *edges = &m->tables[TOP_UPSTREAMS];
	double sidecars = 0;
	char z[TOP_CELL];

	for (size_t i = 0; i < services->n; i++)
		sidecars += services->rows[i].of[TOP_INSTANCES];
	sidecars += services->left_out;
	put_fmt(p, PAINT_NONE, "%.0f sidecar%s", sidecars, plural(sidecars));
	if (m->not_serving)
		put_fmt(p, PAINT_BAD, ", %u not serving", m->not_serving);
	put_fmt(p, PAINT_NONE, "  %zu upstream%s", edges->n + edges->left_out,
		plural((double)(edges->n + edges->left_out)));
	put_fmt(p, m->healthy < m->endpoints ? PAINT_WARN : PAINT_NONE, "  %.0f/%.0f endpoint%s", m->healthy,
		m->endpoints, plural(m->endpoints));
	put_fmt(p, m->circuits_open ? PAINT_BAD : PAINT_NONE, "  %u circuit%s open", m->circuits_open,
		plural(m->circuits_open));
	if (isnan(m->cpu))
		return;
	top_number_text(z, m->cpu, FORMAT_PERCENT);
	put_fmt(p, PAINT_DIM, "  agent %s%%", z);
	top_number_text(z, m->memory, FORMAT_BYTES);
	put_fmt(p, PAINT_DIM, " %s", z);
}

/* The first ones, and how many more there are. */
static bool draw_troubles(struct pen *p, const struct top_model *m, unsigned most)
{
	for (unsigned i = 0; i < m->n_troubles && i < most; i++) {
		put_fmt(p, PAINT_BAD, "! ");
		if (i + 1 == most && m->n_troubles > most)
			put_fmt(p, PAINT_BAD, "(and %u more) ", m->n_troubles - most);
		put_fmt(p, PAINT_BAD, "%s: %s", m->troubles[i].name, m->troubles[i].why);
		if (!end_line(p))
			return false;
	}
	return true;
}

/* Why nothing new is known, a key's refusal, else the first trouble and how many more there are. */
static bool draw_trouble(struct pen *p, const struct top_model *m, const struct top_ui *ui)
{
	if (ui->said[0])
		put(p, PAINT_WARN, ui->said);
	else if (ui->trouble[0] && m)
		put_fmt(p, PAINT_BAD, "! %s; figures are %u s old", ui->trouble,
			(unsigned)(ui->trouble_for / USEC_SEC));
	else if (ui->trouble[0])
		put_fmt(p, PAINT_BAD, "! %s", ui->trouble);
	else if (m && m->n_troubles)
		return draw_troubles(p, m,
			p->height == UINT32_MAX ? TOP_TROUBLES_MAX
			: p->height < 40        ? 1
						: 4);
	else
		return true;
	return end_line(p);
}

static enum paint change_paint(const char *kind)
{
	static const char *const bad[] = { "ejected", "circuit", "config-refused", "sidecar-down" },
				 *const good[] = { "readmitted", "sidecar-up" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (strcmp(kind, bad[i]) == 0)
			return PAINT_WARN;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (strcmp(kind, good[i]) == 0)
			return PAINT_GOOD;
	return PAINT_NONE;
}

static bool draw_changes(struct pen *p, const struct top_model *m, unsigned most)
{
	char age[TOP_CELL], whose[200];

	for (unsigned i = 0; i < m->n_changes && i < most; i++) {
		const struct top_change *c = &m->changes[i];
		top_number_text(age, top_max(0, m->time_ms - c->time_ms), FORMAT_AGE);
		put_fmt(p, PAINT_DIM, "%5s ago  ", age);
		put_fmt(p, change_paint(c->kind), "%-10s", c->kind);
		if (m->scope == TOP_SWARM && c->node[0])
			put_fmt(p, PAINT_DIM, "  %s", c->node);
		top_change_whose(c, whose, sizeof(whose));
		put_fmt(p, PAINT_NONE, "  %s%s", whose, c->text);
		if (!end_line(p))
			return false;
	}
	return true;
}

static bool draw_head(struct pen *p, const struct top_model *m, const struct top_ui *ui)
{
	draw_title(p, m, ui);
	if (!end_line(p) || (!ui->help && !draw_trouble(p, m, ui)) || !m)
		return p->lines < p->height;
	if (p->height < HEIGHT_TINY || ui->help)
		return true;
	draw_point(p, "in", &m->in, m->trend_in, m->n_trend_in, ui->live);
	if (!end_line(p))
		return false;
	draw_point(p, "out", &m->out, m->trend_out, m->n_trend_out, ui->live);
	if (!end_line(p))
		return false;
	draw_counts(p, m);
	if (!end_line(p))
		return false;
	unsigned most = p->height < HEIGHT_SMALL  ? 0
			: p->height < 40          ? 2
			: p->height == UINT32_MAX ? TOP_CHANGES_MAX
						  : 6;
	return draw_changes(p, m, most);
}

/* --- the table ------------------------------------------------------------------------------------------------------------- */

static bool draw_tabs(struct pen *p, const struct top_model *m, const struct top_ui *ui)
{
	for (unsigned v = 0; v < TOP_VIEWS; v++) {
		if (!ui->live && v != ui->view)
			continue;
		put(p, PAINT_NONE, v && ui->live ? "  " : "");
		put_fmt(p, v == ui->view ? PAINT_CURSOR : PAINT_DIM, v == ui->view ? "[%u %s]" : " %u %s ",
			v + 1, top_view_words[v]);
	}
	if (m && m->tables[ui->view].left_out)
		put_fmt(p, PAINT_WARN, "  %u more are not shown", m->tables[ui->view].left_out);
	return end_line(p);
}

static bool is_right(const struct top_column *c)
{
	return c->cell == CELL_NUMBER || c->cell == CELL_PAIR;
}

static void draw_column_heads(struct pen *p, const struct top_ui *ui, const struct top_layout *l)
{
	size_t n;
	const struct top_column *columns = top_columns(ui->view, &n);
	const char *mark = p->s->utf8                 ? (ui->descending[ui->view] ? "↓" : "↑")
			   : ui->descending[ui->view] ? "v"
						      : "^";
	char head[32];
	bool first = true;

	for (size_t i = 0; i < n; i++) {
		if (!l->width[i])
			continue;
		bool sorted = ui->sort[ui->view] == i;
		snprintf(head, sizeof(head), "%s%s", columns[i].head, sorted ? mark : "");
		style_blanks(p->t, !first);
		first = false;
		style_cell(p->t, p->s, str_of(head), l->width[i],
			is_right(&columns[i]) ? STYLE_RIGHT : STYLE_LEFT, sorted ? PAINT_HEAD : PAINT_DIM);
	}
}

/* Cells of numbers are as wide as a head with its mark: five digits and a blank always fit. */
static void draw_row(
	struct pen *p, const struct top_ui *ui, const struct top_layout *l, const struct top_row *r)
{
	size_t n;
	const struct top_column *columns = top_columns(ui->view, &n);
	char cell[TOP_CELL];
	bool first = true;

	for (size_t i = 0; i < n; i++) {
		if (!l->width[i])
			continue;
		style_blanks(p->t, !first);
		first = false;
		enum paint paint = top_cell_paint(r, &columns[i]);
		if (columns[i].cell == CELL_TREND) {
			unsigned columns_of = l->width[i] < TOP_TREND ? l->width[i] : TOP_TREND;
			style_begin(p->t, p->s, paint);
			top_sparkline(p->t, p->s, r->trend, r->n_trend, columns_of);
			style_end(p->t, p->s, paint);
			continue;
		}
		top_cell_text(cell, r, &columns[i]);
		style_cell(p->t, p->s, str_of(cell), l->width[i],
			is_right(&columns[i]) ? STYLE_RIGHT : STYLE_LEFT, paint);
	}
}

static void keep_in_sight(struct top_ui *ui, size_t n, size_t rows)
{
	size_t *cursor = &ui->cursor[ui->view], *offset = &ui->offset[ui->view];

	if (*cursor >= n)
		*cursor = n ? n - 1 : 0;
	if (*cursor < *offset)
		*offset = *cursor;
	if (*cursor >= *offset + rows)
		*offset = *cursor - rows + 1;
	if (*offset + rows > n)
		*offset = n > rows ? n - rows : 0;
}

static const char *nothing(enum top_view view)
{
	static const char *const words[TOP_VIEWS] = { "no sidecars", "no calls to upstreams yet",
		"no circuits", "no failures are remembered" };

	return words[view];
}

/* rows: lines that are left for it; gutter: a column for the cursor's mark. */
static void draw_rows(struct pen *p, const struct top_model *m, struct top_ui *ui, const struct top_layout *l,
	size_t rows, bool gutter)
{
	const struct top_table *t = &m->tables[ui->view];

	if (!ui->live)
		ui->cursor[ui->view] = ui->offset[ui->view] = 0;
	keep_in_sight(ui, t->n, rows);
	if (t->n == 0) {
		put_fmt(p, PAINT_DIM, "%s%s", gutter ? " " : "", nothing(ui->view));
		(void)end_line(p);
	}
	for (size_t i = ui->offset[ui->view]; i < t->n && rows; i++, rows--) {
		if (gutter)
			put(p, PAINT_BOLD, i == ui->cursor[ui->view] ? ">" : " ");
		draw_row(p, ui, l, &t->rows[i]);
		p->at = 0;
		(void)end_line(p);
	}
}

/* --- help, foot, all of it ------------------------------------------------------------------------------------------------- */

static const char *const keys[] = {
	"1 2 3 4, Tab   services, upstreams, circuits, failures",
	"s              scope: one sidecar, this node, the swarm",
	"Enter          the sidecar of the row;  Esc: back to the node",
	"< > or arrows  sort by the next column;  r: the other way round",
	"g              rows of one service as one, or each by itself",
	"p              pause;  q: quit;  up, down, PgUp, PgDn, Home, End",
};

static void draw_help(struct pen *p, const struct top_ui *ui)
{
	size_t n;
	const struct top_column *columns = top_columns(ui->view, &n);

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && p->lines + 1 < p->height; i++) {
		put_fmt(p, PAINT_NONE, " %s", keys[i]);
		(void)end_line(p);
	}
	put_fmt(p, PAINT_BOLD, " Columns of %s (--sort=WORD):", top_view_words[ui->view]);
	if (!end_line(p))
		return;
	/* Two in a line where there is room for two. */
	unsigned half = p->width >= 100 ? p->width / 2 : p->width;
	for (size_t i = 0; i < n && p->lines + 1 < p->height; i++) {
		char z[200];
		snprintf(z, sizeof(z), " %-8s %-9s %s", columns[i].head,
			columns[i].word ? columns[i].word : "", columns[i].says);
		style_cell(p->t, p->s, str_of(z), half, STYLE_LEFT, PAINT_NONE);
		p->at += half;
		if (half == p->width || i % 2 || i + 1 == n)
			(void)end_line(p);
	}
}

static void draw_foot(struct pen *p, const struct top_ui *ui)
{
	static const char *const pieces[] = { "q quit", "? help", "1-4 view", "s scope", "<> sort",
		"r reverse", "g group", "p pause", "Enter sidecar" };

	if (ui->help) {
		put(p, PAINT_DIM, "? back  q quit");
		return;
	}
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		if (room(p) < strlen(pieces[i]) + 2)
			return;
		put_fmt(p, PAINT_DIM, i ? "  %s" : "%s", pieces[i]);
	}
}

void top_draw(struct text *t, const struct top_model *m, struct top_ui *ui, const struct style *s)
{
	struct pen p = { .t = t,
		.s = s,
		.width = ui->width ? ui->width : UINT32_MAX,
		.height = ui->height ? ui->height : UINT32_MAX };
	struct top_layout l;
	unsigned gutter = ui->live && ui->width > GUTTER_FROM, foot = ui->live && p.height >= HEIGHT_TINY;

	p.height -= foot; /* the last line is the foot's */
	if (draw_head(&p, m, ui) && ui->help) {
		draw_help(&p, ui);
	} else if (m && p.lines < p.height && draw_tabs(&p, m, ui)) {
		top_lay_out(m, ui->view, s, ui->width ? ui->width - gutter : 0, top_ui_groups(ui), &l);
		ui->shown[ui->view] = 0;
		for (unsigned i = 0; i < TOP_COLUMNS_MAX; i++)
			ui->shown[ui->view] |= (uint32_t)(l.width[i] > 0) << i;
		style_blanks(t, gutter);
		draw_column_heads(&p, ui, &l);
		if (end_line(&p))
			draw_rows(&p, m, ui, &l, p.height - p.lines, gutter);
	}
	for (; ui->live && p.lines < p.height; p.lines++)
		text_char(t, '\n');
	if (!foot)
		return;
	draw_foot(&p, ui);
	text_char(t, '\n');
}
