/* Ring, samplers, live requests, spans of a record. */
#include "base/ring.h"
#include "base/rng.h"
#include "control/option_trace.h"
#include "control/options.h"
#include "control/spans.h"
#include "http/trace.h"
#include "proxy/exchange.h"
#include "proxy/live.h"
#include "proxy/spec.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SEC USEC_SEC

/* --- ring ---------------------------------------------------------------------------------------------------------------------- */

#define MANY 400000u

static void *write_many(void *arg)
{
	struct ring *r = arg;
	struct rng rng;

	rng_seed(&rng, 7);
	for (uint32_t k = 0; k < MANY; k++) {
		uint32_t n = 4 + rng_below(&rng, 200);
		uint32_t *p = ring_reserve(r, n);
		if (!p)
			continue;
		memset(p, (int)(k & 0xff), n);
		memcpy(p, &k, sizeof(k));
		ring_commit(r);
	}
	atomic_store(&r->dropped, atomic_load(&r->dropped));
	return NULL;
}

START_TEST(records_of_any_length_between_threads)
{
	static struct ring r;
	pthread_t thread;
	uint64_t read = 0;
	uint32_t n, last = 0;

	ck_assert(ring_init(&r, 1 << 16));
	ck_assert_int_eq(pthread_create(&thread, NULL, write_many, &r), 0);
	while (read + atomic_load(&r.dropped) < MANY) {
		const unsigned char *p = ring_peek(&r, &n);
		uint32_t k;
		if (!p)
			continue;
		memcpy(&k, p, sizeof(k));
		ck_assert(read == 0 || k > last);
		for (uint32_t i = 4; i < n; i++)
			ck_assert_uint_eq(p[i], k & 0xff);
		last = k;
		read++;
		ring_pop(&r);
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(read, atomic_load(&r.written));
	ck_assert_uint_eq(read + atomic_load(&r.dropped), MANY);
	ck_assert_uint_gt(read, 100);
	ring_release(&r);
}
END_TEST

START_TEST(a_full_ring_drops_and_counts)
{
	static struct ring r;
	uint32_t n, kept = 0;

	ck_assert(ring_init(&r, 4096));
	ck_assert_ptr_null(ring_reserve(&r, 2000)); /* more than a quarter */
	while (ring_reserve(&r, 100)) {
		ring_commit(&r);
		kept++;
	}
	ck_assert(ring_half_full(&r));
	ck_assert_uint_eq(kept, 4096 / 112);
	ck_assert_uint_eq(atomic_load(&r.dropped), 2);
	for (uint32_t k = 0; k < kept; k++, ring_pop(&r))
		ck_assert(ring_peek(&r, &n) && n == 100);
	ck_assert_ptr_null(ring_peek(&r, &n));
	ck_assert(!ring_half_full(&r)); /* it sees what was read */
	ring_drop(&r);
	ck_assert_uint_eq(atomic_load(&r.dropped), 3);
	for (int round = 0; round < 1000; round++) { /* over the end of the memory, again and again */
		ck_assert(ring_reserve(&r, 1000));
		ring_commit(&r);
		ck_assert(ring_peek(&r, &n) && n == 1000);
		ring_pop(&r);
	}
	ring_release(&r);
}
END_TEST

/* --- samplers ------------------------------------------------------------------------------------------------------------------ */

START_TEST(sampler_words)
{
	static const struct { const char *word; bool good; int kind; uint32_t rate; } rows[] = {
		{ "always", true, SAMPLER_ALWAYS, 0 }, { "never", true, SAMPLER_NEVER, 0 }, { "100%", true, SAMPLER_ALWAYS, 0 }, { "5%", true, SAMPLER_SHARE, 0 },
		{ "0.01%", true, SAMPLER_SHARE, 0 }, { "0%", true, SAMPLER_SHARE, 0 }, { "100/s", true, SAMPLER_RATE, 100 }, { "101%", false, 0, 0 },
		{ "", false, 0, 0 }, { "%", false, 0, 0 }, { "/s", false, 0, 0 }, { "5", false, 0, 0 }, { "1.23456%", false, 0, 0 }, { "1.%", false, 0, 0 },
		{ "-1/s", false, 0, 0 }, { "99999999999/s", false, 0, 0 },
	};
	struct sampler_policy p;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool good = option_sampler(str_of(rows[i].word), &p);
		ck_assert_msg(good == rows[i].good, "%s", rows[i].word);
		if (good)
			ck_assert_msg(p.kind == rows[i].kind && p.rate == rows[i].rate, "%s", rows[i].word);
	}
}
END_TEST

