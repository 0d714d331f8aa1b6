/* control/slots and what workers make of them: numbers are given back, never while somebody uses them. */
#include "control/slots.h"
#include "options_help.h"
#include "proxy/parts.h"

static struct slots *slots;

static void setup(void)
{
	struct err err;
	slots = slots_new(&err);
	ck_assert_ptr_nonnull(slots);
}

static void teardown(void)
{
	slots_free(slots);
}

static struct slot endpoint(unsigned i)
{
	char text[32];
	snprintf(text, sizeof(text), "10.%u.%u.%u:80", i >> 16, i >> 8 & 255, i & 255);
	return slots_endpoint(slots, 0, str_of(text));
}

/* A registry that moves through 300,000 addresses, ten at a time. */
START_TEST(churn_never_ends_in_refusal)
{
	uint32_t live[10], highest = 0;
	for (unsigned i = 0; i < 300000; i++) {
		if (i >= 10)
			slots_endpoint_unuse(slots, live[i % 10]);
		live[i % 10] = endpoint(i).number;
		ck_assert_uint_ne(live[i % 10], SLOT_NONE);
		if (live[i % 10] > highest)
			highest = live[i % 10];
		for (unsigned k = 0; k < 10 && k < i; k++)
			ck_assert(k == i % 10 || live[k] != live[i % 10]);
	}
	ck_assert_uint_eq(slots_endpoints_used(slots), 10);
	ck_assert_uint_lt(highest, SLOTS_ENDPOINTS_RESTING + 16); /* workers' tables stay small */
}
END_TEST

/* Containers come and go all day, each with upstreams of its own: what workers keep for them is that of those that live, and little more. */
START_TEST(sidecars_that_ended_leave_little)
{
	uint32_t live[50], handlers[50], highest = 0, highest_upstream = 0;
	for (unsigned i = 0; i < 3000; i++) {
		char name[32];
		snprintf(name, sizeof(name), "container-%u", i);
		if (i >= 50) {
			slots_upstream_unuse(slots, handlers[i % 50]);
			slots_sidecar_unuse(slots, live[i % 50]);
		}
		live[i % 50] = slots_sidecar(slots, str_of(name));
		handlers[i % 50] = slots_upstream(slots, live[i % 50], STR("@handler")).number;
		ck_assert(live[i % 50] != SLOT_NONE && handlers[i % 50] != SLOT_NONE);
		highest = live[i % 50] > highest ? live[i % 50] : highest;
		highest_upstream = handlers[i % 50] > highest_upstream ? handlers[i % 50] : highest_upstream;
	}
	ck_assert_uint_lt(highest, 50 + SLOTS_SIDECARS_RESTING + 2);
	ck_assert_uint_lt(highest_upstream, 50 + SLOTS_UPSTREAMS_RESTING + 2);
}
END_TEST

START_TEST(who_returns_soon_gets_its_number_back)
{
	struct slot a = endpoint(1), b;
	slots_endpoint_unuse(slots, a.number);
	for (unsigned i = 2; i < 500; i++)
		slots_endpoint_unuse(slots, endpoint(i).number);
	b = endpoint(1);
	ck_assert_uint_eq(a.number, b.number);
	ck_assert_uint_eq(a.generation, b.generation);
	slots_endpoint_unuse(slots, b.number);
	for (unsigned i = 1000; i < 10000; i++)
		slots_endpoint_unuse(slots, endpoint(i).number);
	b = endpoint(1);
	ck_assert(a.number != b.number || a.generation != b.generation);
}
END_TEST

START_TEST(full_is_full_until_one_is_given_back)
{
	for (unsigned i = 0; i < SLOTS_ENDPOINTS_MAX; i++)
		ck_assert_uint_eq(endpoint(i).number, i);
	ck_assert_uint_eq(endpoint(70000).number, SLOT_NONE);
	ck_assert_uint_eq(endpoint(5).number, 5); /* a second use */
	slots_endpoint_unuse(slots, 5);
	ck_assert_uint_eq(endpoint(70000).number, SLOT_NONE);
	slots_endpoint_unuse(slots, 5);
	struct slot s = endpoint(70000);
	ck_assert_uint_eq(s.number, 5);
	ck_assert_uint_eq(s.generation, 1);
	slots_endpoint_unuse(slots, SLOT_NONE); /* harmless */
}
END_TEST

