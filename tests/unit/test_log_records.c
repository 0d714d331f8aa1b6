/* Bytes of log records: GELF, RFC 5424, lines for people, members. */
#include "../../plugins/gelf_json.h"
#include "../../plugins/line_writer.h"
#include "../../plugins/log_address.h"
#include "../../plugins/log_members.h"
#include "../../plugins/log_queue.h"
#include "../../plugins/log_text.h"
#include "../../plugins/rfc5424.h"
#include "base/mem.h"
#include "control/log_json.h"

#include <cjson/cJSON.h>
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

static const struct sink_identity self = { "node-1", "0.1.0" };

static struct log_record access_record(void)
{
	return (struct log_record){ .wall = 1754000000123456, .level = LEVEL_WARN, .kind = LOG_KIND_ACCESS, .service = STR("quotes-service"), .stack = STR("shop"),
		.slot = STR("2"), .task = STR("shop_quotes.2.x7k"), .trace_id = STR("463ac35c9f6413ad"), .message = STR("GET /api/quote 503"),
		.members = STR("\"status\":503,\"duration_ms\":1.5,\"tls\":true,\"none\":null,\"tags\":{\"a\":[1,\"]\"]},\"id\":\"x\",\"a b\":\"q\\\"\\u00e9\"") };
}

#define ck_text(t, want) ck_assert_msg(str_eq(text_str(t), str_of(want)), "got  %s\nwant %s", text_z(t), want)

/* --- GELF ---------------------------------------------------------------------------------------------------------------------- */

START_TEST(gelf_bytes)
{
	struct log_record r = access_record();
	struct text t;

	text_init(&t, 65536);
	gelf_json(&t, &r, &self, 65536);
	ck_text(&t, "{\"version\":\"1.1\",\"host\":\"node-1\",\"short_message\":\"GET /api/quote 503\",\"timestamp\":1754000000.123,\"level\":4,\"_kind\":\"access\","
		    "\"_service\":\"quotes-service\",\"_stack\":\"shop\",\"_slot\":\"2\",\"_task\":\"shop_quotes.2.x7k\",\"_trace_id\":\"463ac35c9f6413ad\",\"_status\":503,"
		    "\"_duration_ms\":1.5,\"_tls\":\"true\",\"_tags\":\"{\\\"a\\\":[1,\\\"]\\\"]}\",\"_id_\":\"x\",\"_a_b\":\"q\\\"\\u00e9\"}");
	text_release(&t);
}
END_TEST

START_TEST(gelf_odd_records)
{
	static const struct { struct str message, members; const char *has, *hasnt; } rows[] = {
		{ { "", 0 }, { "", 0 }, "\"short_message\":\"-\"", "full_message" },
		{ { "\n\n", 2 }, { "", 0 }, "\"short_message\":\"-\",\"full_message\":\"\\n\\n\"", NULL },
		{ { "panic\n at x", 11 }, { "", 0 }, "\"short_message\":\"panic\",\"full_message\":\"panic\\n at x\"", NULL },
		{ { "\xff\x01x", 3 }, { "", 0 }, "\"short_message\":\"\xef\xbf\xbd\\u0001x\"", "full_message" },
		{ { "m", 1 }, { "\"kind\":\"mine\",\"a\":1,\"a\":2", 25 }, "\"_a\":1", "mine" },                /* the first of equal names */
		{ { "m", 1 }, { "\"a\":\"x\xff\ny\"", 10 }, "\"_a\":\"x\xef\xbf\xbd\\ny\"", NULL },                /* no JSON: made some */
		{ { "m", 1 }, { "\"a\":01,\"b\":1", 12 }, "\"level\":6", "\"_b\"" },                              /* ends where it is none */
		{ { "m", 1 }, { "\"a\":{\"b\":1", 10 }, "\"level\":6", "\"_a\"" },
	};
	struct text t;

	text_init(&t, 65536);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct log_record r = { .level = LEVEL_INFO, .message = rows[i].message, .members = rows[i].members };
		gelf_json(&t, &r, &self, 65536);
		cJSON *v = cJSON_ParseWithLength(t.p, t.n);
		ck_assert_msg(v && strstr(text_z(&t), rows[i].has), "%zu: %s", i, text_z(&t));
		ck_assert_msg(!rows[i].hasnt || !strstr(text_z(&t), rows[i].hasnt), "%zu: %s", i, text_z(&t));
		cJSON_Delete(v);
	}
	text_release(&t);
}
END_TEST

