#include "control/top_trend.h"

#include "base/mem.h"

#include <math.h>

#define TREND_SLOTS 8192u /* a power of two; at most three quarters are used */

struct memory {
	uint64_t id; /* 0: free */
	uint32_t seen;
	uint8_t n;
	float last[TOP_TREND];
};

struct top_trend {
	struct memory slots[TREND_SLOTS];
	struct memory in, out;
	uint32_t look;
	unsigned used;
	enum top_scope scope;
};

struct top_trend *top_trend_new(void)
{
	return mem_zalloc(sizeof(struct top_trend));
}

void top_trend_free(struct top_trend *t)
{
	mem_free(t);
}

static uint64_t id_of(const struct top_row *r, unsigned view, bool group)
{
	uint64_t h = str_hash(str_of(r->name), view * 2 + group + 1);

	h = str_hash(str_of(r->other), h);
	if (!group)
		h = str_hash(str_of(r->node), str_hash(str_of(r->key), h));
	return h ? h : 1;
}

static struct memory *find(struct top_trend *t, uint64_t id)
{
	unsigned i = (unsigned)id & (TREND_SLOTS - 1);

	while (t->slots[i].id && t->slots[i].id != id)
		i = (i + 1) & (TREND_SLOTS - 1);
	return &t->slots[i];
}

/* Places of open addressing cannot be freed one by one: the living are put in anew. */
static void forget(struct top_trend *t)
{
	struct memory *living = mem_alloc(sizeof(t->slots));
	unsigned n = 0;

	if (!living)
		return;
	for (unsigned i = 0; i < TREND_SLOTS; i++)
		if (t->slots[i].id && t->slots[i].seen + 1 >= t->look)
			living[n++] = t->slots[i];
	memset(t->slots, 0, sizeof(t->slots));
	for (unsigned i = 0; i < n; i++)
		*find(t, living[i].id) = living[i];
	t->used = n;
	mem_free(living);
}

static void push(struct memory *m, double v)
{
	if (m->n == TOP_TREND)
		memmove(m->last, m->last + 1, (TOP_TREND - 1) * sizeof(m->last[0]));
	else
		m->n++;
	m->last[m->n - 1] = isnan(v) ? 0 : (float)v;
}

static void take_row(struct top_trend *t, struct top_row *r, unsigned view, bool group)
{
	uint64_t id = id_of(r, view, group);
	struct memory *m = find(t, id);

	if (!m->id) {
		if (t->used >= TREND_SLOTS / 4 * 3)
			return;
		t->used++;
		m->id = id;
	}
	if (m->seen != t->look)
		push(m, r->of[TOP_RATE]);
	m->seen = t->look;
	r->n_trend = m->n;
	memcpy(r->trend, m->last, sizeof(r->trend));
}

void top_trend_take(struct top_trend *t, struct top_model *m, bool group)
{
	if (m->scope != t->scope)
		t->in.n = t->out.n = 0;
	t->scope = m->scope;
	t->look++;
	if (t->used >= TREND_SLOTS / 2)
		forget(t);
	for (unsigned v = TOP_SERVICES; v <= TOP_UPSTREAMS; v++)
		for (size_t i = 0; i < m->tables[v].n; i++)
			take_row(t, &m->tables[v].rows[i], v, group);
	if (m->n_trend_in || m->n_trend_out) {
		t->in.n = (uint8_t)m->n_trend_in;
		t->out.n = (uint8_t)m->n_trend_out;
		memcpy(t->in.last, m->trend_in, sizeof(t->in.last));
		memcpy(t->out.last, m->trend_out, sizeof(t->out.last));
	}
	push(&t->in, m->in.rate);
	push(&t->out, m->out.rate);
	m->n_trend_in = t->in.n;
	m->n_trend_out = t->out.n;
	memcpy(m->trend_in, t->in.last, sizeof(m->trend_in));
	memcpy(m->trend_out, t->out.last, sizeof(m->trend_out));
}
