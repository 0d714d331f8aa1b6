/* Spans as JSON for Zipkin and OTLP: a row per rule of the two formats, and what a hostile text becomes. */
#include "../../plugins/otlp_json.h"
#include "../../plugins/span_text.h"
#include "../../plugins/zipkin_json.h"

#include <check.h>
#include <cjson/cJSON.h>
#include <stdlib.h>

#define STARTED 1754000000123456u
#define BASE .trace_hi = 0x463ac35c9f6413ad, .trace_lo = 0x48485a3953bb6124, .id = 0xa2fb4a1d1a96d312, .started = STARTED, .duration = 8123
#define IDS "\"traceId\":\"463ac35c9f6413ad48485a3953bb6124\","
#define TIMES ",\"timestamp\":1754000000123456,\"duration\":8123"
#define OTLP_IDS IDS "\"spanId\":\"a2fb4a1d1a96d312\","
#define OTLP_TIMES ",\"startTimeUnixNano\":\"1754000000123456000\",\"endTimeUnixNano\":\"1754000000131579000\""
#define S(lit) { lit, sizeof(lit) - 1 }

static const struct {
	struct span span;
	const char *zipkin, *otlp;
} spans[] = {
	/* The example of the format: all that a CLIENT span says. */
	{ { BASE, .parent = 0x0020000000000001, .kind = SPAN_CLIENT, .failed = true, .name = S("get"),
	    .local = { .service = S("orders"), .family = 4, .ip = { 10, 0, 9, 5 } },
	    .remote = { .service = S("quotes"), .family = 4, .ip = { 10, 0, 9, 8 }, .port = 8080 },
	    .tags = { { "http.method", S("GET") }, { "http.path", S("/api/quote") }, { "http.status_code", S("503") }, { "error", S("503") } },
	    .n_tags = 4 },
	  "{" IDS "\"parentId\":\"0020000000000001\",\"id\":\"a2fb4a1d1a96d312\",\"kind\":\"CLIENT\",\"name\":\"get\"" TIMES
	  ",\"localEndpoint\":{\"serviceName\":\"orders\",\"ipv4\":\"10.0.9.5\"},\"remoteEndpoint\":{\"serviceName\":\"quotes\","
	  "\"ipv4\":\"10.0.9.8\",\"port\":8080},\"tags\":{\"http.method\":\"GET\",\"http.path\":\"/api/quote\",\"http.status_code\":\"503\","
	  "\"error\":\"503\"}}",
	  "{" OTLP_IDS "\"parentSpanId\":\"0020000000000001\",\"name\":\"get\",\"kind\":3" OTLP_TIMES
	  ",\"attributes\":[{\"key\":\"http.request.method\",\"value\":{\"stringValue\":\"GET\"}},{\"key\":\"url.path\",\"value\":{\"stringValue\":"
	  "\"/api/quote\"}},{\"key\":\"http.response.status_code\",\"value\":{\"intValue\":\"503\"}},{\"key\":\"error.type\",\"value\":"
	  "{\"stringValue\":\"503\"}},{\"key\":\"network.peer.address\",\"value\":{\"stringValue\":\"10.0.9.8\"}},{\"key\":\"network.peer.port\","
	  "\"value\":{\"intValue\":\"8080\"}},{\"key\":\"peer.service\",\"value\":{\"stringValue\":\"quotes\"}},{\"key\":\"network.local.address\","
	  "\"value\":{\"stringValue\":\"10.0.9.5\"}}],\"status\":{\"code\":2,\"message\":\"503\"}}" },
	/* Local, nothing known: kind, parent, endpoints, tags are left out; a trace id of 64 bits; a duration is at least 1. */
	{ { .trace_lo = 0xa, .id = 0xb, .name = S("retry"), .started = STARTED },
	  "{\"traceId\":\"000000000000000a\",\"id\":\"000000000000000b\",\"name\":\"retry\",\"timestamp\":1754000000123456,\"duration\":1}",
	  "{\"traceId\":\"0000000000000000000000000000000a\",\"spanId\":\"000000000000000b\",\"name\":\"retry\",\"kind\":1,"
	  "\"startTimeUnixNano\":\"1754000000123456000\",\"endTimeUnixNano\":\"1754000000123457000\"}" },
	/* SERVER, shared and debug; failed without a word; events; the caller's address and port by IPv6, no service. */
	{ { BASE, .parent = 1, .kind = SPAN_SERVER, .shared = true, .debug = true, .failed = true, .name = S("post"),
	    .local = { .service = S("quotes") }, .remote = { .family = 6, .ip = { 0xfd, 0, [15] = 0x1f }, .port = 65535 },
	    .notes = { { STARTED + 1, "retry" }, { STARTED + 2, "circuit.open" } }, .n_notes = 2 },
	  "{" IDS "\"parentId\":\"0000000000000001\",\"id\":\"a2fb4a1d1a96d312\",\"kind\":\"SERVER\",\"name\":\"post\"" TIMES
	  ",\"localEndpoint\":{\"serviceName\":\"quotes\"},\"remoteEndpoint\":{\"ipv6\":\"fd00::1f\",\"port\":65535},\"annotations\":["
	  "{\"timestamp\":1754000000123457,\"value\":\"retry\"},{\"timestamp\":1754000000123458,\"value\":\"circuit.open\"}],"
	  "\"tags\":{\"error\":\"\"},\"debug\":true,\"shared\":true}",
	  /* A new id, and the one that came as its parent. */
	  "{" IDS "\"spanId\":\"SERVERID\",\"parentSpanId\":\"a2fb4a1d1a96d312\",\"name\":\"post\",\"kind\":2" OTLP_TIMES
	  ",\"attributes\":[{\"key\":\"network.peer.address\",\"value\":{\"stringValue\":\"fd00::1f\"}},{\"key\":\"network.peer.port\",\"value\":"
	  "{\"intValue\":\"65535\"}},{\"key\":\"b3.debug\",\"value\":{\"boolValue\":true}}],\"events\":[{\"timeUnixNano\":\"1754000000123457000\","
	  "\"name\":\"retry\"},{\"timeUnixNano\":\"1754000000123458000\",\"name\":\"circuit.open\"}],\"status\":{\"code\":2}}" },
	/* shared counts on a SERVER span alone; numbers beyond Java's long are cut, which else would refuse the batch. */
	{ { .trace_lo = 1, .id = 2, .kind = SPAN_CLIENT, .shared = true, .name = S("get"), .started = UINT64_MAX, .duration = UINT64_MAX,
	    .tags = { { "http.status_code", S("none") } }, .n_tags = 1 },
	  "{\"traceId\":\"0000000000000001\",\"id\":\"0000000000000002\",\"kind\":\"CLIENT\",\"name\":\"get\",\"timestamp\":9223372036854775807,"
	  "\"duration\":9223372036854775807,\"tags\":{\"http.status_code\":\"none\"}}",
	  "{\"traceId\":\"00000000000000000000000000000001\",\"spanId\":\"0000000000000002\",\"name\":\"get\",\"kind\":3,"
	  "\"startTimeUnixNano\":\"9223372036854775000\",\"endTimeUnixNano\":\"18446744073709550000\",\"attributes\":[{\"key\":"
	  "\"http.response.status_code\",\"value\":{\"stringValue\":\"none\"}}]}" },
};

