#include "control/top_model.h"

#include "base/mem.h"
#include "control/style.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define GROWTH 64u

const char *const top_scope_words[TOP_SCOPES] = { "sidecar", "node", "swarm" };
const char *const top_view_words[TOP_VIEWS] = { "services", "upstreams", "circuits", "failures" };

struct top_model *top_model_new(void)
{
	struct top_model *m = mem_zalloc(sizeof(*m));

	if (m) {
		m->in = m->out = (struct top_point){ 0, 0, NAN, NAN, NAN, 0 };
		m->cpu = m->memory = NAN;
	}
	return m;
}

void top_model_free(struct top_model *m)
{
	if (!m)
		return;
	for (unsigned v = 0; v < TOP_VIEWS; v++)
		mem_free(m->tables[v].rows);
	mem_free(m);
}

struct top_row *top_table_add(struct top_table *t)
{
	if (t->n == TOP_ROWS_MAX) {
		t->left_out++;
		return NULL;
	}
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : GROWTH;
		void *rows = mem_resize(t->rows, cap * sizeof(*t->rows));
		if (!rows)
			return NULL;
		t->rows = rows;
		t->cap = cap;
	}
	struct top_row *r = &t->rows[t->n++];
	memset(r, 0, sizeof(*r));
	for (unsigned i = 0; i < TOP_NUMBERS; i++)
		r->of[i] = NAN;
	r->of[TOP_INSTANCES] = 1;
	return r;
}

void top_trouble(struct top_model *m, const char *name, const char *why)
{
	if (m->n_troubles == TOP_TROUBLES_MAX)
		return;
	struct top_trouble *t = &m->troubles[m->n_troubles++];
	(void)str_copy(str_of(name), t->name, sizeof(t->name));
	(void)str_copy(str_of(why), t->why, sizeof(t->why));
}

/* --- putting rows together -------------------------------------------------------------------------------------------------- */

enum joined { JOIN_SUM, JOIN_WORST, JOIN_LEAST, JOIN_WEIGHED };

static enum joined joined_how(unsigned number)
{
	switch (number) {
	case TOP_P50:
		return JOIN_WEIGHED;
	case TOP_P95:
	case TOP_P99:
	case TOP_ENDPOINTS: /* each agent sees all of them */
	case TOP_AGE:
	case TOP_PERCENT: /* made again afterwards, where there is a rate */
		return JOIN_WORST;
	case TOP_HEALTHY:
		return JOIN_LEAST;
	default:
		return JOIN_SUM;
	}
}

static double weighed(double a, double of_a, double b, double of_b)
{
	double all = of_a + of_b;

	return all > 0 ? (a * of_a + b * of_b) / all : top_max(a, b);
}

static int badness(const char *state)
{
	return (int)style_word(str_of(state)) +
	       (state[0] && style_word(str_of(state)) == PAINT_NONE ? PAINT_WARN : 0);
}

static void join(struct top_row *to, const struct top_row *r)
{
	double rate = isnan(to->of[TOP_RATE]) ? 0 : to->of[TOP_RATE],
	       other = isnan(r->of[TOP_RATE]) ? 0 : r->of[TOP_RATE];

	for (unsigned i = 0; i < TOP_NUMBERS; i++) {
		double a = to->of[i], b = r->of[i];
		if (isnan(b))
			continue;
		enum joined how = isnan(a) ? JOIN_WORST : joined_how(i);
		to->of[i] = how == JOIN_SUM       ? a + b
			    : how == JOIN_LEAST   ? top_min(a, b)
			    : how == JOIN_WEIGHED ? weighed(a, rate, b, other)
						  : top_max(a, b);
	}
	if (badness(r->state) > badness(to->state)) {
		memcpy(to->state, r->state, sizeof(to->state));
		memcpy(to->note, r->note, sizeof(to->note));
	}
	if (strcmp(to->node, r->node) != 0)
		(void)str_copy(STR("*"), to->node, sizeof(to->node));
	if (strcmp(to->key, r->key) != 0)
		to->key[0] = '\0';
	if (strcmp(to->other, r->other) != 0)
		to->other[0] = '\0';
}

static int by_names(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;
	int d = strcmp(x->name, y->name);

	d = d ? d : strcmp(x->other, y->other);
	d = d ? d : strcmp(x->key, y->key); /* equal ones do not change places from look to look */
	return d ? d : (x->agent > y->agent) - (x->agent < y->agent);
}

