/* Admin pages about traffic: /stats, /connections. */
#include "control/admin.h"

#include "base/mem.h"
#include "net/timer.h"

#include <stdio.h>

#define CONNECTIONS_MAX 1000u
#define CONNECTIONS_WAIT USEC_SEC /* a worker that answers later is left out */

/* --- /stats ------------------------------------------------------------------------------------------------ */

static void put_counters(
	struct json *j, const uint64_t v[COUNTER_COUNT], const uint64_t reasons[REASON_COUNT])
{
	static const char *const names[COUNTER_COUNT] = {
#define METRIC(id, name, type, unit, help) [COUNTER_##id] = name,
#include "metrics.def"
#undef METRIC
	};
	json_key(j, "counters");
	json_object(j);
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		json_put_u64(j, names[i], v[i]);
	json_end(j);
	json_key(j, "reasons");
	json_object(j);
	for (size_t i = REASON_NONE + 1; i < REASON_COUNT; i++)
		json_put_u64(j, reason_word((enum reason)i), reasons[i]);
	json_end(j);
}

static void put_workers(struct json *j, const struct agent *a)
{
	json_key(j, "workers");
	json_array(j);
	for (unsigned w = 0; w < a->n_workers; w++) {
		json_object(j);
		json_put_u64(j, "index", w);
		json_put_u64(j, "turns", loop_turns(worker_loop(a->workers[w])));
		json_put_u64(j, "busy", worker_busy(a->workers[w]));
		json_put_u64(j, "busy_inbound", worker_busy_inbound(a->workers[w]));
		const struct overload_view v = worker_overload(a->workers[w]);
		json_put_strz(j, "overload", overload_word(v.step));
		json_put_u64(j, "buffers_percent", v.buffers);
		json_put_u64(j, "descriptors_percent", v.descriptors);
		json_end(j);
	}
	json_end(j);
}

static void put_exporter(struct json *j, const struct telemetry_exporter *x)
{
	json_object(j);
	json_put_strz(j, "exporter", x->name);
	json_put_strz(j, "state", x->trouble[0] ? "trouble" : "ok");
	if (x->trouble[0])
		json_put_strz(j, "why", x->trouble);
	json_put_u64(j, "sent", x->counts.sent);
	json_put_u64(j, "queued", x->counts.queued);
	json_key(j, "dropped");
	json_object(j);
	json_put_u64(j, "full", x->counts.dropped_full);
	json_put_u64(j, "refused", x->counts.dropped_refused);
	json_put_u64(j, "failed", x->counts.dropped_failed);
	json_end(j);
	json_end(j);
}

/* Spans: what becomes of those of this process; none is shown to one container of a node. */
static void put_exporters(struct json *j, const struct telemetry *t)
{
	struct telemetry_exporter x;

	json_key(j, "exporters");
	json_array(j);
	for (unsigned i = 0; t && telemetry_exporter(t, i, &x); i++)
		put_exporter(j, &x);
	json_end(j);
}

void admin_page_stats(struct admin *a, struct httpd_request *r)
{
	const struct agent *g = a->agent;
	uint64_t v[COUNTER_COUNT], reasons[REASON_COUNT];
	uint64_t all[COUNTER_COUNT] = { 0 }, all_reasons[REASON_COUNT] = { 0 };
	struct text t;
	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	json_put_strz(&j, "version", g->version);
	json_put_strz(&j, "phase", agent_phase_word(g->phase));
	usec now = clock_wall();
	json_put_u64(&j, "uptime_seconds", now > g->started ? (now - g->started) / USEC_SEC : 0);
	put_workers(&j, g);
	reload_print_stats(g->reload, &j);
	put_exporters(&j, g->process && g->sees_swarm ? g->process->telemetry : NULL);
	json_key(&j, "sidecars");
	json_array(&j);
	for (uint32_t s = 0; s < g->n_sidecars; s++) {
		agent_sum_counters(g, g->sidecars[s].spec->slot, v, reasons);
		for (size_t i = 0; i < COUNTER_COUNT; i++)
			all[i] += v[i];
		for (size_t i = 0; i < REASON_COUNT; i++)
			all_reasons[i] += reasons[i];
		if (g->n_sidecars == 1)
			continue; /* the sums below are the same */
		json_object(&j);
		json_put_str(&j, "service", g->sidecars[s].spec->service);
		put_counters(&j, v, reasons);
		json_end(&j);
	}
	json_end(&j);
	put_counters(&j, all, all_reasons);
	json_end(&j);
	admin_reply(r, 200, &t);
}

/* --- /connections: asked of every worker, answered when all have replied ----------------------------------- */

struct gather {
	struct httpd_request *request; /* NULL: answered already, or the asker left */
	struct timer timer;
	struct text list; /* comma-separated objects */
	unsigned out;     /* answers still to come; this memory lives until then */
	bool incomplete;
};

static void gather_answer(struct gather *g)
{
	timer_clear(&g->timer);
	if (!g->request)
		return;
	struct text t;
	text_init(&t, ADMIN_PAGE_MAX);
	text_addz(&t, "{\"connections\":[");
	text_add(&t, text_str(&g->list));
	text_fmt(&t, "],\"limit\":%u,\"incomplete\":%s}", CONNECTIONS_MAX,
		g->incomplete || g->list.failed ? "true" : "false");
	struct httpd_request *r = g->request;
	g->request = NULL;
	admin_reply(r, 200, &t);
}

static void gather_unref(struct gather *g)
{
	if (--g->out > 0)
		return;
	gather_answer(g);
	text_release(&g->list);
	mem_free(g);
}

static void on_worker_list(void *arg, unsigned worker, struct text *json)
{
	(void)worker;
	struct gather *g = arg;
	struct str s = str_trim(text_str(json));
	if (json->failed || s.n < 2 || s.p[0] != '[') {
		g->incomplete = true;
	} else if (str_trim(str_make(s.p + 1, s.n - 2)).n > 0) {
		if (g->list.n)
			text_char(&g->list, ',');
		text_add(&g->list, str_make(s.p + 1, s.n - 2));
	}
	text_release(json);
	gather_unref(g);
}

static void on_asker_gone(void *arg)
{
	struct gather *g = arg;
	timer_clear(&g->timer);
	g->request = NULL;
}

static void on_wait_over(void *arg)
{
	struct gather *g = arg;
	g->incomplete = true;
	gather_answer(g);
}

void admin_page_connections(struct admin *a, struct httpd_request *r)
{
	struct agent *agent = a->agent;
	struct gather *g = mem_zalloc(sizeof(*g));
	if (!g) {
		admin_refuse(r, 503, "no-memory", "The agent is short of memory.",
			"Raise the limit of the container.");
		return;
	}
	g->request = r;
	g->out = 1; /* our own hold, until all are asked */
	text_init(&g->list, ADMIN_PAGE_MAX - 256);
	timer_init(&g->timer, on_wait_over, g);
	timer_set(agent->loop, &g->timer, loop_touch(agent->loop) + CONNECTIONS_WAIT);
	httpd_on_gone(r, on_asker_gone, g);
	uint32_t shares = agent->n_workers * agent->n_sidecars;
	uint32_t each = shares == 0 || shares >= CONNECTIONS_MAX ? 1 : CONNECTIONS_MAX / shares;
	for (uint32_t s = 0; s < agent->n_sidecars; s++) {
		for (unsigned w = 0; w < agent->n_workers; w++) {
			g->out++;
			if (!worker_connections(agent->workers[w], agent->sidecars[s].spec->slot, each,
				    on_worker_list, g)) {
				g->incomplete = true;
				g->out--;
			}
		}
	}
	gather_unref(g);
}
