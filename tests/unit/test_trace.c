/* Trace context: what is read, what is written. Grammar: shared knowledge zipkin, sections 3 and 4. */
#include "http/h1.h"
#include "http/trace.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define T "463ac35c9f6413ad48485a3953bb6124"
#define S "a2fb4a1d1a96d312"
#define P "0020000000000001"

START_TEST(b3_values)
{
	static const struct { const char *value; bool good; int decision; bool ids, parent; } rows[] = {
		{ "0", true, TRACE_DENY, false, false }, { "1", true, TRACE_ACCEPT, false, false }, { "d", true, TRACE_DEBUG, false, false },
		{ T "-" S, true, TRACE_DEFER, true, false }, { T "-" S "-1", true, TRACE_ACCEPT, true, false },
		{ T "-" S "-0-" P, true, TRACE_DENY, true, true }, { T "-" S "-d-" P, true, TRACE_DEBUG, true, true },
		{ "48485A3953BB6124-" S "-1", true, TRACE_ACCEPT, true, false }, /* 64 bits, upper case */
		{ "", false, 0, false, false }, { "2", false, 0, false, false }, { "true", false, 0, false, false }, { T, false, 0, false, false },
		{ T "-", false, 0, false, false }, { T "-" S "-", false, 0, false, false }, { T "-" S "-2", false, 0, false, false },
		{ T "-" S "-1-", false, 0, false, false }, { T "-" S "-1-" P "-", false, 0, false, false }, { T "-" S "-" P, false, 0, false, false },
		{ "00000000000000000000000000000000-" S "-1", false, 0, false, false }, { T "-0000000000000000-1", false, 0, false, false },
		{ "463ac35c9f6413ad48485a3953bb612-" S "-1", false, 0, false, false }, { "g63ac35c9f6413ad48485a3953bb6124-" S, false, 0, false, false },
		{ T "-" S " ", false, 0, false, false }, { "-", false, 0, false, false }, { "--", false, 0, false, false },
	};
	struct trace_context t;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool good = trace_read_b3(str_of(rows[i].value), &t);
		ck_assert_msg(good == rows[i].good, "%s", rows[i].value);
		if (!good)
			continue;
		ck_assert_msg(t.decision == rows[i].decision && trace_has_ids(&t) == rows[i].ids && (t.parent != 0) == rows[i].parent, "%s", rows[i].value);
	}
}
END_TEST

START_TEST(w3c_values)
{
	static const struct { const char *value; bool good; int decision; int flags; } rows[] = {
		{ "00-" T "-" S "-01", true, TRACE_ACCEPT, 0 }, { "00-" T "-" S "-00", true, TRACE_DENY, 0 }, { "00-" T "-" S "-03", true, TRACE_ACCEPT, 2 },
		{ "00-" T "-" S "-ff", true, TRACE_ACCEPT, 2 }, { "01-" T "-" S "-01", true, TRACE_ACCEPT, 0 }, { "cc-" T "-" S "-01-more", true, TRACE_ACCEPT, 0 },
		{ "00-" T "-" S "-01-more", false, 0, 0 }, { "cc-" T "-" S "-01.more", false, 0, 0 }, { "ff-" T "-" S "-01", false, 0, 0 },
		{ "00-00000000000000000000000000000000-" S "-01", false, 0, 0 }, { "00-" T "-0000000000000000-01", false, 0, 0 },
		{ "00-463AC35C9F6413AD48485A3953BB6124-" S "-01", false, 0, 0 }, { "00-" T "-" S "-0", false, 0, 0 }, { "00-" T "-" S "-0g", false, 0, 0 },
		{ "0-" T "-" S "-01", false, 0, 0 }, { "", false, 0, 0 }, { "00_" T "-" S "-01", false, 0, 0 },
	};
	struct trace_context t;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool good = trace_read_w3c(str_of(rows[i].value), &t);
		ck_assert_msg(good == rows[i].good, "%s", rows[i].value);
		if (good)
			ck_assert_msg(t.decision == rows[i].decision && t.flags == rows[i].flags, "%s", rows[i].value);
	}
}
END_TEST

/* What a request with these fields has in its head. */
static bool read_from(const char *fields, const uint8_t order[4], struct trace_context *t)
{
	static char bytes[4096], memory[4096];
	struct h1_limits limits = { .head = 4096, .line = 1024, .fields = 64 };
	struct h1_parser p;
	struct head h;
	struct arena a;

	int n = snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", fields);
	arena_init(&a, 65536, memory, sizeof(memory));
	head_init(&h);
	h1_parser_init(&p);
	ck_assert_int_eq(h1_parse_request(&p, &h, bytes, (uint32_t)n, &limits, &a), H1_DONE);
	bool came = trace_read(&h, order, t);
	arena_release(&a);
	return came;
}

