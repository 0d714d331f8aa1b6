/* Pages of metrics: both formats, escaping, the cap on series, histograms, exemplars, which format a client gets. */
#include "base/mem.h"
#include "control/exposition.h"
#include "control/metrics.h"
#include "control/option_buckets.h"
#include "control/process_stats.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct text page, labels;

static struct str with(const char *key, const char *value)
{
	text_clear(&labels);
	labels_put(&labels, key, str_of(value));
	return text_str(&labels);
}

static void begin(struct exposition *e, bool openmetrics, uint32_t most)
{
	text_init(&page, 1 << 20);
	text_init(&labels, 4096);
	exposition_begin(e, &page, openmetrics, most);
}

static void end(void)
{
	text_release(&page);
	text_release(&labels);
}

#define HAS(z) ck_assert_msg(strstr(text_z(&page), z) != NULL, "no %s in\n%s", z, text_z(&page))
#define HAS_NOT(z) ck_assert_msg(strstr(text_z(&page), z) == NULL, "%s in\n%s", z, text_z(&page))

static void both(struct exposition *e)
{
	exposition_family(e, FAMILY_REQUESTS);
	exposition_u64(e, with("service", "a"), 7);
	exposition_u64(e, with("service", "b"), 8);
	exposition_family(e, FAMILY_CONNECTIONS_OPEN); /* none */
	exposition_family(e, FAMILY_WORKER_CPU);
	exposition_micro(e, with("thread", "worker-0"), 1500000);
	exposition_end(e);
}

START_TEST(text_for_prometheus)
{
	struct exposition e;

	begin(&e, false, 1000);
	both(&e);
	ck_assert_str_eq(text_z(&page),
		"# TYPE outrider_requests_total counter\n"
		"# HELP outrider_requests_total Requests whose head was read.\n"
		"outrider_requests_total{service=\"a\"} 7\n"
		"outrider_requests_total{service=\"b\"} 8\n"
		"# TYPE outrider_worker_cpu_seconds_total counter\n"
		"# HELP outrider_worker_cpu_seconds_total CPU time of a worker.\n"
		"outrider_worker_cpu_seconds_total{thread=\"worker-0\"} 1.5\n");
	ck_assert_uint_eq(e.series, 3);
	end();
}
END_TEST

START_TEST(openmetrics)
{
	struct exposition e;

	begin(&e, true, 1000);
	both(&e);
	ck_assert_str_eq(text_z(&page),
		"# TYPE outrider_requests counter\n"
		"# HELP outrider_requests Requests whose head was read.\n"
		"outrider_requests_total{service=\"a\"} 7\n"
		"outrider_requests_total{service=\"b\"} 8\n"
		"# TYPE outrider_worker_cpu_seconds counter\n"
		"# UNIT outrider_worker_cpu_seconds seconds\n"
		"# HELP outrider_worker_cpu_seconds CPU time of a worker.\n"
		"outrider_worker_cpu_seconds_total{thread=\"worker-0\"} 1.5\n"
		"# EOF\n");
	end();
}
END_TEST

START_TEST(label_values_are_escaped)
{
	text_init(&labels, 4096);
	labels_put(&labels, "a", STR("q\"b\\s\nn"));
	labels_put(&labels, "b", STR(""));
	labels_put(&labels, "c", STR("\xc3\xa9\xff\xe2\x82"));
	ck_assert_str_eq(text_z(&labels), "a=\"q\\\"b\\\\s\\nn\",c=\"\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	text_release(&labels);
}
END_TEST

/* Names of families are unique, of the alphabet, and end as their type and unit say. */
START_TEST(names_follow_the_conventions)
{
	for (unsigned i = 0; i < FAMILY_COUNT; i++) {
		const struct family_row *r = family_row((enum family_id)i);
		struct str name = str_of(r->name), unit = str_of(r->unit);
		bool total = str_ends(name, STR("_total"));
		ck_assert_msg(str_starts(name, STR("outrider_")) || str_starts(name, STR("process_")), "%s", r->name);
		ck_assert_msg(strspn(r->name, "abcdefghijklmnopqrstuvwxyz0123456789_") == name.n, "%s", r->name);
		ck_assert_msg(total == (r->type == FAMILY_TYPE_counter), "%s", r->name);
		if (total)
			name.n -= 6;
		ck_assert_msg(!unit.n || str_ends(name, unit), "%s has unit %s", r->name, r->unit);
		ck_assert_msg(strlen(r->help) > 4 && r->help[strlen(r->help) - 1] == '.', "%s", r->name);
		for (unsigned k = 0; k < i; k++)
			ck_assert_str_ne(r->name, family_row((enum family_id)k)->name);
	}
}
END_TEST

START_TEST(what_is_beyond_is_added_up)
{
	struct exposition e;
	char name[32];

	begin(&e, false, EXPOSITION_RESERVE + 3);
	exposition_family(&e, FAMILY_REQUESTS);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		exposition_u64(&e, with("service", name), i);
	}
	exposition_family(&e, FAMILY_CIRCUIT); /* a state: the greatest */
	exposition_u64(&e, with("service", "x"), 2);
	exposition_u64(&e, with("service", "y"), 1);
	e.always = true;
	exposition_family(&e, FAMILY_PROCESS_THREADS);
	exposition_u64(&e, STR(""), 5);
	exposition_end(&e);
	HAS("outrider_requests_total{service=\"s2\"} 2\n");
	HAS_NOT("s3");
	HAS("outrider_requests_total{service=\"_overflow\"} 42\n");
	HAS("outrider_circuit_state{service=\"_overflow\"} 2\n");
	HAS("process_threads 5\n");
	ck_assert_uint_eq(e.dropped, 9);
	end();
}
END_TEST

