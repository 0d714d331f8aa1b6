/* control/reload: what sources say is put in force, refused or passed over as a whole; in slices; whatever fails. */
#include "reload_help.h"

#include "control/properties.h"

#include <stdlib.h>

#define FLAGS "--service=quotes --port=6767 --config=far:a,near:b"
#define GOOD "outrider.limit.requests=100\nname=one"

static struct bench b;

static void open_default(void)
{
	bench_open(&b, FLAGS);
	script_say(0, GOOD);
	script_say(1, "name=weaker\nonly=here");
	bench_first(&b);
}

static void teardown(void)
{
	bench_close(&b);
}

/* The page of /config as text, the caller's to free. */
static char *page(void)
{
	struct text t;
	text_init(&t, 1u << 20);
	struct json j = json_begin(&t);
	json_object(&j);
	reload_print(b.r, &j);
	reload_print_stats(b.r, &j);
	json_end(&j);
	ck_assert(!t.failed);
	return text_detach(&t);
}

static void ck_page(const char *want)
{
	char *p = page();
	ck_assert_msg(strstr(p, want) != NULL, "no %s in …%.300s", want, p);
	mem_free(p);
}

static void ck_property(const char *key, const char *want)
{
	const struct property *p = properties_find(reload_properties(b.r), str_of(key));
	ck_assert_ptr_nonnull(p);
	ck_str(p->value, want);
}

START_TEST(the_first_values_are_the_start)
{
	ck_assert_uint_eq(reload_stats(b.r).version, 1);
	ck_assert_uint_eq(reload_stats(b.r).applied, 0); /* changes are counted */
	ck_assert_uint_eq(b.applied, 0);
	ck_assert_uint_eq(options_u64(reload_options(b.r), OPT_LIMIT_REQUESTS), 100);
	ck_property("name", "one");
	ck_property("only", "here");
}
END_TEST

START_TEST(a_change_is_applied_whole)
{
	uint64_t hash = reload_stats(b.r).hash;
	script_say(0, "outrider.limit.requests=200\nname=${only} and ${none:more}");
	bench_until(&b, 1);
	ck_assert_uint_eq(b.requests, 200);
	ck_assert_uint_eq(b.applied, 1);
	ck_assert_uint_eq(b.watched, 1);
	ck_property("name", "here and more");
	ck_assert_uint_eq(reload_stats(b.r).version, 2);
	ck_assert_uint_ne(reload_stats(b.r).hash, hash);
	script_say(0, GOOD);
	bench_until(&b, 2);
	ck_assert_uint_eq(reload_stats(b.r).hash, hash);
	ck_page("\"rejected\":null");
}
END_TEST

START_TEST(the_same_again_is_no_change)
{
	const struct options *o = reload_options(b.r);
	script_say(1, "only=here\nname=other but hidden");
	bench_until(&b, 1);
	ck_assert_uint_eq(reload_stats(b.r).unchanged, 1);
	ck_assert_ptr_eq(reload_options(b.r), o);
	ck_assert_uint_eq(b.watched + b.applied, 0);
}
END_TEST

static const struct {
	const char *say, *shown;
} refused[] = {
	{ "outrider.limit.requests=many",
		"\"key\":\"outrider.limit.requests\",\"value\":\"many\",\"origin\":\"script:1\"" },
	{ "ok=1\noutrider.limit.reqests=7", "outrider.limit.requests?" },
	{ "outrider.admin.token=hunter2",
		"\"value\":\"***\",\"origin\":\"script:1\",\"why\":\"only the agent's own" },
	{ "db={cipher}hunter2", "\"value\":\"***\"" }, { "invalid.db=<n/a>", "could not decrypt" },
	{ "a=${b}hunter2\nb=${a}", "circle" },
	{ "outrider.upstreams[0].name=x",
		"outrider.upstreams[0].name" }, /* a list of mappings is no option */
	{ "outrider.service=not a name",
		"\"key\":\"outrider.service\"" }, /* although only a restart would use it */
};

START_TEST(a_wrong_change_is_refused_whole)
{
	script_say(0, refused[_i].say);
	bench_until(&b, 1);
	ck_assert_uint_eq(reload_stats(b.r).rejected, 1);
	ck_assert_uint_eq(reload_stats(b.r).in_row, 1);
	ck_assert_uint_ge(reload_problems(b.r), 1);
	ck_assert_uint_eq(options_u64(reload_options(b.r), OPT_LIMIT_REQUESTS), 100);
	ck_property("name", "one");
	ck_assert_uint_eq(b.applied + b.watched, 0);
	ck_page(refused[_i].shown);
	char *p = page();
	ck_assert_ptr_null(strstr(p, "hunter2"));
	mem_free(p);
	script_say(0, GOOD); /* what runs is said again: all is well */
	bench_until(&b, 2);
	ck_assert_uint_eq(reload_problems(b.r), 0);
	ck_page("\"rejected\":null");
}
END_TEST

