/* proxy/balance: how each policy spreads requests, by weight, tier, set, health and load. Fixed seeds. */
#include "balance_fixture.h"

static struct fleet f;

/* Chi-square of equal shares over n endpoints; its mean is n - 1, its deviation sqrt(2 (n - 1)). */
static double chi_square(uint32_t n, double total)
{
	double sum = 0, expected = total / n;

	for (uint32_t i = 0; i < n; i++)
		sum += (f.hits[i] - expected) * (f.hits[i] - expected) / expected;
	return sum;
}

/* --- shares -------------------------------------------------------------------------------------------------------- */

static const enum balance_policy drawing[] = { BALANCE_PEAK_EWMA, BALANCE_LEAST_REQUEST, BALANCE_RANDOM,
	BALANCE_RING_HASH };

START_TEST(idle_endpoints_share_equally)
{
	fleet_make(&f, 20, drawing[_i]);
	fleet_picks(&f, 100000);
	ck_assert_double_lt(chi_square(20, 100000), 19 + 4 * 6.2);
	fleet_free(&f);
}
END_TEST

START_TEST(round_robin_goes_in_turn)
{
	fleet_make(&f, 7, BALANCE_ROUND_ROBIN);
	uint32_t first = fleet_pick(&f, &NOBODY).index;
	for (uint32_t k = 1; k < 50; k++)
		ck_assert_uint_eq(fleet_pick(&f, &NOBODY).index, (first + k) % 7);
	fleet_free(&f);
}
END_TEST

START_TEST(round_robin_begins_anywhere)
{
	uint32_t seen = 0;
	fleet_make(&f, 5, BALANCE_ROUND_ROBIN);
	for (uint32_t k = 0; k < 100; k++) {
		balance_part_init(&f.part, f.stats, &f.rng);
		seen |= 1u << fleet_pick(&f, &NOBODY).index;
	}
	ck_assert_uint_eq(seen, 31);
	fleet_free(&f);
}
END_TEST

static const enum balance_policy weighted[] = { BALANCE_PEAK_EWMA, BALANCE_LEAST_REQUEST, BALANCE_RANDOM,
	BALANCE_ROUND_ROBIN };

START_TEST(idle_endpoints_share_by_weight)
{
	static const uint32_t weights[] = { 1, 100, 200, 1000, 3699 };
	fleet_init(&f, 5, weighted[_i]);
	for (uint32_t i = 0; i < 5; i++)
		f.m[i].weight = weights[i];
	fleet_build(&f);
	fleet_picks(&f, 500000);
	for (uint32_t i = 1; i < 5; i++)
		fleet_expect(&f, i, weights[i] * 100, 5);
	if (weighted[_i] == BALANCE_PEAK_EWMA || weighted[_i] == BALANCE_LEAST_REQUEST)
		ck_assert_uint_gt(
			f.hits[0], 0); /* two different ones are compared: a tie lets the first stand */
	else
		fleet_expect(&f, 0, 100, 40);
	fleet_free(&f);
}
END_TEST

/* Also when many requests are under way: in flight grows as the weights do. */
START_TEST(busy_endpoints_share_by_weight)
{
	fleet_init(&f, 4, BALANCE_LEAST_REQUEST);
	for (uint32_t i = 0; i < 4; i++)
		f.m[i].weight = (i + 1) * 100;
	fleet_build(&f);
	for (uint32_t k = 0; k < 2000; k++)
		balance_start(&f.spec, &f.part, fleet_pick(&f, &NOBODY), f.now);
	for (uint32_t i = 0; i < 4; i++) {
		double want = 200.0 * (i + 1), got = f.stats[i].in_flight;
		ck_assert_msg(got > want * 0.9 && got < want * 1.1, "%u has %.0f in flight, %.0f expected", i,
			got, want);
	}
	fleet_free(&f);
}
END_TEST

/* A turn of weight 3 of 10 comes every third or fourth time, never in clumps. */
START_TEST(weighted_round_robin_is_smooth)
{
	static const uint32_t weights[] = { 500, 300, 200 };
	uint32_t last[3] = { 0 }, longest[3] = { 0 };
	fleet_init(&f, 3, BALANCE_ROUND_ROBIN);
	for (uint32_t i = 0; i < 3; i++)
		f.m[i].weight = weights[i];
	fleet_build(&f);
	for (uint32_t k = 1; k <= 10000; k++) {
		uint32_t i = fleet_pick(&f, &NOBODY).index;
		longest[i] = k - last[i] > longest[i] ? k - last[i] : longest[i];
		last[i] = k;
		f.hits[i]++;
	}
	for (uint32_t i = 0; i < 3; i++) {
		fleet_expect(&f, i, weights[i] * 10, 1);
		ck_assert_uint_le(longest[i], 2 * 1000 / weights[i] + 1);
	}
	fleet_free(&f);
}
END_TEST

