/* control/hystrix_figures, hystrix_sums: how circuits of one name add up, and what agents tell each other of them. */
#include "base/mem.h"
#include "control/hystrix_sums.h"
#include "http/bounded_json.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_IN_UNIT
#define LLVMFuzzerTestOneInput fuzz_one_hystrix_sums
#include "../fuzz/fuzz_hystrix_sums.c"

static struct hystrix_figures one(uint64_t calls, uint64_t mean, bool open)
{
	struct hystrix_figures f = { .name = STR("shop.quotes"), .group = STR("shop"), .pool = STR("shop.quotes"),
		.v = { [HYSTRIX_HOSTS] = 1, [HYSTRIX_OPEN] = open, [HYSTRIX_FORCED_OPEN] = open, [HYSTRIX_REQUESTS] = calls,
			[HYSTRIX_ERRORS] = open ? calls : 0, [HYSTRIX_PLACES] = 10, [HYSTRIX_QUEUE] = 5, [HYSTRIX_WINDOW] = 10000,
			[HYSTRIX_VOLUME] = 20, [HYSTRIX_DONE] = calls, [HYSTRIX_MEAN] = mean, [HYSTRIX_QUANTILE] = mean } };
	return f;
}

/* What the events say of a key, the first time it stands there. */
static const char *said(const struct text *t, const char *key)
{
	static char value[128];
	char quoted[96];

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	const char *at = strstr(text_z(t), quoted);
	ck_assert_msg(at != NULL, "%s in %s", key, text_z(t));
	at += strlen(quoted);
	size_t n = *at == '{' ? strcspn(at, "}") + 1 : *at == '"' ? (size_t)(strstr(at, "\",\"") - at) + 1 : strcspn(at, ",}");
	snprintf(value, sizeof(value), "%.*s", (int)n, at);
	return value;
}

static const struct {
	const char *key, *alone, *both;
} events[] = {
	{ "reportingHosts", "1", "2" },
	{ "requestCount", "10", "40" },
	{ "errorCount", "10", "10" },
	{ "errorPercentage", "100", "50" }, /* a quarter of the calls, times two */
	{ "isCircuitBreakerOpen", "true", "\"{\\\"true\\\":1,\\\"false\\\":1}\"" },
	{ "propertyValue_circuitBreakerForceOpen", "true", "false" },
	{ "latencyExecute_mean", "100", "50" }, /* 10 calls of 100 ms and 30 of none: 25, times two */
	{ "propertyValue_circuitBreakerRequestVolumeThreshold", "20", "20" },
	{ "propertyValue_executionIsolationSemaphoreMaxConcurrentRequests", "10", "10" },
	{ "propertyValue_metricsRollingStatisticalWindowInMilliseconds", "10000", "10000" },
	{ "currentMaximumPoolSize", "10", "20" },
	{ "propertyValue_queueSizeRejectionThreshold", "5", "10" },
};

START_TEST(as_the_dashboard_divides)
{
	struct hystrix_figures f = one(10, 100, true), other = one(30, 0, false);
	struct text t;

	text_init(&t, 1 << 16);
	hystrix_figures_events(&t, &f, 1);
	ck_assert_str_eq(said(&t, events[_i].key), events[_i].alone);
	hystrix_figures_add(&f, &other);
	text_clear(&t);
	hystrix_figures_events(&t, &f, 1);
	ck_assert_str_eq(said(&t, events[_i].key), events[_i].both);
	text_release(&t);
}
END_TEST

START_TEST(all_open_is_their_number)
{
	struct hystrix_figures f = one(1, 1, true), other = f;
	struct text t;

	text_init(&t, 1 << 16);
	hystrix_figures_add(&f, &other);
	hystrix_figures_events(&t, &f, 1);
	ck_assert_str_eq(said(&t, "isCircuitBreakerOpen"), "2"); /* the dashboard compares it with reportingHosts */
	text_release(&t);
}
END_TEST

