/* The overload ladder and what memory is worth. */
#include "control/memory_load.h"
#include "proxy/overload.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1024ull * 1024)

START_TEST(up_and_down_the_ladder)
{
	static const struct { unsigned load; enum overload_step step; } way[] = {
		{ 0, OVERLOAD_NONE }, { 69, OVERLOAD_NONE }, { 70, OVERLOAD_SHRINK }, { 66, OVERLOAD_SHRINK }, { 64, OVERLOAD_NONE },
		{ 80, OVERLOAD_CLOSE }, { 76, OVERLOAD_CLOSE }, { 74, OVERLOAD_SHRINK }, { 85, OVERLOAD_SHED_LOW }, { 90, OVERLOAD_SHED },
		{ 95, OVERLOAD_STOP }, { 90, OVERLOAD_STOP }, { 89, OVERLOAD_SHED }, { 100, OVERLOAD_STOP }, { 0, OVERLOAD_NONE },
	};
	enum overload_step now = OVERLOAD_NONE;

	for (size_t i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
		now = overload_next(now, way[i].load);
		ck_assert_msg(now == way[i].step, "at %zu: load %u gives %s", i, way[i].load, overload_word(now));
	}
}
END_TEST

START_TEST(memory_that_is_ours)
{
	ck_assert_uint_eq(memory_load_of(0, 0, 0, 100 * MIB), 0);                            /* no limit */
	ck_assert_uint_eq(memory_load_of(128 * MIB, 128 * MIB, 0, 8 * MIB), 0);              /* a small agent beside a fat handler */
	ck_assert_uint_eq(memory_load_of(128 * MIB, 100 * MIB, 0, 100 * MIB), 78);
	ck_assert_uint_eq(memory_load_of(128 * MIB, 128 * MIB, 28 * MIB, 100 * MIB), 78);    /* cache can be dropped */
	ck_assert_uint_eq(memory_load_of(1024 * MIB, 1000 * MIB, 0, 24 * MIB), 50);          /* the handler's part is not ours */
	ck_assert_uint_eq(memory_load_of(128 * MIB, 200 * MIB, 0, 100 * MIB), 100);
	ck_assert_uint_eq(memory_load_of(128 * MIB, 10 * MIB, 20 * MIB, 100 * MIB), 43);
}
END_TEST

static void put(const char *dir, const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	ck_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

START_TEST(a_cgroup_is_read)
{
	char dir[] = "/tmp/outrider-memory-XXXXXX", path[128];
	static const char *const names[] = { "memory.max", "memory.current", "memory.stat" };
	struct memory_load m;

	ck_assert(mkdtemp(dir));
	memory_load_open(&m, dir, false);
	ck_assert_uint_eq(m.limit, 0);
	ck_assert_uint_eq(memory_load_now(&m), 0);
	put(dir, "memory.max", "max\n");
	memory_load_open(&m, dir, false);
	ck_assert_uint_eq(m.limit, 0);
	put(dir, "memory.max", "1073741824\n");
	put(dir, "memory.current", "1073741824\n");
	put(dir, "memory.stat", "anon 5\ninactive_file 1073741824\nfile 7\n");
	memory_load_open(&m, dir, false);
	ck_assert_uint_eq(m.limit, 1073741824);
	ck_assert_uint_lt(memory_load_now(&m), 50); /* all of it is cache */
	char *big = malloc(32 * MIB);
	for (size_t i = 0; i < 32 * MIB; i += 4096)
		((volatile char *)big)[i] = 1;
	put(dir, "memory.stat", "anon 5\ninactive_file 0\n");
	ck_assert_uint_eq(memory_load_now(&m), 100);
	free(big);
	memory_load_close(&m);
	ck_assert_uint_eq(memory_load_now(&m), 0);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}
END_TEST

START_TEST(a_cgroup_of_its_own)
{
	char dir[] = "/tmp/outrider-memory-XXXXXX", path[128];
	static const char *const names[] = { "memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes",
		"memory/memory.stat" };
	struct memory_load m;

	ck_assert(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/memory", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	put(dir, names[0], "9223372036854771712\n"); /* version 1 says so where there is none */
	memory_load_open(&m, dir, true);
	ck_assert_uint_eq(m.limit, 0);
	ck_assert_uint_eq(memory_load_now(&m), 0);
	put(dir, names[0], "134217728\n");
	put(dir, names[1], "121634816\n"); /* 116 MiB */
	put(dir, names[2], "cache 5\ninactive_file 1\ntotal_cache 7\ntotal_inactive_file 10485760\n");
	memory_load_open(&m, dir, true);
	ck_assert_uint_eq(m.limit, 134217728);
	ck_assert_uint_eq(
		memory_load_now(&m), 82); /* 106 of 128 MiB, most of it the kernel's: this test holds few */
	put(dir, names[2], "total_inactive_file 0\n");
	ck_assert_uint_eq(memory_load_now(&m), 90);
	put(dir, names[1], "8388608\n");
	ck_assert_uint_eq(memory_load_now(&m), 0); /* that is nothing to give up */
	memory_load_close(&m);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/memory", dir);
	rmdir(path);
	rmdir(dir);
}
END_TEST

Suite *suite_overload(void);
Suite *suite_overload(void)
{
	Suite *s = suite_create("overload");
	TCase *t = tcase_create("all");
	tcase_add_test(t, up_and_down_the_ladder);
	tcase_add_test(t, memory_that_is_ours);
	tcase_add_test(t, a_cgroup_is_read);
	tcase_add_test(t, a_cgroup_of_its_own);
	suite_add_tcase(s, t);
	return s;
}
