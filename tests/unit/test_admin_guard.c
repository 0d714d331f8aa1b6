/* Who may ask the admin port what. */
#include "control/guard.h"

#include <check.h>

#define TOKEN "correct-horse"

static const struct {
	const char *local, *peer; /* accepted on, from */
	const char *host, *origin, *mark, *authorization;
	bool changes;
	const char *token;
	enum guard_verdict want;
} rows[] = {
	/* reading */
	{ "127.0.0.1:4191", "127.0.0.1:5", "127.0.0.1:4191", 0, 0, 0, false, "", GUARD_ALLOW },
	{ "127.0.0.1:4191", "127.0.0.1:5", "LocalHost:4191", 0, 0, 0, false, "", GUARD_ALLOW },
	{ "127.0.0.1:4191", "127.0.0.1:5", "localhost", 0, 0, 0, false, "", GUARD_ALLOW },
	{ "127.0.0.1:4191", "127.0.0.1:5", "127.9.9.9", 0, 0, 0, false, "", GUARD_ALLOW },
	{ "[::1]:4191", "[::1]:5", "[::1]:4191", 0, 0, 0, false, "", GUARD_ALLOW },
	{ "[::1]:4191", "[::1]:5", "[::1]", 0, 0, 0, false, "", GUARD_ALLOW },
	{ "10.0.0.5:4191", "10.0.0.9:5", "10.0.0.5:4191", 0, 0, 0, false, "", GUARD_ALLOW },
	{ "10.0.0.5:4191", "10.0.0.9:5", "10.0.0.6:4191", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "agent.internal:4191", 0, 0, 0, false, "", GUARD_ALLOW },
	{ "10.0.0.5:4191", "10.0.0.9:5", "Agent.Internal", 0, 0, 0, false, "", GUARD_ALLOW },
	{ "127.0.0.1:4191", "127.0.0.1:5", "evil.example:4191", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "127.0.0.1:4191", "127.0.0.1:5", "localhost.evil.example", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "127.0.0.1:4191", "127.0.0.1:5", "127.0.0.1.evil.example", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "127.0.0.1:4191", "127.0.0.1:5", "[::1", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "127.0.0.1:4191", "127.0.0.1:5", "", 0, 0, 0, false, "", GUARD_HOST_MISSING },
	{ "127.0.0.1:4191", "127.0.0.1:5", 0, 0, 0, 0, false, "", GUARD_HOST_MISSING },
	{ "unix:@outrider", "unix:", "localhost", 0, 0, 0, false, "", GUARD_ALLOW },
	/* names below a listed one, and what only looks so */
	{ "10.0.0.5:4191", "10.0.0.9:5", "ops.example.net", 0, 0, 0, false, "", GUARD_ALLOW },
	{ "10.0.0.5:4191", "10.0.0.9:5", "n1.ops.Example.NET:4191", 0, 0, 0, false, "", GUARD_ALLOW },
	{ "10.0.0.5:4191", "10.0.0.9:5", "example.net", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", ".example.net", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "a..example.net", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", ".a.example.net", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "evilexample.net", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "ops.example.net.evil.example", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "evil.example:ops.example.net", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "ops.example.net:evil.example", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "evil.example/.example.net", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "evil.example@ops.example.net", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "*.example.net", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "ops.example.net.", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "agent.internal.", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "x.agent.internal", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "[fd00::5]:4191", 0, 0, 0, false, "", GUARD_ALLOW },
	{ "10.0.0.5:4191", "10.0.0.9:5", "[fd00::6]", 0, 0, 0, false, "", GUARD_ALLOW },
	{ "10.0.0.5:4191", "10.0.0.9:5", "[fd00::5]x", 0, 0, 0, false, "", GUARD_HOST_FOREIGN },
	{ "10.0.0.5:4191", "10.0.0.9:5", "ops.example.net", "https://ops.example.net", 0, 0, false, "", GUARD_ALLOW },
	{ "10.0.0.5:4191", "10.0.0.9:5", "ops.example.net", "https://mail.example.net", 0, 0, false, "", GUARD_ORIGIN_FOREIGN },
	/* from pages */
	{ "127.0.0.1:4191", "127.0.0.1:5", "localhost:4191", "http://localhost:4191", 0, 0, false, "",
		GUARD_ALLOW },
	{ "127.0.0.1:4191", "127.0.0.1:5", "localhost:4191", "https://localhost:4191", 0, 0, false, "",
		GUARD_ALLOW },
	{ "127.0.0.1:4191", "127.0.0.1:5", "localhost:4191", "http://localhost:8080", 0, 0, false, "",
		GUARD_ORIGIN_FOREIGN },
	{ "127.0.0.1:4191", "127.0.0.1:5", "localhost:4191", "http://evil.example", 0, 0, false, "",
		GUARD_ORIGIN_FOREIGN },
	{ "127.0.0.1:4191", "127.0.0.1:5", "localhost:4191", "null", 0, 0, false, "", GUARD_ORIGIN_FOREIGN },
	{ "127.0.0.1:4191", "127.0.0.1:5", "localhost:4191", "", 0, 0, false, "", GUARD_ORIGIN_FOREIGN },
	/* changing state on loopback */
	{ "127.0.0.1:4191", "127.0.0.1:5", "localhost", 0, 0, 0, true, "", GUARD_MARK_MISSING },
	{ "127.0.0.1:4191", "127.0.0.1:5", "localhost", 0, "yes", 0, true, "", GUARD_MARK_MISSING },
	{ "127.0.0.1:4191", "127.0.0.1:5", "localhost", 0, "1", 0, true, "", GUARD_ALLOW },
	{ "127.0.0.1:4191", "127.0.0.1:5", "localhost", 0, "1", 0, true, TOKEN, GUARD_ALLOW },
	{ "127.0.0.1:4191", "127.0.0.1:5", "localhost", "http://evil.example", "1", 0, true, "",
		GUARD_ORIGIN_FOREIGN },
	{ "unix:@outrider", "unix:", "localhost", 0, "1", 0, true, "", GUARD_ALLOW },
	/* changing state from elsewhere */
	{ "10.0.0.5:4191", "10.0.0.9:5", "10.0.0.5", 0, "1", 0, true, "", GUARD_TOKEN_UNSET },
	{ "10.0.0.5:4191", "10.0.0.9:5", "10.0.0.5", 0, "1", "Bearer ", true, "", GUARD_TOKEN_UNSET },
	{ "10.0.0.5:4191", "10.0.0.9:5", "10.0.0.5", 0, "1", 0, true, TOKEN, GUARD_TOKEN_WRONG },
	{ "10.0.0.5:4191", "10.0.0.9:5", "10.0.0.5", 0, "1", "Bearer", true, TOKEN, GUARD_TOKEN_WRONG },
	{ "10.0.0.5:4191", "10.0.0.9:5", "10.0.0.5", 0, "1", "Bearer wrong", true, TOKEN, GUARD_TOKEN_WRONG },
	{ "10.0.0.5:4191", "10.0.0.9:5", "10.0.0.5", 0, "1", "Bearer " TOKEN "x", true, TOKEN,
		GUARD_TOKEN_WRONG },
	{ "10.0.0.5:4191", "10.0.0.9:5", "10.0.0.5", 0, "1", "Basic " TOKEN, true, TOKEN, GUARD_TOKEN_WRONG },
	{ "10.0.0.5:4191", "10.0.0.9:5", "10.0.0.5", 0, "1", "bearer " TOKEN, true, TOKEN, GUARD_ALLOW },
	{ "10.0.0.5:4191", "10.0.0.9:5", "10.0.0.5", 0, 0, "Bearer " TOKEN, true, TOKEN, GUARD_MARK_MISSING },
};

