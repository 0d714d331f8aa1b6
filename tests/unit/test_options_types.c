/* Every type of option: what is accepted, what is not, and what the message says. */
#include "control/cpus.h"
#include "control/help_tables.h"
#include "control/option_key.h"
#include "control/option_value.h"
#include "options_help.h"

struct value_case {
	enum option_type type;
	const char *text;
	uint64_t want; /* NO: refused */
};

#define NO UINT64_MAX

static const struct value_case cases[] = {
	{ OPTION_UINT, "1", 1 },
	{ OPTION_UINT, "64", 64 },
	{ OPTION_UINT, "0", NO },
	{ OPTION_UINT, "65", NO },
	{ OPTION_UINT, "-1", NO },
	{ OPTION_UINT, "2x", NO },
	{ OPTION_UINT, "", NO },
	{ OPTION_UINT, "99999999999999999999", NO },
	{ OPTION_BOOL, "on", 1 },
	{ OPTION_BOOL, "off", 0 },
	{ OPTION_BOOL, "TRUE", 1 },
	{ OPTION_BOOL, "false", 0 },
	{ OPTION_BOOL, "yes", NO },
	{ OPTION_BOOL, "", NO },
	{ OPTION_PERCENT, "50%", 50 },
	{ OPTION_PERCENT, "1%", 1 },
	{ OPTION_PERCENT, "50", NO },
	{ OPTION_PERCENT, "101%", NO },
	{ OPTION_PERCENT, "%", NO },
	{ OPTION_CHOICE, "on", 0 },
	{ OPTION_CHOICE, "Observe", 1 },
	{ OPTION_CHOICE, "off", 2 },
	{ OPTION_CHOICE, "of", NO },
	{ OPTION_CHOICE, "", NO },
	{ OPTION_NAME, "quotes-service.shop", 0 },
	{ OPTION_NAME, "a_b", 0 },
	{ OPTION_NAME, "default", NO },
	{ OPTION_NAME, "localhost", NO },
	{ OPTION_NAME, "10.0.0.1", NO },
	{ OPTION_NAME, "-a", NO },
	{ OPTION_NAME, "a b", NO },
	{ OPTION_NAME, "", NO },
	{ OPTION_SECRET, "s3cret", 0 },
	{ OPTION_SECRET, "", NO },
	{ OPTION_SECRET, "two words", NO },
	{ OPTION_LISTEN, "127.0.0.1:4140,[::1]:4140", 0 },
	{ OPTION_LISTEN, "unix:/run/x,unix:@x, :80", 0 },
	{ OPTION_LISTEN, "127.0.0.1:0", 0 },
	{ OPTION_LISTEN, "localhost:80", 0 },
	{ OPTION_LISTEN, "", NO },
	{ OPTION_LISTEN, "127.0.0.1", NO },
	{ OPTION_LISTEN, "::1:80", NO },
	{ OPTION_LISTEN, "127.0.0.1:65536", NO },
	{ OPTION_HANDLER, "6767", 0 },
	{ OPTION_HANDLER, "127.0.0.1:6767", 0 },
	{ OPTION_HANDLER, "localhost:6767", 0 },
	{ OPTION_HANDLER, "unix:/run/app.sock", 0 },
	{ OPTION_HANDLER, "unix:@app", 0 },
	{ OPTION_HANDLER, "0", NO },
	{ OPTION_HANDLER, "65536", NO },
	{ OPTION_HANDLER, "127.0.0.1:0", NO },
	{ OPTION_HANDLER, "app", NO },
	{ OPTION_HANDLER, "", NO },
	{ OPTION_ENDPOINTS, "10.0.0.5:8080, 10.0.0.6:8080,", 0 },
	{ OPTION_ENDPOINTS, "[fd00::1]:80", 0 },
	{ OPTION_ENDPOINTS, "", 0 },
	{ OPTION_ENDPOINTS, "10.0.0.5", NO },
	{ OPTION_ENDPOINTS, "10.0.0.5:0", NO },
	{ OPTION_ENDPOINTS, "quotes:8080", NO },
	{ OPTION_CIDRS, "10.0.0.0/8,::1,private", 0 },
	{ OPTION_CIDRS, "none", 0 },
	{ OPTION_CIDRS, "10.0.0.0/33", NO },
	{ OPTION_CIDRS, "everybody", NO },
	{ OPTION_HOSTS, "api.example.org,*.example.net,10.0.0.1", 0 },
	{ OPTION_HOSTS, "", 0 },
	{ OPTION_HOSTS, "a.example.org:443", NO },
	{ OPTION_HOSTS, "*", NO },
	{ OPTION_HOSTS, "*.", NO },
	{ OPTION_HOST, "*.example.org", 0 },
	{ OPTION_HOST, "a b", NO },
	{ OPTION_PREFIX, "/", 0 },
	{ OPTION_PREFIX, "/api/v1", 0 },
	{ OPTION_PREFIX, "api", NO },
	{ OPTION_PREFIX, "/a?b", NO },
	{ OPTION_PREFIX, "", NO },
	{ OPTION_PLUGINS, "file:/etc/outrider,spring:http://a:1|http://b:1", 0 },
	{ OPTION_PLUGINS, "dns:", 0 },
	{ OPTION_PLUGINS, "8080", NO },
	{ OPTION_PLUGINS, ":x", NO },
	{ OPTION_UPSTREAMS, "quotes:9001", 0 },
	{ OPTION_UPSTREAMS, "", 0 },
	{ OPTION_UPSTREAMS, "quotes", NO },
	{ OPTION_SUBSETS, "version=2:5%", 0 },
	{ OPTION_SUBSETS, " version=2 : 5 , tier=gold:0.25%, url=http://x:0%,", 0 },
	{ OPTION_SUBSETS, "", 0 },
	{ OPTION_SUBSETS, "a=1:1,a=2:1,a=3:1,a=4:1,a=5:1,a=6:1,a=7:94", 0 },
	{ OPTION_SUBSETS, "a=1:1,a=2:1,a=3:1,a=4:1,a=5:1,a=6:1,a=7:1,a=8:1", NO },
	{ OPTION_SUBSETS, "version=2:150%", NO },
	{ OPTION_SUBSETS, "version=2", NO },
	{ OPTION_SUBSETS, "version=2:", NO },
	{ OPTION_SUBSETS, "version=2:%", NO },
	{ OPTION_SUBSETS, "version=2:-5%", NO },
	{ OPTION_SUBSETS, "version=2:0.125%", NO },
	{ OPTION_SUBSETS, "version=2:5.%", NO },
	{ OPTION_SUBSETS, "=2:5%", NO },
	{ OPTION_SUBSETS, "version:5%", NO },
	{ OPTION_SUBSETS, "a=1:60%,a=2:41%", NO },
	{ OPTION_SUBSETS, "a=1:5%,a=1:6%", NO },
	{ OPTION_HASH, "client", 0 },
	{ OPTION_HASH, "", 0 },
	{ OPTION_HASH, "header:X-User", 0 },
	{ OPTION_HASH, "cookie:JSESSIONID", 0 },
	{ OPTION_HASH, "query:user[id]", 0 },
	{ OPTION_HASH, "heder:X-User", NO },
	{ OPTION_HASH, "header:", NO },
	{ OPTION_HASH, "header", NO },
	{ OPTION_HASH, "header:X User", NO },
	{ OPTION_HASH, "cookie:a=b", NO },
	{ OPTION_HASH, "query:a&b", NO },
	{ OPTION_COOKIE, "", 0 },
	{ OPTION_COOKIE, "OUTRIDER", 0 },
	{ OPTION_COOKIE, "a b", NO },
	{ OPTION_COOKIE, "a=1; Secure", NO },
	{ OPTION_TEXT, "x", 0 },
	{ OPTION_TEXT, "a\nb", NO },
};

