/* Keys, layers, origins, who may set what, collisions, secrets, and short memory. */
#include "options_help.h"

#include <stdlib.h>
#include <unistd.h>

START_TEST(all_forms_of_a_key_are_one_option)
{
	struct options *a = from_env(ENV("OUTRIDER_LIMIT_REQUEST_LINE=1KiB"));
	struct options *b = from_flags("--limit.request-line 1KiB");
	struct options *c = options_new();

	set(c, LAYER_LABEL, "outrider.limit.request-line", " 1KiB ");
	ck_assert_uint_eq(options_u64(a, OPT_LIMIT_REQUEST_LINE), 1024);
	ck_assert_uint_eq(options_u64(b, OPT_LIMIT_REQUEST_LINE), 1024);
	ck_assert_uint_eq(options_u64(c, OPT_LIMIT_REQUEST_LINE), 1024);
	ck_str(options_text(c, OPT_LIMIT_REQUEST_LINE), "1KiB");
	ck_assert_str_eq(options_origin(a, OPT_LIMIT_REQUEST_LINE), "env");
	ck_assert_str_eq(options_origin(b, OPT_LIMIT_REQUEST_LINE), "flag");
	ck_assert_str_eq(options_origin(c, OPT_LIMIT_REQUEST_LINE), "test:1");
	ck_assert_str_eq(options_origin(c, OPT_LIMIT_HEAD), "default");
	ck_assert(options_is_set(c, OPT_LIMIT_REQUEST_LINE) && !options_is_set(c, OPT_LIMIT_HEAD));
	options_free(a);
	options_free(b);
	options_free(c);
}
END_TEST

START_TEST(the_strongest_layer_wins_in_any_order)
{
	static const struct {
		enum option_layer layer;
		const char *value;
	} layers[] = {
		{ LAYER_FLAG, "1" }, { LAYER_ENV, "2" }, { LAYER_CONTAINER_ENV, "3" }, { LAYER_LABEL, "4" },
		{ LAYER_SOURCE(0), "5" }, { LAYER_SOURCE(1), "6" }, { LAYER_SOURCE(31), "7" },
	};

	for (int first = 0; first < ROWS(layers); first++) {
		struct options *up = options_new(), *down = options_new();
		for (int i = first; i < ROWS(layers); i++)
			set(up, layers[i].layer, "outrider.limit.requests", layers[i].value);
		for (int i = ROWS(layers) - 1; i >= first; i--)
			set(down, layers[i].layer, "outrider.limit.requests", layers[i].value);
		ck_assert_uint_eq(options_u64(up, OPT_LIMIT_REQUESTS), (unsigned)first + 1);
		ck_assert_uint_eq(options_u64(down, OPT_LIMIT_REQUESTS), (unsigned)first + 1);
		options_free(up);
		options_free(down);
	}
}
END_TEST

START_TEST(the_same_key_again_in_a_layer_replaces)
{
	struct options *o = from_flags("--limit.fields=8 --limit.fields=9");

	ck_assert_uint_eq(options_u64(o, OPT_LIMIT_FIELDS), 9);
	check_good(o, COMMAND_ANY);
	options_free(o);
}
END_TEST

START_TEST(flags)
{
	char *argv[] = { "--workers", "2",	"--retry-safe", "--exec.proxy-env", "off",
			 "--mode=off", "--service", "a",	"--",		    "cmd", "--workers=9" };
	struct options *o = options_new();
	struct err err = { "" };
	int rest = -1;

	ck_assert(options_add_flags(o, ROWS(argv), argv, &rest, &err));
	ck_assert_int_eq(rest, 9);
	ck_assert_uint_eq(options_workers(o), 2);
	ck_assert(options_bool(o, OPT_RETRY_SAFE));
	ck_assert_str_eq(options_origin(o, OPT_RETRY_SAFE), "flag");
	ck_assert(!options_bool(o, OPT_EXEC_PROXY_ENV));
	ck_assert_uint_eq(options_u64(o, OPT_MODE), MODE_OFF);
	check_good(o, COMMAND_ANY);
	ck_assert(options_add_flags(o, 2, (char *[]){ "--limit.fields=9", "/stats" }, &rest, &err));
	ck_assert_int_eq(rest, 1);
	ck_assert(options_add_flags(o, 0, NULL, &rest, &err));
	ck_assert_int_eq(rest, 0);
	options_free(o);
}
END_TEST

