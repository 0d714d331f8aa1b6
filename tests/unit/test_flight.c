/* The flight recorder: its bound in bytes, what outlives what, lookups by either id, ages; phases and sentences of a record. */
#include "base/mem.h"
#include "base/reason.h"
#include "base/rng.h"
#include "control/flight.h"
#include "control/phases.h"
#include "control/record_filter.h"
#include "control/span_json.h"
#include "control/why_says.h"
#include "proxy/spec.h"

#include <check.h>
#include <stdlib.h>

#define HOUR (3600 * USEC_SEC)

struct made {
	struct record r;
	char more[RECORD_TRIES_MAX * sizeof(struct record_try) + RECORD_TEXTS * RECORD_TEXT_MAX];
};

static uint32_t make(struct made *m, uint8_t why, const char *id, uint64_t trace, size_t path)
{
	memset(m, 0, sizeof(*m));
	m->r = (struct record){ .started = 1000000, .duration = 5000, .why = why, .trace_lo = trace, .n_tries = 1, .kind = LISTEN_OUTBOUND };
	char *p = m->more + sizeof(struct record_try);
	const char *texts[RECORD_TEXTS] = { [RECORD_METHOD] = "GET", [RECORD_REQUEST_ID] = id, [RECORD_UPSTREAM] = "quotes" };
	for (unsigned i = 0; i < RECORD_TEXTS; i++) {
		size_t n = i == RECORD_PATH ? path : texts[i] ? strlen(texts[i]) : 0;
		m->r.text_n[i] = (uint16_t)n;
		if (i == RECORD_PATH)
			memset(p, 'x', n);
		else if (n)
			memcpy(p, texts[i], n);
		p += n;
	}
	return (uint32_t)(p - (char *)m);
}

static struct flight *f;
static const struct telemetry_who one = { .service = { "one", 3 }, .stack = { "shop", 4 }, .slot = { "2", 1 }, .seat = 1 },
				  two = { .service = { "two", 3 }, .seat = 2 };

static void begin(void)
{
	struct err err;

	f = flight_new(FLIGHT_SIZE_MIN, 0, &err);
	ck_assert_ptr_nonnull(f);
}

static void end(void)
{
	flight_free(f);
}

static void put(const struct telemetry_who *who, uint8_t why, const char *id, uint64_t trace, usec now)
{
	struct made m;
	uint32_t n = make(&m, why, id, trace, 10);

	flight_put(f, who, &m.r, n, now);
}

static size_t found(const char *id, uint64_t seat, usec now)
{
	struct flight_entry e[8];

	return flight_find_request(f, str_of(id), seat, now, e, 8);
}

START_TEST(either_id_finds_it)
{
	struct flight_entry e[8];

	put(&one, RECORD_FAILED, "a", 7, 10);
	put(&one, RECORD_TRACED, "a", 7, 20); /* the other side of the same call */
	put(&two, RECORD_TRACED, "b", 7, 30);
	put(&one, RECORD_TRACED, "", 0, 40);
	ck_assert_uint_eq(flight_find_request(f, STR("a"), 0, 50, e, 8), 2);
	ck_assert(e[0].class == FLIGHT_KEPT && e[1].class == FLIGHT_OTHER && e[0].at == 10);
	ck_assert(str_eq(e[0].who.service, STR("one")) && str_eq(e[0].who.stack, STR("shop")) && str_eq(e[0].who.slot, STR("2")));
	ck_assert(str_eq(record_text(e[1].record, RECORD_UPSTREAM), STR("quotes")));
	ck_assert_uint_eq(flight_find_trace(f, 0, 7, 0, 50, e, 8), 3);
	ck_assert_uint_eq(flight_find_trace(f, 1, 7, 0, 50, e, 8), 0); /* another upper half */
	ck_assert_uint_eq(flight_find_trace(f, 0, 7, 2, 50, e, 8), 1); /* of one sidecar alone */
	ck_assert(str_eq(e[0].who.service, STR("two")));
	ck_assert_uint_eq(flight_find_trace(f, 0, 7, 0, 50, e, 2), 2); /* no more than asked for */
	ck_assert_uint_eq(found("", 0, 50) + found("c", 0, 50) + found("a", 2, 50), 0);
}
END_TEST

