#include "control/hystrix.h"

#include "base/json.h"

#define STREAM_MAX (HTTPD_OUTPUT_MAX / 2)
#define CIRCUIT_NAME_MAX 1024u
#define LINES_MAX (STREAM_MAX / 2) /* a tick stops behind the circuit that passes it */

struct sight { /* of one circuit, looked at once for both lines */
	const struct spec_sidecar *s;
	const struct spec_upstream *u;
	struct str name, pool;
	struct breaker_view b;
	struct latency_view l;
	uint32_t active, limit, peak;
	usec wall;
};

static void num(struct json *j, const char *key, uint64_t v)
{
	json_key(j, key);
	json_u64(j, v);
}

static void flag(struct json *j, const char *key, bool v)
{
	json_key(j, key);
	json_bool(j, v);
}

static void name(struct json *j, const char *key, struct str v)
{
	json_key(j, key);
	json_str(j, v);
}

/* Whole milliseconds: Turbine adds them up as integers. */
static void put_latency(struct json *j, const char *key, const struct latency_view *l)
{
	static const struct {
		const char *key;
		unsigned permille;
	} rows[] = { { "0", 0 }, { "25", 250 }, { "50", 500 }, { "75", 750 }, { "90", 900 }, { "95", 950 }, { "99", 990 },
		{ "99.5", 995 }, { "100", 1000 } };

	json_key(j, key);
	json_object(j);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		num(j, rows[i].key, (latency_quantile(l, rows[i].permille) + 500) / 1000);
	json_end(j);
}

