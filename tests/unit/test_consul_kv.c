/* The pure part of the Consul source: JSON to properties, base64, paths, the index rules, the rate. */
#include "../../plugins/consul_kv.h"
#include "../../plugins/consul_watch.h"

#include "base/mem.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_IN_UNIT
#define LLVMFuzzerTestOneInput fuzz_one_consul_kv
#include "../fuzz/fuzz_consul_kv.c"

struct seen {
	char text[2048]; /* "set:key=value@origin " … */
	bool ok;
	struct err err;
};

static struct seen read_as(const char *json, const char *prefix, const char *name, const char *profiles)
{
	struct seen s = { .text = "" };
	struct config_props p;
	struct consul_names of = { str_of(prefix), str_of(name), str_of(profiles), STR("http://c:1") };
	size_t at = 0;

	config_props_init(&p);
	p.sets = 5;
	s.ok = consul_kv_read(&p, str_of(json), &of, &s.err);
	for (size_t i = 0; s.ok && i < p.n && at < sizeof(s.text); i++)
		at += (size_t)snprintf(s.text + at, sizeof(s.text) - at, "%u:%.*s=%.*s ", p.at[i].set,
			STR_ARG(p.at[i].key), STR_ARG(p.at[i].value));
	if (s.ok && p.n)
		snprintf(s.text + at, sizeof(s.text) - at, "@%.*s", STR_ARG(p.at[0].origin));
	config_props_release(&p);
	return s;
}

#define ENTRY(key, value)                                                                                    \
	"{\"LockIndex\":0,\"Key\":\"" key "\",\"Flags\":0,\"Value\":" value ",\"ModifyIndex\":9}"

START_TEST(folders_and_ranks)
{
	struct seen s = read_as(
		"[" ENTRY("config/shop/", "null") "," ENTRY("config/shop/a", "\"MQ==\"") "," ENTRY(
			"config/shop,test/db/url", "\"Mg==\"") "," ENTRY("config/shop,eu/a",
			"\"Mw==\"") "," ENTRY("config/shop,eu2/a", "\"NA==\"") "," ENTRY("config/shopping/a",
			"\"NA==\"") "," ENTRY("config/shop", "\"NA==\"") "," ENTRY("config/shop/b/",
			"null") "," ENTRY("shop/a", "\"NA==\"") "]",
		"config", "shop", "test,eu");
	ck_assert_msg(s.ok, "%s", s.err.text);
	/* eu is named last: the strongest; the key's slashes are dots; others' folders are not ours. */
	ck_assert_str_eq(s.text, "5:a=3 6:db.url=2 7:a=1 @consul:http://c:1/config/shop,eu/a");
}
END_TEST

START_TEST(prefixes)
{
	ck_assert_str_eq(read_as("[" ENTRY("a/b/shop/x", "null") "]", "/a/b/", "shop", "").text,
		"6:x= @consul:http://c:1/a/b/shop/x");
	ck_assert_str_eq(read_as("[" ENTRY("shop/x", "\"\"") "]", "", "shop", "").text,
		"6:x= @consul:http://c:1/shop/x");
	/* Without a profile Spring's `default` is active. */
	ck_assert_str_eq(read_as("[" ENTRY("c/shop,default/x", "\"MQ==\"") "]", "c", "shop", " ").text,
		"5:x=1 @consul:http://c:1/c/shop,default/x");
	ck_assert(read_as("[]", "c", "shop", "").ok);
	ck_assert(read_as(" [ ] \n", "c", "shop", "").ok);
}
END_TEST

static const struct {
	const char *json, *why;
} wrong[] = {
	{ "", "empty" },
	{ "{}", "no list of keys" },
	{ "true", "no list of keys" },
	{ "[1]", "entry 0" },
	{ "[{\"Key\":\"c/shop/x\"}]", "entry 0" },
	{ "[{\"Key\":7,\"Value\":null}]", "entry 0" },
	{ "[" ENTRY("c/shop/x", "7") "]", "neither text nor null" },
	{ "[" ENTRY("c/shop/x", "\"MQ=\"") "]", "no base64" },
	{ "[" ENTRY("c/shop/x", "\"M===\"") "]", "no base64" },
	{ "[" ENTRY("c/shop/x", "\"A=QQ\"") "]", "no base64" },
	{ "[" ENTRY("c/shop/x", "\"AAAA\"") "]", "holds a NUL" },
	{ "[" ENTRY("c/shop/x\\u0000y", "null") "]", "a NUL" },
	{ "[" ENTRY("c/shop/x", "null"), "no JSON" },
	{ "[" ENTRY("c/shop/x", "null") "] x", "behind the JSON" },
	{ "[{\"Key\":\"c/sh", "cut" },
	{ "[[[[[[[[[]]]]]]]]]", "levels" },
};

START_TEST(wrong_answers)
{
	struct seen s = read_as(wrong[_i].json, "c", "shop", "");
	ck_assert_msg(
		!s.ok && strstr(s.err.text, wrong[_i].why), "'%s' says '%s'", wrong[_i].json, s.err.text);
}
END_TEST

START_TEST(others_values_are_not_judged)
{
	ck_assert(read_as("[" ENTRY("c/shopping/x", "\"%\"") "]", "c", "shop", "").ok);
}
END_TEST

