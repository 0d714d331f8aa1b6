/* proxy/last_good, proxy/replies: what a shared cache may store, and a bounded store that threads share. */
#include "http_parse.h"
#include "proxy/last_good.h"
#include "proxy/replies.h"

#include <pthread.h>
#include <stdlib.h>

#define FOR_EVER UINT32_MAX

static const struct rule {
	const char *asked, *said;
	bool secrets, may, is_public;
	uint32_t valid;
} rules[] = {
	{ "", "", false, true, false, FOR_EVER },
	{ "", "Cache-Control: max-age=60\r\n", false, true, false, FOR_EVER },
	{ "", "Cache-Control: max-age=60, must-revalidate\r\n", false, true, false, 60 },
	{ "", "Cache-Control: Proxy-Revalidate,\tMAX-AGE=\"7\"\r\n", false, true, false, 7 },
	{ "", "Cache-Control: must-revalidate\r\n", false, false, false, 0 },
	{ "", "Cache-Control: s-maxage=5, max-age=60\r\n", false, true, false, 5 },
	{ "", "Cache-Control: s-maxage=0\r\n", false, false, false, 0 },
	{ "", "Cache-Control: s-maxage=nonsense\r\n", false, false, false, 0 },
	{ "", "Cache-Control: max-age=1\r\nCache-Control: private\r\n", false, false, false, FOR_EVER },
	{ "", "Cache-Control: private=\"x-a, x-b\"\r\n", false, false, false, FOR_EVER },
	{ "", "Cache-Control: no-cache=\"set-cookie\"\r\n", false, false, false, FOR_EVER },
	{ "", "Cache-Control: NO-STORE\r\n", false, false, false, FOR_EVER },
	{ "", "Cache-Control: unheard-of=3,,\r\n", false, true, false, FOR_EVER },
	{ "", "Set-Cookie: a=b\r\n", false, false, false, FOR_EVER },
	{ "", "Cache-Control: public\r\nSet-Cookie: a=b\r\n", false, false, true, FOR_EVER },
	{ "Cache-Control: no-store\r\n", "", false, false, false, FOR_EVER },
	{ "Cache-Control: no-cache\r\n", "", false, true, false, FOR_EVER },
	{ "", "", true, false, false, FOR_EVER },
	{ "", "Cache-Control: public, s-maxage=99999999999\r\n", true, true, true, UINT32_MAX - 1 },
};

START_TEST(what_may_be_stored)
{
	const struct rule *r = &rules[_i];
	struct parse req, res;
	char text[512], more[512];

	parse_init(&req);
	parse_init(&res);
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", r->asked);
	ck_assert_int_eq(parse_request(&req, str_of(text)), H1_DONE);
	snprintf(more, sizeof(more), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%s\r\n", r->said);
	ck_assert_int_eq(parse_reply(&res, str_of(more), METHOD_GET), H1_DONE);
	struct store_rule got = last_good_rule(&req.h, &res.h, r->secrets);
	ck_assert_msg(got.may == r->may, "'%s' and '%s'", r->asked, r->said);
	ck_assert_int_eq(got.is_public, r->is_public);
	ck_assert_uint_eq(got.valid, r->valid);
	parse_release(&req);
	parse_release(&res);
}
END_TEST

static struct replies store;

static bool any(void *arg, const struct reply *r)
{
	return !arg || str_eq(r->vary, str_of(arg));
}

static struct reply *make(const char *key, const char *vary, size_t body)
{
	static const char bytes[4096];
	struct reply *r = reply_new(str_of(key), str_of(vary), STR("A: b\r\n"), str_make(bytes, body));

	ck_assert_ptr_nonnull(r);
	return r;
}

static bool has(const char *key, const char *vary)
{
	struct reply *r = replies_find(&store, str_of(key), any, (void *)(uintptr_t)vary);

	reply_unref(r);
	return r != NULL;
}

START_TEST(the_oldest_go_first)
{
	struct reply *sample = make("a", "", 1000);
	uint64_t one = reply_bytes(sample);
	reply_unref(sample);
	replies_put(&store, make("a", "", 1000), 3 * one);
	replies_put(&store, make("b", "", 1000), 3 * one);
	replies_put(&store, make("c", "", 1000), 3 * one);
	ck_assert(has("a", NULL)); /* used: b is the oldest now */
	replies_put(&store, make("d", "", 1000), 3 * one);
	ck_assert(has("a", NULL) && !has("b", NULL) && has("c", NULL) && has("d", NULL));
	ck_assert_uint_eq(atomic_load(&store.bytes), 3 * one);
	replies_put(&store, make("e", "", 4000), 3 * one); /* larger than all: nothing changes */
	ck_assert(!has("e", NULL) && has("a", NULL) && atomic_load(&store.n) == 3);
	replies_clear(&store);
	ck_assert_uint_eq(atomic_load(&store.bytes), 0);
	ck_assert(!has("a", NULL));
}
END_TEST

START_TEST(a_store_shrinks)
{
	static const char *const keys[] = { "a", "b", "c", "d" };
	uint64_t one;

	for (size_t i = 0; i < 4; i++)
		replies_put(&store, make(keys[i], "", 1000), 1 << 20);
	one = atomic_load(&store.bytes) / 4;
	replies_shrink(&store, 4 * one);
	ck_assert_uint_eq(atomic_load(&store.n), 4);
	replies_shrink(&store, 2 * one); /* the oldest go */
	ck_assert(!has("a", NULL) && !has("b", NULL) && has("c", NULL) && has("d", NULL));
	replies_clear(&store);
	ck_assert_uint_eq(atomic_load(&store.bytes), 0);
}
END_TEST

START_TEST(one_per_request_and_vary)
{
	replies_put(&store, make("a", "x: 1\n", 10), 1 << 20);
	replies_put(&store, make("a", "x: 2\n", 10), 1 << 20);
	replies_put(&store, make("a", "x: 1\n", 20), 1 << 20);
	ck_assert_uint_eq(atomic_load(&store.n), 2);
	struct reply *r = replies_find(&store, STR("a"), any, (void *)(uintptr_t) "x: 1\n");
	ck_assert_uint_eq(r->body.n, 20);
	replies_clear(&store);
	ck_assert_uint_eq(r->body.n, 20); /* whoever found it keeps it */
	reply_unref(r);
	ck_assert(!has("a", "x: 2\n"));
}
END_TEST

static void *busy(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	char key[8];

	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "k%u", (unsigned)rand_r(&seed) % 16);
		if (rand_r(&seed) % 2)
			replies_put(&store, make(key, "", 100 + (size_t)rand_r(&seed) % 400), 4000);
		else
			(void)has(key, NULL);
	}
	return NULL;
}

START_TEST(many_threads)
{
	pthread_t t[4];

	for (uintptr_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, busy, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_le(atomic_load(&store.bytes), 4000);
	replies_clear(&store);
	ck_assert_uint_eq(atomic_load(&store.n), 0);
}
END_TEST

Suite *suite_last_good(void);
Suite *suite_last_good(void)
{
	Suite *s = suite_create("last_good");
	TCase *t = tcase_create("all");
	tcase_add_loop_test(t, what_may_be_stored, 0, ROWS(rules));
	tcase_add_test(t, the_oldest_go_first);
	tcase_add_test(t, a_store_shrinks);
	tcase_add_test(t, one_per_request_and_vary);
	tcase_add_test(t, many_threads);
	suite_add_tcase(s, t);
	return s;
}
