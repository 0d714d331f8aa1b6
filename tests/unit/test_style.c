/* How client commands look: what a terminal gets, and what it never gets. */
#include "control/style.h"

#include <check.h>

static const struct style plain = { .utf8 = true }, ascii = { .utf8 = false }, coloured = { .utf8 = true, .colour = true, .terminal = true };

static void cleaned(const struct style *s, const char *in, const char *want, unsigned columns)
{
	struct text t;

	text_init(&t, 4096);
	style_add(&t, s, str_of(in), PAINT_NONE);
	ck_assert_str_eq(text_z(&t), want);
	ck_assert_uint_eq(style_columns(s, str_of(in)), columns);
	text_release(&t);
}

START_TEST(nothing_obeys)
{
	static const struct {
		const char *in, *want;
		unsigned columns;
	} rows[] = {
		{ "quotes-service", "quotes-service", 14 },
		{ "\033[2J\033]0;title\007x", "?[2J?]0;title?x", 15 }, /* CSI, OSC, BEL */
		{ "a\tb\r\nc\177", "a?b??c?", 7 },
		{ "\302\233" "31m", "?31m", 4 },                         /* C1 CSI in UTF-8 */
		{ "\233" "31m", "?31m", 4 },                             /* and as one byte, which is no UTF-8 */
		{ "\342\200\256" "evil", "?evil", 5 },                   /* U+202E: what follows would be read from the right */
		{ "a\342\200\213" "b", "a?b", 3 },                       /* zero width */
		{ "e\314\201", "e", 1 },                                 /* a combining mark goes */
		{ "\345\220\215\345\211\215", "\345\220\215\345\211\215", 4 }, /* two wide ones */
		{ "\303\251", "\303\251", 1 },
		{ "\303", "?", 1 },                                      /* cut in the middle */
		{ "\363\240\201\201" "x", "?x", 2 },                     /* a tag character */
		{ "", "", 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cleaned(&plain, rows[i].in, rows[i].want, rows[i].columns);
	cleaned(&ascii, "caf\303\251 \345\220\215", "caf? ?", 6);
}
END_TEST

START_TEST(cells)
{
	static const struct {
		const char *in, *want;
		unsigned columns;
		enum style_align align;
	} rows[] = {
		{ "abc", "abc  ", 5, STYLE_LEFT },
		{ "abc", "  abc", 5, STYLE_RIGHT },
		{ "abcdef", "abcd\342\200\246", 5, STYLE_LEFT },
		{ "abcde", "abcde", 5, STYLE_LEFT },
		{ "\345\220\215\345\211\215\343\202\265", "\345\220\215\342\200\246 ", 4, STYLE_LEFT }, /* half a wide one does not fit */
		{ "abc", "", 0, STYLE_LEFT },
		{ "abc", "\342\200\246", 1, STYLE_RIGHT },
	};
	struct text t;

	text_init(&t, 4096);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		text_clear(&t);
		style_cell(&t, &plain, str_of(rows[i].in), rows[i].columns, rows[i].align, PAINT_BAD);
		ck_assert_str_eq(text_z(&t), rows[i].want);
		ck_assert_uint_eq(style_columns(&plain, text_str(&t)), rows[i].columns);
	}
	text_clear(&t);
	style_cell(&t, &ascii, STR("abcdef"), 4, STYLE_LEFT, PAINT_NONE);
	ck_assert_str_eq(text_z(&t), "abc~");
	text_clear(&t);
	style_cell(&t, &coloured, STR("down"), 6, STYLE_LEFT, style_word(STR("down")));
	ck_assert_str_eq(text_z(&t), "\033[1;31mdown\033[0m  "); /* blanks are not coloured */
	text_release(&t);
}
END_TEST

START_TEST(wrapping)
{
	static const struct {
		const char *in, *want;
		unsigned width, indent;
	} rows[] = {
		{ "one two three four five six", "one two three four five\n     six", 30, 5 },
		{ "one two  three", "one two  three", 0, 5 },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n  b", 24, 2 }, /* a word is not broken */
		{ "one two three four five six", "one two three four five six", 24, 5 },                               /* too little room */
		{ " a", " a", 80, 0 }, { "", "", 80, 2 },
	};
	struct text t;

	text_init(&t, 4096);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct style s = { .utf8 = true, .width = rows[i].width };
		text_clear(&t);
		style_wrap(&t, &s, str_of(rows[i].in), rows[i].indent, PAINT_NONE);
		ck_assert_str_eq(text_z(&t), rows[i].want);
	}
	text_release(&t);
}
END_TEST

START_TEST(what_the_environment_says)
{
	static const struct {
		struct style_env env;
		bool terminal, colour, utf8, moves;
	} rows[] = {
		{ { "xterm", NULL, NULL, NULL, "en_US.UTF-8" }, true, true, true, true },
		{ { "xterm", NULL, NULL, NULL, "en_US.UTF-8" }, false, false, true, true },
		{ { "xterm", "1", NULL, NULL, "C.utf8" }, true, false, true, true },
		{ { "xterm", "", NULL, NULL, "C" }, true, true, false, true }, /* an empty NO_COLOR is none */
		{ { "dumb", NULL, NULL, NULL, "C.UTF-8" }, true, false, true, false },
		{ { NULL, NULL, NULL, NULL, NULL }, true, false, false, false },
		{ { "xterm", NULL, "C", "C.UTF-8", "C.UTF-8" }, true, true, false, true }, /* LC_ALL is the strongest */
		{ { "xterm", NULL, "", "de_DE.UTF-8", "C" }, true, true, true, true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct style s = style_from(&rows[i].env, rows[i].terminal, 80);
		ck_assert_int_eq(s.colour, rows[i].colour);
		ck_assert_int_eq(s.utf8, rows[i].utf8);
		ck_assert_int_eq(style_moves(&rows[i].env), rows[i].moves);
		ck_assert_uint_eq(s.width, rows[i].terminal ? 80 : 0);
	}
}
END_TEST

Suite *suite_style(void);
Suite *suite_style(void)
{
	Suite *s = suite_create("style");
	TCase *c = tcase_create("style");
	tcase_add_test(c, nothing_obeys);
	tcase_add_test(c, cells);
	tcase_add_test(c, wrapping);
	tcase_add_test(c, what_the_environment_says);
	suite_add_tcase(s, c);
	return s;
}