/* An upstream's number that another gets brings none of the endpoints' with it. */
START_TEST(a_new_owner_inherits_nothing)
{
	char name[32];
	struct slot u = slots_upstream(slots, 0, STR("first"));
	struct slot e = slots_endpoint(slots, u.number, STR("10.0.0.1:80")), other = u;
	slots_endpoint_unuse(slots, e.number);
	slots_upstream_unuse(slots, u.number);
	for (unsigned i = 0; other.generation == u.generation; i++) {
		ck_assert_uint_lt(i, 3 * SLOTS_ENDPOINTS_RESTING);
		snprintf(name, sizeof(name), "s%u", i);
		other = slots_upstream(slots, 0, str_of(name));
		slots_upstream_unuse(slots, other.number);
	}
	ck_assert_uint_eq(other.number, u.number);
	struct slot again = slots_endpoint(slots, other.number, STR("10.0.0.1:80"));
	ck_assert(again.number != e.number || again.generation != e.generation);
}
END_TEST

START_TEST(short_memory_gives_none_and_loses_none)
{
	for (unsigned i = 0; i < 2 * SLOTS_ENDPOINTS_RESTING; i++)
		slots_endpoint_unuse(slots, endpoint(i).number);
	for (unsigned long k = 1; k < 4; k++) {
		mem_fail_at(k);
		struct slot s = endpoint(100000 + (unsigned)k);
		mem_fail_at(0);
		slots_endpoint_unuse(slots, s.number);
		ck_assert_uint_eq(slots_endpoints_used(slots), 0);
		s = endpoint(7);
		ck_assert_uint_ne(s.number, SLOT_NONE);
		slots_endpoint_unuse(slots, s.number);
	}
}
END_TEST

/* --- specs ----------------------------------------------------------------------------------------------------------- */

static struct spec_sidecar *build(
	const char *service, unsigned from, unsigned n, const struct spec_sidecar *previous)
{
	struct options *o = options_new();
	struct err err = { "" };
	struct text t;
	char key[64];

	text_init(&t, 65536);
	for (unsigned i = 0; i < n; i++)
		text_fmt(&t, "%s10.%u.%u.%u:80", i ? "," : "", (from + i) >> 16, (from + i) >> 8 & 255,
			(from + i) & 255);
	snprintf(key, sizeof(key), "outrider.upstream.%s.endpoints", service);
	set(o, LAYER_ENV, "outrider.service", "me");
	set(o, LAYER_ENV, key, text_z(&t));
	ck_assert_msg(options_check(o, COMMAND_SIDECAR, &err), "%s", err.text);
	struct build_request q = {
		.options = o, .command = COMMAND_SIDECAR, .slots = slots, .previous = previous
	};
	struct spec_sidecar *s = build_spec(&q, &err);
	ck_assert_msg(s != NULL, "%s", err.text);
	text_release(&t);
	options_free(o);
	return s;
}

/* More addresses and more services than there are numbers, while an old spec is still in use. */
START_TEST(specs_give_their_slots_back)
{
	struct spec_sidecar *old = build("q", 0, 50, NULL), *s = build("q", 0, 50, old);
	char name[32];
	uint32_t used = old->upstreams[0]->endpoints[7].slot;

	ck_assert_ptr_eq(old->upstreams[0], s->upstreams[0]); /* unchanged: the same part */
	for (unsigned i = 1; i < 1500; i++) {
		snprintf(name, sizeof(name), "q%u", i * 4);
		struct spec_sidecar *next = build(i % 2 ? name : "q", i * 50, 50, s);
		build_unref(s);
		s = next;
		for (unsigned k = 0; k < 50; k++)
			ck_assert_uint_ne(s->upstreams[0]->endpoints[k].slot, used);
	}
	ck_assert_uint_eq(slots_endpoints_used(slots), 100);
	ck_assert_str_eq(old->upstreams[0]->endpoints[7].text, "10.0.0.7:80");
	build_unref(old);
	ck_assert_uint_eq(slots_endpoints_used(slots), 50);
	build_unref(s);
	ck_assert_uint_eq(slots_endpoints_used(slots) + slots_upstreams_used(slots), 0);
}
END_TEST

