/* proxy/breaker: each rule of Hystrix by itself, then random calls against a model written apart. */
#include "base/rng.h"
#include "proxy/breaker.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SEC USEC_SEC
#define MS USEC_MS

static struct breaker b;
static struct breaker_policy p;
static usec now;

static void begin(void)
{
	memset(&b, 0, sizeof(b));
	p = (struct breaker_policy){ .on = true, .error_percent = 50, .probes = 1, .volume = 20, .bucket = SEC, .sleep = 5 * SEC };
	now = 1000 * SEC;
}

static enum breaker_change call(enum circuit_event how)
{
	struct breaker_ticket t;
	enum breaker_pass pass = breaker_enter(&b, &p, now, &t);
	ck_assert_int_ne(pass, BREAKER_REFUSED);
	enum breaker_change c = (enum breaker_change)t.change;
	enum breaker_change d = breaker_leave(&b, &p, &t, how, now);
	return d != BREAKER_UNCHANGED ? d : c;
}

static void calls(unsigned n, enum circuit_event how)
{
	while (n--)
		(void)call(how);
}

static bool is_refused(void)
{
	struct breaker_ticket t;
	return breaker_enter(&b, &p, now, &t) == BREAKER_REFUSED;
}

static struct breaker_view view(void)
{
	struct breaker_view v;
	breaker_look(&b, &p, now, &v);
	return v;
}

static void open_it(void)
{
	begin();
	calls(20, CIRCUIT_FAILURE);
	now += BREAKER_TICK;
	ck_assert(is_refused());
	ck_assert_int_eq(view().state, BREAKER_OPEN);
}

START_TEST(opens_at_volume_and_threshold)
{
	begin();
	calls(10, CIRCUIT_SUCCESS);
	calls(9, (enum circuit_event)_i);
	now += BREAKER_TICK;
	ck_assert(!is_refused());
	ck_assert_uint_eq(view().total, 19);
	calls(1, (enum circuit_event)_i);
	now += BREAKER_TICK;
	ck_assert(is_refused());
	ck_assert_uint_eq(view().error_percent, 50);
}
END_TEST

START_TEST(the_share_is_truncated)
{
	begin();
	p.error_percent = 34;
	calls(66, CIRCUIT_SUCCESS);
	calls(33, CIRCUIT_FAILURE); /* 33.3 % */
	now += BREAKER_TICK;
	ck_assert(!is_refused());
	ck_assert_uint_eq(view().error_percent, 33);
}
END_TEST

START_TEST(some_outcomes_count_in_neither)
{
	static const enum circuit_event neither[] = { CIRCUIT_BAD, CIRCUIT_ABORTED };
	begin();
	calls(19, CIRCUIT_FAILURE);
	calls(100, neither[_i]);
	ck_assert_uint_eq(view().total, 19);
	now += BREAKER_TICK;
	ck_assert(!is_refused());
}
END_TEST

START_TEST(short_circuits_do_not_count)
{
	open_it();
	for (int i = 0; i < 100; i++)
		ck_assert(is_refused());
	ck_assert_uint_eq(view().total, 20);
	ck_assert_uint_eq(view().n[CIRCUIT_SHORT], 101);
}
END_TEST

START_TEST(old_buckets_are_forgotten)
{
	begin();
	calls(19, CIRCUIT_FAILURE);
	now += 10 * SEC;
	ck_assert_uint_eq(view().total, 0);
	calls(1, CIRCUIT_FAILURE);
	now += BREAKER_TICK;
	ck_assert(!is_refused());
}
END_TEST

START_TEST(exactly_one_probe)
{
	struct breaker_ticket t, u;
	open_it();
	now += p.sleep - BREAKER_TICK / 2;
	ck_assert(is_refused());
	now += BREAKER_TICK;
	ck_assert_int_eq(breaker_enter(&b, &p, now, &t), BREAKER_PROBE);
	ck_assert_int_eq(t.change, BREAKER_HALF_OPENED);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(breaker_enter(&b, &p, now, &u), BREAKER_REFUSED);
	ck_assert(view().open);
	ck_assert_int_eq(breaker_leave(&b, &p, &t, CIRCUIT_SUCCESS, now), BREAKER_CLOSED_AGAIN);
	ck_assert_uint_eq(view().total, 0); /* its window begins anew */
	ck_assert(!view().open);
	ck_assert(!is_refused());
}
END_TEST

