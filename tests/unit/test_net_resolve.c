/* net/resolve against a scripted DNS server on the same loop, UDP and TCP. */
#include "base/mem.h"
#include "net/listen.h"
#include "net/resolve.h"
#include "net/timer.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE (20 * USEC_SEC)
#define UNTIL(l, cond)                                              \
	do {                                                        \
		usec until_ = clock_now() + PATIENCE;               \
		while (!(cond)) {                                   \
			ck_assert_msg(clock_now() < until_, #cond); \
			loop_turn(l, false);                        \
		}                                                   \
	} while (0)

/* --- the server ------------------------------------------------------------------------------------------ */

enum { TYPE_A = 1, TYPE_AAAA = 28 };

static const struct zone_row {
	const char *name;
	unsigned a, aaaa; /* how many addresses of each */
	uint32_t ttl;
	bool silent4, silent6; /* no answer */
	bool truncated;        /* over UDP */
	bool garbage;
} zone[] = {
	{ .name = "both.test", .a = 2, .aaaa = 1, .ttl = 60 },
	{ .name = "six.test", .aaaa = 1, .ttl = 60 },
	{ .name = "many.test", .a = 30, .ttl = 60, .truncated = true },
	{ .name = "slow6.test", .a = 1, .ttl = 60, .silent6 = true },
	{ .name = "brief.test", .a = 1, .ttl = 0 },
	{ .name = "silent.test", .silent4 = true, .silent6 = true },
	{ .name = "garbage.test", .garbage = true },
};

struct server {
	struct loop *loop;
	struct watch udp, tcp;
	struct listener listener;
	int udp_fd, tcp_fd, connection;
	unsigned asked, asked_tcp;
	char address[64];
};

struct out {
	unsigned char p[4096];
	size_t n;
};

static void put(struct out *o, unsigned v, unsigned bytes)
{
	while (bytes--)
		o->p[o->n++] = (unsigned char)(v >> (8 * bytes));
}

static const struct zone_row *find_row(const unsigned char *q, size_t n, size_t *end)
{
	char name[256];
	size_t at = 12, to = 0;
	while (at < n && q[at] && to + q[at] + 1 < sizeof(name) && at + q[at] < n) {
		memcpy(name + to, q + at + 1, q[at]);
		to += q[at];
		name[to++] = '.';
		at += q[at] + 1u;
	}
	name[to ? to - 1 : 0] = 0;
	*end = at + 5;
	for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++)
		if (strcmp(zone[i].name, name) == 0)
			return &zone[i];
	return NULL;
}

static void put_records(struct out *o, const struct zone_row *row, unsigned type)
{
	unsigned count = type == TYPE_A ? row->a : row->aaaa;
	for (unsigned i = 1; i <= count; i++) {
		put(o, 0xc00c, 2);
		put(o, type, 2);
		put(o, 1, 2);
		put(o, row->ttl, 4);
		put(o, type == TYPE_A ? 4 : 16, 2);
		if (type == TYPE_A) {
			put(o, 0x0a000000 + i, 4);
		} else {
			put(o, 0xfd000000, 4);
			put(o, 0, 4);
			put(o, 0, 4);
			put(o, i, 4);
		}
	}
}

/* Answers one question. n = 0: says nothing. */
static void answer(const unsigned char *q, size_t n, bool tcp, struct out *o)
{
	size_t end;
	o->n = 0;
	const struct zone_row *row = find_row(q, n, &end);
	if (n < 17 || end > n)
		return;
	unsigned type = (unsigned)q[end - 4] << 8 | q[end - 3];
	if (row && (type == TYPE_A ? row->silent4 : row->silent6))
		return;
	bool cut = row && row->truncated && !tcp;
	unsigned count = !row || cut ? 0 : type == TYPE_A ? row->a : type == TYPE_AAAA ? row->aaaa : 0;
	memcpy(o->p, q, 2);
	o->n = 2;
	put(o, 0x8180 | (cut ? 0x200 : 0) | (row ? 0 : 3), 2);
	put(o, 1, 2);
	put(o, row && row->garbage ? 9 : count, 2);
	put(o, 0, 4);
	memcpy(o->p + o->n, q + 12, end - 12);
	o->n += end - 12;
	if (row && !cut)
		put_records(o, row, type);
}

