/* control/app_frames: the engine's log stream taken apart. */
#include "base/text.h"
#include "control/app_frames.h"

#include <check.h>

#define STAMP "2026-11-23T04:05:06.789012345Z "
#define NS 1795406706789012345u

/* Each piece as "1:text|", with '+' before it when it has a stamp. Pieces of one message are joined. */
static void feed(struct app_frames *f, struct str bytes, struct text *t, char *last)
{
	struct app_piece p;
	while (app_frames_next(f, &bytes, &p)) {
		char key = (char)('0' + p.source);
		if (*last != key)
			text_fmt(t, "%s%c%s:", *last ? "|" : "", key,
				p.stamp == NS ? "+"
				: p.stamp     ? "?"
					      : "");
		text_add(t, p.bytes);
		*last = key;
	}
}

static const struct {
	const char *in;
	size_t n;
	bool raw, broken;
	const char *out;
} streams[] = {
#define STREAM(in, raw, broken, out)                                                                         \
	{                                                                                                    \
		in, sizeof(in) - 1, raw, broken, out                                                         \
	}
	STREAM("\1\0\0\0\0\0\0\3one\2\0\0\0\0\0\0\3two", false, false, "0:one|1:two"),
	STREAM("\1\0\0\0\0\0\0\42" STAMP "one\2\0\0\0\0\0\0\42" STAMP "two", false, false, "0+:one|1+:two"),
	STREAM("\1\0\0\0\0\0\0\42" STAMP "one\1\0\0\0\0\0\0\42" STAMP "two", false, false,
		"0+:onetwo"), /* a long line in two messages */
	STREAM("\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\1x", false, false, "1:x"),
	STREAM("\0\0\0\0\0\0\0\2in\3\0\0\0\0\0\0\4oops", false, false, "0:in|2:oops"),
	STREAM("\1\0\0\0\0\0\0\0122026-11-23\2\0\0\0\0\0\0\1x", false, false,
		"0:2026-11-23|1:x"), /* a stamp that is none */
	STREAM("\1\0\0\0\0\0\0\0132026-11-23 \2\0\0\0\0\0\0\1x", false, false, "0:2026-11-23 |1:x"),
	STREAM("\1\0\0\0\0\0\0\0570123456789012345678901234567890123456789 1234567", false, false,
		"0:0123456789012345678901234567890123456789 123456"),
	STREAM("\4\0\0\0\0\0\0\1x", false, true, ""),
	STREAM("\1\0\1\0\0\0\0\1x", false, true, ""),
	STREAM("\1\0\0\0\0\0\0\3oneplain text", false, true, "0:one"),
	STREAM("\1\0\0\0\377\377\377\377all of it", false, false,
		"0:all of it"), /* a length that lies takes no memory */
	STREAM("\1\0\0\0", false, false, ""),
	STREAM(STAMP "one\r\n" STAMP "two\n", true, false, "0+:one\r\ntwo\n"),
	STREAM("plain\r\n" STAMP "two\nthree", true, false, "0:plain\r\ntwo\nthree"),
};

START_TEST(streams_however_they_are_cut)
{
	struct str in = str_make(streams[_i].in, streams[_i].n);
	for (size_t step = 1; step <= in.n; step++) {
		struct app_frames f;
		struct text t;
		char last = 0;
		text_init(&t, 1000);
		app_frames_init(&f, streams[_i].raw);
		for (size_t at = 0; at < in.n; at += step)
			feed(&f, str_make(in.p + at, in.n - at < step ? in.n - at : step), &t, &last);
		ck_assert_msg(strcmp(text_z(&t), streams[_i].out) == 0, "step %zu: %s", step, text_z(&t));
		ck_assert(f.broken == streams[_i].broken);
		text_release(&t);
	}
}
END_TEST

Suite *suite_app_frames(void);
Suite *suite_app_frames(void)
{
	Suite *s = suite_create("app_frames");
	TCase *t = tcase_create("frames");
	tcase_add_loop_test(t, streams_however_they_are_cut, 0, (int)(sizeof(streams) / sizeof(streams[0])));
	suite_add_tcase(s, t);
	return s;
}
