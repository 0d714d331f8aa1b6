/* proxy/balance: panic, slow start, the hash ring, /explain; what is not available gets nothing. Fixed seeds. */
#include "balance_fixture.h"

#include "base/mem.h"

static struct fleet f;

/* --- health ------------------------------------------------------------------------------------------------------------ */

START_TEST(held_endpoints_get_nothing)
{
	static const unsigned holds[] = { BALANCE_HOLD_REGISTRY, BALANCE_HOLD_CHECK, BALANCE_HOLD_DRAINED,
		BALANCE_HOLD_GONE };
	fleet_make(&f, 10, (enum balance_policy)_i);
	for (uint32_t i = 0; i < 4; i++)
		fleet_hold(&f, i, holds[i], true);
	fleet_picks(&f, 20000);
	ck_assert_double_eq(fleet_sum(&f, 0, 4), 0);
	for (uint32_t i = 4; i < 10; i++)
		ck_assert_uint_gt(f.hits[i], 2000);
	for (uint32_t i = 0; i < 4; i++)
		fleet_hold(&f, i, BALANCE_HOLDS, false);
	fleet_picks(&f, 20000);
	for (uint32_t i = 0; i < 10; i++)
		ck_assert_uint_gt(f.hits[i], 1000);
	fleet_free(&f);
}
END_TEST

START_TEST(the_last_available_one_is_found_among_a_thousand)
{
	fleet_init(&f, 1000, (enum balance_policy)_i);
	f.o.panic = 0;
	fleet_build(&f);
	for (uint32_t i = 0; i < 1000; i++)
		if (i != 617)
			fleet_hold(&f, i, i % 2 ? BALANCE_HOLD_CHECK : BALANCE_HOLD_DRAINED, true);
	fleet_picks(&f, 1000);
	ck_assert_uint_eq(f.hits[617], 1000);
	fleet_hold(&f, 617, BALANCE_HOLD_CHECK, true);
	struct balance_ticket t = fleet_pick(&f, &NOBODY);
	ck_assert_uint_eq(t.index, BALANCE_NONE);
	ck_assert_int_eq(t.why, BALANCE_NONE_AVAILABLE);
	fleet_free(&f);
}
END_TEST

START_TEST(panic_ignores_checks_but_no_hand)
{
	fleet_make(&f, 10, (enum balance_policy)_i);
	fleet_hold(&f, 0, BALANCE_HOLD_DRAINED, true);
	fleet_hold(&f, 1, BALANCE_HOLD_REGISTRY, true);
	for (uint32_t i = 2; i < 6; i++) /* 4 of the 8 that count */
		fleet_hold(&f, i, BALANCE_HOLD_CHECK, true);
	fleet_picks(&f, 10000);
	ck_assert_double_eq(fleet_sum(&f, 0, 6), 0);
	fleet_hold(&f, 6, BALANCE_HOLD_CHECK, true);
	fleet_picks(&f, 10000);
	ck_assert_double_eq(fleet_sum(&f, 0, 2), 0);
	for (uint32_t i = 2; i < 10; i++)
		ck_assert_uint_gt(f.hits[i], 700);
	fleet_hold(&f, 2, BALANCE_HOLD_CHECK, false);
	fleet_picks(&f, 10000);
	ck_assert_double_eq(fleet_sum(&f, 3, 7), 0);
	fleet_free(&f);
}
END_TEST

/* A new endpoint may start down until its first check passes, unless none other is left. */
START_TEST(an_only_endpoint_is_used_whatever_its_check_says)
{
	fleet_make(&f, 1, BALANCE_PEAK_EWMA);
	fleet_hold(&f, 0, BALANCE_HOLD_CHECK, true);
	ck_assert_uint_eq(fleet_pick(&f, &NOBODY).index, 0);
	fleet_free(&f);
}
END_TEST

START_TEST(no_endpoints)
{
	fleet_make(&f, 0, (enum balance_policy)_i);
	ck_assert_uint_eq(fleet_pick(&f, &NOBODY).index, BALANCE_NONE);
	ck_assert_int_eq(fleet_pick(&f, &NOBODY).why, BALANCE_NO_ENDPOINTS);
	fleet_free(&f);
}
END_TEST

/* --- slow start -------------------------------------------------------------------------------------------------------- */