START_TEST(a_flood_pushes_out_no_failure)
{
	char id[16];

	put(&one, RECORD_FAILED, "failed", 0, 1);
	put(&one, RECORD_SLOW, "slow", 0, 2);
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(id, sizeof(id), "good-%u", i);
		put(&one, RECORD_TRACED | RECORD_LOGGED, id, i + 1, 10 + i);
	}
	ck_assert(found("failed", 0, 200000) && found("slow", 0, 200000) && found("good-99999", 0, 200000));
	ck_assert(!found("good-0", 0, 200000));
	struct flight_reach kept = flight_reach(f, FLIGHT_KEPT, 200000), other = flight_reach(f, FLIGHT_OTHER, 200000);
	ck_assert(kept.entries == 2 && kept.pushed_out == 0 && kept.back == 200000);
	ck_assert(other.pushed_out + other.entries == 100000 && other.back < 200000 - 50000);
	ck_assert(found("good-99900", 0, 200000));
}
END_TEST

/* One sidecar fails always, another did now and then: what that one did is still there when sixteen times the half has come. */
START_TEST(one_that_floods_leaves_the_others_theirs)
{
	const struct telemetry_who three = { .service = { "three", 5 }, .seat = 3 };
	struct flight_walk w;
	struct flight_entry e;
	char id[16];
	unsigned n = 0, flood = 0;

	for (unsigned i = 0; i < 500; i++) /* alone it may have all */
		put(&one, RECORD_FAILED, "alone", 0, 1);
	ck_assert_uint_eq(flight_reach(f, FLIGHT_KEPT, 2).left_out, 0);
	uint64_t room = flight_reach(f, FLIGHT_KEPT, 2).entries;
	ck_assert_uint_gt(room, 40);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(id, sizeof(id), "two-%u", i);
		put(i % 2 ? &three : &two, RECORD_FAILED, id, 0, 10 + i);
	}
	for (unsigned i = 0; i < 8 * room; i++)
		put(&one, RECORD_FAILED, "flood", 0, 100 + i);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(id, sizeof(id), "two-%u", i);
		ck_assert_msg(found(id, 0, 10000), "%s", id);
	}
	ck_assert_uint_ge(flight_reach(f, FLIGHT_KEPT, 10000).left_out, 7 * room);
	for (flight_walk(f, true, 0, 0, 10000, &w); flight_next(&w, &e); n++)
		flood += e.who.seat == 1;
	ck_assert_uint_gt(flood * 2, n); /* and the newest of the flood are there, too */
	ck_assert(found("flood", 1, 10000));
	for (unsigned i = 0; i < 4 * room; i++) /* the others take what they need */
		put(i % 2 ? &two : &three, RECORD_FAILED, "many", 0, 20000 + i);
	put(&one, RECORD_FAILED, "one", 0, 30000);
	ck_assert_uint_eq(found("one", 0, 30001), 1);
	ck_assert_uint_eq(found("many", 0, 3 * HOUR), 0); /* all too old: the counts are as if nothing had been */
	for (unsigned i = 0; i < 3 * room; i++)
		put(&one, RECORD_FAILED, "again", 0, 3 * HOUR);
	ck_assert_uint_eq(flight_reach(f, FLIGHT_KEPT, 3 * HOUR).entries, room);
}
END_TEST

START_TEST(what_only_a_tap_wanted_is_not_kept)
{
	put(&one, RECORD_TAPPED, "t", 0, 1);
	ck_assert_uint_eq(found("t", 0, 2), 0);
}
END_TEST

