/* net/wheel by virtual time, net/timer on a real loop. */
#include "base/rng.h"
#include "net/loop.h"
#include "net/timer.h"
#include "net/wheel.h"

#include <check.h>
#include <stdlib.h>

#define MANY 3000

struct probe {
	struct timer timer;
	usec due;   /* what was asked for last */
	unsigned fired;
	bool exact; /* the wheel is driven at its own times: lateness is bounded */
};

static usec virtual_now;

static void on_probe(void *arg)
{
	struct probe *p = arg;
	p->fired++;
	ck_assert_msg(virtual_now >= p->due, "early");
	if (p->exact)
		ck_assert_msg(virtual_now < p->due + TIMER_TICK, "late by %llu us",
			      (unsigned long long)(virtual_now - p->due));
}

/* What timer_set() does, on a bare wheel. */
static void set(struct wheel *w, struct probe *p, usec deadline)
{
	p->due = deadline;
	p->timer.deadline = deadline;
	if (!list_empty(&p->timer.link)) {
		if (deadline >= p->timer.queued)
			return;
		list_remove(&p->timer.link);
	}
	wheel_add(w, &p->timer, virtual_now);
}

static unsigned drive_until(struct wheel *w, usec end)
{
	unsigned wakes = 0;
	for (;;) {
		usec next = wheel_next(w);
		if (next > end)
			break;
		if (next > virtual_now)
			virtual_now = next;
		wheel_advance(w, virtual_now);
		wakes++;
	}
	virtual_now = end;
	return wakes;
}

static struct wheel *wheel_at(usec now)
{
	struct wheel *w = malloc(sizeof(*w));
	ck_assert_ptr_nonnull(w);
	virtual_now = now;
	wheel_init(w, now);
	return w;
}

START_TEST(an_hour_of_deadlines)
{
	struct wheel *w = wheel_at(123456789);
	struct rng rng;
	rng_seed(&rng, 7);
	struct probe *p = calloc(MANY, sizeof(*p));
	ck_assert_ptr_nonnull(p);
	usec start = virtual_now;
	for (unsigned i = 0; i < MANY; i++) {
		timer_init(&p[i].timer, on_probe, &p[i]);
		p[i].exact = true;
		set(w, &p[i], start + 1 + rng_next(&rng) % (3600 * USEC_SEC));
	}
	drive_until(w, start + 3601 * USEC_SEC);
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_uint_eq(p[i].fired, 1);
	ck_assert(wheel_next(w) == USEC_NEVER);
	free(p);
	free(w);
}
END_TEST

START_TEST(pushing_is_lazy_and_pulling_is_not)
{
	struct wheel *w = wheel_at(0);
	struct probe p = { .exact = true };
	timer_init(&p.timer, on_probe, &p);
	set(w, &p, 30 * USEC_SEC);
	for (unsigned i = 0; i < 100; i++) { /* a busy connection pushes its idle deadline on every request */
		drive_until(w, (i + 1) * USEC_SEC);
		set(w, &p, virtual_now + 30 * USEC_SEC);
	}
	ck_assert_uint_eq(p.fired, 0);
	set(w, &p, virtual_now + USEC_SEC);
	drive_until(w, virtual_now + 2 * USEC_SEC);
	ck_assert_uint_eq(p.fired, 1);
	free(w);
}
END_TEST

START_TEST(sleeps_while_empty)
{
	struct wheel *w = wheel_at(5 * USEC_SEC);
	struct probe p = { .exact = true };
	timer_init(&p.timer, on_probe, &p);
	ck_assert(wheel_next(w) == USEC_NEVER);
	set(w, &p, virtual_now + USEC_SEC);
	timer_clear(&p.timer);
	timer_clear(&p.timer);
	ck_assert(wheel_next(w) == USEC_NEVER);
	/* After a long rest the wheel starts anew, and one timer costs few wake-ups. */
	virtual_now += 5000 * USEC_SEC;
	wheel_restart(w, virtual_now);
	set(w, &p, virtual_now + 10 * USEC_SEC);
	ck_assert_uint_eq(drive_until(w, virtual_now + 20 * USEC_SEC), 1);
	ck_assert_uint_eq(p.fired, 1);
	free(w);
}
END_TEST

