/* net/httpd: what it answers, what it refuses, and its bounds, by raw sockets. */
#include "base/mem.h"
#include "net/httpd_int.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE (20 * USEC_SEC)
#define UNTIL(cond)                                                 \
	do {                                                        \
		usec until_ = clock_now() + PATIENCE;               \
		while (!(cond)) {                                   \
			ck_assert_msg(clock_now() < until_, #cond); \
			loop_turn(loop, false);                     \
		}                                                   \
	} while (0)

static struct loop *loop;
static struct httpd *httpd;
static struct addr where;
static struct httpd_request *kept; /* of /later and /stream */
static struct httpd_request *last;
static unsigned handled, left;

/* --- the handler ----------------------------------------------------------------------------------------- */

static void on_gone(void *arg)
{
	(void)arg;
	left++;
	kept = NULL;
}

static void reply_path(struct httpd_request *r)
{
	char text[1024], peer[ADDR_TEXT_MAX];
	addr_ip_text(httpd_peer(r), peer);
	snprintf(text, sizeof(text), "%s %.*s a=%.*s x=%.*s%s body=%.*s peer=%s port=%d", httpd_method(r),
		 STR_ARG(httpd_path(r)), STR_ARG(httpd_query(r, "a")), STR_ARG(httpd_header(r, "X-Test")),
		 httpd_header_repeated(r, "x-test") ? "!" : "", STR_ARG(httpd_body(r)), peer,
		 addr_port(httpd_local(r)) == addr_port(&where));
	httpd_reply_header(r, "X-Good", "1");
	httpd_reply_header(r, "X-Bad", "1\r\nX-Smuggled: 1");
	httpd_reply(r, 200, "text/plain", str_of(text));
}

static void handler(struct httpd_request *r, void *arg)
{
	(void)arg;
	handled++;
	last = r;
	struct str path = httpd_path(r);
	if (str_eq(path, STR("/later")) || str_eq(path, STR("/stream"))) {
		kept = r;
		httpd_on_gone(r, on_gone, NULL);
		if (str_eq(path, STR("/stream")))
			httpd_stream_begin(r, 200, "text/event-stream");
	} else if (str_eq(path, STR("/big"))) {
		char *p = calloc(1, HTTPD_REPLY_MAX + 1);
		ck_assert_ptr_nonnull(p);
		uint64_t n = 0;
		ck_assert(str_u64(httpd_query(r, "n"), &n));
		httpd_reply(r, 200, "text/plain", str_make(p, (size_t)n));
		free(p);
	} else if (str_eq(path, STR("/none"))) {
		httpd_reply(r, 204, NULL, str_make(NULL, 0));
	} else {
		reply_path(r);
	}
}

static void setup(void)
{
	struct err e = { "" };
	handled = left = 0;
	kept = last = NULL;
	loop = loop_new(&e);
	httpd = httpd_new(loop, handler, NULL, &e);
	ck_assert(addr_parse(STR("127.0.0.1:0"), &where, &e));
	int fd = socket_listen(NULL, &where, &e);
	ck_assert(fd >= 0 && socket_local(fd, &where));
	ck_assert(httpd_listen(httpd, fd, &e));
}

static void teardown(void)
{
	httpd_free(httpd);
	httpd_free(NULL);
	loop_free(loop);
}

/* --- the client -------------------------------------------------------------------------------------------- */

struct client {
	int fd;
	char *in;
	size_t n, cap;
	bool eof;
};

static struct client dial(void)
{
	struct client c = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .cap = 8u << 20 };
	c.in = malloc(c.cap);
	ck_assert(c.fd >= 0 && c.in);
	ck_assert_int_eq(connect(c.fd, &where.sa, where.len), 0);
	return c;
}

static void hang_up(struct client *c)
{
	close(c->fd);
	free(c->in);
}

static void say_n(struct client *c, const char *p, size_t n)
{
	while (n) {
		ssize_t put = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (put < 0 && errno != EAGAIN)
			return; /* refused in mid-request */
		loop_turn(loop, false);
		p += put > 0 ? put : 0;
		n -= put > 0 ? (size_t)put : 0;
	}
}

static void say(struct client *c, const char *z)
{
	say_n(c, z, strlen(z));
}

static bool hear(struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->n, c->cap - c->n - 1, MSG_DONTWAIT);
	if (n > 0)
		c->n += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		c->eof = true;
	c->in[c->n] = 0;
	return n > 0;
}

#define HEAR(c, text) UNTIL((hear(c), strstr((c)->in, text)))
#define HEAR_ALL(c) UNTIL((hear(c), (c)->eof))

