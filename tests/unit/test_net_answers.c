/* net/answers: what one asked of DNS is good for others of its group for a while. */
#include "net/answers.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct answers *store;

static void setup(void)
{
	struct err err;
	store = answers_new(&err);
	ck_assert_ptr_nonnull(store);
}

static void teardown(void)
{
	answers_free(store);
}

static void put(uint64_t group, const char *question, usec now, const char *ip)
{
	struct addr a;
	ck_assert(addr_parse_ip(str_of(ip), 0, &a));
	answers_put(store, group, question, now, &(struct answer){ LOOKUP_FOUND, &a, 1 });
}

START_TEST(fresh_answers_of_the_same_group)
{
	struct answer got;
	struct addr a;
	put(7, "tasks.quotes.", 1000, "10.0.0.1");
	ck_assert(addr_parse_ip(STR("10.0.0.1"), 0, &a));
	ck_assert(answers_get(store, 7, "tasks.quotes.", 1750, 750, &got));
	ck_assert(got.end == LOOKUP_FOUND && got.n == 1 && addr_eq(&got.addrs[0], &a));
	ck_assert(!answers_get(store, 7, "tasks.quotes.", 1751, 750, &got)); /* too old */
	ck_assert(!answers_get(store, 8, "tasks.quotes.", 1000, 750, &got)); /* other networks */
	ck_assert(!answers_get(store, 7, "tasks.images.", 1000, 750, &got));
}
END_TEST

START_TEST(a_later_answer_takes_its_place)
{
	struct answer got;
	put(7, "tasks.quotes.", 1000, "10.0.0.1");
	answers_put(store, 7, "tasks.quotes.", 2000, &(struct answer){ LOOKUP_NONE, NULL, 0 });
	ck_assert(answers_get(store, 7, "tasks.quotes.", 2000, 0, &got));
	ck_assert(got.end == LOOKUP_NONE && got.n == 0);
}
END_TEST

START_TEST(one_asks_and_the_others_wait)
{
	struct answer got;
	ck_assert(answers_claim(store, 7, "tasks.quotes.", 1000));
	ck_assert(!answers_claim(store, 7, "tasks.quotes.", 1000));
	ck_assert(!answers_get(store, 7, "tasks.quotes.", 1000, USEC_SEC, &got)); /* a claim is no answer */
	ck_assert(answers_claim(store, 8, "tasks.quotes.", 1000)); /* other networks */
	ck_assert(answers_claim(store, 7, "tasks.images.", 1000));
	put(7, "tasks.quotes.", 2000, "10.0.0.1");
	ck_assert(answers_get(store, 7, "tasks.quotes.", 2000, 0, &got));
	ck_assert(answers_claim(store, 7, "tasks.quotes.", 3000)); /* it is answered: the next may ask */
	answers_waive(store, 7, "tasks.quotes.");
	ck_assert(answers_claim(store, 7, "tasks.quotes.", 3000));
	ck_assert(!answers_claim(store, 7, "tasks.quotes.", 2999 + ANSWERS_CLAIM));
	ck_assert(answers_claim(store, 7, "tasks.quotes.", 3000 + ANSWERS_CLAIM)); /* out for too long */
	answers_waive(store, 7, "tasks.unheard-of.");
}
END_TEST

START_TEST(old_ones_are_swept)
{
	struct answer got;
	char name[64];
	for (unsigned i = 0; i < ANSWERS_MAX + 10; i++) { /* beyond the limit nothing is kept, and nothing breaks */
		snprintf(name, sizeof(name), "tasks.s%u.", i);
		put(1, name, 1000, "10.0.0.1");
	}
	ck_assert(answers_get(store, 1, "tasks.s0.", 1000, 0, &got));
	put(1, "tasks.new.", 1001 + ANSWERS_KEPT, "10.0.0.2");
	ck_assert(answers_get(store, 1, "tasks.new.", 1001 + ANSWERS_KEPT, 0, &got));
	ck_assert(!answers_get(store, 1, "tasks.s0.", 1001 + ANSWERS_KEPT, USEC_NEVER - 1, &got));
}
END_TEST

Suite *suite_net_answers(void);
Suite *suite_net_answers(void)
{
	Suite *s = suite_create("net_answers");
	TCase *t = tcase_create("answers");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, fresh_answers_of_the_same_group);
	tcase_add_test(t, a_later_answer_takes_its_place);
	tcase_add_test(t, one_asks_and_the_others_wait);
	tcase_add_test(t, old_ones_are_swept);
	suite_add_tcase(s, t);
	return s;
}
