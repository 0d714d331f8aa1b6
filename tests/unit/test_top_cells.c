/* Pieces of `outrider top`: a number, a sparkline, a key of a terminal. */
#include "control/top_draw.h"

#include <check.h>
#include <math.h>

static const struct style plain = { .utf8 = true }, ascii = { .utf8 = false };

START_TEST(sparklines)
{
	const float v[] = { 0, 1, 50, 100 }, none[] = { 0, 0 };
	struct text t;

	text_init(&t, 200);
	top_sparkline(&t, &plain, v, 4, 6);
	ck_assert_str_eq(text_z(&t), "  \u2581\u2582\u2585\u2588"); /* what is little is not drawn as nothing */
	text_clear(&t);
	top_sparkline(&t, &ascii, v, 4, 3);
	ck_assert_str_eq(text_z(&t), "_=#");
	text_clear(&t);
	top_sparkline(&t, &ascii, none, 2, 2);
	ck_assert_str_eq(text_z(&t), "..");
	text_release(&t);
}
END_TEST

START_TEST(numbers)
{
	static const struct {
		double v;
		enum top_format f;
		const char *want;
	} rows[] = {
		{ 0, FORMAT_RATE, "0" }, { 0.001, FORMAT_RATE, "<.01" }, { 0.126, FORMAT_RATE, "0.13" }, { 9.994, FORMAT_RATE, "9.99" }, { 9.996, FORMAT_RATE, "10.0" },
		{ 99.96, FORMAT_RATE, "100" }, { 9999.4, FORMAT_RATE, "9999" }, { 9999.6, FORMAT_RATE, "10.0k" }, { 123456, FORMAT_RATE, "123k" },
		{ 99960, FORMAT_RATE, "100k" }, { 1.5e7, FORMAT_RATE, "15.0M" }, { 1e15, FORMAT_RATE, "1000T" }, { NAN, FORMAT_MS, "-" }, { 12000, FORMAT_MS, "12.0s" },
		{ 200000, FORMAT_MS, "3m" }, { 1e15, FORMAT_MS, "9999d" }, { 99999, FORMAT_COUNT, "99999" }, { 100000, FORMAT_COUNT, "100k" },
		{ 0, FORMAT_STATUS, "-" }, { 503, FORMAT_STATUS, "503" }, { 1500, FORMAT_AGE, "1s" }, { 99.9e3, FORMAT_AGE, "99s" }, { 100e3, FORMAT_AGE, "1m" },
		{ 7.2e6 * 60, FORMAT_AGE, "5d" }, { 12582912, FORMAT_BYTES, "12 MiB" }, { 100, FORMAT_PERCENT, "100" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char z[TOP_CELL];
		top_number_text(z, rows[i].v, rows[i].f);
		ck_assert_str_eq(z, rows[i].want);
		ck_assert_uint_le(strlen(z), rows[i].f == FORMAT_BYTES ? 8 : 5);
	}
}
END_TEST

START_TEST(bytes_to_keys)
{
	static const struct {
		const char *bytes;
		int keys[4]; /* 0 ends */
	} rows[] = {
		{ "q", { 'q' } }, { "\033[A\033OB", { KEY_UP, KEY_DOWN } }, { "\033[5~\033[6~", { KEY_PAGE_UP, KEY_PAGE_DOWN } }, { "\033", { KEY_BACK } },
		{ "\033[1;5Cq", { KEY_NONE, 'q' } },      /* Ctrl-right: not `5`, `C` */
		{ "\033[200~q", { KEY_NONE, 'q' } },      /* the mark of a paste */
		{ "\r\t\177", { KEY_ENTER, KEY_TAB, KEY_BACK } }, { "\303\251", { KEY_NONE, KEY_NONE } }, { "\033q", { KEY_BACK, 'q' } }, { "\033[", { KEY_NONE } },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str in = str_of(rows[i].bytes);
		for (unsigned k = 0; k < 4 && rows[i].keys[k]; k++) {
			ck_assert_uint_gt(in.n, 0);
			ck_assert_int_eq(top_key_read(&in), rows[i].keys[k]);
		}
		ck_assert_uint_eq(in.n, 0);
	}
}
END_TEST

Suite *suite_top_cells(void);
Suite *suite_top_cells(void)
{
	Suite *s = suite_create("top_cells");
	TCase *c = tcase_create("top_cells");
	tcase_add_test(c, sparklines);
	tcase_add_test(c, numbers);
	tcase_add_test(c, bytes_to_keys);
	suite_add_tcase(s, c);
	return s;
}
