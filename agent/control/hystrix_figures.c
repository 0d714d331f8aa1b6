#include "control/hystrix_figures.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>

/* --- taking them ------------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *key;
	unsigned permille;
} quantiles[HYSTRIX_QUANTILES] = { { "0", 0 }, { "25", 250 }, { "50", 500 }, { "75", 750 }, { "90", 900 }, { "95", 950 }, { "99", 990 },
	{ "99.5", 995 }, { "100", 1000 } };

static uint64_t whole_ms(usec t)
{
	return (t + USEC_MS / 2) / USEC_MS;
}

static void look_counts(uint64_t *v, const struct breaker_view *b)
{
	uint64_t bad_ends = b->errors + b->n[CIRCUIT_SHORT], saved = b->n[CIRCUIT_FALLBACK];

	v[HYSTRIX_OPEN] = b->open;
	v[HYSTRIX_REQUESTS] = b->total;
	v[HYSTRIX_ERRORS] = b->errors;
	v[HYSTRIX_BAD] = b->n[CIRCUIT_BAD];
	v[HYSTRIX_THROWN] = bad_ends - (saved <= bad_ends ? saved : bad_ends);
	v[HYSTRIX_FAILURE] = b->n[CIRCUIT_FAILURE];
	v[HYSTRIX_FALLBACK] = saved;
	v[HYSTRIX_FALLBACK_FAILED] = b->n[CIRCUIT_FALLBACK_FAILED];
	v[HYSTRIX_REJECTED] = b->n[CIRCUIT_REJECTED];
	v[HYSTRIX_SHORT] = b->n[CIRCUIT_SHORT];
	v[HYSTRIX_SUCCESS] = b->n[CIRCUIT_SUCCESS];
	v[HYSTRIX_TIMEOUT] = b->n[CIRCUIT_TIMEOUT];
}

static void look_policy(uint64_t *v, const struct spec_policy *p, enum breaker_force by_hand)
{
	v[HYSTRIX_FORCED_OPEN] = p->breaker.force == BREAKER_FORCE_OPEN || by_hand == BREAKER_FORCE_OPEN;
	v[HYSTRIX_FORCED_CLOSED] = p->breaker.force == BREAKER_FORCE_CLOSED || by_hand == BREAKER_FORCE_CLOSED;
	v[HYSTRIX_ENABLED] = p->breaker.on;
	v[HYSTRIX_VOLUME] = p->breaker.volume;
	v[HYSTRIX_SLEEP] = p->breaker.sleep / USEC_MS;
	v[HYSTRIX_THRESHOLD] = p->breaker.error_percent;
	v[HYSTRIX_LIMIT] = p->request_timeout / USEC_MS;
	v[HYSTRIX_WINDOW] = p->breaker.bucket * WINDOW_BUCKETS / USEC_MS;
	v[HYSTRIX_QUEUE] = p->bulkhead.queue;
}

void hystrix_figures_look(
	struct hystrix_figures *f, const struct spec_upstream *u, const struct circuit *c, uint32_t active, usec now)
{
	struct breaker_view b;
	struct latency_view l;
	uint64_t *v = f->v;
	bool own = c == u->circuit; /* places are the upstream's, not those of a single action */

	breaker_look(&c->breaker, &u->policy.breaker, now, &b);
	latencies_look(&c->latencies, now, &l);
	v[HYSTRIX_HOSTS] = 1;
	look_counts(v, &b);
	look_policy(v, &u->policy, b.force);
	v[HYSTRIX_ACTIVE] = own ? active : 0;
	v[HYSTRIX_PEAK] = own ? circuit_peak(u->circuit, active, now) : 0;
	v[HYSTRIX_QUEUED] = atomic_load_explicit(&u->circuit->bulkhead.queued, memory_order_relaxed);
	v[HYSTRIX_PLACES] = circuit_limit(u->circuit, &u->policy.bulkhead);
	v[HYSTRIX_DONE] = l.n;
	v[HYSTRIX_MEAN] = whole_ms(l.mean);
	for (unsigned i = 0; i < HYSTRIX_QUANTILES; i++)
		v[HYSTRIX_QUANTILE + i] = whole_ms(latency_quantile(&l, quantiles[i].permille));
}

/* --- adding them up ------------------------------------------------------------------------------------------------------------ */

/* Sums, but for what stands here: the mean by calls; what holds when it holds of each; what the first one says. */
enum rule { SUM, MEAN, EACH, FIRST };

static enum rule rule_of(unsigned figure)
{
	static const uint8_t rules[HYSTRIX_MEAN] = {
		[HYSTRIX_FORCED_OPEN] = EACH,
		[HYSTRIX_FORCED_CLOSED] = EACH,
		[HYSTRIX_ENABLED] = EACH,
		[HYSTRIX_QUEUE] = FIRST,
		[HYSTRIX_VOLUME] = FIRST,
		[HYSTRIX_SLEEP] = FIRST,
		[HYSTRIX_THRESHOLD] = FIRST,
		[HYSTRIX_LIMIT] = FIRST,
		[HYSTRIX_WINDOW] = FIRST,
	};

