/* List, table, random numbers, clock, reasons. */
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/reason.h"
#include "base/rng.h"
#include "base/table.h"

#include <check.h>
#include <stdio.h>

struct item {
	int n;
	struct list link;
};

START_TEST(list_keeps_order)
{
	struct list head;
	struct item items[4];
	int sum = 0;

	list_init(&head);
	ck_assert(list_empty(&head));
	for (int i = 0; i < 4; i++)
		items[i].n = i;
	list_append(&head, &items[1].link);
	list_append(&head, &items[2].link);
	list_push(&head, &items[0].link);
	list_append(&head, &items[3].link);
	int want = 0;
	LIST_EACH (it, tmp, &head) {
		struct item *item = LIST_OWNER(it, struct item, link);
		ck_assert_int_eq(item->n, want++);
		if (item->n % 2)
			list_remove(it);
	}
	LIST_EACH (it, tmp, &head)
		sum += LIST_OWNER(it, struct item, link)->n;
	ck_assert_int_eq(sum, 2);
	list_remove(&items[0].link);
	list_remove(&items[0].link); /* twice is harmless */
	list_remove(&items[2].link);
	ck_assert(list_empty(&head));
}
END_TEST

START_TEST(table_holds)
{
	static char names[2000][16];
	struct table t;

	table_init(&t, 2000, 42);
	ck_assert_ptr_null(table_get(&t, STR("x")));
	ck_assert_ptr_null(table_remove(&t, STR("x")));
	for (int i = 0; i < 2000; i++) {
		snprintf(names[i], sizeof(names[i]), "n%d", i);
		ck_assert_ptr_eq(table_put(&t, str_of(names[i]), names[i]), names[i]);
	}
	ck_assert_uint_eq(t.n, 2000);
	ck_assert_ptr_null(table_put(&t, STR("one more"), names));
	ck_assert_ptr_nonnull(table_put(&t, STR("n7"), names)); /* replaces */
	ck_assert_ptr_eq(table_get(&t, STR("n7")), names);
	ck_assert_ptr_null(table_put(&t, STR("n8"), NULL));
	for (int i = 0; i < 2000; i += 2)
		ck_assert_ptr_nonnull(table_remove(&t, str_of(names[i])));
	for (int i = 0; i < 2000; i++)
		ck_assert_msg(!table_get(&t, str_of(names[i])) == !(i % 2), "n%d", i);

	size_t at = 0, seen = 0;
	struct str key;
	for (void *v; (v = table_next(&t, &at, &key)) != NULL; seen++)
		ck_assert(key.p[0] == 'n');
	ck_assert_uint_eq(seen, t.n);
	table_release(&t);
	ck_assert_ptr_null(table_get(&t, STR("n1")));
}
END_TEST

START_TEST(table_survives_lack_of_memory)
{
	static char names[100][16];
	struct table t;

	table_init(&t, 1000, 1);
	mem_fail_at(1);
	ck_assert_ptr_null(table_put(&t, STR("a"), &t));
	mem_fail_at(0);
	for (int i = 0; i < 12; i++) { /* as many as fit before it grows */
		snprintf(names[i], sizeof(names[i]), "n%d", i);
		ck_assert_ptr_nonnull(table_put(&t, str_of(names[i]), names[i]));
	}
	mem_fail_at(1);
	ck_assert_ptr_null(table_put(&t, STR("a"), &t));
	mem_fail_at(0);
	for (int i = 0; i < 12; i++)
		ck_assert_ptr_eq(table_get(&t, str_of(names[i])), names[i]);
	ck_assert_ptr_nonnull(table_put(&t, STR("a"), &t));
	table_release(&t);
}
END_TEST

START_TEST(random_numbers_spread)
{
	struct rng a, b;
	unsigned counts[7] = { 0 };

	rng_seed(&a, 0);
	rng_seed(&b, 0);
	ck_assert(rng_next(&a) == rng_next(&b));
	rng_seed(&b, 1);
	ck_assert(rng_next(&a) != rng_next(&b));
	for (int i = 0; i < 70000; i++) {
		counts[rng_below(&a, 7)]++;
		double u = rng_unit(&a);
		ck_assert(u >= 0 && u < 1);
	}
	for (int i = 0; i < 7; i++)
		ck_assert_msg(counts[i] > 9500 && counts[i] < 10500, "%d: %u", i, counts[i]);
	ck_assert_uint_eq(rng_below(&a, 1), 0);
	rng_seed_os(&a);
	rng_seed_os(&b);
	ck_assert(rng_next(&a) != rng_next(&b));
}
END_TEST

static const struct {
	usec at;
	const char *want;
} dates[] = {
	{ 0, "1970-01-01T00:00:00.000Z" },
	{ 951782399999999u, "2000-02-28T23:59:59.999Z" },
	{ 951782400000000u, "2000-02-29T00:00:00.000Z" },
	{ 951868800000000u, "2000-03-01T00:00:00.000Z" },
	{ 1795406706789000u, "2026-11-23T04:05:06.789Z" },
	{ 4107542400000000u, "2100-03-01T00:00:00.000Z" },
	{ 253402300799999000u, "9999-12-31T23:59:59.999Z" },
};

START_TEST(clock_writes_dates)
{
	char text[25];

	clock_iso(dates[_i].at, text);
	ck_assert_str_eq(text, dates[_i].want);
}
END_TEST

START_TEST(clock_goes_on)
{
	usec a = clock_now(), b = clock_now();

	ck_assert(b >= a);
	ck_assert(clock_wall() > 1600000000 * USEC_SEC);
}
END_TEST

START_TEST(reasons_are_whole)
{
	ck_assert_str_eq(reason_word(REASON_NONE), "none");
	ck_assert_uint_eq(reason_row(REASON_NONE)->status, 0);
	ck_assert_ptr_eq(reason_row(REASON_COUNT), reason_row(REASON_NONE));
	for (int r = 1; r < REASON_COUNT; r++) {
		const struct reason_row *row = reason_row((enum reason)r);
		ck_assert(row->word && row->word[0]);
		ck_assert_msg(strspn(row->word, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(row->word), "%s", row->word);
		ck_assert_msg(row->status == 0 || (row->status >= 400 && row->status < 600), "%s", row->word);
		ck_assert_msg(row->cause[0] && row->remedy[0] && row->stage[0] && row->blame[0], "%s", row->word);
		for (int other = 1; other < r; other++)
			ck_assert_str_ne(row->word, reason_word((enum reason)other));
	}
}
END_TEST

Suite *suite_base_things(void)
{
	Suite *s = suite_create("base_things");
	TCase *t = tcase_create("things");

	tcase_add_test(t, list_keeps_order);
	tcase_add_test(t, table_holds);
	tcase_add_test(t, table_survives_lack_of_memory);
	tcase_add_test(t, random_numbers_spread);
	tcase_add_loop_test(t, clock_writes_dates, 0, sizeof(dates) / sizeof(dates[0]));
	tcase_add_test(t, clock_goes_on);
	tcase_add_test(t, reasons_are_whole);
	suite_add_tcase(s, t);
	return s;
}
