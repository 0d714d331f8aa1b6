/* Exporters zipkin, otlp and log: what becomes of spans whatever the collector answers, each of them counted; what is asked and how often;
 * what a person is told; the end. */
#include "../../plugins/span_post.h"
#include "base/mem.h"
#include "exporter_scene.h"

#include <fcntl.h>
#include <zlib.h>

static struct exporter_scene s;

#define OK "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
#define ANSWER(head, n, body) "HTTP/1.1 " head "\r\nContent-Length: " #n "\r\n\r\n" body
#define ZIPKIN "http://127.0.0.1:%u"

static void begin(const struct exporter_ops *ops, const char *address, struct script script)
{
	memset(&s.settings, 0, sizeof(s.settings));
	s.troubles = s.done = 0;
	s.trouble[0] = '\0';
	scene_open(&s.net, script);
	exporter_open(&s, ops, address);
}

/* --- what becomes of three spans ------------------------------------------------------------------------------------------------- */

static const struct {
	const struct exporter_ops *ops;
	struct script script;
	unsigned sent, refused, failed, requests;
	const char *trouble; /* a part of it */
} outcomes[] = {
	{ &exporter_zipkin, { .says = OK }, 3, 0, 0, 1, "" },
	{ &exporter_zipkin, { .says = ANSWER("200 OK", 2, "{}") }, 3, 0, 0, 1, "" },
	{ &exporter_zipkin, { .says = ANSWER("400 Bad Request", 15, "bad \"id\" \n\xff\xc3\xa9 .") }, 0, 3, 0, 1,
	  "/api/v2/spans answers 400: it refuses the spans: \"bad \\\"id\\\" \\n\xef\xbf\xbd\xc3\xa9 .\"" },
	{ &exporter_zipkin, { .says = ANSWER("500 E", 31, "Input is not in the GZIP format") }, 0, 3, 0, 1, "answers 500" },
	{ &exporter_zipkin, { .says = ANSWER("500 E", 28, "413 Request Entity Too Large") }, 0, 3, 0, 1, "413 Request" },
	{ &exporter_zipkin, { .says = ANSWER("500 E", 7, "storage") }, 0, 0, 3, 2, "answers 500: it, or a proxy before it, fails: \"storage\"" },
	{ &exporter_zipkin, { .says = ANSWER("503 U", 0, "") }, 0, 0, 3, 2, "answers 503" },
	{ &exporter_zipkin, { .says = ANSWER("429 T\r\nRetry-After: 2", 0, "") }, 0, 0, 3, 2, "sent too much" },
	{ &exporter_zipkin, { .says = ANSWER("401 U", 0, "") }, 0, 3, 0, 1, "set outrider.zipkin.username and .password, or .token" },
	{ &exporter_zipkin, { .says = ANSWER("404 N", 0, "") }, 0, 3, 0, 1, "is this the address and path of a collector of zipkin?" },
	{ &exporter_zipkin, { .says = ANSWER("302 F\r\nLocation: /", 0, "") }, 0, 3, 0, 1, "redirects are not followed" },
	{ &exporter_zipkin, { .says = "", .close = true }, 0, 0, 3, 1, "closed the connection without an answer" },
	{ &exporter_zipkin, { .says = "\r\nnonsense\r\n\r\n", .close = true }, 0, 0, 3, 1, "no HTTP" },
	{ &exporter_zipkin, { .says = "" }, 0, 0, 3, 1, "fell silent" },
	{ &exporter_zipkin, { .says = "HTTP/1.1 202 A\r\nX: ", .drip = true }, 0, 0, 3, 1, "did not complete" },
	{ &exporter_zipkin, { .says = "HTTP/1.1 202 A\r\nContent-Length: 9999999\r\n\r\n", .flood = true }, 0, 0, 3, 1, "longer than" },
	{ &exporter_otlp, { .says = ANSWER("200 OK", 2, "{}") }, 3, 0, 0, 1, "" },
	{ &exporter_otlp, { .says = ANSWER("200 OK", 8, "nonsense") }, 3, 0, 0, 1, "" },
	{ &exporter_otlp, { .says = ANSWER("200 OK", 61, "{\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":\"old\"}}") }, 1, 2, 0, 1,
	  "/v1/traces refuses 2 spans of a batch: \"old\"" },
	{ &exporter_otlp, { .says = ANSWER("200 OK", 39, "{\"partialSuccess\":{\"rejectedSpans\":99}}") }, 0, 3, 0, 1, "refuses 99 spans" },
	{ &exporter_otlp, { .says = ANSWER("200 OK", 41, "{\"partialSuccess\":{\"rejectedSpans\":\"-1\"}}") }, 3, 0, 0, 1, "" },
	{ &exporter_otlp, { .says = ANSWER("400 B", 0, "") }, 0, 3, 0, 1, "it refuses the spans" },
	{ &exporter_otlp, { .says = ANSWER("500 E", 0, "") }, 0, 3, 0, 1, "answers 500" },
	{ &exporter_otlp, { .says = ANSWER("502 B", 0, "") }, 0, 0, 3, 2, "answers 502" },
	{ &exporter_otlp, { .says = ANSWER("429 T", 0, "") }, 0, 0, 3, 2, "answers 429" },
};

