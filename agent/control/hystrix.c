#include "control/hystrix.h"

#include "base/json.h"

#define STREAM_MAX (HTTPD_OUTPUT_MAX / 2)

struct sight { /* of one circuit, looked at once for both lines */
	const struct spec_sidecar *s;
	const struct spec_upstream *u;
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
	name(&j, "name", s->u->name);
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
	name(&j, "threadPool", s->u->name);
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
	name(&j, "name", s->u->name);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		num(&j, rows[i].key, rows[i].v);
	json_end(&j);
	text_addz(t, "\n\n");
}

void hystrix_lines(struct text *t, const struct spec_sidecar *s, const struct spec_upstream *u, usec now, usec wall)
{
	struct sight see = { .s = s, .u = u, .wall = wall };
	struct bulkhead *b = &u->circuit->bulkhead;

	breaker_look(&u->circuit->breaker, &u->policy.breaker, now, &see.b);
	latencies_look(&u->circuit->latencies, now, &see.l);
	see.active = atomic_load_explicit(&b->active, memory_order_relaxed);
	see.peak = atomic_load_explicit(&b->peak, memory_order_relaxed);
	see.limit = circuit_limit(u->circuit, &u->policy.bulkhead);
	put_command(t, &see);
	put_pool(t, &see);
}

/* --- the stream ---------------------------------------------------------------------------------------------------------- */

static void put_all(struct text *t, const struct agent *a)
{
	usec now = clock_now(), wall = clock_wall();

	for (uint32_t i = 0; i < a->n_sidecars; i++) {
		const struct spec_sidecar *s = a->sidecars[i].spec;
		for (uint32_t k = 0; k < s->n_upstreams && t->n < STREAM_MAX / 2; k++)
			if (s->upstreams[k]->circuit)
				hystrix_lines(t, s, s->upstreams[k], now, wall);
	}
	text_addz(t, "ping: \n\n");
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
	put_all(&t, h->agent);
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

void hystrix_serve(struct hystrix *h, struct httpd_request *r)
{
	for (unsigned i = 0; i < HYSTRIX_CLIENTS; i++) {
		struct hystrix_client *c = &h->clients[i];
		if (c->r)
			continue;
		c->r = r;
		httpd_on_gone(r, on_gone, c);
		httpd_reply_header(r, "Cache-Control", "no-cache, no-store, max-age=0, must-revalidate");
		httpd_reply_header(r, "Pragma", "no-cache");
		httpd_stream_begin(r, 200, "text/event-stream;charset=UTF-8");
		timer_set(h->agent->loop, &h->timer, loop_now(h->agent->loop)); /* the first events at once */
		return;
	}
	httpd_reply(r, 503, "text/plain; charset=utf-8", STR("MaxConcurrentConnections reached\n"));
}