START_TEST(least_request_fills_evenly)
{
	fleet_make(&f, 10, BALANCE_LEAST_REQUEST);
	for (uint32_t k = 0; k < 1000; k++)
		balance_start(&f.spec, &f.part, fleet_pick(&f, &NOBODY), f.now);
	for (uint32_t i = 0; i < 10; i++) { /* random would be 100 ± 30 */
		ck_assert_uint_ge(f.stats[i].in_flight, 95);
		ck_assert_uint_le(f.stats[i].in_flight, 105);
	}
	fleet_free(&f);
}
END_TEST

/* --- latency -------------------------------------------------------------------------------------------------------- */

static void serve(uint32_t k, uint32_t slow_from, usec fast, usec slow)
{
	memset(f.hits, 0, sizeof(f.hits));
	while (k--) {
		struct balance_ticket t = fleet_pick(&f, &NOBODY);
		balance_start(&f.spec, &f.part, t, f.now);
		f.hits[t.index]++;
		f.now += USEC_MS;
		fleet_end(&f, t, BALANCE_OK, t.index >= slow_from ? slow : fast);
	}
}

START_TEST(peak_ewma_avoids_slow_endpoints)
{
	fleet_make(&f, 8, BALANCE_PEAK_EWMA);
	serve(1000, 6, 2 * USEC_MS, 20 * USEC_MS);
	serve(20000, 6, 2 * USEC_MS, 20 * USEC_MS);
	ck_assert_double_lt(fleet_sum(&f, 6, 8),
		20000 * 0.09); /* two of eight; never two slow ones but by chance: 1 of 28 */
	ck_assert_double_gt(fleet_sum(&f, 6, 8), 0);
	for (uint32_t i = 0; i < 6; i++)
		fleet_expect(&f, i, 20000.0 / 6, 15);
	fleet_free(&f);
}
END_TEST

START_TEST(peak_rises_at_once_and_sinks_slowly_to_the_mean)
{
	struct balance_census census;
	struct balance_candidate c;
	fleet_make(&f, 2, BALANCE_PEAK_EWMA);
	struct balance_ticket t[2] = { { .index = 0 }, { .index = 1 } };
	for (int k = 0; k < 500; k++)
		for (int i = 0; i < 2; i++) {
			balance_start(&f.spec, &f.part, t[i], f.now);
			fleet_end(&f, t[i], BALANCE_OK, 10 * USEC_MS);
		}
	balance_start(&f.spec, &f.part, t[1], f.now);
	fleet_end(&f, t[1], BALANCE_OK, 1000 * USEC_MS);
	balance_count(&f.spec, &census);
	float before = 1e9f;
	for (usec at = 0; at <= 100; at += 10) {
		balance_explain(&f.spec, &f.part, &census, NULL, 1, f.now + at * USEC_SEC, &c);
		if (at == 0)
			ck_assert_float_eq_tol(c.cost, 1000e3f, 1.0f);
		if (at == 10) /* one time constant */
			ck_assert_float_eq_tol(c.cost, 368e3f, 15e3f);
		ck_assert_float_le(c.cost, before);
		ck_assert_float_ge(c.cost, 10e3f); /* silence makes it average, never fast */
		before = c.cost;
	}
	ck_assert_float_lt(before, 40e3f);
	fleet_free(&f);
}
END_TEST

/* One request a second, 5 to 15 ms; returns how many of n went to endpoint 0, where they take `slow` unless that is 0. */
static unsigned trickle(unsigned n, usec slow)
{
	unsigned met = 0;

	for (unsigned k = 0; k < n; k++) {
		struct balance_ticket t = fleet_pick(&f, &NOBODY);
		usec latency = t.index == 0 && slow ? slow : 5 * USEC_MS + rng_below(&f.rng, 10 * USEC_MS);
		met += t.index == 0;
		balance_start(&f.spec, &f.part, t, f.now);
		f.now += latency;
		fleet_end(&f, t, BALANCE_OK, latency);
		f.now += USEC_SEC - latency;
	}
	return met;
}

