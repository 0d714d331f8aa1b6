/* net/stream, net/listen and net/sockets: bytes both ways over real sockets, on one loop. */
#include "net/listen.h"
#include "net/stream.h"

#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE (20 * USEC_SEC)

struct end {
	struct stream stream;
	size_t got;
	uint32_t sum; /* over all bytes read */
	ssize_t last; /* result of the last read */
	unsigned writable;
	int connected; /* result of stream_connect_result() */
};

static void on_readable(void *arg)
{
	struct end *e = arg;
	unsigned char buf[16384];
	e->last = stream_read(&e->stream, buf, sizeof(buf));
	for (ssize_t i = 0; i < e->last; i++)
		e->sum = e->sum * 31 + buf[i];
	if (e->last > 0)
		e->got += (size_t)e->last;
	else if (e->last < 0)
		stream_want_read(&e->stream, false);
}

static void on_writable(void *arg)
{
	struct end *e = arg;
	e->writable++;
	if (e->stream.connecting)
		e->connected = stream_connect_result(&e->stream);
	else
		stream_want_write(&e->stream, false);
}

static void end_init(struct end *e, struct loop *l)
{
	*e = (struct end){ .connected = 0 };
	stream_init(&e->stream, l, on_readable, on_writable, e);
}

#define UNTIL(l, cond)                                                \
	do {                                                          \
		usec until_ = clock_now() + PATIENCE;                 \
		while (!(cond)) {                                     \
			ck_assert_msg(clock_now() < until_, #cond);   \
			loop_turn(l, false);                          \
		}                                                     \
	} while (0)

static void pair(struct loop *l, struct end *a, struct end *b)
{
	int fds[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	end_init(a, l);
	end_init(b, l);
	ck_assert(!stream_is_open(&a->stream));
	ck_assert(stream_open(&a->stream, fds[0]) && stream_open(&b->stream, fds[1]));
}

struct accepted {
	struct loop *loop;
	struct end end;
	struct addr peer;
	unsigned count;
};

static void on_accept(void *arg, int fd, const struct addr *peer)
{
	struct accepted *a = arg;
	a->count++;
	a->peer = *peer;
	end_init(&a->end, a->loop);
	ck_assert(stream_open(&a->end.stream, fd));
}

/* A connected pair through a listener on `where`; the listener is gone afterwards. */
static void connected_pair(struct loop *l, const char *where, struct end *c, struct accepted *s)
{
	struct addr a;
	struct err e;
	struct listener listener;
	ck_assert(addr_parse(str_of(where), &a, &e));
	int fd = socket_listen(NULL, &a, &e);
	ck_assert_msg(fd >= 0, "%s", e.text);
	ck_assert(socket_local(fd, &a));
	*s = (struct accepted){ .loop = l };
	ck_assert(listener_start(&listener, l, fd, on_accept, s));
	end_init(c, l);
	int r = stream_connect(&c->stream, NULL, &a);
	ck_assert_int_ge(r, 0);
	UNTIL(l, s->count == 1 && !c->stream.connecting);
	ck_assert_int_eq(r ? r : c->connected, 1);
	listener_stop(&listener);
	listener_stop(&listener);
	close(fd);
}

/* Writes `total` bytes with back-pressure, while the other end reads now and then; returns their sum. */
static uint32_t pump(struct loop *l, struct end *from, struct end *to, size_t total, unsigned *stalls)
{
	static unsigned char buf[65536];
	uint32_t sum = 0;
	size_t put = 0;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (unsigned char)(i * 7 + 3);
	stream_want_read(&to->stream, false);
	while (put < total) {
		size_t at = put % sizeof(buf), n = sizeof(buf) - at;
		n = n < total - put ? n : total - put;
		struct iovec v[2] = { { buf + at, n / 2 }, { buf + at + n / 2, n - n / 2 } };
		ssize_t done = n > 1 ? stream_writev(&from->stream, v, 2)
				     : stream_writev(&from->stream, &(struct iovec){ buf + at, n }, 1);
		ck_assert_int_ge(done, 0);
		for (ssize_t i = 0; i < done; i++)
			sum = sum * 31 + buf[at + (size_t)i];
		put += (size_t)done;
		if (done == 0) {
			unsigned before = from->writable;
			++*stalls;
			stream_want_write(&from->stream, true);
			stream_want_read(&to->stream, true);
			UNTIL(l, from->writable > before);
			stream_want_read(&to->stream, false);
		}
	}
	stream_want_read(&to->stream, true);
	UNTIL(l, to->got == total);
	return sum;
}

START_TEST(bytes_cross_a_socketpair_with_back_pressure)
{
	struct loop *l = loop_new(NULL);
	struct end a, b;
	unsigned stalls = 0;
	pair(l, &a, &b);
	uint32_t sum = pump(l, &a, &b, 4u << 20, &stalls);
	ck_assert_uint_eq(sum, b.sum);
	ck_assert_uint_gt(stalls, 0);
	ck_assert_uint_eq(a.stream.ops->pending(&a.stream), 0);
	stream_shutdown(&a.stream);
	UNTIL(l, b.last == STREAM_EOF);
	stream_close(&a.stream, STREAM_CLOSE);
	stream_close(&a.stream, STREAM_CLOSE);
	ck_assert_int_lt(stream_read(&a.stream, &sum, sizeof(sum)), 0);
	stream_close(&b.stream, STREAM_CLOSE);
	loop_free(l);
}
END_TEST

START_TEST(bytes_cross_tcp_and_unix)
{
	char name[64] = "127.0.0.1:0";
	if (_i)
		snprintf(name, sizeof(name), "unix:@outrider-test-stream-%d", (int)getpid());
	struct loop *l = loop_new(NULL);
	struct end c;
	struct accepted s;
	unsigned stalls = 0;
	connected_pair(l, name, &c, &s);
	uint32_t sum = pump(l, &c, &s.end, 8u << 20, &stalls);
	ck_assert_uint_eq(sum, s.end.sum);
	ck_assert_uint_gt(stalls, 0);
	if (!_i)
		ck_assert(addr_is_loopback(&s.peer));
	stream_close(&c.stream, STREAM_CLOSE);
	UNTIL(l, s.end.last == STREAM_EOF);
	stream_close(&s.end.stream, STREAM_CLOSE);
	loop_free(l);
}
END_TEST

START_TEST(a_reset_is_visible)
{
	struct loop *l = loop_new(NULL);
	struct end c;
	struct accepted s;
	connected_pair(l, "127.0.0.1:0", &c, &s);
	stream_close(&c.stream, STREAM_CLOSE_RESET);
	UNTIL(l, s.end.last == STREAM_ERROR);
	ck_assert_int_eq(stream_errno(&s.end.stream), ECONNRESET);
	struct iovec v = { "x", 1 };
	ck_assert_int_eq(stream_writev(&s.end.stream, &v, 1), STREAM_ERROR); /* and no SIGPIPE */
	ck_assert_int_eq(stream_errno(&s.end.stream), EPIPE);
	stream_close(&s.end.stream, STREAM_CLOSE);
	loop_free(l);
}
END_TEST

START_TEST(accepted_connections_are_tuned)
{
	struct loop *l = loop_new(NULL);
	struct end c;
	struct accepted s;
	connected_pair(l, "127.0.0.1:0", &c, &s);
	const int fds[] = { c.stream.fd, s.end.stream.fd };
	for (int i = 0; i < 2; i++) {
		int v = 0;
		socklen_t n = sizeof(v);
		ck_assert(getsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &v, &n) == 0 && v);
		ck_assert(getsockopt(fds[i], SOL_SOCKET, SO_KEEPALIVE, &v, &n) == 0 && v);
		ck_assert(getsockopt(fds[i], IPPROTO_TCP, TCP_KEEPIDLE, &v, &n) == 0 && v == 300);
	}
	int fd = stream_take_fd(&c.stream);
	ck_assert_int_ge(fd, 0);
	ck_assert(!stream_is_open(&c.stream));
	close(fd);
	stream_close(&s.end.stream, STREAM_CLOSE);
	loop_free(l);
}
END_TEST

/* An address of this machine at which nobody listens. */
static struct addr unused(void)
{
	struct addr a;
	struct err e;
	ck_assert(addr_parse(STR("127.0.0.1:0"), &a, &e));
	int fd = socket_make(NULL, AF_INET, SOCK_STREAM);
	ck_assert_int_eq(bind(fd, &a.sa, a.len), 0);
	ck_assert(socket_local(fd, &a));
	close(fd);
	return a;
}

START_TEST(a_refused_connect_fails)
{
	struct loop *l = loop_new(NULL);
	struct addr a = unused();
	struct end c;
	end_init(&c, l);
	int r = stream_connect(&c.stream, NULL, &a);
	if (r == 0) {
		UNTIL(l, c.writable > 0);
		r = c.connected;
	}
	ck_assert_int_eq(r, -1);
	ck_assert_int_eq(stream_errno(&c.stream), ECONNREFUSED);
	ck_assert(!stream_is_open(&c.stream));

	ck_assert(addr_parse(STR("unix:/nonexistent/socket"), &a, NULL));
	ck_assert_int_eq(stream_connect(&c.stream, NULL, &a), -1);
	ck_assert_int_eq(stream_errno(&c.stream), ENOENT);
	loop_free(l);
}
END_TEST

START_TEST(an_address_in_use_names_its_owner)
{
	struct addr a;
	struct err e = { "" };
	ck_assert(addr_parse(STR("127.0.0.1:0"), &a, &e));
	int first = socket_listen(NULL, &a, &e);
	ck_assert(socket_local(first, &a));
	int second = socket_listen(NULL, &a, &e); /* a further worker */
	ck_assert_int_ge(second, 0);
	ck_assert(!socket_listen_check(NULL, &a, &e));
	ck_assert_int_eq(errno, EADDRINUSE);
	char pid[32], text[ADDR_TEXT_MAX];
	snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	addr_text(&a, text);
	ck_assert_ptr_nonnull(strstr(e.text, text));
	ck_assert_ptr_nonnull(strstr(e.text, pid));
	close(first);
	close(second);
	ck_assert(socket_listen_check(NULL, &a, &e));
	ck_assert(addr_parse(STR("203.0.113.7:80"), &a, &e));
	ck_assert_int_eq(socket_listen(NULL, &a, &e), -1);
	ck_assert(errno == EADDRNOTAVAIL || errno == EACCES);
}
END_TEST

START_TEST(a_stale_unix_path_is_replaced)
{
	char dir[] = "/tmp/outrider-test-XXXXXX", name[64];
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(name, sizeof(name), "unix:%s/s", dir);
	struct addr a;
	struct err e = { "" };
	struct stat st;
	ck_assert(addr_parse(str_of(name), &a, &e));
	int fd = socket_listen(NULL, &a, &e);
	ck_assert_msg(fd >= 0, "%s", e.text);
	ck_assert_int_eq(stat(name + 5, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0660);
	ck_assert_int_eq(socket_listen(NULL, &a, &e), -1); /* somebody answers there */
	ck_assert_int_eq(errno, EADDRINUSE);
	close(fd); /* the path stays */
	fd = socket_listen(NULL, &a, &e);
	ck_assert_int_ge(fd, 0);
	close(fd);
	unlink(name + 5);
	FILE *f = fopen(name + 5, "w"); /* no socket: never removed */
	ck_assert_ptr_nonnull(f);
	fclose(f);
	ck_assert_int_eq(socket_listen(NULL, &a, &e), -1);
	ck_assert_int_eq(stat(name + 5, &st), 0);
	unlink(name + 5);
	rmdir(dir);
}
END_TEST

static void count_and_close(void *arg, int fd, const struct addr *peer)
{
	(void)peer;
	struct accepted *a = arg;
	a->count++;
	close(fd);
}

START_TEST(out_of_descriptors_pauses_instead_of_spinning)
{
	struct loop *l = loop_new(NULL);
	struct accepted s = { .loop = l };
	struct listener listener;
	struct addr a;
	ck_assert(addr_parse(STR("127.0.0.1:0"), &a, NULL));
	int fd = socket_listen(NULL, &a, NULL);
	ck_assert(socket_local(fd, &a));
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert(listener_start(&listener, l, fd, count_and_close, &s));
	struct rlimit old, low;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)client; /* no descriptor above those that are open */
	ck_assert_int_eq(connect(client, &a.sa, a.len), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	UNTIL(l, listener.failures == 1);
	ck_assert(listener.paused);
	loop_turn(l, false);
	ck_assert_uint_eq(listener.failures, 1);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	UNTIL(l, s.count == 1);
	listener_stop(&listener);
	close(client);
	close(fd);
	loop_free(l);
}
END_TEST

Suite *suite_net_stream(void);
Suite *suite_net_stream(void)
{
	Suite *s = suite_create("net/stream");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, bytes_cross_a_socketpair_with_back_pressure);
	tcase_add_loop_test(t, bytes_cross_tcp_and_unix, 0, 2);
	tcase_add_test(t, a_reset_is_visible);
	tcase_add_test(t, accepted_connections_are_tuned);
	tcase_add_test(t, a_refused_connect_fails);
	tcase_add_test(t, an_address_in_use_names_its_owner);
	tcase_add_test(t, a_stale_unix_path_is_replaced);
	tcase_add_test(t, out_of_descriptors_pauses_instead_of_spinning);
	suite_add_tcase(s, t);
	return s;
}
