/* Redis: the codec against bytes, and the addresses. */
#include "../../plugins/redis_config.h"

#include <check.h>

#define FUZZ_IN_UNIT
#define LLVMFuzzerTestOneInput fuzz_one_redis_reply
#include "../fuzz/fuzz_redis_reply.c"

/* --- the codec ------------------------------------------------------------------------------------------------------- */

static const struct resp_limits small = { 5, 10, 25 };

static const struct {
	const char *bytes;
	int result;
	size_t n;
	const char *says;
} replies[] = {
	{ "+OK\r\n", 1, 1, "" },
	{ "$5\r\nhello\r\n", 1, 1, "" },
	{ "*2\r\n$1\r\na\r\n:7\r\n", 1, 3, "" },
	{ "*0\r\n", 1, 1, "" },
	{ "$-1\r\n", 1, 1, "" },
	{ "*2\r\n$1\r\na\r\n", 0, 0, "" },
	{ "$5\r\nhel", 0, 0, "" },
	{ "*5\r\n", -1, 0, "array longer|more values" },
	{ "*2000000000\r\n", -1, 0, "array longer" },
	{ "$11\r\nhello world\r\n", -1, 0, "more bytes" },
	{ "*3\r\n$10\r\n0123456789\r\n$10\r\n0123456789\r\n$10\r\n0123456789\r\n", -1, 0, "more bytes" },
	{ "$999999999\r\n0123456789012345678901234567890123456789012345678901234567890", -1, 0,
		"a value of more" },
	{ "HTTP/1.1 400 Bad Request\r\n", -1, 0, "does not speak" },
};

START_TEST(codec)
{
	const struct resp_value *v;
	struct err err = { .text = "" };
	size_t n = 0, len = strlen(replies[_i].bytes);
	int result = 0;

	for (size_t step = 1; step <= len; step += len - 1 ? len - 1 : 1) { /* byte by byte, then at once */
		struct resp *r = resp_new(&small);
		result = 0;
		for (size_t at = 0; at < len && result == 0; at += step) {
			ck_assert(resp_feed(r, replies[_i].bytes + at, len - at < step ? len - at : step));
			result = resp_next(r, &v, &n, &err);
		}
		/* An array of five elements is over the limit only with its fifth. */
		ck_assert_msg(result == replies[_i].result || replies[_i].bytes[1] == '5', "%d %s", result,
			err.text);
		if (result == 1)
			ck_assert_uint_eq(n, replies[_i].n);
		if (result < 0 && !strchr(replies[_i].says, '|'))
			ck_assert_msg(strstr(err.text, replies[_i].says) != NULL, "%s", err.text);
		resp_free(r);
	}
}
END_TEST

START_TEST(codec_keeps_the_fuzzers_rules)
{
	uint8_t data[256];
	size_t n = strlen(replies[_i].bytes);

	memcpy(data + 1, replies[_i].bytes, n);
	for (data[0] = 0; data[0] < 16; data[0]++)
		ck_assert_int_eq(fuzz_one_redis_reply(data, n + 1), 0);
}
END_TEST

START_TEST(codec_goes_on)
{
	struct resp *r = resp_new(&small);
	const struct resp_value *v;
	struct err err;
	struct text t;
	size_t n;

	ck_assert(resp_feed(r, "+a\r\n:2\r\n-no\r\n*2\r\n$1\r\nk\r\n$1\r\nv\r\n", 33 - 2));
	ck_assert(resp_next(r, &v, &n, &err) == 1 && v->type == RESP_STATUS && str_eq(v->text, STR("a")));
	ck_assert(resp_next(r, &v, &n, &err) == 1 && v->type == RESP_INTEGER && v->integer == 2);
	ck_assert(resp_next(r, &v, &n, &err) == 1 && v->type == RESP_ERROR && str_eq(v->text, STR("no")));
	ck_assert(resp_next(r, &v, &n, &err) == 1 && n == 3 && v->count == 2 && str_eq(v[2].text, STR("v")));
	ck_assert_int_eq(resp_next(r, &v, &n, &err), 0);
	resp_free(r);

	text_init(&t, 100);
	resp_command(&t, (struct str[]){ STR("GET"), STR("a b") }, 2);
	ck_assert_str_eq(text_z(&t), "*2\r\n$3\r\nGET\r\n$3\r\na b\r\n");
	text_release(&t);
}
END_TEST

static const struct {
	const char *text, *host, *user, *password, *says;
	unsigned port, db;
} addresses[] = {
	{ "redis:6379", "redis", "", "", NULL, 6379, 0 },
	{ "redis", "redis", "", "", NULL, 6379, 0 },
	{ "redis:7000/3", "redis", "", "", NULL, 7000, 3 },
	{ "//me:p%40ss@redis:6380/", "redis", "me", "p@ss", NULL, 6380, 0 },
	{ "secret@redis", "redis", "", "secret", NULL, 6379, 0 },
	{ "//[::1]:7000", "::1", "", "", NULL, 7000, 0 },
	{ "[::1]", "::1", "", "", NULL, 6379, 0 },
	{ "redis:0", NULL, "", "", "no port", 0, 0 },
	{ "redis:1/x", NULL, "", "", "number of a Redis database", 0, 0 },
	{ "", NULL, "", "", "HOST:PORT", 0, 0 },
};

START_TEST(address)
{
	struct redis_address a;
	struct err err;
	bool ok = redis_address_parse(str_of(addresses[_i].text), &a, &err);

	ck_assert_int_eq(ok, addresses[_i].host != NULL);
	if (!ok) {
		ck_assert_ptr_nonnull(strstr(err.text, addresses[_i].says));
		return;
	}
	ck_assert(str_eq(a.host, str_of(addresses[_i].host)));
	ck_assert_uint_eq(a.port, addresses[_i].port);
	ck_assert_uint_eq(a.db, addresses[_i].db);
	ck_assert_str_eq(a.user, addresses[_i].user);
	ck_assert_str_eq(a.password, addresses[_i].password);
}
END_TEST

Suite *suite_redis_codec(void)
{
	Suite *s = suite_create("redis_codec");
	TCase *c = tcase_create("codec");

	tcase_add_loop_test(c, codec, 0, (int)(sizeof(replies) / sizeof(replies[0])));
	tcase_add_loop_test(c, codec_keeps_the_fuzzers_rules, 0, (int)(sizeof(replies) / sizeof(replies[0])));
	tcase_add_test(c, codec_goes_on);
	tcase_add_loop_test(c, address, 0, (int)(sizeof(addresses) / sizeof(addresses[0])));
	suite_add_tcase(s, c);
	return s;
}