/* Every length, at every place: nothing is written outside, all that should be there is, and looks as it was put. */
START_TEST(wraps_and_stays_within_its_bytes)
{
	static struct made m;
	static struct flight_entry e[4];
	struct rng rng;
	char id[24];

	rng_seed(&rng, 3);
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t path = rng_below(&rng, RECORD_TEXT_MAX + 1);
		snprintf(id, sizeof(id), "id-%u", i);
		uint32_t n = make(&m, rng_below(&rng, 2) ? RECORD_FAILED : RECORD_TRACED, id, i + 1, path);
		flight_put(f, &one, &m.r, n, i);
		ck_assert_uint_eq(flight_find_request(f, str_of(id), 0, i, e, 4), 1);
		ck_assert_uint_eq(record_text(e[0].record, RECORD_PATH).n, path);
		ck_assert_int_eq(memcmp(e[0].record, &m.r, n), 0);
		for (unsigned c = 0; c < FLIGHT_CLASSES; c++) {
			struct flight_reach reach = flight_reach(f, (enum flight_class)c, i);
			ck_assert_uint_le(reach.bytes, reach.room);
			ck_assert_uint_le(reach.room * FLIGHT_CLASSES, flight_bytes(f));
		}
	}
	struct flight_walk w;
	uint64_t last = UINT64_MAX, n = 0;
	for (flight_walk(f, false, 0, 0, 20000, &w); flight_next(&w, &e[0]); n++) {
		ck_assert_uint_lt(e[0].number, last);
		last = e[0].number;
		ck_assert(str_eq(e[0].who.service, STR("one")) && str_eq(record_text(e[0].record, RECORD_METHOD), STR("GET")));
	}
	ck_assert_uint_eq(n, flight_reach(f, FLIGHT_KEPT, 20000).entries + flight_reach(f, FLIGHT_OTHER, 20000).entries);
	ck_assert_uint_gt(n, 50);
}
END_TEST

START_TEST(what_is_too_large_is_left_out)
{
	static char big[FLIGHT_SIZE_MIN];
	struct made *m = (void *)big;

	make(m, RECORD_FAILED, "big", 0, 10);
	flight_put(f, &one, &m->r, sizeof(big), 1);
	ck_assert_uint_eq(found("big", 0, 2), 0);
	ck_assert_uint_eq(flight_reach(f, FLIGHT_KEPT, 2).too_large, 1);
}
END_TEST

START_TEST(two_hours_at_most)
{
	put(&one, RECORD_FAILED, "old", 1, 1 * HOUR);
	put(&one, RECORD_FAILED, "new", 1, 2 * HOUR);
	ck_assert_uint_eq(found("old", 0, 3 * HOUR - 1), 1);
	ck_assert_uint_eq(found("old", 0, 3 * HOUR), 0);
	ck_assert_uint_eq(found("new", 0, 3 * HOUR), 1);
	ck_assert_uint_eq(flight_reach(f, FLIGHT_KEPT, 3 * HOUR).back, 2 * HOUR);
	struct flight_walk w;
	struct flight_entry e;
	flight_walk(f, true, 0, 0, 4 * HOUR, &w);
	ck_assert(!flight_next(&w, &e)); /* and the recorder is empty, not broken: */
	ck_assert_uint_eq(flight_reach(f, FLIGHT_KEPT, 4 * HOUR).bytes, 0);
	put(&one, RECORD_FAILED, "again", 1, 5 * HOUR);
	ck_assert_uint_eq(found("again", 0, 5 * HOUR), 1);
	ck_assert_uint_eq(found("new", 0, 5 * HOUR), 0);
}
END_TEST

START_TEST(walks)
{
	struct flight_walk w;
	struct flight_entry e;

	put(&one, RECORD_FAILED, "1", 0, 1);
	put(&two, RECORD_TRACED, "2", 9, 2);
	put(&one, RECORD_SLOW, "3", 0, 3);
	flight_walk(f, true, 0, 0, 4, &w);
	ck_assert(flight_next(&w, &e) && e.number == 3 && flight_next(&w, &e) && e.number == 1 && !flight_next(&w, &e));
	flight_walk(f, false, 0, 3, 4, &w);
	ck_assert(flight_next(&w, &e) && e.number == 2 && flight_next(&w, &e) && e.number == 1 && !flight_next(&w, &e));
	flight_walk(f, false, 2, 0, 4, &w);
	ck_assert(flight_next(&w, &e) && e.number == 2 && !flight_next(&w, &e));
}
END_TEST

START_TEST(putting_never_allocates)
{
	put(&one, RECORD_FAILED, "x", 1, 1);
	mem_fail_at(0);
	for (unsigned i = 0; i < 1000; i++)
		put(&one, RECORD_FAILED | RECORD_TRACED, "x", 1, 1);
	ck_assert_uint_eq(mem_count(), 0);
	ck_assert_uint_eq(found("x", 0, 1), 8);
	struct err err;
	for (unsigned k = 1; k <= 2; k++) {
		mem_fail_at(k);
		ck_assert_ptr_null(flight_new(FLIGHT_SIZE_MIN, 0, &err));
	}
	mem_fail_at(0);
}
END_TEST

