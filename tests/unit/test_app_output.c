/* control/app_output: streams out of pipes, in turn, at their rate, to the hub; what of them is whose. */
#include "base/json.h"
#include "base/mem.h"
#include "control/app_output.h"
#include "control/log_keep.h"
#include "control/logs.h"
#include "options_help.h"

#include <fcntl.h>
#include <unistd.h>

#define NS 1000000000u

struct scene {
	struct loop *loop;
	struct options *options;
	struct logs *logs;
	struct app_output *output;
	struct app_counts counts;
	struct app_stream *stream;
	int end; /* that is written */
	int ended;
	bool broken;
	struct text messages;
};

static void on_ended(void *arg, bool broken)
{
	struct scene *s = arg;
	s->ended++;
	s->broken = broken;
}

static void begin(struct scene *s)
{
	struct err err = { "" };
	*s = (struct scene){ .end = -1 };
	s->loop = loop_new(&err);
	s->options = from_flags("--log=off");
	ck_assert(options_check(s->options, COMMAND_ANY, &err));
	const struct logs_config c = { .loop = s->loop, .options = s->options, .identity = { .host = "n" } };
	s->logs = logs_new(&c, &err);
	ck_assert_msg(s->logs && (s->output = app_output_new(s->loop, s->logs, &err)), "%s", err.text);
	text_init(&s->messages, 1 << 20);
}

