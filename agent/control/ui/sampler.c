#include "control/ui/sampler.h"

#include "base/mem.h"

#define FORGOTTEN 32u /* looks without a spec that has it */

static const struct duration_bounds no_bounds = { .n = 1, .us = { 1 } };

static const struct duration_bounds *bounds_of(const struct agent *a)
{
	return a->process && a->process->bounds.n ? &a->process->bounds : &no_bounds;
}

/* --- upstreams ------------------------------------------------------------------------------------------------------------------ */

struct calls {
	uint64_t requests, failures, retries, active;
};

static struct calls sum_calls(const struct agent *a, uint32_t slot)
{
	struct calls sum = { 0, 0, 0, 0 };

	for (unsigned w = 0; w < a->n_workers; w++) {
		const struct upstream_counters *c = worker_upstream_counters(a->workers[w], slot);
		if (!c)
			continue;
		sum.requests += atomic_load_explicit(&c->requests, memory_order_relaxed);
		sum.failures += atomic_load_explicit(&c->failures, memory_order_relaxed);
		sum.retries += atomic_load_explicit(&c->retries, memory_order_relaxed);
		sum.active += atomic_load_explicit(&c->active, memory_order_relaxed);
	}
	return sum;
}

/* Calls, retries and failures are counted when they happen, how long a call took when it is over. */
static void measure(struct ui_sampler *s, const struct agent *a, uint32_t slot, struct ui_called *c,
	const struct calls *sum)
{
	struct ui_delta now = { .n = 0 };

	for (unsigned w = 0; w < a->n_workers; w++) {
		const struct durations *d = worker_upstream_durations(a->workers[w], slot);
		if (d)
			ui_delta_look(&now, d);
	}
	now.n = sum->requests;
	now.errors = sum->failures;
	now.retries = sum->retries;
	ui_delta_between(&c->last, &now, &c->before);
	c->before = now;
	c->requests = sum->requests;
	c->now = ui_point_of(&c->last, bounds_of(a), s->took);
}

/* An upstream at rest costs two loads of each worker. */
static void look_at_upstream(struct ui_sampler *s, const struct agent *a, const struct spec_upstream *u)
{
	struct ui_called *c = u && u->slot < SLOTS_UPSTREAMS_MAX ? s->called[u->slot] : NULL;

	if (!u || u->slot >= SLOTS_UPSTREAMS_MAX)
		return;
	struct calls sum = sum_calls(a, u->slot);
	if (!c && sum.requests)
		c = s->called[u->slot] = mem_zalloc(sizeof(*c));
	if (!c)
		return;
	bool busy = sum.active || sum.requests != c->requests || c->looked + 1 != s->looks;
	c->looked = s->looks;
	c->again = busy ? 2 : c->again;
	if (!busy && !c->again)
		return;
	measure(s, a, u->slot, c, &sum);
	c->again -= !busy;
}

static void look_at_upstreams(struct ui_sampler *s, const struct agent *a, const struct spec_sidecar *spec)
{
	look_at_upstream(s, a, spec->local);
	look_at_upstream(s, a, spec->external);
	for (uint32_t k = 0; k < spec->n_upstreams; k++)
		look_at_upstream(s, a, spec->upstreams[k]);
}

/* --- sidecars ------------------------------------------------------------------------------------------------------------------- */

static void sum_durations(const struct agent *a, uint32_t slot, enum direction d, struct ui_delta *ret)
{
	*ret = (struct ui_delta){ .n = 0 };
	for (unsigned w = 0; w < a->n_workers; w++) {
		const struct durations *from = worker_durations(a->workers[w], slot, d);
		if (from)
			ui_delta_look(ret, from);
	}
}

/* An edge has no callers of its own: what goes out are the calls to its upstreams. */
static void sum_calls_of(const struct ui_sampler *s, const struct spec_sidecar *spec, struct ui_delta *ret)
{
	*ret = (struct ui_delta){ .n = 0 };
	for (uint32_t k = 0; k < spec->n_upstreams; k++) {
		const struct ui_called *c = ui_sampler_called(s, spec->upstreams[k]->slot);
		if (c && c->looked == s->looks)
			ui_delta_add(ret, &c->last);
	}
}

static struct ui_served *entry_of(struct ui_sampler *s, uint32_t slot, uint64_t seat)
{
	struct ui_served *e = slot < SLOTS_SIDECARS_MAX ? s->served[slot] : NULL;

