#include "control/hystrix.h"

struct teller { /* of the figures of an agent's circuits */
	const struct agent *agent;
	bool apart; /* two sidecars of one service get two names */
	usec now;
	void (*fn)(void *arg, const struct hystrix_figures *f);
	void *arg;
};

/* The Dashboard and Turbine tell circuits apart by their name alone, so on a node it begins with the caller's. */
static void put_name(struct text *t, const struct teller *w, uint32_t i, const struct spec_upstream *u)
{
	const struct agent *a = w->agent;
	const struct spec_sidecar *s = a->sidecars[i].spec;
	unsigned same = 1;

	for (uint32_t k = 0; w->apart && k < i; k++)
		same += str_eq(a->sidecars[k].spec->service, s->service);
	if (a->find_sidecar || !w->apart) {
		text_add(t, s->service);
		if (same > 1)
			text_fmt(t, "~%u", same);
		text_addz(t, ".");
	}
	text_add(t, u->name);
	if (u->route.n)
		text_fmt(t, "@%.*s", STR_ARG(u->route));
}

/* Calls under way: places where they are counted, else those of the workers. */
static uint32_t under_way(const struct agent *a, const struct spec_upstream *u)
{
	struct upstream_sum sum;

	if (bulkhead_on(&u->policy.bulkhead))
		return atomic_load_explicit(&u->circuit->bulkhead.active, memory_order_relaxed);
	agent_sum_upstream(a, u->slot, &sum);
	return (uint32_t)sum.active;
}

/* A command for each SOAP action that was called: "quotes#urn:order". They share the upstream's pool. */
static void tell_keyed(const struct teller *w, struct hystrix_figures *f, const struct spec_upstream *u)
{
	struct text called;

	text_init(&called, HYSTRIX_NAME_MAX);
	for (unsigned i = 0; u->keyed && i < CIRCUIT_KEYS; i++) {
		const struct circuit *c = u->keyed[i];
		struct str key = str_of(circuit_label(c));
		if (!key.n)
			continue;
		if (key.n > 2 && key.p[0] == '"' && key.p[key.n - 1] == '"')
			key = str_make(key.p + 1, key.n - 2);
		text_clear(&called);
		text_add(&called, f->pool);
		text_addz(&called, "#");
		text_add(&called, key);
		f->name = text_str(&called);
		hystrix_figures_look(f, u, c, 0, w->now);
		if (!called.failed)
			w->fn(w->arg, f);
	}
	text_release(&called);
}

static void tell(const struct teller *w, uint32_t i, const struct spec_upstream *u)
{
	struct hystrix_figures f = { .group = w->agent->sidecars[i].spec->service };
	struct text called;

	text_init(&called, HYSTRIX_NAME_MAX);
	put_name(&called, w, i, u);
	f.name = f.pool = text_str(&called);
	hystrix_figures_look(&f, u, u->circuit, under_way(w->agent, u), w->now);
	if (!called.failed) {
		w->fn(w->arg, &f);
		tell_keyed(w, &f, u);
	}
	text_release(&called);
}

/* --- the stream ---------------------------------------------------------------------------------------------------------- */

struct events {
	struct text *to;
	usec wall;
};

static void put_events(void *arg, const struct hystrix_figures *f)
{
	const struct events *e = arg;

	hystrix_figures_events(e->to, f, e->wall);
}

void hystrix_lines(struct text *t, const struct agent *a, uint32_t i, const struct spec_upstream *u, usec now, usec wall)
{
	struct events events = { t, wall };
	const struct teller w = { .agent = a, .apart = true, .now = now, .fn = put_events, .arg = &events };

	tell(&w, i, u);
}

/* More circuits than a tick carries take turns: the next tick goes on behind the last one. */
static void put_circuits(struct text *t, struct hystrix *h)
{
	const struct agent *a = h->agent;
	usec now = clock_now(), wall = clock_wall();
	uint32_t seen = 0;

	for (uint32_t i = 0; i < a->n_sidecars; i++) {
		const struct spec_upstream *u;
		for (uint32_t k = 0; (u = spec_policy_at(a->sidecars[i].spec, k)) != NULL; k++) {
			if (!u->circuit || seen++ < h->next)
				continue;
			hystrix_lines(t, a, i, u, now, wall);
			if (t->n < HYSTRIX_TICK_BYTES)
				continue;
			h->next = seen;
			return;
		}
	}
	h->next = 0;
}

static void on_tick(void *arg)
{
	struct hystrix *h = arg;
	struct text t;

	if (!hystrix_readers_any(&h->readers))
		return;
	text_init(&t, 2 * HYSTRIX_TICK_BYTES);
	put_circuits(&t, h);
	text_addz(&t, "ping: \n\n");
	if (!t.failed)
		hystrix_readers_send(&h->readers, text_str(&t));
	text_release(&t);
	timer_set(h->agent->loop, &h->timer, loop_now(h->agent->loop) + HYSTRIX_TICK);
}

void hystrix_init(struct hystrix *h, struct agent *agent)
{
	*h = (struct hystrix){ .agent = agent };
	timer_init(&h->timer, on_tick, h);
	hystrix_readers_init(&h->readers);
}

void hystrix_stop(struct hystrix *h)
{
	if (h->agent)
		timer_clear(&h->timer);
	h->agent = NULL;
}

void hystrix_serve(struct hystrix *h, struct httpd_request *r)
{
	if (hystrix_readers_take(&h->readers, r))
		timer_set(h->agent->loop, &h->timer, loop_now(h->agent->loop)); /* the first events at once */
}

/* --- added up -------------------------------------------------------------------------------------------------------------- */

static void add_up(void *arg, const struct hystrix_figures *f)
{
	hystrix_sums_add(arg, f);
}

void hystrix_sum(struct hystrix_sums *s, const struct agent *a, usec now)
{
	const struct teller w = { .agent = a, .now = now, .fn = add_up, .arg = s };

	for (uint32_t i = 0; i < a->n_sidecars; i++) {
		const struct spec_upstream *u;
		for (uint32_t k = 0; (u = spec_policy_at(a->sidecars[i].spec, k)) != NULL; k++)
			if (u->circuit)
				tell(&w, i, u);
	}
}
