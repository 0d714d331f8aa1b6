/* control/config_cache: what sources over the network said last, for a start while they are away. */
#include "reload_help.h"

#include "control/reload_int.h"

#include <stdlib.h>
#include <sys/stat.h>

static struct bench b;
static char dir[] = "/tmp/outrider-cache-XXXXXX", path[64], flags[256];
static unsigned opened;

static void open_as(const char *service, const char *chain)
{
	snprintf(flags, sizeof(flags),
		"--service=%s --port=6767 --profile=test --config-wait=20ms --config=%s --config-cache=%s",
		service, chain, path);
	bench_open(&b, flags);
	opened++;
}

static void setup(void)
{
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/cache", dir);
}

static void teardown(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0); /* no temporary file stays */
}

static char *content(void)
{
	static char text[8192];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	if (f)
		fclose(f);
	text[n] = '\0';
	return text;
}

static void put(const char *text)
{
	FILE *f = fopen(path, "w");
	ck_assert(f && fputs(text, f) >= 0);
	fclose(f);
}

static void until_written(const char *what)
{
	usec last = clock_now() + 20 * USEC_SEC;
	while (!strstr(content(), what)) {
		ck_assert_uint_lt(clock_now(), last);
		loop_skip(b.loop, RELOAD_GAP);
		loop_turn(b.loop, false);
		usleep(500);
	}
}

#define SECRETS "db.password=hunter2\nurl=redis://u:hunter2@h\nmirrors=http://a/,https://hunter2@b/"

static void write_one(void)
{
	open_as("quotes", "far:a,near:b");
	script_say(0, "x=1\nlist=a,\"b\"\n" SECRETS);
	script_say(1, "y=local");
	bench_first(&b);
	until_written("\"list\"");
}

static const char *found(const char *key)
{
	static char text[64];
	const struct property *p = properties_find(reload_properties(b.r), str_of(key));
	text[0] = '\0';
	if (p)
		(void)str_copy(p->value, text, sizeof(text));
	return text;
}

START_TEST(it_is_there_when_the_source_is_not)
{
	struct stat st;
	write_one();
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_ptr_null(strstr(content(), "hunter2"));
	ck_assert_ptr_null(strstr(content(), "local")); /* what lies here needs no copy */
	script_say(0, "x=2");
	until_written("\"2\"");
	script_say(0, "x=1\nlist=a,\"b\"");
	until_written("\"list\"");
	bench_close(&b);

	open_as("quotes", "near:b,far:a"); /* at another place of the chain */
	script_say(0, "y=local");
	script_trouble(1, "connection refused");
	bench_first(&b);
	ck_assert_str_eq(found("x"), "1");
	ck_assert_str_eq(found("list"), "a,\"b\"");
	const struct property *p = properties_find(reload_properties(b.r), STR("x"));
	ck_assert_str_eq(p->origin, "script:1 (cached)");
	script_say(1, "x=3"); /* it is back */
	bench_until(&b, 1);
	ck_assert_str_eq(found("x"), "3");
	ck_assert_str_eq(found("list"), "");
	bench_close(&b);
}
END_TEST

/* A path that makes the writer fail, or not come back, is no reason to stop or to hang. */
START_TEST(a_path_that_cannot_be_written)
{
	ck_assert_int_eq(mkdir(path, 0700), 0);
	open_as("quotes", "far:a");
	script_say(0, "x=1");
	bench_first(&b);
	script_say(0, "x=2");
	bench_until(&b, 1);
	ck_assert_str_eq(found("x"), "2");
	bench_close(&b);
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

#define HEAD "{\"outrider\":\"config-cache\",\"service\":\"quotes\",\"profiles\":\"test\"}\n"
#define LINE "{\"source\":\"far:a\",\"set\":1,\"key\":\"x\",\"value\":\"1\",\"origin\":\"o\"}\n"

static const struct {
	const char *text;
	bool used;
} files[] = {
	{ HEAD LINE, true },
	{ HEAD "\n" LINE "{\"source\":\"gone:a\",\"set\":1,\"key\":\"x\",\"value\":\"9\",\"origin\":\"o\"}\n",
		true },
	{ HEAD LINE "{\"source\":\"far:a\",\"set\":-1e300,\"key\":\"x2\",\"value\":\"1\",\"origin\":\"o\"}\n",
		true },
	{ HEAD LINE "{\"source\":\"far:a\",\"set\":1e300,\"key\":7}\n[", false },
	{ HEAD LINE "{\"source\":\"far:a\",\"se", false }, /* cut */
	{ "", false },
	{ LINE, false },
	{ "{\"outrider\":\"config-cache\",\"service\":\"account\",\"profiles\":\"test\"}\n" LINE, false },
	{ "{\"outrider\":\"config-cache\",\"service\":\"quotes\",\"profiles\":\"prod\"}\n" LINE, false },
	{ "{\"outrider\":\"other\",\"service\":\"quotes\",\"profiles\":\"test\"}\n" LINE, false },
	{ "\x7f"
	  "ELF",
		false },
};

START_TEST(only_a_whole_file_of_this_service)
{
	put(files[_i].text);
	open_as("quotes", "far:a");
	bench_first(&b); /* a silent source: after outrider.config-wait */
	ck_assert_str_eq(found("x"), files[_i].used ? "1" : "");
	bench_close(&b);
}
END_TEST

START_TEST(reading_survives_every_failed_allocation)
{
	put(HEAD LINE);
	open_as("quotes", "far:a");
	bool done = false;
	for (unsigned long k = 1; !done; k++) {
		mem_fail_at(k);
		size_t n = cache_read(b.r, path);
		done = mem_count() < k;
		mem_fail_at(0);
		ck_assert(n == 1 || !done);
	}
	bench_close(&b);
}
END_TEST

START_TEST(writing_survives_every_failed_allocation)
{
	write_one();
	for (unsigned long k = 1; k < 60; k++) {
		mem_fail_at(k);
		cache_write(b.r);
		while (mem_count() < k && b.r->writer && loop_turns(b.loop) % 50)
			loop_turn(b.loop, false);
		loop_turn(b.loop, false);
		mem_fail_at(0);
	}
	script_say(0, "x=whole");
	until_written("whole");
	bench_close(&b);
}
END_TEST

/* Closed while the thread writes. */
START_TEST(closing_at_any_moment)
{
	for (unsigned i = 0; i < 20; i++) {
		open_as("quotes", "far:a");
		script_say(0, "x=1");
		bench_first(&b);
		usleep(i * 100);
		bench_close(&b);
	}
}
END_TEST

Suite *suite_config_cache(void)
{
	Suite *s = suite_create("config_cache");
	TCase *t = tcase_create("cache");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, it_is_there_when_the_source_is_not);
	tcase_add_test(t, a_path_that_cannot_be_written);
	tcase_add_loop_test(t, only_a_whole_file_of_this_service, 0, ROWS(files));
	tcase_add_test(t, reading_survives_every_failed_allocation);
	tcase_add_test(t, writing_survives_every_failed_allocation);
	tcase_add_test(t, closing_at_any_moment);
	suite_add_tcase(s, t);
	return s;
}