static void on_udp(void *arg, short what)
{
	(void)what;
	struct server *s = arg;
	unsigned char q[1024];
	struct addr from = { .len = sizeof(struct sockaddr_in) };
	ssize_t n = recvfrom(s->udp_fd, q, sizeof(q), 0, &from.sa, &from.len);
	if (n <= 0)
		return;
	s->asked++;
	struct out o;
	answer(q, (size_t)n, false, &o);
	if (o.n)
		ck_assert_int_gt(sendto(s->udp_fd, o.p, o.n, 0, &from.sa, from.len), 0);
}

static void on_tcp(void *arg, short what)
{
	(void)what;
	struct server *s = arg;
	unsigned char q[1024];
	ssize_t n = recv(s->connection, q, sizeof(q), 0);
	if (n <= 2) {
		watch_off(&s->tcp);
		return;
	}
	/* One question at a time is enough for the script: c-ares may send both in one go. */
	for (size_t at = 0; at + 2 < (size_t)n;) {
		size_t len = (size_t)q[at] << 8 | q[at + 1];
		struct out o;
		unsigned char head[2];
		ck_assert_uint_le(at + 2 + len, (size_t)n);
		s->asked_tcp++;
		answer(q + at + 2, len, true, &o);
		head[0] = (unsigned char)(o.n >> 8);
		head[1] = (unsigned char)o.n;
		ck_assert_int_eq(send(s->connection, head, 2, MSG_NOSIGNAL), 2);
		ck_assert_int_eq(send(s->connection, o.p, o.n, MSG_NOSIGNAL), (ssize_t)o.n);
		at += 2 + len;
	}
}

static void on_accept(void *arg, int fd, const struct addr *peer)
{
	(void)peer;
	struct server *s = arg;
	ck_assert_int_lt(s->connection, 0);
	s->connection = fd;
	watch_init(&s->tcp, s->loop, fd, EV_READ, on_tcp, s);
	ck_assert(watch_on(&s->tcp));
}

/* UDP and TCP on one free port. */
static void server_start(struct server *s, struct loop *l)
{
	*s = (struct server){ .loop = l, .tcp_fd = -1, .connection = -1 };
	struct addr a;
	for (int i = 0; i < 50 && s->tcp_fd < 0; i++) {
		ck_assert(addr_parse(STR("127.0.0.1:0"), &a, NULL));
		if (i)
			close(s->udp_fd);
		s->udp_fd = socket_make(NULL, AF_INET, SOCK_DGRAM);
		ck_assert_int_eq(bind(s->udp_fd, &a.sa, a.len), 0);
		ck_assert(socket_local(s->udp_fd, &a));
		s->tcp_fd = socket_listen(NULL, &a, NULL);
	}
	ck_assert_int_ge(s->tcp_fd, 0);
	snprintf(s->address, sizeof(s->address), "127.0.0.1:%u", addr_port(&a));
	watch_init(&s->udp, l, s->udp_fd, EV_READ, on_udp, s);
	ck_assert(watch_on(&s->udp));
	ck_assert(listener_start(&s->listener, l, s->tcp_fd, on_accept, s));
}

static void server_stop(struct server *s)
{
	watch_off(&s->udp);
	watch_off(&s->tcp);
	listener_stop(&s->listener);
	close(s->udp_fd);
	close(s->tcp_fd);
	if (s->connection >= 0)
		close(s->connection);
}

/* --- the tests --------------------------------------------------------------------------------------------- */

static struct loop *loop;
static struct server server;
static struct resolver *resolver;

static void setup(void)
{
	struct err e = { "" };
	loop = loop_new(&e);
	server_start(&server, loop);
	struct resolver_options o = { .servers = server.address, .dns_only = true };
	resolver = resolver_new_with(loop, NULL, &o, &e);
	ck_assert_msg(resolver != NULL, "%s", e.text);
}