START_TEST(a_flag_without_its_value_is_a_problem)
{
	struct options *o = from_flags("--service --workers=2");
	check_bad(o, COMMAND_ANY, "--service=", "(flag)", "the name of the service is missing");
	ck_assert_uint_eq(options_workers(o), 2);
	options_free(o);
}
END_TEST

START_TEST(foreign_keys_are_passed_over)
{
	struct options *o = from_env(ENV("PATH=/bin", "OUTRIDERX=1", "NOTHING", "=x"));

	set(o, LAYER_SOURCE(0), "spring.application.name", "x");
	check_good(o, COMMAND_ANY);
	options_free(o);
}
END_TEST

/* --- upstreams ---------------------------------------------------------------------------------------------------------- */

START_TEST(upstream_options_fall_back_to_default)
{
	struct options *o = from_env(ENV("OUTRIDER_TIMEOUT_CONNECT=3s", "OUTRIDER_UPSTREAM_DEFAULT_CONNECT_TRIES=7",
					 "OUTRIDER_UPSTREAM_A_TIMEOUT_CONNECT=4s"));

	check_good(o, COMMAND_ANY);
	ck_assert_uint_eq(options_of_duration(o, STR("a"), OPT_TIMEOUT_CONNECT), 4 * USEC_SEC);
	ck_assert_uint_eq(options_of_duration(o, STR("b"), OPT_TIMEOUT_CONNECT), 3 * USEC_SEC);
	ck_assert_uint_eq(options_of_u64(o, STR("a"), OPT_CONNECT_TRIES), 7);
	ck_assert_uint_eq(options_duration(o, OPT_TIMEOUT_CONNECT), 3 * USEC_SEC);
	ck_assert_uint_eq(options_of_u64(o, STR("a"), OPT_POOL_MAX_IDLE), 128);
	ck_assert_str_eq(options_of_origin(o, STR("a"), OPT_CONNECT_TRIES), "env");
	options_free(o);
}
END_TEST

START_TEST(names_of_the_sidecar_are_no_short_forms)
{
	struct options *o = from_flags("--mode=observe --upstream.default.mode=off --port=6767 --service=s "
				       "--upstream.default.port=81");

	check_good(o, COMMAND_SIDECAR);
	ck_assert_uint_eq(options_u64(o, OPT_MODE), MODE_OBSERVE);
	ck_assert_uint_eq(options_of_u64(o, STR("x"), OPT_UPSTREAM_MODE), MODE_OFF);
	ck_assert_uint_eq(options_of_u64(o, STR("x"), OPT_UPSTREAM_PORT), 81);
	ck_str(options_text(o, OPT_PORT), "6767");
	options_free(o);
}
END_TEST

START_TEST(the_longest_known_suffix_wins)
{
	/* `port` alone would make the service "a-first-byte-port-pool-max"; `pool.max-idle` is longer than `pool.idle`. */
	struct options *o = from_env(ENV("OUTRIDER_UPSTREAM_QUOTES_SERVICE_TIMEOUT_FIRST_BYTE=9s",
					 "OUTRIDER_UPSTREAM_PORT_PORT=81", "OUTRIDER_UPSTREAM_A_POOL_MAX_IDLE=5",
					 "OUTRIDER_UPSTREAM_POOL_MAX_PORT=82", "OUTRIDER_ROUTE_API_V1_UPSTREAM=quotes_service"));

	check_good(o, COMMAND_ANY);
	ck_assert_uint_eq(options_of_duration(o, STR("quotes-service"), OPT_TIMEOUT_FIRST_BYTE), 9 * USEC_SEC);
	ck_assert_uint_eq(options_of_duration(o, STR("quotes.service"), OPT_TIMEOUT_FIRST_BYTE), 9 * USEC_SEC);
	ck_assert_uint_eq(options_of_u64(o, STR("port"), OPT_UPSTREAM_PORT), 81);
	ck_assert_uint_eq(options_of_u64(o, STR("a"), OPT_POOL_MAX_IDLE), 5);
	ck_assert_uint_eq(options_of_u64(o, STR("pool-max"), OPT_UPSTREAM_PORT), 82);
	ck_assert_uint_eq(options_route_count(o), 1);
	ck_str(options_route(o, 0), "api-v1");
	ck_assert_uint_eq(options_service_count(o), 4);
	ck_str(options_service(o, 0), "a");
	ck_str(options_service(o, 1), "pool-max");
	ck_str(options_service(o, 2), "port");
	ck_str(options_service(o, 3), "quotes_service"); /* the exact name, which the env name means too */
	options_free(o);
}
END_TEST