START_TEST(lists_become_options)
{
	script_say(0, "outrider.egress-list[0]=a.org\noutrider.egress-list[1]=b.org");
	bench_until(&b, 1);
	ck_str(options_text(reload_options(b.r), OPT_EGRESS_LIST), "a.org,b.org");
}
END_TEST

START_TEST(what_needs_a_restart_is_held)
{
	bench_close(&b);
	bench_open(&b, "--port=6767 --config=far:a");
	script_say(0, "outrider.service=quotes\noutrider.limit.requests=100");
	bench_first(&b);
	script_say(0, "outrider.service=other\noutrider.limit.requests=300");
	bench_until(&b, 1);
	ck_assert_uint_eq(b.requests, 300);
	ck_str(options_text(reload_options(b.r), OPT_SERVICE), "quotes");
	ck_page("\"key\":\"outrider.service\",\"value\":\"other\"");
	script_say(0, "outrider.service=quotes\noutrider.limit.requests=100");
	bench_until(&b, 2);
	ck_page("\"needs_restart\":[]");
}
END_TEST

/* Without its name the agent could not start again: said now, not at the next start. */
START_TEST(what_a_restart_would_refuse_is_refused_now)
{
	bench_close(&b);
	bench_open(&b, "--port=6767 --config=far:a");
	script_say(0, "outrider.service=quotes\noutrider.limit.requests=100");
	bench_first(&b);
	script_say(0, "outrider.limit.requests=160");
	bench_until(&b, 1);
	ck_assert_uint_eq(reload_stats(b.r).rejected, 1);
	ck_page("outrider.service");
	ck_assert_uint_eq(options_u64(reload_options(b.r), OPT_LIMIT_REQUESTS), 100);
}
END_TEST

START_TEST(a_burst_makes_one_job)
{
	char line[64];
	script_say(0, "outrider.limit.requests=1000");
	for (unsigned i = 0; i < 100; i++) {
		snprintf(line, sizeof(line), "outrider.limit.requests=%u", 1001 + i);
		script_say(0, line);
	}
	for (unsigned i = 0; i < 200; i++) {
		loop_skip(b.loop, RELOAD_GAP);
		loop_turn(b.loop, false);
	}
	ck_assert_uint_eq(b.requests, 1100);
	ck_assert_uint_le(bench_jobs(&b), 2); /* the one that had begun, and one for all the rest */
}
END_TEST

START_TEST(what_cannot_be_applied_is_tried_again)
{
	b.refuse = true;
	script_say(0, "outrider.limit.requests=500");
	bench_until(&b, 1);
	ck_page("the port is taken");
	ck_property("name", "one");
	b.refuse = false;
	reload_refresh(b.r);
	bench_until(&b, 2);
	ck_assert_uint_eq(b.requests, 500);
	b.refuse = true;
	script_say(0, "outrider.limit.requests=600");
	bench_until(&b, 3);
	b.refuse = false;
	loop_skip(b.loop, 11 * USEC_SEC); /* without anybody asking */
	bench_until(&b, 4);
	ck_assert_uint_eq(b.requests, 600);
}
END_TEST

/* Every allocation of a job: the old values stay, or the new ones are there, never a mixture. */
START_TEST(short_memory_leaves_the_old_in_force)
{
	bool done = false;
	for (unsigned long k = 1; !done; k++) {
		char line[96];
		snprintf(line, sizeof(line), "outrider.limit.requests=%lu\nname=%lu-${only}", 1000 + k, k);
		script_say(0, line);
		uint64_t before = options_u64(reload_options(b.r), OPT_LIMIT_REQUESTS), jobs = bench_jobs(&b);
		mem_fail_at(k);
		for (unsigned i = 0; i < 1000 && bench_jobs(&b) == jobs && mem_count() < k; i++) {
			loop_skip(b.loop, RELOAD_GAP);
			loop_turn(b.loop, false);
		}
		bench_until(&b, jobs + 1); /* also of one that could not even begin: a second later */
		done = mem_count() < k;
		mem_fail_at(0);
		uint64_t now = options_u64(reload_options(b.r), OPT_LIMIT_REQUESTS);
		ck_assert(now == before || now == 1000 + k);
		if (now == 1000 + k) {
			snprintf(line, sizeof(line), "%lu-here", k);
			ck_property("name", line);
		} else {
			ck_assert_uint_ge(reload_stats(b.r).in_row, 1);
			char *p = page();
			mem_free(p);
		}
	}
	ck_assert_uint_eq(reload_stats(b.r).in_row, 0);
}
END_TEST