static void teardown(void)
{
	resolver_free(resolver);
	server_stop(&server);
	loop_free(loop);
}

struct result {
	unsigned calls;
	size_t n;
	char first[ADDR_TEXT_MAX], last[ADDR_TEXT_MAX];
	char why[512];
};

static void on_result(void *arg, const struct addr *addrs, size_t n, const char *why)
{
	struct result *r = arg;
	r->calls++;
	r->n = n;
	if (n) {
		addr_text(&addrs[0], r->first);
		addr_text(&addrs[n - 1], r->last);
	}
	snprintf(r->why, sizeof(r->why), "%s", why ? why : "");
}

static struct result ask(const char *host)
{
	struct result r = { .calls = 0 };
	ck_assert_ptr_nonnull(resolve(resolver, str_of(host), 8080, on_result, &r));
	ck_assert_uint_eq(r.calls, 0); /* never from within */
	UNTIL(loop, r.calls);
	return r;
}

START_TEST(both_families_ipv4_first)
{
	struct result r = ask("both.test");
	ck_assert_uint_eq(r.n, 3);
	ck_assert_str_eq(r.first, "10.0.0.1:8080");
	ck_assert_str_eq(r.last, "[fd00::1]:8080");
	r = ask("six.test");
	ck_assert_uint_eq(r.n, 1);
	ck_assert_str_eq(r.first, "[fd00::1]:8080");
}
END_TEST

START_TEST(answers_are_cached_and_equal_questions_joined)
{
	struct result r[20] = { { .calls = 0 } };
	for (int i = 0; i < 20; i++)
		ck_assert_ptr_nonnull(resolve(resolver, i % 2 ? STR("BOTH.test") : STR("both.test"), 1, on_result, &r[i]));
	for (int i = 0; i < 20; i++)
		UNTIL(loop, r[i].calls == 1 && r[i].n == 3);
	ck_assert_uint_eq(server.asked, 2); /* A and AAAA */
	ask("both.test");
	ck_assert_uint_eq(server.asked, 2);
	ask("brief.test"); /* TTL 0 is asked every time */
	ask("brief.test");
	ck_assert_uint_eq(server.asked, 6);
}
END_TEST

START_TEST(literals_need_no_server)
{
	struct result r = ask("10.1.2.3");
	ck_assert_str_eq(r.first, "10.1.2.3:8080");
	r = ask("[::1]");
	ck_assert_str_eq(r.first, "[::1]:8080");
	ck_assert_uint_eq(server.asked, 0);
}
END_TEST

START_TEST(failures_have_words)
{
	struct result r = ask("nx.test.");
	ck_assert_uint_eq(r.n, 0);
	ck_assert_ptr_nonnull(strstr(r.why, "nx.test.: "));
	unsigned asked = server.asked;
	r = ask("nx.test."); /* a failure is remembered, too */
	ck_assert_uint_eq(server.asked, asked);
	r = ask("garbage.test.");
	ck_assert_uint_eq(r.n, 0);
	static const char *const bad[] = { "", "a b", "a/b", "a\nb", "[x]", "\xc3\xa4.test" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r = ask(bad[i]);
		ck_assert_uint_eq(r.n, 0);
		ck_assert_str_eq(r.why, "not a valid host name");
	}
}
END_TEST

START_TEST(a_family_that_lags_is_not_waited_for)
{
	usec before = clock_now();
	struct result r = ask("slow6.test");
	ck_assert_uint_eq(r.n, 1);
	ck_assert_str_eq(r.first, "10.0.0.1:8080");
	ck_assert(clock_now() - before < 2 * USEC_SEC);
}
END_TEST

START_TEST(a_truncated_answer_comes_over_tcp_and_is_bounded)
{
	struct result r = ask("many.test");
	ck_assert_uint_eq(r.n, RESOLVE_ADDRS_MAX);
	ck_assert_uint_gt(server.asked_tcp, 0);
}
END_TEST