static struct addr address(const char *z)
{
	struct addr a = { .len = sizeof(sa_family_t),
		.sa = { .sa_family = AF_UNIX } }; /* a client's unnamed socket */
	struct err err;
	if (strcmp(z, "unix:") != 0)
		ck_assert_msg(addr_parse(str_of(z), &a, &err), "%s", err.text);
	return a;
}

START_TEST(verdicts)
{
	struct addr local = address(rows[_i].local), peer = address(rows[_i].peer);
	struct guard_policy p = { .token = str_of(rows[_i].token), .hosts = STR("other, agent.internal, *.example.net, fd00::5, [fd00::6]") };
	struct guard_request r = {
		.host = str_of(rows[_i].host),
		.origin = str_of(rows[_i].origin),
		.mark = str_of(rows[_i].mark),
		.authorization = str_of(rows[_i].authorization),
		.changes_state = rows[_i].changes,
		.local = &local,
		.peer = &peer,
	};
	enum guard_verdict v = guard_judge(&p, &r);
	ck_assert_msg(v == rows[_i].want, "row %d (Host %s): %s", _i, rows[_i].host, guard_row(v)->word);
}
END_TEST

START_TEST(repeated_host)
{
	struct addr a = address("127.0.0.1:4191");
	struct guard_policy p = { .token = STR("") };
	struct guard_request r = { .host = STR("localhost"), .host_repeated = true, .local = &a, .peer = &a };
	ck_assert_int_eq(guard_judge(&p, &r), GUARD_HOST_MISSING);
}
END_TEST