START_TEST(every_outcome)
{
	begin(outcomes[_i].ops, ZIPKIN, outcomes[_i].script);
	exporter_put(&s, 3);
	struct exporter_counts c = exporter_drain(&s);
	ck_assert_uint_eq(c.sent, outcomes[_i].sent);
	ck_assert_uint_eq(c.dropped_refused, outcomes[_i].refused);
	ck_assert_uint_eq(c.dropped_failed, outcomes[_i].failed);
	ck_assert_uint_eq(s.net.requests, outcomes[_i].requests);
	ck_assert_msg(strstr(s.trouble, outcomes[_i].trouble) && !s.trouble[0] == !outcomes[_i].trouble[0], "%s", s.trouble);
	exporter_shut(&s);
}
END_TEST

/* --- what is asked ------------------------------------------------------------------------------------------------------------------ */

static const struct {
	const struct exporter_ops *ops;
	const char *address, *settings[7], *has[4];
} requests[] = {
	{ &exporter_zipkin, ZIPKIN, { NULL }, { "POST /api/v2/spans HTTP/1.1\r\n", "\r\nb3: 0\r\n", "\r\nContent-Type: application/json\r\n",
						  "\r\n\r\n[{\"traceId\":\"0000000000000001\",\"id\":\"0000000000000001\",\"name\":\"get\"," } },
	{ &exporter_zipkin, ZIPKIN "/my/spans/", { NULL }, { "POST /my/spans HTTP/1.1\r\n" } },
	{ &exporter_zipkin, "http://joe:pass%%40word@127.0.0.1:%u", { "username", "other", NULL }, { "\r\nAuthorization: Basic am9lOnBhc3NAd29yZA==\r\n" } },
	{ &exporter_zipkin, ZIPKIN, { "username", "joe", "password", "pass@word", NULL }, { "\r\nAuthorization: Basic am9lOnBhc3NAd29yZA==\r\n" } },
	{ &exporter_otlp, ZIPKIN, { "token", "t0ken", NULL }, { "POST /v1/traces HTTP/1.1\r\n", "\r\nAuthorization: Bearer t0ken\r\n", "\r\nb3: 0\r\n",
		"\r\n\r\n{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"orders\"}}]},"
		"\"scopeSpans\":[{\"scope\":{\"name\":\"outrider\"},\"spans\":[{\"traceId\":\"00000000000000000000000000000001\"" } },
	/* The first address does not listen: the second one gets it, at once. */
	{ &exporter_zipkin, "http://127.0.0.1:1|" ZIPKIN, { NULL }, { "POST /api/v2/spans HTTP/1.1\r\n" } },
};

START_TEST(every_request)
{
	memset(&s, 0, sizeof(s));
	scene_open(&s.net, (struct script){ .says = OK });
	memcpy(s.settings, requests[_i].settings, sizeof(requests[_i].settings));
	char address[256], *to = address;
	for (const char *c = requests[_i].address; *c; c++, to++) { /* %% as in printf */
		*to = *c;
		c += c[0] == '%' && c[1] == '%';
	}
	*to = '\0';
	exporter_open(&s, requests[_i].ops, address);
	exporter_put(&s, 1);
	ck_assert_uint_eq(exporter_drain(&s).sent, 1);
	ck_assert_uint_eq(s.net.requests, 1);
	for (size_t i = 0; i < 4 && requests[_i].has[i]; i++)
		ck_assert_msg(strstr(s.net.seen, requests[_i].has[i]), "%s not in %s", requests[_i].has[i], s.net.seen);
	ck_assert(!strstr(s.trouble, "pass"));
	exporter_shut(&s);
}
END_TEST

