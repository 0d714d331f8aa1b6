/* Registry consul: what an answer's weights say, whatever their size, and an address that stands there twice. */
#include "../../plugins/consul_health.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVICE(more) "\"Service\":{\"ID\":\"a\",\"Address\":\"10.0.0.1\",\"Port\":80" more "}"
#define CRITICAL ",\"Checks\":[{\"Status\":\"critical\"}]"

static const struct {
	const char *json;
	unsigned state, weight;
} answers[] = {
	{ "[{" SERVICE("") "}]", REGISTRY_UP, 100 },
	{ "[{" SERVICE("") CRITICAL "}]", REGISTRY_DOWN, 100 },
	{ "[{" SERVICE(",\"Weights\":{\"Passing\":10}") "}]", REGISTRY_UP, 1000 },
	{ "[{" SERVICE(",\"Weights\":{\"Passing\":0}") "}]", REGISTRY_DOWN, 100 },
	{ "[{" SERVICE(",\"Weights\":{\"Passing\":65535}") "}]", REGISTRY_UP, 10000 },
	/* 100 times that is 0, or 84, in 64 bits. */
	{ "[{" SERVICE(",\"Weights\":{\"Passing\":4611686018427387904}") "}]", REGISTRY_UP, 10000 },
	{ "[{" SERVICE(",\"Weights\":{\"Passing\":184467440737095517}") "}]", REGISTRY_UP, 10000 },
	/* Two Consul agents know it, the former as critical: whatever comes first, it is up. */
	{ "[{" SERVICE("") "},{" SERVICE("") CRITICAL "}]", REGISTRY_UP, 100 },
	{ "[{" SERVICE("") CRITICAL "},{" SERVICE("") "}]", REGISTRY_UP, 100 },
};

START_TEST(what_answers_say)
{
	struct file_endpoints f;
	struct err err = { .text = "" };

	file_endpoints_init(&f);
	ck_assert_msg(consul_health_read(&f, str_of(answers[_i].json), STR("orders"), &err), "%s", err.text);
	ck_assert_uint_eq(f.n, 1);
	ck_assert_uint_eq(f.at[0].endpoint.state, answers[_i].state);
	ck_assert_uint_eq(f.at[0].endpoint.weight, answers[_i].weight);
	file_endpoints_release(&f);
}
END_TEST

Suite *suite_consul_health(void);
Suite *suite_consul_health(void)
{
	Suite *s = suite_create("consul_health");
	TCase *c = tcase_create("pure");

	tcase_add_loop_test(c, what_answers_say, 0, sizeof(answers) / sizeof(answers[0]));
	suite_add_tcase(s, c);
	return s;
}
