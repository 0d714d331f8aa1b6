/* proxy/: fifty sidecars in one worker, each with its own handler; specs that change under way.
 * A real worker on its own thread, real sockets on loopback. */
#include "balanced.h"
#include "proxy/client.h"
#include "proxy/steps.h"
#include "proxy/worker.h"

#include "base/mem.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SIDECARS 50

struct side { /* one sidecar and what stands behind it */
	struct spec_sidecar spec;
	struct spec_upstream handler, local, external;
	struct spec_listener listener;
	int fd;         /* the agent's listener */
	int handler_fd; /* the handler's listener */
	struct addr at;
};

static struct loop *control;
static struct worker *worker;
static unsigned n_released, n_recorded;

static void released(void *arg, unsigned index, struct spec_sidecar *spec)
{
	(void)arg;
	(void)index;
	(void)spec;
	n_released++;
}

static void recorded(void *arg, unsigned index)
{
	(void)arg;
	(void)index;
	n_recorded++;
}

static void setup(void)
{
	struct err err;
	n_released = n_recorded = 0;
	control = loop_new(&err);
	ck_assert_ptr_nonnull(control);
	struct worker_config cfg = { .buffers_max = 64u << 20,
		.max_sidecars = SIDECARS + 1,
		.max_upstreams = 4 * SIDECARS,
		.max_endpoints = 64,
		.control = control,
		.released = released,
		.recorded = recorded,
		.ring = 65536 };
	worker = worker_new(&cfg, &err);
	ck_assert_msg(worker != NULL, "%s", err.text);
}

static void start(void)
{
	struct err err;
	ck_assert_msg(worker_start(worker, &err), "%s", err.text);
}

