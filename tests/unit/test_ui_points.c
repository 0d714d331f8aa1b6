/* control/ui: points and their history, changes, rollouts: pure, with the time as an argument. */
#include "base/mem.h"
#include "control/ui/changes.h"
#include "control/ui/points.h"
#include "control/ui/rollout.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

static const struct duration_bounds bounds = { .n = 4, .us = { 1000, 5000, 10000, 100000 } };

/* --- points --------------------------------------------------------------------------------------------------------------------- */

static const struct {
	uint64_t buckets[5];
	unsigned permille;
	double us;
} quantiles[] = {
	{ { 0, 0, 0, 0, 0 }, 500, NAN },     /* none */
	{ { 100, 0, 0, 0, 0 }, 500, 500 },   /* the middle of the first */
	{ { 0, 100, 0, 0, 0 }, 500, 3000 },  /* linear between 1 and 5 ms */
	{ { 50, 50, 0, 0, 0 }, 500, 1000 },  /* the bound itself */
	{ { 90, 0, 0, 10, 0 }, 990, 91000 }, /* empty buckets are passed */
	{ { 1, 0, 0, 0, 99 }, 950, 100000 }, /* above the last bound: not known better */
	{ { 98, 1, 0, 0, 1 }, 990, 5000 },
};

START_TEST(quantile)
{
	uint64_t buckets[DURATION_BUCKETS] = { 0 };

	memcpy(buckets, quantiles[_i].buckets, sizeof(quantiles[_i].buckets));
	double us = ui_quantile(buckets, &bounds, quantiles[_i].permille);
	if (isnan(quantiles[_i].us))
		ck_assert(isnan(us));
	else
		ck_assert_msg(fabs(us - quantiles[_i].us) < 1, "%f, not %f", us, quantiles[_i].us);
}
END_TEST

START_TEST(a_point_is_what_came_between_two_looks)
{
	struct ui_delta before = { .n = 10, .errors = 1, .buckets = { 10 } },
			now = { .n = 30, .errors = 5, .buckets = { 10, 20 } }, d;

	ui_delta_between(&d, &now, &before);
	struct ui_point p = ui_point_of(&d, &bounds, 2 * USEC_SEC);
	ck_assert(p.rate == 10 && p.errors == 2);
	ck_assert_msg(fabsf(p.p50 - 3) < 0.01f, "%f", (double)p.p50);
}
END_TEST

START_TEST(counters_that_began_anew)
{
	struct ui_delta before = { .n = 1000, .errors = 9, .buckets = { 1000 } },
			now = { .n = 4, .errors = 1, .buckets = { 4 } }, d;

	ui_delta_between(&d, &now, &before); /* the worker's part was given to another: no rate of 2^64 */
	ck_assert(d.n == 4 && d.errors == 1 && d.buckets[0] == 4);
}
END_TEST

/* --- history ---------------------------------------------------------------------------------------------------------------------- */

static void put(struct ui_history *h, float rate, float p50)
{
	const struct ui_point p[UI_SIDES] = { { .rate = rate, .p50 = p50, .p95 = NAN, .p99 = NAN },
		{ .p50 = NAN, .p95 = NAN, .p99 = NAN } };

	ui_history_put(h, p);
}

static const char *printed(const struct ui_history *h, struct text *t, unsigned points)
{
	text_init(t, 256 * 1024);
	struct json j = json_begin(t);
	json_object(&j);
	ui_history_print(h, &j, points);
	json_end(&j);
	ck_assert(!t->failed);
	return text_z(t);
}

START_TEST(quiet_history_takes_no_memory)
{
	struct ui_history h = { NULL, 0, 0 };
	struct text t;

	put(&h, 0, NAN);
	put(&h, 0, NAN);
	ck_assert_ptr_null(h.at);
	ck_assert_ptr_nonnull(
		strstr(printed(&h, &t, UI_POINTS), "\"rate\":[0,0],\"errors\":[0,0],\"p50_ms\":[null,null]"));
	text_release(&t);
	put(&h, 3, 1.5f);
	ck_assert_ptr_nonnull(strstr(printed(&h, &t, UI_POINTS),
		"\"rate\":[0,0,3],\"errors\":[0,0,0],\"p50_ms\":[null,null,1.5]"));
	text_release(&t);
	ui_history_release(&h);
}
END_TEST

