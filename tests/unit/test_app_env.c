/* control/app_env: a service's own properties as environment, files and a rendered template. */
#include "control/app_env.h"
#include "options_help.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct properties props;

static void fill(const char *const (*rows)[2], size_t n)
{
	struct err err;
	properties_init(&props, 1);
	properties_begin_set(&props);
	for (size_t i = 0; i < n; i++)
		ck_assert(
			properties_add(&props, 0, str_of(rows[i][0]), str_of(rows[i][1]), STR("test"), &err));
}

static const struct {
	const char *key, *name; /* NULL: none */
} names[] = {
	{ "server.port", "SERVER_PORT" },
	{ "my.main-project.person.first-name",
		"MY_MAINPROJECT_PERSON_FIRSTNAME" }, /* Spring's relaxed binding */
	{ "my.list[0].name", "MY_LIST_0_NAME" },
	{ "ALREADY_SO", "ALREADY_SO" },
	{ "9lives", NULL },
	{ "a b", NULL },
	{ "a=b", NULL },
	{ "a\nb", NULL },
	{ "\xc3\xa4", NULL },
	{ "", NULL },
	{ "-", NULL },
	{ "path", NULL },
	{ "ld.preload", NULL },
	{ "LD_LIBRARY_PATH", NULL },
	{ "node.options", NULL },
	{ "http.proxy", NULL },
	{ "bash.env", NULL },
	{ "outrider.workers", NULL },
	{ "java.tool.options", NULL },
	{ "home", NULL },
	{ "homepage", "HOMEPAGE" },
};

START_TEST(names_of_variables)
{
	struct text t;
	text_init(&t, 256);
	bool ok = app_env_name(&t, str_of(names[_i].key));
	if (!names[_i].name)
		ck_assert_msg(!ok, "%s gives %s", names[_i].key, text_z(&t));
	else
		ck_assert_str_eq(text_z(&t), names[_i].name);
	text_release(&t);
}
END_TEST

static const struct {
	const char *selection, *key, *rest; /* NULL: not taken */
} selections[] = {
	{ "", "a", NULL },
	{ "all", "a.b", "a.b" },
	{ "all", "outrider.workers", NULL },
	{ "prefix:app.", "app.name", "name" },
	{ "prefix:app", "app.name", "name" },
	{ "prefix:app", "app", NULL },
	{ "prefix:app.", "other.name", NULL },
	{ "prefix:outrider.", "outrider.workers", NULL },
	{ "some", "a", NULL },
};

START_TEST(what_is_selected)
{
	struct str rest;
	bool ok = app_selects(str_of(selections[_i].selection), str_of(selections[_i].key), &rest);
	ck_assert(ok == (selections[_i].rest != NULL));
	if (ok)
		ck_str(rest, selections[_i].rest);
}
END_TEST

static const char *const mixed[][2] = {
	{ "greeting", "it's\nme" },
	{ "path", "/evil" },
	{ "a key", "#1 = x\\y" },
	{ "outrider.workers", "3" },
	{ "empty", "" },
};

START_TEST(pages_are_escaped)
{
	struct text t;
	fill(mixed, ROWS(mixed));
	text_init(&t, 4096);
	app_print_env(&t, &props);
	ck_assert_str_eq(text_z(&t), "GREETING='it'\\''s\nme'\nEMPTY=''\n");
	text_clear(&t);
	app_print_properties(&t, &props);
	ck_assert_str_eq(text_z(&t), "greeting=it's\\nme\npath=/evil\na\\ key=\\#1 = x\\\\y\nempty=\n");
	text_release(&t);
	properties_release(&props);
}
END_TEST

START_TEST(the_environment_of_the_child)
{
	struct arena a;
	fill(mixed, ROWS(mixed));
	bool done = false;
	for (unsigned long k = 1; !done; k++) {
		arena_init(&a, 1u << 20, NULL, 0);
		mem_fail_at(k);
		char **env = app_environment(&a, &props, STR("all"));
		done = mem_count() < k;
		mem_fail_at(0);
		if (env && done) {
			ck_assert_str_eq(env[0], "GREETING=it's\nme");
			ck_assert_str_eq(env[1], "EMPTY=");
			ck_assert_ptr_null(env[2]);
		}
		ck_assert(env || !done);
		arena_release(&a);
	}
	properties_release(&props);
}
END_TEST

/* --- template ------------------------------------------------------------------------------------------------------- */

static char dir[] = "/tmp/outrider-app-XXXXXX", from[64], to[64], spec[160];

