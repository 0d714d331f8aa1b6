/* proxy/outlier where several take part: threads that race for a probe, workers beside control, and sweeps over what all
 * workers counted. */
#include "outlier_fixture.h"

#include <pthread.h>

/* --- threads ----------------------------------------------------------------------------------------------------------------- */

#define THREADS 4
#define EJECTED 999u
#define PASSES 3000u

struct racer {
	pthread_t thread;
	struct balance_part part;
	struct rng rng;
	unsigned probes;
};

/* All go over the same endpoints in the same order. Whoever lags meets nothing that is due and catches up, so that those
 * that run at the same time are at the same endpoint most of the time. */
static void *race(void *arg)
{
	struct racer *r = arg;

	for (unsigned pass = 1; pass <= PASSES; pass++) {
		usec now = f.now + pass * 20 * USEC_SEC; /* due, or the lease of 10 s is over */
		uint16_t epoch;
		for (uint32_t i = 0; i < EJECTED; i++)
			r->probes += outlier_probe(&f.cells[i], &f.spec.outlier, now, &epoch);
	}
	return NULL;
}

START_TEST(exactly_one_of_many_threads_probes)
{
	static struct racer racers[THREADS];
	unsigned probes = 0;
	fleet_init(&f, EJECTED + 1, BALANCE_RANDOM);
	f.o.outlier.max_percent = 100;
	fleet_build(&f);
	for (uint32_t i = 0; i < EJECTED; i++)
		eject(i);
	for (unsigned k = 0; k < THREADS; k++)
		ck_assert_int_eq(pthread_create(&racers[k].thread, NULL, race, &racers[k]), 0);
	for (unsigned k = 0; k < THREADS; k++) {
		pthread_join(racers[k].thread, NULL);
		probes += racers[k].probes;
	}
	ck_assert_uint_eq(probes, EJECTED * PASSES);
	fleet_free(&f);
}
END_TEST

/* A worker with its own part and stats: half of the endpoints fail half of the time, control holds and releases. */
static void *work(void *arg)
{
	struct racer *r = arg;
	usec now = f.now;

	for (unsigned turn = 0; turn < 20000; turn++) {
		now += 50 * USEC_MS;
		struct balance_ticket t = balance_pick(&f.spec, &r->part, &NOBODY, now, &r->rng);
		if (t.index == BALANCE_NONE)
			continue;
		balance_start(&f.spec, &r->part, t, now);
		bool bad = t.index % 2 == 0 && rng_below(&r->rng, 2) == 0;
		balance_end(&f.spec, &r->part, t, bad ? BALANCE_FAILED : BALANCE_OK, USEC_MS, now, &r->rng);
		r->probes += t.probe;
	}
	return NULL;
}

START_TEST(workers_and_control_agree_on_who_is_out)
{
	static struct racer racers[THREADS];
	static struct balance_stat stats[THREADS][20];
	unsigned probes = 0;
	fleet_init(&f, 20, BALANCE_PEAK_EWMA);
	f.o.outlier.consecutive = 2;
	fleet_build(&f);
	for (unsigned k = 0; k < THREADS; k++) {
		rng_seed(&racers[k].rng, k);
		balance_part_init(&racers[k].part, stats[k], &racers[k].rng);
		ck_assert_int_eq(pthread_create(&racers[k].thread, NULL, work, &racers[k]), 0);
	}
	for (unsigned turn = 0; turn < 3000; turn++) {
		outlier_hold(&f.cells[turn % 20], &f.tally, BALANCE_HOLD_CHECK, turn % 3 == 0, true, f.now);
		if (turn % 50 == 0)
			outlier_reset(&f.cells[turn % 20], &f.tally, f.now);
	}
	for (unsigned k = 0; k < THREADS; k++) {
		pthread_join(racers[k].thread, NULL);
		probes += racers[k].probes;
	}
	uint32_t out = 0;
	for (uint32_t i = 0; i < 20; i++)
		out += outlier_state(cell_word(&f.cells[i])) != OUTLIER_IN;
	ck_assert_uint_eq(f.tally.ejected, out);
	ck_assert_uint_le(out, 6);
	ck_assert_uint_gt(probes, 10);
	fleet_free(&f);
}
END_TEST

/* --- sweeps ------------------------------------------------------------------------------------------------------------------ */

static struct outlier_host hosts[20];

static uint32_t sweep(uint32_t n, uint32_t total, const uint32_t failed[])
{
	for (uint32_t i = 0; i < n; i++)
		hosts[i] = (struct outlier_host){
			.cell = &f.cells[i],
			.ok = total - failed[i],
			.failed = failed[i],
			.epoch = outlier_epoch(cell_word(&f.cells[i])),
		};
	return outlier_sweep(&f.spec.outlier, &f.tally, hosts, n, f.now, &f.rng);
}

