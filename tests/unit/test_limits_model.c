/* proxy/limiter, proxy/overload: what reacts to a load. The limiter by the formulas of its header, once more in fractions, and by what any load may
 * expect of it; the ladder by its table. */
#include "model.h"
#include "proxy/limiter.h"
#include "proxy/overload.h"
#include "proxy/parts.h"

#include <math.h>

static struct script s;

/* --- the limiter as its header describes it --------------------------------------------------------------------------------------- */

static struct limiter l;

static struct {
	double sum, lowest, limit, saved;
	unsigned n, peak, dropped, rounds;
	usec due;
} m;

static double clamped(double v, double low, double high)
{
	return v < low ? low : v > high ? high : v;
}

/* limit × gradient + √limit, one fifth of the way. */
static void model_react(double mean)
{
	double gradient = clamped(m.lowest * LIMITER_TOLERANCE / 100 / mean, 0.5, 1);
	double want = m.limit * gradient + floor(sqrt(floor(m.limit)));
	double next = m.limit + (want - m.limit) / 5;

	if (next > m.limit && m.peak < floor(m.limit) / 2)
		return; /* it is not used */
	m.limit = clamped(next, LIMITER_MIN, LIMITER_MAX);
}

/* For two rounds of LIMITER_PROBE the limit is halved; the mean of the second is the lowest. true: nothing else happens. */
static bool model_probes(void)
{
	unsigned turn = m.rounds++ % LIMITER_PROBE;

	if (turn == LIMITER_PROBE - 2 && m.peak >= floor(m.limit) / 2) {
		m.saved = m.limit;
		m.limit = clamped(m.limit / 2, LIMITER_MIN, LIMITER_MAX);
		return true;
	}
	if (m.saved > 0 && turn == LIMITER_PROBE - 1)
		return true;
	if (m.saved > 0) {
		m.limit = m.saved;
		m.saved = m.lowest = 0;
	}
	return false;
}

static void model_round(void)
{
	double mean = m.n ? fmax(floor(m.sum / m.n), 1) : 0;

	if (!model_probes()) {
		if (m.n && (m.lowest == 0 || mean < m.lowest))
			m.lowest = mean;
		if (m.n)
			model_react(mean);
		if (m.dropped)
			m.limit = clamped(m.limit * 0.9, LIMITER_MIN, LIMITER_MAX);
	}
	m.sum = m.n = m.peak = m.dropped = 0;
}

static void model_count(usec now)
{
	if (now < m.due || (m.n < LIMITER_SAMPLES && !m.dropped))
		return;
	m.due = now + LIMITER_ROUND;
	model_round();
}

static void model_begin(void)
{
	memset(&m, 0, sizeof(m));
	m.limit = LIMITER_START;
	memset(&l, 0, sizeof(l));
}

/* The code counts in sixteenths: where fractions meet a whole limit (√, "is it used?") both may come apart by little; they are brought together
 * again, so that errors do not add up. */
static void limits_agree(void)
{
	double got = l.limit ? l.limit / 16.0 : LIMITER_START;

	ck_assert_msg(fabs(got - m.limit) <= 0.3 + m.limit / 500,
		"seed %llu, step %u: the limit is %.3f, the model says %.3f", (unsigned long long)s.seed,
		s.step, got, m.limit);
	m.limit = got;
	m.saved = l.saved / 16.0;
	holds(&s, limiter_limit(&l) >= LIMITER_MIN && limiter_limit(&l) <= LIMITER_MAX);
}

static void one_call(usec latency, unsigned busy, unsigned drops_in_a_hundred)
{
	if (chance(&s, 100) < drops_in_a_hundred) {
		limiter_drop(&l, s.now);
		m.dropped++;
	} else {
		limiter_report(&l, latency, busy, s.now);
		m.sum += (double)latency;
		m.n++;
		m.peak = busy > m.peak ? busy : m.peak;
	}
	model_count(s.now);
	limits_agree();
}

START_TEST(the_limiter_does_as_its_header_says)
{
	script_begin(&s, _i, _i % 2 ? 0 : 1000 * SEC);
	model_begin();
	for (unsigned weather = 0; weather < 40;
		weather++) { /* for a while a server is that slow, and that busy */
		usec usual = 1 + rng_next(&s.r) % ((chance(&s, 2) ? 1 : 100) * MS);
		unsigned busy = 1 + chance(&s, chance(&s, 2) ? 20 : 400),
			 drops = chance(&s, 3) ? 0 : chance(&s, 100);
		for (unsigned k = 0; k < 1000; k++, s.step++) {
			one_call(usual / 2 + rng_next(&s.r) % usual, 1 + chance(&s, busy), drops);
			pass(&s, 20 * MS, 2 * SEC);
			if (chance(&s, 500) == 0 && s.now > SEC)
				s.now -= rng_next(&s.r) % SEC; /* another worker's clock */
		}
	}
	holds(&s, m.rounds > LIMITER_PROBE);
}
END_TEST

/* --- what any load may expect ------------------------------------------------------------------------------------------------------- */

/* A round of twenty calls. */
static void load(struct limiter *of, usec latency, unsigned busy, bool drop)
{
	for (unsigned i = 0; i < 20; i++)
		limiter_report(of, latency, busy, s.now);
	if (drop)
		limiter_drop(of, s.now);
}