START_TEST(gzip)
{
	char plain[4096];
	z_stream z = { .next_out = (Bytef *)plain, .avail_out = sizeof(plain) - 1 };

	memset(&s, 0, sizeof(s));
	scene_open(&s.net, (struct script){ .says = OK });
	s.settings[0] = "gzip";
	s.settings[1] = "on";
	exporter_open(&s, &exporter_zipkin, ZIPKIN);
	for (unsigned round = 1; round <= 2; round++) {
		exporter_put(&s, 20);
		ck_assert_uint_eq(exporter_drain(&s).sent, 20 * round);
		ck_assert(strstr(s.net.seen, "\r\nContent-Encoding: gzip\r\n"));
		z.next_in = (Bytef *)strstr(s.net.seen, "\r\n\r\n") + 4;
		z.avail_in = (uInt)strtoul(strstr(s.net.seen, "Content-Length: ") + 16, NULL, 10);
		z.next_out = (Bytef *)plain;
		z.avail_out = sizeof(plain) - 1;
		ck_assert_int_eq(inflateInit2(&z, 15 + 16), Z_OK);
		ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
		plain[z.total_out] = '\0';
		ck_assert(strstr(plain, "[{\"traceId\":\"0000000000000001\"") == plain && plain[z.total_out - 1] == ']');
		inflateEnd(&z);
	}
	exporter_shut(&s);
}
END_TEST

/* --- a collector that is away ---------------------------------------------------------------------------------------------------------- */

START_TEST(away_and_back)
{
	begin(&exporter_zipkin, ZIPKIN "|" ZIPKIN, (struct script){ .says = ANSWER("503 U", 0, "") });
	exporter_put(&s, 2);
	ck_assert_uint_eq(exporter_drain(&s).dropped_failed, 2);
	ck_assert_uint_eq(s.net.requests, 3); /* each address, and once more */
	ck_assert_uint_eq(s.troubles, 1);
	s.net.script.says = OK;
	exporter_put(&s, 2);
	ck_assert_uint_eq(exporter_drain(&s).sent, 2);
	ck_assert_str_eq(s.trouble, "");
	exporter_shut(&s);
}
END_TEST

/* What the second try brings costs nothing, so nobody is told. */
START_TEST(a_short_trouble)
{
	begin(&exporter_otlp, ZIPKIN, (struct script){ .says = ANSWER("429 T\r\nRetry-After: 1", 0, "") });
	exporter_put(&s, 2);
	loop_skip(s.net.loop, USEC_SEC);
	for (usec end = clock_now() + 10 * USEC_SEC; !s.net.requests && clock_now() < end;)
		loop_turn(s.net.loop, false);
	s.net.script.says = OK;
	ck_assert_uint_eq(exporter_drain(&s).sent, 2);
	ck_assert(s.net.requests == 2 && s.troubles == 0);
	exporter_shut(&s);
}
END_TEST

static const struct {
	const char *field;
	usec is;
} afters[] = { { "0", 0 }, { "7", 7 * USEC_SEC }, { "100000", SPAN_RETRY_AFTER_MAX }, { "-1", 0 }, { "Wed, 21 Oct 2026 07:28:00 GMT", 0 }, { "", 0 } };

START_TEST(pauses)
{
	for (size_t i = 0; i < sizeof(afters) / sizeof(afters[0]); i++)
		ck_assert_uint_eq(span_post_retry_after(str_of(afters[i].field)), afters[i].is);
	ck_assert(span_post_pause(1, 0) == SPAN_PAUSE_FIRST / 2 && span_post_pause(1, 1) == SPAN_PAUSE_FIRST);
	ck_assert(span_post_pause(3, 0) == 2 * SPAN_PAUSE_FIRST && span_post_pause(UINT32_MAX, 1) == SPAN_PAUSE_MAX);
}
END_TEST

START_TEST(nobody_listens)
{
	begin(&exporter_zipkin, "http://127.0.0.1:1", (struct script){ .says = OK });
	exporter_put(&s, 20000);
	struct exporter_counts c = scene_counts(&s);
	ck_assert(c.queued && c.dropped_full && !c.dropped_failed);
	c = exporter_drain(&s);
	ck_assert_uint_eq(c.dropped_full + c.dropped_failed, 20000);
	ck_assert_msg(strstr(s.trouble, "127.0.0.1:1: Connection refused"), "%s", s.trouble);
	exporter_shut(&s);
}
END_TEST

