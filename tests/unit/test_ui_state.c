/* control/ui/state: bounds of /ui/state, whom it shows first, and what it costs with 50 sidecars of 20 upstreams of 10 endpoints. */
#include "base/mem.h"
#include "control/ui/state.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { ENDPOINTS = 10 };

struct estate { /* as many sidecars and upstreams as a test wants; none of them has workers */
	uint32_t sidecars, upstreams; /* of each sidecar */
	struct agent agent;
	struct agent_sidecar *views;
	struct spec_sidecar *specs;
	struct spec_upstream *all, **lists, local, external;
	struct circuit *circuits;
	struct balance_cell *cells;
	struct balance_cell **cell_lists;
	struct spec_endpoint *endpoints;
	char (*names)[32];
	char (*instances)[24];
	struct ui_sampler *sampler;
};

static void make_upstream(struct estate *e, uint32_t i, struct spec_upstream *u)
{
	for (uint32_t k = 0; k < ENDPOINTS; k++)
		e->cell_lists[i * ENDPOINTS + k] = &e->cells[i * ENDPOINTS + k];
	snprintf(e->names[i], sizeof(e->names[i]), "upstream-service-%u", i % e->upstreams);
	*u = (struct spec_upstream){ .slot = i,
		.name = str_of(e->names[i]),
		.kind = UPSTREAM_SERVICE,
		.n_endpoints = ENDPOINTS,
		.endpoints = e->endpoints,
		.circuit = &e->circuits[i],
		.balance = { .n = ENDPOINTS, .cells = &e->cell_lists[i * ENDPOINTS] },
		.policy.breaker = { .on = true, .bucket = USEC_SEC, .volume = 20, .error_percent = 50 } };
	for (unsigned k = 0; k < WINDOW_BUCKETS; k++)
		window_add(&e->circuits[i].breaker.counts, CIRCUIT_SUCCESS, USEC_SEC,
			clock_now() - k * USEC_SEC);
	struct ui_called *c = e->sampler->called[i] = mem_zalloc(sizeof(*c));
	*c = (struct ui_called){ .requests = 1 + i,
		.now = { .rate = (float)(i % 997),
			.errors = 0.5f,
			.p50 = 1.25f,
			.p95 = 20.5f,
			.p99 = 81.125f } };
}

static struct estate *estate_new(uint32_t sidecars, uint32_t upstreams)
{
	struct estate *e = mem_zalloc(sizeof(*e));
	uint32_t n = sidecars * upstreams;

	*e = (struct estate){ .sidecars = sidecars,
		.upstreams = upstreams,
		.views = mem_zarray(sidecars, sizeof(*e->views)),
		.specs = mem_zarray(sidecars, sizeof(*e->specs)),
		.all = mem_zarray(n, sizeof(*e->all)),
		.lists = mem_zarray(n, sizeof(struct spec_upstream *)),
		.circuits = aligned_alloc(64, n * sizeof(struct circuit)),
		.cells = aligned_alloc(64, n * ENDPOINTS * sizeof(struct balance_cell)),
		.cell_lists = mem_zarray(n * ENDPOINTS, sizeof(struct balance_cell *)),
		.endpoints = mem_zarray(ENDPOINTS, sizeof(*e->endpoints)),
		.names = mem_zarray(n, 32),
		.instances = mem_zarray(sidecars, 24),
		.sampler = mem_zalloc(sizeof(*e->sampler)) };
	memset(e->circuits, 0, n * sizeof(struct circuit));
	memset(e->cells, 0, n * ENDPOINTS * sizeof(struct balance_cell));
	ui_sampler_init(e->sampler);
	e->local.slot = e->external.slot = SLOTS_UPSTREAMS_MAX - 1;
	e->local.kind = UPSTREAM_LOCAL;
	e->external.kind = UPSTREAM_EXTERNAL;
	for (uint32_t i = 0; i < n; i++) {
		make_upstream(e, i, &e->all[i]);
		e->lists[i] = &e->all[i];
	}
	for (uint32_t i = 0; i < sidecars; i++) {
		e->specs[i] = (struct spec_sidecar){ .slot = i % SLOTS_SIDECARS_MAX,
			.service = i ? STR("accountservice") : STR("<script>"),
			.n_upstreams = upstreams,
			.upstreams = &e->lists[i * upstreams],
			.local = &e->local,
			.external = &e->external };
		snprintf(e->instances[i], sizeof(e->instances[i]), "shop_account.%u", i);
		e->views[i] = (struct agent_sidecar){
			.spec = &e->specs[i], .agent = &e->agent, .name = e->instances[i]
		};
	}
	e->agent = (struct agent){ .n_sidecars = sidecars,
		.sidecars = e->views,
		.node = STR("n1"),
		.started = clock_wall(),
		.command = "node",
		.version = "test" };
	return e;
}

static void estate_free(struct estate *e)
{
	ui_sampler_release(e->sampler);
	void *const parts[] = { e->views, e->specs, e->all, e->lists, e->cell_lists, e->endpoints, e->names,
		e->instances, e->sampler };
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		mem_free(parts[i]);
	free(e->circuits);
	free(e->cells);
	mem_free(e);
}

static void each(void *arg, void (*fn)(void *to, const struct agent_fact *f), void *to)
{
	struct estate *e = arg;
	static char names[1000][24];

	for (uint32_t i = 0; i < e->sidecars; i++) {
		snprintf(names[i % 1000], sizeof(names[0]), "shop_account.%u", i);
		fn(to, &(struct agent_fact){ .view = &e->views[i],
			       .name = names[i % 1000],
			       .service = "account",
			       .stack = "shop",
			       .slot = "1",
			       .state = "serving",
			       .why = "" });
	}
}

