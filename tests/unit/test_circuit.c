/* base/window, proxy/limiter, proxy/circuit: counts over time and threads, places, budget, latencies, the adaptive limit. */
#include "base/rng.h"
#include "proxy/circuit.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEC USEC_SEC
#define MS USEC_MS

/* --- window ------------------------------------------------------------------------------------------------------------------ */

START_TEST(window_counts_ten_buckets)
{
	static struct window w;
	usec now = 50 * SEC;
	memset(&w, 0, sizeof(w));
	for (int i = 0; i < 30; i++) {
		window_add(&w, 3, SEC, now);
		ck_assert_uint_eq(window_sum(&w, 3, SEC, now), i < 9 ? (unsigned)i + 1 : 10);
		now += SEC;
	}
	ck_assert_uint_eq(window_sum(&w, 2, SEC, now), 0);
	window_clear(&w);
	ck_assert_uint_eq(window_sum(&w, 3, SEC, now), 0);
}
END_TEST

START_TEST(window_from_the_first_microsecond)
{
	static struct window w;
	memset(&w, 0, sizeof(w));
	ck_assert_uint_eq(window_sum(&w, 0, SEC, 0), 0);
	window_add(&w, 0, SEC, 0);
	ck_assert_uint_eq(window_sum(&w, 0, SEC, 1), 1);
}
END_TEST

static struct window shared;

static void *adder(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100000; i++)
		window_add(&shared, 1, SEC, 7 * SEC);
	return NULL;
}

START_TEST(window_of_threads_is_exact)
{
	pthread_t t[4];
	memset(&shared, 0, sizeof(shared));
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, adder, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(window_sum(&shared, 1, SEC, 7 * SEC), 400000);
}
END_TEST

/* --- places -------------------------------------------------------------------------------------------------------------------- */

static struct circuit c;
static _Atomic int most, inside;

static void *visitor(void *arg)
{
	const struct bulkhead_policy *p = arg;
	bool would;
	for (int i = 0; i < 20000; i++) {
		if (!circuit_take(&c, p, &would))
			continue;
		int n = ++inside;
		if (n > most)
			most = n;
		--inside;
		circuit_give(&c);
	}
	return NULL;
}

START_TEST(a_limit_holds_over_threads)
{
	struct bulkhead_policy p = { .max = 2 };
	pthread_t t[4];
	memset(&c, 0, sizeof(c));
	most = inside = 0;
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, visitor, &p), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_le(most, 2);
	ck_assert_uint_eq(c.bulkhead.active, 0);
}
END_TEST

START_TEST(observe_counts_and_lets_in)
{
	struct bulkhead_policy p = { .max = 1, .observe = true };
	bool would;
	memset(&c, 0, sizeof(c));
	ck_assert(circuit_take(&c, &p, &would) && !would);
	ck_assert(circuit_take(&c, &p, &would) && would);
	ck_assert_uint_eq(c.bulkhead.active, 2);
}
END_TEST

START_TEST(a_peak_lasts_ten_seconds)
{
	struct bulkhead_policy p = { .max = 8 };
	bool would;
	memset(&c, 0, sizeof(c));
	for (int i = 0; i < 3; i++)
		ck_assert(circuit_take(&c, &p, &would));
	for (int i = 0; i < 3; i++)
		circuit_give(&c);
	ck_assert_uint_eq(circuit_peak(&c, 0, 100 * SEC), 3); /* between the looks */
	ck_assert_uint_eq(circuit_peak(&c, 2, 104 * SEC), 3);
	ck_assert_uint_eq(circuit_peak(&c, 0, 109 * SEC + SEC / 2), 3);
	ck_assert_uint_eq(circuit_peak(&c, 0, 110 * SEC), 2);
	ck_assert_uint_eq(circuit_peak(&c, 0, 114 * SEC), 0);
	ck_assert_uint_eq(circuit_peak(&c, 5, 200 * SEC), 5);
	circuit_reset(&c);
	ck_assert_uint_eq(circuit_peak(&c, 0, 200 * SEC), 0);
}
END_TEST

/* --- budget ---------------------------------------------------------------------------------------------------------------------- */