	return figure < HYSTRIX_MEAN ? (enum rule)rules[figure] : MEAN;
}

/* Figures come from peers, too: sums stay within what a reader's numbers hold (Turbine's are longs). */
static uint64_t sum_of(uint64_t a, uint64_t b)
{
	return a + b < a || a + b > INT64_MAX ? INT64_MAX : a + b;
}

static uint64_t mean_of(uint64_t a, uint64_t a_calls, uint64_t b, uint64_t b_calls)
{
	double calls = (double)a_calls + (double)b_calls;

	return calls > 0 ? (uint64_t)(((double)a * (double)a_calls + (double)b * (double)b_calls) / calls + 0.5) : 0;
}

void hystrix_figures_add(struct hystrix_figures *sum, const struct hystrix_figures *one)
{
	uint64_t had = sum->v[HYSTRIX_DONE], more = one->v[HYSTRIX_DONE];

	for (unsigned i = 0; i < HYSTRIX_FIGURES; i++) {
		uint64_t *to = &sum->v[i], v = one->v[i];
		switch (rule_of(i)) {
		case SUM:
			*to = sum_of(*to, v);
			break;
		case MEAN:
			*to = mean_of(*to, had, v, more);
			break;
		case EACH:
			*to = *to && v;
			break;
		case FIRST:
			break;
		}
	}
}

/* --- the events ------------------------------------------------------------------------------------------------------------------ */

static uint64_t times(uint64_t mean, uint64_t hosts)
{
	return mean > INT64_MAX / (hosts ? hosts : 1) ? INT64_MAX : mean * hosts;
}

static void put_latency(struct json *j, const char *key, const uint64_t *v)
{
	json_key(j, key);
	json_object(j);
	for (unsigned i = 0; i < HYSTRIX_QUANTILES; i++)
		json_put_u64(j, quantiles[i].key, times(v[HYSTRIX_QUANTILE + i], v[HYSTRIX_HOSTS]));
	json_end(j);
}

static void put_open(struct json *j, const uint64_t *v)
{
	char text[64];
	uint64_t open = v[HYSTRIX_OPEN], hosts = v[HYSTRIX_HOSTS];

	json_key(j, "isCircuitBreakerOpen");
	if (open == 0 || hosts <= 1) {
		json_bool(j, open);
	} else if (open >= hosts) {
		json_u64(j, hosts);
	} else {
		snprintf(text, sizeof(text), "{\"true\":%" PRIu64 ",\"false\":%" PRIu64 "}", open, hosts - open);
		json_strz(j, text);
	}
}