START_TEST(a_silent_server_ends_at_the_deadline)
{
	usec before = clock_now();
	struct result r = ask("silent.test");
	ck_assert_uint_eq(r.n, 0);
	ck_assert_ptr_nonnull(strstr(r.why, "in time"));
	ck_assert(clock_now() - before >= 3900 * USEC_MS);
	ck_assert_uint_ge(server.asked, 4); /* two tries of each family */
}
END_TEST

START_TEST(cancelled_and_dropped_questions_stay_silent)
{
	struct result a = { .calls = 0 }, b = { .calls = 0 }, c = { .calls = 0 };
	struct resolve_query *q = resolve(resolver, STR("both.test"), 1, on_result, &a);
	ck_assert_ptr_nonnull(resolve(resolver, STR("both.test"), 1, on_result, &b));
	resolve_cancel(q);
	UNTIL(loop, b.calls == 1);
	ck_assert_uint_eq(a.calls, 0);
	ck_assert_ptr_nonnull(resolve(resolver, STR("silent.test"), 1, on_result, &c));
	ck_assert_ptr_nonnull(resolve(resolver, STR("10.0.0.1"), 1, on_result, &c));
	/* teardown frees the resolver with these in flight */
}
END_TEST

START_TEST(questions_and_names_are_bounded)
{
	static struct result r[1200];
	unsigned taken = 0;
	for (unsigned i = 0; i < 1200; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.test.", i);
		taken += resolve(resolver, str_of(name), 1, on_result, &r[i]) != NULL;
	}
	ck_assert_uint_eq(taken, 1024);
	for (unsigned i = 0; i < taken; i++)
		UNTIL(loop, r[i].calls == 1);
	for (unsigned i = 0; i < 100; i++) { /* further names push out the oldest */
		char name[32];
		snprintf(name, sizeof(name), "m%u.test.", i);
		ck_assert_uint_eq(ask(name).n, 0);
	}
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
	struct resolver_options o = { .servers = server.address, .dns_only = true };
	bool ended = false;
	for (unsigned long k = 1; !ended; k++) {
		struct err e = { "" };
		struct result res = { .calls = 0 };
		ck_assert_uint_lt(k, 100);
		mem_fail_at(k);
		struct resolver *r = resolver_new_with(loop, NULL, &o, &e);
		if (r && resolve(r, STR("10.0.0.1"), 1, on_result, &res))
			UNTIL(loop, res.calls == 1);
		if (r && resolve(r, STR("nx.test."), 1, on_result, &res))
			UNTIL(loop, res.calls > 0);
		ended = mem_count() < k;
		mem_fail_at(0);
		if (!r)
			ck_assert_str_ne(e.text, "");
		resolver_free(r);
	}
}
END_TEST

START_TEST(the_hosts_file_is_read)
{
	if (access("/etc/hosts", R_OK) != 0)
		return; /* a bare tree has none */
	struct resolver *r = resolver_new(loop, NULL, NULL);
	struct result res = { .calls = 0 };
	ck_assert_ptr_nonnull(r);
	ck_assert_ptr_nonnull(resolve(r, STR("localhost"), 1, on_result, &res));
	UNTIL(loop, res.calls);
	ck_assert_uint_ge(res.n, 1);
	ck_assert_uint_eq(server.asked, 0);
	resolver_free(r);
	resolver_free(NULL);
}
END_TEST

Suite *suite_net_resolve(void);
Suite *suite_net_resolve(void)
{
	Suite *s = suite_create("net/resolve");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, both_families_ipv4_first);
	tcase_add_test(t, answers_are_cached_and_equal_questions_joined);
	tcase_add_test(t, literals_need_no_server);
	tcase_add_test(t, failures_have_words);
	tcase_add_test(t, a_family_that_lags_is_not_waited_for);
	tcase_add_test(t, a_truncated_answer_comes_over_tcp_and_is_bounded);
	tcase_add_test(t, a_silent_server_ends_at_the_deadline);
	tcase_add_test(t, cancelled_and_dropped_questions_stay_silent);
	tcase_add_test(t, questions_and_names_are_bounded);
	tcase_add_test(t, survives_every_failed_allocation);
	tcase_add_test(t, the_hosts_file_is_read);
	suite_add_tcase(s, t);
	return s;
}
