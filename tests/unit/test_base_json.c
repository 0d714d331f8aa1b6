#include "base/json.h"
#include "base/mem.h"

#include <check.h>
#include <math.h>

START_TEST(writes_documents)
{
	struct text t;
	text_init(&t, 1000);
	struct json j = json_begin(&t);

	json_object(&j);
	json_key(&j, "name");
	json_strz(&j, "a\"b");
	json_key(&j, "list");
	json_array(&j);
	json_u64(&j, 1);
	json_i64(&j, -2);
	json_object(&j);
	json_end(&j);
	json_array(&j);
	json_end(&j);
	json_bool(&j, true);
	json_null(&j);
	json_strz(&j, NULL);
	json_end(&j);
	json_keyn(&j, STR("min"));
	json_i64(&j, INT64_MIN);
	json_end(&j);
	ck_assert_str_eq(text_z(&t),
		"{\"name\":\"a\\\"b\",\"list\":[1,-2,{},[],true,null,null],\"min\":-9223372036854775808}");
	text_release(&t);
}
END_TEST

static const struct {
	double v;
	const char *want;
} numbers[] = {
	{ 0, "0" },
	{ -0.0, "0" },
	{ 1, "1" },
	{ -1.5, "-1.5" },
	{ 0.1, "0.1" },
	{ 0.25, "0.25" },
	{ 1.0625, "1.063" },
	{ 0.0004, "0" },
	{ -0.0004, "0" },
	{ 99.9996, "100" },
	{ 123456789.01, "123456789.01" },
	{ 1e18, "1000000000000000000" },
	{ (double)NAN, "null" },
	{ (double)INFINITY, "null" },
};

START_TEST(writes_numbers)
{
	struct text t;
	text_init(&t, 1000);
	struct json j = json_begin(&t);

	json_num(&j, numbers[_i].v);
	ck_assert_str_eq(text_z(&t), numbers[_i].want);
	text_release(&t);
}
END_TEST

#define BAD "\xef\xbf\xbd"
static const struct {
	const char *in, *want;
} escapes[] = {
	{ "plain", "plain" },
	{ "\"\\\b\f\n\r\t", "\\\"\\\\\\b\\f\\n\\r\\t" },
	{ "\x01\x1f\x7f", "\\u0001\\u001f\\u007f" },
	{ "</script>", "\\u003c/script>" },
	{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
	{ "a\xff" "b", "a" BAD "b" },
	{ "\xc0\xaf", BAD BAD },                   /* overlong */
	{ "\xe0\x80\xaf", BAD BAD BAD },           /* overlong */
	{ "\xed\xa0\x80", BAD BAD BAD },           /* a surrogate */
	{ "\xf4\x90\x80\x80", BAD BAD BAD BAD },   /* above U+10FFFF */
	{ "\xe2\x82", BAD BAD },                   /* cut short */
	{ "\xe2\x82(", BAD BAD "(" },              /* broken off */
};

START_TEST(escapes_text)
{
	struct text t;

	text_init(&t, 1000);
	json_escape(&t, str_of(escapes[_i].in));
	ck_assert_str_eq(text_z(&t), escapes[_i].want);
	text_release(&t);
}
END_TEST

START_TEST(escapes_nul)
{
	struct text t;

	text_init(&t, 1000);
	json_escape(&t, str_make("a\0b", 3));
	ck_assert_str_eq(text_z(&t), "a\\u0000b");
	text_clear(&t);
	json_escape(&t, str_make(NULL, 0));
	ck_assert_uint_eq(t.n, 0);
	text_release(&t);
}
END_TEST

START_TEST(limits_depth)
{
	struct text t;
	text_init(&t, 1000);
	struct json j = json_begin(&t);

	for (int i = 0; i < 63; i++)
		json_array(&j);
	ck_assert(!t.failed);
	json_u64(&j, 1);
	json_u64(&j, 2);
	for (int i = 0; i < 63; i++)
		json_end(&j);
	ck_assert(!t.failed);
	ck_assert_uint_eq(t.n, 63 + 3 + 63);
	json_end(&j); /* one too many */
	ck_assert(t.failed);

	text_clear(&t);
	j = json_begin(&t);
	for (int i = 0; i < 64; i++)
		json_array(&j);
	ck_assert(t.failed);
	text_release(&t);
}
END_TEST

START_TEST(survives_lack_of_memory)
{
	for (unsigned long k = 1; k < 4; k++) {
		struct text t;
		text_init(&t, 100000);
		struct json j = json_begin(&t);

		mem_fail_at(k);
		json_array(&j);
		for (int i = 0; i < 500; i++)
			json_strz(&j, "some text");
		json_end(&j);
		mem_fail_at(0);
		ck_assert(t.failed);
		text_release(&t);
	}
}
END_TEST

Suite *suite_base_json(void)
{
	Suite *s = suite_create("base_json");
	TCase *t = tcase_create("json");

	tcase_add_test(t, writes_documents);
	tcase_add_loop_test(t, writes_numbers, 0, sizeof(numbers) / sizeof(numbers[0]));
	tcase_add_loop_test(t, escapes_text, 0, sizeof(escapes) / sizeof(escapes[0]));
	tcase_add_test(t, escapes_nul);
	tcase_add_test(t, limits_depth);
	tcase_add_test(t, survives_lack_of_memory);
	suite_add_tcase(s, t);
	return s;
}
