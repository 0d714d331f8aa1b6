/* The steps of leaving: events in, actions out, time injected. */
#include "attach/drain.h"

#include <check.h>

#define MS USEC_MS

static struct drain begin(bool child)
{
	struct drain d;
	drain_init(&d, &(struct drain_config){
			       .lame_duck = 2000 * MS, .stop_timeout = 9000 * MS, .has_child = child });
	return d;
}

static unsigned at(struct drain *d, usec ms, unsigned signals, bool ended, unsigned inbound, unsigned busy)
{
	struct drain_input in = { .now = ms * MS,
		.signals = signals,
		.child_ended = ended,
		.busy_inbound = inbound,
		.busy = busy };
	return drain_step(d, &in);
}

START_TEST(serving_does_nothing)
{
	struct drain d = begin(true);
	ck_assert_uint_eq(at(&d, 1, 0, false, 5, 9), 0);
	ck_assert(!drain_waits(&d));
	ck_assert_ptr_null(d.why);
}
END_TEST

START_TEST(child_is_told_last)
{
	struct drain d = begin(true);
	ck_assert_uint_eq(at(&d, 100, 1, false, 2, 3), DRAIN_DO_ANNOUNCE);
	ck_assert_uint_eq(at(&d, 2099, 0, false, 0, 0), 0); /* lame duck, though nothing is under way */
	ck_assert_uint_eq(at(&d, 2100, 0, false, 2, 3), DRAIN_DO_STOP_INBOUND);
	ck_assert_uint_eq(at(&d, 2110, 0, false, 1, 2), 0);
	ck_assert_uint_eq(at(&d, 2500, 0, false, 0, 1), DRAIN_DO_SIGNAL_CHILD); /* outbound goes on */
	ck_assert_uint_eq(at(&d, 3000, 0, false, 0, 1), 0);
	ck_assert_uint_eq(at(&d, 3100, 0, true, 0, 1), DRAIN_DO_STOP_ALL);
	ck_assert_uint_eq(at(&d, 3200, 0, true, 0, 1), 0);
	ck_assert_uint_eq(at(&d, 3300, 0, true, 0, 0), DRAIN_DO_LEAVE);
	ck_assert_uint_eq(at(&d, 3400, 3, true, 0, 0), 0);
}
END_TEST

START_TEST(without_child)
{
	struct drain d = begin(false);
	ck_assert_uint_eq(at(&d, 0, 1, false, 1, 1), DRAIN_DO_ANNOUNCE);
	ck_assert_uint_eq(at(&d, 2000, 0, false, 1, 1), DRAIN_DO_STOP_INBOUND);
	ck_assert_uint_eq(at(&d, 2010, 0, false, 0, 1), DRAIN_DO_STOP_ALL);
	ck_assert_uint_eq(at(&d, 2020, 0, false, 0, 0), DRAIN_DO_LEAVE);
}
END_TEST

START_TEST(stop_timeout_bounds_all)
{
	struct drain d = begin(false);
	at(&d, 0, 1, false, 1, 1);
	at(&d, 2000, 0, false, 1, 1);
	ck_assert_uint_eq(at(&d, 8990, 0, false, 1, 1), 0);
	ck_assert_uint_eq(at(&d, 9000, 0, false, 1, 1), DRAIN_DO_STOP_ALL);
	ck_assert_uint_eq(at(&d, 9010, 0, false, 1, 1), DRAIN_DO_LEAVE);
}
END_TEST

START_TEST(long_exchange_leaves_the_child_its_third)
{
	struct drain d = begin(true);
	at(&d, 0, 1, false, 1, 1);
	at(&d, 2000, 0, false, 1, 1);
	ck_assert_uint_eq(at(&d, 5990, 0, false, 1, 1), 0);
	ck_assert_uint_eq(at(&d, 6000, 0, false, 1, 1), DRAIN_DO_SIGNAL_CHILD);
	ck_assert_uint_eq(at(&d, 8990, 0, false, 1, 1), 0);
	ck_assert_uint_eq(at(&d, 9000, 0, false, 1, 1), DRAIN_DO_KILL_CHILD);
	ck_assert_uint_eq(at(&d, 9010, 0, true, 1, 1), DRAIN_DO_LEAVE);
}
END_TEST

START_TEST(killed_child_that_is_not_reaped_is_left)
{
	struct drain d = begin(true);
	at(&d, 0, 3, false, 0, 0);
	ck_assert(d.killed);
	ck_assert_uint_eq(at(&d, 499, 0, false, 0, 0), 0);
	ck_assert_uint_eq(at(&d, 500, 0, false, 0, 0), DRAIN_DO_LEAVE);
}
END_TEST

START_TEST(second_signal_skips_waits_but_not_the_child)
{
	struct drain d = begin(true);
	at(&d, 0, 1, false, 4, 4);
	ck_assert_uint_eq(at(&d, 10, 1, false, 4, 4), DRAIN_DO_STOP_INBOUND | DRAIN_DO_SIGNAL_CHILD);
	ck_assert_uint_eq(at(&d, 500, 0, false, 4, 4), 0);
	ck_assert_uint_eq(at(&d, 600, 0, true, 4, 4), DRAIN_DO_STOP_ALL | DRAIN_DO_LEAVE);
}
END_TEST

START_TEST(third_signal_kills)
{
	struct drain d = begin(true);
	at(&d, 0, 1, false, 4, 4);
	at(&d, 10, 1, false, 4, 4);
	ck_assert_uint_eq(at(&d, 20, 1, false, 4, 4), DRAIN_DO_KILL_CHILD);
	ck_assert_uint_eq(at(&d, 30, 0, true, 4, 4), DRAIN_DO_LEAVE);
}
END_TEST

