/* Registry redis: a parsed set that is changed one by one is the one that would be parsed anew. */
#include "../../plugins/redis_known.h"
#include "base/mem.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static void add(struct redis_members *m, const char *id, const char *value)
{
	ck_assert(redis_members_add(m, str_of(id), str_of(value)));
}

static void begin(struct redis_known *k)
{
	struct redis_members m;

	redis_members_init(&m);
	add(&m, "c",
		"0123456789abcdef "
		"{\"address\":\"10.0.0.3:80\",\"node\":\"n\",\"metadata\":{\"version\":\"2\"}}");
	add(&m, "bad", "no json");
	add(&m, "a", "{\"address\":\"10.0.0.1:80\"}");
	add(&m, "b6", "{\"address\":\"[fd00::1]:80\"}");
	add(&m, "b", "{\"address\":\"10.0.0.2:80\"}");
	add(&m, "b too", "{\"address\":\"10.0.0.2:80\"}");
	redis_known_init(k, &m);
	ck_assert_uint_eq(m.n, 0);
}

/* "a b c|bad": the readable in their order, then the others. */
static const char *shown(const struct redis_known *k)
{
	static char text[512];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < k->members.n; i++) {
		struct str id = redis_members_id(&k->members, i);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s",
			i == k->n ? "|"
			: i       ? " "
				  : "",
			STR_ARG(id));
		if (i < k->n)
			ck_assert(str_eq(id, k->at[i].instance));
	}
	return text;
}

/* Is its sum that of a set that was read as a whole? */
static void check_sum(const struct redis_known *k)
{
	struct redis_members m;

	redis_members_init(&m);
	for (size_t i = k->members.n; i-- > 0;)
		ck_assert(redis_members_add(
			&m, redis_members_id(&k->members, i), redis_members_value(&k->members, i)));
	ck_assert_uint_eq(m.sum, k->members.sum);
	redis_members_release(&m);
}

static const struct {
	const char *id, *value; /* NULL: gone */
	enum redis_change change;
	const char *after;
} steps[] = {
	{ "b", "{\"address\":\"10.0.0.2:80\"}", REDIS_SAME, "a b b too c b6|bad" },
	{ "d", "{\"address\":\"10.0.0.2:81\"}", REDIS_CHANGED, "a b b too d c b6|bad" },
	{ "a", "{\"address\":\"10.0.0.9:80\"}", REDIS_CHANGED, "b b too d c a b6|bad" },
	{ "bad", "{\"address\":\"1.0.0.9:80\"}", REDIS_CHANGED, "bad b b too d c a b6" },
	{ "c", "[]", REDIS_CHANGED, "bad b b too d a b6|c" },
	{ "c", "", REDIS_CHANGED, "bad b b too d a b6|c" },
	{ "new", "x", REDIS_CHANGED, "bad b b too d a b6|c new" },
	{ "c", NULL, REDIS_CHANGED, "bad b b too d a b6|new" },
	{ "c", NULL, REDIS_SAME, "bad b b too d a b6|new" },
	{ "b6", NULL, REDIS_CHANGED, "bad b b too d a|new" },
	{ "b", "{\"address\":\"10.0.0.2:80\",\"weight\":7}", REDIS_CHANGED, "bad b too b d a|new" },
	{ "bad", NULL, REDIS_CHANGED, "b too b d a|new" },
	{ "b too", NULL, REDIS_CHANGED, "b d a|new" },
	{ "b", NULL, REDIS_CHANGED, "d a|new" },
	{ "d", NULL, REDIS_CHANGED, "a|new" },
	{ "a", NULL, REDIS_CHANGED, "|new" },
	{ "new", NULL, REDIS_CHANGED, "" },
	{ "a", "{\"address\":\"10.0.0.1:80\"}", REDIS_CHANGED, "a" },
};

START_TEST(known_step_by_step)
{
	struct redis_known k;

	begin(&k);
	ck_assert(redis_known_parse(&k));
	ck_assert_str_eq(shown(&k), "a b b too c b6|bad");
	ck_assert(str_eq(k.at[3].meta[0].value, STR("2")) && str_eq(k.at[3].node, STR("n")));
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct str value = str_of(steps[i].value ? steps[i].value : "");
		ck_assert_int_eq(redis_known_put(&k, str_of(steps[i].id), steps[i].value ? &value : NULL),
			steps[i].change);
		ck_assert_str_eq(shown(&k), steps[i].after);
		check_sum(&k);
	}
	redis_known_release(&k);
	redis_known_release(&k);
}
END_TEST

/* Many, in a random order of events, so that everything grows: the end is as if it had been read at once. */
START_TEST(known_grows)
{
	struct redis_known k;
	struct redis_members none;
	char id[16], value[64];

	redis_members_init(&none);
	redis_known_init(&k, &none);
	ck_assert(redis_known_parse(&k));
	for (unsigned i = 0; i < 4000; i++) {
		unsigned at = i * 7919u % 2003u;
		snprintf(id, sizeof(id), "i%u", at);
		snprintf(value, sizeof(value), "{\"address\":\"10.0.%u.%u:80\",\"weight\":%u}", at / 250,
			at % 250, i + 1);
		struct str v = str_of(value);
		ck_assert_int_eq(redis_known_put(&k, str_of(id), &v), REDIS_CHANGED);
	}
	ck_assert_uint_eq(k.n, 2003);
	for (size_t i = 1; i < k.n; i++)
		ck_assert_uint_lt(
			ntohl(k.at[i - 1].addr.in.sin_addr.s_addr), ntohl(k.at[i].addr.in.sin_addr.s_addr));
	ck_assert_uint_gt(k.stale, 1997 * 40);
	check_sum(&k);
	redis_known_release(&k);
}
END_TEST

START_TEST(known_short_of_memory)
{
	struct str value = STR("{\"address\":\"10.0.0.4:80\",\"metadata\":{\"k\":\"v\"}}");
	struct redis_known k;
	bool parsed = false;

	for (unsigned long at = 1; !parsed; at++) {
		begin(&k);
		mem_fail_at(at);
		parsed = redis_known_parse(&k);
		mem_fail_at(0);
		if (!parsed)
			redis_known_release(&k);
		ck_assert_uint_lt(at, 1000);
	}
	k.cap = k.n; /* so that it has to grow */
	for (unsigned long at = 1;; at++) {
		mem_fail_at(at);
		enum redis_change change = redis_known_put(&k, STR("new"), &value);
		mem_fail_at(0);
		if (change == REDIS_CHANGED)
			break;
		ck_assert_int_eq(change, REDIS_UNABLE);
		ck_assert_str_eq(shown(&k), "a b b too c b6|bad");
		check_sum(&k);
		ck_assert_uint_lt(at, 100);
	}
	ck_assert_str_eq(shown(&k), "a b b too c new b6|bad");
	redis_known_release(&k);
}
END_TEST

Suite *suite_redis_known(void)
{
	Suite *s = suite_create("redis_known");
	TCase *c = tcase_create("redis_known");

	tcase_add_test(c, known_step_by_step);
	tcase_add_test(c, known_grows);
	tcase_add_test(c, known_short_of_memory);
	suite_add_tcase(s, c);
	return s;
}