static uint32_t sampled(const struct sampler_policy *p, uint32_t of, usec step)
{
	_Atomic uint64_t word = 0;
	struct rng rng;
	uint32_t n = 0;

	rng_seed(&rng, 3);
	for (uint32_t k = 0; k < of; k++)
		n += sampler_decide(p, &word, rng_next(&rng), SEC + k * step);
	return n;
}

START_TEST(shares_and_rates)
{
	struct sampler_policy p;

	ck_assert(option_sampler(STR("5%"), &p));
	uint32_t n = sampled(&p, 100000, 1);
	ck_assert_msg(n > 4700 && n < 5300, "%u of 100000 at 5%%", n);
	ck_assert(option_sampler(STR("0%"), &p));
	ck_assert_uint_eq(sampled(&p, 1000, 1), 0);
	ck_assert(option_sampler(STR("100/s"), &p));
	ck_assert_uint_eq(sampled(&p, 10000, 1000), 1000); /* ten seconds of 1,000 a second */
	ck_assert_uint_eq(sampled(&p, 500, 20000), 500);   /* ten seconds of 50 a second */
}
END_TEST

START_TEST(agents_agree_on_a_share)
{
	struct sampler_policy p;
	_Atomic uint64_t a = 0, b = 0;
	struct rng rng;

	ck_assert(option_sampler(STR("30%"), &p));
	rng_seed(&rng, 9);
	for (int k = 0; k < 1000; k++) {
		uint64_t id = rng_next(&rng);
		ck_assert(sampler_decide(&p, &a, id, SEC) == sampler_decide(&p, &b, id, 5 * SEC));
	}
}
END_TEST

START_TEST(fields_in_order)
{
	uint8_t order[4];

	ck_assert(option_trace_kinds(STR("w3c, b3"), order) && order[0] == TRACE_W3C && order[1] == TRACE_B3 && order[2] == 0);
	ck_assert(!option_trace_kinds(STR("b3,b3"), order) && !option_trace_kinds(STR("zipkin"), order) && !option_trace_kinds(STR(""), order));
}
END_TEST

/* --- live requests ---------------------------------------------------------------------------------------------------------------- */

START_TEST(a_call_is_linked_to_its_cause)
{
	static struct live l;
	const struct live_trace one = { 1, 2, 3, TRACE_ACCEPT }, two = { 4, 5, 6, TRACE_DEBUG };
	struct live_trace got;

	memset(&l, 0, sizeof(l));
	ck_assert(!live_find(&l, 0, &got));
	live_enter(&l, 0);
	struct live_slot *a = live_put(&l, live_key(STR("first")), &one);
	ck_assert(live_find(&l, 0, &got) && got.span == 3); /* the only one */
	live_enter(&l, 1);
	struct live_slot *b = live_put(&l, live_key(STR("second")), &two);
	ck_assert(!live_find(&l, 0, &got)); /* which of them? */
	ck_assert(live_find(&l, live_key(STR("second")), &got) && got.span == 6 && got.decision == TRACE_DEBUG);
	ck_assert(!live_find(&l, live_key(STR("third")), &got));
	live_remove(&l, a);
	live_leave(&l, 0);
	ck_assert(live_find(&l, 0, &got) && got.span == 6);
	live_enter(&l, 2); /* an untraced one beside it: the call may be its */
	ck_assert(!live_find(&l, 0, &got));
	live_remove(&l, b);
	ck_assert(!live_find(&l, live_key(STR("second")), &got));
}
END_TEST

START_TEST(a_full_table_links_no_more)
{
	static struct live l;
	const struct live_trace t = { 1, 2, 3, TRACE_ACCEPT }, denied = { 0, 0, 0, TRACE_DENY };
	struct live_slot *slots[LIVE_SLOTS];

	memset(&l, 0, sizeof(l));
	for (unsigned i = 0; i < LIVE_SLOTS / 2; i++)
		ck_assert_ptr_nonnull(slots[i] = live_put(&l, 1000 + i, &denied));
	ck_assert_ptr_null(live_put(&l, 5, &denied)); /* the other half is for those that are traced */
	ck_assert_ptr_nonnull(slots[LIVE_SLOTS / 2] = live_put(&l, 5, &t));
	for (unsigned i = 0; i <= LIVE_SLOTS / 2; i++)
		live_remove(&l, slots[i]);
	for (unsigned i = 0; i < LIVE_SLOTS; i++)
		ck_assert_ptr_nonnull(slots[i] = live_put(&l, 1000 + i * 7, &t));
	ck_assert_ptr_null(live_put(&l, 5, &t));
	live_remove(&l, slots[9]);
	ck_assert_ptr_nonnull(live_put(&l, 5, &t));
}
END_TEST

