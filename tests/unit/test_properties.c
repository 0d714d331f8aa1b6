/* control/properties: merging sets, lists owned by one set, placeholders. */
#include "base/clock.h"
#include "control/properties.h"

#include <check.h>
#include <stdio.h>

/* "a=1 b=${a} | a=2": sets, the strongest first. */
static void fill(struct properties *p, const char *sets)
{
	struct str rest = str_of(sets), set, pair;
	struct err err;
	properties_init(p, 1);
	while (str_next(&rest, '|', &set)) {
		properties_begin_set(p);
		while (str_next(&set, ' ', &pair)) {
			size_t equals = str_find(pair, '=');
			if (!pair.n)
				continue;
			ck_assert(equals != SIZE_MAX);
			ck_assert(properties_add(p, 0, str_make(pair.p, equals), str_make(pair.p + equals + 1, pair.n - equals - 1),
						 STR("test"), &err));
		}
	}
}

static const struct {
	const char *sets, *key, *value; /* value NULL: not there; "!…": an error with that part */
} rows[] = {
	{ "a=1 | a=2 b=3", "a", "1" },
	{ "a=1 | a=2 b=3", "b", "3" },
	/* a list belongs to the strongest set that has any of it */
	{ "l[0]=x | l[0]=1 l[1]=2", "l[0]", "x" },
	{ "l[0]=x | l[0]=1 l[1]=2", "l[1]", NULL },
	{ "l[0].a=x | l[0].b=1", "l[0].b", NULL },
	{ "m.a=x | m.b=1", "m.b", "1" },
	/* placeholders */
	{ "a=${b} b=2", "a", "2" },
	{ "a=x${b}y${c}z b=2 c=3", "a", "x2y3z" },
	{ "a=${b} | b=2", "a", "2" },
	{ "a=${none:7}", "a", "7" },
	{ "a=${none:}", "a", "" },
	{ "a=${none:http://h:80/}", "a", "http://h:80/" },
	{ "a=${none:${b}} b=2", "a", "2" },
	{ "a=${none:${no:${nope:9}}}", "a", "9" },
	{ "a=${b.${c}} c=x b.x=found", "a", "found" },
	{ "a=${b} b=${c} c=${d} d=4", "a", "4" },
	{ "a=${none}", "a", "${none}" },
	{ "a=${none}${b} b=2", "a", "${none}2" },
	{ "a=\\${b} b=2", "a", "${b}" },
	{ "a=\\${b}${b} b=2", "a", "${b}2" },
	{ "a=${unclosed", "a", "${unclosed" },
	{ "a=$b{c}", "a", "$b{c}" },
	{ "a=${HOME_OF_TEST}", "a", "from the environment" },
	{ "HOME_OF_TEST=property a=${HOME_OF_TEST}", "a", "property" },
	/* what refers to itself */
	{ "a=${a}", "a", "!circle" },
	{ "a=${b} b=${a}", "a", "!circle" },
	{ "a=${b:${a}}", "a", "!circle" },
};

static char *environment[] = { "OTHER=1", "HOME_OF_TEST=from the environment", NULL };

START_TEST(what_a_key_is)
{
	struct properties p;
	struct err err = { "" };
	fill(&p, rows[_i].sets);
	const struct property *at = properties_find(&p, str_of(rows[_i].key));
	ck_assert((at != NULL) == (rows[_i].value != NULL));
	if (at) {
		bool ok = properties_resolve(&p, (size_t)(at - p.at), environment, &err);
		if (rows[_i].value[0] == '!')
			ck_assert_msg(!ok && strstr(err.text, rows[_i].value + 1), "%s: %s", rows[_i].sets, err.text);
		else
			ck_assert_msg(ok && str_eq(at->value, str_of(rows[_i].value)), "%s: %.*s %s", rows[_i].sets,
				      STR_ARG(at->value), err.text);
	}
	properties_release(&p);
}
END_TEST

/* Twice as many each time: 2^60 without bounds. */
START_TEST(growth_is_bounded)
{
	struct properties p;
	struct err err = { "" };
	char key[16], value[64];

	properties_init(&p, 1);
	properties_begin_set(&p);
	for (int i = 0; i < 60; i++) {
		snprintf(key, sizeof(key), "a%d", i);
		snprintf(value, sizeof(value), "${a%d}${a%d}", i + 1, i + 1);
		ck_assert(properties_add(&p, 0, str_of(key), i == 59 ? STR("x") : str_of(value), STR("test"), &err));
	}
	usec from = clock_now();
	ck_assert(!properties_resolve(&p, 0, NULL, &err));
	ck_assert(clock_now() - from < 2 * USEC_SEC);
	properties_release(&p);
}
END_TEST

START_TEST(the_hash_knows_no_order)
{
	struct properties a, b, c;
	fill(&a, "x=1 y=2");
	fill(&b, "y=2 | x=1");
	fill(&c, "x=1 y=3");
	struct properties *all[] = { &a, &b, &c };
	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < all[i]->n; k++)
			properties_hash(all[i], k);
	ck_assert(a.hash == b.hash && a.hash != c.hash);
	for (size_t i = 0; i < 3; i++)
		properties_release(all[i]);
}
END_TEST

START_TEST(too_long_is_refused)
{
	struct properties p;
	struct err err = { "" };
	static char key[PROPERTIES_KEY_MAX + 2];
	memset(key, 'k', sizeof(key) - 1);
	properties_init(&p, 1);
	properties_begin_set(&p);
	ck_assert(!properties_add(&p, 0, str_of(key), STR("v"), STR("test"), &err));
	ck_assert(strstr(err.text, "too long") != NULL);
	properties_release(&p);
}
END_TEST

Suite *suite_properties(void);
Suite *suite_properties(void)
{
	Suite *s = suite_create("properties");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, what_a_key_is, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(t, growth_is_bounded);
	tcase_add_test(t, the_hash_knows_no_order);
	tcase_add_test(t, too_long_is_refused);
	suite_add_tcase(s, t);
	return s;
}