START_TEST(who_is_too_late)
{
	static struct circuit of;
	usec now = 100 * USEC_SEC;

	ck_assert(!circuit_too_late(&of, now + 1, now)); /* nothing is known yet */
	circuit_served(&of, 80 * USEC_MS);
	ck_assert(circuit_too_late(&of, now + 79 * USEC_MS, now));
	ck_assert(!circuit_too_late(&of, now + 80 * USEC_MS, now));
	ck_assert(!circuit_too_late(&of, 0, now)); /* it has no deadline */
	ck_assert(circuit_too_late(&of, now - 1, now));
	for (unsigned i = 0; i < 100; i++)
		circuit_served(&of, 10 * USEC_MS);
	ck_assert(!circuit_too_late(&of, now + 12 * USEC_MS, now));
	ck_assert(circuit_too_late(&of, now + 8 * USEC_MS, now));
	circuit_reset(&of);
	ck_assert(!circuit_too_late(&of, now, now));
}
END_TEST

/* As many names as there are circuits have one each, though their hashes collide; more have none. */
START_TEST(each_key_has_a_circuit_of_its_own)
{
	static struct circuit all[CIRCUIT_KEYS];
	struct circuit *keyed[CIRCUIT_KEYS], *had[CIRCUIT_KEYS];
	char name[200];

	for (unsigned i = 0; i < CIRCUIT_KEYS; i++)
		keyed[i] = &all[i];
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < CIRCUIT_KEYS; i++) {
			snprintf(name, sizeof(name), "\"urn:action-%u\"", i);
			struct circuit *one = circuit_of_key(keyed, str_of(name));
			ck_assert_ptr_nonnull(one);
			ck_assert_str_eq(circuit_label(one), name);
			if (round)
				ck_assert_ptr_eq(one, had[i]);
			had[i] = one;
		}
	}
	ck_assert_ptr_null(circuit_of_key(keyed, STR("\"urn:one-more\"")));
}
END_TEST

START_TEST(long_keys_are_told_apart_by_their_beginning)
{
	static struct circuit all[CIRCUIT_KEYS];
	struct circuit *keyed[CIRCUIT_KEYS];
	char name[200];

	for (unsigned i = 0; i < CIRCUIT_KEYS; i++)
		keyed[i] = &all[i];
	memset(name, 'a', sizeof(name));
	struct circuit *one = circuit_of_key(keyed, str_make(name, 150));
	ck_assert_uint_eq(strlen(circuit_label(one)), CIRCUIT_LABEL - 1);
	ck_assert_ptr_eq(circuit_of_key(keyed, str_make(name, 200)), one);
	ck_assert_ptr_ne(circuit_of_key(keyed, str_make(name, 90)), one);
}
END_TEST

START_TEST(retries_are_a_share_of_calls)
{
	struct budget_policy p = { .percent = 20, .per_second = 10, .bucket = SEC, .on = true };
	usec now = 100 * SEC;
	unsigned retries = 0;
	memset(&c, 0, sizeof(c));
	for (int k = 0; k < 60000; k++, now += MS) { /* 1,000 a second, each wants a retry */
		window_add(&c.breaker.counts, CIRCUIT_REQUEST, SEC, now);
		retries += circuit_may_retry(&c, &p, now);
	}
	ck_assert_uint_ge(retries, 60000 / 5);
	ck_assert_uint_le(retries, 60000 / 5 + 60 * 10 + 200);
}
END_TEST

START_TEST(few_calls_may_always_be_retried)
{
	struct budget_policy p = { .percent = 20, .per_second = 10, .bucket = SEC, .on = true };
	memset(&c, 0, sizeof(c));
	for (int k = 0; k < 50; k++)
		ck_assert(circuit_may_retry(&c, &p, 100 * SEC));
}
END_TEST

/* --- latencies --------------------------------------------------------------------------------------------------------------------- */

START_TEST(quantiles_within_a_bin)
{
	struct latency_view v;
	memset(&c, 0, sizeof(c));
	for (usec us = 1; us <= 100000; us++)
		latencies_add(&c.latencies, us, 100 * SEC);
	latencies_look(&c.latencies, 100 * SEC, &v);
	ck_assert_uint_eq(v.n, 100000);
	static const unsigned permille[] = { 100, 250, 500, 900, 990 };
	for (size_t i = 0; i < 5; i++) {
		double want = permille[i] * 100.0, got = (double)latency_quantile(&v, permille[i]);
		ck_assert_msg(got > want * 0.85 && got < want * 1.15, "p%u: %f", permille[i], got);
	}
	ck_assert_uint_gt(v.mean, 45000);
	ck_assert_uint_lt(v.mean, 55000);
	latencies_look(&c.latencies, 161 * SEC, &v);
	ck_assert_uint_eq(v.n, 0);
	ck_assert_uint_eq(latency_quantile(&v, 500), 0);
}
END_TEST