START_TEST(full_batches_do_not_wait)
{
	begin(&exporter_zipkin, ZIPKIN, (struct script){ .says = OK, .close = true });
	exporter_put(&s, 4500);
	usec end = clock_now() + 10 * USEC_SEC;
	while (scene_counts(&s).queued > 2000 && clock_now() < end)
		loop_turn(s.net.loop, false);
	ck_assert_uint_gt(s.net.peers[0].n + s.net.n_peers, 0);
	exporter_shut(&s);
}
END_TEST

/* --- the end ---------------------------------------------------------------------------------------------------------------------------- */

static void flush_until_done(void)
{
	usec end = clock_now() + 10 * USEC_SEC;

	s.ops->flush(s.exporter, scene_done, &s);
	ck_assert_uint_eq(s.done, 0);
	while (!s.done && clock_now() < end)
		loop_turn(s.net.loop, false);
	ck_assert_uint_eq(s.done, 1);
	(void)scene_counts(&s);
}

static const struct {
	const struct exporter_ops *ops;
	const char *says;
	unsigned spans, sent, ms; /* time from to */
} ends[] = {
	{ &exporter_zipkin, OK, 3, 3, 0 },
	{ &exporter_otlp, OK, 0, 0, 0 },
	{ &exporter_zipkin, "", 3, 0, 900 },                          /* hangs */
	{ &exporter_zipkin, ANSWER("503 U", 0, ""), 3, 0, 0 },        /* tried once more, then over */
};

START_TEST(every_end)
{
	begin(ends[_i].ops, ZIPKIN, (struct script){ .says = ends[_i].says });
	exporter_put(&s, ends[_i].spans);
	usec began = clock_now();
	flush_until_done();
	ck_assert_uint_eq(scene_counts(&s).sent, ends[_i].sent);
	ck_assert_uint_ge(clock_now() - began, ends[_i].ms * USEC_MS);
	ck_assert_uint_le(clock_now() - began, 3 * USEC_SEC);
	exporter_shut(&s);
}
END_TEST

START_TEST(closed_in_the_middle)
{
	begin(&exporter_zipkin, ZIPKIN, (struct script){ .says = "" });
	exporter_put(&s, 3);
	loop_skip(s.net.loop, USEC_SEC + 10 * USEC_MS);
	for (usec end = clock_now() + 10 * USEC_SEC; !s.net.requests && clock_now() < end;)
		loop_turn(s.net.loop, false);
	ck_assert_uint_eq(s.net.requests, 1);
	s.ops->flush(s.exporter, scene_done, &s);
	exporter_shut(&s);
	ck_assert_uint_eq(s.done, 0);
}
END_TEST

/* --- opening -------------------------------------------------------------------------------------------------------------------------------- */

static const struct {
	const struct exporter_ops *ops;
	const char *address, *queue, *why;
} bad[] = {
	{ &exporter_zipkin, "", NULL, "an address is missing, such as zipkin:http://zipkin:9411" },
	{ &exporter_zipkin, "zipkin:9411", NULL, "begins with neither http:// nor https://" },
	{ &exporter_zipkin, "http://joe:secret@", NULL, "it names no host" },
	{ &exporter_otlp, "http://a|http://a|http://a|http://a|http://a|http://a|http://a|http://a|http://a", NULL, "more than 8 addresses" },
	{ &exporter_otlp, "http://a", "much", "outrider.otlp.queue is no size such as 1MiB" },
	{ &exporter_log, "/var/log/spans", NULL, "what it takes is log: (stderr) or log:stdout" },
};

START_TEST(what_makes_no_sense)
{
	struct err err = { "" };

	memset(&s, 0, sizeof(s));
	scene_open(&s.net, (struct script){ .says = OK });
	s.settings[0] = bad[_i].queue ? "queue" : NULL;
	s.settings[1] = bad[_i].queue;
	ck_assert(!exporter_try(&s, bad[_i].ops, bad[_i].address, &err));
	ck_assert_msg(strstr(err.text, bad[_i].why), "%s", err.text);
	ck_assert(!strstr(err.text, "secret"));
	scene_close(&s.net);
}
END_TEST