/* --- what a record says ------------------------------------------------------------------------------------------------------- */

static struct record_try *try_of(struct made *m)
{
	return (struct record_try *)(void *)m->more;
}

START_TEST(phases_add_up)
{
	static const struct { uint32_t begun, routed, started, sent, head, ended; uint16_t status; uint32_t duration; uint64_t want[PHASES]; } rows[] = {
		{ 0, 0, 0, 0, 4000, 5000, 200, 5000, { 0, 0, 0, 0, 0, 4000, 1000 } },      /* at once on a pooled connection */
		{ 0, 10, 100, 300, 4000, 5000, 200, 5000, { 0, 10, 90, 0, 200, 3700, 1000 } },
		{ 2000, 2010, 2100, 2300, 4000, 5000, 200, 5000, { 2000, 10, 90, 0, 200, 1700, 1000 } }, /* its head came in pieces */
		{ 5000, 0, 0, 0, 0, 5000, 0, 5000, { 5000, 0, 0, 0, 0, 0, 0 } },
		{ 0, 10, 100, 0, 0, 5000, 0, 5000, { 0, 10, 90, 0, 4900, 0, 0 } },         /* never connected */
		{ 0, 10, 100, 300, 0, 5000, 0, 5000, { 0, 10, 90, 0, 200, 4700, 0 } },     /* never answered */
	};
	struct made m;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make(&m, RECORD_FAILED, "x", 0, 1);
		m.r.head = rows[i].begun;
		m.r.routed = rows[i].routed;
		m.r.duration = rows[i].duration;
		*try_of(&m) = (struct record_try){ .started = rows[i].started, .sent = rows[i].sent, .head = rows[i].head, .ended = rows[i].ended,
						   .status = rows[i].status };
		struct phases p = phases_of(&m.r);
		uint64_t sum = 0;
		for (unsigned k = 0; k < PHASES; k++) {
			ck_assert_msg(p.at[k] == rows[i].want[k], "row %zu: %s is %llu", i, phase_key((enum phase)k), (unsigned long long)p.at[k]);
			sum += p.at[k];
		}
		ck_assert_uint_eq(sum, rows[i].duration);
	}
	make(&m, RECORD_FAILED, "x", 0, 1);
	m.r.n_tries = 0;
	m.r.routed = 100;
	struct phases p = phases_of(&m.r);
	ck_assert(p.at[PHASE_ROUTE] == 100 && p.at[PHASE_QUEUE] == 4900);
}
END_TEST

START_TEST(sentences)
{
	static const struct { uint8_t kind; uint16_t status, reason; uint8_t flags, tries; const char *outcome, *retries, *blame; } rows[] = {
		{ LISTEN_OUTBOUND, 502, REASON_CONNECT_REFUSED, 0, 1, "502 by the agent itself: connect-refused, in 5.000 ms", "no named service", "upstream" },
		{ LISTEN_OUTBOUND, 503, REASON_CIRCUIT_OPEN, 0, 0, "after 0 attempts", "No attempt was made", "upstream" },
		{ LISTEN_INBOUND, 500, 0, 0, 1, "500 of the service", "asked once", "service" },
		{ LISTEN_EDGE, 504, REASON_REQUEST_TIMEOUT, 0, 2, "after 2 attempts", "time for the whole call", "upstream" },
		{ LISTEN_OUTBOUND, 200, REASON_RESPONSE_CUT, RECORD_CUT, 1, "200, cut", "had gone to the client", "upstream" },
		{ LISTEN_OUTBOUND, 200, 0, 0, 2, "200 of the upstream", "the last one was good", "" },
		{ LISTEN_OUTBOUND, 200, REASON_FALLBACK, RECORD_FALLBACK, 1, "by the fallback", "One attempt", "upstream" },
	};
	struct made m;
	struct text t;

	text_init(&t, 4096);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make(&m, RECORD_FAILED, "x", 0, 1);
		m.r.kind = rows[i].kind;
		m.r.status = rows[i].status;
		m.r.reason = rows[i].reason;
		m.r.flags = rows[i].flags;
		m.r.n_tries = rows[i].tries;
		text_clear(&t);
		why_outcome(&t, &m.r);
		ck_assert_msg(strstr(text_z(&t), rows[i].outcome) != NULL, "row %zu: %s", i, text_z(&t));
		text_clear(&t);
		m.r.text_n[0] = 0;
		why_retries(&t, &m.r, NULL);
		ck_assert_msg(strstr(text_z(&t), rows[i].retries) != NULL, "row %zu: %s", i, text_z(&t));
		ck_assert_str_eq(why_of(&m.r).blame, rows[i].blame);
		text_clear(&t);
		why_slow(&t, &m.r);
		ck_assert_uint_eq(t.n, 0);
	}
	text_release(&t);
}
END_TEST