/* Who looks a minute later is told what opened it, though the window is empty; when it closed, that is over. */
START_TEST(what_opened_it_is_remembered)
{
	struct breaker_ticket t;
	begin();
	calls(4, CIRCUIT_SUCCESS);
	calls(16, CIRCUIT_FAILURE);
	now += BREAKER_TICK;
	ck_assert(is_refused());
	usec opened = now;
	for (unsigned i = 0; i < 3; i++) {
		now += 20 * SEC;
		ck_assert_int_eq(breaker_enter(&b, &p, now, &t), BREAKER_PROBE);
		ck_assert_int_eq(breaker_leave(&b, &p, &t, CIRCUIT_TIMEOUT, now), BREAKER_REOPENED);
	}
	now += 30 * SEC;
	struct breaker_view v = view();
	ck_assert_uint_eq(v.total, 0);
	ck_assert(v.opened == opened && v.since == now - 30 * SEC);
	ck_assert_uint_eq(v.cause_total, 20);
	ck_assert_uint_eq(v.cause_errors, 16);
	ck_assert_uint_eq(v.probes_failed, 3);
	ck_assert_int_eq(breaker_enter(&b, &p, now, &t), BREAKER_PROBE);
	ck_assert_int_eq(breaker_leave(&b, &p, &t, CIRCUIT_SUCCESS, now), BREAKER_CLOSED_AGAIN);
	v = view();
	ck_assert(!v.opened && !v.cause_total && !v.probes_failed);
	calls(20, CIRCUIT_FAILURE);
	now += BREAKER_TICK;
	ck_assert(is_refused());
	ck_assert(view().opened == now && view().cause_errors == 20 && !view().probes_failed);
}
END_TEST

START_TEST(a_bad_probe_reopens)
{
	static const enum circuit_event bad[] = { CIRCUIT_FAILURE, CIRCUIT_TIMEOUT, CIRCUIT_REJECTED, CIRCUIT_ABORTED };
	struct breaker_ticket t;
	open_it();
	now += p.sleep + 10 * MS;
	ck_assert_int_eq(breaker_enter(&b, &p, now, &t), BREAKER_PROBE);
	now += SEC;
	ck_assert_int_eq(breaker_leave(&b, &p, &t, bad[_i], now), BREAKER_REOPENED);
	now += p.sleep - 100 * MS;
	ck_assert(is_refused());
	now += 200 * MS;
	ck_assert_int_eq(breaker_enter(&b, &p, now, &t), BREAKER_PROBE);
}
END_TEST

START_TEST(a_probe_that_hangs_is_a_lease)
{
	struct breaker_ticket hung, next;
	open_it();
	now += p.sleep + 10 * MS;
	ck_assert_int_eq(breaker_enter(&b, &p, now, &hung), BREAKER_PROBE);
	now += p.sleep + 10 * MS;
	ck_assert_int_eq(breaker_enter(&b, &p, now, &next), BREAKER_PROBE);
	ck_assert_int_eq(breaker_leave(&b, &p, &hung, CIRCUIT_FAILURE, now), BREAKER_UNCHANGED); /* too late to say anything */
	ck_assert_int_eq(breaker_leave(&b, &p, &next, CIRCUIT_SUCCESS, now), BREAKER_CLOSED_AGAIN);
}
END_TEST

START_TEST(late_outcomes_change_nothing)
{
	struct breaker_ticket early[40], t;
	begin();
	for (int i = 0; i < 40; i++)
		(void)breaker_enter(&b, &p, now, &early[i]);
	calls(20, CIRCUIT_FAILURE);
	now += BREAKER_TICK;
	ck_assert(is_refused());
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(breaker_leave(&b, &p, &early[i], CIRCUIT_SUCCESS, now), BREAKER_UNCHANGED);
	ck_assert(is_refused()); /* no late success closes it */
	now += p.sleep + 10 * MS;
	ck_assert_int_eq(breaker_enter(&b, &p, now, &t), BREAKER_PROBE);
	ck_assert_int_eq(breaker_leave(&b, &p, &t, CIRCUIT_SUCCESS, now), BREAKER_CLOSED_AGAIN);
	for (int i = 20; i < 40; i++)
		(void)breaker_leave(&b, &p, &early[i], CIRCUIT_FAILURE, now);
	now += BREAKER_TICK;
	ck_assert(!is_refused()); /* and no late failure opens it */
}
END_TEST

