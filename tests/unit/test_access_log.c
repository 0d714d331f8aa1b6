/* The access log: lines of a record in each form, templates, the first line, escaping, what it costs; the writer that never waits. */
#include "base/clock.h"
#include "control/access_format.h"
#include "control/access_log.h"
#include "../../plugins/line_writer.h"
#include "proxy/spec.h"

#include <cjson/cJSON.h>
#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static _Alignas(8) char mem[sizeof(struct record) + 2 * sizeof(struct record_try) + RECORD_TEXTS * RECORD_TEXT_MAX];

/* texts in the order of enum record_text */
static struct record *make(const char *const texts[RECORD_TEXTS], uint32_t *n)
{
	struct record *r = (void *)mem;
	struct record_try *t = (void *)(r + 1);

	memset(mem, 0, sizeof(mem));
	*r = (struct record){ .started = 1795496607540679, .duration = 12345, .routed = 5, .trace_hi = 0x463ac35c9f6413ad, .trace_lo = 0x48485a3953bb6124,
			      .bytes_in = 17, .bytes_out = 128, .peer = { 4, { 10, 0, 0, 3 }, 4711 }, .client = { 4, { 203, 0, 113, 9 }, 0 }, .status = 200,
			      .kind = LISTEN_OUTBOUND, .why = RECORD_LOGGED, .n_tries = 2 };
	t[0] = (struct record_try){ .started = 10, .ended = 1000, .peer = { 4, { 10, 0, 0, 5 }, 8080 }, .reason = 5 };
	t[1] = (struct record_try){ .started = 2000, .sent = 2300, .head = 12000, .ended = 12345, .peer = { 4, { 10, 0, 0, 6 }, 8080 }, .status = 200 };
	char *p = (char *)(t + 2);
	for (unsigned i = 0; i < RECORD_TEXTS; i++) {
		size_t k = texts[i] ? strlen(texts[i]) : 0;
		r->text_n[i] = (uint16_t)k;
		memcpy(p, texts[i] ? texts[i] : "", k);
		p += k;
	}
	*n = (uint32_t)(p - mem);
	return r;
}

static const char *const plain[RECORD_TEXTS] = { "GET", "/accounts/10000", "quotes-service", "0123456789abcdef0123456789abcdef", "quotes-service", "accounts",
						 "Mozilla/5.0 (X11; Linux x86_64)" };
static const char *const odd[RECORD_TEXTS] = { "GET", "/a\x01\xff\"</x>\\", "h\n", "id\x7f", "", NULL, "\xc3\xa9\xed\xa0\x80" };
static const struct telemetry_who who = { .service = { "accountservice", 14 }, .stack = { "shop", 4 }, .slot = { "2", 1 }, .node = { "n1", 2 } };

START_TEST(json_line)
{
	struct line *l = line_new();
	uint32_t n;
	const struct record *r = make(plain, &n);

	line_clear(l);
	access_line_json(l, &who, r);
	ck_assert(!l->cut);
	static const char want[] =
		"{\"time\":\"2026-11-24T05:03:27.540Z\",\"level\":\"info\",\"type\":\"access\",\"service\":\"accountservice\",\"stack\":\"shop\",\"slot\":\"2\",\"node\":\"n1\","
		"\"trace_id\":\"463ac35c9f6413ad48485a3953bb6124\",\"listener\":\"outbound\",\"request_id\":\"0123456789abcdef0123456789abcdef\",\"client\":\"203.0.113.9\",\"method\":\"GET\","
		"\"host\":\"quotes-service\",\"path\":\"/accounts/10000\",\"route\":\"accounts\",\"upstream\":\"quotes-service\",\"endpoint\":\"10.0.0.6:8080\","
		"\"attempts\":2,\"status\":200,\"bytes_in\":17,\"bytes_out\":128,\"duration_ms\":12.345,\"route_ms\":0.005,\"queue_ms\":0.005,\"retry_ms\":1.990,"
		"\"connect_ms\":0.300,\"first_byte_ms\":9.700,\"transfer_ms\":0.345,\"user_agent\":\"Mozilla/5.0 (X11; Linux x86_64)\"}";
	ck_assert_msg(str_eq(line_str(l), str_of(want)), "%.*s", STR_ARG(line_str(l)));
	/* As a log record has them by itself, they are no members. */
	line_clear(l);
	struct record failed = { .started = r->started, .status = 503 };
	struct str members = access_line_members(l, &who, &failed);
	ck_assert(str_starts(members, STR("\"listener\":")) && memmem(l->mem, l->n, "\"level\":\"warn\"", 14));
	line_free(l);
}
END_TEST

