/* http/h1_request: every rule of strictness by name, and what an accepted head says. */
#include "http_parse.h"

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

/* "done", "more", or the reason's word. */
static const struct {
	const char *rule;
	struct str in;
	const char *word;
} rows[] = {
	{ "plain", STR(GET HOST "\r\n"), "done" },
	{ "one empty line before is forgiven", STR("\r\n" GET HOST "\r\n"), "done" },
	{ "two are not", STR("\r\n\r\n" GET HOST "\r\n"), "bad-request-line" },
	{ "an empty line by LF alone is not", STR("\n" GET HOST "\r\n"), "bad-request-line" },
	{ "not yet", STR(GET HOST), "more" },
	{ "nothing", STR(""), "more" },
	/* request line */
	{ "bare LF", STR("GET / HTTP/1.1\n" HOST "\r\n"), "bad-request-line" },
	{ "HTTP/0.9", STR("GET /\r\n"), "bad-request-line" },
	{ "no blank", STR("GET\r\n"), "bad-request-line" },
	{ "blank first", STR(" GET / HTTP/1.1\r\n"), "bad-request-line" },
	{ "two blanks before the target", STR("GET  / HTTP/1.1\r\n"), "bad-target" },
	{ "two blanks after it", STR("GET /  HTTP/1.1\r\n"), "bad-request-line" },
	{ "blank at the end", STR("GET / HTTP/1.1 \r\n"), "bad-request-line" },
	{ "blank in the target", STR("GET /a b HTTP/1.1\r\n"), "bad-request-line" },
	{ "bare CR in the request line", STR("GET / HTTP/1.1\r\r\n"), "bad-request-line" },
	{ "tab for a blank", STR("GET\t/ HTTP/1.1\r\n"), "bad-method" },
	{ "method is no token", STR("G(T / HTTP/1.1\r\n"), "bad-method" },
	{ "NUL in the method", STR("GE\0T / HTTP/1.1\r\n"), "bad-method" },
	{ "any token is a method", STR("M-SEARCH / HTTP/1.1\r\n" HOST "\r\n"), "done" },
	{ "TLS on a plain port", STR("\x16\x03\x01\x02\x01 \n"), "bad-request-line" },
	/* target */
	{ "NUL in the target", STR("GET /\0 HTTP/1.1\r\n"), "bad-target" },
	{ "control byte in the target", STR("GET /\x01 HTTP/1.1\r\n"), "bad-target" },
	{ "DEL in the target", STR("GET /\x7f HTTP/1.1\r\n"), "bad-target" },
	{ "obs-text in the target", STR("GET /\xc3\xa9 HTTP/1.1\r\n"), "bad-target" },
	{ "fragment", STR("GET /a#b HTTP/1.1\r\n"), "bad-target" },
	{ "a name is no target", STR("GET index.html HTTP/1.1\r\n"), "bad-target" },
	{ "star only for OPTIONS", STR("GET * HTTP/1.1\r\n"), "bad-target" },
	{ "star", STR("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), "done" },
	{ "other scheme", STR("GET ftp://a/ HTTP/1.1\r\n"), "bad-target" },
	{ "absolute without host", STR("GET http:///x HTTP/1.1\r\n"), "bad-target" },
	{ "absolute with user", STR("GET http://u:p@a/ HTTP/1.1\r\n"), "bad-target" },
	{ "absolute with bad port", STR("GET http://a:99999/ HTTP/1.1\r\n"), "bad-target" },
	{ "CONNECT needs an authority", STR("CONNECT / HTTP/1.1\r\n"), "bad-target" },
	{ "CONNECT needs a port", STR("CONNECT a HTTP/1.1\r\n"), "bad-target" },
	{ "CONNECT is not absolute", STR("CONNECT http://a:1/ HTTP/1.1\r\n"), "bad-target" },
	{ "CONNECT", STR("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), "done" },
	{ "only CONNECT has an authority", STR("GET a:443 HTTP/1.1\r\n"), "bad-target" },
	/* version */
	{ "HTTP/1.2", STR("GET / HTTP/1.2\r\n"), "bad-version" },
	{ "HTTP/2.0", STR("GET / HTTP/2.0\r\n"), "bad-version" },
	{ "HTTP/1.10", STR("GET / HTTP/1.10\r\n"), "bad-version" },
	{ "small letters", STR("GET / http/1.1\r\n"), "bad-version" },
	{ "no HTTP", STR("GET / ICY/1.1\r\n"), "bad-version" },
	{ "HTTP/2 preface", STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "http2-preface" },
	/* field lines */
	{ "bare LF in a field", STR(GET "Host: a\n\r\n"), "bad-field" },
	{ "bare LF at the end", STR(GET HOST "\n"), "bad-field" },
	{ "bare CR in a value", STR(GET HOST "A: b\rc\r\n\r\n"), "bad-field" },
	{ "bare CR before CRLF", STR(GET HOST "A: b\r\r\n\r\n"), "bad-field" },
	{ "bare CR in a name", STR(GET HOST "A\r: b\r\n\r\n"), "bad-field" },
	{ "obs-fold", STR(GET HOST "A: b\r\n c\r\n\r\n"), "bad-field" },
	{ "obs-fold by tab", STR(GET HOST "A: b\r\n\tc\r\n\r\n"), "bad-field" },
	{ "blank before the first field", STR(GET " Host: a\r\n\r\n"), "bad-field" },
	{ "blank before the colon", STR(GET "Host : a\r\n\r\n"), "bad-field" },
	{ "tab before the colon", STR(GET "Host\t: a\r\n\r\n"), "bad-field" },
	{ "empty name", STR(GET HOST ": b\r\n\r\n"), "bad-field" },
	{ "no colon", STR(GET HOST "A\r\n\r\n"), "bad-field" },
	{ "blank in a name", STR(GET HOST "A B: c\r\n\r\n"), "bad-field" },
	{ "obs-text in a name", STR(GET HOST "\xc3\xa9: c\r\n\r\n"), "bad-field" },
	{ "NUL in a value", STR(GET HOST "A: b\0c\r\n\r\n"), "bad-field" },
	{ "control byte in a value", STR(GET HOST "A: \x1b[0m\r\n\r\n"), "bad-field" },
	{ "DEL in a value", STR(GET HOST "A: \x7f\r\n\r\n"), "bad-field" },
	{ "tab and obs-text in a value", STR(GET HOST "A: b\tc\xe9\xff\r\n\r\n"), "done" },
	{ "empty value", STR(GET HOST "A:\r\nB: \t \r\n\r\n"), "done" },
	{ "rare bytes in a name", STR(GET HOST "!#$%&'*+-.^_`|~09azAZ: c\r\n\r\n"), "done" },
	/* Host */
	{ "no Host", STR(GET "\r\n"), "bad-host" },
	{ "two Hosts", STR(GET HOST HOST "\r\n"), "bad-host" },
	{ "malformed Host", STR(GET "Host: a b\r\n\r\n"), "bad-host" },
	{ "a list in Host", STR(GET "Host: a,b\r\n\r\n"), "bad-host" },
	{ "user in Host", STR(GET "Host: u@a\r\n\r\n"), "bad-host" },
	{ "path in Host", STR(GET "Host: a/b\r\n\r\n"), "bad-host" },
	{ "port alone in Host", STR(GET "Host: :80\r\n\r\n"), "bad-host" },
	{ "underscore is legal", STR(GET "Host: quotes_service:8080\r\n\r\n"), "done" },
	{ "IPv6", STR(GET "Host: [::1]:80\r\n\r\n"), "done" },
	{ "empty Host is legal", STR(GET "Host:\r\n\r\n"), "done" },
	{ "HTTP/1.0 needs none", STR("GET / HTTP/1.0\r\n\r\n"), "done" },
	{ "HTTP/1.0 may have one", STR("GET / HTTP/1.0\r\n" HOST "\r\n"), "done" },
	{ "HTTP/1.0 not two", STR("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), "bad-host" },
	{ "absolute form needs Host too", STR("GET http://a/ HTTP/1.1\r\n\r\n"), "bad-host" },
	{ "absolute form, bad Host", STR("GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n"), "bad-host" },
	/* length and encoding */
	{ "Content-Length twice", STR(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), "bad-length" },
	{ "Content-Length list", STR(POST "Content-Length: 5, 5\r\n\r\n"), "bad-length" },
	{ "Content-Length empty", STR(POST "Content-Length:\r\n\r\n"), "bad-length" },
	{ "Content-Length signed", STR(POST "Content-Length: +5\r\n\r\n"), "bad-length" },
	{ "Content-Length negative", STR(POST "Content-Length: -5\r\n\r\n"), "bad-length" },
	{ "Content-Length hexadecimal", STR(POST "Content-Length: 0x5\r\n\r\n"), "bad-length" },
	{ "Content-Length with blank", STR(POST "Content-Length: 5 5\r\n\r\n"), "bad-length" },
	{ "Content-Length 2^63", STR(POST "Content-Length: 9223372036854775808\r\n\r\n"), "bad-length" },
	{ "Content-Length 2^63-1", STR(POST "Content-Length: 9223372036854775807\r\n\r\n"), "done" },
	{ "Content-Length 2^64+5", STR(POST "Content-Length: 18446744073709551621\r\n\r\n"), "bad-length" },
	{ "length and encoding", STR(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), "bad-length" },
	{ "encoding and length", STR(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), "bad-length" },
	{ "chunked", STR(POST "Transfer-Encoding: CHUNKED\r\n\r\n"), "done" },
	{ "gzip, chunked", STR(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), "bad-transfer-encoding" },
	{ "gzip", STR(POST "Transfer-Encoding: gzip\r\n\r\n"), "bad-transfer-encoding" },
	{ "identity", STR(POST "Transfer-Encoding: identity\r\n\r\n"), "bad-transfer-encoding" },
	{ "empty encoding", STR(POST "Transfer-Encoding:\r\n\r\n"), "bad-transfer-encoding" },
	{ "chunked, chunked", STR(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), "bad-transfer-encoding" },
	{ "chunked twice", STR(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
	  "bad-transfer-encoding" },
	{ "chunked with parameter", STR(POST "Transfer-Encoding: chunked;a=b\r\n\r\n"), "bad-transfer-encoding" },
	{ "xchunked", STR(POST "Transfer-Encoding: xchunked\r\n\r\n"), "bad-transfer-encoding" },
	{ "encoding on HTTP/1.0", STR("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), "bad-transfer-encoding" },
	{ "CONNECT with a body", STR("CONNECT a:1 HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"), "bad-length" },
	{ "CONNECT with chunks", STR("CONNECT a:1 HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"), "bad-length" },
	{ "CONNECT with length 0", STR("CONNECT a:1 HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"), "done" },
};

START_TEST(rule)
{
	struct parse t;

	parse_init(&t);
	parse_request(&t, rows[_i].in);
	ck_assert_msg(strcmp(parse_word(&t), rows[_i].word) == 0, "%s: %s, not %s", rows[_i].rule, parse_word(&t),
		      rows[_i].word);
	if (t.r != H1_MORE) /* final */
		ck_assert_int_eq(parse_request(&t, rows[_i].in), t.r);
	parse_release(&t);
}
END_TEST

static const struct {
	const char *target, *host, *scheme, *authority, *path;
	const char *method;
	enum target_form form;
} target_rows[] = {
	{ "/a?b", "x:1", "", "x:1", "/a?b", "GET", TARGET_ORIGIN },
	{ "//a", "x", "", "x", "//a", "GET", TARGET_ORIGIN },
	{ "http://y:2/a?b", "x", "http", "y:2", "/a?b", "GET", TARGET_ABSOLUTE },
	{ "HTTPS://Y", "x", "HTTPS", "Y", "/", "GET", TARGET_ABSOLUTE },
	{ "http://y?b", "x", "http", "y", "/?b", "GET", TARGET_ABSOLUTE },
	{ "http://[::1]:8/", "", "http", "[::1]:8", "/", "GET", TARGET_ABSOLUTE },
	{ "http://y", "x", "http", "y", "*", "OPTIONS", TARGET_ABSOLUTE },
	{ "http://y/", "x", "http", "y", "/", "OPTIONS", TARGET_ABSOLUTE },
	{ "*", "x", "", "x", "*", "OPTIONS", TARGET_ASTERISK },
	{ "y:443", "x", "", "y:443", "", "CONNECT", TARGET_AUTHORITY },
};

START_TEST(targets)
{
	char buf[256];
	struct parse t;

	parse_init(&t);
	int n = snprintf(buf, sizeof(buf), "%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", target_rows[_i].method,
			 target_rows[_i].target, target_rows[_i].host);
	parse_request(&t, str_make(buf, (size_t)n));
	ck_assert_str_eq(parse_word(&t), "done");
	ck_assert_uint_eq(t.p.used, (unsigned)n);
	assert_str(t.h.method_text, target_rows[_i].method);
	ck_assert_uint_eq(t.h.method, method_lookup(str_of(target_rows[_i].method)));
	assert_str(t.h.target, target_rows[_i].target);
	assert_str(t.h.scheme, target_rows[_i].scheme);
	assert_str(t.h.authority, target_rows[_i].authority);
	assert_str(t.h.path, target_rows[_i].path);
	ck_assert_uint_eq(t.h.form, target_rows[_i].form);
	parse_release(&t);
}
END_TEST

static const struct {
	const char *line, *fields;
	enum body_kind body;
	unsigned length;
	bool keep_alive, upgrade, upgrade_other, expect, trailers;
} meaning_rows[] = {
	{ "GET / HTTP/1.1", "", BODY_NONE, 0, true, false, false, false, false },
	{ "GET / HTTP/1.0", "", BODY_NONE, 0, false, false, false, false, false },
	{ "GET / HTTP/1.0", "Connection: Keep-Alive\r\n", BODY_NONE, 0, true, false, false, false, false },
	{ "GET / HTTP/1.0", "Proxy-Connection: keep-alive\r\n", BODY_NONE, 0, false, false, false, false, false },
	{ "GET / HTTP/1.1", "Connection: CLOSE\r\n", BODY_NONE, 0, false, false, false, false, false },
	{ "GET / HTTP/1.1", "Proxy-Connection: close\r\n", BODY_NONE, 0, true, false, false, false, false },
	{ "GET / HTTP/1.1", "Connection: a, close ,b\r\n", BODY_NONE, 0, false, false, false, false, false },
	{ "GET / HTTP/1.1", "Connection: a\r\nConnection: close\r\n", BODY_NONE, 0, false, false, false, false, false },
	{ "GET / HTTP/1.1", "Connection: keep-alive, close\r\n", BODY_NONE, 0, false, false, false, false, false },
	{ "GET / HTTP/1.1", "Connection: closed\r\n", BODY_NONE, 0, true, false, false, false, false },
	{ "POST / HTTP/1.1", "Content-Length: 0\r\n", BODY_LENGTH, 0, true, false, false, false, false },
	{ "POST / HTTP/1.1", "Content-Length: 0042\r\n", BODY_LENGTH, 42, true, false, false, false, false },
	{ "POST / HTTP/1.0", "Content-Length: 42\r\n", BODY_LENGTH, 42, false, false, false, false, false },
	{ "POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n", BODY_CHUNKED, 0, true, false, false, false, false },
	{ "POST / HTTP/1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n", BODY_LENGTH, 1, true, false, false, true, false },
	{ "POST / HTTP/1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", BODY_LENGTH, 1, false, false, false, false,
	  false },
	{ "GET / HTTP/1.1", "TE: gzip;q=1, trailers\r\n", BODY_NONE, 0, true, false, false, false, true },
	{ "GET / HTTP/1.1", "TE: gzip\r\n", BODY_NONE, 0, true, false, false, false, false },
	{ "GET / HTTP/1.1", "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n", BODY_NONE, 0, true, true, false,
	  false, false },
	{ "GET / HTTP/1.1", "Upgrade: websocket\r\n", BODY_NONE, 0, true, false, false, false, false },
	{ "GET / HTTP/1.1", "Connection: upgrade\r\n", BODY_NONE, 0, true, false, false, false, false },
	{ "GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n", BODY_NONE, 0, true, false, true, false, false },
	{ "GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n", BODY_NONE, 0, true, false, true, false,
	  false },
	{ "GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", BODY_NONE, 0, true, false,
	  true, false, false },
	{ "GET / HTTP/1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n", BODY_NONE, 0, false, false, false, false, false },
	{ "POST / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\n", BODY_NONE, 0, true, false, true, false, false },
	{ "GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n", BODY_LENGTH, 3, true, false,
	  true, false, false },
};

START_TEST(meaning)
{
	char buf[256];
	struct parse t;

	parse_init(&t);
	int n = snprintf(buf, sizeof(buf), "%s\r\nHost: a\r\n%s\r\n", meaning_rows[_i].line, meaning_rows[_i].fields);
	parse_request(&t, str_make(buf, (size_t)n));
	ck_assert_str_eq(parse_word(&t), "done");
	ck_assert_uint_eq(t.h.body, meaning_rows[_i].body);
	ck_assert_uint_eq(t.h.length, meaning_rows[_i].length);
	ck_assert_int_eq(t.h.keep_alive, meaning_rows[_i].keep_alive);
	ck_assert_int_eq(t.h.upgrade, meaning_rows[_i].upgrade);
	ck_assert_int_eq(t.h.upgrade_other, meaning_rows[_i].upgrade_other);
	ck_assert_int_eq(t.h.expect_continue, meaning_rows[_i].expect);
	ck_assert_int_eq(t.h.te_trailers, meaning_rows[_i].trailers);
	parse_release(&t);
}
END_TEST

/* --- limits ---------------------------------------------------------------------------------------------- */

/* A request whose line has `line` bytes and whose head has `head`. */
static struct str sized(char *buf, unsigned line, unsigned head)
{
	memset(buf, 'a', head);
	memcpy(buf, "GET /", 5);
	memcpy(buf + line - 9, " HTTP/1.1\r\nHost: ", 17);
	memcpy(buf + head - 4, "\r\n\r\n", 4);
	return str_make(buf, head);
}

static const struct {
	unsigned line, head;
	const char *word;
} limit_rows[] = {
	{ 200, 400, "done" },
	{ 201, 400, "target-too-long" },
	{ 200, 401, "head-too-large" },
	{ 201, 401, "target-too-long" },
	{ 380, 500, "target-too-long" },
};

START_TEST(limits_are_exact_and_do_not_wait_for_the_end)
{
	char buf[512];
	struct parse t;
	struct str in = sized(buf, limit_rows[_i].line, limit_rows[_i].head);

	for (size_t step = 1; step <= in.n; step += 7) {
		parse_init(&t);
		t.lim = (struct h1_limits){ .head = 400, .line = 200, .fields = 10 };
		size_t at = 0;
		while (parse_request(&t, str_make(buf, at)) == H1_MORE && at < in.n)
			at = at + step < in.n ? at + step : in.n;
		ck_assert_str_eq(parse_word(&t), limit_rows[_i].word);
		if (step == 1 && t.r == H1_BAD)
			ck_assert_uint_le(at, limit_rows[_i].line > 200 ? 202 : 400);
		parse_release(&t);
	}
}
END_TEST

START_TEST(a_line_limit_above_the_head_limit_is_the_head_limit)
{
	char buf[512];
	struct parse t;

	for (size_t n = 1; n <= 512; n++) {
		parse_init(&t);
		t.lim = (struct h1_limits){ .head = 400, .line = 8192, .fields = 10 };
		memset(buf, 'a', sizeof(buf));
		parse_request(&t, str_make(buf, n));
		ck_assert_str_eq(parse_word(&t), n < 400 ? "more" : "head-too-large");
		parse_release(&t);
	}
}
END_TEST

/* GET with Host and n - 1 more fields. */
static struct str many(char *buf, size_t cap, unsigned n)
{
	size_t at = (size_t)snprintf(buf, cap, GET HOST);

	for (unsigned i = 1; i < n; i++)
		at += (size_t)snprintf(buf + at, cap - at, "X-%u: %u\r\n", i, i);
	at += (size_t)snprintf(buf + at, cap - at, "\r\n");
	return str_make(buf, at);
}

START_TEST(number_of_fields)
{
	static char buf[65536];
	static const struct {
		uint16_t limit, n;
		const char *word;
	} r[] = { { 100, 100, "done" },           { 100, 101, "head-too-large" }, { 3, 4, "head-too-large" },
		  { UINT16_MAX, 1024, "done" }, { UINT16_MAX, 1025, "head-too-large" } };
	struct parse t;

	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
		parse_init(&t);
		t.lim.fields = r[i].limit;
		parse_request(&t, many(buf, sizeof(buf), r[i].n));
		ck_assert_str_eq(parse_word(&t), r[i].word);
		if (t.r == H1_DONE) {
			ck_assert_uint_eq(t.h.n, r[i].n);
			assert_str(field_name(&t.h.f[r[i].n - 1]), r[i].n == 100 ? "X-99" : "X-1023");
			ck_assert_uint_eq(head_fields_size(&t.h), t.p.used - sizeof(GET) + 1 - 2);
		}
		parse_release(&t);
	}
}
END_TEST

START_TEST(a_lack_of_memory_is_an_answer)
{
	static char buf[65536];
	struct str in = many(buf, sizeof(buf), 800);
	struct parse t;
	unsigned long k = 0;

	do {
		parse_init(&t);
		t.lim.fields = 1024;
		mem_fail_at(++k);
		parse_request(&t, in);
		mem_fail_at(0);
		ck_assert_str_eq(parse_word(&t), t.r == H1_DONE ? "done" : "no-memory");
		parse_release(&t);
	} while (t.r != H1_DONE);
	ck_assert_uint_gt(k, 3); /* some failed */
	parse_init(&t); /* the arena's own maximum is the same */
	t.a.max = 100;
	parse_request(&t, STR("GET http://a?b HTTP/1.1\r\n" HOST "\r\n"));
	ck_assert_str_eq(parse_word(&t), "done");
	parse_release(&t);
	parse_init(&t);
	t.a.max = 2;
	parse_request(&t, STR("GET http://a?b HTTP/1.1\r\n" HOST "\r\n"));
	ck_assert_str_eq(parse_word(&t), "no-memory");
	parse_release(&t);
}
END_TEST

START_TEST(pipelined_requests_come_one_by_one)
{
	struct str in = STR(POST "Content-Length: 2\r\n\r\nhi" GET HOST "\r\n");
	struct parse t;

	parse_init(&t);
	parse_request(&t, in);
	ck_assert_str_eq(parse_word(&t), "done");
	size_t next = t.p.used + (size_t)t.h.length;
	h1_parser_init(&t.p);
	parse_request(&t, str_make(in.p + next, in.n - next));
	ck_assert_str_eq(parse_word(&t), "done");
	ck_assert_uint_eq(t.h.method, METHOD_GET);
	ck_assert_uint_eq(t.h.n, 1);
	ck_assert_uint_eq(t.h.body, BODY_NONE);
	ck_assert_uint_eq(t.p.used, in.n - next);
	parse_release(&t);
}
END_TEST

START_TEST(a_cookie_of_40_KiB_passes)
{
	static char buf[50000];
	struct parse t;
	size_t at = (size_t)snprintf(buf, sizeof(buf), GET HOST "Cookie: ");

	memset(buf + at, 'c', 40960);
	memcpy(buf + at + 40960, "\r\n\r\n", 4);
	parse_init(&t);
	for (size_t n = 0; n < at + 40964; n += 1000)
		ck_assert_int_eq(parse_request(&t, str_make(buf, n)), H1_MORE);
	ck_assert_int_eq(parse_request(&t, str_make(buf, at + 40964)), H1_DONE);
	ck_assert_uint_eq(field_value(head_get(&t.h, FIELD_COOKIE)).n, 40960);
	parse_release(&t);
}
END_TEST

Suite *suite_http_request(void);
Suite *suite_http_request(void)
{
	Suite *s = suite_create("http/request");
	TCase *t = tcase_create("all");
	tcase_add_loop_test(t, rule, 0, ROWS(rows));
	tcase_add_loop_test(t, targets, 0, ROWS(target_rows));
	tcase_add_loop_test(t, meaning, 0, ROWS(meaning_rows));
	tcase_add_loop_test(t, limits_are_exact_and_do_not_wait_for_the_end, 0, ROWS(limit_rows));
	tcase_add_test(t, a_line_limit_above_the_head_limit_is_the_head_limit);
	tcase_add_test(t, number_of_fields);
	tcase_add_test(t, a_lack_of_memory_is_an_answer);
	tcase_add_test(t, pipelined_requests_come_one_by_one);
	tcase_add_test(t, a_cookie_of_40_KiB_passes);
	suite_add_tcase(s, t);
	return s;
}
