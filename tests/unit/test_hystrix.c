/* control/hystrix: what a circuit is called in the stream, where there is one sidecar and where there are many. */
#include "base/mem.h"
#include "control/hystrix.h"

#include <check.h>
#include <stdio.h>

static struct admin *nobody(void *arg, struct str name)
{
	(void)arg, (void)name;
	return NULL;
}

/* The circuit of quotes as the i-th of three sidecars of which the first and the third are one service's. */
static void lines(struct text *t, bool of_node, uint32_t i)
{
	static struct circuit circuits[3];
	struct spec_upstream upstreams[3];
	struct spec_sidecar specs[3];
	struct agent_sidecar sidecars[3];
	static const char *const services[3] = { "accountservice", "imageservice", "accountservice" };
	struct agent a = { .n_sidecars = 3, .sidecars = sidecars, .find_sidecar = of_node ? nobody : NULL };

	for (uint32_t k = 0; k < 3; k++) {
		upstreams[k] = (struct spec_upstream){ .name = STR("quotes"), .circuit = &circuits[k], .policy.breaker.bucket = USEC_SEC };
		specs[k] = (struct spec_sidecar){ .service = str_of(services[k]) };
		sidecars[k] = (struct agent_sidecar){ .spec = &specs[k] };
	}
	text_init(t, 65536);
	hystrix_lines(t, &a, i, &upstreams[i], 5 * USEC_SEC, 5 * USEC_SEC);
	ck_assert(!t->failed);
}

static const struct {
	bool of_node;
	uint32_t i;
	const char *name;
} rows[] = {
	{ false, 0, "quotes" },
	{ true, 0, "accountservice.quotes" },
	{ true, 1, "imageservice.quotes" },
	{ true, 2, "accountservice~2.quotes" },
};

START_TEST(names)
{
	struct text t;
	char wanted[128];

	lines(&t, rows[_i].of_node, rows[_i].i);
	snprintf(wanted, sizeof(wanted), "{\"type\":\"HystrixCommand\",\"name\":\"%s\"", rows[_i].name);
	ck_assert_msg(strstr(text_z(&t), wanted) != NULL, "%s in %s", wanted, text_z(&t));
	snprintf(wanted, sizeof(wanted), "\"threadPool\":\"%s\"", rows[_i].name);
	ck_assert_msg(strstr(text_z(&t), wanted) != NULL, "%s in %s", wanted, text_z(&t));
	snprintf(wanted, sizeof(wanted), "{\"type\":\"HystrixThreadPool\",\"name\":\"%s\"", rows[_i].name);
	ck_assert_msg(strstr(text_z(&t), wanted) != NULL, "%s in %s", wanted, text_z(&t));
	text_release(&t);
}
END_TEST

Suite *suite_hystrix(void);
Suite *suite_hystrix(void)
{
	Suite *s = suite_create("hystrix");
	TCase *c = tcase_create("names");

	tcase_add_loop_test(c, names, 0, sizeof(rows) / sizeof(rows[0]));
	suite_add_tcase(s, c);
	return s;
}
