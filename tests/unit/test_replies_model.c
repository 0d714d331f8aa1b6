/* proxy/replies, proxy/last_good: the store of good replies against a list that is searched from its beginning, and what may be stored at all. */
#include "http_parse.h"
#include "model.h"
#include "proxy/last_good.h"
#include "proxy/replies.h"

#include <pthread.h>

#define KEYS 24u
#define VARIES 3u
#define LIST_MAX 512u

static struct script s;
static struct replies store;

/* Most recently used last. */
static struct {
	unsigned key, vary;
	uint64_t bytes;
	uint32_t stamp; /* stands in the reply as its age */
} m[LIST_MAX];
static unsigned n;
static struct reply *kept[64]; /* found and still in use */

/* --- the store ---------------------------------------------------------------------------------------------------------------------- */

static void forget(unsigned i)
{
	memmove(&m[i], &m[i + 1], (n - i - 1) * sizeof(m[0]));
	n--;
}

static uint64_t model_bytes(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += m[i].bytes;
	return sum;
}

static void model_put(unsigned key, unsigned vary, uint64_t bytes, uint32_t stamp, uint64_t max)
{
	if (bytes > max)
		return; /* larger than all may be: nothing changes */
	for (unsigned i = 0; i < n; i++)
		if (m[i].key == key && m[i].vary == vary)
			forget(i--);
	m[n].key = key;
	m[n].vary = vary;
	m[n].bytes = bytes;
	m[n++].stamp = stamp;
	while (model_bytes() > max)
		forget(0);
}

/* 0: none. */
static uint32_t model_find(unsigned key, unsigned vary)
{
	for (unsigned i = 0; i < n; i++)
		if (m[i].key == key && m[i].vary == vary) {
			m[n] = m[i];
			n++;
			forget(i);
			return m[n - 1].stamp;
		}
	return 0;
}

static bool has_vary(void *arg, const struct reply *r)
{
	return str_eq(r->vary, str_of(arg));
}

static char *name(char text[32], const char *of, unsigned i)
{
	snprintf(text, 32, "%s%u", of, i);
	return text;
}

static void put(uint64_t max)
{
	static const char body[3000];
	unsigned key = chance(&s, KEYS), vary = chance(&s, VARIES);
	char k[32], v[32];
	struct reply *r = reply_new(str_of(name(k, "key ", key)), str_of(name(v, "vary: ", vary)),
		STR("A: b\r\n"), str_make(body, chance(&s, 3000)));

	ck_assert_ptr_nonnull(r);
	r->age = s.step + 1;
	model_put(key, vary, reply_bytes(r), r->age, max);
	replies_put(&store, r, max);
}

static void find(void)
{
	unsigned key = chance(&s, KEYS), vary = chance(&s, VARIES), at = chance(&s, 64);
	char k[32], v[32];
	struct reply *r = replies_find(
		&store, str_of(name(k, "key ", key)), has_vary, name(v, "vary: ", vary));

	agree(&s, "what is found", r ? r->age : 0, model_find(key, vary));
	if (!r)
		return;
	holds(&s, str_eq(r->key, str_of(k)) && str_eq(r->fields, STR("A: b\r\n")));
	reply_unref(kept[at]);
	kept[at] = r; /* stays valid, whatever becomes of the store */
}

static void let_go(void)
{
	for (unsigned i = 0; i < 64; i++) {
		holds(&s, !kept[i] || (kept[i]->refs && str_istarts(kept[i]->key, STR("key "))));
		reply_unref(kept[i]);
		kept[i] = NULL;
	}
}

START_TEST(a_store_is_a_list)
{
	uint64_t max = 20000;

	script_begin(&s, _i, 0);
	n = 0;
	for (; s.step < 6000; s.step++) {
		if (chance(&s, 100) == 0)
			max = 1 + chance(&s, 60000); /* the option is live */
		if (chance(&s, 1000) == 0) {
			replies_clear(&store);
			n = 0;
		}
		if (chance(&s, 2))
			put(max);
		else
			find();
		agree(&s, "bytes", store.bytes, model_bytes());
		agree(&s, "entries", store.n, n);
	}
	replies_clear(&store);
	let_go();
}
END_TEST

/* --- a lock that another thread has ------------------------------------------------------------------------------------------------- */

static _Atomic int is_inside, may_leave;

/* Under the lock, until the other thread came back with nothing. */
static bool slow(void *arg, const struct reply *r)
{
	(void)r;
	is_inside = 1;
	for (usec until = clock_now() + 10 * SEC; !may_leave && clock_now() < until;)
		;
	return arg == NULL;
}

static void *holder(void *arg)
{
	struct reply *r = replies_find(&store, STR("a"), slow, arg);

	ck_assert_ptr_nonnull(r);
	reply_unref(r);
	return NULL;
}

static bool any(void *arg, const struct reply *r)
{
	(void)arg;
	(void)r;
	return true;
}