static void *churn(void *arg)
{
	struct live *l = arg;
	struct rng rng;

	rng_seed(&rng, (uint64_t)(uintptr_t)&rng);
	for (int k = 0; k < 100000; k++) {
		uint64_t key = 2 + rng_below(&rng, 100);
		const struct live_trace t = { key, key, key, TRACE_ACCEPT };
		struct live_trace got;
		struct live_slot *s = live_put(l, key, &t);
		if (live_find(l, key, &got))
			ck_assert(got.hi == key && got.lo == key && got.span == key);
		if (s)
			live_remove(l, s);
	}
	return NULL;
}

START_TEST(no_reader_sees_half_a_slot)
{
	static struct live l;
	pthread_t thread[2];

	memset(&l, 0, sizeof(l));
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, churn, &l), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(atomic_load(&l.used), 0);
}
END_TEST

/* --- spans -------------------------------------------------------------------------------------------------------------------------- */

static struct {
	struct record r;
	struct record_try tries[RECORD_TRIES_MAX];
	char texts[64];
} made;
static struct span_set set;
static const struct telemetry_who who = { { "orders", 6 }, { "shop", 4 }, { "2", 1 }, { "node1", 5 }, 0, NULL };

static const struct record *record_of(enum listener_kind kind, unsigned tries)
{
	memset(&made, 0, sizeof(made));
	made.r = (struct record){ .started = 1000000, .duration = 900, .trace_hi = 1, .trace_lo = 2, .kind = (uint8_t)kind, .n_tries = (uint8_t)tries,
				  .why = RECORD_TRACED, .status = 200 };
	char *p = (char *)&made.tries[tries];
	memcpy(p, "GET/pathquotes", 14);
	made.r.text_n[RECORD_METHOD] = 3;
	made.r.text_n[RECORD_PATH] = 5;
	made.r.text_n[RECORD_UPSTREAM] = 6;
	for (unsigned i = 0; i < tries; i++)
		made.tries[i] = (struct record_try){ .span = 100 + i, .started = 10 + 100 * i, .ended = 100 + 100 * i, .status = i + 1 == tries ? 200 : 503,
						     .peer = { .family = 4, .ip = { 10, 0, 0, 9 }, .port = 8080 } };
	return &made.r;
}

static const char *tag_of(const struct span *s, const char *key)
{
	static char text[64];

	for (unsigned i = 0; i < s->n_tags; i++)
		if (strcmp(s->tags[i].key, key) == 0 && str_copy(s->tags[i].value, text, sizeof(text)))
			return text;
	return "";
}

START_TEST(spans_of_an_inbound_request)
{
	struct record *r = (struct record *)(uintptr_t)record_of(LISTEN_INBOUND, 1);

	r->span = 7;
	r->parent = 6;
	spans_of(&who, r, &set);
	ck_assert_uint_eq(set.n, 1);
	ck_assert(set.at[0].kind == SPAN_SERVER && set.at[0].id == 7 && set.at[0].parent == 6 && !set.at[0].failed && str_eq(set.at[0].name, STR("get")));
	ck_assert_str_eq(tag_of(&set.at[0], "http.path"), "/path");
	ck_assert_str_eq(tag_of(&set.at[0], "outrider.slot"), "2");
}
END_TEST

START_TEST(spans_of_a_retried_call)
{
	struct record *r = (struct record *)(uintptr_t)record_of(LISTEN_OUTBOUND, 3);

	r->parent = 6;
	r->retry = 50;
	spans_of(&who, r, &set);
	ck_assert_uint_eq(set.n, 4);
	ck_assert(set.at[0].kind == SPAN_LOCAL && set.at[0].id == 50 && set.at[0].parent == 6 && set.at[0].started == 1000110 && set.at[0].duration == 190);
	ck_assert(set.at[1].id == 100 && set.at[1].parent == 6 && set.at[1].failed && set.at[1].started == 1000010 && set.at[1].duration == 90);
	ck_assert_str_eq(tag_of(&set.at[1], "http.status_code"), "503");
	ck_assert(set.at[2].parent == 50 && set.at[3].parent == 50 && !set.at[3].failed);
	ck_assert_str_eq(tag_of(&set.at[3], "retry.attempt"), "2");
	ck_assert_str_eq(tag_of(&set.at[3], "http.status_code"), "200");
	ck_assert(str_eq(set.at[3].remote.service, STR("quotes")) && set.at[3].remote.port == 8080);
}
END_TEST