/* What one agent writes, another adds to what it has; without room it is left out, and counted. */
START_TEST(from_agent_to_agent)
{
	struct hystrix_figures f = one(10, 100, false), action = one(1, 1, false);
	struct hystrix_sums from, to;
	struct text t, small;

	action.name = STR("shop.quotes#\"urn:a\n\"");
	hystrix_sums_init(&from, 1);
	hystrix_sums_init(&to, 2);
	text_init(&t, 1 << 16);
	hystrix_sums_add(&from, &f);
	hystrix_sums_add(&from, &f);
	hystrix_sums_add(&from, &action);
	hystrix_sums_write(&t, &from);
	ck_assert(read_into(&to, text_str(&t)) && read_into(&to, text_str(&t)));
	ck_assert_uint_eq(to.n, 2);
	ck_assert_uint_eq(to.first->v[HYSTRIX_REQUESTS], 40);
	ck_assert_uint_eq(to.first->v[HYSTRIX_HOSTS], 4);
	ck_assert(str_eq(to.last->name, action.name) && str_eq(to.last->pool, f.name));
	text_init(&small, 4096); /* no circuit of the longest names would fit */
	hystrix_sums_write(&small, &from);
	ck_assert(!small.failed && strstr(text_z(&small), "\"left_out\":2") != NULL && read_into(&to, text_str(&small)));
	ck_assert_uint_eq(to.left_out, 2);
	text_release(&small);
	text_release(&t);
	hystrix_sums_release(&from);
	hystrix_sums_release(&to);
}
END_TEST

static const struct {
	const char *body, *why;
} odd[] = {
	{ "[]", "none of an agent's" },
	{ "{\"figures\":37}", "none of an agent's" },
	{ "{\"circuits\":[]}", "none of an agent's" },
	{ "{\"figures\":36,\"circuits\":[]}", "another version" },
	{ "{\"figures\":37,\"circuits\":[7]}", "is none" },
	{ "{\"figures\":37,\"circuits\":[[\"a\",\"b\",\"c\",1]]}", "is none" },
	{ "{\"figures\":37,\"circuits\":[[\"\",\"b\",\"c\",1]]}", "is none" },
};

START_TEST(odd_answers)
{
	const struct json_limits limits = { .bytes = 4096, .nodes = 100, .depth = 8 };
	struct err err = { "" };
	struct hystrix_sums s;
	cJSON *tree = bounded_json_parse(str_of(odd[_i].body), &limits, &err);

	ck_assert_msg(tree != NULL, "%s", err.text);
	hystrix_sums_init(&s, 1);
	ck_assert(!hystrix_sums_read(&s, tree, &err));
	ck_assert_msg(strstr(err.text, odd[_i].why) != NULL, "%s", err.text);
	ck_assert_uint_eq(s.n, 0);
	hystrix_sums_release(&s);
	cJSON_Delete(tree);
}
END_TEST

START_TEST(bounded)
{
	struct hystrix_figures f = one(INT64_MAX, 1, true);
	struct hystrix_sums s;
	char name[32];

	hystrix_sums_init(&s, 1);
	hystrix_sums_add(&s, &f);
	hystrix_sums_add(&s, &f);
	ck_assert_uint_eq(s.first->v[HYSTRIX_REQUESTS], INT64_MAX);
	for (unsigned i = 0; i < HYSTRIX_SUMS_MAX + 9; i++) {
		snprintf(name, sizeof(name), "shop.%u", i);
		f.name = f.pool = str_of(name);
		hystrix_sums_add(&s, &f);
	}
	ck_assert_uint_eq(s.n, HYSTRIX_SUMS_MAX);
	ck_assert_uint_eq(s.left_out, 10);
	hystrix_sums_release(&s);
}
END_TEST

/* Without memory circuits are left out and counted. */
START_TEST(no_memory)
{
	struct hystrix_figures f = one(1, 1, true);

	for (unsigned long k = 1; k < 4; k++) {
		struct hystrix_sums s;
		hystrix_sums_init(&s, 1);
		mem_fail_at(k);
		hystrix_sums_add(&s, &f);
		mem_fail_at(0);
		ck_assert_uint_eq(s.n + s.left_out, 1);
		hystrix_sums_release(&s);
	}
}
END_TEST

Suite *suite_hystrix_sums(void);
Suite *suite_hystrix_sums(void)
{
	Suite *s = suite_create("hystrix_sums");
	TCase *c = tcase_create("sums");

	tcase_add_loop_test(c, as_the_dashboard_divides, 0, sizeof(events) / sizeof(events[0]));
	tcase_add_test(c, all_open_is_their_number);
	tcase_add_test(c, from_agent_to_agent);
	tcase_add_loop_test(c, odd_answers, 0, sizeof(odd) / sizeof(odd[0]));
	tcase_add_test(c, bounded);
	tcase_add_test(c, no_memory);
	suite_add_tcase(s, c);
	return s;
}
