/* control/app_lines: lines out of bytes in any pieces. control/app_text: what is made safe to show. */
#include "base/mem.h"
#include "control/app_lines.h"
#include "control/app_text.h"

#include <check.h>
#include <stdlib.h>

struct got {
	struct text all; /* each piece, its flags as digits behind it, and a '|' */
	size_t pieces, longest;
	uint64_t wall;
};

static void on_line(void *arg, struct str s, unsigned flags, uint64_t wall)
{
	struct got *g = arg;
	text_add(&g->all, s);
	if (flags)
		text_u64(&g->all, flags);
	text_char(&g->all, '|');
	g->pieces++;
	g->longest = s.n > g->longest ? s.n : g->longest;
	g->wall = wall;
}

static void begin(struct app_lines *l, struct got *g, size_t max)
{
	*g = (struct got){ .pieces = 0 };
	text_init(&g->all, 64u << 20);
	app_lines_init(l, max);
}

static void end(struct app_lines *l, struct got *g)
{
	app_lines_release(l);
	text_release(&g->all);
}

static const struct {
	const char *in, *out;
} cuts[] = {
	{ "", "" },
	{ "one\n", "one|" },
	{ "one\r\ntwo\n", "one|two|" },
	{ "\n\nx\n", "||x|" },
	{ "a\rb\n", "a\rb|" },
	{ "no end", "" },
	{ "first\nno end", "first|" },
	{ "\r\n", "|" },
	{ "gr\xc3\xbc\xc3\x9f\x65\nx\n", "gr\xc3\xbc\xc3\x9f\x65|x|" },
};

/* However the bytes are cut, the lines are the same. */
START_TEST(lines_do_not_depend_on_pieces)
{
	struct str in = str_of(cuts[_i].in);
	for (size_t step = 1; step <= in.n + 1; step++) {
		struct app_lines l;
		struct got g;
		begin(&l, &g, APP_LINE_MIN);
		for (size_t at = 0; at < in.n; at += step)
			app_lines_feed(&l, str_make(in.p + at, in.n - at < step ? in.n - at : step), 5, 7,
				on_line, &g);
		ck_assert_str_eq(text_z(&g.all), cuts[_i].out);
		end(&l, &g);
	}
}
END_TEST

/* A line of a MiB comes in pieces of at most the maximum, marked, with every byte, and no character is cut. */
START_TEST(a_long_line_is_split)
{
	struct app_lines l;
	struct got g;
	size_t n = 1 << 20, step = (size_t)(_i ? _i : 1 << 20);
	char *p = malloc(n + 3);
	for (size_t i = 0; i + 2 < n; i += 3)
		memcpy(p + i, "\xe2\x82\xac", 3); /* € */
	p[n - 1] = '\n';
	begin(&l, &g, 4096);
	for (size_t at = 0; at < n; at += step)
		app_lines_feed(&l, str_make(p + at, n - at < step ? n - at : step), 0, 0, on_line, &g);
	ck_assert_uint_le(g.longest, 4096);
	ck_assert_uint_ge(g.pieces, n / 4096);
	ck_assert(str_starts(text_str(&g.all), STR("\xe2\x82\xac")));
	struct str rest = text_str(&g.all), piece;
	size_t bytes = 0;
	for (size_t i = 0; i < g.pieces; i++) {
		ck_assert(str_next(&rest, '|', &piece));
		char flags = i == 0 ? '1' : i + 1 == g.pieces ? '2' : '3';
		ck_assert_int_eq(piece.p[piece.n - 1], flags);
		ck_assert_uint_eq((piece.n - 1) % 3, 0);
		bytes += piece.n - 1;
	}
	ck_assert_uint_eq(bytes, n - 1);
	ck_assert_uint_eq(l.lost, 0);
	ck_assert_ptr_null(l.mem); /* none is held between lines */
	free(p);
	end(&l, &g);
}
END_TEST

