/* proxy/exchange: the step table, and the arrows back. A worker driven by hand, turn by turn, with real sockets on
 * loopback and a clock that jumps. */
#include "balanced.h"
#include "proxy/client.h"
#include "proxy/worker.h"

#include "base/mem.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct loop *control;
static struct worker *worker;
static struct spec_sidecar spec;
static struct balanced balanced;
static struct spec_upstream service, local, external;
static struct spec_endpoint endpoints[3];
static struct spec_listener listener;
static int origins[3], agent_fd;
static struct addr agent;

static void released(void *arg, unsigned index, struct spec_sidecar *s)
{
	(void)arg;
	(void)index;
	(void)s;
}

static int listen_any(struct addr *ret)
{
	struct err err;
	struct addr a;
	ck_assert(addr_parse(STR("127.0.0.1:0"), &a, &err));
	int fd = socket_listen(NULL, &a, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert(socket_local(fd, ret));
	return fd;
}

/* A pinned listener before three endpoints. */
static void setup(void)
{
	struct err err;
	control = loop_new(&err);
	struct worker_config cfg = { .buffers_max = 16u << 20, .max_sidecars = 1, .max_upstreams = 4, .max_endpoints = 8,
				     .control = control, .released = released };
	worker = worker_new(&cfg, &err);
	ck_assert_ptr_nonnull(worker);
	memset(&spec, 0, sizeof(spec));
	memset(&service, 0, sizeof(service));
	for (uint32_t i = 0; i < 3; i++) {
		origins[i] = listen_any(&endpoints[i].addr);
		endpoints[i].slot = i;
	}
	service.name = STR("quotes-service");
	service.kind = UPSTREAM_SERVICE;
	service.endpoints = endpoints;
	service.n_endpoints = 3;
	service.policy = (struct spec_policy){ .connect_timeout = USEC_SEC, .idle_timeout = 60 * USEC_SEC, .max_idle = 8,
					       .connect_tries = 3, .retry_safe = true, .retry_methods = RETRY_SAFE };
	balanced_make(&balanced, &service, 1);
	agent_fd = listen_any(&agent);
	listener = (struct spec_listener){ .kind = LISTEN_PINNED, .addr = agent, .upstream = &service };
	spec.limits.h1 = (struct h1_limits){ 65536, 32768, 256 };
	spec.times.head = 60 * USEC_SEC;
	spec.times.idle = 600 * USEC_SEC;
	spec.forward.via = STR("outrider-test");
	spec.listeners = &listener;
	spec.n_listeners = 1;
	spec.local = &local;
	spec.external = &external;
	ck_assert(worker_set_sidecar(worker, &spec, &agent_fd));
	loop_turn(worker_loop(worker), false);
}

static void teardown(void)
{
	worker_join(worker);
	worker_free(worker);
	loop_free(control);
	for (int i = 0; i < 3; i++)
		if (origins[i] >= 0)
			close(origins[i]);
	close(agent_fd);
	balanced_release(&balanced);
}

static int ask(const char *request)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, &agent.sa, agent.len), 0);
	ck_assert_int_eq(write(fd, request, strlen(request)), (ssize_t)strlen(request));
	return fd;
}

