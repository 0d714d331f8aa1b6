/* net/netspace: the stock of sockets of a container's namespace, and a keeper that brings some, all or none of them. */
#include "net/netspace.h"

#include <check.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop *loop;
static struct netspace *ns;
static unsigned asked, times; /* of IPv4 TCP */

static void on_refill(void *arg, struct netspace *of, enum netspace_kind kind, unsigned n)
{
	ck_assert_ptr_eq(arg, &asked);
	ck_assert_ptr_eq(of, ns);
	if (kind != NETSPACE_TCP4)
		return;
	asked = n;
	times++;
}

static const struct netspace_ops ops = { .refill = on_refill };

static void setup(void)
{
	struct err err;
	loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	asked = times = 0;
	ns = netspace_new(loop, "127.0.0.11", &ops, &asked);
	ck_assert_ptr_nonnull(ns);
	netspace_begin(ns);
}

static void teardown(void)
{
	netspace_cut(ns);
	loop_turn(loop, false); /* a mail holds it, too */
	netspace_unref(ns);
	loop_free(loop);
}

static void bring(unsigned n)
{
	while (n--) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_ge(fd, 0);
		netspace_put(ns, NETSPACE_TCP4, fd);
	}
}

static bool take(void)
{
	int fd = netspace_take(ns, NETSPACE_TCP4);
	if (fd < 0)
		ck_assert_int_eq(errno, ENOBUFS);
	else
		close(fd);
	return fd >= 0;
}

START_TEST(grows_when_it_was_empty)
{
	unsigned first = asked;
	ck_assert_uint_gt(first, 0);
	bring(first);
	for (unsigned i = 0; i < first; i++)
		ck_assert(take());
	ck_assert(!take());
	loop_turn(loop, false);
	ck_assert_uint_eq(times, 2);
	ck_assert_uint_gt(asked, first);
	ck_assert_uint_le(asked, NETSPACE_STOCK_MAX);
}
END_TEST

/* What is under way is not asked for twice, however many find nothing meanwhile. */
START_TEST(asks_once_for_what_is_under_way)
{
	for (unsigned i = 0; i < 100; i++)
		ck_assert(!take());
	loop_turn(loop, false);
	unsigned then = times;
	for (unsigned i = 0; i < 7; i++) { /* each finds none, and wants more of them, up to the most */
		ck_assert(!take());
		loop_turn(loop, false);
	}
	then = times;
	for (unsigned i = 0; i < 100; i++) {
		ck_assert(!take());
		loop_turn(loop, false);
	}
	ck_assert_uint_eq(times, then);
}
END_TEST

/* A keeper without a descriptor to spare brings none and says nothing: the stock must not wait for them for good. */
START_TEST(asks_again_for_what_never_came)
{
	for (unsigned i = 0; i < 8; i++) {
		ck_assert(!take());
		loop_turn(loop, false);
	}
	unsigned then = times;
	loop_skip(loop, NETSPACE_LOST / 2);
	ck_assert(!take());
	loop_turn(loop, false);
	ck_assert_uint_eq(times, then);
	loop_skip(loop, NETSPACE_LOST);
	ck_assert(!take());
	loop_turn(loop, false);
	ck_assert_uint_eq(times, then + 1);
	bring(asked);
	ck_assert(take());
}
END_TEST

Suite *suite_net_netspace(void);
Suite *suite_net_netspace(void)
{
	Suite *s = suite_create("net_netspace");
	TCase *t = tcase_create("stock");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, grows_when_it_was_empty);
	tcase_add_test(t, asks_once_for_what_is_under_way);
	tcase_add_test(t, asks_again_for_what_never_came);
	suite_add_tcase(s, t);
	return s;
}
