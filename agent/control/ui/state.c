#include "control/ui/state.h"

#include "control/process_stats.h"

#include <math.h>

const struct ui_point *ui_state_quiet(void)
{
	static const struct ui_point quiet = { .p50 = NAN, .p95 = NAN, .p99 = NAN };
	return &quiet;
}

void ui_state_point(struct json *j, const char *key, const struct ui_point *p, uint64_t active)
{
	json_key(j, key);
	json_object(j);
	ui_point_put(j, p);
	json_key(j, "active");
	json_u64(j, active);
	json_end(j);
}

uint64_t ui_state_counter(const struct agent *a, uint32_t slot, enum counter_id id)
{
	uint64_t sum = 0;

	for (unsigned w = 0; w < a->n_workers; w++) {
		const struct counters *c = worker_counters(a->workers[w], slot);
		sum += c ? atomic_load_explicit(&c->v[id], memory_order_relaxed) : 0;
	}
	return sum;
}

static uint64_t active_calls(const struct agent *a, const struct spec_upstream *u)
{
	uint64_t sum = 0;

	for (unsigned w = 0; u && w < a->n_workers; w++) {
		const struct upstream_counters *c = worker_upstream_counters(a->workers[w], u->slot);
		sum += c ? atomic_load_explicit(&c->active, memory_order_relaxed) : 0;
	}
	return sum;
}

void ui_state_active(const struct agent *a, const struct spec_sidecar *spec, uint64_t ret[UI_SIDES])
{
	ret[UI_IN] = spec->is_edge ? ui_state_counter(a, spec->slot, COUNTER_REQUESTS_ACTIVE)
				   : active_calls(a, spec->handler);
	ret[UI_OUT] = active_calls(a, spec->local) + active_calls(a, spec->external);
	for (uint32_t k = 0; k < spec->n_upstreams; k++)
		ret[UI_OUT] += active_calls(a, spec->upstreams[k]);
}

static void put_points(struct ui_state *s)
{
	static const char *const names[UI_SIDES] = { "in", "out" };
	const struct agent *a = s->agent;
	const struct ui_served *own = a->n_sidecars && a->sidecars[0].spec
					      ? ui_sampler_served(s->sampler, a->sidecars[0].spec->slot)
					      : NULL;
	uint64_t active[UI_SIDES] = { 0, 0 }, one[UI_SIDES];

	for (uint32_t i = 0; i < a->n_sidecars; i++) {
		if (!a->sidecars[i].spec)
			continue;
		ui_state_active(a, a->sidecars[i].spec, one);
		active[UI_IN] += one[UI_IN];
		active[UI_OUT] += one[UI_OUT];
	}
	for (unsigned side = 0; side < UI_SIDES; side++)
		ui_state_point(s->j, names[side],
			s->whole ? &s->sampler->now[side]
			: own    ? &own->now[side]
				 : ui_state_quiet(),
			active[side]);
}

static void put_ms(struct json *j, const char *key, double us)
{
	json_key(j, key);
	json_num(j, us / USEC_MS);
}

static void put_process(struct ui_state *s)
{
	const struct agent *a = s->agent;
	struct process_stats stats;
	uint64_t connections = 0;
	usec now = clock_wall();

	process_stats_read(&stats);
	for (uint32_t i = 0; i < a->n_sidecars; i++)
		connections += a->sidecars[i].spec ? ui_state_counter(a, a->sidecars[i].spec->slot,
							     COUNTER_CONNECTIONS_OPEN)
						   : 0;
	json_key(s->j, "process");
	json_object(s->j);
	json_key(s->j, "cpu_percent");
	json_num(s->j, s->sampler->cpu_percent);
	json_key(s->j, "memory_bytes");
	json_u64(s->j, stats.resident);
	json_key(s->j, "connections");
	json_u64(s->j, connections);
	put_ms(s->j, "loop_lag_ms", a->process ? (double)a->process->lag : 0);
	json_key(s->j, "uptime_ms");
	json_u64(s->j, now > a->started ? (now - a->started) / USEC_MS : 0);
	json_end(s->j);
}

/* Since the newest configuration of any sidecar. */
static void put_config_age(struct ui_state *s)
{
	usec at = 0, now = clock_wall();

	for (uint32_t i = 0; i < s->agent->n_sidecars; i++) {
		const struct agent *g = s->agent->sidecars[i].agent;
		usec its = g && g->reload ? reload_stats(g->reload).at : 0;
		at = its > at ? its : at;
	}
	json_key(s->j, "config_age_ms");
	if (at)
		json_u64(s->j, now > at ? (now - at) / USEC_MS : 0);
	else
		json_null(s->j);
}

static void put_left_out(struct ui_state *s)
{
	const struct {
		const char *key;
		uint32_t n;
	} rows[] = { { "edges", s->left_edges }, { "sidecars", s->left_sidecars },
		{ "circuits", s->left_circuits } };

	json_key(s->j, "left_out");
	json_object(s->j);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_key(s->j, rows[i].key);
		json_u64(s->j, rows[i].n);
	}
	json_end(s->j);
}

/* Each list may use so much of the room, and the next one what it left. */
void ui_state_put(struct ui_state *s)
{
	size_t room = s->max - 1024; /* for left_out and what an item is longer than expected */

	put_points(s);
	put_process(s);
	put_config_age(s);
	ui_state_support(s, room / 4);
	ui_state_circuits(s, room / 2);
	ui_state_sidecars(s, room * 3 / 4);
	ui_state_edges(s, room);
	put_left_out(s);
}