START_TEST(latencies_beyond_all_bins)
{
	struct latency_view v;
	memset(&c, 0, sizeof(c));
	latencies_add(&c.latencies, 0, SEC);
	latencies_add(&c.latencies, USEC_NEVER - 1, SEC);
	latencies_look(&c.latencies, SEC, &v);
	ck_assert_uint_eq(v.n, 2);
	ck_assert_uint_eq(v.bins[0], 1);
	ck_assert_uint_eq(v.bins[LATENCY_BINS - 1], 1);
}
END_TEST

/* --- the adaptive limit ------------------------------------------------------------------------------------------------------------- */

/* A server that takes `places` calls at a time for `work` each; what is more waits there. Offered twice what it can do, the limiter
 * must keep it busy without its queue growing. */
static double goodput(unsigned places, usec work, usec until, uint32_t *limit, double *latency)
{
	static struct limiter l; /* aligned as its type asks, which a frame of Check's is not */
	usec free_at[64] = { 0 }, done[4096];
	unsigned under_way = 0, served = 0;
	double sum = 0;
	memset(&l, 0, sizeof(l));
	for (usec now = 10 * SEC, end = now + until; now < end; now += work / places / 2) {
		for (unsigned i = 0; i < under_way;) {
			if (done[i] > now) {
				i++;
				continue;
			}
			done[i] = done[--under_way];
		}
		if (under_way >= limiter_limit(&l))
			continue;
		unsigned first = 0;
		for (unsigned i = 1; i < places; i++)
			if (free_at[i] < free_at[first])
				first = i;
		usec start = free_at[first] > now ? free_at[first] : now;
		free_at[first] = start + work;
		done[under_way++] = start + work;
		limiter_report(&l, start + work - now, under_way, now);
		if (now > end - until / 2) {
			served++;
			sum += (double)(start + work - now);
		}
	}
	*limit = limiter_limit(&l);
	*latency = served ? sum / served : 0;
	return served / ((double)(until / 2) / (double)work * places);
}

START_TEST(the_limit_finds_the_capacity)
{
	static const unsigned places[] = { 2, 8, 32 };
	uint32_t limit;
	double latency, good = goodput(places[_i], 10 * MS, 60 * SEC, &limit, &latency);
	ck_assert_msg(good >= 0.9, "goodput %.2f of the capacity, limit %u", good, limit);
	ck_assert_msg(latency <= 3 * 10000.0 + 30000.0 / places[_i] * 4, "latency %.0f us, limit %u", latency, limit);
}
END_TEST

START_TEST(drops_shrink_it_and_quiet_keeps_it)
{
	static struct limiter l;
	usec now = SEC;
	memset(&l, 0, sizeof(l));
	for (int k = 0; k < 100; k++, now += 20 * MS)
		limiter_report(&l, MS, 1, now);
	ck_assert_uint_eq(limiter_limit(&l), LIMITER_START); /* one call at a time needs no more */
	for (int k = 0; k < 100; k++, now += 20 * MS) {
		limiter_drop(&l, now);
		limiter_report(&l, MS, 1, now);
	}
	ck_assert_uint_lt(limiter_limit(&l), LIMITER_START / 2);
	ck_assert_uint_ge(limiter_limit(&l), LIMITER_MIN);
}
END_TEST

Suite *suite_circuit(void);
Suite *suite_circuit(void)
{
	Suite *s = suite_create("circuit");
	TCase *t = tcase_create("all");
	tcase_add_test(t, window_counts_ten_buckets);
	tcase_add_test(t, window_from_the_first_microsecond);
	tcase_add_test(t, window_of_threads_is_exact);
	tcase_add_test(t, a_limit_holds_over_threads);
	tcase_add_test(t, observe_counts_and_lets_in);
	tcase_add_test(t, a_peak_lasts_ten_seconds);
	tcase_add_test(t, who_is_too_late);
	tcase_add_test(t, each_key_has_a_circuit_of_its_own);
	tcase_add_test(t, long_keys_are_told_apart_by_their_beginning);
	tcase_add_test(t, retries_are_a_share_of_calls);
	tcase_add_test(t, few_calls_may_always_be_retried);
	tcase_add_test(t, quantiles_within_a_bin);
	tcase_add_test(t, latencies_beyond_all_bins);
	tcase_add_loop_test(t, the_limit_finds_the_capacity, 0, 3);
	tcase_add_test(t, drops_shrink_it_and_quiet_keeps_it);
	suite_add_tcase(s, t);
	return s;
}