START_TEST(a_loop_that_hung_fires_all)
{
	struct wheel *w = wheel_at(0);
	struct probe p[100] = { 0 };
	for (unsigned i = 0; i < 100; i++) {
		timer_init(&p[i].timer, on_probe, &p[i]);
		set(w, &p[i], (i + 1) * USEC_SEC);
	}
	virtual_now = 3600 * USEC_SEC;
	wheel_advance(w, virtual_now);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_uint_eq(p[i].fired, 1);
	free(w);
}
END_TEST

struct pair {
	struct wheel *w;
	struct probe *other;
	struct timer timer;
	unsigned fired;
};

static void clear_other_and_go_on(void *arg)
{
	struct pair *p = arg;
	timer_clear(&p->other->timer);
	free(p->other);
	p->other = NULL;
	p->fired++;
	p->timer.deadline = virtual_now; /* in the past: the next turn, not this one */
	p->timer.fn = NULL;
	wheel_add(p->w, &p->timer, virtual_now);
}

START_TEST(callbacks_may_clear_free_and_set)
{
	struct pair p = { .w = wheel_at(0), .other = calloc(1, sizeof(struct probe)) };
	timer_init(&p.timer, clear_other_and_go_on, &p);
	p.timer.deadline = USEC_SEC;
	wheel_add(p.w, &p.timer, 0);
	timer_init(&p.other->timer, on_probe, p.other);
	set(p.w, p.other, USEC_SEC);
	virtual_now = 2 * USEC_SEC;
	wheel_advance(p.w, virtual_now);
	ck_assert_uint_eq(p.fired, 1);
	ck_assert(wheel_next(p.w) == 0);
	free(p.w);
}
END_TEST

/* --- on a loop ------------------------------------------------------------------------------------------- */

struct on_loop {
	struct loop *loop;
	struct timer timer;
	usec due, at;
	unsigned fired;
	unsigned rearm;
};

static void on_loop_timer(void *arg)
{
	struct on_loop *o = arg;
	o->fired++;
	o->at = clock_now();
	if (o->rearm) {
		o->rearm--;
		timer_set(o->loop, &o->timer, o->rearm % 2 ? 0 : loop_now(o->loop) + 10 * USEC_MS);
	}
}

START_TEST(fires_on_a_loop)
{
	struct on_loop o = { .loop = loop_new(NULL), .rearm = 8 };
	ck_assert_ptr_nonnull(o.loop);
	timer_init(&o.timer, on_loop_timer, &o);
	ck_assert(!timer_armed(&o.timer));
	o.due = clock_now() + 20 * USEC_MS;
	timer_set(o.loop, &o.timer, o.due);
	ck_assert(timer_armed(&o.timer));
	while (!o.fired)
		loop_turn(o.loop, true);
	ck_assert(o.at >= o.due);
	while (o.fired < 9)
		loop_turn(o.loop, true);
	ck_assert(!timer_armed(&o.timer));
	loop_free(o.loop);
}
END_TEST

Suite *suite_net_timer(void);
Suite *suite_net_timer(void)
{
	Suite *s = suite_create("net/timer");
	TCase *t = tcase_create("all");
	tcase_add_test(t, an_hour_of_deadlines);
	tcase_add_test(t, pushing_is_lazy_and_pulling_is_not);
	tcase_add_test(t, sleeps_while_empty);
	tcase_add_test(t, a_loop_that_hung_fires_all);
	tcase_add_test(t, callbacks_may_clear_free_and_set);
	tcase_add_test(t, fires_on_a_loop);
	suite_add_tcase(s, t);
	return s;
}