START_TEST(every_refusal_has_a_remedy)
{
	for (unsigned v = GUARD_ALLOW + 1; v < GUARD_VERDICTS; v++) {
		ck_assert_int_ge(guard_row((enum guard_verdict)v)->status, 400);
		ck_assert_uint_gt(strlen(guard_row((enum guard_verdict)v)->remedy), 10);
	}
}
END_TEST

START_TEST(secrets)
{
	ck_assert(guard_secret_eq(STR("abc"), STR("abc")));
	ck_assert(!guard_secret_eq(STR("abc"), STR("abd")));
	ck_assert(!guard_secret_eq(STR("abcabc"), STR("abc")));
	ck_assert(!guard_secret_eq(STR("abc"), STR("abcabc")));
	ck_assert(!guard_secret_eq(STR("abc"), STR("")));
	ck_assert(!guard_secret_eq(STR(""), STR("abc")));
}
END_TEST

static const struct {
	const char *site, *mode;
	enum guard_verdict want;
} fetches[] = {
	{ NULL, NULL, GUARD_ALLOW }, /* no browser */
	{ "same-origin", "cors", GUARD_ALLOW },
	{ "none", "navigate", GUARD_ALLOW },               /* typed by hand */
	{ "cross-site", "navigate", GUARD_ALLOW },         /* a link was followed */
	{ "cross-site", "no-cors", GUARD_ORIGIN_FOREIGN }, /* an image of another site's page */
	{ "same-site", "no-cors", GUARD_ORIGIN_FOREIGN },
	{ "cross-site", NULL, GUARD_ORIGIN_FOREIGN },
};

START_TEST(what_a_browser_fetches)
{
	struct guard_policy p = { .token = STR("") };
	struct addr a;

	ck_assert(addr_parse_ip(STR("127.0.0.1"), 4191, &a));
	struct guard_request r = { .host = STR("localhost"),
		.fetch_site = str_of(fetches[_i].site),
		.fetch_mode = str_of(fetches[_i].mode),
		.local = &a,
		.peer = &a };
	ck_assert_int_eq(guard_judge(&p, &r), fetches[_i].want);
}
END_TEST

Suite *suite_admin_guard(void)
{
	Suite *s = suite_create("admin_guard");
	TCase *t = tcase_create("guard");
	tcase_add_loop_test(t, what_a_browser_fetches, 0, sizeof(fetches) / sizeof(fetches[0]));
	tcase_add_loop_test(t, verdicts, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(t, repeated_host);
	tcase_add_test(t, every_refusal_has_a_remedy);
	tcase_add_test(t, secrets);
	suite_add_tcase(s, t);
	return s;
}