START_TEST(odd_bytes_are_escaped)
{
	struct line *l = line_new();
	uint32_t n;
	const struct record *r = make(odd, &n);

	line_clear(l);
	access_line_json(l, &who, r);
	cJSON *v = cJSON_ParseWithLength(l->mem, l->n);
	ck_assert_ptr_nonnull(v);
	ck_assert_str_eq(cJSON_GetObjectItem(v, "path")->valuestring, "/a\x01\xef\xbf\xbd\"</x>\\");
	ck_assert_str_eq(cJSON_GetObjectItem(v, "user_agent")->valuestring, "\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	ck_assert_ptr_null(cJSON_GetObjectItem(v, "upstream"));
	for (size_t i = 0; i < l->n; i++)
		ck_assert_msg((unsigned char)l->mem[i] >= 0x20 && l->mem[i] != 0x7f && l->mem[i] != '<', "byte %zu", i);
	cJSON_Delete(v);
	line_free(l);
}
END_TEST

START_TEST(the_longest_record_fits)
{
	static char texts[RECORD_TEXTS][RECORD_TEXT_MAX + 1];
	const char *all[RECORD_TEXTS];
	struct line *l = line_new();
	uint32_t n;

	for (unsigned i = 0; i < RECORD_TEXTS; i++) {
		memset(texts[i], 1, RECORD_TEXT_MAX);
		all[i] = texts[i];
	}
	line_clear(l);
	access_line_json(l, &who, make(all, &n));
	ck_assert(!l->cut && l->n > RECORD_TEXTS * RECORD_TEXT_MAX * 6);
	/* A template can ask for more than fits: it is cut, never written beyond. */
	struct access_format f;
	struct err why;
	struct str t = STR("%{path}%{path}%{path}%{path}%{path}%{path}%{path}%{path}%{path}%{path}%{path}%{path}");
	ck_assert(access_format_parse(t, &f, &why));
	line_clear(l);
	access_line(l, &f, &who, make(all, &n));
	ck_assert(l->cut && l->n <= LINE_BYTES);
	line_free(l);
}
END_TEST

START_TEST(templates)
{
	static const struct { const char *form, *line, *why; } rows[] = {
		{ "%{time} %{method} %{path} %{status}", "2026-11-24T05:03:27.540Z GET /accounts/10000 200", NULL },
		{ "%{duration_ms}ms 100%% %{reason}", "12.345ms 100% -", NULL },
		{ "%{endpoint}|%{client}|%{peer}|%{attempts}", "10.0.0.6:8080|203.0.113.9|10.0.0.3:4711|2", NULL },
		{ "%{trace_id}%{slot}", "463ac35c9f6413ad48485a3953bb61242", NULL },
		{ "%{retry_ms}/%{first_byte_ms}", "1.990/9.700", NULL },
		{ "plain", NULL, "names fields" },
		{ "%{pth}", NULL, "did you mean path" },
		{ "%{status", NULL, "behind a %" },
		{ "%", NULL, "behind a %" },
		{ "%x", NULL, "behind a %" },
		{ "%{}", NULL, "no field" },
		{ "a\n%{status}", NULL, "control bytes" },
	};
	struct line *l = line_new();
	struct access_format f;
	struct err why;
	uint32_t n;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool good = access_format_parse(str_of(rows[i].form), &f, &why);
		ck_assert_msg(good == !rows[i].why, "%s", rows[i].form);
		if (!good) {
			ck_assert_msg(strstr(why.text, rows[i].why) != NULL, "%s: %s", rows[i].form, why.text);
			continue;
		}
		line_clear(l);
		access_line(l, &f, &who, make(plain, &n));
		ck_assert_msg(str_eq(line_str(l), str_of(rows[i].line)), "%.*s", STR_ARG(line_str(l)));
	}
	char many[8 * ACCESS_PARTS_MAX + 16] = "";
	for (unsigned i = 0; i <= ACCESS_PARTS_MAX; i++)
		memcpy(many + 7 * i, "%{path}", 8);
	ck_assert(!access_format_parse(str_of(many), &f, &why));
	line_free(l);
}
END_TEST

