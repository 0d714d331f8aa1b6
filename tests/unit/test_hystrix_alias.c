/* control/hystrix_alias: which properties of Hystrix are options, and with what value. */
#include "control/hystrix_alias.h"

#include <check.h>
#include <stdlib.h>

static const struct {
	const char *key, *value, *name, *to; /* name NULL: passed over */
} rows[] = {
	{ "hystrix.command.quotes-service.circuitBreaker.requestVolumeThreshold", "7", "outrider.upstream.quotes-service.breaker.volume", "7" },
	{ "hystrix.command.default.circuitBreaker.errorThresholdPercentage", "50", "outrider.upstream.default.breaker.error-threshold", "50%" },
	{ "hystrix.command.a.b.circuitBreaker.sleepWindowInMilliseconds", "5000", "outrider.upstream.a.b.breaker.sleep-window", "5000ms" },
	{ "hystrix.command.a.execution.isolation.thread.timeoutInMilliseconds", " 1500 ", "outrider.upstream.a.timeout.request", "1500ms" },
	{ "hystrix.command.a.execution.timeout.enabled", "false", "outrider.upstream.a.timeout.request", "off" },
	{ "hystrix.command.a.execution.timeout.enabled", "true", NULL, NULL },
	{ "hystrix.command.a.circuitBreaker.enabled", "false", "outrider.upstream.a.breaker", "off" },
	{ "hystrix.command.a.circuitBreaker.forceOpen", "true", "outrider.upstream.a.breaker.force", "open" },
	{ "hystrix.command.a.circuitBreaker.forceClosed", "TRUE", "outrider.upstream.a.breaker.force", "closed" },
	{ "hystrix.command.a.circuitBreaker.requestVolumeThreshold", "0", "outrider.upstream.a.breaker.volume", "1" },
	{ "hystrix.command.a.circuitBreaker.errorThresholdPercentage", "300", "outrider.upstream.a.breaker.error-threshold", "100%" },
	{ "hystrix.command.a.circuitBreaker.forceOpen", "false", NULL, NULL },
	{ "hystrix.command.a.circuitBreaker.enabled", "perhaps", NULL, NULL },
	{ "hystrix.command.a.circuitBreaker.requestVolumeThreshold", "many", NULL, NULL },
	{ "hystrix.command.Client#call(String).circuitBreaker.requestVolumeThreshold", "7", NULL, NULL },
	{ "hystrix.command.circuitBreaker.requestVolumeThreshold", "7", NULL, NULL },
	{ "hystrix.command..circuitBreaker.requestVolumeThreshold", "7", NULL, NULL },
	{ "hystrix.command.a.fallback.enabled", "false", NULL, NULL },
	{ "hystrix.threadpool.a.coreSize", "10", NULL, NULL },
};

START_TEST(each_row)
{
	struct text name, to;
	text_init(&name, 512);
	text_init(&to, 64);
	bool got = hystrix_alias(str_of(rows[_i].key), str_of(rows[_i].value), &name, &to);
	ck_assert_msg(got == (rows[_i].name != NULL), "%s", rows[_i].key);
	if (got) {
		ck_assert_str_eq(text_z(&name), rows[_i].name);
		ck_assert_str_eq(text_z(&to), rows[_i].to);
	}
	text_release(&name);
	text_release(&to);
}
END_TEST

Suite *suite_hystrix_alias(void);
Suite *suite_hystrix_alias(void)
{
	Suite *s = suite_create("hystrix_alias");
	TCase *t = tcase_create("all");
	tcase_add_loop_test(t, each_row, 0, sizeof(rows) / sizeof(rows[0]));
	suite_add_tcase(s, t);
	return s;
}