/* One dialogue on a connection of its own, until the server closes; the whole answer (static). */
static const char *dialogue(const char *p, size_t n)
{
	static char answer[8192];
	struct client c = dial();
	say_n(&c, p, n);
	HEAR_ALL(&c);
	snprintf(answer, sizeof(answer), "%s", c.in);
	hang_up(&c);
	return answer;
}

static int status_of(const char *answer)
{
	ck_assert_msg(strncmp(answer, "HTTP/1.1 ", 9) == 0, "%s", answer);
	return (int)strtol(answer + 9, NULL, 10);
}

/* --- the tests --------------------------------------------------------------------------------------------- */

#define H "Host: a\r\n"
#define CLOSE "Connection: close\r\n\r\n"

START_TEST(answers_a_request)
{
	static const char request[] = "GET /p%20q?a=b+c%21&z HTTP/1.1\r\n" H "X-Test: v\r\n" CLOSE;
	const char *a = dialogue(request, sizeof(request) - 1);
	ck_assert_int_eq(status_of(a), 200);
	ck_assert_ptr_nonnull(strstr(a, "\r\n\r\nGET /p q a=b c! x=v body= peer=127.0.0.1 port=1"));
	ck_assert_ptr_nonnull(strstr(a, "\r\nX-Good: 1\r\n"));
	ck_assert_ptr_null(strstr(a, "X-Smuggled"));
	ck_assert_ptr_nonnull(strstr(a, "\r\nDate: "));
	ck_assert_ptr_nonnull(strstr(a, " GMT\r\n"));
}
END_TEST