START_TEST(a_page_that_is_nearly_full_overflows)
{
	struct exposition e;
	char name[128];

	begin(&e, false, 1000000);
	text_release(&page);
	text_init(&page, 200 * 1024);
	exposition_family(&e, FAMILY_REQUESTS);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "a-rather-long-name-of-a-service-%u", i);
		exposition_u64(&e, with("service", name), 1);
	}
	exposition_end(&e);
	ck_assert(!page.failed);
	HAS("_overflow");
	ck_assert_uint_eq(e.series + e.dropped, 5000);
	end();
}
END_TEST

/* --- durations ----------------------------------------------------------------------------------------------------------------- */

static struct duration_bounds bounds(const char *z)
{
	struct duration_bounds b;

	ck_assert(option_buckets(str_of(z), &b));
	return b;
}

START_TEST(buckets_hold_what_is_not_above)
{
	struct duration_bounds b = bounds("1ms,10ms,1s");

	ck_assert_uint_eq(duration_bucket(&b, 0), 0);
	ck_assert_uint_eq(duration_bucket(&b, 1000), 0);
	ck_assert_uint_eq(duration_bucket(&b, 1001), 1);
	ck_assert_uint_eq(duration_bucket(&b, 10000), 1);
	ck_assert_uint_eq(duration_bucket(&b, 1000000), 2);
	ck_assert_uint_eq(duration_bucket(&b, 1000001), 3);
	ck_assert_uint_eq(duration_bucket(&b, UINT64_MAX), 3);
	b = bounds("1us,2us,3us,4us,5us,6us,7us,8us,9us,10us,11us,12us,13us,14us,15us,16us,17us,18us,19us,1h");
	ck_assert_uint_eq(duration_bucket(&b, UINT64_MAX), 20);
	ck_assert_uint_eq(duration_bucket(&b, 20), 19);
}
END_TEST