START_TEST(nobody_waits_for_the_lock)
{
	pthread_t t;

	replies_put(&store, reply_new(STR("a"), STR(""), STR(""), STR("1")), 5000);
	ck_assert_int_eq(pthread_create(&t, NULL, holder, NULL), 0);
	while (!is_inside)
		;
	ck_assert_ptr_null(replies_find(&store, STR("a"), any, NULL));
	replies_put(&store, reply_new(STR("b"), STR(""), STR(""), STR("2")), 5000);
	ck_assert_msg(!may_leave, "it came back while the other thread had the lock");
	may_leave = 1;
	pthread_join(t, NULL);
	struct reply *r = replies_find(&store, STR("a"), any, NULL);
	ck_assert_ptr_nonnull(r);
	reply_unref(r);
	ck_assert_ptr_null(replies_find(&store, STR("b"), any, NULL)); /* went without */
	replies_clear(&store);
}
END_TEST

/* --- what may be stored ---------------------------------------------------------------------------------------------------------------- */

/* Each directive alone and what follows from it, as RFC 9111 sections 3 and 5.2.2 say it; the strict side. */
static const struct directive {
	const char *text;
	bool forbids, is_public, revalidates;
	uint32_t max_age, s_maxage; /* 0: not said */
} directives[] = {
	{ "no-store", true, false, false, 0, 0 },
	{ "No-Cache", true, false, false, 0, 0 },
	{ "no-cache=\"x\"", true, false, false, 0, 0 },
	{ "private", true, false, false, 0, 0 },
	{ "private=\"a\"", true, false, false, 0, 0 },
	{ "PUBLIC", false, true, false, 0, 0 },
	{ "must-revalidate", false, false, true, 0, 0 },
	{ "proxy-revalidate", false, false, true, 0, 0 },
	{ "max-age=30", false, false, false, 30, 0 },
	{ "s-maxage=\"20\"", false, false, false, 0, 20 },
	{ "s-maxage=90", false, false, false, 0, 90 },
	{ "stale-if-error=60", false, false, false, 0, 0 },
	{ "no-storeX", false, false, false, 0, 0 },
	{ "x-private", false, false, false, 0, 0 },
};

struct sum {
	bool forbids, is_public, revalidates, cookie;
	uint32_t max_age, s_maxage;
};

/* Some directives, one or more fields of them, in any order. */
static struct sum write_fields(char *text, size_t size)
{
	struct sum sum = { .cookie = chance(&s, 8) == 0 };
	size_t at = (size_t)snprintf(text, size, "%s", sum.cookie ? "Set-Cookie: a=b\r\n" : "");

	for (unsigned k = chance(&s, 4); k; k--) {
		const struct directive *d = &directives[chance(&s, ROWS(directives))],
				       *e = &directives[chance(&s, 2) ? 11 : d - directives];
		at += (size_t)snprintf(text + at, size - at, "%s: %s%s%s\r\n",
			chance(&s, 2) ? "Cache-Control" : "cache-control", d->text,
			chance(&s, 2) ? "," : " ,\t", e->text);
		sum.forbids |= d->forbids;
		sum.is_public |= d->is_public;
		sum.revalidates |= d->revalidates;
		sum.max_age = d->max_age ? d->max_age : sum.max_age;
		sum.s_maxage = d->s_maxage ? d->s_maxage : sum.s_maxage;
	}
	return sum;
}

static uint32_t model_valid(const struct sum *sum)
{
	if (sum->s_maxage)
		return sum->s_maxage;
	return sum->revalidates ? sum->max_age : UINT32_MAX;
}

START_TEST(rules_of_a_shared_cache)
{
	char fields[600], text[800];
	struct parse req, res;

	parse_init(&req);
	parse_init(&res);
	script_begin(&s, _i, 0);
	ck_assert_int_eq(parse_request(&req, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n")), H1_DONE);
	for (; s.step < 2000; s.step++) {
		bool secrets = chance(&s, 3) == 0;
		unsigned status = chance(&s, 6) ? 200 : 201 + chance(&s, 398);
		struct sum sum = write_fields(fields, sizeof(fields));
		snprintf(text, sizeof(text), "HTTP/1.1 %u OK\r\nContent-Length: 0\r\n%s\r\n", status, fields);
		ck_assert_int_eq(parse_reply(&res, str_of(text), METHOD_GET), H1_DONE);
		struct store_rule got = last_good_rule(&req.h, &res.h, secrets);
		bool may = status == 200 && !sum.forbids && !sum.cookie && (!secrets || sum.is_public) &&
			   model_valid(&sum);
		ck_assert_msg(got.may == may, "seed %llu: may %d be stored, secrets %d: %s",
			(unsigned long long)s.seed, got.may, secrets, text);
		agree(&s, "public", got.is_public, sum.is_public);
		agree(&s, "the age that ends it", got.valid, model_valid(&sum));
		parse_release(&res);
		parse_init(&res);
	}
	parse_release(&req);
	parse_release(&res);
}
END_TEST

Suite *suite_replies_model(void);
Suite *suite_replies_model(void)
{
	Suite *suite = suite_create("replies_model");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, a_store_is_a_list, 0, MODEL_RUNS);
	tcase_add_test(t, nobody_waits_for_the_lock);
	tcase_add_loop_test(t, rules_of_a_shared_cache, 0, MODEL_RUNS);
	suite_add_tcase(suite, t);
	return suite;
}
