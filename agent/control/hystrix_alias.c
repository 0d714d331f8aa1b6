#include "control/hystrix_alias.h"

#include <inttypes.h>

enum kind { KIND_SWITCH, KIND_TIMED, KIND_OPEN, KIND_CLOSED, KIND_COUNT, KIND_PERCENT, KIND_MS };

#define TIMEOUT ".execution.isolation.thread.timeoutInMilliseconds"
#define TIMED ".execution.timeout.enabled" /* false: none, whatever TIMEOUT says */

static const struct row {
	const char *suffix; /* behind the command's key */
	const char *option;
	enum kind kind;
	uint64_t min, max; /* in which the value is kept */
} rows[] = {
	{ ".circuitBreaker.enabled", "breaker", KIND_SWITCH, 0, 0 },
	{ ".circuitBreaker.requestVolumeThreshold", "breaker.volume", KIND_COUNT, 1, 1000000 },
	{ ".circuitBreaker.sleepWindowInMilliseconds", "breaker.sleep-window", KIND_MS, 10, 600000 },
	{ ".circuitBreaker.errorThresholdPercentage", "breaker.error-threshold", KIND_PERCENT, 1, 100 },
	{ ".circuitBreaker.forceOpen", "breaker.force", KIND_OPEN, 0, 0 },
	{ ".circuitBreaker.forceClosed", "breaker.force", KIND_CLOSED, 0, 0 },
	{ TIMEOUT, "timeout.request", KIND_MS, 1, 86400000 },
	{ TIMED, "timeout.request", KIND_TIMED, 0, 0 },
	{ ".execution.isolation.semaphore.maxConcurrentRequests", "bulkhead.max", KIND_COUNT, 1, 1000000 },
	{ ".metrics.rollingStats.timeInMilliseconds", "breaker.window", KIND_MS, 1000, 600000 },
};

static bool ends(struct str s, const char *z)
{
	size_t n = strlen(z);
	return s.n > n && str_ieq(str_make(s.p + s.n - n, n), str_make(z, n));
}

/* A command's key may be anything, such as Client#method(String). */
static bool is_service(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
			return false;
	}
	return s.n > 0 && s.n <= 128;
}

static bool put_value(const struct row *r, struct str value, struct text *to)
{
	bool yes = str_ieq(value, STR("true")), no = str_ieq(value, STR("false"));
	uint64_t n;

	switch (r->kind) {
	case KIND_SWITCH:
		text_addz(to, yes ? "on" : "off");
		return yes || no;
	case KIND_TIMED: /* true is what it is anyway */
		text_addz(to, "off");
		return no;
	case KIND_OPEN: /* false says nothing: the other one may be true */
		text_addz(to, "open");
		return yes;
	case KIND_CLOSED:
		text_addz(to, "closed");
		return yes;
	default:
		break;
	}
	if (!str_u64(str_trim(value), &n))
		return false;
	n = n < r->min ? r->min : n > r->max ? r->max : n;
	text_fmt(to, "%" PRIu64 "%s", n, r->kind == KIND_MS ? "ms" : r->kind == KIND_PERCENT ? "%" : "");
	return true;
}

bool hystrix_alias_switch(struct str key, struct text *name, struct text *standard)
{
	text_clear(name);
	text_clear(standard);
	if (!str_starts(key, STR(HYSTRIX_PREFIX)) || !ends(key, TIMEOUT))
		return false;
	text_fmt(name, "%.*s" TIMED, (int)(key.n - strlen(TIMEOUT)), key.p);
	text_addz(standard, HYSTRIX_PREFIX "default" TIMED);
	return !name->failed && !standard->failed;
}

bool hystrix_alias(struct str key, struct str value, struct text *name, struct text *to)
{
	struct str prefix = STR(HYSTRIX_PREFIX);

	text_clear(name);
	text_clear(to);
	if (!str_starts(key, prefix))
		return false;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!ends(key, rows[i].suffix) || key.n <= prefix.n + strlen(rows[i].suffix))
			continue;
		struct str service = str_make(key.p + prefix.n, key.n - prefix.n - strlen(rows[i].suffix));
		if (!is_service(service) || !put_value(&rows[i], value, to))
			return false;
		text_fmt(name, "outrider.upstream.%.*s.%s", STR_ARG(service), rows[i].option);
		return !name->failed && !to->failed;
	}
	return false;
}