/* Each allocation of opening, queueing and posting fails in turn: nothing is lost uncounted, nothing is sent twice. */
START_TEST(memory_short)
{
	static const struct exporter_ops *const ops[] = { &exporter_zipkin, &exporter_otlp, &exporter_log };
	struct err err;
	int null = open("/dev/null", O_WRONLY);

	ck_assert(null >= 0 && dup2(null, STDOUT_FILENO) >= 0);
	close(null);
	for (unsigned long k = 1; k < 60; k++) {
		memset(&s, 0, sizeof(s));
		scene_open(&s.net, (struct script){ .says = OK });
		memcpy(s.settings, ((const char *[]){ "gzip", "on", "password", "x", "username", "y" }), 6 * sizeof(char *));
		char address[64];
		snprintf(address, sizeof(address), "http://127.0.0.1:%u", s.net.port);
		mem_fail_at(k);
		bool opened = exporter_try(&s, ops[_i], _i == 2 ? "stdout" : address, &err);
		if (opened) {
			exporter_put(&s, 3);
			struct exporter_counts c = exporter_drain(&s);
			ck_assert_uint_eq(c.sent + c.dropped_failed, 3);
			ck_assert_uint_le(s.net.requests, 1);
			s.ops->close(s.exporter);
		}
		mem_fail_at(0);
		scene_close(&s.net);
	}
}
END_TEST

/* --- log: ------------------------------------------------------------------------------------------------------------------------------------- */

static int pipe_for(int fd)
{
	int both[2];

	ck_assert(pipe2(both, O_NONBLOCK) == 0 && dup2(both[1], fd) == fd);
	ck_assert(fcntl(fd, F_SETFL, 0) == 0);
	close(both[1]);
	return both[0];
}

START_TEST(log_lines)
{
	char got[8192];
	int from = pipe_for(STDOUT_FILENO);

	ck_assert(fcntl(STDOUT_FILENO, F_SETFL, _i ? O_NONBLOCK : 0) == 0);
	begin(&exporter_log, "stdout", (struct script){ .says = OK });
	exporter_put(&s, 50);
	ck_assert_uint_eq(exporter_drain(&s).sent, 50);
	ssize_t n = read(from, got, sizeof(got) - 1);
	ck_assert_int_gt(n, 0);
	got[n] = '\0';
	unsigned lines = 0;
	for (char *at = got, *end; (end = strchr(at, '\n')); at = end + 1, lines++)
		ck_assert(strncmp(at, "{\"traceId\":\"0000000000000001\"", 29) == 0 && end[-1] == '}');
	ck_assert(lines == 50 && got[n - 1] == '\n');
	exporter_shut(&s);
}
END_TEST

/* A reader that stopped reading: the loop goes on, memory is bounded, leaving takes a second. */
START_TEST(log_is_stuck)
{
	int from = pipe_for(STDERR_FILENO);

	begin(&exporter_log, "", (struct script){ .says = OK });
	for (int i = 0; i < 40; i++) {
		exporter_put(&s, 1000);
		loop_skip(s.net.loop, 110 * USEC_MS);
		loop_turn(s.net.loop, false);
	}
	struct exporter_counts c = scene_counts(&s);
	ck_assert_uint_gt(c.dropped_full, 20000);
	ck_assert_uint_eq(c.sent, 0);
	usec began = clock_now();
	flush_until_done();
	ck_assert_uint_le(clock_now() - began, 3 * USEC_SEC);
	exporter_shut(&s);
	close(from); /* the thread goes on, and ends */
}
END_TEST

START_TEST(log_reader_left)
{
	close(pipe_for(STDERR_FILENO));
	begin(&exporter_log, "stderr", (struct script){ .says = OK });
	exporter_put(&s, 5);
	ck_assert_uint_eq(exporter_drain(&s).dropped_failed, 5);
	ck_assert_str_eq(s.trouble, "spans cannot be written to the log: Broken pipe");
	exporter_shut(&s);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

Suite *suite_exporters(void);
Suite *suite_exporters(void)
{
	Suite *suite = suite_create("exporters");
	TCase *c = tcase_create("scripted");

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, every_outcome, 0, COUNT(outcomes));
	tcase_add_loop_test(c, every_request, 0, COUNT(requests));
	tcase_add_test(c, gzip);
	tcase_add_test(c, away_and_back);
	tcase_add_test(c, a_short_trouble);
	tcase_add_test(c, pauses);
	tcase_add_test(c, nobody_listens);
	tcase_add_test(c, full_batches_do_not_wait);
	tcase_add_loop_test(c, every_end, 0, COUNT(ends));
	tcase_add_test(c, closed_in_the_middle);
	tcase_add_loop_test(c, what_makes_no_sense, 0, COUNT(bad));
	tcase_add_loop_test(c, memory_short, 0, 3);
	tcase_add_loop_test(c, log_lines, 0, 2);
	tcase_add_test(c, log_is_stuck);
	tcase_add_test(c, log_reader_left);
	suite_add_tcase(suite, c);
	return suite;
}