START_TEST(at_low_rates_one_slow_answer_is_soon_forgotten)
{
	unsigned away = 0;

	fleet_make(&f, 3, BALANCE_PEAK_EWMA);
	trickle(300, 0);
	while (trickle(1, 500 * USEC_MS) == 0) /* a collection of garbage */
		;
	while (trickle(1, 0) == 0)
		ck_assert_uint_lt(away++,
			90); /* 50 times the mean fade in four time constants of 10 s, then a turn comes up */
	ck_assert_uint_gt(trickle(300, 0), 300 / 6);
	fleet_free(&f);
}
END_TEST

START_TEST(at_low_rates_one_that_stays_slow_is_hardly_asked)
{
	fleet_make(&f, 3, BALANCE_PEAK_EWMA);
	trickle(300, 0);
	trickle(200, 500 * USEC_MS);
	ck_assert_uint_lt(trickle(3000, 500 * USEC_MS), 3000 / 100);
	fleet_free(&f);
}
END_TEST

static const struct {
	enum balance_policy policy;
	enum balance_outcome outcome;
} rejections[] = {
	{ BALANCE_PEAK_EWMA, BALANCE_FAILED },
	{ BALANCE_PEAK_EWMA, BALANCE_OVERLOADED },
	{ BALANCE_PEAK_EWMA, BALANCE_ERROR },
	{ BALANCE_LEAST_REQUEST, BALANCE_FAILED },
	{ BALANCE_LEAST_REQUEST, BALANCE_OVERLOADED },
};

/* 64 requests under way, 10 ms each but at endpoint 0, which refuses within 100 µs: without ejection it must get far less than
 * its share, not more. */
START_TEST(a_fast_failing_endpoint_gets_less)
{
	struct balance_ticket flying[64];
	fleet_init(&f, 5, rejections[_i].policy);
	f.o.outlier.consecutive = 0;
	fleet_build(&f);
	for (unsigned k = 0; k < 64; k++)
		flying[k].index = BALANCE_NONE;
	for (unsigned k = 0, done = 0; done < 50000; done++, k = (k + 1) % 64) {
		f.now += 10 * USEC_MS / 64;
		if (flying[k].index != BALANCE_NONE)
			fleet_end(&f, flying[k], BALANCE_OK, 10 * USEC_MS);
		for (;;) { /* refused ones come back at once */
			flying[k] = fleet_pick(&f, &NOBODY);
			balance_start(&f.spec, &f.part, flying[k], f.now);
			f.hits[flying[k].index]++;
			if (flying[k].index != 0)
				break;
			fleet_end(&f, flying[k], rejections[_i].outcome, 100);
		}
	}
	ck_assert_uint_lt(f.hits[0], 500); /* 1 %; its share would be 10,000 */
	ck_assert_uint_gt(f.hits[0], 0);
	fleet_free(&f);
}
END_TEST

START_TEST(cancelled_requests_count_nothing)
{
	fleet_make(&f, 1, BALANCE_PEAK_EWMA);
	struct balance_ticket t = fleet_attempt(&f, BALANCE_OK, 5000);
	struct balance_stat before = f.stats[0];
	balance_start(&f.spec, &f.part, t, f.now);
	f.now += USEC_SEC;
	ck_assert_int_eq(fleet_end(&f, t, BALANCE_CANCELLED, 1), OUTLIER_NOTHING);
	ck_assert_mem_eq(&f.stats[0], &before, sizeof(before));
	fleet_free(&f);
}
END_TEST

/* --- sets, tiers ----------------------------------------------------------------------------------------------------- */

static void canary(enum balance_policy policy)
{
	fleet_init(&f, 20, policy);
	f.o.n_sets = 2;
	f.o.share[0] = 500;
	for (uint32_t i = 0; i < 20; i++)
		f.m[i].set = i >= 2; /* 0 and 1 are version 2 */
	fleet_build(&f);
}

START_TEST(a_canary_gets_its_share)
{
	canary((enum balance_policy)_i);
	fleet_picks(&f, 200000);
	double share = fleet_sum(&f, 0, 2) / 200000;
	ck_assert_double_ge(share, 0.047);
	ck_assert_double_le(share, 0.053);
	fleet_free(&f);
}
END_TEST

START_TEST(a_dead_canary_leaves_its_share_to_the_rest)
{
	canary(BALANCE_PEAK_EWMA);
	fleet_hold(&f, 0, BALANCE_HOLD_CHECK, true);
	fleet_hold(&f, 1, BALANCE_HOLD_DRAINED, true);
	fleet_picks(&f, 20000);
	ck_assert_double_eq(fleet_sum(&f, 0, 2), 0);
	ck_assert_uint_eq(f.nobody, 0);
	for (uint32_t i = 2; i < 20; i++)
		fleet_expect(&f, i, 20000.0 / 18, 15);
	fleet_free(&f);
}
END_TEST

