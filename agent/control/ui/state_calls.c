/* Who calls whom, and the circuits of these calls. */
#include "control/ui/state.h"

#include "base/mem.h"
#include "control/admin.h"

#include <stdlib.h>

#define ITEM_MAX 900u /* bytes of an edge or circuit with the longest names */

static bool fits(const struct ui_state *s, size_t until)
{
	return s->j->t->n + ITEM_MAX <= until && !s->j->t->failed;
}

/* --- edges ---------------------------------------------------------------------------------------------------------------------- */

struct edge {
	const struct agent_sidecar *from;
	const struct spec_upstream *to;
	const struct ui_called *called; /* NULL: never was */
};

static double rate_of(const struct edge *e)
{
	return e->called ? (double)e->called->now.rate : -1;
}

/* The busiest first, then those that were called most, then by name, so that equal ones do not change places. */
static int compare(const void *x, const void *y)
{
	const struct edge *a = x, *b = y;
	double ra = rate_of(a), rb = rate_of(b);

	if (ra != rb)
		return ra < rb ? 1 : -1;
	uint64_t na = a->called ? a->called->requests : 0, nb = b->called ? b->called->requests : 0;
	if (na != nb)
		return na < nb ? 1 : -1;
	return a->to->slot < b->to->slot ? -1 : a->to->slot > b->to->slot;
}

static const char *circuit_word(const struct spec_upstream *u, usec now)
{
	struct breaker_view v;

	if (!u->circuit)
		return "closed";
	breaker_look(&u->circuit->breaker, &u->policy.breaker, now, &v);
	enum breaker_force force = v.force != BREAKER_AUTO ? v.force
							   : (enum breaker_force)u->policy.breaker.force;
	if (force != BREAKER_AUTO)
		return force == BREAKER_FORCE_OPEN ? "forced-open" : "forced-closed";
	return breaker_state_word(v.state);
}

static uint32_t healthy(const struct spec_upstream *u)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < u->balance.n; i++)
		n += outlier_available(cell_word(u->balance.cells[i]));
	return n;
}

static void put_edge(struct json *j, const struct edge *e, usec now)
{
	const struct ui_point *p = e->called ? &e->called->now : ui_state_quiet();
	double seconds = (double)UI_INTERVAL / USEC_SEC;

	json_object(j);
	json_put_str(j, "from", e->from->spec->service);
	json_put_str(j, "instance", agent_sidecar_name(e->from));
	json_key(j, "from_stack");
	json_str(j, e->from->who ? e->from->who->stack : STR(""));
	json_put_str(j, "to", e->to->name);
	json_put_num(j, "rate", (double)p->rate);
	json_put_num(j, "errors", (double)p->errors);
	json_put_num(j, "p50_ms", (double)p->p50);
	json_put_num(j, "p99_ms", (double)p->p99);
	json_put_num(j, "retries", e->called ? (double)e->called->last.retries / seconds : 0);
	json_key(j, "circuit");
	json_strz(j, circuit_word(e->to, now));
	json_put_u64(j, "healthy", healthy(e->to));
	json_put_u64(j, "endpoints", e->to->n_endpoints);
	json_end(j);
}

/* localhost and egress are there when they were called: most never are. */
static void gather(const struct ui_state *s, const struct agent_sidecar *from, const struct spec_upstream *u,
	struct edge *at, uint32_t *n)
{
	if (!u)
		return;
	const struct ui_called *called = ui_sampler_called(s->sampler, u->slot);
	if (called && !called->requests)
		called = NULL;
	if (called || u->kind == UPSTREAM_SERVICE)
		at[(*n)++] = (struct edge){ from, u, called };
}

static struct edge *gather_all(const struct ui_state *s, uint32_t *n)
{
	const struct agent *a = s->agent;
	size_t most = 1;

	for (uint32_t i = 0; i < a->n_sidecars; i++)
		most += a->sidecars[i].spec ? a->sidecars[i].spec->n_upstreams + 2 : 0;
	struct edge *all = mem_zarray(most, sizeof(*all));
	for (uint32_t i = 0; all && i < a->n_sidecars; i++) {
		const struct agent_sidecar *from = &a->sidecars[i];
		for (uint32_t k = 0; from->spec && k < from->spec->n_upstreams; k++)
			gather(s, from, from->spec->upstreams[k], all, n);
		gather(s, from, from->spec ? from->spec->local : NULL, all, n);
		gather(s, from, from->spec ? from->spec->external : NULL, all, n);
	}
	return all;
}

void ui_state_edges(struct ui_state *s, size_t until)
{
	uint32_t n = 0, i = 0;
	struct edge *all = gather_all(s, &n);
	usec now = clock_now();

	json_key(s->j, "edges");
	json_array(s->j);
	if (all && n)
		qsort(all, n, sizeof(*all), compare);
	for (; all && i < n && i < UI_EDGES_MAX && fits(s, until); i++)
		put_edge(s->j, &all[i], now);
	s->left_edges = n - i;
	json_end(s->j);
	mem_free(all);
}

/* --- circuits --------------------------------------------------------------------------------------------------------------------- */

struct seen_circuit {
	const struct agent_sidecar *from;
	const struct spec_upstream *to;
	const struct circuit *c;
	uint64_t weight;
};

struct circuits {
	struct seen_circuit *at;
	uint32_t n, most;
};