/* `off` in YAML is false to Spring, and so it arrives from a config server. */
START_TEST(what_yaml_makes_of_on_and_off)
{
	struct options *o = options_new();
	struct err err = { "" };

	set(o, LAYER_SOURCE(0), "outrider.mode", "false");
	set(o, LAYER_SOURCE(0), "outrider.egress", "true");
	set(o, LAYER_SOURCE(0), "outrider.timeout.stall", "false");
	set(o, LAYER_SOURCE(0), "outrider.forward.via", "false");
	ck_str(options_text(o, OPT_MODE), "off");
	ck_str(options_text(o, OPT_TIMEOUT_STALL), "off");
	ck_assert(!options_bool(o, OPT_FORWARD_VIA));
	ck_assert(!options_check(o, COMMAND_ANY, &err)); /* egress has no on */
	ck_assert_uint_eq(options_problem_count(o), 1);
	options_free(o);
}
END_TEST

START_TEST(types)
{
	const struct value_case *c = &cases[_i];
	struct option_row row = { .name = "x", .type = (uint8_t)c->type, .min = 1, .max = 64, .unit = "on|observe|off" };
	uint64_t got = 12345;
	struct err why = { "" };
	bool ok = option_value_parse(&row, str_of(c->text), &got, &why);

	if (c->want == NO) {
		ck_assert_msg(!ok, "\"%s\" was accepted", c->text);
		ck_assert_uint_eq(got, 12345);
		ck_assert_msg(strstr(why.text, "expected ") != NULL, "%s", why.text);
	} else {
		ck_assert_msg(ok, "\"%s\": %s", c->text, why.text);
		ck_assert_uint_eq(got, c->want);
	}
}
END_TEST