static void open_one(struct scene *s, struct app_stream_config c)
{
	int ends[2];
	ck_assert(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	s->end = ends[1];
	c.whose = (struct app_whose){ .seat = 3, .service = STR("quotes"), .task = STR("t1") };
	c.line_max = 65536;
	c.counts = &s->counts;
	c.ended = on_ended;
	c.arg = s;
	s->stream = app_stream_open(s->output, ends[0], &c);
	ck_assert_ptr_nonnull(s->stream);
}

static void end(struct scene *s)
{
	if (s->end >= 0)
		close(s->end);
	app_output_free(s->output);
	logs_flush(s->logs);
	logs_free(s->logs);
	loop_turn(s->loop, false);
	loop_free(s->loop);
	options_free(s->options);
	text_release(&s->messages);
}

static bool add_message(void *arg, const struct log_record *r)
{
	struct scene *s = arg;
	ck_assert(r->kind == LOG_KIND_APP && r->seat == 3 && str_eq(r->service, STR("quotes")));
	text_add(&s->messages, r->message);
	text_char(&s->messages, r->stream == LOG_STREAM_STDERR ? '!' : '|');
	return true;
}

/* What the hub kept, newest first. */
static const char *said(struct scene *s)
{
	text_clear(&s->messages);
	(void)log_keep_each(logs_kept(s->logs), 1000, NULL, NULL, add_message, s);
	return text_z(&s->messages);
}

static void say(struct scene *s, const char *z)
{
	ck_assert_int_eq(write(s->end, z, strlen(z)), (ssize_t)strlen(z));
}

static void turns(struct scene *s, int n)
{
	for (int i = 0; i < n; i++) {
		loop_skip(s->loop, APP_OUTPUT_PAUSE + USEC_MS);
		loop_turn(s->loop, false);
	}
}

START_TEST(lines_come_and_end)
{
	struct scene s;
	begin(&s);
	open_one(&s, (struct app_stream_config){ .kind = APP_KIND_STDERR });
	say(&s, "one\ntw");
	turns(&s, 5);
	ck_assert_str_eq(said(&s), "one!");
	say(&s, "o\n\nprompt");
	turns(&s, 5);
	ck_assert_str_eq(said(&s), "two!one!");
	loop_skip(s.loop, 2 * USEC_SEC); /* longer than anybody waits for the end of a line */
	turns(&s, 3);
	ck_assert_str_eq(said(&s), "prompt!two!one!");
	say(&s, " answered");
	close(s.end);
	s.end = -1;
	turns(&s, 5);
	ck_assert_str_eq(said(&s), " answered!prompt!two!one!");
	ck_assert(s.ended == 1 && !s.broken);
	ck_assert(s.counts.lines[1] == 4 && s.counts.lines[0] == 0 && s.counts.split == 2 &&
		  s.counts.bytes[1] == 24);
	end(&s);
}
END_TEST

/* At 10 lines a second with one second's worth at once: the pipe holds the rest until its time comes. */
START_TEST(a_rate_slows_the_reading)
{
	struct scene s;
	char line[1025];
	begin(&s);
	open_one(&s, (struct app_stream_config){ .kind = APP_KIND_STDOUT, .rate = 10 });
	memset(line, 'x', sizeof(line));
	line[1023] = '\n';
	line[1024] = '\0';
	for (int i = 0; i < 40; i++)
		say(&s, line);
	turns(&s, 20);
	uint64_t first = s.counts.lines[0];
	ck_assert(first >= 10 && first <= 20);
	turns(&s, 10);
	ck_assert(s.counts.lines[0] <= first + 4);
	for (int i = 0; i < 40 && s.counts.lines[0] < 40; i++) {
		loop_skip(s.loop, USEC_SEC);
		turns(&s, 2);
	}
	ck_assert_uint_eq(s.counts.lines[0], 40);
	end(&s);
}
END_TEST

static void say_frame(struct scene *s, uint64_t ns, const char *z)
{
	char time[25], text[200] = { 1 };
	clock_iso(ns / 1000, time);
	int n = snprintf(text + 8, sizeof(text) - 8, "%.19s.%09uZ %s", time, (unsigned)(ns % NS), z);
	text[7] = (char)n;
	ck_assert_int_eq(write(s->end, text, 8 + (size_t)n), 8 + n);
}

#define T (1795406706u * (uint64_t)NS)

/* Behind what a former stream read, before what a successor reads, whatever the order in which messages stand. */
START_TEST(each_line_is_one_readers)
{
	struct scene s;
	begin(&s);
	open_one(&s, (struct app_stream_config){ .kind = APP_KIND_FRAMES, .after = T + 5 });
	say_frame(&s, T + 5, "read before\n");
	say_frame(&s, T + 6, "one\n");
	turns(&s, 5);
	ck_assert_uint_eq(app_stream_stamp(s.stream), T + 6);
	app_stream_until(s.stream, T + 20);
	say_frame(&s, T + 20, "his\n");
	say_frame(&s, T + 19, "ours\n");
	say_frame(&s, T + 21, "his\n");
	turns(&s, 5);
	ck_assert_str_eq(said(&s), "ours|one|");
	ck_assert(!s.ended && app_stream_stamp(s.stream) == T + 19);
	say_frame(&s, T + 2 * (uint64_t)NS, "his\n");
	turns(&s, 5);
	ck_assert_int_eq(s.ended, 1);
	ck_assert_str_eq(said(&s), "ours|one|");
	end(&s);
}
END_TEST

START_TEST(no_stream_at_all)
{
	struct scene s;
	begin(&s);
	open_one(&s, (struct app_stream_config){ .kind = APP_KIND_FRAMES });
	say(&s, "no frames");
	turns(&s, 5);
	ck_assert(s.ended == 1 && s.broken);
	app_stream_close(s.stream);
	end(&s);
}
END_TEST

/* Each allocation fails in turn: lines may be lost, and are counted; nothing breaks, and what comes later is read. */
START_TEST(without_memory)
{
	for (unsigned long k = 1; k < 40; k++) {
		struct scene s;
		begin(&s);
		open_one(&s, (struct app_stream_config){ .kind = APP_KIND_STDOUT });
		say(&s, "\x1b[1mbold\x1b[0m\n{\"a\":1,\"msg\":\"\\u0041\"}\nhalf");
		mem_fail_at(k);
		turns(&s, 5);
		mem_fail_at(0);
		say(&s, "\nlast\n");
		turns(&s, 5);
		ck_assert_msg(str_starts(str_of(said(&s)), STR("last|")), "%lu: %s", k, said(&s));
		app_stream_close(s.stream);
		end(&s);
	}
}
END_TEST

Suite *suite_app_output(void);
Suite *suite_app_output(void)
{
	Suite *s = suite_create("app_output");
	TCase *t = tcase_create("streams");
	tcase_add_test(t, lines_come_and_end);
	tcase_add_test(t, a_rate_slows_the_reading);
	tcase_add_test(t, each_line_is_one_readers);
	tcase_add_test(t, no_stream_at_all);
	tcase_add_test(t, without_memory);
	suite_add_tcase(s, t);
	return s;
}
