/* YAML as a configuration file: what becomes of it, what is refused, and that hostile files cost little. */
#include "base/clock.h"
#include "config_rows.h"

#include <stdlib.h>

static const struct config_row rows[] = {
	{ "a: 1\nb:\n  c: 2\n  d:\n    e: x\n", NULL, "a=1:1 b.c=2:3 b.d.e=x:5", NULL },
	{ "a.b: 1\nc: {d: 2}\n", NULL, "a.b=1:1 c.d=2:2", NULL },
	{ "l: [1, two, \"3\"]\nm:\n- x: 1\n  y: 2\n- z: 3\n", NULL, "l[0]=1:1 l[1]=two:1 l[2]=3:1 m[0].x=1:3 m[0].y=2:4 m[1].z=3:5", NULL },
	{ "l: [[1, 2], [3]]", NULL, "l[0][0]=1:1 l[0][1]=2:1 l[1][0]=3:1", NULL },
	{ "\"[a.b]\": 1\nm: {\"[x/y]\": 2}", NULL, "[a.b]=1:1 m[x/y]=2:2", NULL },
	/* what means nothing */
	{ "a:\nb: ~\nc: null\nd: ''\ne: \"~\"\nf: []\ng: {}\n", NULL, "a=:1 b=:2 c=:3 d=:4 e=~:5 f=:6 g=:7", NULL },
	{ "", NULL, "", NULL },
	{ "# only a comment\n", NULL, "", NULL },
	{ "---\n...\n", NULL, "", NULL },
	/* scalars stay as they are written */
	{ "a: on\nb: 0x10\nc: 1_000\nd: 007\ne: 1.50\nf: 2026-11-23\ng: yes\n", NULL, "a=on:1 b=0x10:2 c=1_000:3 d=007:4 e=1.50:5 f=2026-11-23:6 g=yes:7", NULL },
	{ "a: 'it''s'\nb: \"\\u00e4\\n\"\nc: |\n  x\n  y\nd: >\n  x\n  y\n", NULL, "a=it's:1 b=ä\n:2 c=x\ny\n:3 d=x y\n:6", NULL },
	{ "1: a\ntrue: b\n", NULL, "1=a:1 true=b:2", NULL },
	{ "\xef\xbb\xbf" "a: 1\r\nb: 2\r\n", NULL, "a=1:1 b=2:2", NULL },
	{ "{\"a\": {\"b\": [1, null, true]}, \"c\": 1e3}", NULL, "a.b[0]=1:1 a.b[1]=:1 a.b[2]=true:1 c=1e3:1", NULL },
	/* aliases and merges: what is said beside << replaces the other whole */
	{ "a: &x 1\nb: *x\n", NULL, "a=1:1 b=1:2", NULL },
	{ "a: &m {k: 1, l: [1, 2]}\nb:\n  <<: *m\n  l: [9]\n", NULL, "a.k=1:1 a.l[0]=1:1 a.l[1]=2:1 b.l[0]=9:4 b.k=1:1", NULL },
	{ "a: &m {s: {x: 1, y: 2}}\nb: {<<: *m, s: {z: 3}}\n", NULL, "a.s.x=1:1 a.s.y=2:1 b.s.z=3:2", NULL },
	{ "a: &a {k: 1}\nb: &b {k: 2, l: 2}\nc: {<<: [*a, *b]}\n", NULL, "a.k=1:1 b.k=2:2 b.l=2:2 c.k=1:1 c.l=2:2", NULL },
	{ "a: &a {k: 1}\nb: &b {<<: *a, l: 2}\nc: {<<: *b, k: 3}\n", NULL, "a.k=1:1 b.l=2:2 b.k=1:1 c.k=3:3 c.l=2:2", NULL },
	/* documents: later ones are stronger, and may hold for a profile only */
	{ "a: 1\n---\na: 2\n", NULL, "a=2:3 | a=1:1", NULL },
	{ "a: 1\n---\nspring.config.activate.on-profile: test\na: 2\n", "test", "spring.config.activate.on-profile=test:3 a=2:4 | a=1:1", NULL },
	{ "a: 1\n---\nspring.config.activate.on-profile: test\na: 2\n", "prod", "a=1:1", NULL },
	{ "a: 1\n---\nspring: {config: {activate: {on-profile: [test, eu]}}}\na: 2\n", "eu",
	  "spring.config.activate.on-profile[0]=test:3 spring.config.activate.on-profile[1]=eu:3 a=2:4 | a=1:1", NULL },
	{ "spring.profiles: '!test'\na: 2\n", "test", "", NULL },
	/* refused, with the line */
	{ "a: 1\nb: 2\na: 3\n", NULL, NULL, "f.yml:3: the key a stands here twice" },
	{ "a: [1,\n", NULL, NULL, "f.yml:2:" },
	{ "a: b: c\n", NULL, NULL, "f.yml:1: mapping values are not allowed" },
	{ "a:\n\t- b\n", NULL, NULL, "f.yml:2:" },
	{ "just text\n", NULL, NULL, "f.yml:1: keys and values are expected" },
	{ "[1, 2]\n", NULL, "[0]=1:1 [1]=2:1", NULL },
	{ "a: *nobody\n", NULL, NULL, "f.yml:1: there is no anchor &nobody" },
	{ "a: &a [*a]\n", NULL, NULL, "f.yml:1: *a stands inside itself" },
	{ "a: &x 1\n---\nb: *x\n", NULL, NULL, "f.yml:3: there is no anchor &x" },
	{ "a: {<<: 5}\n", NULL, NULL, "f.yml:1: << needs a mapping" },
	{ "? [a, b]\n: c\n", NULL, NULL, "f.yml:1: a key must be a text" },
	{ "a: \"\\0\"\n", NULL, NULL, "f.yml:1: the value has a NUL" },
	{ "a: \xff\xfe\n", NULL, NULL, "f.yml: byte" },
};