static const uint8_t usual[4] = { TRACE_B3, TRACE_B3_MULTI, TRACE_W3C, 0 };

START_TEST(the_first_in_order_counts)
{
	static const uint8_t w3c_first[4] = { TRACE_W3C, TRACE_B3, 0, 0 };
	static const char *const all = "b3: " T "-" S "-1\r\nX-B3-TraceId: " P "\r\nX-B3-SpanId: " P "\r\ntraceparent: 00-" T "-" P "-00\r\n";
	struct trace_context t;

	ck_assert(read_from(all, usual, &t));
	ck_assert(t.kind == TRACE_B3 && t.span == 0xa2fb4a1d1a96d312u && t.decision == TRACE_ACCEPT);
	ck_assert(read_from(all, w3c_first, &t));
	ck_assert(t.kind == TRACE_W3C && t.span == 0x0020000000000001u && t.decision == TRACE_DENY);
	ck_assert(read_from("b3: nonsense\r\ntraceparent: 00-" T "-" S "-01\r\n", usual, &t)); /* malformed: as if it were not there */
	ck_assert(t.kind == TRACE_W3C);
	ck_assert(!read_from("b3: nonsense\r\n", usual, &t) && !trace_has_ids(&t));
	ck_assert(!read_from("", usual, &t));
}
END_TEST

START_TEST(multi_fields)
{
	struct trace_context t;

	ck_assert(read_from("X-B3-TraceId: " T "\r\nX-B3-SpanId: " S "\r\nX-B3-ParentSpanId: " P "\r\nX-B3-Sampled: true\r\n", usual, &t));
	ck_assert(t.hi == 0x463ac35c9f6413adu && t.span == 0xa2fb4a1d1a96d312u && t.parent == 0x0020000000000001u && t.decision == TRACE_ACCEPT);
	ck_assert(read_from("X-B3-Sampled: 0\r\n", usual, &t) && t.decision == TRACE_DENY && !trace_has_ids(&t));
	ck_assert(read_from("X-B3-Flags: 1\r\nX-B3-TraceId: " S "\r\nX-B3-SpanId: " S "\r\n", usual, &t) && t.decision == TRACE_DEBUG && !t.hi);
	ck_assert(read_from("X-B3-TraceId: zz\r\nX-B3-SpanId: " S "\r\nX-B3-Sampled: 1\r\n", usual, &t) && !trace_has_ids(&t));
	ck_assert(!read_from("X-B3-TraceId: zz\r\nX-B3-SpanId: " S "\r\n", usual, &t));
	ck_assert(!read_from("X-B3-Sampled: d\r\n", usual, &t));
}
END_TEST

START_TEST(what_is_written)
{
	struct trace_context t = { .hi = 0x463ac35c9f6413adu, .lo = 0x48485a3953bb6124u, .span = 0xa2fb4a1d1a96d312u, .parent = 0x0020000000000001u,
				   .decision = TRACE_ACCEPT, .flags = 2 }, back;
	char room[TRACE_WRITE_MAX + 1];

	*trace_write(&t, TRACE_KINDS, room) = '\0';
	ck_assert_str_eq(room, "X-B3-TraceId: " T "\r\nX-B3-SpanId: " S "\r\nX-B3-ParentSpanId: " P "\r\nX-B3-Sampled: 1\r\n"
			       "b3: " T "-" S "-1-" P "\r\ntraceparent: 00-" T "-" S "-03\r\n");
	ck_assert(read_from(room, usual, &back) && back.hi == t.hi && back.lo == t.lo && back.span == t.span && back.parent == t.parent);
	t.decision = TRACE_DEBUG;
	*trace_write(&t, TRACE_B3 | TRACE_B3_MULTI, room) = '\0';
	ck_assert(strstr(room, "X-B3-Flags: 1\r\n") && !strstr(room, "Sampled") && strstr(room, "-d-"));
	t = (struct trace_context){ .decision = TRACE_DENY };
	*trace_write(&t, TRACE_KINDS, room) = '\0';
	ck_assert_str_eq(room, "X-B3-Sampled: 0\r\nb3: 0\r\n");
	t = (struct trace_context){ .lo = 5, .span = 7, .decision = TRACE_ACCEPT };
	*trace_write(&t, TRACE_W3C, room) = '\0';
	ck_assert_str_eq(room, "traceparent: 00-00000000000000000000000000000005-0000000000000007-01\r\n");
}
END_TEST

Suite *suite_trace(void);
Suite *suite_trace(void)
{
	Suite *s = suite_create("trace");
	TCase *t = tcase_create("all");
	tcase_add_test(t, b3_values);
	tcase_add_test(t, w3c_values);
	tcase_add_test(t, the_first_in_order_counts);
	tcase_add_test(t, multi_fields);
	tcase_add_test(t, what_is_written);
	suite_add_tcase(s, t);
	return s;
}
