/* Which addresses stand on this node (control/near.h). */
#include "control/near.h"

#include <check.h>
#include <stdio.h>

static struct addr ip(const char *z)
{
	struct addr a;
	ck_assert_msg(addr_parse_ip(str_of(z), 4143, &a), "%s", z);
	return a;
}

static enum near_place where(const struct near *n, const char *z)
{
	struct addr a = ip(z);
	return near_where(n, &a);
}

static bool changed(const struct near *n, const char *z)
{
	struct addr a = ip(z);
	return near_changed(n, &a);
}

START_TEST(nothing_is_known_before_it_is_said)
{
	struct near n = { .known = false };

	ck_assert_int_eq(where(NULL, "10.0.0.1"), NEAR_UNKNOWN);
	ck_assert_int_eq(where(&n, "10.0.0.1"), NEAR_UNKNOWN);
	ck_assert(near_replace(&n, STR("")));
	ck_assert_int_eq(where(&n, "10.0.0.1"), NEAR_ELSEWHERE);
	near_release(&n);
	ck_assert_int_eq(where(&n, "10.0.0.1"), NEAR_UNKNOWN);
}
END_TEST

START_TEST(addresses_of_the_node)
{
	struct near n = { .known = false };

	ck_assert(near_replace(&n, STR("10.0.0.9\nfd00::1\nnonsense\n\n10.0.0.1\n10.0.0.9\n")));
	ck_assert_uint_eq(n.n, 3);
	ck_assert_int_eq(where(&n, "10.0.0.1"), NEAR_HERE);
	ck_assert_int_eq(where(&n, "::ffff:10.0.0.9"), NEAR_HERE);
	ck_assert_int_eq(where(&n, "fd00::1"), NEAR_HERE);
	ck_assert_int_eq(where(&n, "10.0.0.2"), NEAR_ELSEWHERE);
	ck_assert_int_eq(where(&n, "127.0.4.1"), NEAR_HERE); /* in the container itself */
	near_release(&n);
}
END_TEST

START_TEST(what_changed)
{
	struct near n = { .known = false };

	ck_assert(near_replace(&n, STR("10.0.0.1\n10.0.0.2\n")));
	ck_assert(changed(&n, "10.0.0.7")); /* it was unknown */
	ck_assert(near_replace(&n, STR("10.0.0.3\n10.0.0.2\n")));
	ck_assert(changed(&n, "10.0.0.1"));
	ck_assert(!changed(&n, "10.0.0.2"));
	ck_assert(changed(&n, "10.0.0.3"));
	ck_assert(!changed(&n, "10.0.0.7"));
	near_release(&n);
}
END_TEST

START_TEST(too_many)
{
	struct near n = { .known = false };
	static char text[(NEAR_MAX + 1) * 16];
	size_t at = 0;

	for (unsigned i = 0; i <= NEAR_MAX; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "10.%u.%u.%u\n", i >> 16 & 255, i >> 8 & 255, i & 255);
	ck_assert(!near_replace(&n, str_make(text, at)));
	ck_assert_uint_eq(n.n, NEAR_MAX);
	ck_assert_int_eq(where(&n, "10.0.0.1"), NEAR_HERE);
	near_release(&n);
}
END_TEST

Suite *suite_near(void);
Suite *suite_near(void)
{
	Suite *s = suite_create("near");
	TCase *t = tcase_create("near");
	tcase_add_test(t, nothing_is_known_before_it_is_said);
	tcase_add_test(t, addresses_of_the_node);
	tcase_add_test(t, what_changed);
	tcase_add_test(t, too_many);
	suite_add_tcase(s, t);
	return s;
}
