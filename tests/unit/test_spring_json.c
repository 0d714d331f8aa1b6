/* The answer of a Spring Cloud Config Server, bytes in, properties out. */
#include "config_rows.h"

#include "../../plugins/read_json.h"

static bool read(struct config_props *p, struct str text, const char *name, struct str profiles, struct err *err)
{
	struct spring_answer answer;
	(void)name;
	(void)profiles;
	return read_spring_json(p, text, &answer, err);
}

#define ENVIRONMENT(sources) "{\"name\":\"a\",\"profiles\":[\"test\"],\"label\":null,\"version\":\"9f\",\"state\":null,\"propertySources\":" sources "}"

static const struct {
	const char *text, *expected, *error; /* expected: key=value, sets parted by " | " */
} rows[] = {
	{ ENVIRONMENT("[]"), "", NULL },
	{ ENVIRONMENT("[{\"name\":\"x.yml\",\"source\":{\"a\":\"1\",\"b\":2}},{\"name\":\"y.yml\",\"source\":{\"a\":\"3\"}}]"),
	  "a=1 b=2 | a=3", NULL },
	{ ENVIRONMENT("[{\"name\":\"x\",\"source\":{\"n\":12345678901234567890,\"f\":1.50,\"t\":true,\"z\":null,\"e\":\"\"}}]"),
	  "n=12345678901234567890 f=1.50 t=true z= e=", NULL },
	{ ENVIRONMENT("[{\"name\":\"x\",\"source\":{\"a\":{\"value\":8080,\"origin\":\"1:14\"}}}]"), "a=8080", NULL },
	{ ENVIRONMENT("[{\"name\":\"x\",\"source\":{\"a\":{\"b\":1,\"c\":[1,{\"d\":2}]}}}]"), "a.b=1 a.c[0]=1 a.c[1].d=2", NULL },
	{ ENVIRONMENT("[{\"name\":\"x\",\"source\":{\"u\":\"\\u00e4\\ud83d\\ude00\\n\"}}]"), "u=ä😀\n", NULL },
	{ "{\"unknown\":{\"deep\":[1,2]},\"propertySources\":[{\"more\":1,\"name\":\"x\",\"source\":{\"a\":1}}]}", "a=1", NULL },
	/* refused */
	{ "", NULL, "" },
	{ "<html>", NULL, "" },
	{ "[]", NULL, "" },
	{ "{}", NULL, "" },
	{ ENVIRONMENT("[{\"name\":\"x\",\"source\":{\"a\":1}}"), NULL, "" },
	{ ENVIRONMENT("[{\"name\":\"x\",\"source\":5}]"), NULL, "" },
	{ ENVIRONMENT("[{\"name\":\"x\",\"source\":{\"a\":tru}}]"), NULL, "" },
	{ ENVIRONMENT("[{\"name\":\"x\",\"source\":{\"a\":\"\\ud800\"}}]"), NULL, "" },
};

START_TEST(what_becomes_of_it)
{
	struct config_props p;
	struct err err = { "" };
	struct text t;

	config_props_init(&p);
	text_init(&t, 4096);
	bool ok = read(&p, str_of(rows[_i].text), "", STR(""), &err);
	ck_assert_msg(ok == (rows[_i].expected != NULL), "%s: %d %s", rows[_i].text, ok, err.text);
	ck_assert(ok || err.text[0]);
	for (size_t i = 0; ok && i < p.n; i++)
		text_fmt(&t, "%s%.*s=%.*s", i == 0 ? "" : p.at[i].set == p.at[i - 1].set ? " " : " | ", STR_ARG(p.at[i].key),
			 STR_ARG(p.at[i].value));
	if (ok)
		ck_assert_str_eq(t.n ? text_z(&t) : "", rows[_i].expected);
	text_release(&t);
	config_props_release(&p);
}
END_TEST

START_TEST(what_the_server_says_of_itself)
{
	struct config_props p;
	struct err err = { "" };
	struct spring_answer a;

	config_props_init(&p);
	ck_assert_msg(read_spring_json(&p, STR("{\"name\":\"a\",\"profiles\":[\"x\"],\"label\":\"main\",\"version\":\"9f\",\"state\":\"s\","
					       "\"propertySources\":[{\"name\":\"https://u:geheim@git/cfg/a.yml\",\"source\":{\"a\":1}}]}"),
				       &a, &err),
		      "%s", err.text);
	ck_assert(str_eq(a.label, STR("main")) && str_eq(a.version, STR("9f")) && str_eq(a.state, STR("s")));
	ck_assert_uint_eq(a.sources, 1);
	ck_assert(memmem(p.at[0].origin.p, p.at[0].origin.n, "geheim", 6) == NULL);
	ck_assert(memmem(p.at[0].origin.p, p.at[0].origin.n, "a.yml", 5) != NULL);
	config_props_release(&p);
}
END_TEST

START_TEST(depth_is_bounded)
{
	struct text t;
	struct config_props p;
	struct err err = { "" };

	text_init(&t, 1u << 20);
	text_addz(&t, "{\"propertySources\":[{\"name\":\"x\",\"source\":{\"a\":");
	for (int i = 0; i < 100000; i++)
		text_char(&t, '[');
	config_props_init(&p);
	ck_assert(!read(&p, text_str(&t), "", STR(""), &err));
	config_props_release(&p);
	text_release(&t);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
	config_check_memory(read, ENVIRONMENT("[{\"name\":\"x\",\"source\":{\"a\":\"1\",\"b\":{\"c\":[1,2]}}}]"));
}
END_TEST

Suite *suite_spring_json(void);
Suite *suite_spring_json(void)
{
	Suite *s = suite_create("spring_json");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, what_becomes_of_it, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(t, what_the_server_says_of_itself);
	tcase_add_test(t, depth_is_bounded);
	tcase_add_test(t, every_allocation_may_fail);
	suite_add_tcase(s, t);
	return s;
}