START_TEST(bounds_are_judged)
{
	struct duration_bounds b;
	static const char *const wrong[] = { "", "1ms,1ms", "2ms,1ms", "x", "0ms", "2h", "1",
		"1us,2us,3us,4us,5us,6us,7us,8us,9us,10us,11us,12us,13us,14us,15us,16us,17us,18us,19us,20us,21us" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(!option_buckets(str_of(wrong[i]), &b), "%s", wrong[i]);
}
END_TEST

START_TEST(histograms_are_cumulative)
{
	static struct durations d;
	struct duration_bounds b = bounds("1ms,1s");
	struct durations_view v = { 0 };
	struct exposition e;

	durations_zero(&d);
	durations_add(&d, &b, 500);
	durations_add(&d, &b, 600);
	durations_add(&d, &b, 2000000);
	durations_exemplar(&d, &b, 0, 0, 500, 77); /* no trace */
	durations_exemplar(&d, &b, 0xab, 0xcd, 2000000, 1700000000500000);
	durations_look(&d, &v);
	begin(&e, true, 1000);
	exposition_family(&e, FAMILY_DURATION);
	exposition_histogram(&e, with("service", "a"), &b, &v);
	exposition_end(&e);
	HAS("outrider_request_duration_seconds_bucket{service=\"a\",le=\"0.001\"} 2\n"
	    "outrider_request_duration_seconds_bucket{service=\"a\",le=\"1.0\"} 2\n"
	    "outrider_request_duration_seconds_bucket{service=\"a\",le=\"+Inf\"} 3 # {trace_id=\"00000000000000ab00000000000000cd\"} 2.0 1700000000.5\n"
	    "outrider_request_duration_seconds_sum{service=\"a\"} 2.0011\n"
	    "outrider_request_duration_seconds_count{service=\"a\"} 3\n");
	end();
	begin(&e, false, 1000); /* 0.0.4 has no exemplars */
	exposition_family(&e, FAMILY_DURATION);
	exposition_histogram(&e, STR(""), &b, &v);
	exposition_end(&e);
	HAS("outrider_request_duration_seconds_bucket{le=\"+Inf\"} 3\n");
	HAS_NOT("trace_id");
	end();
}
END_TEST

#define WRITTEN 300000u

static void *write_exemplars(void *arg)
{
	struct durations *d = arg;
	struct duration_bounds b = bounds("1ms");

	for (uint64_t i = 1; i <= WRITTEN; i++)
		durations_exemplar(d, &b, i, i, i % 1000, i);
	return NULL;
}

/* A reader sees all of one, or nothing. */
START_TEST(exemplars_are_never_torn)
{
	static struct durations d;
	pthread_t thread;
	struct exemplar_view v = { 0 };
	uint64_t seen = 0;

	ck_assert_int_eq(pthread_create(&thread, NULL, write_exemplars, &d), 0);
	while (v.at < WRITTEN) {
		if (!exemplar_look(&d.exemplars[0], &v))
			continue;
		ck_assert_uint_eq(v.hi, v.lo);
		ck_assert_uint_eq(v.hi, v.at);
		ck_assert_uint_eq(v.us, v.at % 1000);
		ck_assert_uint_ge(v.at, seen);
		seen = v.at;
	}
	pthread_join(thread, NULL);
}
END_TEST

/* --- the rest ------------------------------------------------------------------------------------------------------------------ */

START_TEST(who_gets_openmetrics)
{
	static const struct {
		const char *accept;
		bool open;
	} rows[] = {
		{ "", false },
		{ "*/*", false },
		{ "text/html,*/*;q=0.8", false },
		{ "application/openmetrics-text", true },
		{ "Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", true },
		{ "application/openmetrics-text;version=0.0.1", false },
		{ "application/openmetrics-text;q=0", false },
		{ "text/plain;q=0.5,application/openmetrics-text;q=0.4", false },
		{ "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", true },
		{ "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
		  "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(exposition_wants_openmetrics(str_of(rows[i].accept)) == rows[i].open, "%s", rows[i].accept);
}
END_TEST

START_TEST(an_agent_without_sidecars_has_a_page)
{
	struct agent a = { .version = "1\"2", .command = "node", .started = 1500000 };

	text_init(&page, 1 << 20);
	ck_assert(metrics_page(&a, &page, false));
	HAS("outrider_build_info{version=\"1\\\"2\",command=\"node\"} 1\n");
	HAS("process_start_time_seconds 1.5\n");
	for (unsigned long k = 1; k < 40; k++) { /* without memory: no page, no crash */
		text_release(&page);
		mem_fail_at(k);
		bool whole = metrics_page(&a, &page, true);
		(void)whole;
		mem_fail_at(0);
	}
	text_release(&page);
}
END_TEST

START_TEST(what_the_kernel_says)
{
	struct process_stats s;
	uint64_t threads, bytes, pages;
	static const char line[] = "17 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 4 0 99 123456 789 18446744073709551615 1";

	ck_assert(process_stats_parse(str_of(line), &threads, &bytes, &pages));
	ck_assert_uint_eq(threads, 4);
	ck_assert_uint_eq(bytes, 123456);
	ck_assert_uint_eq(pages, 789);
	ck_assert(!process_stats_parse(STR("17 (x"), &threads, &bytes, &pages));
	ck_assert(!process_stats_parse(STR("17 (x) S 1"), &threads, &bytes, &pages));
	process_stats_read(&s);
	ck_assert_uint_gt(s.resident, 100000);
	ck_assert_uint_gt(s.fds, 2);
	ck_assert_uint_ge(s.fds_max, s.fds);
	ck_assert_uint_ge(s.threads, 1);
}
END_TEST

Suite *suite_exposition(void);

Suite *suite_exposition(void)
{
	Suite *s = suite_create("exposition");
	TCase *t = tcase_create("all");

	tcase_add_test(t, text_for_prometheus);
	tcase_add_test(t, openmetrics);
	tcase_add_test(t, label_values_are_escaped);
	tcase_add_test(t, names_follow_the_conventions);
	tcase_add_test(t, what_is_beyond_is_added_up);
	tcase_add_test(t, a_page_that_is_nearly_full_overflows);
	tcase_add_test(t, buckets_hold_what_is_not_above);
	tcase_add_test(t, bounds_are_judged);
	tcase_add_test(t, histograms_are_cumulative);
	tcase_add_test(t, exemplars_are_never_torn);
	tcase_add_test(t, who_gets_openmetrics);
	tcase_add_test(t, an_agent_without_sidecars_has_a_page);
	tcase_add_test(t, what_the_kernel_says);
	suite_add_tcase(s, t);
	return s;
}
