#include "base/str.h"

#include <check.h>
#include <stdio.h>

#define ck_str(got, want) ck_assert_msg(str_eq(got, STR(want)), "'%.*s' is not '%s'", STR_ARG(got), want)

static const struct str none = { NULL, 0 };

START_TEST(compares)
{
	ck_assert(str_eq(STR("a"), STR("a")) && !str_eq(STR("a"), STR("A")) && !str_eq(STR("a"), STR("ab")));
	ck_assert(str_eq(none, STR("")));
	ck_assert(str_ieq(STR("Content-Length"), STR("content-LENGTH")));
	ck_assert(!str_ieq(STR("a"), STR("b")) && !str_ieq(STR("a"), STR("aa")) && str_ieq(none, none));
	ck_assert(!str_ieq(STR("["), STR("{"))); /* 0x20 apart, but no letters */
	ck_assert(str_starts(STR("http://x"), STR("http://")) && !str_starts(STR("htt"), STR("http")));
	ck_assert(str_starts(STR("x"), none) && str_starts(none, none) && !str_starts(none, STR("x")));
	ck_assert(str_istarts(STR("HTTP/1.1"), STR("http/")) && !str_istarts(STR("HTT"), STR("http")));
	ck_assert(str_ends(STR("a.json"), STR(".json")) && !str_ends(STR("json"), STR(".json")));
	ck_assert(str_ends(none, none) && str_ends(STR("a"), STR("")));
}
END_TEST

START_TEST(trims)
{
	ck_str(str_trim(STR(" \t a b\r\n")), "a b");
	ck_str(str_trim(STR(" \t")), "");
	ck_str(str_trim(none), "");
}
END_TEST

START_TEST(takes_pieces)
{
	struct str rest = STR("a, b ,,c,"), piece;
	const char *want[] = { "a", "b", "", "c", "" };

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		ck_assert(str_next(&rest, ',', &piece));
		ck_assert_msg(str_eq(piece, str_of(want[i])), "piece %zu", i);
	}
	ck_assert(!str_next(&rest, ',', &piece));
	rest = none;
	ck_assert(!str_next(&rest, ',', &piece));
}
END_TEST

START_TEST(finds)
{
	ck_assert_uint_eq(str_find(STR("a:b:c"), ':'), 1);
	ck_assert_uint_eq(str_rfind(STR("a:b:c"), ':'), 3);
	ck_assert_uint_eq(str_find(STR("abc"), ':'), SIZE_MAX);
	ck_assert_uint_eq(str_rfind(none, ':'), SIZE_MAX);
}
END_TEST

START_TEST(reads_numbers)
{
	const char *bad[] = { "", " 1", "1 ", "+1", "-1", "0x1", "1e3", "18446744073709551616", "99999999999999999999" };
	uint64_t v = 7;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!str_u64(str_of(bad[i]), &v) && v == 7, "'%s' was taken", bad[i]);
	ck_assert(str_u64(STR("18446744073709551615"), &v) && v == UINT64_MAX);
	ck_assert(str_u64(STR("000"), &v) && v == 0);
}
END_TEST

START_TEST(copies)
{
	char dst[4];

	ck_assert(str_copy(STR("abc"), dst, sizeof(dst)));
	ck_assert_str_eq(dst, "abc");
	ck_assert(!str_copy(STR("abcd"), dst, sizeof(dst)));
	ck_assert_str_eq(dst, "abc");
	ck_assert(str_copy(none, dst, 1));
	ck_assert_str_eq(dst, "");
}
END_TEST

START_TEST(hashes)
{
	char names[1000][16];
	uint64_t buckets = 0;

	ck_assert(str_hash(STR("a"), 1) == str_hash(STR("a"), 1));
	ck_assert(str_hash(STR("a"), 1) != str_hash(STR("a"), 2));
	ck_assert(str_hash(STR("a"), 1) != str_hash(str_make("a\0", 2), 1));
	ck_assert(str_hash(none, 1) == str_hash(STR(""), 1));
	for (int i = 0; i < 1000; i++) {
		snprintf(names[i], sizeof(names[i]), "s%d", i);
		buckets |= (uint64_t)1 << (str_hash(str_of(names[i]), 0) % 64);
	}
	ck_assert(buckets == UINT64_MAX); /* 1000 names fall into each of 64 buckets */
}
END_TEST

Suite *suite_base_str(void)
{
	Suite *s = suite_create("base_str");
	TCase *t = tcase_create("str");

	tcase_add_test(t, compares);
	tcase_add_test(t, trims);
	tcase_add_test(t, takes_pieces);
	tcase_add_test(t, finds);
	tcase_add_test(t, reads_numbers);
	tcase_add_test(t, copies);
	tcase_add_test(t, hashes);
	suite_add_tcase(s, t);
	return s;
}
