/* net/fetch against a scripted server on the same loop. */
#include "net/fetch.h"

#include "net/listen.h"
#include "net/timer.h"

#include <check.h>
#include <errno.h>
#include <unistd.h>

enum script { PLAIN, HANG, TRICKLE, FLOOD, GARBAGE, CUT };

struct scene {
	struct loop *loop;
	struct resolver *resolver;
	struct fetcher *fetcher;
	struct listener listener;
	int fd, peer;
	struct watch wr;
	struct timer drip;
	enum script script;
	unsigned calls;
	int status;
	size_t body;
	char why[256], etag[32];
};

static void on_writable(void *arg, short what)
{
	struct scene *s = arg;
	static const char block[65536];

	(void)what;
	if (write(s->peer, block, sizeof(block)) < 0 && errno != EAGAIN)
		watch_off(&s->wr);
}

static void on_drip(void *arg)
{
	struct scene *s = arg;

	if (write(s->peer, "x", 1) == 1)
		timer_set(s->loop, &s->drip, loop_now(s->loop) + 20 * USEC_MS);
}

static void on_accept(void *arg, int fd, const struct addr *peer)
{
	static const char *const says[] = {
		[PLAIN] = "HTTP/1.1 200 OK\r\nETag: \"7\"\r\nContent-Length: 5\r\n\r\nhello",
		[HANG] = "",
		[TRICKLE] = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
		[FLOOD] = "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n",
		[GARBAGE] = "\x01\x02\x03 no http at all\r\n\r\n",
		[CUT] = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf",
	};
	struct scene *s = arg;
	const char *text = says[s->script];

	(void)peer;
	ck_assert_int_eq(s->peer, -1);
	s->peer = fd;
	ck_assert(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	if (s->script == CUT)
		shutdown(fd, SHUT_WR);
	if (s->script == TRICKLE)
		on_drip(s);
	if (s->script == FLOOD) {
		watch_init(&s->wr, s->loop, fd, EV_WRITE, on_writable, s);
		ck_assert(watch_on(&s->wr));
	}
}

static void on_reply(void *arg, const struct fetch_reply *r)
{
	struct scene *s = arg;

	s->calls++;
	s->status = r->status;
	s->body = r->body.n;
	str_copy(str_of(r->why), s->why, sizeof(s->why));
	str_copy(fetch_header(r, "etag"), s->etag, sizeof(s->etag));
}

static struct fetch *start(struct scene *s, enum script script, usec total, usec idle, const char *host)
{
	struct err err = { "" };
	struct addr a;
	char url[128];

	memset(s, 0, sizeof(*s));
	s->script = script;
	s->peer = -1;
	s->loop = loop_new(&err);
	s->resolver = resolver_new(s->loop, NULL, &err);
	s->fetcher = fetcher_new(s->loop, s->resolver, NULL, &err);
	timer_init(&s->drip, on_drip, s);
	ck_assert(addr_parse(STR("127.0.0.1:0"), &a, &err));
	s->fd = socket_listen(NULL, &a, &err);
	ck_assert_msg(s->fd >= 0 && s->fetcher, "%s", err.text);
	ck_assert(socket_local(s->fd, &a));
	ck_assert(listener_start(&s->listener, s->loop, s->fd, on_accept, s));
	snprintf(url, sizeof(url), "http://%s:%u/x", host, addr_port(&a));
	struct fetch_request q = { .url = url, .body_max = 65536, .total = total, .idle = idle };
	struct fetch *f = fetch_start(s->fetcher, &q, on_reply, s, &err);
	ck_assert_msg(f != NULL, "%s", err.text);
	return f;
}

static void finish(struct scene *s)
{
	fetcher_free(s->fetcher);
	resolver_free(s->resolver);
	timer_clear(&s->drip);
	watch_off(&s->wr);
	listener_stop(&s->listener);
	close(s->fd);
	if (s->peer >= 0)
		close(s->peer);
	loop_free(s->loop);
}

static void await(struct scene *s)
{
	usec end = clock_now() + 10 * USEC_SEC;

	while (s->calls == 0 && clock_now() < end)
		loop_turn(s->loop, false);
	ck_assert_uint_eq(s->calls, 1);
	finish(s);
}

START_TEST(a_plain_answer)
{
	struct scene s;

	start(&s, PLAIN, 5 * USEC_SEC, USEC_SEC, _i ? "localhost" : "127.0.0.1");
	await(&s);
	ck_assert_msg(s.status == 200, "%s", s.why);
	ck_assert_uint_eq(s.body, 5);
	ck_assert_str_eq(s.etag, "\"7\"");
}
END_TEST

START_TEST(faults)
{
	static const struct {
		enum script script;
		const char *why; /* a part of it; NULL: any */
	} rows[] = { { HANG, "silent" }, { TRICKLE, "in time" }, { FLOOD, "longer than" }, { GARBAGE, NULL },
		{ CUT, NULL } };
	struct scene s;

	start(&s, rows[_i].script, 600 * USEC_MS, 200 * USEC_MS, "127.0.0.1");
	await(&s);
	ck_assert_int_eq(s.status, 0);
	ck_assert(s.body <= 65536 && s.why[0]);
	if (rows[_i].why)
		ck_assert_msg(strstr(s.why, rows[_i].why) != NULL, "%s", s.why);
}
END_TEST

START_TEST(cancel)
{
	struct scene s;
	struct fetch *f = start(&s, HANG, 5 * USEC_SEC, USEC_SEC, "localhost");

	if (_i)
		for (usec end = clock_now() + USEC_SEC; s.peer < 0 && clock_now() < end;)
			loop_turn(s.loop, false);
	fetch_cancel(f);
	loop_turn(s.loop, false);
	ck_assert_uint_eq(s.calls, 0);
	finish(&s);
}
END_TEST

Suite *suite_net_fetch(void);
Suite *suite_net_fetch(void)
{
	Suite *suite = suite_create("net_fetch");
	TCase *t = tcase_create("fetch");

	tcase_add_loop_test(t, a_plain_answer, 0, 2);
	tcase_add_loop_test(t, faults, 0, 5);
	tcase_add_loop_test(t, cancel, 0, 2);
	suite_add_tcase(suite, t);
	return suite;
}
