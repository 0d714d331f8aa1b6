/* plugins/file_plain: it reads the plainest lists, leaves all else to the YAML parser, and both say the same. */
#include "../../plugins/file_plain.h"
#include "base/text.h"

#include <check.h>
#include <stdlib.h>

#define ROWS(a) (int)(sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *text;
	bool plain;
	size_t n; /* instances, when it is plain */
} files[] = {
	{ "quotes:\n  - 10.0.0.1:8080\n", true, 1 },
	{ "quotes:\n  - 10.0.0.1:8080", true, 1 },
	{ "# a list\n\nQuotes:\n   # two\n   - 10.0.0.1\n\n   - {address: 10.0.0.2:80, node: n2, zone: z-1, instance: i.2, weight: 50, state: down}\nempty:\n", true, 2 },
	{ "a:\n - 10.0.0.1\nb-c.d_e:\n - 10.0.0.1\n", true, 2 },
	{ "a:\n", true, 0 },
	{ "", false, 0 },
	{ "a:\n- 10.0.0.1\n", false, 0 },
	{ "a:\n  - 10.0.0.1\n - 10.0.0.2\n", false, 0 },
	{ "a:\n  - 10.0.0.1\na:\n  - 10.0.0.2\n", false, 0 },
	{ "a:\n  - 10.0.0.1\nA:\n  - 10.0.0.2\n", false, 0 },
	{ "a:\n  - [::1]:80\n", false, 0 },
	{ "a:\n  - '10.0.0.1'\n", false, 0 },
	{ "a:\n  - 10.0.0.1 # first\n", false, 0 },
	{ "a:\n# \xb8\n  - 10.0.0.1\n", false, 0 },
	{ "a:\n  - 10.0.0.1:\n", false, 0 },
	{ "a:\n  -  10.0.0.1\n", false, 0 },
	{ "a:\n\t- 10.0.0.1\n", false, 0 },
	{ "a:\r\n  - 10.0.0.1\r\n", false, 0 },
	{ "a: []\n", false, 0 },
	{ "a:\n  - address: 10.0.0.1\n", false, 0 },
	{ "a:\n  - {address: 10.0.0.1, meta: {v: 2}}\n", false, 0 },
	{ "a:\n  - {address: 10.0.0.1,node: n}\n", false, 0 },
	{ "a:\n  - {node: n}\n", false, 0 },
	{ "a:\n  - {address: nobody}\n", false, 0 },
	{ "a:\n  - {address: 10.0.0.1, weight: 0}\n", false, 0 },
	{ "a:\n  - {address: 10.0.0.1, color: red}\n", false, 0 },
	{ "  - 10.0.0.1\n", false, 0 },
	{ "10.0.0.1\n", false, 0 },
	{ "---\na:\n  - 10.0.0.1\n", false, 0 },
	{ "[{\"targets\": [\"10.0.0.1:80\"]}]", false, 0 },
};

static struct str marked(struct text *t, const char *text)
{
	text_init(t, 4096);
	text_addz(t, "---\n"); /* which no plain form has: the parser reads it */
	text_addz(t, text);
	return text_str(t);
}

START_TEST(plain_or_not)
{
	struct file_endpoints plain, all, yaml;
	struct err err = { "" };
	struct text t;

	file_endpoints_init(&plain);
	file_endpoints_init(&all);
	file_endpoints_init(&yaml);
	ck_assert_msg(file_plain_read(&plain, str_of(files[_i].text)) == files[_i].plain, "'%s'", files[_i].text);
	bool good = file_endpoints_parse(&all, str_of(files[_i].text), "f", STR("base"), &err);
	ck_assert(good == file_endpoints_parse(&yaml, marked(&t, files[_i].text), "f", STR("base"), &err));
	if (files[_i].plain)
		ck_assert_uint_eq(plain.n, files[_i].n);
	for (size_t i = 0; good && i < yaml.n; i++) {
		const struct file_entry *a = &all.at[i], *b = &yaml.at[i];
		ck_assert(str_eq(a->service, b->service) && addr_eq(&a->endpoint.addr, &b->endpoint.addr));
		ck_assert(str_eq(a->endpoint.node, b->endpoint.node) && str_eq(a->endpoint.zone, b->endpoint.zone) &&
			  str_eq(a->endpoint.instance, b->endpoint.instance));
		ck_assert(a->endpoint.weight == b->endpoint.weight && a->endpoint.state == b->endpoint.state);
	}
	if (good) {
		ck_assert_uint_eq(all.n, yaml.n);
		ck_assert_uint_eq(file_endpoints_sum(&all, 0, all.n), file_endpoints_sum(&yaml, 0, yaml.n));
	}
	text_release(&t);
	file_endpoints_release(&plain);
	file_endpoints_release(&all);
	file_endpoints_release(&yaml);
}
END_TEST

/* One thing changed: the sum is another one. */
START_TEST(sums_differ)
{
	static const char *const texts[] = { "a:\n - 10.0.0.1:80\n", "a:\n - 10.0.0.2:80\n", "a:\n - 10.0.0.1:81\n", "a:\n - 10.0.0.1\n",
		"a:\n - {address: 10.0.0.1:80, weight: 7}\n", "a:\n - {address: 10.0.0.1:80, state: down}\n", "a:\n - {address: 10.0.0.1:80, node: n}\n",
		"a:\n - {address: 10.0.0.1:80, zone: n}\n", "a:\n - '[::1]:80'\n", "a:\n - '[::2]:80'\n" };
	uint64_t sums[ROWS(texts)];
	struct err err;

	for (int i = 0; i < ROWS(texts); i++) {
		struct file_endpoints f;
		file_endpoints_init(&f);
		ck_assert(file_endpoints_parse(&f, str_of(texts[i]), "f", STR("b"), &err));
		sums[i] = file_endpoints_sum(&f, 0, f.n);
		for (int k = 0; k < i; k++)
			ck_assert_msg(sums[k] != sums[i], "%d and %d", k, i);
		file_endpoints_release(&f);
	}
}
END_TEST

Suite *suite_file_plain(void);
Suite *suite_file_plain(void)
{
	Suite *s = suite_create("file_plain");
	TCase *t = tcase_create("all");
	tcase_add_loop_test(t, plain_or_not, 0, ROWS(files));
	tcase_add_test(t, sums_differ);
	suite_add_tcase(s, t);
	return s;
}