/* The first attempts failed in turn with 501, 502 …, the last one was good: every number stands in its own span. */
START_TEST(spans_of_as_many_attempts_as_may_be)
{
	static const enum listener_kind kinds[] = { LISTEN_OUTBOUND, LISTEN_EDGE };
	char want[8];

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct record *r = (struct record *)(uintptr_t)record_of(kinds[k], RECORD_TRIES_MAX);
		unsigned first = kinds[k] == LISTEN_EDGE ? 2 : 1; /* before them: SERVER, `retry` */
		r->retry = 50;
		for (unsigned i = 0; i + 1 < RECORD_TRIES_MAX; i++)
			made.tries[i].status = (uint16_t)(501 + i);
		spans_of(&who, r, &set);
		ck_assert_uint_eq(set.n, RECORD_TRIES_MAX + first);
		ck_assert_uint_le(set.n, SPANS_MAX);
		for (unsigned i = 0; i < RECORD_TRIES_MAX; i++) {
			const struct span *s = &set.at[first + i];
			snprintf(want, sizeof(want), "%u", i + 1 < RECORD_TRIES_MAX ? 501 + i : 200);
			ck_assert_str_eq(tag_of(s, "http.status_code"), want);
			snprintf(want, sizeof(want), "%u", i);
			ck_assert_str_eq(tag_of(s, "retry.attempt"), i ? want : "");
		}
	}
}
END_TEST

/* What an option allows, a request may do, and its record holds. */
START_TEST(as_many_attempts_as_options_allow)
{
	static const uint64_t most[] = {
#define OPTION(id, name, type, min, max, ...) [OPT_##id] = (uint64_t)(max),
#include "options.def"
#undef OPTION
	};
	ck_assert_uint_eq(most[OPT_CONNECT_TRIES], TRIED_MAX);
	ck_assert_uint_eq(most[OPT_RETRY_TRIES], TRIED_MAX);
	ck_assert_uint_eq(RECORD_TRIES_MAX, TRIED_MAX);
}
END_TEST

/* A slow connection is no queue; a place that was waited for is, and since when is said. */
START_TEST(a_queue_is_noted)
{
	struct record *r = (struct record *)(uintptr_t)record_of(LISTEN_OUTBOUND, 1);

	r->routed = 5;
	made.tries[0].started = 50000;
	spans_of(&who, r, &set);
	ck_assert_uint_eq(set.at[0].n_notes, 0);
	r->flags = RECORD_QUEUED;
	r->queued = 7;
	spans_of(&who, r, &set);
	ck_assert_uint_eq(set.at[0].n_notes, 1);
	ck_assert_str_eq(set.at[0].notes[0].what, "queue");
	ck_assert_uint_eq(set.at[0].notes[0].at, r->started + 7);
}
END_TEST

START_TEST(spans_of_an_edge_and_of_a_refusal)
{
	struct record *r = (struct record *)(uintptr_t)record_of(LISTEN_EDGE, 1);

	r->span = 2;
	spans_of(&who, r, &set);
	ck_assert(set.n == 2 && set.at[0].kind == SPAN_SERVER && set.at[0].parent == 0 && set.at[1].kind == SPAN_CLIENT && set.at[1].parent == 2);
	ck_assert_str_eq(tag_of(&set.at[1], "outrider.node"), "node1");
	ck_assert_str_eq(tag_of(&set.at[1], "outrider.stack"), "shop");
	r = (struct record *)(uintptr_t)record_of(LISTEN_OUTBOUND, 0);
	r->reason = REASON_CIRCUIT_OPEN;
	r->status = 503;
	spans_of(&who, r, &set);
	ck_assert(set.n == 1 && set.at[0].id == 2 && set.at[0].parent == 0 && set.at[0].failed && set.at[0].remote.family == 0);
	ck_assert_str_eq(tag_of(&set.at[0], "error"), "circuit-open");
	ck_assert(set.at[0].n_notes == 1);
	r->why = RECORD_FAILED; /* with ids that came: it was not sampled */
	spans_of(&who, r, &set);
	ck_assert_uint_eq(set.n, 0);
}
END_TEST

Suite *suite_telemetry(void);
Suite *suite_telemetry(void)
{
	Suite *s = suite_create("telemetry");
	TCase *t = tcase_create("all");
	tcase_add_test(t, records_of_any_length_between_threads);
	tcase_add_test(t, a_full_ring_drops_and_counts);
	tcase_add_test(t, sampler_words);
	tcase_add_test(t, shares_and_rates);
	tcase_add_test(t, agents_agree_on_a_share);
	tcase_add_test(t, fields_in_order);
	tcase_add_test(t, a_call_is_linked_to_its_cause);
	tcase_add_test(t, a_full_table_links_no_more);
	tcase_add_test(t, no_reader_sees_half_a_slot);
	tcase_add_test(t, spans_of_an_inbound_request);
	tcase_add_test(t, spans_of_a_retried_call);
	tcase_add_test(t, spans_of_as_many_attempts_as_may_be);
	tcase_add_test(t, as_many_attempts_as_options_allow);
	tcase_add_test(t, a_queue_is_noted);
	tcase_add_test(t, spans_of_an_edge_and_of_a_refusal);
	suite_add_tcase(s, t);
	return s;
}
