/* base/window, the retry budget, proxy/sampler: what is counted over time, against plain lists of all that happened. */
#include "model.h"
#include "proxy/circuit.h"
#include "proxy/sampler.h"

#define LOG_MAX 8192u

struct log {
	struct {
		usec at;
		unsigned kind;
	} e[LOG_MAX];
	unsigned n;
};

static struct script s;
static struct log all;

static void note(usec at, unsigned kind)
{
	ck_assert_uint_lt(all.n, LOG_MAX);
	all.e[all.n].at = at;
	all.e[all.n++].kind = kind;
}

/* The present bucket and the nine before. */
static uint64_t noted(unsigned kind, usec bucket, usec now)
{
	uint64_t sum = 0, present = now / bucket;

	for (unsigned i = 0; i < all.n; i++) {
		uint64_t b = all.e[i].at / bucket;
		sum += all.e[i].kind == kind && b <= present && b + 10 > present;
	}
	return sum;
}

static void begin(int run, usec now)
{
	script_begin(&s, run, now);
	all.n = 0;
}

/* --- windows ----------------------------------------------------------------------------------------------------------------- */

static struct window w;

/* Threads read their clocks at different instants: some of what is counted lies a little back. */
static usec some_clock(usec bucket)
{
	usec back = chance(&s, 4) ? 0 : rng_next(&s.r) % (9 * bucket);

	return s.now > back ? s.now - back : s.now;
}

static void sums_agree(usec bucket)
{
	uint64_t sums[WINDOW_KINDS];

	window_sums(&w, bucket, s.now, sums);
	for (unsigned kind = 0; kind < WINDOW_KINDS; kind++) {
		agree(&s, "a sum", window_sum(&w, kind, bucket, s.now), noted(kind, bucket, s.now));
		agree(&s, "one of all sums", sums[kind], noted(kind, bucket, s.now));
	}
	unsigned kind = chance(&s, WINDOW_KINDS);
	usec late = some_clock(
		bucket); /* what fell out since it was read is gone, but nothing is counted twice */
	holds(&s, window_sum(&w, kind, bucket, late) <= noted(kind, bucket, late));
}

START_TEST(windows_are_lists_of_instants)
{
	static const usec buckets[] = { 1, 7, MS, 100 * MS, SEC, 60 * SEC };

	begin(_i, 0);
	usec bucket = buckets[chance(&s, 6)];
	s.now = chance(&s, 2) ? 0 : 1000 * SEC;
	memset(&w, 0, sizeof(w));
	for (; s.step < 2000; s.step++) {
		unsigned kind = chance(&s, WINDOW_KINDS);
		usec at = some_clock(bucket);
		window_add(&w, kind, bucket, at);
		note(at, kind);
		pass(&s, bucket / 8, 30 * bucket);
		sums_agree(bucket);
	}
}
END_TEST

/* A clock that went back further than a window: what it counts is not lost, and nothing of it stays for longer than a window. */
START_TEST(windows_of_clocks_that_step)
{
	begin(_i, 100000 * SEC);
	memset(&w, 0, sizeof(w));
	for (; s.step < 300; s.step++) {
		unsigned n = 1 + chance(&s, 20);
		usec before = s.now;
		window_add(&w, 0, SEC, before);
		for (unsigned k = 0; k < n; k++)
			window_add(&w, 0, SEC, before - 10 * SEC * (1 + chance(&s, 400)));
		agree(&s, "what a clock far behind counted", window_sum(&w, 0, SEC, before), n + 1u);
		s.now += 10 * SEC + rng_next(&s.r) % ((chance(&s, 3) ? 1 : 1000) * SEC);
		agree(&s, "a window later", window_sum(&w, 0, SEC, s.now), 0);
	}
}
END_TEST

/* Numbers of buckets have 32 bits. Around their end a sum may miss something for one window, then it is exact again. */
START_TEST(windows_wrap)
{
	const uint64_t end = (uint64_t)UINT32_MAX; /* the bucket whose number is 0 */

	begin(_i, (end - 40) * SEC);
	memset(&w, 0, sizeof(w));
	for (; s.now / SEC < end + 60; s.step++) {
		window_add(&w, 5, SEC, s.now);
		note(s.now, 5);
		uint64_t got = window_sum(&w, 5, SEC, s.now), want = noted(5, SEC, s.now);
		if (s.now / SEC < end || s.now / SEC > end + 11)
			agree(&s, "a sum", got, want);
		holds(&s, got <= want);
		s.now += rng_next(&s.r) % (SEC / 2);
	}
}
END_TEST

/* --- the retry budget ---------------------------------------------------------------------------------------------------------- */

static struct circuit c;