START_TEST(gelf_is_cut)
{
	static char message[100000];
	struct log_record r = access_record();
	struct text t;

	text_init(&t, 1 << 20);
	gelf_json(&t, &r, &self, 300); /* without members it fits */
	ck_assert(!t.failed && t.n <= 300 && strstr(text_z(&t), "\"_truncated\":\"true\"") && !strstr(text_z(&t), "_status"));
	memset(message, '"', sizeof(message)); /* each byte becomes two */
	r.message = str_make(message, sizeof(message));
	gelf_json(&t, &r, &self, 50000);
	cJSON *v = cJSON_ParseWithLength(t.p, t.n);
	ck_assert(v && t.n <= 50000 && t.n > 10000 && strstr(text_z(&t), "_truncated"));
	cJSON_Delete(v);
	text_release(&t);
}
END_TEST

/* --- RFC 5424 -------------------------------------------------------------------------------------------------------------------- */

START_TEST(syslog_bytes)
{
	struct log_record r = access_record();
	unsigned facility = 0;
	struct text t;

	text_init(&t, 65536);
	ck_assert(rfc5424_facility(STR("local0"), &facility) && facility == 16 && !rfc5424_facility(STR("local8"), &facility));
	rfc5424_message(&t, &r, &self, facility, 8192);
	ck_text(&t, "<132>1 2025-07-31T22:13:20.123Z node-1 quotes-service shop_quotes.2.x7k access [outrider@32473 stack=\"shop\" slot=\"2\" trace_id=\"463ac35c9f6413ad\" "
		    "status=\"503\" duration_ms=\"1.5\" tls=\"true\" none=\"null\" tags=\"{\\\"a\\\":[1,\\\"\\]\\\"\\]}\" id=\"x\" a_b=\"q\\\"\xc3\xa9\"] GET /api/quote 503");
	r = (struct log_record){ .level = LEVEL_ERROR, .kind = LOG_KIND_APP, .stream = LOG_STREAM_STDERR, .service = STR("a b\xc3\xa9"), .node = STR("n 2"),
		.message = str_make("line\n\0\xff", 7), .members = STR("\"k=]\":\"a\\nb\"") };
	rfc5424_message(&t, &r, &self, 3, 8192);
	static const char want[] = "<27>1 1970-01-01T00:00:00.000Z n_2 a_b__ - app [outrider@32473 node=\"n 2\" stream=\"stderr\" k__=\"a b\"] line\n \xef\xbf\xbd";
	ck_assert_msg(str_eq(text_str(&t), str_make(want, sizeof(want) - 1)), "%s", text_z(&t));
	text_release(&t);
}
END_TEST

START_TEST(syslog_is_cut)
{
	static char message[20000];
	struct log_record r = access_record();
	struct text t;

	text_init(&t, 1 << 20);
	for (size_t i = 0; i < sizeof(message); i += 2)
		memcpy(message + i, "\xc3\xa9", 2);
	r.message = str_make(message, sizeof(message));
	rfc5424_message(&t, &r, &self, 16, 8192);
	ck_assert(!t.failed && t.n <= 8192 && t.n > 6000);
	ck_assert(strstr(text_z(&t), " truncated=\"true\"]") && !strstr(text_z(&t), "status") && !strstr(text_z(&t), "\xef\xbf\xbd"));
	text_release(&t);
}
END_TEST

/* --- lines ------------------------------------------------------------------------------------------------------------------------ */