static void teardown(void)
{
	worker_stop(worker);
	worker_join(worker);
	loop_turn(control, false); /* what it still had to say */
	worker_free(worker);
	loop_free(control);
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

static const struct spec_policy policy = { .connect_timeout = USEC_SEC,
	.idle_timeout = 60 * USEC_SEC,
	.max_idle = 8,
	.connect_tries = 3,
	.retry_safe = true };

static void make_side(struct side *s, uint32_t slot)
{
	struct addr handler;
	memset(s, 0, sizeof(*s));
	s->handler_fd = listen_any(&handler);
	s->fd = listen_any(&s->at);
	struct spec_upstream *u[] = { &s->handler, &s->local, &s->external };
	for (uint32_t i = 0; i < 3; i++) {
		u[i]->slot = slot * 3 + i;
		u[i]->kind = (uint8_t)(UPSTREAM_HANDLER + i);
		u[i]->policy = policy;
	}
	s->handler.name = STR("handler");
	s->handler.handler = handler;
	s->listener = (struct spec_listener){
		.kind = LISTEN_INBOUND, .addr = s->at, .upstream = &s->handler
	};
	s->spec.slot = slot;
	s->spec.service = STR("quotes-service");
	s->spec.limits.h1 = (struct h1_limits){ 65536, 32768, 256 };
	s->spec.times.head = s->spec.times.idle = 60 * USEC_SEC;
	s->spec.forward.via = STR("outrider-test");
	s->spec.listeners = &s->listener;
	s->spec.n_listeners = 1;
	s->spec.handler = &s->handler;
	s->spec.local = &s->local;
	s->spec.external = &s->external;
}

static void free_side(struct side *s)
{
	close(s->fd);
	close(s->handler_fd);
}

static int dial(const struct addr *a)
{
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 5 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ck_assert_int_eq(connect(fd, &a->sa, a->len), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Reads until `until` was seen; 5 s at most. */
static void hear(int fd, const char *until, char *buf, size_t cap)
{
	size_t n = 0;
	buf[0] = '\0';
	while (!strstr(buf, until)) {
		ssize_t r = read(fd, buf + n, cap - 1 - n);
		ck_assert_msg(r > 0, "wanted '%s', got '%s'", until, buf);
		n += (size_t)r;
		buf[n] = '\0';
	}
}

static int accept_soon(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	struct timeval limit = { .tv_sec = 5 };
	setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ck_assert_int_ge(c, 0);
	return c;
}

START_TEST(fifty_sidecars_do_not_mix)
{
	static struct side sides[SIDECARS];
	int clients[SIDECARS];
	char buf[2048], name[64];
	for (uint32_t i = 0; i < SIDECARS; i++) {
		make_side(&sides[i], i);
		ck_assert(worker_set_sidecar(worker, &sides[i].spec, &sides[i].fd));
	}
	start();
	for (uint32_t i = 0; i < SIDECARS; i++) {
		clients[i] = dial(&sides[i].at);
		snprintf(name, sizeof(name), "GET /%u HTTP/1.1\r\nHost: q\r\n\r\n", i);
		say(clients[i], name);
	}
	for (uint32_t i = 0; i < SIDECARS; i++) {
		int h = accept_soon(sides[i].handler_fd);
		hear(h, "\r\n\r\n", buf, sizeof(buf));
		snprintf(name, sizeof(name), "GET /%u HTTP/1.1\r\n", i);
		ck_assert_msg(strncmp(buf, name, strlen(name)) == 0, "%s", buf);
		snprintf(buf, sizeof(buf), "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nside %03u", i);
		say(h, buf);
		snprintf(name, sizeof(name), "side %03u", i);
		hear(clients[i], name, buf, sizeof(buf));
		close(h);
		close(clients[i]);
		const struct counters *c = worker_counters(worker, i);
		ck_assert_uint_eq(atomic_load(&c->v[COUNTER_REQUESTS]), 1);
	}
	for (uint32_t i = 0; i < SIDECARS; i++)
		free_side(&sides[i]);
}
END_TEST

/* An exchange finishes on the spec that it began with; then, and only then, the old one is released. */
START_TEST(a_changed_spec_waits_for_its_exchanges)
{
	static struct side a;
	struct spec_sidecar newer;
	char buf[2048];
	make_side(&a, 0);
	ck_assert(worker_set_sidecar(worker, &a.spec, &a.fd));
	start();
	int c = dial(&a.at);
	say(c, "GET / HTTP/1.1\r\nHost: q\r\n\r\n");
	int h = accept_soon(a.handler_fd);
	hear(h, "\r\n\r\n", buf, sizeof(buf));
	newer = a.spec;
	newer.version++;
	ck_assert(worker_set_sidecar(worker, &newer, &a.fd));
	int c2 = dial(&a.at); /* served by the new one: the change has arrived */
	say(c2, "GET /2 HTTP/1.1\r\nHost: q\r\n\r\n");
	int h2 = accept_soon(a.handler_fd);
	hear(h2, "GET /2", buf, sizeof(buf));
	loop_turn(control, false);
	ck_assert_uint_eq(n_released, 0);
	say(h, "HTTP/1.1 204 No Content\r\n\r\n");
	hear(c, "204", buf, sizeof(buf));
	usec limit = clock_now() + 5 * USEC_SEC;
	while (n_released == 0 && clock_now() < limit)
		loop_turn(control, true);
	ck_assert_uint_eq(n_released, 1);
	close(c);
	close(c2);
	close(h);
	close(h2);
	worker_stop(worker); /* before `newer` leaves this stack frame */
	worker_join(worker);
	free_side(&a);
}
END_TEST

/* A spec that is posted while the thread ends is given back all the same. */
START_TEST(a_spec_that_comes_too_late_is_given_back)
{
	static struct side a;
	make_side(&a, 0);
	start();
	worker_stop(worker);
	ck_assert(worker_set_sidecar(worker, &a.spec, &a.fd));
	worker_join(worker);
	free_side(&a);
}
END_TEST

/* The instance has ended: its callers are cut, its spec comes back, and the slot may be given to another. */
START_TEST(a_dropped_sidecar_leaves_nothing)
{
	static struct side a, b;
	char buf[2048];
	make_side(&a, 0);
	make_side(&b, 0);
	ck_assert(worker_set_sidecar(worker, &a.spec, &a.fd));
	start();
	int c = dial(&a.at), idle = dial(&a.at);
	say(c, "GET / HTTP/1.1\r\nHost: q\r\n\r\n");
	int h = accept_soon(a.handler_fd);
	hear(h, "\r\n\r\n", buf, sizeof(buf));
	ck_assert(worker_drop_sidecar(worker, 0));
	usec limit = clock_now() + 5 * USEC_SEC;
	while (n_released == 0 && clock_now() < limit)
		loop_turn(control, true);
	ck_assert_uint_eq(n_released, 1);
	ck_assert_int_le(recv(c, buf, sizeof(buf), 0), 0);
	ck_assert_int_le(recv(idle, buf, sizeof(buf), 0), 0);
	ck_assert_int_le(recv(h, buf, sizeof(buf), 0), 0);
	ck_assert(worker_set_sidecar(worker, &b.spec, &b.fd));
	int c2 = dial(&b.at);
	say(c2, "GET /2 HTTP/1.1\r\nHost: q\r\n\r\n");
	int h2 = accept_soon(b.handler_fd);
	hear(h2, "GET /2", buf, sizeof(buf));
	close(c);
	close(idle);
	close(c2);
	close(h);
	close(h2);
	worker_stop(worker);
	worker_join(worker);
	free_side(&a);
	free_side(&b);
}
END_TEST

/* A listener that leaves closes its idle clients in the same turn: these name it until they are buried, and it is freed once. */
START_TEST(a_listener_leaves_with_its_last_clients)
{
	static struct side a, spare;
	struct spec_listener two[2];
	struct spec_sidecar newer;
	char buf[2048];
	int c[3], fds[2], h = -1;
	make_side(&a, 0);
	make_side(&spare, 1);
	two[0] = a.listener;
	two[1] = (struct spec_listener){ .kind = LISTEN_INBOUND, .addr = spare.at, .upstream = &a.handler };
	a.spec.listeners = two;
	a.spec.n_listeners = 2;
	fds[0] = a.fd;
	fds[1] = spare.fd;
	ck_assert(worker_set_sidecar(worker, &a.spec, fds));
	start();
	for (size_t i = 0; i < 3; i++) { /* each was answered and rests */
		c[i] = dial(&spare.at);
		say(c[i], "GET / HTTP/1.1\r\nHost: q\r\n\r\n");
		h = i == 0 ? accept_soon(a.handler_fd) : h; /* one connection to the handler serves all */
		hear(h, "\r\n\r\n", buf, sizeof(buf));
		say(h, "HTTP/1.1 204 No Content\r\n\r\n");
		hear(c[i], "204", buf, sizeof(buf));
	}
	newer = a.spec;
	newer.version++;
	newer.n_listeners = 1;
	ck_assert(worker_set_sidecar(worker, &newer, fds));
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(recv(c[i], buf, sizeof(buf), 0), 0);
		close(c[i]);
	}
	int other = dial(&a.at); /* the other listener and the worker go on */
	say(other, "BAD\r\n\r\n");
	hear(other, "400", buf, sizeof(buf));
	close(other);
	close(h);
	usec limit = clock_now() + 5 * USEC_SEC;
	while (n_released == 0 && clock_now() < limit) /* its mail names the worker */
		loop_turn(control, true);
	ck_assert_uint_eq(n_released, 1);
	worker_stop(worker); /* before `newer` leaves this stack frame */
	worker_join(worker);
	free_side(&a);
	free_side(&spare);
}
END_TEST

/* --- the balancer and the step table -------------------------------------------------------------------------- */

/* What control reads without having been told, as its timer does, is written while the word about an earlier record still lies in its box. */
START_TEST(control_hears_of_records_whenever_it_reads)
{
	struct side s;
	char buf[1024];
	uint32_t n;

	make_side(&s, 0);
	close(s.handler_fd); /* each request fails, and so is recorded */
	ck_assert(worker_set_sidecar(worker, &s.spec, &s.fd));
	start();
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 3; i++) {
			int c = dial(&s.at);
			say(c, "GET / HTTP/1.1\r\nHost: q\r\nConnection: close\r\n\r\n");
			hear(c, "503", buf, sizeof(buf));
			while (read(c, buf, sizeof(buf)) > 0)
				;
			close(c);
			worker_ring_read(worker);
			usec until = clock_now() + 5 * USEC_SEC;
			while (!ring_peek(worker_ring(worker), &n) && clock_now() < until)
				;
			ck_assert_ptr_nonnull(ring_peek(worker_ring(worker), &n));
			ring_pop(worker_ring(worker));
		}
		loop_turn(control, false);
		ck_assert_uint_ge(n_recorded, round + 1);
		ck_assert_uint_le(n_recorded, 3 * (round + 1));
	}
	worker_stop(worker); /* before `s` leaves this stack frame */
	worker_join(worker);
	close(s.fd);
}
END_TEST