START_TEST(history_keeps_ten_minutes)
{
	struct ui_history h = { NULL, 0, 0 };
	struct text t;

	for (unsigned i = 0; i < UI_POINTS + 5; i++)
		put(&h, (float)i, 1);
	const char *z = printed(&h, &t, UI_POINTS);
	ck_assert_msg(strncmp(z, "{\"in\":{\"rate\":[5,6,7,", 21) == 0, "%.60s", z);
	ck_assert_ptr_nonnull(strstr(z, ",303,304],\"errors\""));
	text_release(&t);
	ui_history_release(&h);
}
END_TEST

START_TEST(history_in_fewer_points)
{
	struct ui_history h = { NULL, 0, 0 };
	struct text t;

	put(&h, 2, 1);
	put(&h, 4, NAN);
	put(&h, 10, 7);
	ck_assert_uint_eq(ui_history_step(150), 2);
	const char *z = printed(&h, &t, 150); /* rates by their mean, percentiles by the worst */
	ck_assert_msg(strstr(z, "\"rate\":[3,10],") && strstr(z, "\"p50_ms\":[1,7]"), "%s", z);
	text_release(&t);
	ui_history_release(&h);
}
END_TEST

START_TEST(history_without_memory)
{
	struct ui_history h = { NULL, 0, 0 };
	struct text t;

	mem_fail_at(1);
	put(&h, 5, 1);
	mem_fail_at(0);
	ck_assert_ptr_nonnull(strstr(printed(&h, &t, UI_POINTS), "\"rate\":[0]"));
	text_release(&t);
	put(&h, 6, 1);
	ck_assert_ptr_nonnull(strstr(printed(&h, &t, UI_POINTS), "\"rate\":[0,6]"));
	text_release(&t);
	ui_history_release(&h);
}
END_TEST

/* --- changes ---------------------------------------------------------------------------------------------------------------------- */

#define T0 (1000 * USEC_SEC)

static struct change change_of(enum change_kind kind, uint64_t seat, const char *service, usec wall)
{
	return (struct change){ .kind = kind,
		.seat = seat,
		.node = STR("n1"),
		.service = str_of(service),
		.upstream = STR("quotes"),
		.wall = wall };
}

static unsigned count(const struct changes *c, uint64_t seat, uint64_t since, usec oldest, struct text *t)
{
	unsigned n = 0;

	text_init(t, 1 << 20);
	struct json j = json_begin(t);
	json_array(&j);
	changes_print(c, &j, seat, since, oldest, SIZE_MAX);
	json_end(&j);
	for (const char *z = text_z(t); (z = strstr(z, "\"number\":")) != NULL; z++)
		n++;
	return n;
}

static unsigned counted(const struct changes *c, uint64_t seat, uint64_t since, usec oldest)
{
	struct text t;
	unsigned n = count(c, seat, since, oldest, &t);

	text_release(&t);
	return n;
}

START_TEST(changes_are_kept_and_found)
{
	struct changes *c = changes_new();
	struct change w = change_of(CHANGE_CIRCUIT, 7, "accounts", T0);
	struct text t;

	change_note(c, &w, "the circuit of %s opened", "quotes");
	ck_assert_uint_eq(count(c, 7, 0, 0, &t), 1);
	ck_assert_str_eq(text_z(&t), "[{\"number\":1,\"time_ms\":1000000,\"node\":\"n1\",\"kind\":"
				     "\"circuit\",\"service\":\"accounts\",\"upstream\":\"quotes\","
				     "\"subject\":null,\"text\":\"the circuit of quotes opened\"}]");
	text_release(&t);
	ck_assert_uint_eq(counted(c, 8, 0, 0), 0); /* another sidecar's */
	ck_assert_uint_eq(counted(c, 0, 0, 0), 1); /* all of the process */
	ck_assert_uint_eq(counted(c, 0, 1, 0), 0);
	ck_assert_uint_eq(counted(c, 0, UINT64_MAX, 0), 0);
	ck_assert_uint_eq(counted(c, 0, 0, T0 + 1), 0);
	changes_free(c);
}
END_TEST