static const struct {
	const char *text;
	uint64_t want;
} units[] = {
	{ "250ms", 250 * USEC_MS }, { "2s", 2 * USEC_SEC },     { "5m", 300 * USEC_SEC }, { "1h", 3600 * USEC_SEC },
	{ "1d", 86400 * USEC_SEC }, { "7us", 7 },               { "2 s", 2 * USEC_SEC },  { "2S", 2 * USEC_SEC },
	{ "2", NO },                { "s", NO },                { "", NO },               { "-2s", NO },
	{ "1.5s", NO },             { "2s3", NO },              { "2x", NO },             { "300000000000000d", NO },
};

START_TEST(durations)
{
	usec got = 0;
	bool ok = duration_parse(str_of(units[_i].text), &got);

	ck_assert_msg(ok == (units[_i].want != NO), "%s", units[_i].text);
	if (ok)
		ck_assert_uint_eq(got, units[_i].want);
}
END_TEST

START_TEST(sizes)
{
	static const struct {
		const char *text;
		uint64_t want;
	} rows[] = {
		{ "4096", 4096 },    { "64KiB", 65536 },    { "1MiB", 1 << 20 },     { "10MB", 10000000 }, { "1GiB", 1 << 30 },
		{ "10 kb", 10000 },  { "2B", 2 },           { "64K", NO },           { "KiB", NO },	    { "", NO },
		{ "-1", NO },        { "99999999999GiB", NO },
	};
	uint64_t got = 0;

	for (int i = 0; i < ROWS(rows); i++) {
		ck_assert_msg(size_parse(str_of(rows[i].text), &got) == (rows[i].want != NO), "%s", rows[i].text);
		if (rows[i].want != NO)
			ck_assert_uint_eq(got, rows[i].want);
	}
}
END_TEST

START_TEST(numbers_print_in_the_largest_unit)
{
	struct text t;

	text_init(&t, 100);
	duration_text(&t, 90 * USEC_SEC);
	text_char(&t, ' ');
	duration_text(&t, 3600 * USEC_SEC);
	text_char(&t, ' ');
	duration_text(&t, 0);
	text_char(&t, ' ');
	size_text(&t, 65536);
	text_char(&t, ' ');
	size_text(&t, 1000);
	ck_assert_str_eq(text_z(&t), "90s 1h 0s 64KiB 1000");
	text_release(&t);
}
END_TEST

START_TEST(off_and_auto_are_values_where_the_row_says_so)
{
	struct option_row row = { .type = OPTION_DURATION, .min = USEC_MS, .max = USEC_SEC, .flags = OPTION_OFF };
	struct err why = { "" };
	uint64_t got = 1;

	ck_assert(option_value_parse(&row, STR("off"), &got, &why));
	ck_assert_uint_eq(got, 0);
	ck_assert(!option_value_parse(&row, STR("auto"), &got, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "a duration from 1ms to 1s (250ms, 2s, 5m, 1h), or off"));
	ck_assert(!option_value_parse(&row, STR("500"), &got, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "the unit is missing"));
	row.flags = 0;
	ck_assert(!option_value_parse(&row, STR("off"), &got, &why));
}
END_TEST

START_TEST(a_value_has_at_most_64_kib)
{
	static char big[OPTIONS_VALUE_MAX + 1];
	struct option_row row = { .type = OPTION_TEXT };
	uint64_t got;

	memset(big, 'a', sizeof(big));
	ck_assert(option_value_parse(&row, str_make(big, OPTIONS_VALUE_MAX), &got, NULL));
	ck_assert(!option_value_parse(&row, str_make(big, OPTIONS_VALUE_MAX + 1), &got, NULL));
}
END_TEST

/* --- the table itself ------------------------------------------------------------------------------------------------ */