START_TEST(several_probes)
{
	struct breaker_ticket t[3], u;
	open_it();
	p.probes = 3;
	now += p.sleep + 10 * MS;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(breaker_enter(&b, &p, now, &t[i]), BREAKER_PROBE);
	ck_assert_int_eq(breaker_enter(&b, &p, now, &u), BREAKER_REFUSED);
	ck_assert_int_eq(breaker_leave(&b, &p, &t[0], CIRCUIT_SUCCESS, now), BREAKER_UNCHANGED);
	ck_assert_int_eq(breaker_leave(&b, &p, &t[1], CIRCUIT_BAD, now), BREAKER_UNCHANGED);
	ck_assert_int_eq(breaker_leave(&b, &p, &t[2], CIRCUIT_SUCCESS, now), BREAKER_CLOSED_AGAIN);
}
END_TEST

START_TEST(force_open_beats_force_closed)
{
	begin();
	p.force = BREAKER_FORCE_CLOSED;
	breaker_set_force(&b, BREAKER_FORCE_OPEN, now);
	ck_assert(is_refused());
	breaker_set_force(&b, BREAKER_FORCE_CLOSED, now);
	p.force = BREAKER_FORCE_OPEN;
	ck_assert(is_refused());
	p.force = BREAKER_AUTO;
	calls(100, CIRCUIT_FAILURE); /* call() asserts that none is refused */
	now += BREAKER_TICK;
	calls(1, CIRCUIT_FAILURE);
	ck_assert_uint_ge(view().total, 101); /* a forced circuit goes on counting */
	breaker_set_force(&b, BREAKER_AUTO, now);
	ck_assert(!is_refused());
	ck_assert_uint_eq(view().errors, 0);
}
END_TEST

START_TEST(observe_refuses_nobody)
{
	struct breaker_ticket t;
	begin();
	p.observe = true;
	calls(30, CIRCUIT_FAILURE);
	now += BREAKER_TICK;
	ck_assert_int_eq(breaker_enter(&b, &p, now, &t), BREAKER_WOULD_REFUSE);
	ck_assert_int_eq(view().state, BREAKER_OPEN);
	ck_assert_uint_eq(view().n[CIRCUIT_SHORT], 1);
}
END_TEST

START_TEST(off_never_opens)
{
	begin();
	p.on = false;
	calls(1000, CIRCUIT_FAILURE);
	now += BREAKER_TICK;
	calls(10, CIRCUIT_FAILURE);
	ck_assert_uint_eq(view().errors, 1010);
	breaker_set_force(&b, BREAKER_FORCE_OPEN, now);
	ck_assert(is_refused());
}
END_TEST

START_TEST(clocks_that_step)
{
	begin();
	calls(20, CIRCUIT_FAILURE);
	now -= 3 * SEC; /* another worker's clock was read earlier */
	calls(5, CIRCUIT_SUCCESS);
	now += 3 * SEC;
	ck_assert_uint_eq(view().total, 25);
	now += 400ull * 86400 * SEC;
	ck_assert_uint_eq(view().total, 0);
	calls(20, CIRCUIT_FAILURE);
	now += BREAKER_TICK;
	ck_assert(is_refused());
}
END_TEST

START_TEST(epochs_wrap)
{
	begin();
	for (int i = 0; i < 70000; i++)
		breaker_set_force(&b, i % 2 ? BREAKER_AUTO : BREAKER_FORCE_CLOSED, now);
	calls(20, CIRCUIT_FAILURE);
	now += BREAKER_TICK;
	ck_assert(is_refused());
}
END_TEST

/* --- random calls against a model ---------------------------------------------------------------------------------------- */

/* The rules once more, in the plainest way: a list of all outcomes, states as words. */
struct model {
	struct {
		usec at;
		enum circuit_event how;
	} log[4096];
	int n;
	int state; /* 0 closed, 1 open, 2 half open */
	unsigned life; /* grows with each change */
	usec until, tick;
};

struct model_call {
	unsigned life;
	bool probe;
};

static struct model m;

static void model_sum(unsigned *total, unsigned *errors)
{
	*total = *errors = 0;
	for (int i = 0; i < m.n; i++) {
		if (now / SEC - m.log[i].at / SEC >= 10)
			continue;
		bool error = m.log[i].how == CIRCUIT_FAILURE || m.log[i].how == CIRCUIT_TIMEOUT || m.log[i].how == CIRCUIT_REJECTED;
		*errors += error;
		*total += error || m.log[i].how == CIRCUIT_SUCCESS;
	}
}