static void put_counts(struct json *j, const struct sight *s)
{
	const uint64_t *n = s->b.n;
	const struct {
		const char *key;
		uint64_t v;
	} rows[] = {
		{ "rollingCountBadRequests", n[CIRCUIT_BAD] },
		{ "rollingCountCollapsedRequests", 0 },
		{ "rollingCountEmit", 0 },
		{ "rollingCountExceptionsThrown", s->b.errors + n[CIRCUIT_SHORT] - (n[CIRCUIT_FALLBACK] <= s->b.errors + n[CIRCUIT_SHORT]
			? n[CIRCUIT_FALLBACK] : s->b.errors + n[CIRCUIT_SHORT]) },
		{ "rollingCountFailure", n[CIRCUIT_FAILURE] },
		{ "rollingCountFallbackEmit", 0 },
		{ "rollingCountFallbackFailure", n[CIRCUIT_FALLBACK_FAILED] },
		{ "rollingCountFallbackMissing", 0 },
		{ "rollingCountFallbackRejection", 0 },
		{ "rollingCountFallbackSuccess", n[CIRCUIT_FALLBACK] },
		{ "rollingCountResponsesFromCache", 0 },
		{ "rollingCountSemaphoreRejected", n[CIRCUIT_REJECTED] },
		{ "rollingCountShortCircuited", n[CIRCUIT_SHORT] },
		{ "rollingCountSuccess", n[CIRCUIT_SUCCESS] },
		{ "rollingCountThreadPoolRejected", 0 },
		{ "rollingCountTimeout", n[CIRCUIT_TIMEOUT] },
		{ "currentConcurrentExecutionCount", s->active },
		{ "rollingMaxConcurrentExecutionCount", s->peak },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		num(j, rows[i].key, rows[i].v);
}

static void put_properties(struct json *j, const struct sight *s)
{
	const struct spec_policy *p = &s->u->policy;
	uint64_t limit_ms = p->request_timeout / USEC_MS;

	num(j, "propertyValue_circuitBreakerRequestVolumeThreshold", p->breaker.volume);
	num(j, "propertyValue_circuitBreakerSleepWindowInMilliseconds", p->breaker.sleep / USEC_MS);
	num(j, "propertyValue_circuitBreakerErrorThresholdPercentage", p->breaker.error_percent);
	flag(j, "propertyValue_circuitBreakerForceOpen",
		p->breaker.force == BREAKER_FORCE_OPEN || s->b.force == BREAKER_FORCE_OPEN);
	flag(j, "propertyValue_circuitBreakerForceClosed",
		p->breaker.force == BREAKER_FORCE_CLOSED || s->b.force == BREAKER_FORCE_CLOSED);
	flag(j, "propertyValue_circuitBreakerEnabled", p->breaker.on);
	name(j, "propertyValue_executionIsolationStrategy", STR("SEMAPHORE"));
	num(j, "propertyValue_executionIsolationThreadTimeoutInMilliseconds", limit_ms);
	num(j, "propertyValue_executionTimeoutInMilliseconds", limit_ms);
	flag(j, "propertyValue_executionIsolationThreadInterruptOnTimeout", true);
	json_key(j, "propertyValue_executionIsolationThreadPoolKeyOverride");
	json_null(j);
	num(j, "propertyValue_executionIsolationSemaphoreMaxConcurrentRequests", s->limit);
	num(j, "propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests", s->limit);
	num(j, "propertyValue_metricsRollingStatisticalWindowInMilliseconds", p->breaker.bucket * WINDOW_BUCKETS / USEC_MS);
	flag(j, "propertyValue_requestCacheEnabled", false);
	flag(j, "propertyValue_requestLogEnabled", false);
	num(j, "reportingHosts", 1);
}

static void put_command(struct text *t, const struct sight *s)
{
	text_addz(t, "data: ");
	struct json j = json_begin(t);

	json_object(&j);
	name(&j, "type", STR("HystrixCommand"));
	name(&j, "name", s->name);
	name(&j, "group", s->s->service);
	num(&j, "currentTime", s->wall / USEC_MS);
	flag(&j, "isCircuitBreakerOpen", s->b.open);
	num(&j, "errorPercentage", s->b.error_percent);
	num(&j, "errorCount", s->b.errors);
	num(&j, "requestCount", s->b.total);
	put_counts(&j, s);
	num(&j, "latencyExecute_mean", (s->l.mean + 500) / 1000);
	put_latency(&j, "latencyExecute", &s->l);
	num(&j, "latencyTotal_mean", (s->l.mean + 500) / 1000);
	put_latency(&j, "latencyTotal", &s->l);
	put_properties(&j, s);
	name(&j, "threadPool", s->pool);
	json_end(&j);
	text_addz(t, "\n\n");
}

static void put_pool(struct text *t, const struct sight *s)
{
	const struct {
		const char *key;
		uint64_t v;
	} rows[] = {
		{ "currentTime", s->wall / USEC_MS }, { "currentActiveCount", s->active }, { "currentCompletedTaskCount", s->l.n },
		{ "currentCorePoolSize", s->limit }, { "currentLargestPoolSize", s->peak }, { "currentMaximumPoolSize", s->limit },
		{ "currentPoolSize", s->limit }, { "currentQueueSize", atomic_load_explicit(&s->u->circuit->bulkhead.queued, memory_order_relaxed) },
		{ "currentTaskCount", s->l.n }, { "rollingCountThreadsExecuted", s->b.total },
		{ "rollingMaxActiveThreads", s->peak }, { "rollingCountCommandRejections", s->b.n[CIRCUIT_REJECTED] },
		{ "propertyValue_queueSizeRejectionThreshold", s->u->policy.bulkhead.queue },
		{ "propertyValue_metricsRollingStatisticalWindowInMilliseconds", s->u->policy.breaker.bucket * WINDOW_BUCKETS / USEC_MS },
		{ "reportingHosts", 1 },
	};

	text_addz(t, "data: ");
	struct json j = json_begin(t);
	json_object(&j);
	name(&j, "type", STR("HystrixThreadPool"));
	name(&j, "name", s->pool);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		num(&j, rows[i].key, rows[i].v);
	json_end(&j);
	text_addz(t, "\n\n");
}

/* The Dashboard and Turbine tell circuits apart by their name alone, so on a node it begins with the caller's. */
static void put_circuit_name(struct text *t, const struct agent *a, uint32_t i, const struct spec_upstream *u)
{
	const struct spec_sidecar *s = a->sidecars[i].spec;
	unsigned same = 1;

	if (a->find_sidecar) {
		for (uint32_t k = 0; k < i; k++)
			same += str_eq(a->sidecars[k].spec->service, s->service);
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
static void put_keyed(struct text *t, const struct sight *of, usec now)
{
	struct sight see = *of;
	struct text called;

	see.active = see.peak = 0; /* places are the upstream's */
	text_init(&called, CIRCUIT_NAME_MAX + CIRCUIT_LABEL);
	for (unsigned i = 0; of->u->keyed && i < CIRCUIT_KEYS; i++) {
		const struct circuit *c = of->u->keyed[i];
		if (!circuit_label(c))
			continue;
		struct str key = str_of(circuit_label(c));
		if (key.n > 2 && key.p[0] == '"' && key.p[key.n - 1] == '"')
			key = str_make(key.p + 1, key.n - 2);
		text_clear(&called);
		text_add(&called, of->pool);
		text_addz(&called, "#");
		text_add(&called, key);
		see.name = text_str(&called);
		breaker_look(&c->breaker, &of->u->policy.breaker, now, &see.b);
		latencies_look(&c->latencies, now, &see.l);
		put_command(t, &see);
	}
	text_release(&called);
}

void hystrix_lines(struct text *t, const struct agent *a, uint32_t i, const struct spec_upstream *u, usec now, usec wall)
{
	struct sight see = { .s = a->sidecars[i].spec, .u = u, .wall = wall };
	struct text called;

	text_init(&called, CIRCUIT_NAME_MAX);
	put_circuit_name(&called, a, i, u);
	see.name = see.pool = text_str(&called);
	breaker_look(&u->circuit->breaker, &u->policy.breaker, now, &see.b);
	latencies_look(&u->circuit->latencies, now, &see.l);
	see.active = under_way(a, u);
	see.peak = circuit_peak(u->circuit, see.active, now);
	see.limit = circuit_limit(u->circuit, &u->policy.bulkhead);
	put_command(t, &see);
	put_pool(t, &see);
	put_keyed(t, &see, now);
	text_release(&called);
}

/* --- the stream ---------------------------------------------------------------------------------------------------------- */

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
			if (t->n < LINES_MAX)
				continue;
			h->next = seen;
			return;
		}
	}
	h->next = 0;
}

