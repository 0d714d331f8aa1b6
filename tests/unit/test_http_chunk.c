/* http/chunk: the chunked coding, whole and byte by byte. */
#include "http_parse.h"

struct outcome {
	char body[256], trailers[256];
	size_t n, t, used;
	enum chunk_event end;
};

/* Feeds pieces of `step` bytes. */
static void decode(struct chunk_decoder *d, struct arena *a, struct str in, size_t step, struct outcome *o)
{
	const char *data;
	size_t used, len, n;

	*o = (struct outcome){ .end = CHUNK_MORE };
	while (o->end != CHUNK_END && o->end != CHUNK_BAD && o->used < in.n) {
		n = in.n - o->used < step ? in.n - o->used : step;
		o->end = chunk_decode(d, in.p + o->used, n, &used, &data, &len, a);
		o->used += used;
		if (o->end == CHUNK_DATA) {
			memcpy(o->body + o->n, data, len);
			o->n += len;
		} else if (o->end == CHUNK_TRAILER) {
			o->t += (size_t)snprintf(o->trailers + o->t, sizeof(o->trailers) - o->t, "%.*s=%.*s;",
						 STR_ARG(d->name), STR_ARG(d->value));
		}
	}
}

static const struct {
	const char *rule;
	struct str in;
	enum chunk_event end;
	const char *body, *trailers;
} rows[] = {
	{ "none", STR("0\r\n\r\n"), CHUNK_END, "", "" },
	{ "one", STR("5\r\nhello\r\n0\r\n\r\n"), CHUNK_END, "hello", "" },
	{ "two", STR("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), CHUNK_END, "hello world", "" },
	{ "letters of either case", STR("a\r\n0123456789\r\nA\r\n0123456789\r\n00\r\n\r\n"), CHUNK_END,
	  "01234567890123456789", "" },
	{ "16 digits", STR("0000000000000001\r\nx\r\n0\r\n\r\n"), CHUNK_END, "x", "" },
	{ "17 digits", STR("00000000000000001\r\nx\r\n0\r\n\r\n"), CHUNK_BAD, "", "" },
	{ "2^63", STR("8000000000000000\r\nx"), CHUNK_BAD, "", "" },
	{ "2^63-1", STR("7fffffffffffffff\r\nx"), CHUNK_DATA, "x", "" },
	{ "extension", STR("1;a=b;c=\"d e\"\r\nx\r\n0;z\r\n\r\n"), CHUNK_END, "x", "" },
	{ "blanks before an extension", STR("1 \t;a\r\nx\r\n0\r\n\r\n"), CHUNK_END, "x", "" },
	{ "blanks alone", STR("1 \r\nx\r\n0\r\n\r\n"), CHUNK_BAD, "", "" },
	{ "blank first", STR(" 1\r\nx\r\n"), CHUNK_BAD, "", "" },
	{ "control byte in an extension", STR("1;\x01\r\nx\r\n"), CHUNK_BAD, "", "" },
	{ "bare CR in an extension", STR("1;a\rb\r\nx\r\n"), CHUNK_BAD, "", "" },
	{ "bare LF after the size", STR("1\nx\r\n0\r\n\r\n"), CHUNK_BAD, "", "" },
	{ "bare LF after an extension", STR("1;a\nx\r\n0\r\n\r\n"), CHUNK_BAD, "", "" },
	{ "bare LF after the data", STR("1\r\nx\n0\r\n\r\n"), CHUNK_BAD, "x", "" },
	{ "bare LF at the end", STR("0\r\n\n"), CHUNK_BAD, "", "" },
	{ "bare CR at the end", STR("0\r\n\rx"), CHUNK_BAD, "", "" },
	{ "data too long", STR("1\r\nxy\r\n"), CHUNK_BAD, "x", "" },
	{ "no size", STR("\r\nx"), CHUNK_BAD, "", "" },
	{ "sign", STR("+1\r\nx\r\n"), CHUNK_BAD, "", "" },
	{ "0x", STR("0x1\r\nx\r\n"), CHUNK_BAD, "", "" },
	{ "trailers", STR("0\r\nA: b \r\nX-Sum:\r\n\r\n"), CHUNK_END, "", "A=b;X-Sum=;" },
	{ "trailer with bare LF", STR("0\r\nA: b\n\r\n"), CHUNK_BAD, "", "" },
	{ "trailer with bare CR", STR("0\r\nA: b\rc\r\n\r\n"), CHUNK_BAD, "", "" },
	{ "trailer with NUL", STR("0\r\nA: \0\r\n\r\n"), CHUNK_BAD, "", "" },
	{ "trailer folded", STR("0\r\nA: b\r\n c\r\n\r\n"), CHUNK_BAD, "", "A=b;" },
	{ "trailer without colon", STR("0\r\nA\r\n\r\n"), CHUNK_BAD, "", "" },
	{ "trailer with blank before the colon", STR("0\r\nA : b\r\n\r\n"), CHUNK_BAD, "", "" },
	{ "trailer without name", STR("0\r\n: b\r\n\r\n"), CHUNK_BAD, "", "" },
	{ "not yet", STR("5\r\nhel"), CHUNK_DATA, "hel", "" },
};

START_TEST(rule)
{
	struct chunk_decoder d;
	struct outcome o;
	struct arena a;

	for (size_t step = 1; step <= rows[_i].in.n; step++) {
		arena_init(&a, 65536, NULL, 0);
		chunk_init(&d);
		decode(&d, &a, rows[_i].in, step, &o);
		ck_assert_msg(o.end == rows[_i].end, "%s: %d in steps of %zu", rows[_i].rule, o.end, step);
		assert_str(str_make(o.body, o.n), rows[_i].body);
		assert_str(str_make(o.trailers, o.t), rows[_i].trailers);
		arena_release(&a);
	}
}
END_TEST

START_TEST(stops_behind_its_own_bytes)
{
	struct str in = STR("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n");
	struct chunk_decoder d;
	struct outcome o;
	size_t used, len;
	const char *data;

	chunk_init(&d);
	decode(&d, NULL, in, in.n, &o); /* without trailers no arena is touched */
	ck_assert_int_eq(o.end, CHUNK_END);
	ck_assert_uint_eq(o.used, 11);
	ck_assert_int_eq(chunk_decode(&d, in.p + 11, 5, &used, &data, &len, NULL), CHUNK_END);
	ck_assert_uint_eq(used, 0);
}
END_TEST

START_TEST(lenient_takes_bare_LF)
{
	struct chunk_decoder d;
	struct outcome o;
	struct arena a;

	arena_init(&a, 65536, NULL, 0);
	chunk_init(&d);
	d.lenient = true;
	decode(&d, &a, STR("1\nx\n1;a\ny\n0\nA: b\n\n"), 1, &o);
	ck_assert_int_eq(o.end, CHUNK_END);
	assert_str(str_make(o.body, o.n), "xy");
	assert_str(str_make(o.trailers, o.t), "A=b;");
	arena_release(&a);
}
END_TEST

/* before, n times c, after. */
static enum chunk_event filled(const char *before, size_t n, char c, const char *after, struct arena *a)
{
	static char buf[20000];
	struct chunk_decoder d;
	const char *data;
	size_t used, len, b = strlen(before), z = strlen(after), at = 0;
	enum chunk_event e;

	memcpy(buf, before, b);
	memset(buf + b, c, n);
	memcpy(buf + b + n, after, z);
	chunk_init(&d);
	do {
		e = chunk_decode(&d, buf + at, b + n + z - at, &used, &data, &len, a);
		at += used;
	} while (e == CHUNK_DATA || e == CHUNK_TRAILER);
	return e;
}

START_TEST(extensions_and_trailers_have_limits)
{
	static char many[65 * 5 + 3];
	struct arena a;

	arena_init(&a, 1 << 20, NULL, 0);
	ck_assert_int_eq(filled("1;", H1_CHUNK_EXT_MAX - 1, 'a', "\r\nx\r\n0\r\n\r\n", &a), CHUNK_END);
	ck_assert_int_eq(filled("1;", H1_CHUNK_EXT_MAX, 'a', "\r\nx\r\n0\r\n\r\n", &a), CHUNK_BAD);
	ck_assert_int_eq(filled("0\r\nA:", H1_TRAILER_MAX - 2, 'a', "\r\n\r\n", &a), CHUNK_END);
	ck_assert_int_eq(filled("0\r\nA:", H1_TRAILER_MAX - 1, 'a', "\r\n\r\n", &a), CHUNK_BAD);
	ck_assert_int_eq(filled("0\r\nA:b\r\nA:", H1_TRAILER_MAX - 5, 'a', "\r\n\r\n", &a), CHUNK_END);
	ck_assert_int_eq(filled("0\r\nA:b\r\nA:", H1_TRAILER_MAX - 4, 'a', "\r\n\r\n", &a), CHUNK_BAD);
	for (size_t i = 0; i < 64; i++)
		memcpy(many + i * 5, "A:b\r\n", 5);
	memcpy(many + 64 * 5, "\r\n", 3);
	ck_assert_int_eq(filled("0\r\n", 0, ' ', many, &a), CHUNK_END);
	memcpy(many + 64 * 5, "A:b\r\n\r\n", 8);
	ck_assert_int_eq(filled("0\r\n", 0, ' ', many, &a), CHUNK_BAD);
	mem_fail_at(1);
	arena_reset(&a);
	ck_assert_int_eq(filled("0\r\nA:", 1, 'a', "\r\n\r\n", &a), CHUNK_BAD);
	mem_fail_at(0);
	arena_release(&a);
}
END_TEST

static const struct {
	uint64_t n;
	const char *text;
} header_rows[] = {
	{ 1, "1\r\n" },      { 15, "f\r\n" },      { 16, "10\r\n" },         { 255, "ff\r\n" },
	{ 256, "100\r\n" }, { 65536, "10000\r\n" }, { 500, "1f4\r\n" }, { UINT64_MAX, "ffffffffffffffff\r\n" },
};

START_TEST(headers)
{
	char buf[20];
	size_t n = chunk_header(buf, header_rows[_i].n);

	assert_str(str_make(buf, n), header_rows[_i].text);
}
END_TEST

static const struct {
	const char *name;
	bool allowed;
} trailer_rows[] = {
	{ "grpc-status", true },   { "X-Checksum", true },      { "Server-Timing", true },    { "Content-Length", false },
	{ "Host", false },         { "Transfer-Encoding", false }, { "Authorization", false }, { "Set-Cookie", false },
	{ "Connection", false },   { "content-encoding", false }, { "Content-Range", false }, { "If-Match", false },
	{ "Cache-Control", false }, { "x-outrider-mark", false }, { "", false },
};

START_TEST(trailers_of_some_kinds_stay)
{
	ck_assert_msg(trailer_allowed(str_of(trailer_rows[_i].name)) == trailer_rows[_i].allowed, "%s",
		      trailer_rows[_i].name);
}
END_TEST

Suite *suite_http_chunk(void);
Suite *suite_http_chunk(void)
{
	Suite *s = suite_create("http/chunk");
	TCase *t = tcase_create("all");
	tcase_add_loop_test(t, rule, 0, ROWS(rows));
	tcase_add_test(t, stops_behind_its_own_bytes);
	tcase_add_test(t, lenient_takes_bare_LF);
	tcase_add_test(t, extensions_and_trailers_have_limits);
	tcase_add_loop_test(t, headers, 0, ROWS(header_rows));
	tcase_add_loop_test(t, trailers_of_some_kinds_stay, 0, ROWS(trailer_rows));
	suite_add_tcase(s, t);
	return s;
}