/* With a hash the same caller is always in the canary, or never. */
START_TEST(a_key_keeps_its_set)
{
	uint32_t in = 0;
	canary(BALANCE_PEAK_EWMA);
	for (uint64_t key = 1; key <= 20000; key++) {
		struct balance_request q = { .has_hash = true,
			.hash = balance_id((const char *)&key, sizeof(key)) };
		uint32_t first = fleet_pick(&f, &q).index;
		for (int k = 0; k < 3; k++)
			ck_assert_int_eq(fleet_pick(&f, &q).index < 2, first < 2);
		in += first < 2;
	}
	ck_assert_uint_ge(in, 850);
	ck_assert_uint_le(in, 1150);
	fleet_free(&f);
}
END_TEST

/* 4 on this node, 4 in this zone, 12 elsewhere. */
static void places(enum balance_policy policy)
{
	fleet_init(&f, 20, policy);
	for (uint32_t i = 0; i < 20; i++)
		f.m[i].tier = (uint8_t)(i < 4   ? BALANCE_SAME_NODE
					: i < 8 ? BALANCE_SAME_ZONE
						: BALANCE_ELSEWHERE);
	fleet_build(&f);
}

static void expect_tiers(double node, double zone, double elsewhere)
{
	ck_assert_double_eq_tol(fleet_sum(&f, 0, 4) / 100000, node, 0.01);
	ck_assert_double_eq_tol(fleet_sum(&f, 4, 8) / 100000, zone, 0.01);
	ck_assert_double_eq_tol(fleet_sum(&f, 8, 20) / 100000, elsewhere, 0.01);
}

START_TEST(near_endpoints_first_then_by_health)
{
	places((enum balance_policy)_i);
	fleet_picks(&f, 100000);
	expect_tiers(1, 0, 0);
	fleet_hold(&f, 0, BALANCE_HOLD_CHECK, true); /* 75 % × 1.4: still all */
	fleet_picks(&f, 100000);
	expect_tiers(1, 0, 0);
	fleet_hold(&f, 1, BALANCE_HOLD_CHECK, true); /* 50 % × 1.4 */
	fleet_picks(&f, 100000);
	expect_tiers(0.7, 0.3, 0);
	fleet_hold(&f, 2, BALANCE_HOLD_CHECK, true);
	for (uint32_t i = 4; i < 7; i++)
		fleet_hold(&f, i, BALANCE_HOLD_CHECK, true); /* 35 % each, the rest elsewhere */
	fleet_picks(&f, 100000);
	expect_tiers(0.35, 0.35, 0.3);
	fleet_hold(&f, 3, BALANCE_HOLD_DRAINED, true); /* nobody here, and the drained one is no part of it */
	fleet_picks(&f, 100000);
	expect_tiers(0, 0.35, 0.65);
	fleet_free(&f);
}
END_TEST

START_TEST(near_endpoints_that_are_full_spill_over)
{
	places((enum balance_policy)_i);
	for (uint32_t k = 0; k < 300; k++) {
		struct balance_ticket t = fleet_pick(&f, &NOBODY);
		if (k < 8)
			ck_assert_uint_lt(t.index, 4);
		balance_start(&f.spec, &f.part, t, f.now);
		f.hits[t.index]++;
	}
	/* One near has four times what the next tier has: 4 × 4 n + 4 n = 20 n of the first two tiers, and so on. */
	double node = fleet_sum(&f, 0, 4), zone = fleet_sum(&f, 4, 8);
	ck_assert_double_gt(zone, 15);
	ck_assert_double_gt(node / zone, 2.5);
	ck_assert_double_lt(node / zone, 5.5);
	fleet_free(&f);
}
END_TEST

/* 429 never ejects: the only near endpoint says it to everybody, and the load goes elsewhere. */
START_TEST(a_near_endpoint_that_refuses_spills_over)
{
	fleet_init(&f, 4, (enum balance_policy)_i);
	for (uint32_t i = 1; i < 4; i++)
		f.m[i].tier = BALANCE_ELSEWHERE;
	fleet_build(&f);
	for (uint32_t k = 0; k < 2000; k++) {
		struct balance_ticket t = fleet_pick(&f, &NOBODY);
		balance_start(&f.spec, &f.part, t, f.now);
		f.now += USEC_MS;
		f.hits[t.index]++;
		fleet_end(&f, t, t.index ? BALANCE_OK : BALANCE_OVERLOADED, USEC_MS);
	}
	ck_assert_uint_lt(f.hits[0], 50);
	fleet_free(&f);
}
END_TEST

