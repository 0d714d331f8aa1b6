/* What is judged when all options are read: clashing addresses, missing names, routes. */
#include "options_help.h"

static const struct {
	enum command cmd;
	const char *flags;
	const char *words[5]; /* of the only problem; none: all is well */
} cases[] = {
	{ COMMAND_SIDECAR, "--service=a --port=6767", { NULL } },
	{ COMMAND_SIDECAR, "--upstreams=q:9001", { NULL } },
	{ COMMAND_SIDECAR, "--port=6767", { "outrider.service=", "needs a name", "OUTRIDER_SERVICE=" } },
	{ COMMAND_EXEC, "--port=6767", { "needs a name" } },
	{ COMMAND_ANY, "--port=6767", { NULL } },
	{ COMMAND_EDGE, "--port=6767", { NULL } },
	{ COMMAND_SIDECAR, "--inbound=0.0.0.0:4143", { "--inbound=", "without outrider.port" } },
	{ COMMAND_SIDECAR, "--inbound=off", { NULL } },
	/* pins */
	{ COMMAND_SIDECAR, "--service=a --port=8080 --upstreams=q@127.0.4.1:8080",
	  { "--upstreams=q@127.0.4.1:8080", "Wiring 2", "wiring 3", "http_proxy" } },
	{ COMMAND_SIDECAR, "--service=a --port=9001 --upstreams=q:9001", { "Wiring 2" } },
	{ COMMAND_SIDECAR, "--service=a --port=127.0.0.1:8080 --upstreams=q@127.0.4.1:8080", { NULL } },
	{ COMMAND_SIDECAR, "--service=a --port=0.0.0.0:8080 --upstreams=q@127.0.4.1:8080", { "Wiring 2" } },
	{ COMMAND_SIDECAR, "--service=a --port=unix:@x --upstreams=q@127.0.4.1:8080", { NULL } },
	{ COMMAND_SIDECAR, "--upstreams=q:9001,r:9001", { "127.0.0.1:9001 is pinned twice" } },
	{ COMMAND_SIDECAR, "--upstreams=q:9001,r@127.0.0.2:9001", { NULL } },
	{ COMMAND_SIDECAR, "--upstreams=q:9001,q:9002", { NULL } },
	{ COMMAND_SIDECAR, "--upstreams=q:81@127.0.0.1:9001,q:82@127.0.0.1:9002", { "two upstream ports, 81 and 82" } },
	{ COMMAND_SIDECAR, "--upstreams=q:4140", { "127.0.0.1:4140 is also an address of outrider.outbound" } },
	{ COMMAND_SIDECAR, "--upstreams=q@127.0.9.9:4143", { NULL } },
	{ COMMAND_SIDECAR, "--service=a --port=80 --upstreams=q@127.0.9.9:4143", { "outrider.inbound" } },
	/* the agent's own ports */
	{ COMMAND_SIDECAR, "--service=a --port=4143", { "--port=4143", "outrider.inbound" } },
	{ COMMAND_SIDECAR, "--service=a --port=4191", { "--port=4191", "outrider.admin" } },
	{ COMMAND_SIDECAR, "--outbound=127.0.0.1:4191", { "--outbound=", "outrider.admin" } },
	{ COMMAND_SIDECAR, "--admin=127.0.0.1:4140", { "--admin=", "outrider.outbound" } },
	{ COMMAND_SIDECAR, "--outbound=0.0.0.0:4191", { "--outbound=", "outrider.admin" } },
	{ COMMAND_SIDECAR, "--outbound=127.0.0.1:0 --admin=127.0.0.1:0", { NULL } },
	{ COMMAND_SIDECAR, "--outbound=unix:@a --admin=unix:@a", { "--admin=unix:@a", "outrider.outbound" } },
	{ COMMAND_SIDECAR, "--outbound=[::]:4191", { NULL } },
	{ COMMAND_SIDECAR, "--outbound=off --admin=off", { NULL } },
	/* plug-ins */
	{ COMMAND_SIDECAR, "--registry=dns:,redis:r:6379 --upstream.q.registry=redis,dns --upstream.r.registry=static", { NULL } },
	{ COMMAND_SIDECAR, "--upstream.q.registry=redis", { NULL } },
	{ COMMAND_SIDECAR, "--registry=reddis:r:6379", { "--registry=", "no registry of that name", "did you mean redis?" } },
	{ COMMAND_SIDECAR, "--registry=redis:r:6379 --upstream.q.registry=reddis",
	  { "--upstream.q.registry=reddis", "no registry of that name", "did you mean redis?", "there are: static, dns" } },
	{ COMMAND_SIDECAR, "--registry=redis:r:6379 --upstream.default.registry=eureka",
	  { "--upstream.default.registry=eureka", "outrider.registry does not list eureka", "add it there" } },
	{ COMMAND_SIDECAR, "--registry=redis:r:6379 --upstream.q.registry=redis:r:6379", { "--upstream.q.registry=", "only the name", "such as redis;" } },
	{ COMMAND_EDGE, "--upstream.q.registry=reddis", { "did you mean redis?" } },
	/* the edge */
	{ COMMAND_EDGE, "--route.a.upstream=q --route.b.upstream=q --route.b.prefix=/b", { NULL } },
	{ COMMAND_EDGE, "--route.a.prefix=/a", { "outrider.route.a.upstream", "needs the service" } },
	{ COMMAND_EDGE, "--route.a.upstream=q --route.b.upstream=r", { "outrider.route.b.prefix", "route a" } },
	{ COMMAND_EDGE, "--route.a.upstream=q --route.a.prefix=/x/ --route.b.upstream=r --route.b.prefix=/x",
	  { "--route.b.prefix", "route a" } },
	{ COMMAND_EDGE, "--route.a.upstream=q --route.b.upstream=r --route.b.host=x.org", { NULL } },
	{ COMMAND_EDGE, "--listen=127.0.0.1:4191", { "--listen", "outrider.admin" } },
};