START_TEST(a_new_endpoint_grows_into_its_share)
{
	double before = 0;
	fleet_init(&f, 10, (enum balance_policy)_i);
	f.o.slow_start = 10 * USEC_SEC;
	fleet_build(&f);
	fleet_hold(&f, 3, BALANCE_HOLD_CHECK, true);
	usec begun = f.now;
	outlier_hold(&f.cells[3], &f.tally, BALANCE_HOLD_CHECK, false, true, begun);
	for (usec at = 1; at <= 11; at += 2) {
		f.now = begun + at * USEC_SEC;
		fleet_picks(&f, 100000);
		double share = f.hits[3] / 10000.0, part = at < 10 ? at / 10.0 : 1; /* of its usual tenth */
		double want = part * 10 / (9 + part); /* it is thinned, and the others get what it refuses */
		if (at > 1)
			ck_assert_msg(share > want * 0.8 && share < want * 1.2,
				"%.2f after %d s, %.2f expected", share, (int)at, want);
		ck_assert_double_gt(share, before);
		before = share;
	}
	ck_assert_double_gt(before, 0.95);
	fleet_free(&f);
}
END_TEST

START_TEST(all_new_endpoints_share_equally)
{
	fleet_init(&f, 5, BALANCE_ROUND_ROBIN);
	f.o.slow_start = 10 * USEC_SEC;
	fleet_build(&f);
	for (uint32_t i = 0; i < 5; i++)
		f.cells[i].ready = f.now;
	fleet_picks(&f, 10000);
	ck_assert_uint_eq(f.nobody, 0);
	for (uint32_t i = 0; i < 5; i++)
		fleet_expect(&f, i, 2000, 15);
	fleet_free(&f);
}
END_TEST

/* --- ring -------------------------------------------------------------------------------------------------------------- */

#define KEYS 20000u

static uint64_t key(uint32_t k)
{
	return balance_id((const char *)&k, sizeof(k));
}

static uint32_t owner(uint32_t k)
{
	struct balance_request q = { .has_hash = true, .hash = key(k) };

	return fleet_pick(&f, &q).index;
}

START_TEST(ring_shares_and_stays)
{
	fleet_make(&f, 20, BALANCE_RING_HASH);
	for (uint32_t k = 0; k < KEYS; k++) {
		uint32_t i = owner(k);
		f.hits[i]++;
		ck_assert_uint_eq(owner(k), i);
	}
	for (uint32_t i = 0; i < 20; i++) /* deviation an eighth */
		fleet_expect(&f, i, KEYS / 20.0, 45);
	fleet_free(&f);
}
END_TEST

/* Another agent has them in another order, with other slots: the same key, the same address. */
START_TEST(ring_is_the_same_everywhere)
{
	static const char *names[KEYS];
	fleet_make(&f, 30, BALANCE_RING_HASH);
	for (uint32_t k = 0; k < KEYS; k++)
		names[k] = f.text[owner(k)];
	for (uint32_t i = 0; i < 30; i++) {
		f.m[i].text = str_of(f.text[29 - i]);
		f.m[i].tier = (uint8_t)(i % 3);
	}
	fleet_build(&f);
	for (uint32_t k = 0; k < KEYS; k++)
		ck_assert_ptr_eq(f.m[owner(k)].text.p, names[k]);
	fleet_free(&f);
}
END_TEST

START_TEST(ring_moves_few_keys)
{
	static uint32_t owners[KEYS];
	uint32_t n = 50, moved = 0;
	fleet_make(&f, n, BALANCE_RING_HASH);
	for (uint32_t k = 0; k < KEYS; k++)
		owners[k] = owner(k);
	f.n = n - 1; /* the last one leaves */
	fleet_build(&f);
	for (uint32_t k = 0; k < KEYS; k++) {
		uint32_t now = owner(k);
		if (owners[k] != n - 1)
			ck_assert_uint_eq(now, owners[k]); /* only the keys of the one that left move */
		else
			ck_assert_uint_ne(now, n - 1);
		moved += now != owners[k];
	}
	ck_assert_uint_gt(moved, 0);
	ck_assert_double_lt(moved, 1.3 * KEYS / n);
	fleet_free(&f);
}
END_TEST