/* Closed in the middle of a job, with its next slice in the loop's box. */
START_TEST(closing_in_the_middle)
{
	script_say(0, "outrider.limit.requests=700");
	loop_skip(b.loop, RELOAD_GAP);
	loop_turn(b.loop, false);
	script_say(0, "outrider.limit.requests=701");
}
END_TEST

/* --- size ----------------------------------------------------------------------------------------------------------- */

enum { LARGE = 10000 };

static struct source_property *large(char (*texts)[2][64], const char *key, const char *value, unsigned salt)
{
	struct source_property *at = calloc(LARGE, sizeof(*at));
	for (unsigned i = 0; i < LARGE; i++) {
		snprintf(texts[i][0], 64, key, i / 4, i % 4);
		snprintf(texts[i][1], 64, value, salt + i % 7);
		at[i] = (struct source_property){ str_of(texts[i][0]), str_of(texts[i][1]), STR("script"),
			1 };
	}
	return at;
}

static const struct {
	const char *what, *key, *value;
} sizes[] = {
	{ "properties of the service", "app.group%u.key%u", "value %u of ${only}" },
	{ "options, 2,500 upstreams", NULL, "%us" },
};

/* The figures are printed; a time is no verdict in a unit test. */
START_TEST(ten_thousand)
{
	static const char *const rows[] = { "timeout.connect", "timeout.first-byte", "pool.idle",
		"timeout.connect" };
	static char texts[LARGE][2][64];
	b.slots = slots_new(NULL);
	ck_assert_ptr_nonnull(b.slots);
	for (unsigned round = 0; round < 3; round++) {
		struct source_property *at = large(
			texts, sizes[_i].key ? sizes[_i].key : "%u.%u", sizes[_i].value, round + 1);
		size_t n = LARGE;
		for (unsigned i = 0; !sizes[_i].key && i < LARGE; i++) {
			if (i % 4 == 3)
				snprintf(texts[i][0], 64, "outrider.upstream.s%u.endpoints", i / 4);
			else
				snprintf(texts[i][0], 64, "outrider.upstream.s%u.%s", i / 4, rows[i % 4]);
			if (i % 4 == 3)
				snprintf(texts[i][1], 64, "10.%u.0.1:80,10.0.%u.%u:80", round, i / 1000,
					i % 250);
			at[i].key = str_of(texts[i][0]);
			at[i].value = str_of(texts[i][1]);
		}
		uint64_t from = thread_cpu();
		scripts[0]->events.on_values(scripts[0]->arg, at, n);
		uint64_t copied = thread_cpu() - from;
		free(at);
		loop_skip(b.loop, RELOAD_GAP);
		while (bench_jobs(&b) <= round)
			loop_turn(b.loop, false);
		struct reload_stats s = reload_stats(b.r);
		ck_assert_msg(s.rejected == 0, "%zu problems", reload_problems(b.r));
		ck_assert_uint_eq(b.applied, round + 1);
		ck_assert_uint_ge(s.properties, LARGE);
		printf("reload of %u %s: %llu us of CPU, of those %llu to copy, %llu for the spec; longest "
		       "callback %llu us\n",
			LARGE, sizes[_i].what, (unsigned long long)(thread_cpu() - from),
			(unsigned long long)copied, (unsigned long long)b.apply_cpu,
			(unsigned long long)s.slice);
	}
}
END_TEST

Suite *suite_reload(void)
{
	Suite *s = suite_create("reload");
	TCase *t = tcase_create("reload");
	tcase_add_checked_fixture(t, open_default, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_first_values_are_the_start);
	tcase_add_test(t, a_change_is_applied_whole);
	tcase_add_test(t, the_same_again_is_no_change);
	tcase_add_loop_test(t, a_wrong_change_is_refused_whole, 0, ROWS(refused));
	tcase_add_test(t, lists_become_options);
	tcase_add_test(t, what_needs_a_restart_is_held);
	tcase_add_test(t, what_a_restart_would_refuse_is_refused_now);
	tcase_add_test(t, a_burst_makes_one_job);
	tcase_add_test(t, what_cannot_be_applied_is_tried_again);
	tcase_add_test(t, short_memory_leaves_the_old_in_force);
	tcase_add_test(t, closing_in_the_middle);
	tcase_add_loop_test(t, ten_thousand, 0, ROWS(sizes));
	suite_add_tcase(s, t);
	return s;
}