static void put_counts(struct json *j, const uint64_t *v)
{
	static const struct {
		const char *key;
		int figure; /* NONE: Hystrix has it, we do not */
	} rows[] = {
#define NONE -1
		{ "rollingCountBadRequests", HYSTRIX_BAD },
		{ "rollingCountCollapsedRequests", NONE },
		{ "rollingCountEmit", NONE },
		{ "rollingCountExceptionsThrown", HYSTRIX_THROWN },
		{ "rollingCountFailure", HYSTRIX_FAILURE },
		{ "rollingCountFallbackEmit", NONE },
		{ "rollingCountFallbackFailure", HYSTRIX_FALLBACK_FAILED },
		{ "rollingCountFallbackMissing", NONE },
		{ "rollingCountFallbackRejection", NONE },
		{ "rollingCountFallbackSuccess", HYSTRIX_FALLBACK },
		{ "rollingCountResponsesFromCache", NONE },
		{ "rollingCountSemaphoreRejected", HYSTRIX_REJECTED },
		{ "rollingCountShortCircuited", HYSTRIX_SHORT },
		{ "rollingCountSuccess", HYSTRIX_SUCCESS },
		{ "rollingCountThreadPoolRejected", NONE },
		{ "rollingCountTimeout", HYSTRIX_TIMEOUT },
		{ "currentConcurrentExecutionCount", HYSTRIX_ACTIVE },
		{ "rollingMaxConcurrentExecutionCount", HYSTRIX_PEAK },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		json_put_u64(j, rows[i].key, rows[i].figure == NONE ? 0 : v[rows[i].figure]);
}

/* Of commands the Dashboard divides none of these. */
static void put_properties(struct json *j, const uint64_t *v)
{
	uint64_t places = v[HYSTRIX_HOSTS] ? v[HYSTRIX_PLACES] / v[HYSTRIX_HOSTS] : 0;

	json_put_u64(j, "propertyValue_circuitBreakerRequestVolumeThreshold", v[HYSTRIX_VOLUME]);
	json_put_u64(j, "propertyValue_circuitBreakerSleepWindowInMilliseconds", v[HYSTRIX_SLEEP]);
	json_put_u64(j, "propertyValue_circuitBreakerErrorThresholdPercentage", v[HYSTRIX_THRESHOLD]);
	json_put_bool(j, "propertyValue_circuitBreakerForceOpen", v[HYSTRIX_FORCED_OPEN]);
	json_put_bool(j, "propertyValue_circuitBreakerForceClosed", v[HYSTRIX_FORCED_CLOSED]);
	json_put_bool(j, "propertyValue_circuitBreakerEnabled", v[HYSTRIX_ENABLED]);
	json_put_str(j, "propertyValue_executionIsolationStrategy", STR("SEMAPHORE"));
	json_put_u64(j, "propertyValue_executionIsolationThreadTimeoutInMilliseconds", v[HYSTRIX_LIMIT]);
	json_put_u64(j, "propertyValue_executionTimeoutInMilliseconds", v[HYSTRIX_LIMIT]);
	json_put_bool(j, "propertyValue_executionIsolationThreadInterruptOnTimeout", true);
	json_key(j, "propertyValue_executionIsolationThreadPoolKeyOverride");
	json_null(j);
	json_put_u64(j, "propertyValue_executionIsolationSemaphoreMaxConcurrentRequests", places);
	json_put_u64(j, "propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests", places);
	json_put_u64(j, "propertyValue_metricsRollingStatisticalWindowInMilliseconds", v[HYSTRIX_WINDOW]);
	json_put_bool(j, "propertyValue_requestCacheEnabled", false);
	json_put_bool(j, "propertyValue_requestLogEnabled", false);
	json_put_u64(j, "reportingHosts", v[HYSTRIX_HOSTS]);
}

static void put_command(struct text *t, const struct hystrix_figures *f, usec wall)
{
	const uint64_t *v = f->v;
	uint64_t hosts = v[HYSTRIX_HOSTS], percent = v[HYSTRIX_REQUESTS] ? v[HYSTRIX_ERRORS] * 100 / v[HYSTRIX_REQUESTS] : 0;

	text_addz(t, "data: ");
	struct json j = json_begin(t);
	json_object(&j);
	json_put_str(&j, "type", STR("HystrixCommand"));
	json_put_str(&j, "name", f->name);
	json_put_str(&j, "group", f->group);
	json_put_u64(&j, "currentTime", wall / USEC_MS);
	put_open(&j, v);
	json_put_u64(&j, "errorPercentage", times(percent, hosts));
	json_put_u64(&j, "errorCount", v[HYSTRIX_ERRORS]);
	json_put_u64(&j, "requestCount", v[HYSTRIX_REQUESTS]);
	put_counts(&j, v);
	json_put_u64(&j, "latencyExecute_mean", times(v[HYSTRIX_MEAN], hosts));
	put_latency(&j, "latencyExecute", v);
	json_put_u64(&j, "latencyTotal_mean", times(v[HYSTRIX_MEAN], hosts));
	put_latency(&j, "latencyTotal", v);
	put_properties(&j, v);
	json_put_str(&j, "threadPool", f->pool);
	json_end(&j);
	text_addz(t, "\n\n");
}

/* Of pools the Dashboard divides the two properties. */
static void put_pool(struct text *t, const struct hystrix_figures *f, usec wall)
{
	const uint64_t *v = f->v, hosts = v[HYSTRIX_HOSTS];
	const struct {
		const char *key;
		uint64_t v;
	} rows[] = {
		{ "currentTime", wall / USEC_MS }, { "currentActiveCount", v[HYSTRIX_ACTIVE] }, { "currentCompletedTaskCount", v[HYSTRIX_DONE] },
		{ "currentCorePoolSize", v[HYSTRIX_PLACES] }, { "currentLargestPoolSize", v[HYSTRIX_PEAK] },
		{ "currentMaximumPoolSize", v[HYSTRIX_PLACES] }, { "currentPoolSize", v[HYSTRIX_PLACES] }, { "currentQueueSize", v[HYSTRIX_QUEUED] },
		{ "currentTaskCount", v[HYSTRIX_DONE] }, { "rollingCountThreadsExecuted", v[HYSTRIX_REQUESTS] },
		{ "rollingMaxActiveThreads", v[HYSTRIX_PEAK] }, { "rollingCountCommandRejections", v[HYSTRIX_REJECTED] },
		{ "propertyValue_queueSizeRejectionThreshold", times(v[HYSTRIX_QUEUE], hosts) },
		{ "propertyValue_metricsRollingStatisticalWindowInMilliseconds", times(v[HYSTRIX_WINDOW], hosts) },
		{ "reportingHosts", hosts },
	};

	text_addz(t, "data: ");
	struct json j = json_begin(t);
	json_object(&j);
	json_put_str(&j, "type", STR("HystrixThreadPool"));
	json_put_str(&j, "name", f->pool);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		json_put_u64(&j, rows[i].key, rows[i].v);
	json_end(&j);
	text_addz(t, "\n\n");
}

void hystrix_figures_events(struct text *t, const struct hystrix_figures *f, usec wall)
{
	put_command(t, f, wall);
	if (str_eq(f->name, f->pool))
		put_pool(t, f, wall);
}