START_TEST(text_line)
{
	struct line *l = line_new();
	struct access_format f;
	struct err why;
	uint32_t n;

	ck_assert(access_format_parse(STR("text"), &f, &why));
	line_clear(l);
	access_line(l, &f, &who, make(plain, &n));
	ck_assert_msg(str_eq(line_str(l), STR("2026-11-24T05:03:27.540Z outbound accountservice 203.0.113.9 \"GET quotes-service /accounts/10000\" 200 - 12.345ms 17/128B "
					      "quotes-service 10.0.0.6:8080 2 0123456789abcdef0123456789abcdef 463ac35c9f6413ad48485a3953bb6124 "
					      "\"Mozilla/5.0 (X11; Linux x86_64)\"")), "%.*s", STR_ARG(line_str(l)));
	line_free(l);
}
END_TEST

/* --- the first line ------------------------------------------------------------------------------------------------------------ */

static struct text got;

static void keep(void *arg, const struct log_record *r)
{
	(void)arg;
	text_add(&got, r->json);
	text_char(&got, '\n');
}

START_TEST(the_first_line_says_what_is_logged)
{
	struct err err;
	struct access_log *a = access_log_new(keep, NULL, &err);
	static struct spec_sidecar spec, other;
	struct telemetry_who w = who;
	uint32_t n;
	struct record *r = make(plain, &n);

	text_init(&got, 1 << 16);
	spec.access = (struct spec_access){ .on = true, .share = 100, .slow = USEC_SEC };
	other.access = (struct spec_access){ .on = true, .share = 10000 };
	w.spec = &spec;
	w.seat = 1;
	access_log_record(a, &w, r, n);
	access_log_record(a, &w, r, n);
	ck_assert_ptr_nonnull(strstr(text_z(&got), "every failure, everything slower than 1s, 1 % of the rest"));
	ck_assert_uint_eq(access_log_counts(a).lines, 3);
	w.spec = &other; /* changed: it is said again */
	access_log_record(a, &w, r, n);
	ck_assert_ptr_nonnull(strstr(text_z(&got), "every request ("));
	w.seat = 2; /* another sidecar in its place */
	access_log_record(a, &w, r, n);
	ck_assert_uint_eq(access_log_counts(a).lines, 7);
	r->why = RECORD_FAILED;
	access_log_record(a, &w, r, n); /* not drawn */
	ck_assert_uint_eq(access_log_counts(a).lines, 7);
	access_log_free(a);
	text_release(&got);
}
END_TEST

/* --- the writer ------------------------------------------------------------------------------------------------------------------ */

START_TEST(a_reader_that_does_not_read_holds_up_nobody)
{
	struct err err;
	struct loop *loop = loop_new(&err);
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	struct line_writer *w = line_writer_new(loop, ends[1], 1024 * 1024);
	static char line[1000];
	memset(line, 'a', sizeof(line));
	usec from = clock_now();
	for (unsigned i = 0; i < 4000; i++) {
		line_writer_put(w, str_make(line, sizeof(line)), false);
		loop_touch(loop);
		if (i % 100 == 0)
			loop_turn(loop, false);
	}
	struct sink_counts c = line_writer_counts(w);
	ck_assert_uint_eq(c.produced, 4000);
	ck_assert_uint_eq(c.sent + c.queued + c.dropped_full, 4000);
	ck_assert(c.dropped_full > 0 && c.queued >= 900); /* an eighth is for the agent's own */
	line_writer_stop(w, 10 * USEC_MS);
	ck_assert_uint_lt(clock_now() - from, 5 * USEC_SEC);
	line_writer_free(w);
	loop_turn(loop, false);
	loop_free(loop);
	close(ends[0]); /* its thread ends by EPIPE: SIGPIPE is blocked there */
}
END_TEST