START_TEST(the_last_are_kept)
{
	struct changes *c = changes_new();

	for (unsigned i = 1; i <= CHANGES_KEPT + 10; i++) {
		struct change w = change_of(CHANGE_CONFIG, 1, "a", T0 + i);
		change_note(c, &w, "configuration %u", i);
	}
	ck_assert_uint_eq(changes_last(c), CHANGES_KEPT + 10);
	ck_assert_uint_eq(counted(c, 0, 0, 0), CHANGES_KEPT);
	ck_assert_uint_eq(counted(c, 0, CHANGES_KEPT + 8, 0), 2);
	ck_assert(!changes_is_of(c, 5, 0) && changes_is_of(c, 11, 1) && !changes_is_of(c, 0, 0));
	changes_free(c);
}
END_TEST

static const struct {
	enum change_kind kind;
	uint64_t seat;
	const char *service, *text;
	usec later;
	unsigned kept; /* in all */
} same[] = {
	/* after: a rollout that sidecar 1, of service a, told at T0 */
	{ CHANGE_ROLLOUT, 2, "b", "one came", 1, 1 },                /* another caller saw it too */
	{ CHANGE_ROLLOUT, 2, "b", "one came", CHANGES_SAME + 2, 2 }, /* again, later */
	{ CHANGE_ROLLOUT, 2, "b", "one left", 1, 2 },
	{ CHANGE_ROLLOUT, 1, "a", "one came", 1, 2 }, /* twice, by the same one */
	{ CHANGE_EJECTED, 2, "b", "one came", 1, 2 },
};

START_TEST(what_several_see_is_one)
{
	struct changes *c = changes_new();
	struct change w = change_of(CHANGE_ROLLOUT, 1, "a", T0),
		      again = change_of(same[_i].kind, same[_i].seat, same[_i].service, T0 + same[_i].later);

	change_note(c, &w, "one came");
	change_note(c, &again, "%s", same[_i].text);
	ck_assert_uint_eq(counted(c, 0, 0, 0), same[_i].kept);
	ck_assert_uint_ge(counted(c, same[_i].seat, 0, 0), 1); /* and of both */
	ck_assert_uint_ge(counted(c, 1, 0, 0), 1);
	ck_assert_uint_eq(counted(c, 9, 0, 0), 0);
	changes_free(c);
}
END_TEST

static void hear(void *arg, uint64_t number, struct str json)
{
	struct text *t = arg;

	text_fmt(t, "%llu:%zu ", (unsigned long long)number, json.n > 20 ? (size_t)20 : json.n);
}

START_TEST(who_listens_is_told_once)
{
	struct changes *c = changes_new();
	struct change w = change_of(CHANGE_ROLLOUT, 1, "a", T0);
	struct text t;

	text_init(&t, 1000);
	changes_listen(c, hear, &t);
	change_note(c, &w, "one came");
	w.seat = 2;
	change_note(c, &w, "one came");
	ck_assert_str_eq(text_z(&t), "1:20 ");
	text_release(&t);
	changes_free(c);
}
END_TEST

START_TEST(texts_of_peers_are_bounded_and_escaped)
{
	struct changes *c = changes_new();
	struct change w = change_of(CHANGE_HANDLER, 1, "<script>", T0);
	char *longest = mem_alloc(5000);
	struct text t;

	memset(longest, '<', 4999);
	longest[4999] = '\0';
	w.subject = w.upstream = str_of(longest);
	change_note(c, &w, "%s\n", longest);
	ck_assert_uint_eq(count(c, 0, 0, 0, &t), 1);
	ck_assert_uint_lt(t.n, 8192);
	ck_assert_ptr_null(strchr(text_z(&t), '<'));
	ck_assert_ptr_null(strchr(text_z(&t), '\n'));
	text_release(&t);
	mem_free(longest);
	changes_free(c);
}
END_TEST

START_TEST(changes_without_memory)
{
	for (unsigned long k = 1; k < 6; k++) {
		struct changes *c = changes_new();
		struct change w = change_of(CHANGE_DRAIN, 1, "a", T0);
		mem_fail_at(k);
		change_note(c, &w, "it drains");
		mem_fail_at(0);
		(void)counted(c, 1, 0, 0);
		change_note(c, &w, "it leaves");
		ck_assert_uint_ge(counted(c, 1, 0, 0), 1);
		changes_free(c);
	}
	change_note(NULL, &(struct change){ .kind = CHANGE_DRAIN }, "nobody keeps it");
}
END_TEST