static const struct {
	const char *request;
	int status;
} refusals[] = {
	{ "GET / HTTP/1.1\n\n", 400 },
	{ "GET / HTTP/1.1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H H "\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "X : y\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "X: y\r\n fold\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "nothing\r\n\r\n", 400 },
	{ "GET  HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /\r\n" H "\r\n", 400 },
	{ "GET /%00 HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /%0a HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /%4 HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /%zz HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /?a=%00 HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /a b HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /\xff HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET http://a/ HTTP/1.1\r\n" H "\r\n", 400 },
	{ "CONNECT a:1 HTTP/1.1\r\n" H "\r\n", 501 },
	{ "BREW / HTTP/1.1\r\n" H "\r\n", 501 },
	{ "G@T / HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET / HTTP/1.2\r\n" H "\r\n", 505 },
	{ "GET / HTTP/2.0\r\n" H "\r\n", 505 },
	{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
	{ "GET / ICY/1.1\r\n" H "\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 1x\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 65537\r\n\r\n", 413 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411 },
	{ "POST / HTTP/1.1\r\n" H "Expect: coffee\r\n\r\n", 417 },
	{ "\x16\x03\x01\x02\r\n\r\n", 400 },
};

START_TEST(refuses_what_is_malformed)
{
	const char *a = dialogue(refusals[_i].request, strlen(refusals[_i].request));
	ck_assert_msg(status_of(a) == refusals[_i].status, "%s: %s", refusals[_i].request, a);
	ck_assert_ptr_nonnull(strstr(a, "{\"error\":\""));
	ck_assert_ptr_nonnull(strstr(a, "Connection: close\r\n"));
	ck_assert_uint_eq(handled, 0);
}
END_TEST

START_TEST(heads_and_bodies_have_limits)
{
	char *p = malloc(200000);
	ck_assert_ptr_nonnull(p);
	memset(p, 'x', 200000);
	memcpy(p, "GET /", 5);
	ck_assert_int_eq(status_of(dialogue(p, 100000)), 414); /* an endless request line; the answer survives the rest */
	static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
	memcpy(p, head, sizeof(head) - 1);
	ck_assert_int_eq(status_of(dialogue(p, 100000)), 431);
	size_t n = (size_t)snprintf(p, 200000, "GET / HTTP/1.1\r\n");
	for (int i = 0; i < 65; i++)
		n += (size_t)snprintf(p + n, 200000 - n, "X%d: y\r\n", i);
	memcpy(p + n, "\r\n", 3);
	ck_assert_int_eq(status_of(dialogue(p, n + 2)), 431);
	ck_assert_uint_eq(handled, 0);
	n = (size_t)snprintf(p, 200000, "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\nConnection: close\r\n\r\n");
	memset(p + n, 'b', 65536);
	ck_assert_int_eq(status_of(dialogue(p, n + 65536)), 204);
	free(p);
}
END_TEST

START_TEST(keeps_alive_and_pipelines)
{
	struct client c = dial();
	say(&c, "\r\nPOST /1 HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n" H "\r\nHEAD /3 HTTP/1.1\r\n" H
		"\r\nGET /4 HTTP/1.1\r\n" H "X-Test: 1\r\nx-test: 2\r\n" CLOSE);
	HEAR_ALL(&c);
	ck_assert_ptr_nonnull(strstr(c.in, "\r\n\r\nPOST /1 a= x= body=abc"));
	ck_assert_ptr_nonnull(strstr(c.in, "\r\n\r\nGET /2"));
	ck_assert_ptr_null(strstr(c.in, "HEAD /3")); /* no body */
	ck_assert_ptr_nonnull(strstr(c.in, "\r\n\r\nGET /4 a= x=1!"));
	ck_assert_uint_eq(handled, 4);
	hang_up(&c);

	c = dial(); /* byte by byte */
	const char *slow = "POST /s HTTP/1.1\r\n" H "Content-Length: 2\r\nConnection: close\r\n\r\nhi";
	for (; *slow; slow++)
		say_n(&c, slow, 1);
	HEAR_ALL(&c);
	ck_assert_ptr_nonnull(strstr(c.in, "POST /s a= x= body=hi"));
	hang_up(&c);
}
END_TEST

START_TEST(http_1_0_and_expectations)
{
	const char *a = dialogue("GET / HTTP/1.0\r\n\r\n", 18);
	ck_assert_int_eq(status_of(a), 200);
	ck_assert_ptr_nonnull(strstr(a, "Connection: close\r\n"));

	struct client c = dial();
	say(&c, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	HEAR(&c, "port=1");
	ck_assert_ptr_nonnull(strstr(c.in, "Connection: keep-alive\r\n"));
	say(&c, "POST /e HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n" CLOSE);
	HEAR(&c, "HTTP/1.1 100 Continue\r\n\r\n");
	say(&c, "ok");
	HEAR_ALL(&c);
	ck_assert_ptr_nonnull(strstr(c.in, "body=ok"));
	hang_up(&c);
}
END_TEST

START_TEST(answers_later)
{
	struct client c = dial();
	say(&c, "GET /later HTTP/1.1\r\n" H "\r\nGET /next HTTP/1.1\r\n" H "\r\n");
	UNTIL(kept);
	ck_assert_uint_eq(handled, 1); /* the second waits for the first */
	httpd_reply(kept, 200, "text/plain", STR("at last"));
	HEAR(&c, "at last");
	HEAR(&c, "GET /next");
	hang_up(&c);
	loop_turn(loop, false);
	ck_assert_uint_eq(left, 0);
}
END_TEST

START_TEST(tells_when_the_peer_leaves)
{
	struct client c = dial();
	say(&c, "GET /later HTTP/1.1\r\n" H "\r\n");
	UNTIL(kept);
	hang_up(&c);
	UNTIL(left == 1);
	c = dial();
	say(&c, "GET /stream HTTP/1.1\r\n" H "\r\n");
	UNTIL(kept);
	hang_up(&c);
	UNTIL(left == 2);
	c = dial();
	say(&c, "GET /later HTTP/1.1\r\n" H "\r\n");
	UNTIL(kept);
	httpd_free(httpd); /* … and when the server does */
	ck_assert_uint_eq(left, 3);
	httpd = NULL;
	hang_up(&c);
}
END_TEST

START_TEST(large_replies_flow_and_have_a_limit)
{
	struct client c = dial();
	char ask[128];
	snprintf(ask, sizeof(ask), "GET /big?n=%u HTTP/1.1\r\n" H "\r\n", HTTPD_REPLY_MAX);
	say(&c, ask);
	UNTIL((hear(&c), c.n > HTTPD_REPLY_MAX));
	snprintf(ask, sizeof(ask), "GET /big?n=%u HTTP/1.1\r\n" H CLOSE, HTTPD_REPLY_MAX + 1);
	c.n = 0;
	say(&c, ask);
	HEAR_ALL(&c);
	hang_up(&c);
	ck_assert_uint_eq(handled, 2);
}
END_TEST

START_TEST(streams_come_in_chunks)
{
	struct client c = dial();
	say(&c, "GET /stream HTTP/1.1\r\n" H "\r\n");
	UNTIL(kept);
	ck_assert(httpd_stream_send(kept, STR("data: 1\n\n")));
	HEAR(&c, "\r\n\r\n9\r\ndata: 1\n\n\r\n");
	ck_assert_ptr_nonnull(strstr(c.in, "Transfer-Encoding: chunked\r\n"));
	httpd_stream_end(kept);
	kept = NULL;
	HEAR(&c, "\r\n0\r\n\r\n");
	say(&c, "GET /again HTTP/1.1\r\n" H CLOSE);
	HEAR_ALL(&c);
	ck_assert_ptr_nonnull(strstr(c.in, "GET /again"));
	hang_up(&c);

	c = dial();
	say(&c, "GET /stream HTTP/1.0\r\n\r\n");
	UNTIL(kept);
	ck_assert(httpd_stream_send(kept, STR("raw")));
	httpd_stream_end(kept);
	HEAR_ALL(&c);
	ck_assert_ptr_nonnull(strstr(c.in, "\r\n\r\nraw"));
	hang_up(&c);
}
END_TEST

START_TEST(a_slow_reader_of_a_stream_is_dropped)
{
	struct client c = dial();
	static char piece[65536];
	say(&c, "GET /stream HTTP/1.1\r\n" H "\r\n");
	UNTIL(kept);
	unsigned sent = 0;
	while (httpd_stream_send(kept, str_make(piece, sizeof(piece)))) {
		loop_turn(loop, false);
		ck_assert_uint_lt(++sent, 1000);
	}
	loop_turn(loop, false);
	ck_assert_uint_eq(left, 0); /* the caller was told by the result */
	hang_up(&c);
}
END_TEST

START_TEST(connections_have_a_limit)
{
	struct client c[HTTPD_CONNECTIONS_MAX], extra;
	for (unsigned i = 0; i < HTTPD_CONNECTIONS_MAX; i++) {
		c[i] = dial();
		say(&c[i], "GET /later HTTP/1.1\r\n" H "\r\n");
		UNTIL(handled == i + 1);
	}
	extra = dial();
	HEAR_ALL(&extra);
	ck_assert_int_eq(status_of(extra.in), 503);
	hang_up(&extra);
	httpd_reply(kept, 200, "text/plain", STR("done")); /* the last one is idle now and makes room */
	HEAR(&c[HTTPD_CONNECTIONS_MAX - 1], "done");
	ck_assert_int_eq(status_of(dialogue("GET / HTTP/1.0\r\n\r\n", 18)), 200);
	HEAR_ALL(&c[HTTPD_CONNECTIONS_MAX - 1]);
	for (unsigned i = 0; i < HTTPD_CONNECTIONS_MAX; i++)
		hang_up(&c[i]);
}
END_TEST

START_TEST(time_is_limited)
{
	struct client c = dial();
	say(&c, "GET / HTTP/1.1\r\n" H "\r\n");
	HEAR(&c, "port=1");
	say(&c, "GET /half");
	UNTIL(last->in_n == 9);
	ck_assert(timer_armed(&last->timer) && last->timer.deadline > clock_now() + 20 * USEC_SEC);
	timer_set(loop, &last->timer, 0); /* 30 s are over */
	HEAR_ALL(&c);
	ck_assert_ptr_nonnull(strstr(c.in, "HTTP/1.1 408 "));
	hang_up(&c);

	c = dial();
	say(&c, "GET / HTTP/1.1\r\n" H "\r\n");
	HEAR(&c, "port=1");
	timer_set(loop, &last->timer, 0); /* idle between requests: closed without a word */
	HEAR_ALL(&c);
	ck_assert_ptr_null(strstr(c.in, "408"));
	hang_up(&c);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
	static const char requests[] = "GET /1 HTTP/1.1\r\n" H "\r\nPOST / HTTP/1.1\r\n" H "Content-Length: x\r\n\r\n";
	bool ended = false;
	for (unsigned long k = 1; !ended; k++) {
		ck_assert_uint_lt(k, 100);
		mem_fail_at(k);
		const char *a = dialogue(requests, sizeof(requests) - 1);
		ended = mem_count() < k;
		mem_fail_at(0);
		ck_assert(*a == 0 || strncmp(a, "HTTP/1.1 ", 9) == 0);
		ck_assert(!ended || strstr(a, "HTTP/1.1 400 "));
	}
}
END_TEST

Suite *suite_net_httpd(void);
Suite *suite_net_httpd(void)
{
	Suite *s = suite_create("net/httpd");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, answers_a_request);
	tcase_add_loop_test(t, refuses_what_is_malformed, 0, (int)(sizeof(refusals) / sizeof(refusals[0])));
	tcase_add_test(t, heads_and_bodies_have_limits);
	tcase_add_test(t, keeps_alive_and_pipelines);
	tcase_add_test(t, http_1_0_and_expectations);
	tcase_add_test(t, answers_later);
	tcase_add_test(t, tells_when_the_peer_leaves);
	tcase_add_test(t, large_replies_flow_and_have_a_limit);
	tcase_add_test(t, streams_come_in_chunks);
	tcase_add_test(t, a_slow_reader_of_a_stream_is_dropped);
	tcase_add_test(t, connections_have_a_limit);
	tcase_add_test(t, time_is_limited);
	tcase_add_test(t, survives_every_failed_allocation);
	suite_add_tcase(s, t);
	return s;
}
