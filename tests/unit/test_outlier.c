/* proxy/outlier: ejection, penalties, the cap, and re-admission by one probe. */
#include "outlier_fixture.h"

/* --- consecutive failures ------------------------------------------------------------------------------------------------ */

START_TEST(failures_in_a_row_eject)
{
	enum outlier_verdict v;
	fleet_make(&f, 10, (enum balance_policy)_i);
	ck_assert_uint_eq(flunk(2, &v), 5);
	ck_assert_int_eq(v, OUTLIER_EJECTED);
	ck_assert_uint_eq(f.cells[2].why, OUTLIER_CONSECUTIVE);
	ck_assert_uint_eq(f.cells[2].since, f.now);
	ck_assert_uint_eq(f.tally.ejected, 1);
	f.now += 20 * USEC_MS;
	fleet_picks(&f, 5000);
	ck_assert_uint_eq(f.hits[2], 0);
	ck_assert_uint_eq(f.probes, 0);
	fleet_free(&f);
}
END_TEST

START_TEST(a_success_between_ends_the_row)
{
	static const enum balance_outcome ends[] = { BALANCE_OK, BALANCE_ERROR };
	fleet_make(&f, 3, BALANCE_RANDOM);
	for (int k = 0; k < 100; k++)
		ck_assert_int_eq(attempt(0, k % 5 == 4 ? ends[_i] : BALANCE_FAILED), OUTLIER_NOTHING);
	fleet_free(&f);
}
END_TEST

START_TEST(neither_overload_nor_leaving_callers_eject)
{
	static const enum balance_outcome harmless[] = { BALANCE_OVERLOADED, BALANCE_CANCELLED,
		BALANCE_ERROR };
	fleet_make(&f, 3, BALANCE_RANDOM);
	for (int k = 0; k < 100; k++)
		ck_assert_int_eq(attempt(0, harmless[_i]), OUTLIER_NOTHING);
	ck_assert(outlier_available(cell_word(&f.cells[0])));
	fleet_free(&f);
}
END_TEST

/* What was under way when it was ejected says nothing of what it is afterwards. */
START_TEST(outcomes_of_an_older_epoch_are_ignored)
{
	fleet_make(&f, 5, BALANCE_RANDOM);
	struct balance_ticket old = ticket(0);
	eject(0);
	uint64_t word = cell_word(&f.cells[0]);
	for (int k = 0; k < 20; k++)
		ck_assert_int_eq(
			fleet_end(&f, old, k % 2 ? BALANCE_OK : BALANCE_FAILED, USEC_MS), OUTLIER_NOTHING);
	ck_assert_uint_eq(cell_word(&f.cells[0]), word);
	struct balance_ticket t = probe(0);
	ck_assert_int_eq(fleet_end(&f, t, BALANCE_OK, USEC_MS), OUTLIER_READMITTED);
	for (int k = 0; k < 20; k++)
		ck_assert_int_eq(fleet_end(&f, old, BALANCE_FAILED, USEC_MS), OUTLIER_NOTHING);
	ck_assert(outlier_available(cell_word(&f.cells[0])));
	fleet_free(&f);
}
END_TEST

START_TEST(observing_ejects_nobody)
{
	enum outlier_verdict v;
	fleet_init(&f, 4, BALANCE_RANDOM);
	f.o.outlier.observe = true;
	fleet_build(&f);
	for (int k = 0; k < 3; k++) {
		ck_assert_uint_eq(flunk(1, &v), 5); /* said once per row */
		ck_assert_int_eq(v, OUTLIER_WOULD_EJECT);
	}
	ck_assert_uint_eq(f.tally.ejected, 0);
	fleet_free(&f);
}
END_TEST

/* --- the cap -------------------------------------------------------------------------------------------------------------- */

START_TEST(the_share_of_ejected_is_capped)
{
	static const struct {
		uint32_t n, most;
	} rows[] = { { 1, 0 }, { 2, 1 }, { 3, 1 }, { 6, 2 }, { 10, 3 }, { 100, 34 } };
	enum outlier_verdict v;
	uint32_t out = 0;
	fleet_make(&f, rows[_i].n, BALANCE_RANDOM);
	ck_assert_uint_eq(outlier_cap(&f.spec.outlier, rows[_i].n), rows[_i].most);
	for (uint32_t i = 0; i < rows[_i].n; i++) {
		flunk(i, &v);
		ck_assert_int_eq(v, out < rows[_i].most ? OUTLIER_EJECTED : OUTLIER_CAPPED);
		out += v == OUTLIER_EJECTED;
	}
	ck_assert_uint_eq(out, rows[_i].most);
	fleet_free(&f);
}
END_TEST