/* --- rollouts ---------------------------------------------------------------------------------------------------------------------- */

struct instances { /* "10.0.0.1=1" of version 1 */
	const char *texts[6];
};

static const struct {
	struct instances was, is;
	const char *says, *subject; /* NULL: nothing */
} rollouts[] = {
	{ { { "10.0.0.1=1", "10.0.0.2=1" } }, { { "10.0.0.2=1", "10.0.0.3=2" } },
		"1 instance came (10.0.0.3:80 of version 2), 1 instance left (10.0.0.1:80); 2 now",
		"10.0.0.3:80" },
	{ { { "10.0.0.1=1" } }, { { "10.0.0.1=2" } },
		"1 instance has another version (10.0.0.1:80 of version 2); 1 now", "10.0.0.1:80" },
	{ { { "10.0.0.1=", "10.0.0.2=" } }, { { NULL } },
		"2 instances left (10.0.0.1:80, 10.0.0.2:80); 0 now", "10.0.0.1:80" },
	{ { { "10.0.0.1=" } }, { { "10.0.0.1=", "10.0.0.2=", "10.0.0.3=", "10.0.0.4=", "10.0.0.5=" } },
		"4 instances came (10.0.0.2:80, 10.0.0.3:80, 10.0.0.4:80 …); 5 now", "10.0.0.2:80" },
	{ { { NULL } }, { { "10.0.0.1=1" } }, NULL, NULL }, /* the first set is no rollout */
	{ { { "10.0.0.1=1" } }, { { "10.0.0.1=1" } }, NULL, NULL },
};

static struct endpoint_set *set_of(const struct instances *in)
{
	struct registry_endpoint at[6] = { { .weight = 100 } };
	struct registry_meta meta[6];
	size_t n = 0;

	for (; n < 6 && in->texts[n]; n++) {
		const char *equals = strchr(in->texts[n], '=');
		ck_assert(addr_parse_ip(
			str_make(in->texts[n], (size_t)(equals - in->texts[n])), 80, &at[n].addr));
		meta[n] = (struct registry_meta){ STR("version"), str_of(equals + 1) };
		at[n].meta = &meta[n];
		at[n].n_meta = 1;
	}
	return n ? endpoint_set_new(at, n, "static") : NULL;
}

START_TEST(a_rollout_in_words)
{
	struct endpoint_set *was = set_of(&rollouts[_i].was), *is = set_of(&rollouts[_i].is);
	char subject[ADDR_TEXT_MAX] = "";
	struct text t;

	text_init(&t, 1000);
	ck_assert_int_eq(rollout_says(was, is, &t, subject), rollouts[_i].says != NULL);
	if (rollouts[_i].says) {
		ck_assert_str_eq(text_z(&t), rollouts[_i].says);
		ck_assert_str_eq(subject, rollouts[_i].subject);
	}
	text_release(&t);
	endpoint_set_unref(was);
	endpoint_set_unref(is);
}
END_TEST

#define ROWS(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_ui_points(void);
Suite *suite_ui_points(void)
{
	Suite *s = suite_create("ui_points");
	TCase *points = tcase_create("points"), *history = tcase_create("history"),
	      *changes = tcase_create("changes"), *rollout = tcase_create("rollout");

	tcase_add_loop_test(points, quantile, 0, ROWS(quantiles));
	tcase_add_test(points, a_point_is_what_came_between_two_looks);
	tcase_add_test(points, counters_that_began_anew);
	tcase_add_test(history, quiet_history_takes_no_memory);
	tcase_add_test(history, history_keeps_ten_minutes);
	tcase_add_test(history, history_in_fewer_points);
	tcase_add_test(history, history_without_memory);
	tcase_add_test(changes, changes_are_kept_and_found);
	tcase_add_test(changes, the_last_are_kept);
	tcase_add_loop_test(changes, what_several_see_is_one, 0, ROWS(same));
	tcase_add_test(changes, who_listens_is_told_once);
	tcase_add_test(changes, texts_of_peers_are_bounded_and_escaped);
	tcase_add_test(changes, changes_without_memory);
	tcase_add_loop_test(rollout, a_rollout_in_words, 0, ROWS(rollouts));
	suite_add_tcase(s, points);
	suite_add_tcase(s, history);
	suite_add_tcase(s, changes);
	suite_add_tcase(s, rollout);
	return s;
}
