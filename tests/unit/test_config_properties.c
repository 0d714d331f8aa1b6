/* .properties as java.util.Properties reads it, with Spring's documents. */
#include "config_rows.h"

static const struct config_row rows[] = {
	{ "a=1\nb:2\nc 3\nd\t4\ne = 5\nf : 6\n", NULL, "a=1:1 b=2:2 c=3:3 d=4:4 e=5:5 f=6:6", NULL },
	{ "# comment\n! comment\n\n   \n  a=1\n", NULL, "a=1:5", NULL },
	{ "a=\nb\nc = \n", NULL, "a=:1 b=:2 c=:3", NULL },
	{ "a=one, \\\n   two, \\\n   three\nb=2\n", NULL, "a=one, two, three:1 b=2:4", NULL },
	{ "a=ends with \\\\\nb=2\n", NULL, "a=ends with \\:1 b=2:2", NULL },
	{ "a\\=b=1\na\\ b=2\na\\:b=3\n", NULL, "a=b=1:1 a b=2:2 a:b=3:3", NULL },
	{ "a=x=y:z\n", NULL, "a=x=y:z:1", NULL },
	{ "a=\\t\\n\\r\\f\\q\n", NULL, "a=\t\n\r\fq:1", NULL },
	{ "a=\\u00e4\\u20ac\\uD83D\\uDE00\n", NULL, "a=ä€😀:1", NULL },
	{ "a=ä\n", NULL, "a=ä:1", NULL },
	{ "a=1\r\nb=2\r\n", NULL, "a=1:1 b=2:2", NULL },
	{ "a=1\r\nb=x\\\r\n  y\r\n", NULL, "a=1:1 b=xy:2", NULL },
	{ "a = trailing blanks  \n", NULL, "a=trailing blanks  :1", NULL },
	{ "list[0]=a\nlist[1]=b\n", NULL, "list[0]=a:1 list[1]=b:2", NULL },
	{ "a=1\n#---\na=2\n", NULL, "a=2:3 | a=1:1", NULL },
	{ "a=1\n!---\nspring.config.activate.on-profile=test\na=2\n", "test", "spring.config.activate.on-profile=test:3 a=2:4 | a=1:1", NULL },
	{ "a=1\n#---\nspring.config.activate.on-profile=test\na=2\n", "eu", "a=1:1", NULL },
	{ "a=\\u12\n", NULL, NULL, "f.yml:1: \\u needs four hexadecimal digits" },
	{ "a=1\nb=\\ud800\n", NULL, NULL, "f.yml:2: \\u needs four hexadecimal digits" },
	{ "a=\\u0000\n", NULL, NULL, "f.yml:1: \\u needs four hexadecimal digits" },
	{ "a=1\\", NULL, "a=1:1", NULL },
	{ "=x\n", NULL, "", NULL },
	{ "", NULL, "", NULL },
};

START_TEST(what_becomes_of_it)
{
	config_check_row(config_read_properties, &rows[_i]);
}
END_TEST

START_TEST(no_text)
{
	struct config_props p;
	struct err err = { "" };
	config_props_init(&p);
	ck_assert(!config_read_properties(&p, str_make("a=\0b", 4), "f", STR(""), &err));
	ck_assert(strstr(err.text, "no text") != NULL);
	config_props_release(&p);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
	config_check_memory(config_read_properties, "a=1\nb=x\\\n y\n#---\nc=\\u00e4\n");
}
END_TEST

Suite *suite_config_properties(void);
Suite *suite_config_properties(void)
{
	Suite *s = suite_create("config_properties");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, what_becomes_of_it, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(t, no_text);
	tcase_add_test(t, every_allocation_may_fail);
	suite_add_tcase(s, t);
	return s;
}
