/* attach/wire and attach/outbox: records between keeper and proxy, their descriptors, and a reader that does not read. */
#include "attach/outbox.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MANY 3000u /* more than any net.unix.max_dgram_qlen that is usual */

static int pair[2];
static struct loop *loop;
static struct outbox box;
static int failed;

static void on_failed(void *arg, int error)
{
	(void)arg;
	failed = error;
	outbox_close(&box);
}

static void setup(void)
{
	struct err err;
	failed = 0;
	loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	ck_assert(wire_pair(pair, &err));
	outbox_open(&box, loop, pair[0], on_failed, NULL);
}

static void teardown(void)
{
	outbox_close(&box);
	close(pair[0]);
	if (pair[1] >= 0)
		close(pair[1]);
	loop_free(loop);
}

static size_t open_files(void)
{
	size_t n = 0;
	for (int fd = 0; fd < 512; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

START_TEST(records_with_descriptors)
{
	struct wire_record out = { .op = WIRE_SOCKETS, .container = 7, .n = 2 }, in;
	int fds[2] = { dup(0), dup(0) }, got[WIRE_FDS_MAX];
	size_t n;
	ck_assert(wire_send(pair[0], &out, fds, 2, true));
	ck_assert_int_eq(wire_receive(pair[1], &in, got, &n, true), 1);
	ck_assert(in.op == WIRE_SOCKETS && in.container == 7 && n == 2);
	for (size_t i = 0; i < 2; i++) {
		ck_assert(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
		close(got[i]);
		close(fds[i]);
	}
	ck_assert_int_eq(wire_receive(pair[1], &in, got, &n, false), -1);
	ck_assert_int_eq(errno, EAGAIN);
	shutdown(pair[0], SHUT_RDWR);
	ck_assert_int_eq(wire_receive(pair[1], &in, got, &n, true), 0);
}
END_TEST

/* Whatever the other half sends: refused, and its descriptors closed. */
START_TEST(what_is_no_record)
{
	struct wire_record in, strange = { .op = WIRE_OPS };
	int got[WIRE_FDS_MAX], fd = dup(0);
	size_t n, before = open_files();
	ck_assert_int_eq(send(pair[0], "hello", 5, 0), 5);
	ck_assert_int_eq(wire_receive(pair[1], &in, got, &n, true), -1);
	ck_assert_int_eq(errno, EPROTO);
	ck_assert(wire_send(pair[0], &strange, &fd, 1, true));
	ck_assert_int_eq(wire_receive(pair[1], &in, got, &n, true), -1);
	ck_assert_uint_eq(open_files(), before);
	close(fd);
}
END_TEST

START_TEST(addresses)
{
	static const char *const rows[] = { "127.0.0.1:4140", "[::1]:4140", "unix:@outrider" };
	struct wire_record r = { .op = WIRE_LISTEN };
	struct addr a, b;
	struct err err;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert(addr_parse(str_of(rows[i]), &a, &err));
		wire_put_addr(&r, &a);
		ck_assert(wire_get_addr(&r, &b) && addr_eq(&a, &b));
	}
	r.addr_len = 3;
	ck_assert(!wire_get_addr(&r, &b));
	r.addr_len = sizeof(r.addr) + 1;
	ck_assert(!wire_get_addr(&r, &b));
}
END_TEST

START_TEST(bytes_of_any_length)
{
	char big[100000];
	struct err err;
	memset(big, 'x', sizeof(big));
	int fd = wire_bytes_fd(str_make(big, sizeof(big)));
	ck_assert(fd >= 0 && ftruncate(fd, 1) != 0); /* sealed */
	struct str s = wire_read_bytes(fd, sizeof(big), &err);
	ck_assert(s.n == sizeof(big) && memcmp(s.p, big, sizeof(big)) == 0);
	free((char *)(uintptr_t)s.p);
	ck_assert_ptr_null(wire_read_bytes(wire_bytes_fd(str_make(big, sizeof(big))), sizeof(big) - 1, &err).p);
}
END_TEST

/* More than the socket takes: what is sent later comes later, all of it, once the reader reads. */
START_TEST(nothing_is_lost_while_nobody_reads)
{
	struct wire_record r = { .op = WIRE_FACT }, in;
	int got[WIRE_FDS_MAX], fd = dup(0);
	size_t n, before = open_files();
	uint32_t next = 0;
	for (r.container = 0; r.container < MANY; r.container++)
		ck_assert(outbox_send(&box, &r, &fd, r.container % 64 == 0));
	ck_assert(box.n > 100);
	while (next < MANY) {
		while (wire_receive(pair[1], &in, got, &n, false) == 1) {
			ck_assert_uint_eq(in.container, next++);
			ck_assert_uint_eq(n, in.container % 64 == 0);
			if (n)
				close(got[0]);
		}
		loop_turn(loop, false);
	}
	ck_assert_uint_eq(box.n, 0);
	ck_assert_uint_eq(open_files(), before);
	close(fd);
}
END_TEST

START_TEST(who_never_reads_is_given_up)
{
	struct wire_record r = { .op = WIRE_FACT };
	for (unsigned i = 0; i < MANY; i++)
		ck_assert(outbox_send(&box, &r, NULL, 0));
	loop_skip(loop, OUTBOX_STUCK + 2 * TIMER_TICK);
	ck_assert_int_eq(failed, EAGAIN);
	ck_assert(!outbox_send(&box, &r, NULL, 0));
}
END_TEST

START_TEST(who_is_gone_is_given_up)
{
	struct wire_record r = { .op = WIRE_FACT };
	close(pair[1]);
	pair[1] = -1;
	ck_assert(!outbox_send(&box, &r, NULL, 0));
	ck_assert_int_eq(failed, EPIPE);
}
END_TEST

Suite *suite_attach_wire(void);
Suite *suite_attach_wire(void)
{
	Suite *s = suite_create("attach_wire");
	TCase *t = tcase_create("wire");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, records_with_descriptors);
	tcase_add_test(t, what_is_no_record);
	tcase_add_test(t, addresses);
	tcase_add_test(t, bytes_of_any_length);
	tcase_add_test(t, nothing_is_lost_while_nobody_reads);
	tcase_add_test(t, who_never_reads_is_given_up);
	tcase_add_test(t, who_is_gone_is_given_up);
	suite_add_tcase(s, t);
	return s;
}