START_TEST(round_robin_passes_over_what_was_tried)
{
	struct spec_endpoint e[3] = { 0 };
	struct spec_upstream u = { .kind = UPSTREAM_SERVICE, .endpoints = e, .n_endpoints = 3, .slot = 1 };
	static struct exchange x;
	unsigned hits[3] = { 0 };
	enum reason why = REASON_NONE;
	for (uint32_t i = 0; i < 3; i++) {
		e[i].slot = i;
		ck_assert(addr_parse_ip(STR("10.0.0.1"), (uint16_t)(80 + i), &e[i].addr));
	}
	static struct balanced b; /* static: its cells are aligned whatever a sanitizer makes of the stack */
	balanced_make(&b, &u, 1);
	x.w = worker;
	x.upstream = &u;
	x.wup = part_upstream(worker, &u);
	for (int i = 0; i < 30; i++) {
		ck_assert_int_eq(pick_endpoint(&x, &why), PICK_OK);
		hits[addr_port(&x.a.ep->addr) - 80]++;
	}
	ck_assert_uint_eq(hits[0], 10);
	ck_assert_uint_eq(hits[1], 10);
	x.tried[0] = part_endpoint(worker, x.wup, &e[0]);
	x.tried[1] = part_endpoint(worker, x.wup, &e[1]);
	x.tried_index[0] = 0;
	x.tried_index[1] = 1;
	x.n_tried = 2;
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(pick_endpoint(&x, &why), PICK_OK);
		ck_assert_uint_eq(addr_port(&x.a.ep->addr), 82);
	}
	ck_assert(!pick_has_other(&x));
	u.n_endpoints = 0;
	ck_assert_int_eq(pick_endpoint(&x, &why), PICK_NONE);
	ck_assert_int_eq(why, REASON_NO_ENDPOINT);
	balanced_release(&b);
}
END_TEST