START_TEST(ids_of_traces)
{
	uint64_t hi, lo;
	char text[33];

	ck_assert(span_trace_id_read(STR("463AC35C9f6413ad48485a3953bb6124"), &hi, &lo) && hi == 0x463ac35c9f6413adu && lo == 0x48485a3953bb6124u);
	span_trace_id(hi, lo, text);
	ck_assert_str_eq(text, "463ac35c9f6413ad48485a3953bb6124");
	ck_assert(span_trace_id_read(STR("48485a3953bb6124"), &hi, &lo) && hi == 0);
	span_trace_id(0, lo, text);
	ck_assert_str_eq(text, "48485a3953bb6124");
	ck_assert(!span_trace_id_read(STR("0000000000000000"), &hi, &lo) && !span_trace_id_read(STR("48485a3953bb612g"), &hi, &lo));
	ck_assert(!span_trace_id_read(STR(""), &hi, &lo) && !span_trace_id_read(STR("4848"), &hi, &lo));
}
END_TEST

START_TEST(filters)
{
	static const struct { const char *s; bool good; uint16_t low, high; } rows[] = {
		{ "503", true, 503, 503 }, { "5xx", true, 500, 599 }, { "4XX", true, 400, 499 }, { "500-502", true, 500, 502 },
		{ "6xx", false, 0, 0 }, { "0xx", false, 0, 0 }, { "", false, 0, 0 }, { "99", false, 0, 0 }, { "502-500", false, 0, 0 },
	};
	struct record_filter q = { .low = 0 };
	struct made m;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint16_t low = 0, high = 0;
		ck_assert_msg(record_filter_status(str_of(rows[i].s), &low, &high) == rows[i].good && low == rows[i].low && high == rows[i].high, "%s", rows[i].s);
	}
	make(&m, RECORD_FAILED, "x", 0, 3);
	ck_assert(record_filter_fits(&q, &one, &m.r));
	q.slow = 5000;
	memcpy(q.upstream, "Quotes", 7);
	memcpy(q.path, "xx", 3);
	ck_assert(record_filter_fits(&q, &one, &m.r));
	q.slow++;
	ck_assert(!record_filter_fits(&q, &one, &m.r));
	q.slow = 0;
	memcpy(q.service, "two", 4);
	ck_assert(!record_filter_fits(&q, &one, &m.r) && record_filter_fits(&q, &two, &m.r));
}
END_TEST

Suite *suite_flight(void)
{
	Suite *s = suite_create("flight");
	TCase *t = tcase_create("recorder"), *says = tcase_create("says");

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, either_id_finds_it);
	tcase_add_test(t, a_flood_pushes_out_no_failure);
	tcase_add_test(t, one_that_floods_leaves_the_others_theirs);
	tcase_add_test(t, what_only_a_tap_wanted_is_not_kept);
	tcase_add_test(t, wraps_and_stays_within_its_bytes);
	tcase_add_test(t, what_is_too_large_is_left_out);
	tcase_add_test(t, two_hours_at_most);
	tcase_add_test(t, walks);
	tcase_add_test(t, putting_never_allocates);
	tcase_add_test(says, phases_add_up);
	tcase_add_test(says, sentences);
	tcase_add_test(says, ids_of_traces);
	tcase_add_test(says, filters);
	suite_add_tcase(s, t);
	suite_add_tcase(s, says);
	return s;
}
