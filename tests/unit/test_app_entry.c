/* control/app_entry, app_json, app_trace, app_level: what a line says. */
#include "control/app_entry.h"
#include "control/app_json.h"
#include "control/app_level.h"
#include "control/app_trace.h"

#include <check.h>

#define T32 "463ac35c9f6413ad48485a3953bb6124"
#define T16 "48485a3953bb6124"
#define S16 "a2fb4a1d1a96d312"
#define AT 1795406706789000u /* 2026-11-23T04:05:06.789Z */

static const struct {
	const char *line, *message, *members, *trace, *span;
	enum log_level level;
	uint64_t wall;
} lines[] = {
	/* objects */
	{ "{\"time\":\"2026-11-23T04:05:06.789Z\",\"level\":\"warn\",\"msg\":\"late\",\"n\":1e400}", "late",
		"\"n\":1e400", "", "", LEVEL_WARN, AT },
	{ " {\"@timestamp\":\"2026-11-23T05:05:06.789+01:00\",\"log.level\":\"ERROR\",\"message\":\"no\"}  ",
		"no", "", "", "", LEVEL_ERROR, AT },
	{ "{\"level\":30,\"time\":1795406706789,\"pid\":7,\"msg\":\"pino\"}", "pino",
		"\"app_level\":30,\"pid\":7", "", "", LEVEL_INFO, AT },
	{ "{\"level\":\"FATAL\",\"ts\":1795406706.789,\"msg\":\"zap\"}", "zap", "\"app_level\":\"FATAL\"", "",
		"", LEVEL_ERROR, AT },
	{ "{\"severity\":\"NOTICE\",\"message\":\"m\"}", "m", "\"severity\":\"NOTICE\"", "", "", LEVEL_INFO,
		0 },
	{ "{\"level\":\"odd\",\"time\":\"04:05\",\"message\":{\"a\":1}}", "-",
		"\"app_level\":\"odd\",\"app_time\":\"04:05\",\"app_message\":{\"a\":1}", "", "", LEVEL_INFO,
		0 },
	{ "{\"msg\":\"a \\\"b\\\" \\u00e9\\ud83d\\ude00\\u0000\\u001b[31m\\n\"}",
		"a \"b\" \xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd", "", "", "", LEVEL_INFO, 0 },
	/* what stamps say is not said by a line */
	{ "{\"service\":\"evil\",\"task\":1,\"node\":null,\"stream\":\"x\",\"msg\":\"m\"}", "m",
		"\"app_service\":\"evil\",\"app_task\":1,\"app_node\":null,\"app_stream\":\"x\"", "", "",
		LEVEL_INFO, 0 },
	{ "{\"msg\":\"m\",\"traceId\":\"" T32 "\",\"spanId\":\"" S16 "\",\"x\":1}", "m", "\"x\":1", T32, S16,
		LEVEL_INFO, 0 },
	{ "{\"msg\":\"m\",\"mdc\":{\"traceId\":\"" T16 "\"}}", "m", "\"mdc\":{\"traceId\":\"" T16 "\"}", T16,
		"", LEVEL_INFO, 0 },
	{ "{\"msg\":\"m\",\"trace_id\":\"not one\"}", "m", "\"app_trace_id\":\"not one\"", "", "", LEVEL_INFO,
		0 },
	{ "{}", "-", "", "", "", LEVEL_INFO, 0 },
	{ "{\"msg\":\"\"}", "-", "", "", "", LEVEL_INFO, 0 },
	/* no objects: the line is the message */
	{ "{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}", "", "", "", LEVEL_INFO, 0 },
	{ "{\"\\u0073ervice\":\"evil\"}", "{\"\\u0073ervice\":\"evil\"}", "", "", "", LEVEL_INFO, 0 },
	{ "{\"service\":1,\"app_service\":2}", "{\"service\":1,\"app_service\":2}", "", "", "", LEVEL_INFO,
		0 },
	{ "{\"a\":1} {\"b\":2}", "{\"a\":1} {\"b\":2}", "", "", "", LEVEL_INFO, 0 },
	{ "{\"a\":", "{\"a\":", "", "", "", LEVEL_INFO, 0 },
	{ "[1,2]", "[1,2]", "", "", "", LEVEL_INFO, 0 },
	{ "{not json}", "{not json}", "", "", "", LEVEL_INFO, 0 },
	/* text */
	{ "2026-11-23 04:05:06.789  WARN [bank," T16 "," S16 ",true] 1 --- [main] c.e.App : late", NULL, "",
		T16, S16, LEVEL_WARN, 0 },
	{ "INFO [bank-service-" T32 "-" S16 "] started", NULL, "", T32, S16, LEVEL_INFO, 0 },
	{ "level=error msg=\"no\" trace_id=" T32 " span_id=" S16, NULL, "", T32, S16, LEVEL_ERROR, 0 },
	{ "traceparent: 00-" T32 "-" S16 "-01", NULL, "", T32, S16, LEVEL_INFO, 0 },
	{ "X-B3-TraceId: " T32, NULL, "", T32, "", LEVEL_INFO, 0 },
	{ "traceId=00000000000000000000000000000000 traceId=" T16 "0", NULL, "", "", "", LEVEL_INFO, 0 },
	{ "backtraceId=" T16 "x stack trace id " T16, NULL, "", "", "", LEVEL_INFO, 0 },
	{ "2026/11/23 04:05:06 [error] 7#7: *1 connect() failed", NULL, "", "", "", LEVEL_ERROR, 0 },
	{ "GET /ERROR/x 200", NULL, "", "", "", LEVEL_INFO, 0 },
	{ "no errors found, all info is here: warning signs are absent", NULL, "", "", "", LEVEL_INFO, 0 },
	{ "Exception in thread \"main\" java.lang.Error: SEVERELY odd", NULL, "", "", "", LEVEL_INFO, 0 },
	{ "", NULL, "", "", "", LEVEL_INFO, 0 },
};