static const struct {
	const char *what;
	uint32_t n, total, failed[20], out; /* endpoints 0 … out - 1 are ejected */
} sweeps[] = {
	{ "one fails a third", 10, 300, { 100, 1, 2, 1, 3, 1, 2, 2, 1, 1 }, 1 },
	{ "alike", 10, 300, { 5, 6, 5, 4, 6, 5, 4, 6, 5, 5 }, 0 },
	{ "all bad alike", 10, 300, { 150, 160, 155, 148, 152, 149, 151, 153, 150, 150 }, 0 },
	{ "a hair worse", 10, 1000, { 9, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 0 },
	{ "too few hosts", 4, 300, { 200, 0, 0, 0 }, 0 },
	{ "too few requests", 10, 99, { 99, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 0 },
	{ "the others make no volume", 10, 100, { 90, 1, 0, 2, 1, 0, 0, 1, 1, 0 }, 1 },
};

START_TEST(success_rates)
{
	fleet_make(&f, sweeps[_i].n, BALANCE_RANDOM);
	uint32_t out = sweep(sweeps[_i].n, sweeps[_i].total, sweeps[_i].failed);
	ck_assert_msg(out == sweeps[_i].out, "%s: %u ejected", sweeps[_i].what, out);
	for (uint32_t i = 0; i < sweeps[_i].n; i++)
		ck_assert_int_eq(outlier_available(cell_word(&f.cells[i])), i >= out);
	if (out)
		ck_assert_uint_eq(f.cells[0].why, OUTLIER_SUCCESS_RATE);
	fleet_free(&f);
}
END_TEST

START_TEST(sweeps_take_the_worst_first_up_to_the_cap)
{
	static const uint32_t failed[20] = { [17] = 250, [18] = 290, [19] = 270 };
	fleet_init(&f, 20, BALANCE_RANDOM);
	f.o.outlier.max_percent = 10; /* two */
	fleet_build(&f);
	ck_assert_uint_eq(sweep(20, 300, failed), 2);
	ck_assert(!outlier_available(cell_word(&f.cells[18])));
	ck_assert(!outlier_available(cell_word(&f.cells[19])));
	ck_assert_int_eq(hosts[2].verdict, OUTLIER_CAPPED);
	fleet_free(&f);
}
END_TEST

START_TEST(sweeps_pass_over_who_changed_and_forgive_who_did_not)
{
	static const uint32_t bad[10] = { 200 }, good[10] = { 0 };
	fleet_make(&f, 10, BALANCE_RANDOM);
	eject(0);
	fleet_end(&f, probe(0), BALANCE_FAILED, USEC_MS);
	fleet_end(&f, probe(0), BALANCE_OK, USEC_MS);
	ck_assert_uint_eq(outlier_times(cell_word(&f.cells[0])), 2);
	for (uint32_t i = 0; i < 10; i++)
		hosts[i] = (struct outlier_host){ .cell = &f.cells[i], .ok = 100, .failed = bad[i] };
	ck_assert_uint_eq(outlier_sweep(&f.spec.outlier, &f.tally, hosts, 10, f.now, &f.rng),
		0); /* epoch 0: before all this */
	ck_assert_uint_eq(outlier_times(cell_word(&f.cells[0])), 2);
	for (unsigned left = 2; left > 0; left--) {
		ck_assert_uint_eq(outlier_times(cell_word(&f.cells[0])), left);
		sweep(10, 300, good);
	}
	ck_assert_uint_eq(outlier_times(cell_word(&f.cells[0])), 0);
	sweep(10, 300, good);
	ck_assert_uint_eq(outlier_times(cell_word(&f.cells[0])), 0);
	ck_assert_uint_eq(sweep(10, 300, bad), 1);
	fleet_free(&f);
}
END_TEST

START_TEST(workers_count_what_sweeps_need)
{
	fleet_make(&f, 2, BALANCE_RANDOM);
	for (int k = 0; k < 15; k++)
		attempt(0, (enum balance_outcome)(k % 5));
	ck_assert_uint_eq(f.stats[0].ok, 3);
	ck_assert_uint_eq(f.stats[0].failed, 6); /* errors and failures */
	fleet_free(&f);
}
END_TEST

Suite *suite_outlier_shared(void)
{
	Suite *s = suite_create("outlier_shared");
	TCase *tc = tcase_create("outlier_shared");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, exactly_one_of_many_threads_probes);
	tcase_add_test(tc, workers_and_control_agree_on_who_is_out);
	tcase_add_loop_test(tc, success_rates, 0, sizeof(sweeps) / sizeof(sweeps[0]));
	tcase_add_test(tc, sweeps_take_the_worst_first_up_to_the_cap);
	tcase_add_test(tc, sweeps_pass_over_who_changed_and_forgive_who_did_not);
	tcase_add_test(tc, workers_count_what_sweeps_need);
	suite_add_tcase(s, tc);
	return s;
}