static usec put(struct estate *e, struct text *t, size_t max, struct ui_state *s)
{
	e->agent.each_sidecar = each;
	e->agent.put_arg = e;
	usec began = clock_now();
	text_init(t, 2 * UI_STATE_MAX);
	struct json j = json_begin(t);
	json_object(&j);
	*s = (struct ui_state){
		.sampler = e->sampler, .agent = &e->agent, .whole = true, .j = &j, .max = max
	};
	ui_state_put(s);
	json_end(&j);
	ck_assert(!t->failed);
	return clock_now() - began;
}

static unsigned count(const char *z, const char *what)
{
	unsigned n = 0;

	for (; (z = strstr(z, what)) != NULL; z++)
		n++;
	return n;
}

START_TEST(a_full_node)
{
	struct estate *e = estate_new(50, 20);
	struct ui_state s;
	struct text t;
	usec best = USEC_NEVER;

	for (int i = 0; i < 10; i++) {
		usec took = put(e, &t, UI_STATE_MAX, &s);
		best = took < best ? took : best;
		if (i < 9)
			text_release(&t);
	}
	printf("state of 50 sidecars x 20 upstreams x %d endpoints: %.2f ms, %zu KiB\n", ENDPOINTS,
		(double)best / USEC_MS, t.n / 1024);
	ck_assert_uint_eq(count(text_z(&t), "\"from_stack\":"), UI_EDGES_MAX);
	ck_assert_uint_eq(count(text_z(&t), "\"config_errors\":"), 50);
	ck_assert_uint_eq(count(text_z(&t), "\"rejected\":"), UI_CIRCUITS_MAX);
	ck_assert(s.left_edges == 500 && s.left_circuits == 800 && s.left_sidecars == 0);
	ck_assert_uint_lt(t.n, UI_STATE_MAX);
#ifndef SANITIZED
	ck_assert_msg(best < 40 * USEC_MS, "%.1f ms",
		(double)best / USEC_MS); /* the aim is 10, on a machine of its own */
#endif
	text_release(&t);
	estate_free(e);
}
END_TEST

START_TEST(the_busiest_first)
{
	struct estate *e = estate_new(2, 5);
	struct ui_state s;
	struct text t;

	put(e, &t, UI_STATE_MAX, &s); /* upstream 9 has the highest rate */
	const char *edges = strstr(text_z(&t), "\"edges\":[");
	ck_assert_ptr_nonnull(edges);
	static const char first[] =
		"\"edges\":[{\"from\":\"accountservice\",\"instance\":\"shop_account.1\",\"from_stack\":\"\","
		"\"to\":\"upstream-service-4\",\"rate\":9,";
	ck_assert_msg(strncmp(edges, first, sizeof(first) - 1) == 0, "%.200s", edges);
	ck_assert_ptr_nonnull(
		strstr(edges, "\"from\":\"\\u003cscript>\"")); /* a name that is no name stays text */
	ck_assert_ptr_null(strchr(text_z(&t), '<'));
	text_release(&t);
	estate_free(e);
}
END_TEST

static const size_t sizes[] = { UI_STATE_MIN, 12 * 1024, 64 * 1024, 256 * 1024 };

START_TEST(within_the_bytes_that_were_asked_for)
{
	struct estate *e = estate_new(100, 20);
	struct ui_state s;
	struct text t;

	put(e, &t, sizes[_i], &s);
	ck_assert_msg(t.n <= sizes[_i], "%zu of %zu", t.n, sizes[_i]);
	ck_assert_uint_gt(count(text_z(&t), "\"from_stack\":"), 0);
	ck_assert_uint_eq(count(text_z(&t), "\"from_stack\":") + s.left_edges, 2000);
	ck_assert_uint_eq(count(text_z(&t), "\"config_errors\":") + s.left_sidecars, 100);
	text_release(&t);
	estate_free(e);
}
END_TEST

START_TEST(more_sidecars_than_are_shown)
{
	struct estate *e = estate_new(UI_SIDECARS_MAX + 20, 1);
	struct ui_state s;
	struct text t;

	put(e, &t, UI_STATE_MAX, &s);
	ck_assert_uint_eq(count(text_z(&t), "\"config_errors\":"), UI_SIDECARS_MAX);
	ck_assert_uint_eq(s.left_sidecars, 20);
	text_release(&t);
	estate_free(e);
}
END_TEST

START_TEST(without_memory)
{
	struct estate *e = estate_new(2, 2);

	for (unsigned long k = 1; k < 12; k++) {
		struct text t;
		struct json j;
		text_init(&t, UI_STATE_MAX);
		j = json_begin(&t);
		json_object(&j);
		struct ui_state s = {
			.sampler = e->sampler, .agent = &e->agent, .whole = true, .j = &j, .max = UI_STATE_MAX
		};
		mem_fail_at(k);
		ui_state_put(&s);
		mem_fail_at(0);
		text_release(&t);
	}
	estate_free(e);
}
END_TEST

Suite *suite_ui_state(void);
Suite *suite_ui_state(void)
{
	Suite *s = suite_create("ui_state");
	TCase *c = tcase_create("state");

	tcase_add_test(c, a_full_node);
	tcase_add_test(c, the_busiest_first);
	tcase_add_loop_test(c, within_the_bytes_that_were_asked_for, 0, sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_test(c, more_sidecars_than_are_shown);
	tcase_add_test(c, without_memory);
	suite_add_tcase(s, c);
	return s;
}