static void template_setup(void)
{
	static const char *const rows[][2] = { { "db.host", "db1" }, { "db.url", "jdbc://${db.host}" } };
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(from, sizeof(from), "%s/in", dir);
	snprintf(to, sizeof(to), "%s/out", dir);
	snprintf(spec, sizeof(spec), "%s:%s", from, to);
	fill(rows, ROWS(rows));
}

static void template_teardown(void)
{
	properties_release(&props);
	unlink(from);
	unlink(to);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	ck_assert(f && fputs(text, f) >= 0);
	fclose(f);
}

static const char *content(const char *path)
{
	static char text[512];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	if (f)
		fclose(f);
	text[n] = '\0';
	return text;
}

START_TEST(a_template_is_rendered)
{
	struct err err = { "" };
	struct stat st;
	put(from, "url=${db.url}\nuser=${USER_NAME}\nnone=${nobody:-} \\${kept}\n");
	ck_assert_msg(app_template_write(&props, str_of(spec), ENV("USER_NAME=me"), &err), "%s", err.text);
	ck_assert_str_eq(content(to), "url=jdbc://db1\nuser=me\nnone=- ${kept}\n");
	ck_assert_int_eq(stat(to, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600); /* properties may be secrets */
	put(from, "");
	ck_assert(app_template_write(&props, str_of(spec), NULL, &err));
	ck_assert_str_eq(content(to), "");
}
END_TEST

START_TEST(a_template_that_cannot_be_rendered_leaves_the_file)
{
	struct err err = { "" };
	put(to, "former");
	ck_assert(!app_template_write(&props, str_of(spec), NULL, &err));
	ck_assert_ptr_nonnull(strstr(err.text, from));
	ck_assert_int_eq(mkfifo(from, 0600), 0); /* never waits for a writer */
	ck_assert(!app_template_write(&props, str_of(spec), NULL, &err));
	unlink(from);
	ck_assert(!app_template_write(&props, STR("nonsense"), NULL, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "expected"));
	put(from, "x=${db.url}");
	bool done = false;
	for (unsigned long k = 1; !done; k++) {
		mem_fail_at(k);
		bool ok = app_template_write(&props, str_of(spec), NULL, &err);
		done = mem_count() < k;
		mem_fail_at(0);
		ck_assert(ok == done);
		ck_assert_str_eq(content(to), ok ? "x=jdbc://db1" : "former");
	}
}
END_TEST

/* What a value costs is bounded, whatever it holds. */
START_TEST(placeholders_cost_little)
{
	struct err err = { "" };
	char *big = calloc(1, PROPERTIES_VALUE_MAX + 1);
	ck_assert_ptr_nonnull(big);
	for (size_t i = 0; i + 2 <= PROPERTIES_VALUE_MAX; i += 2)
		memcpy(big + i, "${", 2);
	properties_begin_set(&props);
	ck_assert(properties_add(
		&props, 0, STR("open"), str_make(big, PROPERTIES_VALUE_MAX - 1), STR(""), &err));
	memset(big, 'x', PROPERTIES_VALUE_MAX);
	ck_assert(properties_add(
		&props, 0, STR("long"), str_make(big, PROPERTIES_VALUE_MAX - 1), STR(""), &err));
	for (size_t i = 0; i + 7 <= 65536; i += 7)
		memcpy(big + i, "${long}", 7);
	ck_assert(properties_add(&props, 0, STR("many"), str_make(big, 65534), STR(""), &err));
	for (size_t i = 0; i < props.n; i++) {
		struct timespec a, z;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
		bool ok = properties_resolve(&props, i, NULL, &err);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &z);
		ck_assert(ok == !str_eq(props.at[i].key, STR("many")));
		ck_assert_int_lt((z.tv_sec - a.tv_sec) * 1000 + (z.tv_nsec - a.tv_nsec) / 1000000,
			500); /* sanitizers are slow */
	}
	free(big);
}
END_TEST

Suite *suite_app_env(void)
{
	Suite *s = suite_create("app_env");
	TCase *t = tcase_create("env");
	tcase_add_loop_test(t, names_of_variables, 0, ROWS(names));
	tcase_add_loop_test(t, what_is_selected, 0, ROWS(selections));
	tcase_add_test(t, pages_are_escaped);
	tcase_add_test(t, the_environment_of_the_child);
	suite_add_tcase(s, t);
	t = tcase_create("template");
	tcase_add_checked_fixture(t, template_setup, template_teardown);
	tcase_add_test(t, a_template_is_rendered);
	tcase_add_test(t, a_template_that_cannot_be_rendered_leaves_the_file);
	tcase_add_test(t, placeholders_cost_little);
	suite_add_tcase(s, t);
	return s;
}