START_TEST(who_leaves_or_returns_makes_room)
{
	enum outlier_verdict v;
	fleet_make(&f, 3, BALANCE_RANDOM);
	eject(0);
	flunk(1, &v);
	ck_assert_int_eq(v, OUTLIER_CAPPED);
	outlier_reset(&f.cells[0], &f.tally, f.now);
	ck_assert(outlier_available(cell_word(&f.cells[0])));
	eject(1);
	fleet_end(&f, probe(1), BALANCE_OK, USEC_MS);
	eject(2);
	ck_assert_uint_eq(f.tally.ejected, 1);
	fleet_free(&f);
}
END_TEST

START_TEST(caps_at_the_edges)
{
	struct outlier_policy p = OUTLIER_DEFAULTS;
	p.max_percent = 0;
	ck_assert_uint_eq(outlier_cap(&p, 50), 0);
	p.max_percent = 100;
	ck_assert_uint_eq(outlier_cap(&p, 50), 49); /* never all */
}
END_TEST

/* --- penalties and probes -------------------------------------------------------------------------------------------------- */

START_TEST(penalties_grow_and_end)
{
	fleet_init(&f, 5, BALANCE_RANDOM);
	f.o.outlier.max = 20 * USEC_SEC;
	fleet_build(&f);
	eject(0);
	for (unsigned times = 1; times <= 80; times++) {
		double base = times * 5 < 20 ? times * 5 : 20;
		ck_assert_double_ge(sentence(0), base);
		ck_assert_double_le(sentence(0), base * 1.2 + 0.005);
		ck_assert_int_eq(fleet_end(&f, probe(0), BALANCE_FAILED, USEC_MS), OUTLIER_STAYS_OUT);
	}
	ck_assert_uint_eq(f.cells[0].why, OUTLIER_PROBE_FAILED);
	ck_assert_uint_eq(outlier_times(cell_word(&f.cells[0])), OUTLIER_TIMES_MAX);
	ck_assert_uint_eq(f.tally.ejected, 1);
	fleet_free(&f);
}
END_TEST

START_TEST(penalties_are_jittered)
{
	double least = 1e9, most = 0;
	fleet_make(&f, 100, BALANCE_RANDOM);
	for (uint32_t i = 0; i < 34; i++) {
		eject(i);
		least = sentence(i) < least ? sentence(i) : least;
		most = sentence(i) > most ? sentence(i) : most;
	}
	ck_assert_double_gt(most - least, 0.5);
	fleet_free(&f);
}
END_TEST

START_TEST(one_probe_decides)
{
	fleet_make(&f, 5, (enum balance_policy)_i);
	for (uint32_t i = 0; i < 5; i++)
		f.stats[f.m[i].slot].cost = USEC_MS; /* each was called before */
	eject(1);
	struct balance_ticket t = probe(1);
	fleet_picks(&f, 5000); /* all others stay away while the lease holds */
	ck_assert_uint_eq(f.hits[1], 0);
	ck_assert_int_eq(fleet_end(&f, t, BALANCE_OK, USEC_MS), OUTLIER_READMITTED);
	ck_assert_uint_eq(f.tally.ejected, 0);
	ck_assert_uint_eq(f.cells[1].ready, f.now); /* slow start */
	f.now += 30 * USEC_SEC;
	fleet_picks(&f, 5000);
	ck_assert_uint_gt(f.hits[1], 700);
	fleet_free(&f);
}
END_TEST

/* The only one of its tier, or of its set: nobody else's request would come past. */
START_TEST(a_lone_ejected_endpoint_is_probed_at_once)
{
	fleet_init(&f, 10, BALANCE_PEAK_EWMA);
	if (_i) {
		f.o.n_sets = 2;
		f.o.share[0] = 500;
	}
	for (uint32_t i = 1; i < 10; i++) {
		f.m[i].tier = _i ? 0 : BALANCE_ELSEWHERE;
		f.m[i].set = _i != 0;
	}
	fleet_build(&f);
	eject(0);
	f.now += USEC_SEC;
	fleet_picks(&f, 1000);
	ck_assert_uint_eq(f.hits[0], 0);
	f.now = outlier_until(cell_word(&f.cells[0])) + USEC_SEC;
	struct balance_request cookie = { .sticky = balance_id(f.text[5], strlen(f.text[5])) };
	ck_assert_uint_eq(fleet_pick(&f, &cookie).index, 5); /* a session is not torn out for it */
	struct balance_ticket t = fleet_pick(&f, &NOBODY);
	ck_assert_uint_eq(t.index, 0);
	ck_assert(t.probe);
	fleet_free(&f);
}
END_TEST

