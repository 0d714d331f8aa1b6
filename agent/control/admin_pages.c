/* The table of admin pages, and those about the agent itself. */
#include "control/admin.h"
#include "control/doctor.h"
#include "control/ui/page.h"
#include "control/ui/ui.h"

#include <stdio.h>

static struct json page_begin(struct text *t)
{
	text_init(t, ADMIN_PAGE_MAX);
	struct json j = json_begin(t);
	json_object(&j);
	return j;
}

static void page_root(struct admin *a, struct httpd_request *r)
{
	struct text t;

	if (ui_page_wanted(r)) {
		ui_page_root(a, r);
		return;
	}
	struct json j = page_begin(&t);
	json_put_strz(&j, "agent", "outrider");
	json_put_strz(&j, "version", a->agent->version);
	json_put_strz(&j, "command", a->agent->command);
	json_key(&j, "pages");
	json_array(&j);
	size_t n;
	const struct admin_route *rows = admin_routes(&n);
	for (size_t i = 0; i < n; i++) {
		json_object(&j);
		json_put_strz(&j, "method", rows[i].method);
		json_put_strz(&j, "path", rows[i].path);
		json_put_strz(&j, "what", rows[i].help);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	admin_reply(r, 200, &t);
}

static void put_beats(struct json *j, const struct agent *g, usec now)
{
	json_key(j, "workers");
	json_array(j);
	for (unsigned w = 0; w < g->n_workers; w++) {
		json_object(j);
		json_put_u64(j, "index", w);
		json_key(j, "beats");
		json_bool(j, beat_alive(&g->beats[w], now));
		json_put_u64(j, "silent_ms", beat_silence(&g->beats[w], now) / USEC_MS);
		json_put_u64(j, "turns", loop_turns(worker_loop(g->workers[w])));
		json_end(j);
	}
	json_end(j);
}

static void page_health(struct admin *a, struct httpd_request *r)
{
	const struct agent *g = a->agent;
	usec now = loop_now(g->loop);
	unsigned stuck = 0;
	for (unsigned w = 0; w < g->n_workers; w++)
		stuck += !beat_alive(&g->beats[w], now);
	struct text t;
	struct json j = page_begin(&t);
	json_key(&j, "healthy");
	json_bool(&j, stuck == 0);
	if (stuck) {
		json_put_u64(&j, "stuck_workers", stuck);
		json_put_strz(&j, "why", "a worker's loop has not turned for two seconds");
	}
	if (httpd_query(r, "verbose").p) {
		put_beats(&j, g, now);
		if (g->put_health)
			g->put_health(g->put_arg, &j);
	}
	json_end(&j);
	admin_reply(r, stuck ? 503 : 200, &t);
}

static void page_ready(struct admin *a, struct httpd_request *r)
{
	const struct agent *g = a->agent;
	enum handler_state handler = g->handler ? handler_state(g->handler) : HANDLER_NONE;
	bool ready = agent_is_ready(g);
	struct text t;
	struct json j = page_begin(&t);
	json_key(&j, "ready");
	json_bool(&j, ready);
	json_put_strz(&j, "phase", agent_phase_word(g->phase));
	if (g->phase_detail)
		json_put_strz(&j, "detail", g->phase_detail);
	json_put_strz(&j, "handler", handler_word(handler));
	if (g->handler && handler_why(g->handler)[0])
		json_put_strz(&j, "why", handler_why(g->handler));
	json_end(&j);
	admin_reply(r, ready ? 200 : 503, &t);
}

static void page_sidecars(struct admin *a, struct httpd_request *r)
{
	const struct agent *g = a->agent;
	struct text t;
	struct json j = page_begin(&t);
	json_key(&j, "sidecars");
	json_array(&j);
	if (g->put_sidecars)
		g->put_sidecars(g->put_arg, &j);
	for (uint32_t i = 0; !g->put_sidecars && i < g->n_sidecars; i++) {
		json_object(&j);
		json_key(&j, "service");
		json_str(&j, g->sidecars[i].spec->service);
		json_put_strz(&j, "state", agent_phase_word(g->phase));
		json_put_strz(&j, "handler", handler_word(g->handler ? handler_state(g->handler) : HANDLER_NONE));
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	admin_reply(r, 200, &t);
}

static void page_config(struct admin *a, struct httpd_request *r)
{
	struct text t;
	struct json j = page_begin(&t);
	reload_print(a->agent->reload, &j);
	options_print_json(reload_options(a->agent->reload), &j);
	json_end(&j);
	admin_reply(r, 200, &t);
}

static void page_refresh(struct admin *a, struct httpd_request *r)
{
	struct text t;
	reload_refresh(a->agent->reload);
	struct json j = page_begin(&t);
	json_put_strz(&j, "refresh", "the sources are read again; GET /config shows what came of it");
	json_put_u64(&j, "version", reload_stats(a->agent->reload).version);
	json_end(&j);
	admin_reply(r, 202, &t);
}

static void page_hystrix(struct admin *a, struct httpd_request *r)
{
	hystrix_serve(&a->hystrix, r);
}

static void page_hystrix_once(struct admin *a, struct httpd_request *r)
{
	struct hystrix_sums sums;
	struct text t;

	hystrix_sums_init(&sums, 0); /* the names are those of our own options */
	hystrix_sum(&sums, a->agent, clock_now());
	text_init(&t, SWARM_PAGE_MAX - 1);
	hystrix_sums_write(&t, &sums);
	hystrix_sums_release(&sums);
	admin_reply(r, 200, &t);
}

const struct admin_route *admin_routes(size_t *n)
{
	static const struct admin_route rows[] = {
		{ "GET", "/", page_root, false, "the page for browsers; for others this list" },
		{ "GET", "/ui/state", ui_page_state, false, "what the page shows now: rates, sidecars, calls, circuits, what the agent leans on" },
		{ "GET", "/ui/history", ui_page_history, false, "rates, errors and percentiles of the last ten minutes" },
		{ "GET", "/ui/changes", ui_page_changes, false, "what changed lately: rollouts, configuration, ejections, circuits …; ?since=NUMBER" },
		{ "GET", "/ui/live", ui_page_live, false, "all of these as events; ?scope=sidecar|node|swarm" },
		{ "GET", "/ui/reasons", ui_page_reasons, false, "what each reason word means, as in docs/reasons.md" },
		{ "GET", "/ui/*", ui_page_asset, false, "files of that page" },
		{ "GET", "/health", page_health, false,
			"200 while every worker's loop turns; ?verbose names each" },
		{ "GET", "/ready", page_ready, false,
			"200 when traffic may come; 503 while starting and draining" },
		{ "GET", "/sidecars", page_sidecars, false, "each sidecar of this agent: who it is, its handler, its wiring; /sidecars/NAME/PAGE is a page of one" },
		{ "GET", "/doctor", admin_page_doctor, false, "a diagnosis: what is well, what is not, what to do about it" },
		{ "GET", "/config", page_config, false,
			"effective options with their origin, secrets masked; sources; the last refused change" },
		{ "POST", "/refresh", page_refresh, true, "read all sources of outrider.config again" },
		{ "GET", "/app/config", admin_page_app_config, false,
			"the service's own properties (needs X-Outrider: 1); ?format=properties|env, ?wait=30s" },
		{ "GET", "/app/config.properties", admin_page_app_config, false, "the same as .properties" },
		{ "GET", "/app/config.env", admin_page_app_config, false, "the same as variables for a shell" },
		{ "GET", "/app/config/*", admin_page_app_config, false, "the value of one property" },
		{ "GET", "/upstreams", admin_page_upstreams, false,
			"upstreams and endpoints: in flight, counts, last error" },
		{ "PUT", "/upstreams/*", admin_page_endpoint_state, true,
			"drain an endpoint by hand or put it back: /upstreams/<service>/endpoints/<address>?state=drained|up" },
		{ "GET", "/circuits", admin_page_circuits, false,
			"circuit of each upstream: state, since and why, its window, latencies, places; ?service=" },
		{ "PUT", "/circuits/*", admin_page_circuit_state, true,
			"by hand: /circuits/<service>/open, /close, or /auto" },
		{ "GET", "/hystrix.stream", page_hystrix, false, "the circuits as events for the Hystrix Dashboard and Turbine" },
		{ "GET", "/hystrix.json", page_hystrix_once, false, "their figures once, added up by name, for that stream of another agent" },
		{ "GET", "/swarm/hystrix.stream", admin_page_swarm_hystrix, false, "the circuits of all agents of outrider.agents added up, as such events" },
		{ "GET", "/swarm/*", admin_page_swarm, false, "the same page of every agent of outrider.agents: /swarm/circuits, /swarm/sidecars …" },
		{ "GET", "/explain", admin_page_explain, false,
			"where a request would go: ?service=quotes, at an edge ?path=/api&host=…; who would be picked, candidates, scores, exclusions; &key= &sidecar= &from=" },
		{ "GET", "/why/*", admin_page_why, false,
			"/why/ID, a request's or a trace's: its way, attempts, phases, whose fault it is, what to do" },
		{ "GET", "/failures", admin_page_failures, false,
			"the last failures, newest first; ?service= &upstream= &route= &status=5xx &reason= &path= &method= &slow= &retried=true &limit= &before=" },
		{ "GET", "/traces", admin_page_traces, false, "the last traces that are known here; ?service= &slow=500ms &failed=true &limit=" },
		{ "GET", "/traces/*", admin_page_trace, false, "the spans of one trace that are known here, as Zipkin's JSON" },
		{ "GET", "/tap", admin_page_tap, false, "finished exchanges as they come, as events; filters as of /failures" },
		{ "GET", "/connections", admin_page_connections, false,
			"open client connections, at most 1,000" },
		{ "GET", "/stats", admin_page_stats, false, "all counters and reasons, summed over workers" },
		{ "GET", "/metrics", admin_page_metrics, false, "all of it for Prometheus, as text or OpenMetrics (docs/metrics.md)" },
		{ "GET", "/log", admin_page_log, false, "levels, sinks of log records: what each sent, what it dropped and why" },
		{ "PUT", "/log", admin_page_log_level, true,
			"?level=error|warn|info|debug|default changes the level, &subsystem=discovery of one part; ?reopen begins files anew" },
		{ "GET", "/log/recent", admin_page_log_recent, false,
			"the last log records, newest first; ?service= &level=warn &kind=agent|access|app &subsystem= &q=text &limit=" },
		{ "GET", "/log/tail", admin_page_log_tail, false, "log records as they come, as events; filters as of /log/recent" },
	};
	*n = sizeof(rows) / sizeof(rows[0]);
	return rows;
}
