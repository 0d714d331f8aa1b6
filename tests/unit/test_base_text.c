#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"

#include <check.h>

START_TEST(adds)
{
	struct text t;

	text_init(&t, 1000);
	ck_assert_str_eq(text_z(&t), "");
	text_addz(&t, "a");
	text_char(&t, '-');
	text_u64(&t, 0);
	text_u64(&t, UINT64_MAX);
	text_fmt(&t, " %s=%d", "x", -3);
	text_add(&t, str_make(NULL, 0));
	ck_assert_str_eq(text_z(&t), "a-018446744073709551615 x=-3");
	ck_assert_uint_eq(t.n, strlen(t.p));
	text_clear(&t);
	ck_assert_str_eq(text_z(&t), "");
	text_release(&t);
	text_addz(&t, "again");
	ck_assert_str_eq(text_z(&t), "again");
	text_release(&t);
}
END_TEST

START_TEST(stops_at_its_maximum)
{
	struct text t;

	text_init(&t, 5);
	text_addz(&t, "12345");
	ck_assert(!t.failed);
	text_char(&t, '6');
	ck_assert(t.failed);
	ck_assert_str_eq(text_z(&t), "12345");
	text_clear(&t);
	text_fmt(&t, "%s", "123456");
	ck_assert(t.failed);
	text_addz(&t, "1"); /* does nothing once failed */
	ck_assert_uint_eq(t.n, 0);
	ck_assert_ptr_null(text_detach(&t));
	ck_assert(!t.failed);
	text_release(&t);
}
END_TEST

START_TEST(grows)
{
	struct text t;

	text_init(&t, SIZE_MAX);
	for (int i = 0; i < 10000; i++)
		text_addz(&t, "0123456789");
	ck_assert(!t.failed && t.n == 100000);
	char *p = text_detach(&t);
	ck_assert_uint_eq(strlen(p), 100000);
	ck_assert_ptr_null(t.p);
	mem_free(p);
	p = text_detach(&t); /* an empty text is "" */
	ck_assert_str_eq(p, "");
	mem_free(p);
}
END_TEST

START_TEST(survives_lack_of_memory)
{
	struct text t;

	text_init(&t, 10000);
	text_addz(&t, "kept");
	for (unsigned long k = 1; k <= 2; k++) {
		text_clear(&t);
		mem_fail_at(k);
		for (int i = 0; i < 1000; i++)
			text_addz(&t, "12345678");
		mem_fail_at(0);
		ck_assert(t.failed);
		ck_assert_uint_eq(strlen(text_z(&t)), t.n);
	}
	text_release(&t);
	mem_fail_at(1);
	text_addz(&t, "a");
	ck_assert(t.failed);
	ck_assert_str_eq(text_z(&t), "");
	mem_fail_at(0);
	text_release(&t);
}
END_TEST

START_TEST(says_errors)
{
	struct err e = { "" };
	char longer[2 * ERR_MAX];

	ck_assert(!err_set(NULL, "nobody listens") && !err_prefix(NULL, "x"));
	ck_assert(!err_set(&e, "port %d is taken", 80));
	ck_assert_str_eq(e.text, "port 80 is taken");
	ck_assert(!err_prefix(&e, "listener %s", "in"));
	ck_assert_str_eq(e.text, "listener in: port 80 is taken");
	err_set(&e, "again: %s", e.text); /* an argument may be the old message */
	ck_assert_str_eq(e.text, "again: listener in: port 80 is taken");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	err_set(&e, "%s", longer);
	ck_assert_uint_eq(strlen(e.text), ERR_MAX - 1);
	err_prefix(&e, "%s", longer);
	ck_assert_uint_eq(strlen(e.text), ERR_MAX - 1);
}
END_TEST

Suite *suite_base_text(void)
{
	Suite *s = suite_create("base_text");
	TCase *t = tcase_create("text");

	tcase_add_test(t, adds);
	tcase_add_test(t, stops_at_its_maximum);
	tcase_add_test(t, grows);
	tcase_add_test(t, survives_lack_of_memory);
	tcase_add_test(t, says_errors);
	suite_add_tcase(s, t);
	return s;
}