/* A prompt has no end; it is given after a second, and what comes then is its rest. */
START_TEST(an_incomplete_line_is_given_in_time)
{
	struct app_lines l;
	struct got g;
	begin(&l, &g, APP_LINE_MIN);
	ck_assert_uint_eq(app_lines_due(&l), USEC_NEVER);
	app_lines_feed(&l, STR("Name"), 100, 9, on_line, &g);
	app_lines_feed(&l, STR("? "), 900000, 11, on_line, &g);
	ck_assert_uint_eq(app_lines_due(&l), 100 + APP_LINE_PATIENCE); /* of its first byte */
	app_lines_flush(&l, on_line, &g);
	ck_assert_uint_eq(g.wall, 9);
	ck_assert_uint_eq(app_lines_due(&l), USEC_NEVER);
	app_lines_feed(&l, STR("Ada\nnext\n"), 2000000, 12, on_line, &g);
	app_lines_flush(&l, on_line, &g); /* nothing waits */
	app_lines_feed(&l, STR("last words"), 2000000, 12, on_line, &g);
	app_lines_end(&l, on_line, &g);
	ck_assert_str_eq(text_z(&g.all), "Name? 1|Ada2|next|last words|");
	end(&l, &g);
}
END_TEST

/* The memory that cannot be had is of that line alone, and counted. */
START_TEST(without_memory)
{
	struct app_lines l;
	struct got g;
	begin(&l, &g, APP_LINE_MIN);
	mem_fail_at(1);
	app_lines_feed(&l, STR("lost"), 0, 0, on_line, &g);
	mem_fail_at(0);
	ck_assert_uint_eq(l.lost, 4);
	app_lines_feed(&l, STR("\nkept\n"), 0, 0, on_line, &g);
	ck_assert_str_eq(text_z(&g.all), "|kept|");
	end(&l, &g);
}
END_TEST

static const struct {
	const char *in;
	size_t n;
	const char *out, *colours;
} texts[] = {
#define TEXT(in, out, colours)                                                                               \
	{                                                                                                    \
		in, sizeof(in) - 1, out, colours                                                             \
	}
	TEXT("plain \xc3\xa9 text\twith a tab", "plain \xc3\xa9 text\twith a tab", NULL),
	TEXT("\x1b[31;1mred\x1b[0m", "red", "\x1b[31;1mred\x1b[0m"),
	TEXT("\x1b[2J\x1b[10;10Hmoved", "moved", "moved"),
	TEXT("\x1b]0;title\x07x\x1b]8;;http://x\x1b\\y", "xy", "xy"),
	TEXT("\x1bP+q\x1b\\z\x1b(Bq\x1b"
	     "7",
		"zq", "zq"),
	TEXT("a\x1b", "a", "a"),
	TEXT("a\x1b[", "a", "a"),
	TEXT("a\x1b[1;", "a", "a"),
	TEXT("a\x1b]never ends", "anever ends", "anever ends"),
	TEXT("nul\0bel\a",
		"nul\xef\xbf\xbd"
		"bel\xef\xbf\xbd",
		NULL),
	TEXT("10%\r20%", "10% 20%", NULL),
	TEXT("\xff\xc3\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", NULL),
	TEXT("\xc2\x9b"
	     "31m\xc2\xa0",
		"\xef\xbf\xbd"
		"31m\xc2\xa0",
		NULL), /* CSI as a C1 character, and a blank that is none */
	TEXT("\x7f", "\xef\xbf\xbd", NULL),
};

START_TEST(is_made_safe)
{
	struct str in = str_make(texts[_i].in, texts[_i].n);
	for (int colours = 0; colours < 2; colours++) {
		const char *out = colours && texts[_i].colours ? texts[_i].colours : texts[_i].out;
		struct text t;
		text_init(&t, 1000);
		app_text_clean(&t, in, colours);
		ck_assert_str_eq(text_z(&t), out);
		ck_assert(app_text_is_clean(in) == str_eq(in, str_of(texts[_i].out)));
		ck_assert(colours || app_text_is_clean(text_str(&t)));
		text_release(&t);
	}
}
END_TEST

Suite *suite_app_lines(void);
Suite *suite_app_lines(void)
{
	static const int steps[] = { 0, 1, 7, 4096, 4097, 65536 };
	Suite *s = suite_create("app_lines");
	TCase *t = tcase_create("lines");
	tcase_add_loop_test(t, lines_do_not_depend_on_pieces, 0, (int)(sizeof(cuts) / sizeof(cuts[0])));
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		tcase_add_loop_test(t, a_long_line_is_split, steps[i], steps[i] + 1);
	tcase_add_test(t, an_incomplete_line_is_given_in_time);
	tcase_add_test(t, without_memory);
	tcase_add_loop_test(t, is_made_safe, 0, (int)(sizeof(texts) / sizeof(texts[0])));
	suite_add_tcase(s, t);
	return s;
}