static void model_look(void)
{
	unsigned total, errors;
	if (now < m.tick)
		return;
	m.tick = now + BREAKER_TICK;
	model_sum(&total, &errors);
	if (m.state != 0 || total < p.volume || errors * 100 / total < p.error_percent)
		return;
	m.state = 1;
	m.life++;
	m.until = now + p.sleep;
}

static bool model_enter(struct model_call *c)
{
	model_look();
	*c = (struct model_call){ .life = m.life };
	if (m.state == 0)
		return true;
	/* the word's instants are rounded up to 4,096 µs */
	if (((m.until + 4095) & ~(usec)4095) > now)
		return false;
	m.state = 2;
	*c = (struct model_call){ .life = ++m.life, .probe = true };
	m.until = now + p.sleep;
	return true;
}

static void model_leave(const struct model_call *c, enum circuit_event how)
{
	if (c->probe && m.state == 2 && c->life == m.life) {
		m.life++;
		if (how == CIRCUIT_SUCCESS || how == CIRCUIT_BAD) {
			m.state = m.n = 0;
			return;
		}
		m.state = 1;
		m.until = now + p.sleep;
	} else if (!c->probe && m.state == 0 && c->life != m.life) {
		return;
	}
	m.log[m.n].at = now;
	m.log[m.n++].how = how;
	if (!c->probe)
		model_look();
}

START_TEST(random_calls_as_the_model_says)
{
	static const enum circuit_event hows[] = { CIRCUIT_SUCCESS, CIRCUIT_SUCCESS, CIRCUIT_FAILURE, CIRCUIT_FAILURE, CIRCUIT_FAILURE,
		CIRCUIT_TIMEOUT, CIRCUIT_REJECTED, CIRCUIT_BAD, CIRCUIT_ABORTED };
	struct breaker_ticket tickets[8];
	struct model_call shadow[8];
	bool under_way[8] = { 0 };
	unsigned opened = 0;
	struct rng r;

	begin();
	memset(&m, 0, sizeof(m));
	rng_seed(&r, (uint64_t)_i + 1);
	for (int k = 0; k < 4000; k++) {
		unsigned i = rng_below(&r, 8);
		now += rng_below(&r, rng_below(&r, 50) ? 60 : 8000) * MS;
		if (under_way[i]) {
			enum circuit_event how = hows[rng_below(&r, sizeof(hows) / sizeof(hows[0]))];
			(void)breaker_leave(&b, &p, &tickets[i], how, now);
			model_leave(&shadow[i], how);
			under_way[i] = false;
		} else {
			bool want = model_enter(&shadow[i]);
			enum breaker_pass got = breaker_enter(&b, &p, now, &tickets[i]);
			ck_assert_msg((got != BREAKER_REFUSED) == want, "call %d: %d, the model says %d", k, got, want);
			ck_assert_int_eq(got == BREAKER_PROBE, want && shadow[i].probe);
			under_way[i] = want;
			opened += !want;
		}
		ck_assert_int_eq((int)view().state, m.state);
	}
	ck_assert_uint_gt(opened, 0);
}
END_TEST

Suite *suite_breaker(void);
Suite *suite_breaker(void)
{
	Suite *s = suite_create("breaker");
	TCase *t = tcase_create("rules");
	tcase_add_loop_test(t, opens_at_volume_and_threshold, CIRCUIT_FAILURE, CIRCUIT_REJECTED + 1);
	tcase_add_test(t, the_share_is_truncated);
	tcase_add_loop_test(t, some_outcomes_count_in_neither, 0, 2);
	tcase_add_test(t, short_circuits_do_not_count);
	tcase_add_test(t, old_buckets_are_forgotten);
	tcase_add_test(t, exactly_one_probe);
	tcase_add_test(t, what_opened_it_is_remembered);
	tcase_add_loop_test(t, a_bad_probe_reopens, 0, 4);
	tcase_add_test(t, a_probe_that_hangs_is_a_lease);
	tcase_add_test(t, late_outcomes_change_nothing);
	tcase_add_test(t, several_probes);
	tcase_add_test(t, force_open_beats_force_closed);
	tcase_add_test(t, observe_refuses_nobody);
	tcase_add_test(t, off_never_opens);
	tcase_add_test(t, clocks_that_step);
	tcase_add_test(t, epochs_wrap);
	suite_add_tcase(s, t);
	t = tcase_create("model");
	tcase_add_loop_test(t, random_calls_as_the_model_says, 0, 40);
	suite_add_tcase(s, t);
	return s;
}