START_TEST(property_keys_may_have_dots_in_the_service)
{
	struct options *o = options_new();

	set(o, LAYER_SOURCE(0), "outrider.upstream.Quotes-Service.shop.timeout.connect", "1s");
	check_good(o, COMMAND_ANY);
	ck_assert_uint_eq(options_service_count(o), 1);
	ck_str(options_service(o, 0), "quotes-service.shop");
	ck_assert_uint_eq(options_of_duration(o, STR("quotes-service.shop"), OPT_TIMEOUT_CONNECT), USEC_SEC);
	ck_assert_uint_eq(options_of_duration(o, STR("quotes-service-shop"), OPT_TIMEOUT_CONNECT), 5 * USEC_SEC);
	options_free(o);
}
END_TEST

START_TEST(env_and_flag_of_one_service_meet)
{
	struct options *o = from_env(ENV("OUTRIDER_UPSTREAM_QUOTES_SERVICE_PORT=1"));

	add_flags(o, "--upstream.quotes-service.port=2");
	set(o, LAYER_SOURCE(0), "outrider.upstream.image.port", "3");
	check_good(o, COMMAND_ANY);
	ck_assert_uint_eq(options_of_u64(o, STR("quotes-service"), OPT_UPSTREAM_PORT), 2);
	ck_assert_uint_eq(options_service_count(o), 2);
	options_free(o);
}
END_TEST

