/* net/fetch against a scripted server on the same loop. */
#include "fetch_scene.h"

#include <sys/socket.h>
#include <sys/un.h>

#define OK "HTTP/1.1 200 OK\r\nETag: \"7\"\r\nContent-Length: 5\r\n\r\nhello"

/* --- what goes well ------------------------------------------------------------------------------------------------ */

START_TEST(a_plain_answer)
{
	struct scene s;

	scene_open(&s, (struct script){ .says = OK });
	scene_get(&s, _i ? "localhost" : "127.0.0.1", 5 * USEC_SEC, USEC_SEC);
	scene_await(&s, 1);
	ck_assert_msg(s.status == 200, "%s", s.why);
	ck_assert_str_eq(s.text, "hello");
	ck_assert_str_eq(s.etag, "\"7\"");
	scene_close(&s);
}
END_TEST

/* A server on a Unix socket of a path of its own; its one connection is answered by hand. */
static int unix_server(char *dir, struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ck_assert_ptr_nonnull(mkdtemp(dir));
	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(at->sun_path, sizeof(at->sun_path), "%s/s", dir);
	ck_assert(fd >= 0 && bind(fd, (struct sockaddr *)at, sizeof(*at)) == 0 && listen(fd, 8) == 0);
	return fd;
}

static void unix_answer(void *arg, short what)
{
	int fd = accept(*(int *)arg, NULL, NULL);

	(void)what;
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, OK, sizeof(OK) - 1), (ssize_t)sizeof(OK) - 1);
	shutdown(fd, SHUT_WR); /* left open: the request may not have been sent yet */
}

/* The host of the URL is never resolved, nor its port connected to. */
START_TEST(over_a_unix_socket)
{
	struct scene s;
	struct sockaddr_un at;
	struct err err = { "" };
	char dir[] = "/tmp/outrider-fetch-XXXXXX";
	int fd = unix_server(dir, &at);
	struct watch rd;

	scene_open(&s, (struct script){ .says = "" });
	watch_init(&rd, s.loop, fd, EV_READ, unix_answer, &fd);
	ck_assert(watch_on(&rd));
	ck_assert_msg(scene_start(&s, "engine.invalid", (struct fetch_request){ .unix_path = at.sun_path },
			      &err) != NULL,
		"%s", err.text);
	scene_await(&s, 1);
	ck_assert_msg(s.status == 200, "%s", s.why);
	ck_assert_str_eq(s.text, "hello");
	ck_assert_uint_eq(s.requests, 0);
	watch_off(&rd);
	close(fd);
	unlink(at.sun_path);
	rmdir(dir);
	scene_close(&s);
}
END_TEST

START_TEST(no_unix_socket_there)
{
	struct scene s;
	struct err err = { "" };

	scene_open(&s, (struct script){ .says = OK });
	ck_assert_ptr_nonnull(
		scene_start(&s, "127.0.0.1", (struct fetch_request){ .unix_path = "/nonexistent/s" }, &err));
	scene_await(&s, 1);
	ck_assert_int_eq(s.status, 0);
	ck_assert_msg(strstr(s.why, "unix:/nonexistent/s: No such file") != NULL, "%s", s.why);
	ck_assert_ptr_null(
		scene_start(&s, "127.0.0.1", (struct fetch_request){ .unix_path = "relative" }, &err));
	ck_assert_msg(strstr(err.text, "begins with /") != NULL, "%s", err.text);
	scene_close(&s);
}
END_TEST

static const char *const two_headers[] = { "X-Config-Token: abc", "Content-Type: text/plain", NULL };