START_TEST(lines_for_people)
{
	struct log_record r = access_record();
	struct text t;

	text_init(&t, 65536);
	log_text_line(&t, &r);
	ck_text(&t, "2025-07-31T22:13:20.123Z warn  access quotes-service: GET /api/quote 503 trace_id=463ac35c9f6413ad status=503 duration_ms=1.5 tls=true none=null "
		    "tags={\"a\":[1,\"]\"]} id=\"x\" a b=\"q\\\"\\u00e9\"");
	r = (struct log_record){ .level = LEVEL_INFO, .kind = LOG_KIND_AGENT, .subsystem = STR("trace"), .message = STR("\x1b[31mred\n\xc2\x9b\xff"),
		.members = STR("\"why\":\"x\",\"repeated\":17") };
	text_clear(&t);
	log_text_line(&t, &r);
	ck_text(&t, "1970-01-01T00:00:00.000Z info  trace: \\x1b[31mred\\x0a\\xc2\\x9b\\xff why=\"x\" (repeated 17 times)");
	text_release(&t);
}
END_TEST

START_TEST(lines_of_json)
{
	struct log_record r = { .wall = 0, .level = LEVEL_ERROR, .kind = LOG_KIND_APP, .stream = LOG_STREAM_STDERR, .service = STR("a"), .message = STR("x\"y"),
		.members = STR("\"n\":1") };
	struct text t;

	text_init(&t, 65536);
	log_json_line(&t, &r);
	ck_text(&t, "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"error\",\"type\":\"app\",\"message\":\"x\\\"y\",\"service\":\"a\",\"stream\":\"stderr\",\"n\":1}");
	text_clear(&t);
	log_json_page(&t, &r);
	ck_assert_ptr_nonnull(strstr(text_z(&t), "\"kind\":\"app\""));
	text_release(&t);
}
END_TEST

START_TEST(escapes_are_undone)
{
	static const struct { struct str in, out; } rows[] = {
		{ { "a\\n\\t\\\"\\\\\\/", 11 }, { "a\n\t\"\\/", 6 } }, { { "\\u00e9\\u20AC", 12 }, { "\xc3\xa9\xe2\x82\xac", 5 } },
		{ { "\\ud83d\\ude00", 12 }, { "\xf0\x9f\x98\x80", 4 } }, { { "\\ud83dx", 7 }, { "\xef\xbf\xbdx", 4 } }, { { "\\udc00", 6 }, { "\xef\xbf\xbd", 3 } },
		{ { "\\u12", 4 }, { "\\u12", 4 } }, { { "\\q\\", 3 }, { "\\q\\", 3 } },
	};
	struct text t;

	text_init(&t, 64);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		text_clear(&t);
		log_member_unescape(&t, rows[i].in);
		ck_assert_msg(str_eq(text_str(&t), rows[i].out), "%zu: %s", i, text_z(&t));
	}
	text_release(&t);
	ck_assert(log_member_is_clean(STR("a\\u00e9\xc3\xa9")) && !log_member_is_clean(STR("a\\q")) && !log_member_is_clean(STR("\\u12")) && !log_member_is_clean(STR("\xff")));
}
END_TEST

/* --- addresses --------------------------------------------------------------------------------------------------------------------- */

START_TEST(addresses)
{
	static const struct { const char *text, *host; uint16_t port; } good[] = {
		{ "udp://graylog:12201", "graylog", 12201 }, { "udp://graylog", "graylog", 1 }, { "tcp://10.0.0.1", "10.0.0.1", 2 }, { "tcp://[::1]:601", "::1", 601 },
		{ "udp://[fd00::1]", "fd00::1", 1 }, { "unix:/dev/log", "/dev/log", 0 }, { "unix:@log", "@log", 0 },
	};
	static const char *const bad[] = { "", "graylog:12201", "http://graylog", "udp://", "udp://:12201", "udp://h:0", "udp://h:65536", "udp://h:x", "tcp://h:1/path",
		"tcp://u@h:1", "udp://::1", "unix:", "unix:log", "udp://[::1", "tcp://h :1" };
	struct log_address a;
	struct err err;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_msg(log_address_parse(str_of(good[i].text), 1, 2, true, &a, &err), "%s: %s", good[i].text, err.text);
		ck_assert_str_eq(a.host, good[i].host);
		ck_assert_uint_eq(a.port, good[i].port);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!log_address_parse(str_of(bad[i]), 1, 2, true, &a, &err) && err.text[0], "%s", bad[i]);
	ck_assert(!log_address_parse(STR("udp://h"), 0, 0, true, &a, &err) && !log_address_parse(STR("unix:/dev/log"), 1, 2, false, &a, &err));
}
END_TEST