/* --- problems ----------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *env, *flags;
	const char *words[5];
} bad[] = {
	{ "OUTRIDER_WORKRES=2", NULL, { "OUTRIDER_WORKRES=2 (env)", "did you mean OUTRIDER_WORKERS?" } },
	{ "OUTRIDER_UPSTREAM_Q_TIMEOUT_CONECT=2s", NULL, { "did you mean OUTRIDER_UPSTREAM_Q_TIMEOUT_CONNECT?" } },
	{ "OUTRIDER_UPSTRAEM_Q_TIMEOUT_CONNECT=2s", NULL, { "did you mean OUTRIDER_UPSTREAM_Q_TIMEOUT_CONNECT?" } },
	{ "OUTRIDER_ROUTE_A_PREFX=/", NULL, { "did you mean OUTRIDER_ROUTE_A_PREFIX?" } },
	{ "OUTRIDER_ZZZZZZZZZZZZ=1", NULL, { "no such option", "outrider help options" } },
	{ NULL, "--limt.head=1MiB", { "--limt.head=1MiB (flag)", "did you mean --limit.head?" } },
	{ NULL, "--upstream.a.b.conect-tries=1", { "did you mean --upstream.a.b.connect-tries?" } },
	{ "OUTRIDER_WORKERS=100", NULL, { "OUTRIDER_WORKERS=100 (env)", "from 1 to 64", "auto" } },
	{ "OUTRIDER_LIMIT_HEAD=2", NULL, { "from 1KiB to 1MiB" } },
	{ "OUTRIDER_MODE=maybe", NULL, { "one of on, observe, off" } },
	{ "OUTRIDER_TIMEOUT_HEAD=60", NULL, { "the unit is missing", "a duration from 10ms to 1h" } },
	{ "OUTRIDER_UPSTREAM_DEFAULT_ENDPOINTS=10.0.0.1:80", NULL, { "outrider.upstream.<service>.endpoints" } },
	{ "OUTRIDER_ENDPOINTS=10.0.0.1:80", NULL, { "no such option" } },
	{ "OUTRIDER_UPSTREAM_TIMEOUT_CONNECT=1s", NULL, { "no such option" } },
	{ "OUTRIDER_UPSTREAM__PORT=1", NULL, { "no such option" } },
	{ NULL, "--upstream.localhost.port=1", { "\"localhost\" can be no service" } },
	{ NULL, "--timeout.connect", { "--timeout.connect= (flag)", "a duration" } },
	{ NULL, "--upstream.-x.port=1", { "can be no service", "begins and ends" } },
	{ "OUTRIDER_WORKERS_FILE=/x", NULL, { "no such option" } },
	{ "OUTRIDER_ADMIN_TOKEN_FILE=/nonexistent/token", NULL, { "/nonexistent/token", "cannot be read" } },
	{ "OUTRIDER_ADMIN_TOKEN_FILE=/", NULL, { "no regular file" } },
	{ "OUTRIDER_ADMIN_TOKEN=two words", NULL, { "OUTRIDER_ADMIN_TOKEN=*** (env)", "visible ASCII" } },
	{ "OUTRIDER_SERVICE=a\tb", NULL, { "OUTRIDER_SERVICE=a?b", "control bytes" } },
};

START_TEST(bad_keys_and_values)
{
	struct options *o = options_new();
	struct err err = { "" };

	if (bad[_i].env)
		ck_assert(options_add_env(o, ENV((char *)(uintptr_t)bad[_i].env), &err));
	else
		add_flags(o, bad[_i].flags);
	check_bad_(o, COMMAND_ANY, bad[_i].words);
	options_free(o);
}
END_TEST

START_TEST(all_problems_are_collected)
{
	struct options *o = from_env(ENV("OUTRIDER_WORKERS=0", "OUTRIDER_MOOD=x", "OUTRIDER_LIMIT_HEAD=-1",
					 "OUTRIDER_LIMIT_FIELDS=9"));
	struct err err = { "" };

	ck_assert(!options_check(o, COMMAND_ANY, &err));
	ck_assert_uint_eq(options_problem_count(o), 3);
	ck_assert_ptr_nonnull(strstr(err.text, "and 2 more"));
	ck_assert_ptr_eq(options_problem(o, 0)->row, option_row(OPT_WORKERS));
	ck_assert_ptr_null(options_problem(o, 1)->row);
	ck_assert_ptr_null(options_problem(o, 3));
	ck_assert_uint_eq(options_u64(o, OPT_LIMIT_FIELDS), 9);
	ck_assert_uint_eq(options_u64(o, OPT_LIMIT_HEAD), 65536);
	options_free(o);
}
END_TEST

START_TEST(many_problems_are_counted_not_kept)
{
	struct options *o = options_new();
	struct err err;
	char key[64];

	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "outrider.unknown%d", i);
		set(o, LAYER_SOURCE(0), key, "x");
	}
	ck_assert(!options_check(o, COMMAND_ANY, &err));
	ck_assert_uint_eq(options_problem_count(o), OPTIONS_PROBLEMS_MAX);
	ck_assert_uint_eq(options_problem_total(o), 1000);
	options_free(o);
}
END_TEST

START_TEST(a_bad_value_leaves_the_weaker_layer)
{
	struct options *o = from_env(ENV("OUTRIDER_LIMIT_FIELDS=many"));

	set(o, LAYER_SOURCE(0), "outrider.limit.fields", "99");
	ck_assert_uint_eq(options_u64(o, OPT_LIMIT_FIELDS), 99);
	options_free(o);
}
END_TEST

START_TEST(two_spellings_in_one_layer_collide)
{
	struct options *o = from_env(ENV("OUTRIDER_TIMEOUT_CONNECT=1s", "OUTRIDER_UPSTREAM_DEFAULT_TIMEOUT_CONNECT=1s"));
	check_bad(o, COMMAND_ANY, "OUTRIDER_UPSTREAM_DEFAULT_TIMEOUT_CONNECT", "OUTRIDER_TIMEOUT_CONNECT says the same");
	options_free(o);

	o = from_env(ENV("OUTRIDER_UPSTREAM_A_B_PORT=1", "OUTRIDER_UPSTREAM_A-B_PORT=2"));
	check_bad(o, COMMAND_ANY, "OUTRIDER_UPSTREAM_A-B_PORT", "keep one of them");
	options_free(o);
}
END_TEST

START_TEST(an_env_name_that_means_two_services_is_an_error)
{
	struct options *o = from_env(ENV("OUTRIDER_UPSTREAM_A_B_PORT=1", "OUTRIDER_UPSTREAMS=a-b:9001,a.b:9002"));
	check_bad(o, COMMAND_ANY, "OUTRIDER_UPSTREAM_A_B_PORT", "two names differ only in");
	options_free(o);

	o = from_env(ENV("OUTRIDER_UPSTREAM_A_C_PORT=1", "OUTRIDER_UPSTREAMS=a-b:9001,a.b:9002"));
	check_good(o, COMMAND_ANY);
	ck_assert_uint_eq(options_service_count(o), 3);
	options_free(o);
}
END_TEST

static const struct {
	enum option_layer layer;
	const char *key, *value;
	const char *why; /* NULL: allowed */
} rights[] = {
	{ LAYER_LABEL, "outrider.service", "a", NULL },
	{ LAYER_LABEL, "outrider.port", "6767", NULL },
	{ LAYER_LABEL, "outrider.port", "unix:@app", NULL },
	{ LAYER_CONTAINER_ENV, "outrider.port", "unix:/var/run/docker.sock", "may name no path" },
	{ LAYER_CONTAINER_ENV, "outrider.inbound", "0.0.0.0:1,UNIX:/x", "may name no path" },
	{ LAYER_CONTAINER_ENV, "outrider.upstream.a.endpoints", "unix:/var/run/docker.sock", "may name no path" },
	{ LAYER_LABEL, "outrider.workers", "2", "only the agent's own flags and environment" },
	{ LAYER_CONTAINER_ENV, "outrider.admin.token-file", "/x", "only the agent's own" },
	{ LAYER_CONTAINER_ENV, "outrider.eureka.password", "x", "--secret-add NAME outrider_agent" },
	{ LAYER_LABEL, "outrider.registry", "dns:", "in the environment of the agent's service" },
	{ LAYER_CONTAINER_ENV, "outrider.trusted-peers", "0.0.0.0/0", "only the agent and its sources" },
	{ LAYER_SOURCE(0), "outrider.trusted-peers", "10.0.0.0/8", NULL },
	{ LAYER_SOURCE(0), "outrider.workers", "2", "only the agent's own flags and environment" },
	{ LAYER_SOURCE(0), "outrider.port", "unix:/run/app", NULL },
};