START_TEST(judgement)
{
	struct options *o = from_flags(cases[_i].flags);

	if (cases[_i].words[0])
		check_bad_(o, cases[_i].cmd, cases[_i].words);
	else
		check_good(o, cases[_i].cmd);
	options_free(o);
}
END_TEST

START_TEST(checking_again_gives_the_same)
{
	struct options *o = from_flags("--port=6767 --bad=1");
	struct err err;

	for (int i = 0; i < 3; i++) {
		ck_assert(!options_check(o, COMMAND_SIDECAR, &err));
		ck_assert_uint_eq(options_problem_total(o), 2);
	}
	add_flags(o, "--service=a");
	ck_assert(!options_check(o, COMMAND_SIDECAR, &err));
	ck_assert_uint_eq(options_problem_total(o), 1);
	options_free(o);
}
END_TEST

START_TEST(services_come_from_everywhere)
{
	struct options *o = from_env(ENV("OUTRIDER_UPSTREAMS=Pinned:9001", "OUTRIDER_UPSTREAM_ENV_NAMED_ENDPOINTS=10.0.0.1:80",
					 "OUTRIDER_ROUTE_X_UPSTREAM=Routed"));
	static const char *const want[] = { "env-named", "flagged", "pinned", "routed" };

	add_flags(o, "--upstream.flagged.port=1 --upstream.default.port=2");
	check_good(o, COMMAND_ANY);
	ck_assert_uint_eq(options_service_count(o), ROWS(want));
	for (size_t i = 0; i < ROWS(want); i++)
		ck_str(options_service(o, i), want[i]);
	ck_assert_ptr_null(options_service(o, 9).p);
	options_free(o);
}
END_TEST

START_TEST(what_is_printed_can_be_read)
{
	struct options *o = from_env(ENV("OUTRIDER_UPSTREAM_QUOTES_SERVICE_PORT=81", "OUTRIDER_MODE=observe",
					 "OUTRIDER_UPSTREAM_DEFAULT_MODE=off", "OUTRIDER_CONNECT_TRIES=2"));
	struct options *again = options_new();
	struct text a, b;

	add_flags(o, "--upstream.quotes-service.pool.idle=1s --route.r.upstream=quotes-service");
	check_good(o, COMMAND_ANY);
	text_init(&a, 1 << 20);
	text_init(&b, 1 << 20);
	options_print(o, &a, OPTIONS_PROPERTIES);
	struct str rest = text_str(&a), line;
	while (str_next(&rest, '\n', &line)) {
		size_t eq = str_find(line, '=');
		if (eq != SIZE_MAX)
			ck_assert(options_set(again, LAYER_ENV, str_make(line.p, eq),
					      str_make(line.p + eq + 1, line.n - eq - 1), STR("x"), NULL));
	}
	check_good(again, COMMAND_ANY);
	options_print(again, &b, OPTIONS_PROPERTIES);
	ck_assert_str_eq(text_z(&a), text_z(&b));
	ck_assert_ptr_nonnull(strstr(text_z(&a), "outrider.upstream.quotes-service.port=81\n"));
	ck_assert_ptr_nonnull(strstr(text_z(&a), "outrider.upstream.default.mode=off\n"));
	ck_assert_ptr_nonnull(strstr(text_z(&a), "outrider.connect-tries=2\n"));
	text_release(&a);
	text_release(&b);
	options_free(o);
	options_free(again);
}
END_TEST

Suite *suite_options_check(void)
{
	Suite *s = suite_create("options_check");
	TCase *t = tcase_create("judgement");

	tcase_add_loop_test(t, judgement, 0, ROWS(cases));
	tcase_add_test(t, checking_again_gives_the_same);
	tcase_add_test(t, services_come_from_everywhere);
	tcase_add_test(t, what_is_printed_can_be_read);
	suite_add_tcase(s, t);
	return s;
}