static bool was_called(const struct ui_state *s, const struct spec_upstream *u)
{
	const struct ui_called *c = ui_sampler_called(s->sampler, u->slot);

	return c && c->requests;
}

/* Open before half open before forced before busy. */
static void look_at(struct circuits *all, const struct agent_sidecar *from, const struct spec_upstream *u,
	const struct circuit *c, usec now)
{
	struct breaker_view v;

	breaker_look(&c->breaker, &u->policy.breaker, now, &v);
	bool forced = v.force != BREAKER_AUTO || u->policy.breaker.force != BREAKER_AUTO;
	bool odd = v.open || v.state != BREAKER_CLOSED || forced;
	if ((!odd && !v.total) || all->n == all->most)
		return;
	uint64_t weight = (v.total > UINT32_MAX ? UINT32_MAX : v.total) + ((uint64_t)odd << 33) +
			  ((uint64_t)v.open << 34);
	all->at[all->n++] = (struct seen_circuit){ from, u, c, weight };
}

static uint32_t circuits_of(const struct spec_upstream *u)
{
	return u->circuit ? 1 + (u->keyed ? CIRCUIT_KEYS : 0) : 0;
}

static bool gather_circuits(const struct ui_state *s, struct circuits *all)
{
	const struct agent *a = s->agent;
	const struct spec_upstream *u;
	usec now = clock_now();

	for (uint32_t i = 0; i < a->n_sidecars; i++)
		for (uint32_t k = 0;
			a->sidecars[i].spec && (u = spec_policy_at(a->sidecars[i].spec, k)) != NULL; k++)
			all->most += circuits_of(u);
	all->at = mem_zarray(all->most + 1, sizeof(*all->at));
	for (uint32_t i = 0; all->at && i < a->n_sidecars; i++) {
		const struct agent_sidecar *from = &a->sidecars[i];
		for (uint32_t k = 0; from->spec && (u = spec_policy_at(from->spec, k)) != NULL; k++) {
			bool forced = u->circuit && (u->policy.breaker.force ||
							    atomic_load_explicit(&u->circuit->breaker.word,
								    memory_order_relaxed));
			if (!u->circuit || (!forced && !was_called(s, u)))
				continue;
			look_at(all, from, u, u->circuit, now);
			for (unsigned key = 0; u->keyed && key < CIRCUIT_KEYS; key++)
				if (circuit_label(u->keyed[key]))
					look_at(all, from, u, u->keyed[key], now);
		}
	}
	return all->at != NULL;
}

static int heavier(const void *x, const void *y)
{
	const struct seen_circuit *a = x, *b = y;

	if (a->weight != b->weight)
		return a->weight < b->weight ? 1 : -1;
	return a->to->slot < b->to->slot ? -1 : a->to->slot > b->to->slot;
}

static void put_instant(struct json *j, const char *key, usec at)
{
	usec mono = clock_now();

	json_key(j, key);
	if (at && at <= mono)
		json_u64(j, (clock_wall() - (mono - at)) / USEC_MS);
	else
		json_null(j);
}

static void put_circuit(struct json *j, const struct seen_circuit *c)
{
	const struct breaker_policy *p = &c->to->policy.breaker;
	struct breaker_view v;
	struct text why;

	breaker_look(&c->c->breaker, p, clock_now(), &v);
	enum breaker_force force = v.force != BREAKER_AUTO ? v.force : (enum breaker_force)p->force;
	text_init(&why, 1024);
	admin_circuit_why(&why, &v, p);
	json_object(j);
	json_put_str(j, "from", c->from->spec->service);
	json_put_str(j, "instance", agent_sidecar_name(c->from));
	json_put_str(j, "to", c->to->name);
	json_key(j, "route");
	if (c->to->route.n)
		json_str(j, c->to->route);
	else
		json_null(j);
	json_key(j, "key");
	json_strz(j, circuit_label(c->c)); /* NULL: that of the upstream itself */
	json_key(j, "state");
	json_strz(j, p->on || v.open ? breaker_state_word(v.state) : "off");
	put_instant(j, "since_ms", force == BREAKER_AUTO && v.opened ? v.opened : v.since);
	json_put_str(j, "why", text_str(&why));
	json_put_u64(j, "requests", v.total);
	json_put_u64(j, "errors", v.errors);
	json_put_u64(j, "error_percent", v.error_percent);
	json_put_u64(j, "rejected", v.n[CIRCUIT_SHORT] + v.n[CIRCUIT_REJECTED]);
	json_key(j, "forced");
	json_strz(j, force == BREAKER_AUTO ? NULL : breaker_force_word(force));
	text_clear(&why);
	admin_circuit_faults(&why, c->to);
	json_key(j, "faults");
	json_strz(j, why.n ? text_z(&why) : NULL);
	json_end(j);
	text_release(&why);
}

void ui_state_circuits(struct ui_state *s, size_t until)
{
	struct circuits all = { NULL, 0, 0 };
	uint32_t i = 0;

	json_key(s->j, "circuits");
	json_array(s->j);
	if (gather_circuits(s, &all) && all.n)
		qsort(all.at, all.n, sizeof(*all.at), heavier);
	for (; i < all.n && i < UI_CIRCUITS_MAX && fits(s, until); i++)
		put_circuit(s->j, &all.at[i]);
	s->left_circuits = all.n - i;
	json_end(s->j);
	mem_free(all.at);
}