START_TEST(who_may_set_what)
{
	struct options *o = options_new();

	set(o, rights[_i].layer, rights[_i].key, rights[_i].value);
	if (rights[_i].why)
		check_bad(o, COMMAND_ANY, rights[_i].why, rights[_i].key);
	else
		check_good(o, COMMAND_ANY);
	options_free(o);
}
END_TEST

/* --- secrets ------------------------------------------------------------------------------------------------------------- */

static void write_file(char path[32], const char *bytes, size_t n)
{
	memcpy(path, "/tmp/outrider-test-XXXXXX", 26);
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

START_TEST(a_secret_comes_from_a_file)
{
	char path[32], env[128];

	write_file(path, "s3cret-token\r\n\n", 15);
	snprintf(env, sizeof(env), "OUTRIDER_ADMIN_TOKEN_FILE=%s", path);
	struct options *o = from_env(ENV(env));
	check_good(o, COMMAND_ANY);
	ck_str(options_text(o, OPT_ADMIN_TOKEN), "s3cret-token");
	options_free(o);
	o = from_env(ENV(env, "OUTRIDER_ADMIN_TOKEN=another-token"));
	check_bad(o, COMMAND_ANY, "OUTRIDER_ADMIN_TOKEN=***", "OUTRIDER_ADMIN_TOKEN_FILE says the same");
	options_free(o);
	unlink(path);
}
END_TEST

START_TEST(a_secret_file_is_bounded)
{
	static char big[OPTIONS_VALUE_MAX + 1];
	char path[32], env[128];

	memset(big, 'a', sizeof(big));
	write_file(path, big, sizeof(big));
	snprintf(env, sizeof(env), "OUTRIDER_ADMIN_TOKEN_FILE=%s", path);
	struct options *o = from_env(ENV(env));
	check_bad(o, COMMAND_ANY, "larger than 65536 bytes");
	options_free(o);
	unlink(path);
}
END_TEST

START_TEST(a_secret_is_never_printed)
{
	struct options *o = from_env(ENV("OUTRIDER_ADMIN_TOKEN=hunter2hunter2", "OUTRIDER_UPSTREAM_A_PORT=1"));
	struct text t;

	add_flags(o, "--admin.token=hunter3hunter3");
	add_flags(o, "--admin.token=hunter4hunter4"); /* replaces and wipes */
	check_good(o, COMMAND_ANY);
	text_init(&t, 1 << 20);
	options_print(o, &t, OPTIONS_TEXT);
	options_print(o, &t, OPTIONS_JSON);
	options_print(o, &t, OPTIONS_PROPERTIES);
	ck_assert(!t.failed);
	ck_assert_ptr_null(strstr(text_z(&t), "hunter"));
	ck_assert_ptr_nonnull(strstr(text_z(&t), "outrider.admin.token=***"));
	ck_assert_ptr_nonnull(strstr(text_z(&t), "\"key\":\"outrider.upstream.a.port\",\"value\":\"1\",\"origin\":\"env\""));
	ck_str(options_text(o, OPT_ADMIN_TOKEN), "hunter4hunter4");
	text_release(&t);
	options_free(o);
}
END_TEST

/* --- short memory, many keys ------------------------------------------------------------------------------------------------ */

static bool read_everything(bool *good)
{
	struct err err;
	int rest;
	char *argv[] = { "--upstream.quotes.timeout.connect=2s", "--admin.token=abc", "--admin.token=abd", "--bad=1" };
	struct options *o = options_new();
	struct text t;
	bool ok = o && options_add_env(o, ENV("OUTRIDER_UPSTREAMS=quotes:9001,image:9002",
					      "OUTRIDER_UPSTREAM_QUOTES_PORT=8080", "OUTRIDER_ROUTE_A_UPSTREAM=b"), &err) &&
		  options_add_flags(o, ROWS(argv), argv, &rest, &err);

	*good = ok && options_check(o, COMMAND_ANY, &err);
	ok = ok && strstr(err.text, "memory") == NULL;
	text_init(&t, 1 << 20);
	if (ok)
		options_print(o, &t, OPTIONS_JSON);
	text_release(&t);
	options_free(o);
	return ok;
}

START_TEST(every_allocation_may_fail)
{
	bool good, done = false;

	for (unsigned long k = 1; !done && k < 1000; k++) {
		mem_fail_at(k);
		done = read_everything(&good) && mem_count() < k;
		ck_assert(!good); /* --bad is a problem in any case */
		mem_fail_at(0);
	}
	ck_assert(done);
}
END_TEST

START_TEST(ten_thousand_keys)
{
	struct options *o = options_new();
	char key[96], value[32];

	for (int i = 0; i < 10000; i++) {
		snprintf(key, sizeof(key), "outrider.upstream.service-%d.timeout.connect", i);
		snprintf(value, sizeof(value), "%dms", i + 1);
		set(o, LAYER_SOURCE(0), key, value);
	}
	usec before = clock_now();
	check_good(o, COMMAND_ANY);
	ck_assert_uint_lt(clock_now() - before, 2 * USEC_SEC); /* a table, not a list of lists */
	ck_assert_uint_eq(options_service_count(o), 10000);
	ck_assert_uint_eq(options_of_duration(o, STR("service-4711"), OPT_TIMEOUT_CONNECT), 4712 * USEC_MS);
	options_free(o);
}
END_TEST

Suite *suite_options_layers(void)
{
	Suite *s = suite_create("options_layers");
	TCase *t = tcase_create("layers");

	tcase_add_test(t, all_forms_of_a_key_are_one_option);
	tcase_add_test(t, the_strongest_layer_wins_in_any_order);
	tcase_add_test(t, the_same_key_again_in_a_layer_replaces);
	tcase_add_test(t, flags);
	tcase_add_test(t, a_flag_without_its_value_is_a_problem);
	tcase_add_test(t, foreign_keys_are_passed_over);
	tcase_add_test(t, upstream_options_fall_back_to_default);
	tcase_add_test(t, names_of_the_sidecar_are_no_short_forms);
	tcase_add_test(t, the_longest_known_suffix_wins);
	tcase_add_test(t, property_keys_may_have_dots_in_the_service);
	tcase_add_test(t, env_and_flag_of_one_service_meet);
	tcase_add_loop_test(t, bad_keys_and_values, 0, ROWS(bad));
	tcase_add_test(t, all_problems_are_collected);
	tcase_add_test(t, many_problems_are_counted_not_kept);
	tcase_add_test(t, a_bad_value_leaves_the_weaker_layer);
	tcase_add_test(t, two_spellings_in_one_layer_collide);
	tcase_add_test(t, an_env_name_that_means_two_services_is_an_error);
	tcase_add_loop_test(t, who_may_set_what, 0, ROWS(rights));
	tcase_add_test(t, a_secret_comes_from_a_file);
	tcase_add_test(t, a_secret_file_is_bounded);
	tcase_add_test(t, a_secret_is_never_printed);
	tcase_add_test(t, every_allocation_may_fail);
	tcase_add_test(t, ten_thousand_keys);
	suite_add_tcase(s, t);
	return s;
}