/* Turns the worker until a connection waits at one of the origins (its index) or `ms` of real time are over (-1). */
static int turn_until_called(int *conn, unsigned ms)
{
	usec limit = clock_now() + ms * USEC_MS;
	while (clock_now() < limit) {
		loop_turn(worker_loop(worker), false);
		for (int i = 0; i < 3; i++) {
			if (origins[i] < 0)
				continue;
			int fd = accept4(origins[i], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
			if (fd < 0)
				continue;
			*conn = fd;
			return i;
		}
	}
	return -1;
}

/* Turns the worker until the peer on fd has said something, or ended: what it said. */
static const char *turn_until_heard(int fd)
{
	static char buf[8192];
	usec limit = clock_now() + 5 * USEC_SEC;
	while (clock_now() < limit) {
		loop_turn(worker_loop(worker), false);
		ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
		if (n < 0)
			continue;
		buf[n] = '\0';
		return buf;
	}
	ck_abort_msg("nothing was heard");
	return NULL;
}

static uint64_t counter(enum counter_id id)
{
	return atomic_load(&worker_counters(worker, 0)->v[id]);
}

static void close_origin(int i)
{
	close(origins[i]);
	origins[i] = -1;
}

START_TEST(begin_to_finish)
{
	int o;
	int c = ask("GET /a HTTP/1.1\r\nHost: q\r\n\r\n");
	ck_assert_int_ge(turn_until_called(&o, 5000), 0);
	ck_assert_ptr_nonnull(strstr(turn_until_heard(o), "GET /a HTTP/1.1\r\n"));
	ck_assert_uint_eq(counter(COUNTER_REQUESTS_ACTIVE), 1);
	ck_assert_int_eq(write(o, "HTTP/1.1 204 No Content\r\n\r\n", 27), 27);
	ck_assert_ptr_nonnull(strstr(turn_until_heard(c), "204"));
	ck_assert_uint_eq(counter(COUNTER_REQUESTS_ACTIVE), 0);
	ck_assert_uint_eq(counter(COUNTER_RESPONSES_2XX), 1);
	close(o);
	close(c);
}
END_TEST

START_TEST(connect_leads_back_to_pick)
{
	int o;
	close_origin(0);
	close_origin(1);
	int c = ask("POST /a HTTP/1.1\r\nHost: q\r\nContent-Length: 4\r\n\r\nbody");
	ck_assert_int_eq(turn_until_called(&o, 5000), 2); /* whichever was picked first */
	ck_assert_ptr_nonnull(strstr(turn_until_heard(o), "\r\n\r\nbody"));
	ck_assert_int_eq(write(o, "HTTP/1.1 204 No Content\r\n\r\n", 27), 27);
	ck_assert_ptr_nonnull(strstr(turn_until_heard(c), "204"));
	close(o);
	close(c);
}
END_TEST

START_TEST(connect_gives_up_when_all_were_tried)
{
	close_origin(0);
	close_origin(1);
	close_origin(2);
	int c = ask("GET /a HTTP/1.1\r\nHost: q\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(turn_until_heard(c), "x-outrider-reason: connect-refused\r\n"));
	ck_assert_uint_eq(counter(COUNTER_ATTEMPTS), 3);
	ck_assert_uint_eq(counter(COUNTER_RETRIES), 2);
	close(c);
}
END_TEST

START_TEST(send_leads_back_to_pick_once_for_a_get)
{
	int first, second, none;
	int c = ask("GET /a HTTP/1.1\r\nHost: q\r\n\r\n");
	int at = turn_until_called(&first, 5000);
	turn_until_heard(first);
	close(first);
	int then = turn_until_called(&second, 5000);
	ck_assert_int_ge(then, 0);
	ck_assert_int_ne(at, then); /* another endpoint */
	turn_until_heard(second);
	close(second);
	ck_assert_ptr_nonnull(strstr(turn_until_heard(c), "x-outrider-reason: upstream-"));
	ck_assert_int_eq(turn_until_called(&none, 50), -1);
	close(c);
}
END_TEST

START_TEST(send_does_not_lead_back_for_a_post)
{
	int o, none;
	int c = ask("POST /a HTTP/1.1\r\nHost: q\r\nContent-Length: 0\r\n\r\n");
	ck_assert_int_ge(turn_until_called(&o, 5000), 0);
	turn_until_heard(o);
	close(o);
	ck_assert_ptr_nonnull(strstr(turn_until_heard(c), "x-outrider-reason: upstream-"));
	ck_assert_int_eq(turn_until_called(&none, 50), -1);
	close(c);
}
END_TEST

START_TEST(a_response_under_way_is_never_repeated)
{
	int o, none;
	int c = ask("GET /a HTTP/1.1\r\nHost: q\r\n\r\n");
	ck_assert_int_ge(turn_until_called(&o, 5000), 0);
	turn_until_heard(o);
	ck_assert_int_eq(write(o, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", 43), 43);
	ck_assert_ptr_nonnull(strstr(turn_until_heard(c), "half"));
	close(o);
	usec limit = clock_now() + 5 * USEC_SEC;
	char byte;
	ssize_t n = 0;
	do {
		loop_turn(worker_loop(worker), false);
		n = recv(c, &byte, 1, MSG_DONTWAIT);
	} while (n < 0 && errno == EAGAIN && clock_now() < limit);
	ck_assert_int_eq(n, -1); /* reset, not a clean end */
	ck_assert_int_eq(errno, ECONNRESET);
	ck_assert_int_eq(turn_until_called(&none, 50), -1);
	ck_assert_uint_eq(counter(COUNTER_RESPONSES_CUT), 1);
	close(c);
}
END_TEST

START_TEST(an_unsent_reply_leads_back_to_pick)
{
	static const char reply[] = "HTTP/1.1 503 Service Unavailable\r\nx-outrider-mark: unsent\r\nContent-Length: 2\r\n\r\n{}";
	int o, p;
	int c = ask("DELETE /a HTTP/1.1\r\nHost: q\r\n\r\n");
	int at = turn_until_called(&o, 5000);
	turn_until_heard(o);
	ck_assert_int_eq(write(o, reply, sizeof(reply) - 1), (ssize_t)sizeof(reply) - 1);
	int then = turn_until_called(&p, 5000);
	ck_assert_int_ge(then, 0);
	ck_assert_int_ne(at, then);
	turn_until_heard(p);
	ck_assert_int_eq(write(p, "HTTP/1.1 204 No Content\r\n\r\n", 27), 27);
	ck_assert_ptr_nonnull(strstr(turn_until_heard(c), "204"));
	close(o);
	close(p);
	close(c);
}
END_TEST

START_TEST(mode_off_tries_once)
{
	int o, none;
	service.mode = MODE_OFF;
	int c = ask("GET /a HTTP/1.1\r\nHost: q\r\n\r\n");
	ck_assert_int_ge(turn_until_called(&o, 5000), 0);
	turn_until_heard(o);
	close(o);
	ck_assert_ptr_nonnull(strstr(turn_until_heard(c), "502"));
	ck_assert_int_eq(turn_until_called(&none, 50), -1);
	close(c);
}
END_TEST

/* A poll that is answered after an hour is answered: no default ends it. */
START_TEST(an_hour_long_poll)
{
	int o;
	int c = ask("GET /poll HTTP/1.1\r\nHost: q\r\n\r\n");
	ck_assert_int_ge(turn_until_called(&o, 5000), 0);
	turn_until_heard(o);
	for (int minute = 0; minute < 60; minute++) {
		loop_skip(worker_loop(worker), 60 * USEC_SEC);
		loop_turn(worker_loop(worker), false);
	}
	ck_assert_uint_eq(counter(COUNTER_REQUESTS_ACTIVE), 1);
	ck_assert_int_eq(write(o, "HTTP/1.1 204 No Content\r\n\r\n", 27), 27);
	ck_assert_ptr_nonnull(strstr(turn_until_heard(c), "204"));
	close(o);
	close(c);
}
END_TEST

START_TEST(the_clock_ends_what_rests)
{
	char byte;
	int o;
	int c = ask("GET / HTTP/1.1\r\nHost: q\r\n\r\n");
	ck_assert_int_ge(turn_until_called(&o, 5000), 0);
	turn_until_heard(o);
	ck_assert_int_eq(write(o, "HTTP/1.1 204 No Content\r\n\r\n", 27), 27);
	turn_until_heard(c);
	loop_skip(worker_loop(worker), 61 * USEC_SEC); /* pool.idle is 60 s, the client's 600 */
	loop_turn(worker_loop(worker), false);
	ck_assert_int_eq(recv(o, &byte, 1, MSG_DONTWAIT), 0);
	ck_assert_int_eq(recv(c, &byte, 1, MSG_DONTWAIT), -1);
	loop_skip(worker_loop(worker), 540 * USEC_SEC);
	loop_turn(worker_loop(worker), false);
	ck_assert_int_eq(recv(c, &byte, 1, MSG_DONTWAIT), 0);
	close(o);
	close(c);
}
END_TEST

Suite *suite_proxy_steps(void);
Suite *suite_proxy_steps(void)
{
	Suite *s = suite_create("proxy_steps");
	TCase *t = tcase_create("steps");
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, begin_to_finish);
	tcase_add_test(t, connect_leads_back_to_pick);
	tcase_add_test(t, connect_gives_up_when_all_were_tried);
	tcase_add_test(t, send_leads_back_to_pick_once_for_a_get);
	tcase_add_test(t, send_does_not_lead_back_for_a_post);
	tcase_add_test(t, a_response_under_way_is_never_repeated);
	tcase_add_test(t, an_unsent_reply_leads_back_to_pick);
	tcase_add_test(t, mode_off_tries_once);
	tcase_add_test(t, an_hour_long_poll);
	tcase_add_test(t, the_clock_ends_what_rests);
	suite_add_tcase(s, t);
	return s;
}