/* Two alike until now; one has the slower server, or the drop: its limit is not the higher one afterwards. */
START_TEST(worse_is_never_rewarded)
{
	static struct limiter good, bad;

	script_begin(&s, _i, SEC);
	memset(&good, 0, sizeof(good));
	for (; s.step < 20000; s.step++, s.now += LIMITER_ROUND) {
		usec latency = MS + rng_next(&s.r) % (10 * MS);
		unsigned busy = chance(&s, limiter_limit(&good) + 2);
		memcpy(&bad, &good, sizeof(bad));
		load(&bad, latency + rng_next(&s.r) % (20 * MS), busy, chance(&s, 2));
		load(&good, latency, busy, false);
		holds(&s, bad.limit <= good.limit);
	}
}
END_TEST

START_TEST(a_server_that_answers_nothing_gets_the_least)
{
	script_begin(&s, _i, rng_next(&s.r) % SEC);
	memset(&l, 0, sizeof(l));
	for (; s.step < 400; s.step++) {
		limiter_drop(&l, s.now);
		pass(&s, LIMITER_ROUND, 3 * LIMITER_ROUND);
		holds(&s, limiter_limit(&l) >= LIMITER_MIN);
	}
	agree(&s, "the limit", limiter_limit(&l), LIMITER_MIN);
	for (; s.step < 2000; s.step++, s.now += LIMITER_ROUND) /* well again: it comes back by itself */
		load(&l, MS, limiter_limit(&l), false);
	holds(&s, limiter_limit(&l) > LIMITER_START);
}
END_TEST

START_TEST(rounds_wrap)
{
	script_begin(&s, _i, 500 * SEC);
	model_begin();
	l.round = UINT32_MAX - 1000;
	for (; s.step < 3000; s.step++, s.now += LIMITER_ROUND) {
		load(&l, MS, limiter_limit(&l), false);
		holds(&s, limiter_limit(&l) >= LIMITER_START / 2 && limiter_limit(&l) <= LIMITER_MAX);
	}
	agree(&s, "the limit of a server without a queue", limiter_limit(&l) > 1000, 1);
}
END_TEST

/* --- the ladder ----------------------------------------------------------------------------------------------------------------------- */

/* Of all steps: those that the load has reached, and those taken before that it has not fallen far enough below. */
static enum overload_step model_step(enum overload_step now, unsigned percent)
{
	static const unsigned at[] = { 0, 70, 80, 85, 90, 95 };
	unsigned step = 0;

	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		if (percent >= at[i] || (i <= now && percent + 5 >= at[i]))
			step = i;
	return (enum overload_step)step;
}

START_TEST(every_step_at_every_load)
{
	for (unsigned now = 0; now < OVERLOAD_STEPS; now++)
		for (unsigned percent = 0; percent <= 255; percent++) {
			enum overload_step got = overload_next((enum overload_step)now, percent);
			ck_assert_msg(got == model_step((enum overload_step)now, percent),
				"from %s at %u %%: %s", overload_word((enum overload_step)now), percent,
				overload_word(got));
			ck_assert_int_eq(overload_next(got, percent),
				got); /* what a load asks for, it asks for at once */
		}
}
END_TEST

/* Who has less than its share, of connections and, where memory is short, of what is under way, is spared, but not when hardly anything is
 * left; alone nobody is. */
START_TEST(the_flooded_pay_first)
{
	static struct worker w;
	static struct wsidecar sc;

	script_begin(&s, _i, 0);
	memset(&w, 0, sizeof(w));
	sc.w = &w;
	for (; s.step < 20000; s.step++) {
		unsigned percent = chance(&s, 101), step = model_step(chance(&s, OVERLOAD_STEPS), percent);
		w.over.step = (uint8_t)step;
		w.over.load = (uint8_t)percent;
		w.n_seated = chance(&s, 5);
		w.n_clients = chance(&s, 2000);
		sc.n_clients = chance(&s, w.n_clients + 1);
		w.busy = chance(&s, 2000);
		sc.n_busy = chance(&s, (unsigned)w.busy + 1);
		w.over.by_memory = chance(&s, 2);
		unsigned all = w.n_clients, own = sc.n_clients;
		if (w.over.by_memory) {
			all += 4 * (unsigned)w.busy;
			own += 4 * sc.n_busy;
		}
		bool is_spared = w.n_seated > 1 && own < (double)all / w.n_seated && percent < 98;
		agree(&s, "the step of a sidecar", overload_of(&sc), is_spared ? 0 : step);
	}
}
END_TEST

Suite *suite_limits_model(void);
Suite *suite_limits_model(void)
{
	Suite *suite = suite_create("limits_model");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, the_limiter_does_as_its_header_says, 0, MODEL_RUNS);
	tcase_add_loop_test(t, worse_is_never_rewarded, 0, MODEL_RUNS);
	tcase_add_loop_test(t, a_server_that_answers_nothing_gets_the_least, 0, MODEL_RUNS);
	tcase_add_loop_test(t, rounds_wrap, 0, MODEL_RUNS);
	tcase_add_test(t, every_step_at_every_load);
	tcase_add_loop_test(t, the_flooded_pay_first, 0, MODEL_RUNS);
	suite_add_tcase(suite, t);
	return suite;
}