START_TEST(says)
{
	struct app_entry e;
	struct str line = str_of(lines[_i].line);
	app_entry_init(&e);
	for (int round = 0; round < 2;
		round++) { /* one after the other in the same entry: nothing stays of the former */
		app_entry_read(&e,
			STR("{\"time\":\"2026-01-01T00:00:00Z\",\"level\":\"debug\",\"msg\":\"\\u0041\","
			    "\"x\":\"traceId=" T32 "\"}"),
			true);
		ck_assert(str_eq(e.message, STR("A")) && str_eq(e.trace_id, STR(T32)) &&
			  e.level == LEVEL_DEBUG);
		app_entry_read(&e, line, true);
		const char *message = lines[_i].message ? lines[_i].message : lines[_i].line;
		ck_assert_msg(str_eq(e.message, str_of(message)), "message %.*s", STR_ARG(e.message));
		ck_assert_msg(
			str_eq(e.members, str_of(lines[_i].members)), "members %.*s", STR_ARG(e.members));
		ck_assert_msg(str_eq(e.trace_id, str_of(lines[_i].trace)), "trace %.*s", STR_ARG(e.trace_id));
		ck_assert_msg(str_eq(e.span_id, str_of(lines[_i].span)), "span %.*s", STR_ARG(e.span_id));
		ck_assert_int_eq(e.level, lines[_i].level);
		ck_assert_uint_eq(e.wall, lines[_i].wall);
	}
	app_entry_read(&e, line, false); /* a piece of a longer line is no object */
	ck_assert(!e.merged && str_eq(e.message, line));
	app_entry_release(&e);
}
END_TEST

static const char *const times[] = { "1795406706.789", "1795406706789", "1795406706789000",
	"1795406706789000999", "\"2026-11-23 04:05:06.789Z\"", "\"2026-11-22T23:35:06,789-0430\"" };

START_TEST(times_of_loggers)
{
	struct app_entry e;
	struct text t;
	text_init(&t, 200);
	text_fmt(&t, "{\"ts\":%s}", times[_i]);
	app_entry_init(&e);
	app_entry_read(&e, text_str(&t), true);
	ck_assert_uint_eq(e.wall, AT);
	app_entry_release(&e);
	text_release(&t);
}
END_TEST

static const struct {
	const char *in;
	bool good;
} objects[] = {
	{ "{\"a\":[[[[[[[[[[[[[[1]]]]]]]]]]]]]]}", true },
	{ "{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", false }, /* APP_JSON_DEPTH */
	{ "{\"a\":{\"b\":{},\"c\":[]},\"d\":[{},[],\"\",-0.5e-7,true,false,null]}", true },
	{ "{\"a\":01}", false },
	{ "{\"a\":+1}", false },
	{ "{\"a\":.5}", false },
	{ "{\"a\":1.}", false },
	{ "{\"a\":1e}", false },
	{ "{\"a\":NaN}", false },
	{ "{\"a\":tru}", false },
	{ "{\"a\":\"\t\"}", false },
	{ "{\"a\":\"\\x\"}", false },
	{ "{\"a\":\"\\u12g4\"}", false },
	{ "{\"a\":\"\xff\"}", false },
	{ "{\"a\":1,}", false },
	{ "{,}", false },
	{ "{\"a\"}", false },
	{ "{a:1}", false },
	{ "{\"a\":[1,]}", false },
	{ "{\"a\":[1}}", false },
	{ "{\"a\":1]", false },
	{ "{\"a\":1", false },
	{ "{\"a", false },
	{ "{\"a\":\"\\ude00\"}", false }, { "{\"a\":\"\\ud83d\"}", false }, { "{\"a\":\"\\ud83d\\u0041\"}", false },
	{ "{\"a\":{\"b\":1,\"b\":2}}", true }, /* only what stands beside our stamps is looked at */
	{ "", false },
	{ "null", false },
	{ "\"{}\"", false },
};

START_TEST(objects_strictly)
{
	struct app_object o;
	ck_assert(app_json_read(str_of(objects[_i].in), &o) == objects[_i].good);
}
END_TEST

START_TEST(members_are_bounded)
{
	struct app_object o;
	struct text t;
	text_init(&t, 1 << 20);
	for (unsigned i = 0; i < APP_JSON_MEMBERS; i++)
		text_fmt(&t, "%s\"m%u\":%u", i ? "," : "{", i, i);
	size_t n = t.n;
	text_char(&t, '}');
	ck_assert(app_json_read(text_str(&t), &o) && o.n == APP_JSON_MEMBERS);
	t.n = n;
	text_addz(&t, ",\"more\":1}");
	ck_assert(!app_json_read(text_str(&t), &o));
	text_release(&t);
}
END_TEST

Suite *suite_app_entry(void);
Suite *suite_app_entry(void)
{
	Suite *s = suite_create("app_entry");
	TCase *t = tcase_create("entry");
	tcase_add_loop_test(t, says, 0, (int)(sizeof(lines) / sizeof(lines[0])));
	tcase_add_loop_test(t, times_of_loggers, 0, (int)(sizeof(times) / sizeof(times[0])));
	tcase_add_loop_test(t, objects_strictly, 0, (int)(sizeof(objects) / sizeof(objects[0])));
	tcase_add_test(t, members_are_bounded);
	suite_add_tcase(s, t);
	return s;
}