/* --- sticky, tried ---------------------------------------------------------------------------------------------------- */

START_TEST(sticky_is_honoured_while_available)
{
	fleet_make(&f, 50, (enum balance_policy)_i);
	struct balance_request q = {
		.sticky = balance_id(f.text[7], strlen(f.text[7])), .has_hash = true, .hash = 99
	};
	for (int k = 0; k < 100; k++) {
		struct balance_ticket t = fleet_pick(&f, &q);
		ck_assert_uint_eq(t.index, 7);
		ck_assert_int_eq(t.why, BALANCE_BY_STICKY);
	}
	fleet_hold(&f, 7, BALANCE_HOLD_DRAINED, true);
	for (int k = 0; k < 100; k++)
		ck_assert_uint_ne(fleet_pick(&f, &q).index, 7);
	q.sticky = 12345; /* of an endpoint that left */
	ck_assert_uint_ne(fleet_pick(&f, &q).index, BALANCE_NONE);
	fleet_free(&f);
}
END_TEST

START_TEST(tried_ones_come_last)
{
	fleet_make(&f, 4, (enum balance_policy)_i);
	struct balance_request q = { .has_hash = true, .hash = 0x1234567890abcdef };
	uint32_t seen = 0;
	for (unsigned k = 0; k < 4; k++) {
		ck_assert(balance_has_other(&f.spec, &f.part, &q));
		struct balance_ticket t = fleet_pick(&f, &q);
		ck_assert_int_ne(t.why, BALANCE_BY_AGAIN);
		seen |= 1u << t.index;
		q.tried[q.n_tried++] = t.index;
	}
	ck_assert_uint_eq(seen, 15);
	ck_assert(!balance_has_other(&f.spec, &f.part, &q));
	ck_assert_int_eq(fleet_pick(&f, &q).why, BALANCE_BY_AGAIN);
	fleet_free(&f);
}
END_TEST

Suite *suite_balance(void)
{
	Suite *s = suite_create("balance");
	TCase *tc = tcase_create("balance");

	tcase_add_loop_test(tc, idle_endpoints_share_equally, 0, sizeof(drawing) / sizeof(drawing[0]));
	tcase_add_test(tc, round_robin_goes_in_turn);
	tcase_add_test(tc, round_robin_begins_anywhere);
	tcase_add_loop_test(tc, idle_endpoints_share_by_weight, 0, sizeof(weighted) / sizeof(weighted[0]));
	tcase_add_test(tc, busy_endpoints_share_by_weight);
	tcase_add_test(tc, weighted_round_robin_is_smooth);
	tcase_add_test(tc, least_request_fills_evenly);
	tcase_add_test(tc, peak_ewma_avoids_slow_endpoints);
	tcase_add_test(tc, peak_rises_at_once_and_sinks_slowly_to_the_mean);
	tcase_add_test(tc, at_low_rates_one_slow_answer_is_soon_forgotten);
	tcase_add_test(tc, at_low_rates_one_that_stays_slow_is_hardly_asked);
	tcase_add_loop_test(
		tc, a_fast_failing_endpoint_gets_less, 0, sizeof(rejections) / sizeof(rejections[0]));
	tcase_add_test(tc, cancelled_requests_count_nothing);
	tcase_add_loop_test(tc, a_canary_gets_its_share, 0, BALANCE_POLICIES);
	tcase_add_test(tc, a_dead_canary_leaves_its_share_to_the_rest);
	tcase_add_test(tc, a_key_keeps_its_set);
	tcase_add_loop_test(tc, near_endpoints_first_then_by_health, 0, BALANCE_POLICIES);
	tcase_add_loop_test(tc, near_endpoints_that_are_full_spill_over, 0, BALANCE_RING_HASH);
	tcase_add_loop_test(tc, a_near_endpoint_that_refuses_spills_over, 0, BALANCE_RING_HASH);
	tcase_add_loop_test(tc, sticky_is_honoured_while_available, 0, BALANCE_POLICIES);
	tcase_add_loop_test(tc, tried_ones_come_last, 0, BALANCE_POLICIES);
	suite_add_tcase(s, tc);
	return s;
}
