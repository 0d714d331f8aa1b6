/* http/head, http/field: names, the table of fields, hop-by-hop rules, moving, writing. */
#include "http_parse.h"

START_TEST(every_name_finds_its_id)
{
	static const char *const names[] = {
#define X(id, name) [FIELD_##id] = name,
		HTTP_FIELDS(X)
#undef X
	};
	char upper[64];

	for (unsigned id = 1; id < FIELD_IDS; id++) {
		struct str name = field_id_name((enum field_id)id);
		assert_str(name, names[id]);
		ck_assert_msg(field_lookup(name) == id, "%s has no row in field.c", names[id]);
		for (size_t i = 0; i <= name.n; i++)
			upper[i] = names[id][i] >= 'a' && names[id][i] <= 'z' ? (char)(names[id][i] - 32) : names[id][i];
		ck_assert_uint_eq(field_lookup(str_of(upper)), id);
		upper[name.n] = 'x';
		ck_assert_uint_eq(field_lookup(str_make(upper, name.n + 1)), FIELD_OTHER);
		ck_assert_uint_eq(field_lookup(str_make(upper, name.n - 1)), FIELD_OTHER);
	}
}
END_TEST

START_TEST(other_names_are_other)
{
	static const char *const names[] = { "", "x", "hosT ", "h0st", "x\rrequest-id", "content_length", "Hos\0t",
					     "x-envoy-expected-rq-timeout-ms-and-more-of-it" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_uint_eq(field_lookup(str_of(names[i])), FIELD_OTHER);
	ck_assert_uint_eq(field_lookup(str_make(NULL, 0)), FIELD_OTHER);
	ck_assert_uint_eq(field_lookup(STR("con\rection")), FIELD_OTHER);
	assert_str(field_id_name(FIELD_OTHER), "");
	assert_str(field_id_name((enum field_id)200), "");
}
END_TEST

static const struct {
	const char *text;
	enum http_method method;
	bool idempotent;
} method_rows[] = {
	{ "GET", METHOD_GET, true },         { "HEAD", METHOD_HEAD, true },   { "POST", METHOD_POST, false },
	{ "PUT", METHOD_PUT, true },         { "DELETE", METHOD_DELETE, true }, { "CONNECT", METHOD_CONNECT, false },
	{ "OPTIONS", METHOD_OPTIONS, true }, { "TRACE", METHOD_TRACE, true }, { "PATCH", METHOD_PATCH, false },
	{ "get", METHOD_OTHER, false },      { "GETS", METHOD_OTHER, false }, { "PURGE", METHOD_OTHER, false },
	{ "", METHOD_OTHER, false },
};

START_TEST(methods)
{
	enum http_method m = method_lookup(str_of(method_rows[_i].text));

	ck_assert_uint_eq(m, method_rows[_i].method);
	ck_assert_int_eq(method_idempotent(m), method_rows[_i].idempotent);
}
END_TEST

START_TEST(get_and_next)
{
	struct parse t;
	uint16_t at = 0;

	parse_init(&t);
	parse_request(&t, STR("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 x\r\nX-A: 1\r\nvia: 1.1 y\r\nx-a:2\r\n\r\n"));
	ck_assert_str_eq(parse_word(&t), "done");
	assert_str(field_value(head_get(&t.h, FIELD_VIA)), "1.1 x");
	assert_str(field_name(head_get(&t.h, FIELD_VIA)), "Via");
	ck_assert_ptr_null(head_get(&t.h, FIELD_COOKIE));
	ck_assert_ptr_null(head_get(&t.h, FIELD_OTHER));
	assert_str(field_value(head_next(&t.h, STR("X-a"), &at)), "1");
	assert_str(field_value(head_next(&t.h, STR("X-a"), &at)), "2");
	ck_assert_ptr_null(head_next(&t.h, STR("X-a"), &at));
	ck_assert_ptr_null(head_next(&t.h, STR("X-a"), &at));
	head_delete(&t.h, FIELD_OTHER); /* nothing */
	ck_assert(head_add(&t.h, &t.a, FIELD_VIA, STR("Via"), STR("1.1 z")));
	t.h.f[1].flags |= FIELD_DELETED;
	assert_str(field_value(head_get(&t.h, FIELD_VIA)), "1.1 y");
	head_delete(&t.h, FIELD_VIA);
	ck_assert_ptr_null(head_get(&t.h, FIELD_VIA));
	assert_fields(&t.h, "Host: a\r\nX-A: 1\r\nx-a:2\r\n");
	parse_release(&t);
}
END_TEST

static const struct {
	const char *rule, *in, *out;
} hop_rows[] = {
	{ "the fixed ones",
	  "Host: a\r\nConnection: close\r\nKeep-Alive: timeout=1\r\nProxy-Connection: x\r\nTE: trailers\r\n"
	  "Transfer-Encoding: chunked\r\nUpgrade: h2c\r\nProxy-Authenticate: x\r\nProxy-Authorization: x\r\n"
	  "Proxy-Authentication-Info: x\r\nAccept: */*\r\n",
	  "Host: a\r\nAccept: */*\r\n" },
	{ "those that Connection names", "Host: a\r\nconnection: X-One , x-two,,Cookie\r\nX-ONE: 1\r\nX-Two: 2\r\nX-Three: 3\r\n"
	  "Cookie: c\r\nX-One: 4\r\n", "Host: a\r\nX-Three: 3\r\n" },
	{ "of all Connection fields", "Host: a\r\nConnection: x-one\r\nConnection: x-two\r\nX-One: 1\r\nX-Two: 2\r\n",
	  "Host: a\r\n" },
	{ "not those needed to frame and to route", "Host: a\r\nContent-Length: 0\r\nVia: 1.1 x\r\nX-Forwarded-For: 1.2.3.4\r\n"
	  "Connection: host, content-length, via, x-forwarded-for\r\n",
	  "Host: a\r\nContent-Length: 0\r\nVia: 1.1 x\r\nX-Forwarded-For: 1.2.3.4\r\n" },
	{ "Trailer is end to end", "Host: a\r\nConnection: close\r\nTrailer: x\r\n", "Host: a\r\nTrailer: x\r\n" },
	{ "close names nothing", "Host: a\r\nConnection: close\r\nClose: 1\r\n", "Host: a\r\nClose: 1\r\n" },
};

START_TEST(hop_by_hop_fields_go)
{
	char buf[1024];
	struct parse t;

	parse_init(&t);
	int n = snprintf(buf, sizeof(buf), "POST / HTTP/1.1\r\n%s\r\n", hop_rows[_i].in);
	ck_assert_msg(parse_request(&t, str_make(buf, (size_t)n)) == H1_DONE, "%s", hop_rows[_i].rule);
	head_delete_hop_by_hop(&t.h);
	assert_fields(&t.h, hop_rows[_i].out);
	parse_release(&t);
}
END_TEST

START_TEST(a_head_follows_its_block)
{
	static const char in[] = "GET http://b:1/p?q HTTP/1.1\r\nHost: a\r\nX-A:  1 \r\n\r\n";
	char one[sizeof(in)], two[sizeof(in)];
	struct parse t;

	parse_init(&t);
	memcpy(one, in, sizeof(in));
	parse_request(&t, str_make(one, sizeof(in) - 1));
	ck_assert(head_add(&t.h, &t.a, FIELD_OTHER, STR("x-new"), STR("new")));
	memcpy(two, in, sizeof(in));
	head_rebase(&t.h, one, sizeof(one), two);
	head_rebase(&t.h, two, sizeof(two), two);
	memset(one, '!', sizeof(one));
	assert_str(t.h.method_text, "GET");
	assert_str(t.h.target, "http://b:1/p?q");
	assert_str(t.h.scheme, "http");
	assert_str(t.h.authority, "b:1");
	assert_str(t.h.path, "/p?q");
	assert_str(field_value(&t.h.f[1]), "1");
	assert_fields(&t.h, "Host: a\r\nX-A:  1 \r\nx-new: new\r\n");
	ck_assert_ptr_eq(t.h.method_text.p, two);
	ck_assert_ptr_null(t.h.phrase.p);
	parse_release(&t);
}
END_TEST

START_TEST(adding_ends_at_the_ceiling)
{
	struct parse t;

	parse_init(&t);
	for (unsigned i = 0; i < HEAD_FIELDS_MAX; i++)
		ck_assert(head_add(&t.h, &t.a, FIELD_VIA, STR("via"), STR("1.1 x")));
	ck_assert(!head_add(&t.h, &t.a, FIELD_VIA, STR("via"), STR("1.1 x")));
	ck_assert_uint_eq(t.h.n, HEAD_FIELDS_MAX);
	ck_assert_uint_eq(head_fields_size(&t.h), HEAD_FIELDS_MAX * 12u);
	assert_str(field_value(&t.h.f[HEAD_FIELDS_MAX - 1]), "1.1 x");
	parse_release(&t);
}
END_TEST

START_TEST(adding_survives_a_lack_of_memory)
{
	for (unsigned long k = 1; k < 12; k++) {
		struct parse t;
		unsigned added = 0;

		parse_init(&t);
		mem_fail_at(k);
		for (unsigned i = 0; i < HEAD_FIELDS_MAX; i++)
			added += head_add(&t.h, &t.a, FIELD_OTHER, STR("x-a"), STR("value"));
		mem_fail_at(0);
		ck_assert_uint_eq(added, t.h.n);
		ck_assert_uint_eq(head_fields_size(&t.h), added * 12u);
		parse_release(&t);
	}
}
END_TEST

Suite *suite_http_head(void);
Suite *suite_http_head(void)
{
	Suite *s = suite_create("http/head");
	TCase *t = tcase_create("all");
	tcase_add_test(t, every_name_finds_its_id);
	tcase_add_test(t, other_names_are_other);
	tcase_add_loop_test(t, methods, 0, ROWS(method_rows));
	tcase_add_test(t, get_and_next);
	tcase_add_loop_test(t, hop_by_hop_fields_go, 0, ROWS(hop_rows));
	tcase_add_test(t, a_head_follows_its_block);
	tcase_add_test(t, adding_ends_at_the_ceiling);
	tcase_add_test(t, adding_survives_a_lack_of_memory);
	suite_add_tcase(s, t);
	return s;
}