START_TEST(all_lines_come_whole)
{
	struct err err;
	struct loop *loop = loop_new(&err);
	char name[] = "/tmp/outrider-lines-XXXXXX", line[64];
	int fd = mkstemp(name);

	ck_assert_int_ge(fd, 0);
	unlink(name);
	struct line_writer *w = line_writer_new(loop, fd, 1024 * 1024);
	for (unsigned i = 0; i < 3000; i++) {
		int n = snprintf(line, sizeof(line), "line %u", i);
		line_writer_put(w, str_make(line, (size_t)n), false);
	}
	line_writer_stop(w, 5 * USEC_SEC);
	line_writer_put(w, STR("too late"), false);
	ck_assert_uint_eq(line_writer_counts(w).produced, 3001);
	ck_assert_uint_eq(line_writer_counts(w).dropped_full, 1);
	line_writer_free(w);
	loop_turn(loop, false);
	loop_free(loop);
	FILE *in = fdopen(fd, "r");
	rewind(in);
	for (unsigned i = 0; i < 3000; i++) {
		char is[64], want[64];
		snprintf(want, sizeof(want), "line %u\n", i);
		ck_assert_ptr_nonnull(fgets(is, sizeof(is), in));
		ck_assert_str_eq(is, want);
	}
	fclose(in);
}
END_TEST

/* Who shares the pipe gets no line of its own in the middle of ours: no write is longer than what a pipe takes at once. A pipe of packets
 * shows each write. */
START_TEST(a_pipe_gets_whole_lines_at_once)
{
	struct err err;
	struct loop *loop = loop_new(&err);
	char line[100], packet[PIPE_BUF];
	int ends[2];
	size_t all = 0;
	ssize_t n;

	ck_assert_int_eq(pipe2(ends, O_DIRECT | O_NONBLOCK), 0);
	struct line_writer *w = line_writer_new(loop, ends[1], 1024 * 1024);
	memset(line, 'a', sizeof(line));
	for (unsigned i = 0; i < 400; i++)
		line_writer_put(w, str_make(line, sizeof(line) - i % 7), false);
	line_writer_stop(w, 5 * USEC_SEC);
	while ((n = read(ends[0], packet, sizeof(packet))) > 0) {
		ck_assert_msg(packet[n - 1] == '\n', "%zd bytes end in the middle of a line", n);
		all += (size_t)n;
	}
	ck_assert_uint_gt(all, 400 * 90);
	line_writer_free(w);
	loop_turn(loop, false);
	loop_free(loop);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

/* No bound: machines differ. HOTPATH's figure for sprintf is 0.83 µs. */
START_TEST(what_a_line_costs)
{
	struct line *l = line_new();
	uint32_t n;
	const unsigned rounds = 200000;
	struct record *r = make(plain, &n);
	usec from = clock_now();

	for (unsigned i = 0; i < rounds; i++) {
		line_clear(l);
		r->started += 100;
		access_line_json(l, &who, r);
	}
	printf("     an access line of %zu bytes: %.3f us\n", l->n, (double)(clock_now() - from) / rounds);
	line_free(l);
}
END_TEST

Suite *suite_access_log(void)
{
	Suite *s = suite_create("access_log");
	TCase *t = tcase_create("lines");

	tcase_add_test(t, json_line);
	tcase_add_test(t, odd_bytes_are_escaped);
	tcase_add_test(t, the_longest_record_fits);
	tcase_add_test(t, templates);
	tcase_add_test(t, text_line);
	tcase_add_test(t, the_first_line_says_what_is_logged);
	tcase_add_test(t, a_reader_that_does_not_read_holds_up_nobody);
	tcase_add_test(t, all_lines_come_whole);
	tcase_add_test(t, a_pipe_gets_whole_lines_at_once);
	tcase_add_test(t, what_a_line_costs);
	suite_add_tcase(s, t);
	return s;
}