/* What is down is walked past: its keys go to several others, and come back. */
START_TEST(ring_walks_past_what_is_down)
{
	static uint32_t owners[KEYS];
	uint32_t moved_to[10] = { 0 }, heirs = 0;
	fleet_make(&f, 10, BALANCE_RING_HASH);
	for (uint32_t k = 0; k < KEYS; k++)
		owners[k] = owner(k);
	fleet_hold(&f, 4, BALANCE_HOLD_CHECK, true);
	for (uint32_t k = 0; k < KEYS; k++) {
		uint32_t now = owner(k);
		ck_assert_uint_ne(now, 4);
		ck_assert(owners[k] == 4 || now == owners[k]);
		moved_to[now] += owners[k] == 4;
	}
	for (uint32_t i = 0; i < 10; i++)
		heirs += moved_to[i] > 0;
	ck_assert_uint_ge(heirs, 7);
	fleet_hold(&f, 4, BALANCE_HOLD_CHECK, false);
	for (uint32_t k = 0; k < KEYS; k++)
		ck_assert_uint_eq(owner(k), owners[k]);
	fleet_free(&f);
}
END_TEST

START_TEST(ring_weights)
{
	fleet_init(&f, 20, BALANCE_RING_HASH);
	for (uint32_t i = 0; i < 10; i++)
		f.m[i].weight = 300;
	fleet_build(&f);
	for (uint32_t k = 0; k < KEYS; k++)
		f.hits[owner(k)]++;
	ck_assert_double_eq_tol(fleet_sum(&f, 0, 10) / KEYS, 0.75, 0.05);
	fleet_free(&f);
}
END_TEST

START_TEST(ring_bounds_a_hot_key)
{
	fleet_init(&f, 10, BALANCE_RING_HASH);
	f.o.bound = 150;
	fleet_build(&f);
	struct balance_request q = { .has_hash = true, .hash = key(1) };
	for (uint32_t k = 0; k < 100; k++)
		balance_start(&f.spec, &f.part, fleet_pick(&f, &q), f.now);
	for (uint32_t i = 0; i < 10; i++)
		ck_assert_uint_le(f.stats[i].in_flight, 15);
	fleet_free(&f);
}
END_TEST

/* Rings and cookies of agents that are not of one version must agree. */
START_TEST(identities_never_change)
{
	ck_assert_uint_eq(balance_id("10.0.0.5:8080", 13), 0x3856026cf745109fu);
	ck_assert_uint_eq(balance_id("[fd00::1]:80", 12), 0x13c08df94c09fa8u);
}
END_TEST

/* Also where points of two endpoints have one hash, some times among 262,144: another agent knows another order. */
START_TEST(large_rings_are_the_same_everywhere)
{
	static struct balance_member m[BALANCE_ENDPOINTS_MAX];
	static char text[BALANCE_ENDPOINTS_MAX][24];
	struct balance_spec s[2];
	uint32_t n = BALANCE_ENDPOINTS_MAX, ties = 0;
	fleet_init(&f, 1, BALANCE_RING_HASH);
	for (unsigned k = 0; k < 2; k++) {
		for (uint32_t i = 0; i < n; i++) {
			uint32_t at = k ? n - 1 - i : i;
			snprintf(text[at], sizeof(text[at]), "10.1.%u.%u:80", at / 256, at % 256);
			m[i] = (struct balance_member){
				.text = str_of(text[at]), .weight = 100, .cell = &f.cells[0]
			};
		}
		ck_assert(balance_build(&f.arena, &f.o, m, n, &f.tally, &s[k]));
	}
	const struct balance_ring *a = &s[0].sets[0].ring, *b = &s[1].sets[0].ring;
	ck_assert_uint_eq(a->n, n * BALANCE_POINTS_FEW);
	ck_assert_uint_eq(b->n, a->n);
	for (uint32_t i = 0; i < a->n; i++) {
		ck_assert_uint_eq(a->points[i].index, n - 1 - b->points[i].index);
		ck_assert(i == 0 || a->points[i - 1].hash <= a->points[i].hash);
		ties += i && a->points[i - 1].hash == a->points[i].hash;
	}
	ck_assert_uint_gt(ties, 0);
	ck_assert_uint_eq(balance_find(&s[0], balance_id(text[77], strlen(text[77]))), 77);
	fleet_free(&f);
}
END_TEST

/* --- building, explaining ---------------------------------------------------------------------------------------------- */

START_TEST(building_survives_short_memory)
{
	struct balance_spec s;
	unsigned failed = 0;
	fleet_init(&f, 200, BALANCE_RING_HASH);
	for (uint32_t i = 0; i < 200; i++)
		f.m[i].weight = i + 1;
	for (unsigned long k = 1; k < 50; k++) {
		arena_reset(&f.arena);
		mem_fail_at(k);
		bool ok = balance_build(&f.arena, &f.o, f.m, 200, &f.tally, &s);
		mem_fail_at(0);
		if (ok)
			break;
		failed++;
	}
	ck_assert_uint_gt(failed, 3);
	ck_assert_uint_lt(failed, 49);
	struct arena small;
	for (size_t max = 64; max < 60000; max += 997) {
		arena_init(&small, max, NULL, 0);
		(void)balance_build(&small, &f.o, f.m, 200, &f.tally, &s);
		arena_release(&small);
	}
	fleet_free(&f);
}
END_TEST