/* --- memory ------------------------------------------------------------------------------------------------------------------------- */

/* A flood of access and app records leaves the last eighth of a queue to the agent's own. */
START_TEST(a_place_for_the_agents_own)
{
	struct log_queue q;
	char bytes[100] = { 0 };
	struct str one = str_make(bytes, sizeof(bytes));
	size_t cost = sizeof(bytes) + sizeof(struct log_message);

	log_queue_init(&q, 16 * cost);
	while (log_queue_put(&q, one, false))
		;
	ck_assert(q.counts.queued == 14 && q.counts.dropped_full == 1);
	ck_assert(log_queue_put(&q, one, true) && log_queue_put(&q, one, true) && !log_queue_put(&q, one, true));
	ck_assert(q.counts.produced == 18 && q.counts.queued == 16 && q.counts.dropped_full == 2);
	log_queue_release(&q);
	log_queue_init(&q, cost); /* longer than seven eighths: alone it may come in */
	ck_assert(log_queue_put(&q, one, false) && !log_queue_put(&q, one, false));
	log_queue_release(&q);
}
END_TEST

/* The same of streams and files. */
START_TEST(a_place_for_the_agents_own_lines)
{
	struct err err;
	struct loop *loop = loop_new(&err);
	int ends[2];
	struct str line = STR("123456789012345"); /* 16 with its end */

	ck_assert_int_eq(pipe(ends), 0);
	struct line_writer *w = line_writer_new(loop, ends[1], 16 * 16);
	for (unsigned i = 0; i < 20; i++)
		line_writer_put(w, line, false);
	ck_assert_uint_eq(line_writer_counts(w).queued, 14);
	for (unsigned i = 0; i < 3; i++)
		line_writer_put(w, line, true);
	ck_assert(line_writer_counts(w).queued == 16 && line_writer_counts(w).dropped_full == 7);
	line_writer_stop(w, USEC_SEC);
	line_writer_free(w);
	loop_turn(loop, false);
	loop_free(loop);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

START_TEST(short_of_memory)
{
	static char message[5000];
	struct log_record r = access_record();

	memset(message, 'm', sizeof(message));
	r.message = str_make(message, sizeof(message));
	for (unsigned long k = 1; k < 12; k++) {
		struct text t;
		mem_fail_at(k);
		text_init(&t, 65536);
		gelf_json(&t, &r, &self, 65536);
		ck_assert(t.failed || t.n > 5000);
		text_clear(&t);
		rfc5424_message(&t, &r, &self, 16, 8192);
		ck_assert(t.failed || t.n > 5000);
		text_clear(&t);
		log_text_line(&t, &r);
		log_json_line(&t, &r);
		mem_fail_at(0);
		text_release(&t);
	}
}
END_TEST

Suite *suite_log_records(void)
{
	Suite *s = suite_create("log_records");
	TCase *t = tcase_create("bytes");

	tcase_add_test(t, gelf_bytes);
	tcase_add_test(t, gelf_odd_records);
	tcase_add_test(t, gelf_is_cut);
	tcase_add_test(t, syslog_bytes);
	tcase_add_test(t, syslog_is_cut);
	tcase_add_test(t, lines_for_people);
	tcase_add_test(t, lines_of_json);
	tcase_add_test(t, escapes_are_undone);
	tcase_add_test(t, addresses);
	tcase_add_test(t, short_of_memory);
	tcase_add_test(t, a_place_for_the_agents_own);
	tcase_add_test(t, a_place_for_the_agents_own_lines);
	suite_add_tcase(s, t);
	return s;
}
