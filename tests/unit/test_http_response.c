/* http/h1_response: what is ambiguous is refused, what is odd but clear is repaired and counted. */
#include "http_parse.h"

#define OK "HTTP/1.1 200 OK\r\n"

/* out: the fields as they go on; NULL: refused. */
static const struct {
	const char *rule;
	struct str in;
	const char *out;
	unsigned status, odd;
} rows[] = {
	{ "plain", STR(OK "A: b\r\n\r\n"), "A: b\r\n", 200, 0 },
	{ "no phrase, with its blank", STR("HTTP/1.1 200 \r\n\r\n"), "", 200, 0 },
	{ "no phrase, no blank", STR("HTTP/1.1 200\r\n\r\n"), "", 200, 1 },
	{ "phrase with obs-text", STR("HTTP/1.1 404 Pas trouv\xe9\r\n\r\n"), "", 404, 0 },
	{ "HTTP/1.3 is read as 1.1", STR("HTTP/1.3 200 OK\r\n\r\n"), "", 200, 0 },
	{ "status 999", STR("HTTP/1.1 999 No\r\n\r\n"), "", 999, 0 },
	{ "status 099", STR("HTTP/1.1 099 No\r\n\r\n"), NULL, 0, 0 },
	{ "status of two digits", STR("HTTP/1.1 20 OK\r\n\r\n"), NULL, 0, 0 },
	{ "status of four digits", STR("HTTP/1.1 2000 OK\r\n\r\n"), NULL, 0, 0 },
	{ "status is no number", STR("HTTP/1.1 2x0 OK\r\n\r\n"), NULL, 0, 0 },
	{ "two blanks", STR("HTTP/1.1  200 OK\r\n\r\n"), NULL, 0, 0 },
	{ "HTTP/2", STR("HTTP/2.0 200 OK\r\n\r\n"), NULL, 0, 0 },
	{ "no HTTP", STR("SSH-2.0-OpenSSH_9.2\r\n"), NULL, 0, 0 },
	{ "HTTP/0.9", STR("<html>\n"), NULL, 0, 0 },
	{ "empty line first", STR("\r\n" OK "\r\n"), NULL, 0, 0 },
	{ "NUL in the phrase", STR("HTTP/1.1 200 O\0K\r\n\r\n"), NULL, 0, 0 },
	{ "bare CR in the phrase", STR("HTTP/1.1 200 O\rK\r\n\r\n"), NULL, 0, 0 },
	/* fields */
	{ "bare LF everywhere", STR("HTTP/1.1 200 OK\nA: b\nB:c\n\n"), "A: b\r\nB: c\r\n", 200, 4 },
	{ "bare LF on one line", STR(OK "A: b\nB: c\r\n\r\n"), "A: b\r\nB: c\r\n", 200, 1 },
	{ "bare LF without a value", STR(OK "A:\n\r\n"), "A: \r\n", 200, 1 },
	{ "obs-fold", STR(OK "A: b\r\n c\r\n\r\n"), "A: b c\r\n", 200, 1 },
	{ "obs-fold of many lines", STR(OK "A:\r\n\t b \r\n \r\n  c\r\nB: d\r\n\r\n"), "A: b c\r\nB: d\r\n", 200, 3 },
	{ "obs-fold with bare LF", STR(OK "A: b\n c\n\r\n"), "A: b c\r\n", 200, 2 },
	{ "obs-fold before any field", STR(OK " A: b\r\n\r\n"), NULL, 0, 0 },
	{ "control byte in a fold", STR(OK "A: b\r\n c\x01\r\n\r\n"), NULL, 0, 0 },
	{ "blank before the colon", STR(OK "A \t: b\r\n\r\n"), "A: b\r\n", 200, 1 },
	{ "blank in a name", STR(OK "A B: c\r\n\r\n"), NULL, 0, 0 },
	{ "empty name", STR(OK ": c\r\n\r\n"), NULL, 0, 0 },
	{ "no colon", STR(OK "A\r\n\r\n"), NULL, 0, 0 },
	{ "bare CR", STR(OK "A: b\rc\r\n\r\n"), NULL, 0, 0 },
	{ "bare CR before CRLF", STR(OK "A: b\r\r\n\r\n"), NULL, 0, 0 },
	{ "NUL", STR(OK "A: b\0c\r\n\r\n"), NULL, 0, 0 },
	/* framing */
	{ "equal lengths", STR(OK "Content-Length: 5\r\nA: b\r\ncontent-length: 5\r\n\r\n"),
	  "A: b\r\nContent-Length: 5\r\n", 200, 1 },
	{ "equal lengths in a list", STR(OK "Content-Length: 5, 5\r\n\r\n"), "Content-Length: 5\r\n", 200, 1 },
	{ "equal numbers", STR(OK "Content-Length: 05\r\nContent-Length: 5\r\n\r\n"), "Content-Length: 5\r\n", 200, 1 },
	{ "lengths that differ", STR(OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), NULL, 0, 0 },
	{ "lengths that differ in a list", STR(OK "Content-Length: 5, 6\r\n\r\n"), NULL, 0, 0 },
	{ "half a list", STR(OK "Content-Length: 5,\r\n\r\n"), NULL, 0, 0 },
	{ "empty length", STR(OK "Content-Length:\r\n\r\n"), NULL, 0, 0 },
	{ "empty and a length", STR(OK "Content-Length:\r\nContent-Length: 5\r\n\r\n"), NULL, 0, 0 },
	{ "bad length", STR(OK "Content-Length: -1\r\n\r\n"), NULL, 0, 0 },
	{ "folded length", STR(OK "Content-Length: 5\r\n 6\r\n\r\n"), NULL, 0, 0 },
	{ "folded but whole", STR(OK "Content-Length:\r\n 6\r\n\r\n"), "Content-Length: 6\r\n", 200, 1 },
	{ "length and encoding", STR(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), NULL, 0, 0 },
	{ "unknown encoding", STR(OK "Transfer-Encoding: gzip\r\n\r\n"), NULL, 0, 0 },
	{ "gzip, chunked", STR(OK "Transfer-Encoding: gzip, chunked\r\n\r\n"), NULL, 0, 0 },
	{ "chunked twice", STR(OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), NULL, 0, 0 },
	{ "encoding on HTTP/1.0", STR("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), NULL, 0, 0 },
	{ "1xx drops framing", STR("HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\nLink: x\r\n\r\n"), "Link: x\r\n", 103, 1 },
	{ "1xx drops bad framing", STR("HTTP/1.1 100 Continue\r\nContent-Length: x\r\nTransfer-Encoding: y\r\n\r\n"), "", 100,
	  1 },
	{ "204 drops framing", STR("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), "", 204, 1 },
	{ "304 keeps its length", STR("HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\n\r\n"), "Content-Length: 42\r\n", 304,
	  0 },
	{ "a SOAP fault", STR("HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/xml\r\nContent-Length: 9\r\n\r\n<fault/>\n"),
	  "Content-Type: text/xml\r\nContent-Length: 9\r\n", 500, 0 },
};

START_TEST(rule)
{
	struct parse t;

	parse_init(&t);
	parse_reply(&t, rows[_i].in, METHOD_GET);
	ck_assert_msg(strcmp(parse_word(&t), rows[_i].out ? "done" : "bad-response") == 0, "%s: %s", rows[_i].rule,
		      parse_word(&t));
	if (t.r == H1_DONE) {
		assert_fields(&t.h, rows[_i].out);
		ck_assert_uint_eq(t.h.status, rows[_i].status);
		ck_assert_msg(t.h.odd == rows[_i].odd, "%s: odd %u", rows[_i].rule, t.h.odd);
	}
	ck_assert_int_eq(parse_reply(&t, rows[_i].in, METHOD_GET), t.r);
	parse_release(&t);
}
END_TEST

static const struct {
	const char *in;
	enum http_method method;
	enum body_kind body;
	unsigned length;
	bool keep_alive;
} body_rows[] = {
	{ OK "Content-Length: 5\r\n\r\n", METHOD_GET, BODY_LENGTH, 5, true },
	{ OK "Content-Length: 0\r\n\r\n", METHOD_GET, BODY_LENGTH, 0, true },
	{ OK "Content-Length: 5\r\nConnection: close\r\n\r\n", METHOD_GET, BODY_LENGTH, 5, false },
	{ OK "Transfer-Encoding: Chunked\r\n\r\n", METHOD_GET, BODY_CHUNKED, 0, true },
	{ OK "\r\n", METHOD_GET, BODY_CLOSE, 0, false },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", METHOD_GET, BODY_LENGTH, 5, false },
	{ "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n", METHOD_GET, BODY_LENGTH, 5, true },
	{ "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", METHOD_GET, BODY_CLOSE, 0, false },
	{ OK "Content-Length: 5\r\n\r\n", METHOD_HEAD, BODY_NONE, 0, true },
	{ OK "Transfer-Encoding: chunked\r\n\r\n", METHOD_HEAD, BODY_NONE, 0, true },
	{ OK "\r\n", METHOD_HEAD, BODY_NONE, 0, true },
	{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", METHOD_GET, BODY_NONE, 0, true },
	{ "HTTP/1.1 204 No Content\r\n\r\n", METHOD_GET, BODY_NONE, 0, true },
	{ "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", METHOD_GET, BODY_NONE, 0, true },
	{ "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", METHOD_GET, BODY_NONE, 0, false },
	{ "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", METHOD_GET, BODY_NONE, 0, false },
	{ "HTTP/1.1 100 Continue\r\n\r\n", METHOD_POST, BODY_NONE, 0, true },
	{ "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", METHOD_POST, BODY_LENGTH, 0, true },
	{ OK "Content-Length: 5\r\n\r\n", METHOD_CONNECT, BODY_NONE, 0, false },
	{ "HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n", METHOD_CONNECT, BODY_LENGTH, 5, true },
};

START_TEST(bodies)
{
	struct parse t;

	parse_init(&t);
	parse_reply(&t, str_of(body_rows[_i].in), body_rows[_i].method);
	ck_assert_str_eq(parse_word(&t), "done");
	ck_assert_uint_eq(t.h.body, body_rows[_i].body);
	ck_assert_uint_eq(t.h.length, body_rows[_i].length);
	ck_assert_int_eq(t.h.keep_alive, body_rows[_i].keep_alive);
	parse_release(&t);
}
END_TEST

static const struct {
	const char *value;
	uint32_t seconds;
} keep_alive_rows[] = {
	{ "timeout=5", 5 },           { "timeout=5, max=100", 5 }, { "max=100, Timeout = 30", 30 },
	{ "timeout=x", 0 },           { "max=100", 0 },            { "", 0 },
	{ "timeout=", 0 },            { "timeout=4294967296", UINT32_MAX },
};

START_TEST(keep_alive_says_how_long)
{
	char buf[128];
	struct parse t;

	parse_init(&t);
	int n = snprintf(buf, sizeof(buf), OK "Keep-Alive: %s\r\n\r\n", keep_alive_rows[_i].value);
	parse_reply(&t, str_make(buf, (size_t)n), METHOD_GET);
	ck_assert_str_eq(parse_word(&t), "done");
	ck_assert_uint_eq(t.h.keep_alive_s, keep_alive_rows[_i].seconds);
	parse_release(&t);
}
END_TEST

START_TEST(switching_protocols)
{
	struct parse t;

	parse_init(&t);
	parse_reply(&t, STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			    "Content-Length: 7\r\n\r\n\x81\x05hello"), METHOD_GET);
	ck_assert_str_eq(parse_word(&t), "done");
	ck_assert(t.h.upgrade && !t.h.upgrade_other);
	ck_assert_uint_eq(t.h.body, BODY_NONE);
	ck_assert_ptr_null(head_get(&t.h, FIELD_CONTENT_LENGTH));
	parse_release(&t);
}
END_TEST

START_TEST(a_repaired_line_follows_no_block)
{
	char one[] = OK "A: b\r\n c\r\nB: d\r\n\r\n", two[sizeof(one)];
	struct parse t;

	parse_init(&t);
	parse_reply(&t, str_make(one, 24), METHOD_GET); /* in the middle of the fold */
	ck_assert_str_eq(parse_word(&t), "more");
	memcpy(two, one, sizeof(one));
	head_rebase(&t.h, one, 24, two);
	memset(one, '!', sizeof(one));
	parse_reply(&t, str_make(two, sizeof(two) - 1), METHOD_GET);
	ck_assert_str_eq(parse_word(&t), "done");
	head_rebase(&t.h, two, sizeof(two), one); /* arena lines stay where they are */
	memcpy(one, two, sizeof(two));
	memset(two, '!', sizeof(two));
	assert_fields(&t.h, "A: b c\r\nB: d\r\n");
	ck_assert_uint_eq(t.h.f[0].flags, FIELD_REPAIRED);
	parse_release(&t);
}
END_TEST

START_TEST(limits)
{
	struct parse t;

	parse_init(&t);
	t.lim = (struct h1_limits){ .head = 40, .line = 4, .fields = 2 };
	parse_reply(&t, STR(OK "A: b\r\n\r\n"), METHOD_GET); /* the line limit is for requests */
	ck_assert_str_eq(parse_word(&t), "done");
	h1_parser_init(&t.p);
	parse_reply(&t, STR(OK "A: b\r\nB: c\r\nC: d\r\n\r\n"), METHOD_GET);
	ck_assert_str_eq(parse_word(&t), "response-head-too-large");
	h1_parser_init(&t.p);
	parse_reply(&t, STR(OK "A: bbbbbbbbbbbbbbbbbbbb"), METHOD_GET);
	ck_assert_str_eq(parse_word(&t), "response-head-too-large");
	parse_release(&t);
}
END_TEST

START_TEST(repair_costs_no_more_than_the_head)
{
	static char buf[60000];
	struct parse t;
	size_t n = (size_t)snprintf(buf, sizeof(buf), OK "A: b\r\n");

	while (n + 8 < sizeof(buf))
		n += (size_t)snprintf(buf + n, sizeof(buf) - n, " c\r\n");
	n += (size_t)snprintf(buf + n, sizeof(buf) - n, "\r\n");
	parse_init(&t);
	parse_reply(&t, str_make(buf, n), METHOD_GET);
	ck_assert_str_eq(parse_word(&t), "done");
	ck_assert_uint_eq(t.h.odd, UINT8_MAX);
	ck_assert_uint_lt(t.a.used, n + 64);
	parse_release(&t);
}
END_TEST

START_TEST(a_lack_of_memory_is_an_answer)
{
	static const struct str in[] = { STR(OK "A: b\r\n c\r\n\r\n"), STR(OK "Content-Length: 5, 5\r\n\r\n") };
	struct parse t;

	for (size_t i = 0; i < 2; i++) {
		parse_init(&t);
		mem_fail_at(1);
		parse_reply(&t, in[i], METHOD_GET);
		mem_fail_at(0);
		ck_assert_str_eq(parse_word(&t), "no-memory");
		parse_release(&t);
	}
}
END_TEST

Suite *suite_http_response(void);
Suite *suite_http_response(void)
{
	Suite *s = suite_create("http/response");
	TCase *t = tcase_create("all");
	tcase_add_loop_test(t, rule, 0, ROWS(rows));
	tcase_add_loop_test(t, bodies, 0, ROWS(body_rows));
	tcase_add_loop_test(t, keep_alive_says_how_long, 0, ROWS(keep_alive_rows));
	tcase_add_test(t, switching_protocols);
	tcase_add_test(t, a_repaired_line_follows_no_block);
	tcase_add_test(t, limits);
	tcase_add_test(t, repair_costs_no_more_than_the_head);
	tcase_add_test(t, a_lack_of_memory_is_an_answer);
	suite_add_tcase(s, t);
	return s;
}