static void replace_server_id(const char *from, char *to, uint64_t id)
{
	const char *at = strstr(from, "SERVERID");
	char digits[16];

	span_put_hex(digits, otlp_server_id(id));
	snprintf(to, 4096, "%.*s%.*s%s", at ? (int)(at - from) : 0, from, at ? 16 : 0, digits, at ? at + 8 : from);
}

START_TEST(what_is_written)
{
	static char out[SPAN_BYTES_MAX + 1], want[4096];
	const struct span *s = &spans[_i].span;

	out[zipkin_json_span(s, out)] = '\0';
	ck_assert_str_eq(out, spans[_i].zipkin);
	replace_server_id(spans[_i].otlp, want, s->id);
	out[otlp_json_span(s, out)] = '\0';
	ck_assert_str_eq(out, want);
}
END_TEST

START_TEST(without_ids)
{
	static char out[SPAN_BYTES_MAX];
	const struct span no_trace = { .id = 1, .name = S("get") }, no_id = { .trace_lo = 1, .name = S("get") };

	ck_assert_uint_eq(zipkin_json_span(&no_trace, out), 0);
	ck_assert_uint_eq(zipkin_json_span(&no_id, out), 0);
	ck_assert_uint_eq(otlp_json_span(&no_trace, out), 0);
	ck_assert_uint_eq(otlp_json_span(&no_id, out), 0);
}
END_TEST

