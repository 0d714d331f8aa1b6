/* control/telemetry reads the rings of workers: on a word, and once more after it found something. */
#include "base/ring.h"
#include "control/telemetry.h"
#include "proxy/worker.h"

#include <check.h>
#include <string.h>

#define LOOK (3 * TELEMETRY_EVERY) /* a timer set in a turn fires in no earlier one than the next; its wheel rounds up */

static struct loop *loop;
static struct worker *worker;
static struct telemetry *telemetry;
static unsigned n_read;

static bool who(void *arg, uint32_t slot, struct telemetry_who *ret)
{
	(void)arg, (void)slot, (void)ret;
	return true;
}

static void count(void *arg, const struct telemetry_who *of, const struct record *r, uint32_t n)
{
	(void)arg, (void)of, (void)r, (void)n;
	n_read++;
}

static void recorded(void *arg, unsigned index)
{
	(void)arg, (void)index;
}

/* The worker does not run: its ring is written here. */
static void setup(void)
{
	struct err err;
	const struct telemetry_consumer consumer = { .record = count };

	n_read = 0;
	loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	const struct worker_config cfg = { .buffers_max = 1 << 20, .max_sidecars = 1, .max_upstreams = 4, .max_endpoints = 4,
		.control = loop, .recorded = recorded, .ring = 65536 };
	const struct telemetry_config config = { .loop = loop, .who = who };
	worker = worker_new(&cfg, &err);
	telemetry = telemetry_new(&config, &err);
	ck_assert(worker && telemetry && telemetry_consume(telemetry, &consumer));
	telemetry_start(telemetry, &worker, 1);
}

static void teardown(void)
{
	telemetry_free(telemetry);
	worker_free(worker);
	loop_free(loop);
}

static void write_one(void)
{
	struct record *r = ring_reserve(worker_ring(worker), sizeof(*r));

	ck_assert_ptr_nonnull(r);
	memset(r, 0, sizeof(*r));
	ring_commit(worker_ring(worker));
}

static void later(usec d)
{
	loop_skip(loop, d);
	loop_turn(loop, false);
}

START_TEST(a_record_whose_word_was_not_said_is_found_by_the_next_look)
{
	write_one();
	later(LOOK);
	ck_assert_uint_eq(n_read, 0); /* nobody said so */
	telemetry_recorded(telemetry, 0);
	later(LOOK);
	ck_assert_uint_eq(n_read, 1);
	write_one(); /* it saw "control was told" a moment before control read: on its way to memory it passed its own look */
	later(LOOK);
	ck_assert_uint_eq(n_read, 2);
	later(LOOK);
	write_one();
	later(10 * LOOK);
	ck_assert_uint_eq(n_read, 2); /* where nothing was found nobody looks again */
}
END_TEST

Suite *suite_telemetry_reading(void);
Suite *suite_telemetry_reading(void)
{
	Suite *s = suite_create("telemetry_reading");
	TCase *t = tcase_create("reading");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_record_whose_word_was_not_said_is_found_by_the_next_look);
	suite_add_tcase(s, t);
	return s;
}