/* Every allocation on the way of a request fails once: the agent answers or closes, and goes on. */
START_TEST(no_allocation_failure_ends_the_worker)
{
	static struct side a;
	char buf[4096];
	make_side(&a, 0);
	ck_assert(worker_set_sidecar(worker, &a.spec, &a.fd));
	start();
	int first = dial(&a.at); /* served once: the sidecar has arrived at the worker */
	say(first, "GET / HTTP/1.0\r\n\r\n");
	int served = accept_soon(a.handler_fd);
	say(served, "HTTP/1.0 204 No Content\r\n\r\n");
	hear(first, "204", buf, sizeof(buf));
	close(served);
	close(first);
	for (unsigned long k = 1; k <= 12; k++) {
		int c = dial(&a.at);
		struct timeval limit = { .tv_sec = 1 };
		setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		mem_fail_at(k);
		if (write(c, "GET / HTTP/1.1\r\nHost: q\r\n\r\n", 27) == 27) {
			struct pollfd p[2] = { { .fd = a.handler_fd, .events = POLLIN },
				{ .fd = c, .events = POLLIN } };
			poll(p, 2, 1000);
			if (p[0].revents) {
				int h = accept_soon(a.handler_fd);
				p[0] = (struct pollfd){ .fd = h, .events = POLLIN };
				if (poll(p, 2, 1000) > 0 && p[0].revents)
					(void)!write(h, "HTTP/1.1 204 No Content\r\n\r\n", 27);
				close(h);
			}
			(void)!read(c, buf, sizeof(buf));
		}
		mem_fail_at(0);
		close(c);
	}
	int c = dial(&a.at);
	say(c, "GET / HTTP/1.1\r\nHost: q\r\n\r\n");
	int h = accept_soon(a.handler_fd);
	hear(h, "\r\n\r\n", buf, sizeof(buf));
	say(h, "HTTP/1.1 204 No Content\r\n\r\n");
	hear(c, "204", buf, sizeof(buf));
	close(h);
	close(c);
	free_side(&a);
}
END_TEST

Suite *suite_proxy_worker(void);
Suite *suite_proxy_worker(void)
{
	Suite *s = suite_create("proxy_worker");
	TCase *t = tcase_create("worker");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, fifty_sidecars_do_not_mix);
	tcase_add_test(t, a_changed_spec_waits_for_its_exchanges);
	tcase_add_test(t, a_spec_that_comes_too_late_is_given_back);
	tcase_add_test(t, a_dropped_sidecar_leaves_nothing);
	tcase_add_test(t, a_listener_leaves_with_its_last_clients);
	tcase_add_test(t, round_robin_passes_over_what_was_tried);
	tcase_add_test(t, control_hears_of_records_whenever_it_reads);
	tcase_add_test(t, no_allocation_failure_ends_the_worker);
	suite_add_tcase(s, t);
	return s;
}