START_TEST(every_default_is_a_value_of_its_row)
{
	const struct option_row *row = option_row((enum option_id)_i);
	uint64_t got;
	struct err why = { "" };

	if (row->def[0])
		ck_assert_msg(option_value_parse(row, str_of(row->def), &got, &why), "%s: %s", row->name, why.text);
	ck_assert_msg(row->def[0] || row->type > OPTION_PERCENT, "%s: a number needs a default", row->name);
	ck_assert_msg(row->help[0] && row->help[strlen(row->help) - 1] == '.', "%s: one paragraph", row->name);
	ck_assert_msg(strchr(row->name, '_') == NULL, "%s: - in names", row->name);
}
END_TEST

/* Names that differ only in - and . would be one name in the environment. */
START_TEST(every_row_is_found_by_its_env_name)
{
	const struct option_row *row = option_row((enum option_id)_i);
	struct row_index x;
	struct option_key k;
	struct text t;

	row_index_init(&x);
	text_init(&t, 1000);
	text_fmt(&t, "%s%s", row->scope == SCOPE_UPSTREAM ? "upstream.some-thing." :
			     row->scope == SCOPE_ROUTE	  ? "route.some-thing." :
							    "", row->name);
	ck_assert(key_parse(&x, text_str(&t), KEY_PROPERTY, &k));
	ck_assert_int_eq(k.id, _i);
	struct text env;
	text_init(&env, 1000);
	key_env(&env, text_str(&t));
	struct str name;
	ck_assert(key_strip(text_str(&env), KEY_ENV, &name));
	ck_assert(key_parse(&x, name, KEY_ENV, &k));
	ck_assert_int_eq(k.id, _i);
	ck_assert(k.folded == (row->scope >= SCOPE_UPSTREAM));
	text_release(&env);
	text_release(&t);
}
END_TEST

START_TEST(cpus)
{
	ck_assert_uint_eq(cpus_from_quota(STR("200000 100000\n")), 2);
	ck_assert_uint_eq(cpus_from_quota(STR("50000 100000")), 1);
	ck_assert_uint_eq(cpus_from_quota(STR("150000 100000")), 2);
	ck_assert_uint_eq(cpus_from_quota(STR("max 100000")), 0);
	ck_assert_uint_eq(cpus_from_quota(STR("-1 100000")), 0);
	ck_assert_uint_eq(cpus_from_quota(STR("1 0")), 0);
	ck_assert_uint_eq(cpus_from_quota(STR("")), 0);
	ck_assert_uint_ge(cpus_granted(), 1);
}
END_TEST

START_TEST(help_pages)
{
	struct text t;

	text_init(&t, 1 << 20);
	options_help_text(&t, true);
	for (unsigned i = 0; i < OPT_COUNT; i++) {
		char want[128];
		snprintf(want, sizeof(want), "%s`\n", option_row((enum option_id)i)->name);
		ck_assert_msg(strstr(text_z(&t), want) != NULL, "%s", want);
	}
	ck_assert_ptr_nonnull(strstr(text_z(&t), "`OUTRIDER_UPSTREAM_<SERVICE>_TIMEOUT_CONNECT`"));
	options_help_text(&t, false);
	reasons_help_text(&t, true);
	reasons_help_text(&t, false);
	metrics_help_text(&t, true);
	metrics_help_text(&t, false);
	ck_assert_ptr_nonnull(strstr(text_z(&t), "| `no-route` | 404 | route | config |"));
	ck_assert_ptr_nonnull(strstr(text_z(&t), "| `outrider_requests_total` | counter |"));
	ck_assert(!t.failed);
	text_release(&t);
}
END_TEST

Suite *suite_options_types(void)
{
	Suite *s = suite_create("options_types");
	TCase *t = tcase_create("types");

	tcase_add_test(t, what_yaml_makes_of_on_and_off);
	tcase_add_loop_test(t, types, 0, ROWS(cases));
	tcase_add_loop_test(t, durations, 0, ROWS(units));
	tcase_add_test(t, sizes);
	tcase_add_test(t, numbers_print_in_the_largest_unit);
	tcase_add_test(t, off_and_auto_are_values_where_the_row_says_so);
	tcase_add_test(t, a_value_has_at_most_64_kib);
	tcase_add_loop_test(t, every_default_is_a_value_of_its_row, 0, OPT_COUNT);
	tcase_add_loop_test(t, every_row_is_found_by_its_env_name, 0, OPT_COUNT);
	tcase_add_test(t, cpus);
	tcase_add_test(t, help_pages);
	suite_add_tcase(s, t);
	return s;
}