/* --- workers --------------------------------------------------------------------------------------------------------- */

static struct worker *worker;
static struct loop *control;

static void worker_setup(void)
{
	struct err err;
	control = loop_new(&err);
	struct worker_config cfg = { .buffers_max = 1u << 20,
		.max_sidecars = 2,
		.max_upstreams = 4,
		.max_endpoints = 8,
		.control = control };
	worker = worker_new(&cfg, &err);
	ck_assert_ptr_nonnull(worker);
}

static void worker_teardown(void)
{
	worker_free(worker);
	loop_free(control);
}

static struct spec_endpoint at(uint32_t slot, uint32_t generation, const char *text)
{
	struct err err;
	struct spec_endpoint e = { .slot = slot, .generation = generation, .text = text };
	ck_assert(addr_parse(str_of(text), &e.addr, &err));
	return e;
}

START_TEST(parts_of_another_identity_begin_anew)
{
	struct spec_endpoint first[] = { at(0, 0, "10.0.0.1:80"), at(1, 0, "10.0.0.2:80") };
	struct spec_endpoint later[] = { at(1, 0, "10.0.0.2:80"), at(2, 0, "10.0.0.3:80") };
	struct spec_endpoint other[] = { at(0, 1, "10.0.0.1:80") }; /* the same address, of another service */
	struct spec_upstream a = { .slot = 0, .endpoints = first, .n_endpoints = 2 };
	struct spec_upstream b = { .slot = 0, .endpoints = later, .n_endpoints = 2 };
	struct spec_upstream c = { .slot = 0, .generation = 1, .endpoints = other, .n_endpoints = 1 };
	struct wupstream *u = part_upstream(worker, &a);
	struct wendpoint *e0 = part_endpoint(worker, u, &first[0]), *e1 = part_endpoint(worker, u, &first[1]);

	ck_assert(u && e0 && e1);
	count_add(&u->c.requests, 5);
	count_add(&e0->c.attempts, 3);
	count_add(&e1->c.attempts, 2);
	worker->changes++;
	parts_follow(worker, &a, &b);
	ck_assert(e0->gone && !e1->gone);
	ck_assert_uint_eq(atomic_load(&worker_endpoint_counters(worker, 1)->attempts), 2);
	ck_assert_uint_eq(atomic_load(&worker_upstream_counters(worker, 0)->requests), 5);
	worker->changes++;
	parts_follow(worker, &b, NULL);
	ck_assert(e1->gone);
	worker->changes++;
	parts_follow(worker, NULL, &c); /* control sees right counters at once, not at the first request */
	ck_assert_uint_eq(atomic_load(&worker_upstream_counters(worker, 0)->requests), 0);
	ck_assert_uint_eq(atomic_load(&worker_endpoint_counters(worker, 0)->attempts), 0);
	ck_assert_ptr_eq(part_endpoint(worker, u, &other[0]), e0);
	ck_assert(!e0->gone && e0->generation == 1);
}
END_TEST

Suite *suite_slots(void)
{
	Suite *s = suite_create("slots");
	TCase *t = tcase_create("slots");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, churn_never_ends_in_refusal);
	tcase_add_test(t, sidecars_that_ended_leave_little);
	tcase_add_test(t, who_returns_soon_gets_its_number_back);
	tcase_add_test(t, full_is_full_until_one_is_given_back);
	tcase_add_test(t, a_new_owner_inherits_nothing);
	tcase_add_test(t, short_memory_gives_none_and_loses_none);
	tcase_add_test(t, specs_give_their_slots_back);
	suite_add_tcase(s, t);
	t = tcase_create("parts");
	tcase_add_checked_fixture(t, worker_setup, worker_teardown);
	tcase_add_test(t, parts_of_another_identity_begin_anew);
	suite_add_tcase(s, t);
	return s;
}