START_TEST(too_many_values)
{
	size_t n = 2 * CONSUL_NODES_MAX + 8;
	char *many = malloc(n + 1);
	many[0] = '[';
	for (size_t i = 1; i < n; i++)
		many[i] = i % 2 ? '1' : ',';
	many[n] = '\0';
	struct seen s = read_as(many, "c", "shop", "");
	ck_assert_msg(!s.ok && strstr(s.err.text, "values"), "%s", s.err.text);
	free(many);
}
END_TEST

static const char answer[] = "[" ENTRY("config/shop/", "null") "," ENTRY(
	"config/shop/db/url", "\"amRiYzp4\"") "," ENTRY("config/shop,test/\\u00fc\\\"", "\"MQ==\"") "]";

/* Cut anywhere, and with any byte changed, it keeps what the fuzzer checks. */
START_TEST(mangled)
{
	char copy[sizeof(answer)];
	for (size_t n = 0; n < sizeof(answer); n++)
		ck_assert_int_eq(fuzz_one_consul_kv((const uint8_t *)answer, n), 0);
	for (size_t i = 0; i + 1 < sizeof(answer); i++) {
		for (size_t k = 0; k < 6; k++) {
			memcpy(copy, answer, sizeof(answer));
			copy[i] = "\0\"[}x/"[k];
			ck_assert_int_eq(fuzz_one_consul_kv((const uint8_t *)copy, sizeof(answer) - 1), 0);
		}
	}
}
END_TEST

START_TEST(no_memory)
{
	ck_assert(read_as(answer, "config", "shop", "test").ok);
	mem_fail_at(0);
	ck_assert(read_as(answer, "config", "shop", "test").ok);
	unsigned long n = mem_count();
	ck_assert_uint_gt(n, 1);
	for (unsigned long k = 1; k <= n; k++) {
		mem_fail_at(k);
		struct seen s = read_as(answer, "config", "shop", "test");
		mem_fail_at(0);
		ck_assert_msg(!s.ok && strstr(s.err.text, "memory"), "%lu: %s", k, s.err.text);
	}
}
END_TEST

START_TEST(paths)
{
	char path[64];
	ck_assert(consul_kv_path(STR("/config/"), STR("my service?#%ü"), path, sizeof(path)));
	ck_assert_str_eq(path, "/v1/kv/config/my%20service%3F%23%25%C3%BC");
	ck_assert(consul_kv_path(STR(""), STR("a"), path, sizeof(path)));
	ck_assert_str_eq(path, "/v1/kv/a");
	ck_assert(!consul_kv_path(STR("config"), STR("a-name-that-is-too-long"), path, 24));
}
END_TEST

START_TEST(index_rules)
{
	static const struct {
		uint64_t last;
		const char *header;
		uint64_t next;
		bool known;
	} rows[] = {
		{ 0, "42", 42, true },
		{ 42, "42", 42, true },
		{ 42, "43", 43, true },
		{ 42, "41", 0, true }, /* backwards: a full read */
		{ 0, "0", 1, true },   /* 0 would not block */
		{ 1, "0", 1, true },
		{ 7, "0", 0, true },
		{ 7, "", 0, false },
		{ 7, "x", 0, false },
		{ 7, "-1", 0, false },
		{ 0, "18446744073709551615", UINT64_MAX, true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool known;
		ck_assert_uint_eq(
			consul_next_index(rows[i].last, str_of(rows[i].header), &known), rows[i].next);
		ck_assert_int_eq(known, rows[i].known);
	}
}
END_TEST

START_TEST(rate)
{
	struct consul_bucket b = { 0 };
	usec now = 1000 * USEC_SEC;
	ck_assert_uint_eq(consul_bucket_take(&b, now), now);
	ck_assert_uint_eq(consul_bucket_take(&b, now), now);
	ck_assert_uint_eq(consul_bucket_take(&b, now), now + CONSUL_RATE);
	/* While values churn: one in CONSUL_RATE. */
	ck_assert_uint_eq(consul_bucket_take(&b, now + CONSUL_RATE), now + 2 * CONSUL_RATE);
	/* After a rest the burst is there again, and no more. */
	now += 100 * CONSUL_RATE;
	ck_assert_uint_eq(consul_bucket_take(&b, now), now);
	ck_assert_uint_eq(consul_bucket_take(&b, now), now);
	ck_assert_uint_gt(consul_bucket_take(&b, now), now);
}
END_TEST

Suite *suite_consul_kv(void);
Suite *suite_consul_kv(void)
{
	Suite *s = suite_create("consul_kv");
	TCase *c = tcase_create("pure");
	tcase_add_test(c, folders_and_ranks);
	tcase_add_test(c, prefixes);
	tcase_add_loop_test(c, wrong_answers, 0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(c, others_values_are_not_judged);
	tcase_add_test(c, too_many_values);
	tcase_add_test(c, mangled);
	tcase_add_test(c, no_memory);
	tcase_add_test(c, paths);
	tcase_add_test(c, index_rules);
	tcase_add_test(c, rate);
	suite_add_tcase(s, c);
	return s;
}