/* A key of a ring that belongs to the ejected endpoint probes it. */
START_TEST(rings_probe_too)
{
	fleet_make(&f, 5, BALANCE_RING_HASH);
	eject(3);
	f.now = outlier_until(cell_word(&f.cells[3]));
	unsigned probes = 0;
	for (uint64_t k = 0; k < 1000; k++) {
		struct balance_request q = { .has_hash = true,
			.hash = balance_id((const char *)&k, sizeof(k)) };
		probes += fleet_pick(&f, &q).probe;
	}
	ck_assert_uint_eq(probes, 1);
	fleet_free(&f);
}
END_TEST

START_TEST(a_lease_that_expires_goes_to_another)
{
	fleet_make(&f, 5, BALANCE_RANDOM);
	eject(1);
	struct balance_ticket lost = probe(1), second = probe(1); /* until is the lease's end now */
	ck_assert_int_eq(fleet_end(&f, lost, BALANCE_FAILED, USEC_MS), OUTLIER_NOTHING);
	ck_assert_int_eq(outlier_state(cell_word(&f.cells[1])), OUTLIER_TRIAL);
	ck_assert_int_eq(fleet_end(&f, second, BALANCE_OK, USEC_MS), OUTLIER_READMITTED);
	ck_assert_int_eq(fleet_end(&f, lost, BALANCE_OK, USEC_MS), OUTLIER_NOTHING);
	ck_assert_uint_eq(f.tally.ejected, 0);
	fleet_free(&f);
}
END_TEST

START_TEST(a_cancelled_probe_decides_nothing)
{
	fleet_make(&f, 5, BALANCE_RANDOM);
	eject(1);
	uint32_t times = outlier_times(cell_word(&f.cells[1]));
	ck_assert_int_eq(fleet_end(&f, probe(1), BALANCE_CANCELLED, USEC_MS), OUTLIER_NOTHING);
	ck_assert_int_eq(fleet_end(&f, probe(1), BALANCE_OVERLOADED, USEC_MS), OUTLIER_STAYS_OUT);
	ck_assert_uint_eq(outlier_times(cell_word(&f.cells[1])), times); /* busy is not worse than before */
	ck_assert_double_gt(sentence(1), 4.9);
	fleet_free(&f);
}
END_TEST

START_TEST(what_is_held_is_not_probed)
{
	fleet_make(&f, 5, BALANCE_RANDOM);
	eject(1);
	fleet_hold(&f, 1, BALANCE_HOLD_DRAINED, true);
	f.now += 60 * USEC_SEC;
	fleet_picks(&f, 2000);
	ck_assert_uint_eq(f.probes, 0);
	fleet_hold(&f, 1, BALANCE_HOLD_DRAINED, false);
	fleet_picks(&f, 2000);
	ck_assert_uint_eq(f.probes, 1);
	fleet_free(&f);
}
END_TEST

Suite *suite_outlier(void)
{
	Suite *s = suite_create("outlier");
	TCase *tc = tcase_create("outlier");

	tcase_add_loop_test(tc, failures_in_a_row_eject, 0, BALANCE_POLICIES);
	tcase_add_loop_test(tc, a_success_between_ends_the_row, 0, 2);
	tcase_add_loop_test(tc, neither_overload_nor_leaving_callers_eject, 0, 3);
	tcase_add_test(tc, outcomes_of_an_older_epoch_are_ignored);
	tcase_add_test(tc, observing_ejects_nobody);
	tcase_add_loop_test(tc, the_share_of_ejected_is_capped, 0, 6);
	tcase_add_test(tc, who_leaves_or_returns_makes_room);
	tcase_add_test(tc, caps_at_the_edges);
	tcase_add_test(tc, penalties_grow_and_end);
	tcase_add_test(tc, penalties_are_jittered);
	tcase_add_loop_test(tc, one_probe_decides, 0, BALANCE_POLICIES);
	tcase_add_loop_test(tc, a_lone_ejected_endpoint_is_probed_at_once, 0, 2);
	tcase_add_test(tc, rings_probe_too);
	tcase_add_test(tc, a_lease_that_expires_goes_to_another);
	tcase_add_test(tc, a_cancelled_probe_decides_nothing);
	tcase_add_test(tc, what_is_held_is_not_probed);
	suite_add_tcase(s, tc);
	return s;
}