static bool has_clients(const struct hystrix *h)
{
	for (unsigned i = 0; i < HYSTRIX_CLIENTS; i++)
		if (h->clients[i].r)
			return true;
	return false;
}

static void on_tick(void *arg)
{
	struct hystrix *h = arg;
	struct text t;

	if (!has_clients(h))
		return;
	text_init(&t, STREAM_MAX);
	put_circuits(&t, h);
	text_addz(&t, "ping: \n\n");
	for (unsigned i = 0; i < HYSTRIX_CLIENTS; i++)
		if (h->clients[i].r && !t.failed && !httpd_stream_send(h->clients[i].r, text_str(&t)))
			h->clients[i].r = NULL; /* too slow, or gone */
	text_release(&t);
	timer_set(h->agent->loop, &h->timer, loop_now(h->agent->loop) + HYSTRIX_TICK);
}

void hystrix_init(struct hystrix *h, struct agent *agent)
{
	*h = (struct hystrix){ .agent = agent };
	timer_init(&h->timer, on_tick, h);
	for (unsigned i = 0; i < HYSTRIX_CLIENTS; i++)
		h->clients[i].of = h;
}

void hystrix_stop(struct hystrix *h)
{
	if (h->agent)
		timer_clear(&h->timer);
	h->agent = NULL;
}

static void on_gone(void *arg)
{
	struct hystrix_client *c = arg;

	c->r = NULL;
}

static void begin_stream(struct httpd_request *r)
{
	httpd_reply_header(r, "Cache-Control", "no-cache, no-store, max-age=0, must-revalidate");
	httpd_reply_header(r, "Pragma", "no-cache");
	httpd_stream_begin(r, 200, "text/event-stream;charset=UTF-8");
}

void hystrix_serve(struct hystrix *h, struct httpd_request *r)
{
	if (strcmp(httpd_method(r), "HEAD") == 0) { /* no stream follows: it takes no place */
		begin_stream(r);
		httpd_stream_end(r);
		return;
	}
	for (unsigned i = 0; i < HYSTRIX_CLIENTS; i++) {
		struct hystrix_client *c = &h->clients[i];
		if (c->r)
			continue;
		c->r = r;
		httpd_on_gone(r, on_gone, c);
		begin_stream(r);
		timer_set(h->agent->loop, &h->timer, loop_now(h->agent->loop)); /* the first events at once */
		return;
	}
	httpd_reply(r, 503, "text/plain; charset=utf-8", STR("MaxConcurrentConnections reached\n"));
}