static const struct {
	struct str from;
	const char *to;
} strings[] = {
	{ S(""), "" },
	{ S("/plain/path/that/is/long?a=b&c=<d>"), "/plain/path/that/is/long?a=b&c=<d>" },
	{ S("12345678\"2345678\\2345678\n"), "12345678\\\"2345678\\\\2345678\\n" },
	{ S("\"\\\b\f\n\r\t"), "\\\"\\\\\\b\\f\\n\\r\\t" },
	{ S("\0\1\x1f\x7f"), "\\u0000\\u0001\\u001f\x7f" },
	{ S("h\xc3\xa9llo w\xc3\xb6rld \xe2\x82\xac \xf0\x9f\x98\x80"), "h\xc3\xa9llo w\xc3\xb6rld \xe2\x82\xac \xf0\x9f\x98\x80" },
	{ S("1234567\xff"), "1234567\xef\xbf\xbd" },
	{ S("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd" },                        /* an overlong '/' */
	{ S("\xed\xa0\x80."), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd." },      /* a surrogate */
	{ S("\xf4\x90\x80\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* above U+10FFFF */
	{ S("cut \xe2\x82"), "cut \xef\xbf\xbd\xef\xbf\xbd" },
};

START_TEST(strings_of_any_bytes)
{
	char out[512];

	*span_put_json(out, strings[_i].from) = '\0';
	ck_assert_str_eq(out, strings[_i].to);
}
END_TEST

/* Each byte at each place of a word of eight: the fast way and the careful one agree. */
START_TEST(every_byte_at_every_place)
{
	for (int c = 0; c < 256; c++) {
		for (size_t at = 0; at < 19; at++) {
			char in[19], out[200];
			memset(in, 'x', sizeof(in));
			in[at] = (char)c;
			char *end = span_put_json(out, str_make(in, sizeof(in)));
			bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
			ck_assert_msg((end - out == 19) == plain, "byte %d at %zu", c, at);
			ck_assert(memcmp(out, in, at) == 0 && memcmp(end - (18 - at), in + at + 1, 18 - at) == 0);
		}
	}
}
END_TEST

START_TEST(long_ones_are_cut_between_characters)
{
	char in[2 * SPAN_VALUE_MAX], out[6 * SPAN_VALUE_MAX + 1];

	memset(in, 'x', sizeof(in));
	ck_assert_uint_eq((size_t)(span_put_json(out, str_make(in, sizeof(in))) - out), SPAN_VALUE_MAX);
	memcpy(in + SPAN_VALUE_MAX - 2, "\xe2\x82\xac", 3);
	ck_assert_uint_eq((size_t)(span_put_json(out, str_make(in, sizeof(in))) - out), SPAN_VALUE_MAX - 2);
	memset(in, 0x80, sizeof(in)); /* no character begins anywhere: bounded all the same */
	ck_assert_uint_le((size_t)(span_put_json(out, str_make(in, sizeof(in))) - out), 3 * SPAN_VALUE_MAX);
}
END_TEST

/* The worst that can be said fits into what is promised, and is JSON. */
START_TEST(the_largest_span_fits)
{
	static char bad[SPAN_VALUE_MAX + 1], out[SPAN_BYTES_MAX + 1];
	struct str any = str_make(bad, SPAN_VALUE_MAX);
	struct span s = { BASE, .parent = 1, .kind = SPAN_SERVER, .shared = true, .debug = true, .failed = true, .name = any };

	memset(bad, 1, SPAN_VALUE_MAX);
	s.local = s.remote = (struct span_peer){ .service = any, .family = 6, .port = 65535 };
	memset(s.local.ip, 0x11, 16);
	for (s.n_tags = 0; s.n_tags < SPAN_TAGS_MAX; s.n_tags++)
		s.tags[s.n_tags] = (struct span_tag){ bad, any };
	s.tags[0].key = "error";
	for (s.n_notes = 0; s.n_notes < SPAN_NOTES_MAX; s.n_notes++)
		s.notes[s.n_notes] = (struct span_note){ UINT64_MAX, bad };
	for (int otlp = 0; otlp < 2; otlp++) {
		size_t n = otlp ? otlp_json_span(&s, out) : zipkin_json_span(&s, out);
		ck_assert_uint_le(n, SPAN_BYTES_MAX);
		ck_assert_uint_gt(n, SPAN_BYTES_MAX * 3 / 4);
		out[n] = '\0';
		cJSON *root = cJSON_Parse(out);
		ck_assert(root != NULL);
		cJSON_Delete(root);
	}
}
END_TEST

static const struct {
	const char *text;
	uint8_t family, ip[16];
} addresses[] = { /* RFC 5952 */
	{ "0.0.0.0", 4, { 0 } },
	{ "255.10.100.9", 4, { 255, 10, 100, 9 } },
	{ "::", 6, { 0 } },
	{ "::1", 6, { [15] = 1 } },
	{ "1::", 6, { 0, 1 } },
	{ "fe80::1:0:0:2", 6, { 0xfe, 0x80, [9] = 1, [15] = 2 } },
	{ "1:0:2:3:4:5:6:7", 6, { 0, 1, 0, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7 } },
	{ "2001:db8::1:0:0:1", 6, { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1 } },
	{ "abcd:ef01:2345:6789:abcd:ef01:2345:6789", 6, { 0xab, 0xcd, 0xef, 1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 1, 0x23, 0x45, 0x67, 0x89 } },
};

START_TEST(addresses_as_text)
{
	struct span_peer p = { .family = addresses[_i].family };
	char out[48];

	memcpy(p.ip, addresses[_i].ip, 16);
	*span_put_ip(out, &p) = '\0';
	ck_assert_str_eq(out, addresses[_i].text);
}
END_TEST

START_TEST(numbers)
{
	static const uint64_t some[] = { 0, 1, 9, 10, 99, 100, 101, 999, 1000, 65535, 1754000000123456, INT64_MAX, UINT64_MAX };
	char out[32], want[32];

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		*span_put_u64(out, some[i]) = '\0';
		snprintf(want, sizeof(want), "%llu", (unsigned long long)some[i]);
		ck_assert_str_eq(out, want);
		*span_put_hex(out, some[i]) = '\0';
		snprintf(want, sizeof(want), "%016llx", (unsigned long long)some[i]);
		ck_assert_str_eq(out, want);
	}
	*span_put_hex(out, 0x0123456789abcdef) = '\0';
	ck_assert_str_eq(out, "0123456789abcdef");
}
END_TEST

START_TEST(ids_of_joined_spans)
{
	ck_assert_uint_eq(otlp_server_id(1), otlp_server_id(1));
	for (uint64_t id = 1; id < 100000; id++)
		ck_assert(otlp_server_id(id) != 0 && otlp_server_id(id) != id && otlp_server_id(id) != otlp_server_id(id + 1));
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

Suite *suite_span_json(void);
Suite *suite_span_json(void)
{
	Suite *s = suite_create("span_json");
	TCase *c = tcase_create("pure");

	tcase_add_loop_test(c, what_is_written, 0, COUNT(spans));
	tcase_add_test(c, without_ids);
	tcase_add_loop_test(c, strings_of_any_bytes, 0, COUNT(strings));
	tcase_add_test(c, every_byte_at_every_place);
	tcase_add_test(c, long_ones_are_cut_between_characters);
	tcase_add_test(c, the_largest_span_fits);
	tcase_add_loop_test(c, addresses_as_text, 0, COUNT(addresses));
	tcase_add_test(c, numbers);
	tcase_add_test(c, ids_of_joined_spans);
	suite_add_tcase(s, c);
	return s;
}