static bool model_may_retry(const struct budget_policy *p)
{
	uint64_t asked = noted(CIRCUIT_REQUEST, p->bucket, s.now),
		 made = noted(CIRCUIT_RETRY, p->bucket, s.now);
	uint64_t floor = p->per_second * 10 * p->bucket / SEC;

	return !p->on || made < asked * p->percent / 100 + floor;
}

static void retry(const struct budget_policy *p)
{
	bool want = model_may_retry(p);

	agree(&s, "a retry allowed", circuit_may_retry(&c, p, s.now), want);
	note(s.now, want ? CIRCUIT_RETRY : CIRCUIT_RETRY_REFUSED);
}

START_TEST(the_budget_is_a_share_of_a_list)
{
	struct budget_policy p = { .percent = 20, .per_second = 3, .bucket = SEC, .on = true };

	begin(_i, (_i % 2 ? 4294967000ull : 77ull) * SEC); /* far from a wrap, and short before it */
	memset(&c, 0, sizeof(c));
	for (; s.step < 3000 && s.now / SEC < UINT32_MAX - 1; s.step++) {
		if (chance(&s, 200) == 0) { /* options are live */
			p.percent = (uint8_t)chance(&s, 101);
			p.per_second = chance(&s, 5);
			p.on = chance(&s, 4) != 0;
		}
		if (chance(&s, 3)) {
			window_add(&c.breaker.counts, CIRCUIT_REQUEST, SEC, s.now);
			note(s.now, CIRCUIT_REQUEST);
		} else {
			retry(&p);
		}
		pass(&s, 100 * MS, 20 * SEC);
		agree(&s, "retries refused", window_sum(&c.breaker.counts, CIRCUIT_RETRY_REFUSED, SEC, s.now),
			noted(CIRCUIT_RETRY_REFUSED, SEC, s.now));
	}
}
END_TEST

/* --- samplers ---------------------------------------------------------------------------------------------------------------------- */

static _Atomic uint64_t word;

/* Traces of the second that the latest clock of all shows. */
static uint64_t sampled_in(usec second)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < all.n; i++)
		n += all.e[i].at == second;
	return n;
}

/* Workers read their clocks once a turn: one may be in the last second while others are in the next. */
static void samples_agree(usec from)
{
	struct sampler_policy p = { .kind = SAMPLER_RATE, .rate = chance(&s, 20) };
	usec latest = 0;

	word = 0;
	s.now = from;
	for (; s.step < 4000; s.step++) {
		usec clock = s.now - rng_next(&s.r) % (chance(&s, 2) ? 1 : 200 * MS);
		if (clock / SEC > latest)
			latest = clock / SEC;
		bool want = sampled_in(latest) < p.rate;
		agree(&s, "a trace sampled", sampler_decide(&p, &word, rng_next(&s.r), clock), want);
		if (want)
			note(latest, 0);
		pass(&s, 50 * MS, 5 * SEC);
	}
}

START_TEST(rates_hold_by_the_second)
{
	begin(_i, 0);
	samples_agree(1000 * SEC);
}
END_TEST

START_TEST(rates_hold_while_seconds_wrap)
{
	begin(_i, 0);
	samples_agree(((1ull << 32) - 20) * SEC);
}
END_TEST

START_TEST(shares_depend_on_the_id_alone)
{
	begin(_i, 5 * SEC);
	word = 0;
	for (; s.step < 2000; s.step++) {
		uint64_t id = rng_next(&s.r);
		unsigned percent = chance(&s, 101);
		struct sampler_policy p = { .kind = SAMPLER_SHARE,
			.boundary = percent == 100 ? UINT64_MAX : UINT64_MAX / 100 * percent };
		bool want = (double)id / 0x1p64 < percent / 100.0;
		for (unsigned k = 0; k < 3; k++, pass(&s, SEC, SEC)) /* whoever asks, whenever */
			agree(&s, "sampled", sampler_decide(&p, &word, id, s.now), want);
	}
	agree(&s, "the word", word, 0);
}
END_TEST

Suite *suite_counts_model(void);
Suite *suite_counts_model(void)
{
	Suite *suite = suite_create("counts_model");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, windows_are_lists_of_instants, 0, 2 * MODEL_RUNS);
	tcase_add_loop_test(t, windows_of_clocks_that_step, 0, MODEL_RUNS);
	tcase_add_loop_test(t, windows_wrap, 0, MODEL_RUNS);
	tcase_add_loop_test(t, the_budget_is_a_share_of_a_list, 0, MODEL_RUNS);
	tcase_add_loop_test(t, rates_hold_by_the_second, 0, MODEL_RUNS);
	tcase_add_loop_test(t, rates_hold_while_seconds_wrap, 0, MODEL_RUNS);
	tcase_add_loop_test(t, shares_depend_on_the_id_alone, 0, MODEL_RUNS);
	suite_add_tcase(suite, t);
	return suite;
}