/* by_other: an edge is of the two services; instances of a service have slots that differ. */
static void group_rows(struct top_table *t, bool by_other)
{
	size_t kept = 0;

	if (t->n)
		qsort(t->rows, t->n, sizeof(*t->rows), by_names);
	for (size_t i = 0; i < t->n; i++) {
		if (kept && strcmp(t->rows[kept - 1].name, t->rows[i].name) == 0 &&
			(!by_other || strcmp(t->rows[kept - 1].other, t->rows[i].other) == 0))
			join(&t->rows[kept - 1], &t->rows[i]);
		else if (kept++ != i)
			t->rows[kept - 1] = t->rows[i];
	}
	t->n = kept;
}

/* --- sums ----------------------------------------------------------------------------------------------------------------------- */

static void percent_of(struct top_row *r)
{
	if (!isnan(r->of[TOP_RATE]) && !isnan(r->of[TOP_ERRORS]))
		r->of[TOP_PERCENT] = r->of[TOP_RATE] > 0 ? 100 * r->of[TOP_ERRORS] / r->of[TOP_RATE] : 0;
}

static void plus(double *sum, double v)
{
	if (!isnan(v))
		*sum = isnan(*sum) ? v : *sum + v;
}

static bool is_open(const struct top_row *edge)
{
	return edge->state[0] && strcmp(edge->state, "closed") != 0 &&
	       strcmp(edge->state, "forced-closed") != 0 && strcmp(edge->state, "off") != 0;
}

/* Is it an edge of that row? An agent of before names the service alone; rows that were put together have all of its. */
static bool is_callers(const struct top_row *s, const struct top_row *e, bool group)
{
	return group || (s->agent == e->agent && (!e->key[0] || strcmp(s->key, e->key) == 0));
}

/* What the edges of a service say of it: found by binary search, the services are sorted by name then. */
static void give_edges(struct top_table *services, const struct top_table *edges, bool group)
{
	for (size_t i = 0; i < edges->n; i++) {
		const struct top_row *e = &edges->rows[i];
		size_t low = 0, high = services->n;
		while (low < high) {
			size_t mid = (low + high) / 2;
			if (strcmp(services->rows[mid].name, e->name) < 0)
				low = mid + 1;
			else
				high = mid;
		}
		for (; low < services->n && strcmp(services->rows[low].name, e->name) == 0; low++) {
			struct top_row *s = &services->rows[low];
			if (!is_callers(s, e, group))
				continue;
			plus(&s->of[TOP_OPEN], is_open(e));
			plus(&s->of[TOP_HEALTHY], e->of[TOP_HEALTHY]);
			plus(&s->of[TOP_ENDPOINTS], e->of[TOP_ENDPOINTS]);
			plus(&s->of[TOP_RETRIES], e->of[TOP_RETRIES]);
		}
	}
}

void top_model_finish(struct top_model *m, bool group)
{
	struct top_table *services = &m->tables[TOP_SERVICES], *edges = &m->tables[TOP_UPSTREAMS];

	m->not_serving = m->handlers_down = m->circuits_open = 0;
	for (size_t i = 0; i < services->n; i++)
		m->not_serving += services->rows[i].state[0] &&
				  strcmp(services->rows[i].state, "serving") != 0;
	for (size_t i = 0; i < edges->n; i++)
		m->circuits_open += is_open(&edges->rows[i]);
	if (group) {
		group_rows(services, false);
		group_rows(edges, true);
	} else if (services->n) {
		qsort(services->rows, services->n, sizeof(*services->rows), by_names);
	}
	give_edges(services, edges, group);
	m->healthy = m->endpoints = 0;
	for (size_t i = 0; i < edges->n; i++) {
		plus(&m->healthy, edges->rows[i].of[TOP_HEALTHY]);
		plus(&m->endpoints, edges->rows[i].of[TOP_ENDPOINTS]);
		percent_of(&edges->rows[i]);
	}
	for (size_t i = 0; i < services->n; i++)
		percent_of(&services->rows[i]);
}

/* --- sorting ------------------------------------------------------------------------------------------------------------------------ */

struct order {
	enum top_number number;
	bool descending;
};

static int by_order(const void *a, const void *b, void *arg)
{
	const struct top_row *x = a, *y = b;
	const struct order *o = arg;

	if (o->number >= TOP_NUMBERS)
		return o->descending ? -by_names(a, b) : by_names(a, b);
	double p = x->of[o->number], q = y->of[o->number];
	if (isnan(p) || isnan(q))
		return isnan(p) == isnan(q) ? by_names(a, b) : isnan(p) ? 1 : -1;
	if (p != q)
		return (p < q) == o->descending ? 1 : -1;
	return by_names(a, b);
}

void top_sort(struct top_table *t, enum top_number number, bool descending)
{
	struct order o = { number, descending };

	if (t->n)
		qsort_r(t->rows, t->n, sizeof(*t->rows), by_order, &o);
}