/* Each request as it stands on the wire. */
static const struct {
	struct fetch_request q;
	const char *says[4];  /* parts of the request */
	const char *never[3]; /* parts that it must not have */
} requests[] = {
	{ { .method = NULL }, { "GET /x HTTP/1.1\r\nHost: 127.0.0.1:" },
		{ "Authorization", "Content-", "Expect" } },
	{ { .body = { "a=b", 3 } }, { "POST /x HTTP/1.1\r\n", "Content-Length: 3\r\n", "\r\n\r\na=b" },
		{ "Content-Type", "Expect" } },
	{ { .method = "PUT", .body = { "{}", 2 }, .headers = two_headers },
		{ "PUT /x ", "X-Config-Token: abc\r\n", "Content-Type: text/plain\r\n", "\r\n\r\n{}" },
		{ NULL } },
	{ { .method = "PUT" }, { "PUT /x ", "Content-Length: 0\r\n" }, { "Content-Type" } },
	{ { .method = "DELETE" }, { "DELETE /x " }, { "Content-" } },
	{ { .user = "us:er", .password = "p@ss" }, { "Authorization: Basic dXM6ZXI6cEBzcw==\r\n" },
		{ NULL } },
	{ { .user = "u" }, { "Authorization: Basic dTo=\r\n" }, { NULL } },
	{ { .bearer = "hvs.7" }, { "Authorization: Bearer hvs.7\r\n" }, { NULL } },
	{ { .if_none_match = "\"7\"" }, { "If-None-Match: \"7\"\r\n" }, { NULL } },
};

START_TEST(requests_on_the_wire)
{
	struct scene s;
	struct err err = { "" };

	/* No proxy of the environment, no .netrc, whatever they say. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	scene_open(&s, (struct script){ .says = OK });
	ck_assert_msg(scene_start(&s, "127.0.0.1", requests[_i].q, &err) != NULL, "%s", err.text);
	scene_await(&s, 1);
	ck_assert_msg(s.status == 200, "%s", s.why);
	for (size_t i = 0; i < 4 && requests[_i].says[i]; i++)
		ck_assert_msg(strstr(s.seen, requests[_i].says[i]) != NULL, "%s", s.seen);
	for (size_t i = 0; i < 3 && requests[_i].never[i]; i++)
		ck_assert_msg(strstr(s.seen, requests[_i].never[i]) == NULL, "%s", s.seen);
	scene_close(&s);
}
END_TEST

static const struct {
	struct script script;
	int status;
	const char *text;
} answers[] = {
	{ { .says = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX-End: "
		    "1\r\n\r\n" },
		200, "hello" },
	{ { .says = "HTTP/1.1 304 Not Modified\r\nETag: \"7\"\r\n\r\n" }, 304, "" },
	{ { .says = "HTTP/1.1 204 No Content\r\n\r\n" }, 204, "" },
	{ { .says = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}" }, 404, "{}" },
	{ { .says = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n" }, 302,
		"" },
	{ { .says = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" }, 200,
		"ok" },
	{ { .says = "HTTP/1.0 200 OK\r\n\r\nto the end", .close = true }, 200, "to the end" },
	{ { .says = "HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n" }, 503, "" },
};

START_TEST(answers_of_all_kinds)
{
	struct scene s;

	scene_open(&s, answers[_i].script);
	scene_get(&s, "127.0.0.1", 5 * USEC_SEC, USEC_SEC);
	scene_await(&s, 1);
	ck_assert_msg(s.status == answers[_i].status, "%d: %s", s.status, s.why);
	ck_assert_str_eq(s.text, answers[_i].text);
	ck_assert_str_eq(s.why, "");
	scene_close(&s);
}
END_TEST

START_TEST(connections_are_reused)
{
	struct scene s;

	scene_open(&s, (struct script){ .says = OK });
	for (unsigned i = 1; i <= 3; i++) {
		scene_get(&s, "localhost", 5 * USEC_SEC, USEC_SEC);
		scene_await(&s, i);
		ck_assert_msg(s.status == 200, "%s", s.why);
	}
	ck_assert_uint_eq(s.n_peers, 1);
	peer_close(&s.peers[0]); /* a peer may end an idle connection: the next request goes over another */
	loop_turn(s.loop, false);
	scene_get(&s, "localhost", 5 * USEC_SEC, USEC_SEC);
	scene_await(&s, 4);
	ck_assert_msg(s.status == 200, "%s", s.why);
	ck_assert_uint_eq(s.n_peers, 2);
	scene_close(&s);
}
END_TEST