	if (slot >= SLOTS_SIDECARS_MAX)
		return NULL;
	if (!e)
		e = s->served[slot] = mem_zalloc(sizeof(*e));
	if (!e || e->seat == seat)
		return e;
	ui_history_release(&e->history); /* of who stood there before */
	*e = (struct ui_served){ .seat = seat };
	return e;
}

static void look_at_sidecar(struct ui_sampler *s, const struct agent *a, const struct agent_sidecar *view)
{
	const struct spec_sidecar *spec = view->spec;
	struct ui_served *e = spec ? entry_of(s, spec->slot, view->agent ? view->agent->seat : 0) : NULL;
	struct ui_delta now;

	if (!spec || !e)
		return;
	look_at_upstreams(s, a, spec);
	e->looked = s->looks;
	for (unsigned side = 0; side < UI_SIDES; side++) {
		if (side == UI_OUT && spec->is_edge) {
			sum_calls_of(s, spec, &e->last[side]);
		} else {
			sum_durations(a, spec->slot,
				side == UI_OUT  ? DIRECTION_OUTBOUND
				: spec->is_edge ? DIRECTION_EDGE
						: DIRECTION_INBOUND,
				&now);
			ui_delta_between(&e->last[side], &now, &e->before[side]);
			e->before[side] = now;
		}
		e->now[side] = ui_point_of(&e->last[side], bounds_of(a), s->took);
		ui_delta_add(&s->last[side], &e->last[side]);
	}
	if (a->find_sidecar) /* else all are this one */
		ui_history_put(&e->history, e->now);
}

/* --- all ------------------------------------------------------------------------------------------------------------------------ */

/* A sidecar's history goes with it; an upstream is kept a while, because specs that follow one another may miss it. */
static void forget(struct ui_sampler *s)
{
	for (uint32_t i = 0; i < SLOTS_SIDECARS_MAX; i++) {
		if (!s->served[i] || s->served[i]->looked == s->looks)
			continue;
		ui_history_release(&s->served[i]->history);
		mem_free(s->served[i]);
		s->served[i] = NULL;
	}
	for (uint32_t i = 0; s->looks % FORGOTTEN == 0 && i < SLOTS_UPSTREAMS_MAX; i++) {
		if (!s->called[i] || s->called[i]->looked + FORGOTTEN > s->looks)
			continue;
		mem_free(s->called[i]);
		s->called[i] = NULL;
	}
}

void ui_sampler_look(struct ui_sampler *s, const struct agent *a, usec now, usec cpu)
{
	s->looks++;
	s->took = s->at && now > s->at ? now - s->at : UI_INTERVAL;
	s->cpu_percent = s->at && cpu > s->cpu ? (double)(cpu - s->cpu) * 100 / (double)s->took : 0;
	s->at = now;
	s->wall = clock_wall();
	s->cpu = cpu;
	s->last[UI_IN] = s->last[UI_OUT] = (struct ui_delta){ .n = 0 };
	for (uint32_t i = 0; i < a->n_sidecars; i++)
		look_at_sidecar(s, a, &a->sidecars[i]);
	for (unsigned side = 0; side < UI_SIDES; side++)
		s->now[side] = ui_point_of(&s->last[side], bounds_of(a), s->took);
	ui_history_put(&s->history, s->now);
	forget(s);
}

const struct ui_served *ui_sampler_served(const struct ui_sampler *s, uint32_t slot)
{
	return slot < SLOTS_SIDECARS_MAX ? s->served[slot] : NULL;
}

const struct ui_called *ui_sampler_called(const struct ui_sampler *s, uint32_t slot)
{
	return slot < SLOTS_UPSTREAMS_MAX ? s->called[slot] : NULL;
}

void ui_sampler_init(struct ui_sampler *s)
{
	const struct ui_delta none = { .n = 0 };

	s->now[UI_IN] = s->now[UI_OUT] = ui_point_of(&none, &no_bounds, UI_INTERVAL);
}

void ui_sampler_release(struct ui_sampler *s)
{
	for (uint32_t i = 0; i < SLOTS_SIDECARS_MAX; i++) {
		if (s->served[i])
			ui_history_release(&s->served[i]->history);
		mem_free(s->served[i]);
	}
	for (uint32_t i = 0; i < SLOTS_UPSTREAMS_MAX; i++)
		mem_free(s->called[i]);
	ui_history_release(&s->history);
}