START_TEST(building_refuses_nonsense)
{
	struct balance_spec s;
	fleet_init(&f, 3, BALANCE_RANDOM);
	f.m[1].set = 1;
	ck_assert(!balance_build(&f.arena, &f.o, f.m, 3, &f.tally, &s));
	f.m[1].set = 0;
	f.m[1].tier = BALANCE_TIERS;
	ck_assert(!balance_build(&f.arena, &f.o, f.m, 3, &f.tally, &s));
	f.m[1].tier = 0;
	f.o.n_sets = BALANCE_SETS_MAX + 1;
	ck_assert(!balance_build(&f.arena, &f.o, f.m, 3, &f.tally, &s));
	fleet_free(&f);
}
END_TEST

START_TEST(explains_candidates)
{
	static const uint8_t excluded[] = { BALANCE_CANDIDATE, BALANCE_DRAINED, BALANCE_DOWN_REGISTRY,
		BALANCE_DOWN_CHECK, BALANCE_TRIED, BALANCE_CANDIDATE };
	struct balance_candidate c;
	struct balance_census census;
	struct balance_request q = { .n_tried = 1, .tried = { 4 } };
	fleet_make(&f, 6, BALANCE_PEAK_EWMA);
	fleet_hold(&f, 1, BALANCE_HOLD_DRAINED | BALANCE_HOLD_CHECK, true);
	fleet_hold(&f, 2, BALANCE_HOLD_REGISTRY, true);
	fleet_hold(&f, 3, BALANCE_HOLD_CHECK, true);
	struct balance_ticket t = { .index = 0 };
	balance_start(&f.spec, &f.part, t, f.now);
	fleet_end(&f, t, BALANCE_OK, 4000);
	balance_start(&f.spec, &f.part, t, f.now);
	balance_count(&f.spec, &census);
	ck_assert_uint_eq(census.pickable, 4);
	ck_assert_uint_eq(census.available, 3);
	for (uint32_t i = 0; i < 6; i++) {
		balance_explain(&f.spec, &f.part, &census, &q, i, f.now, &c);
		ck_assert_str_eq(balance_excluded_name(c.excluded), balance_excluded_name(excluded[i]));
		ck_assert_uint_eq(c.weight, 100);
		ck_assert_uint_eq(c.warm, 100);
		ck_assert_uint_eq(c.in_flight, i == 0);
		ck_assert_float_eq_tol(c.cost, 4000, 1);
		ck_assert_float_eq_tol(c.score, i == 0 ? 8000 : 0, 2); /* never measured: the next request finds out */
	}
	fleet_free(&f);
}
END_TEST

Suite *suite_balance_health(void)
{
	Suite *s = suite_create("balance_health");
	TCase *tc = tcase_create("balance_health");

	tcase_add_loop_test(tc, held_endpoints_get_nothing, 0, BALANCE_POLICIES);
	tcase_add_loop_test(tc, the_last_available_one_is_found_among_a_thousand, 0, BALANCE_POLICIES);
	tcase_add_loop_test(tc, panic_ignores_checks_but_no_hand, 0, BALANCE_POLICIES);
	tcase_add_test(tc, an_only_endpoint_is_used_whatever_its_check_says);
	tcase_add_loop_test(tc, no_endpoints, 0, BALANCE_POLICIES);
	tcase_add_loop_test(tc, a_new_endpoint_grows_into_its_share, 0, BALANCE_POLICIES);
	tcase_add_test(tc, all_new_endpoints_share_equally);
	tcase_add_test(tc, ring_shares_and_stays);
	tcase_add_test(tc, ring_is_the_same_everywhere);
	tcase_add_test(tc, ring_moves_few_keys);
	tcase_add_test(tc, ring_walks_past_what_is_down);
	tcase_add_test(tc, ring_weights);
	tcase_add_test(tc, ring_bounds_a_hot_key);
	tcase_add_test(tc, identities_never_change);
	tcase_add_test(tc, large_rings_are_the_same_everywhere);
	tcase_add_test(tc, building_survives_short_memory);
	tcase_add_test(tc, building_refuses_nonsense);
	tcase_add_test(tc, explains_candidates);
	suite_add_tcase(s, tc);
	return s;
}