START_TEST(many_at_once)
{
	struct scene s;
	struct err err = { "" };

	scene_open(&s, (struct script){ .says = OK });
	for (unsigned i = 0; i < FETCH_MAX; i++)
		scene_get(&s, i % 2 ? "localhost" : "127.0.0.1", 10 * USEC_SEC, 10 * USEC_SEC);
	ck_assert(!scene_start(&s, "127.0.0.1", (struct fetch_request){ .total = 1 }, &err));
	ck_assert_msg(strstr(err.text, "64") != NULL, "%s", err.text);
	scene_await(&s, FETCH_MAX);
	ck_assert_uint_eq(s.requests, FETCH_MAX);
	scene_get(&s, "127.0.0.1", 5 * USEC_SEC, USEC_SEC); /* there is room again */
	scene_await(&s, FETCH_MAX + 1);
	scene_close(&s);
}
END_TEST

/* --- what goes wrong ----------------------------------------------------------------------------------------------- */

static const char long_field[20000] = { [0 ... 19998] = 'x' };

static const struct {
	struct script script;
	const char *why;
} faults[] = {
	{ { .says = "" }, "took the request and fell silent: no answer within 200ms" },
	{ { .says = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf" },
		"in the middle of its answer for 200ms" },
	{ { .says = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", .drip = true },
		"did not complete its answer within 600ms" },
	{ { .says = "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", .flood = true },
		"longer than 65536 bytes" },
	{ { .says = "HTTP/1.1 200 OK\r\n\r\n", .flood = true }, "longer than 65536 bytes" },
	{ { .says = "\x01\x02\x03 no http at all\r\n\r\n" }, "no HTTP" },
	{ { .says = "", .close = true }, "without an answer" },
	{ { .says = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", .close = true },
		"closed the connection in the middle" },
	{ { .says = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf", .close = true },
		"closed the connection in the middle" },
	{ { .says = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhalf" },
		"chunked body that is broken" },
	{ { .says = NULL }, "head of the answer is longer than 16384 bytes" },
};

START_TEST(faults_are_told)
{
	struct scene s;
	char peer[64], big[sizeof(long_field) + 64];
	struct script script = faults[_i].script;

	snprintf(big, sizeof(big), "HTTP/1.1 200 OK\r\nX: %s\r\n\r\n", long_field);
	script.says = script.says ? script.says : big;
	scene_open(&s, script);
	scene_get(&s, "127.0.0.1", 600 * USEC_MS, 200 * USEC_MS);
	scene_await(&s, 1);
	ck_assert_int_eq(s.status, 0);
	ck_assert_uint_le(s.body, 65536);
	ck_assert_msg(strstr(s.why, faults[_i].why) != NULL, "%s", s.why);
	snprintf(peer, sizeof(peer), "127.0.0.1:%u", s.port);
	ck_assert_msg(strstr(s.why, peer) == s.why, "%s", s.why);
	scene_close(&s);
}
END_TEST

START_TEST(nobody_there)
{
	static const char *const why[] = { "Connection refused", "no-such-host.invalid" };
	struct scene s;

	scene_open(&s, (struct script){ .says = OK });
	listener_stop(&s.listener);
	close(s.fd);
	scene_get(&s, _i ? "no-such-host.invalid" : "127.0.0.1", 5 * USEC_SEC, 5 * USEC_SEC);
	scene_await(&s, 1);
	ck_assert_int_eq(s.status, 0);
	ck_assert_msg(strstr(s.why, why[_i]) != NULL, "%s", s.why);
	s.fd = dup(0);
	scene_close(&s);
}
END_TEST

static const char *const broken_header[] = { "X: a\r\nY: b", NULL };
static char much[FETCH_BODY_MAX + 1];

static const struct {
	struct fetch_request q;
	const char *why;
} refused[] = {
	{ { .url = "ftp://h/" }, "neither http:// nor https://" },
	{ { .url = "http://" }, "no http://host:port/path" },
	{ { .url = "http://me:geheim@127.0.0.1/" }, "holds a user name" },
	{ { .url = "http://h\xc3\xb6he.example/" }, "no http://host:port/path" },
	{ { .url = "http://h/a b" }, "no http://host:port/path" },
	{ { .headers = broken_header }, "line break" },
	{ { .if_none_match = "a\nb" }, "line break" },
	{ { .body = { much, sizeof(much) } }, "1048576" },
	{ { .url = "https://127.0.0.1/", .ca_file = "/no/such/file" }, "/no/such/file" },
};

START_TEST(what_is_refused)
{
	struct scene s;
	struct err err = { "" };

	scene_open(&s, (struct script){ .says = OK });
	ck_assert(!scene_start(&s, "127.0.0.1", refused[_i].q, &err));
	ck_assert_msg(strstr(err.text, refused[_i].why) != NULL, "%s", err.text);
	ck_assert(!strstr(err.text, "geheim"));
	loop_turn(s.loop, false);
	ck_assert_uint_eq(s.calls, 0);
	scene_close(&s);
}
END_TEST

/* --- ends --------------------------------------------------------------------------------------------------------------- */

static void until_requests(struct scene *s, unsigned n)
{
	for (usec end = clock_now() + 5 * USEC_SEC; s->requests < n && clock_now() < end;)
		loop_turn(s->loop, false);
	ck_assert_uint_eq(s->requests, n);
}

START_TEST(cancel)
{
	struct scene s;

	scene_open(&s, (struct script){ .says = "" });
	struct fetch *f = scene_get(&s, "localhost", 5 * USEC_SEC, USEC_SEC);
	if (_i)
		until_requests(&s, 1);
	fetch_cancel(f);
	loop_turn(s.loop, false);
	ck_assert_uint_eq(s.calls, 0);
	scene_close(&s);
}
END_TEST

/* A callback cancels another request, answered in the same turn or not, and starts a new one. */
START_TEST(cancel_within_a_callback)
{
	struct scene s;

	scene_open(
		&s, (struct script){ .says = _i ? "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf" : OK });
	scene_get(&s, "127.0.0.1", 5 * USEC_SEC, _i ? 200 * USEC_MS : USEC_SEC);
	s.other = scene_get(&s, "127.0.0.1", 5 * USEC_SEC, USEC_SEC);
	s.once_more = true;
	scene_await(&s, 2);
	for (usec end = clock_now() + 50 * USEC_MS; clock_now() < end;)
		loop_turn(s.loop, false);
	ck_assert_uint_eq(s.calls, 2);
	scene_close(&s);
}
END_TEST

START_TEST(free_with_requests_in_flight)
{
	struct scene s;

	scene_open(&s, (struct script){ .says = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf" });
	for (int i = 0; i < 8; i++)
		scene_get(&s, "127.0.0.1", 5 * USEC_SEC, USEC_SEC);
	until_requests(&s, 8);
	for (int i = 0; i < 8; i++) /* being resolved, or just told to libcurl */
		scene_get(&s, i % 2 ? "localhost" : "127.0.0.1", 5 * USEC_SEC, USEC_SEC);
	scene_close(&s);
	ck_assert_uint_eq(s.calls, 0);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_net_fetch(void);
Suite *suite_net_fetch(void)
{
	Suite *suite = suite_create("net_fetch");
	TCase *t = tcase_create("fetch");

	tcase_set_timeout(t, 30);
	tcase_add_loop_test(t, a_plain_answer, 0, 2);
	tcase_add_test(t, over_a_unix_socket);
	tcase_add_test(t, no_unix_socket_there);
	tcase_add_loop_test(t, requests_on_the_wire, 0, COUNT(requests));
	tcase_add_loop_test(t, answers_of_all_kinds, 0, COUNT(answers));
	tcase_add_test(t, connections_are_reused);
	tcase_add_test(t, many_at_once);
	tcase_add_loop_test(t, faults_are_told, 0, COUNT(faults));
	tcase_add_loop_test(t, nobody_there, 0, 2);
	tcase_add_loop_test(t, what_is_refused, 0, COUNT(refused));
	tcase_add_loop_test(t, cancel, 0, 2);
	tcase_add_loop_test(t, cancel_within_a_callback, 0, 2);
	tcase_add_test(t, free_with_requests_in_flight);
	suite_add_tcase(suite, t);
	return suite;
}