START_TEST(what_becomes_of_it)
{
	config_check_row(config_read_yaml, &rows[_i]);
}
END_TEST

/* --- hostile files ----------------------------------------------------------------------------------------------------- */

#define HOSTILE_BYTES (4u << 20)

static const struct {
	const char *head, *piece, *error; /* the piece is repeated to 4 MiB; error NULL: it may be read */
} hostile[] = {
	{ "", "[", "more than 64 levels" },
	{ "", "{", "more than 64 levels" },
	{ "", "- ", "more than 64 levels" },
	{ "", "? ", "more than 64 levels" },
	{ "", "[a,", "more than 64 levels" },
	{ "", "{? ", "more than 64 levels" },
	{ "", "a: ", "mapping values are not allowed" },
	{ "", "---\n", "more than 1024 documents" },
	{ "", "%TAG !a! x\n", "more than 16 lines begin with %" },
	{ "a: [", "&a 1,", NULL },
	{ "a: [", "1,", "more than 262144 values" },
	{ "a: &x []\nb: [", "*x,", "more than" },
	{ "a: &a {k: 1}\nb: {<<: [", "*a,", "more than 262144 values" },
	{ "a: \"", "\\n", NULL },
	{ "a: ", "b ", NULL },
	{ "", "a", NULL },
	{ "a: |\n", " x\n", NULL },
	{ "a: [", "[],", "more than 262144 values" },
};

START_TEST(hostile_files_cost_little)
{
	char *text = malloc(HOSTILE_BYTES + 1);
	size_t n = strlen(hostile[_i].head), k = strlen(hostile[_i].piece);
	struct config_props p;
	struct err err = { "" };

	memcpy(text, hostile[_i].head, n);
	for (; n + k + 2 <= HOSTILE_BYTES; n += k)
		memcpy(text + n, hostile[_i].piece, k);
	if (!hostile[_i].error && strchr(hostile[_i].head, '"'))
		text[n++] = '"';
	config_props_init(&p);
	usec from = clock_now();
	bool ok = config_read_yaml(&p, str_make(text, n), "f", STR(""), &err);
	usec took = clock_now() - from;
	ck_assert_msg(!hostile[_i].error || (!ok && strstr(err.text, hostile[_i].error)), "%s: %s", hostile[_i].piece, err.text);
	ck_assert_msg(took < 5 * USEC_SEC, "%s: %llu us", hostile[_i].piece, (unsigned long long)took); /* 72 ms at most when alone */
	config_props_release(&p);
	free(text);
}
END_TEST

/* Nine times the one before: 9^30 places. */
START_TEST(laughs_end_soon)
{
	static const char *const shapes[] = { "a%d: &a%d [%s]\n", "a%d: &a%d {<<: [%s]}\n" };
	for (size_t shape = 0; shape < 2; shape++) {
		struct text t;
		struct config_props p;
		struct err err = { "" };
		char nine[256] = "";
		text_init(&t, 1u << 16);
		text_addz(&t, shape ? "a0: &a0 {k: 1}\n" : "a0: &a0 [lol]\n");
		for (int i = 1; i < 30; i++) {
			nine[0] = '\0';
			for (int k = 0; k < 9; k++)
				snprintf(nine + strlen(nine), sizeof(nine) - strlen(nine), "%s*a%d", k ? "," : "", i - 1);
			text_fmt(&t, shapes[shape], i, i, nine);
		}
		config_props_init(&p);
		usec from = clock_now();
		ck_assert(!config_read_yaml(&p, text_str(&t), "f", STR(""), &err));
		ck_assert_msg(strstr(err.text, "too large") || strstr(err.text, "more than"), "%s", err.text);
		ck_assert(clock_now() - from < 5 * USEC_SEC);
		config_props_release(&p);
		text_release(&t);
	}
}
END_TEST

START_TEST(every_allocation_may_fail)
{
	config_check_memory(config_read_yaml, "a: &a {b: [1, 2], c: x}\nd: {<<: *a, c: y}\n---\ne: 1\n");
}
END_TEST

Suite *suite_config_yaml(void);
Suite *suite_config_yaml(void)
{
	Suite *s = suite_create("config_yaml");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, what_becomes_of_it, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_loop_test(t, hostile_files_cost_little, 0, sizeof(hostile) / sizeof(hostile[0]));
	tcase_add_test(t, laughs_end_soon);
	tcase_add_test(t, every_allocation_may_fail);
	suite_add_tcase(s, t);
	return s;
}