START_TEST(second_signal_without_child_leaves_at_once)
{
	struct drain d = begin(false);
	at(&d, 0, 1, false, 4, 4);
	ck_assert(at(&d, 10, 1, false, 4, 4) & DRAIN_DO_LEAVE);
	ck_assert_int_eq(d.phase, DRAIN_PHASE_LEFT);
}
END_TEST

START_TEST(terminal_skips_the_lame_duck)
{
	struct drain d = begin(false);
	struct drain_input in = { .now = 5, .signals = 1, .skip_lame_duck = true };
	ck_assert_uint_eq(drain_step(&d, &in), DRAIN_DO_ANNOUNCE | DRAIN_DO_STOP_INBOUND);
}
END_TEST

START_TEST(finished_job_waits_shortly)
{
	struct drain d = begin(true);
	ck_assert_uint_eq(at(&d, 100, 0, true, 1, 1), DRAIN_DO_ANNOUNCE | DRAIN_DO_STOP_ALL);
	ck_assert_uint_eq(at(&d, 1090, 0, true, 1, 1), 0);
	ck_assert_uint_eq(at(&d, 1100, 0, true, 1, 1), DRAIN_DO_LEAVE);
	ck_assert_str_eq(d.why, "child ended");

	d = begin(true);
	at(&d, 100, 0, true, 1, 1);
	ck_assert_uint_eq(at(&d, 110, 0, true, 0, 0), DRAIN_DO_LEAVE);
}
END_TEST

START_TEST(short_stop_time_bounds_a_finished_job)
{
	struct drain d;
	drain_init(&d, &(struct drain_config){ .stop_timeout = 200 * MS, .has_child = true });
	at(&d, 0, 0, true, 1, 1);
	ck_assert_uint_eq(at(&d, 200, 0, true, 1, 1), DRAIN_DO_LEAVE);
}
END_TEST

START_TEST(child_that_dies_in_the_lame_duck)
{
	struct drain d = begin(true);
	at(&d, 0, 1, false, 1, 1);
	ck_assert_uint_eq(at(&d, 300, 0, true, 1, 1), DRAIN_DO_STOP_ALL);
	ck_assert_uint_eq(at(&d, 1300, 0, true, 1, 1), DRAIN_DO_LEAVE);
}
END_TEST

START_TEST(lame_duck_longer_than_the_stop_time)
{
	struct drain d;
	drain_init(&d, &(struct drain_config){
			       .lame_duck = 60000 * MS, .stop_timeout = 3000 * MS, .has_child = true });
	at(&d, 0, 1, false, 0, 0);
	ck_assert_uint_eq(at(&d, 1999, 0, false, 0, 0), 0);
	/* the child's third is kept here too */
	ck_assert_uint_eq(at(&d, 2000, 0, false, 0, 0), DRAIN_DO_STOP_INBOUND);
	ck_assert_uint_eq(at(&d, 2010, 0, false, 0, 0), DRAIN_DO_SIGNAL_CHILD);
}
END_TEST

START_TEST(zero_times_end_at_once)
{
	struct drain d;
	drain_init(&d, &(struct drain_config){ 0 });
	at(&d, 50, 1, false, 1, 1);
	for (int i = 0; i < 3; i++)
		at(&d, 60, 0, false, 1, 1);
	ck_assert_int_eq(d.phase, DRAIN_PHASE_LEFT);
}
END_TEST

/* Whatever comes in whatever order: it ends within the stop time, and never goes back. */
START_TEST(always_ends)
{
	uint32_t seed = 7u + (uint32_t)_i;
	struct drain d = begin(_i % 2);
	int last = DRAIN_PHASE_SERVING;
	bool ended = false;
	usec signalled = USEC_NEVER;
	for (usec ms = 0; ms < 60000 && d.phase != DRAIN_PHASE_LEFT; ms += 10) {
		seed = seed * 1664525u + 1013904223u;
		unsigned signals = (seed >> 24) == 3 && d.signals < 2;
		if (signals && signalled == USEC_NEVER)
			signalled = ms;
		ended = ended || (seed >> 20) % 4096 == 9;
		at(&d, ms, signals, ended, (seed >> 16) & 1, (seed >> 17) & 1);
		ck_assert_int_ge((int)d.phase, last);
		last = (int)d.phase;
		if (signalled != USEC_NEVER)
			ck_assert_uint_le(ms, signalled + 9600);
	}
	ck_assert(d.phase == DRAIN_PHASE_LEFT || signalled == USEC_NEVER);
}
END_TEST

Suite *suite_attach_drain(void)
{
	Suite *s = suite_create("attach_drain");
	TCase *t = tcase_create("steps");
	tcase_add_test(t, serving_does_nothing);
	tcase_add_test(t, child_is_told_last);
	tcase_add_test(t, without_child);
	tcase_add_test(t, stop_timeout_bounds_all);
	tcase_add_test(t, long_exchange_leaves_the_child_its_third);
	tcase_add_test(t, killed_child_that_is_not_reaped_is_left);
	tcase_add_test(t, second_signal_skips_waits_but_not_the_child);
	tcase_add_test(t, third_signal_kills);
	tcase_add_test(t, second_signal_without_child_leaves_at_once);
	tcase_add_test(t, terminal_skips_the_lame_duck);
	tcase_add_test(t, finished_job_waits_shortly);
	tcase_add_test(t, short_stop_time_bounds_a_finished_job);
	tcase_add_test(t, child_that_dies_in_the_lame_duck);
	tcase_add_test(t, lame_duck_longer_than_the_stop_time);
	tcase_add_test(t, zero_times_end_at_once);
	tcase_add_loop_test(t, always_ends, 0, 50);
	suite_add_tcase(s, t);
	return s;
}
