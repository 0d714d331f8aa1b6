/* http/authority, http/path. */
#include "http_parse.h"

static const struct {
	struct str in;
	const char *host; /* NULL: refused */
	unsigned port;
} authority_rows[] = {
	{ STR("quotes-service"), "quotes-service", 0 },
	{ STR("quotes_service.shop:8080"), "quotes_service.shop", 8080 },
	{ STR("127.0.0.1:4140"), "127.0.0.1", 4140 },
	{ STR("A.example."), "A.example.", 0 },
	{ STR("[::1]:65535"), "::1", 65535 },
	{ STR("[::ffff:1.2.3.4]"), "::ffff:1.2.3.4", 0 },
	{ STR("a:"), "a", 0 },
	{ STR("a:00080"), "a", 80 },
	{ STR(""), NULL, 0 },
	{ STR(":80"), NULL, 0 },
	{ STR("a:0"), NULL, 0 },
	{ STR("a:65536"), NULL, 0 },
	{ STR("a:000080"), NULL, 0 },
	{ STR("a:8o"), NULL, 0 },
	{ STR("a:-1"), NULL, 0 },
	{ STR("a:1:2"), NULL, 0 },
	{ STR("u:p@a:1"), NULL, 0 },
	{ STR("u@a"), NULL, 0 },
	{ STR("a b"), NULL, 0 },
	{ STR("a,b"), NULL, 0 },
	{ STR("a/b"), NULL, 0 },
	{ STR("a%20b"), NULL, 0 },
	{ STR("a\0b"), NULL, 0 },
	{ STR("caf\xc3\xa9"), NULL, 0 },
	{ STR("::1"), NULL, 0 },
	{ STR("[::1"), NULL, 0 },
	{ STR("[]:80"), NULL, 0 },
	{ STR("[a]:80"), NULL, 0 },
	{ STR("[1.2.3.4]"), NULL, 0 },
	{ STR("[::1]x"), NULL, 0 },
	{ STR("[::1]80"), NULL, 0 },
	{ STR("[::1%25eth0]"), NULL, 0 },
	{ STR("[::1\0]"), NULL, 0 },
	{ STR("[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]"), NULL, 0 },
};

START_TEST(authorities)
{
	struct str host;
	uint16_t port = 1;
	bool ok = authority_split(authority_rows[_i].in, &host, &port);

	ck_assert_msg(ok == (authority_rows[_i].host != NULL), "%.*s", STR_ARG(authority_rows[_i].in));
	if (!ok)
		return;
	assert_str(host, authority_rows[_i].host);
	ck_assert_uint_eq(port, authority_rows[_i].port);
}
END_TEST

START_TEST(a_host_has_255_bytes_at_most)
{
	char buf[256];
	struct str host;
	uint16_t port;

	memset(buf, 'a', sizeof(buf));
	ck_assert(authority_split(str_make(buf, 255), &host, &port));
	ck_assert(!authority_split(str_make(buf, 256), &host, &port));
}
END_TEST

/* out NULL: refused. */
static const struct {
	struct str in;
	const char *out;
} path_rows[] = {
	{ STR("/"), "/" },
	{ STR("*"), "*" },
	{ STR("/accounts/10000?expand=quote"), "/accounts/10000?expand=quote" },
	{ STR("/index.html"), "/index.html" },
	{ STR("/.well-known/x"), "/.well-known/x" },
	{ STR("/..."), "/..." },
	{ STR("/..a/b"), "/..a/b" },
	{ STR("/a%20b%C3%A9"), "/a%20b%C3%A9" },
	{ STR("/a;v=1/b"), "/a;v=1/b" },
	{ STR("//a//b/"), "//a//b/" },
	{ STR("/a/./b"), "/a/b" },
	{ STR("/a/."), "/a/" },
	{ STR("/."), "/" },
	{ STR("/a/../b"), "/b" },
	{ STR("/a/b/.."), "/a/" },
	{ STR("/a/b/../../c"), "/c" },
	{ STR("/a//../b"), "/a/b" },
	{ STR("//.."), "/" },
	{ STR("/a/..?x=/../y"), "/?x=/../y" },
	{ STR("/a?%zz\\%00"), "/a?%zz\\%00" },
	{ STR("/%7euser/%41%2d"), "/~user/A-" },
	{ STR("/caf%c3%a9?%c3"), "/caf%C3%A9?%c3" },
	{ STR("/a/%2e%2E/b"), "/b" },
	{ STR("/a/.%2e/b"), "/b" },
	{ STR("/%252e%252e/"), "/%252e%252e/" },
	{ STR("/a%3fb"), "/a%3Fb" },
	{ STR(""), NULL },
	{ STR("a"), NULL },
	{ STR("*/"), NULL },
	{ STR("?a"), NULL },
	{ STR("/.."), NULL },
	{ STR("/../a"), NULL },
	{ STR("/a/../../b"), NULL },
	{ STR("/%2e%2e/a"), NULL },
	{ STR("/a%2fb"), NULL },
	{ STR("/a%5Cb"), NULL },
	{ STR("/a%00"), NULL },
	{ STR("/a\\b"), NULL },
	{ STR("/a%"), NULL },
	{ STR("/a%2"), NULL },
	{ STR("/a%2?0"), NULL },
	{ STR("/a%g0"), NULL },
	{ STR("/a/..;/b"), NULL },
	{ STR("/a/.;x/b"), NULL },
	{ STR("/a/%2e.;x"), NULL },
	{ STR("/a b"), NULL },
	{ STR("/a\0"), NULL },
	{ STR("/a\r\n"), NULL },
	{ STR("/a#b"), NULL },
	{ STR("/\xc3\xa9"), NULL },
};

START_TEST(paths)
{
	struct str out;
	struct arena a;

	arena_init(&a, 4096, NULL, 0);
	bool ok = path_normalise(path_rows[_i].in, &a, &out);
	ck_assert_msg(ok == (path_rows[_i].out != NULL), "%.*s", STR_ARG(path_rows[_i].in));
	if (ok) {
		assert_str(out, path_rows[_i].out);
		if (str_eq(path_rows[_i].in, out)) /* nothing changed: not a copy */
			ck_assert_ptr_eq(out.p, path_rows[_i].in.p);
	}
	arena_release(&a);
}
END_TEST

START_TEST(a_path_that_finds_no_memory)
{
	struct str out;
	struct arena a;

	arena_init(&a, 4096, NULL, 0);
	mem_fail_at(1);
	ck_assert(!path_normalise(STR("/a/../b"), &a, &out));
	ck_assert(path_normalise(STR("/plain"), &a, &out)); /* needs none */
	mem_fail_at(0);
	arena_release(&a);
}
END_TEST

Suite *suite_http_names(void);
Suite *suite_http_names(void)
{
	Suite *s = suite_create("http/names");
	TCase *t = tcase_create("all");
	tcase_add_loop_test(t, authorities, 0, ROWS(authority_rows));
	tcase_add_test(t, a_host_has_255_bytes_at_most);
	tcase_add_loop_test(t, paths, 0, ROWS(path_rows));
	tcase_add_test(t, a_path_that_finds_no_memory);
	suite_add_tcase(s, t);
	return s;
}
