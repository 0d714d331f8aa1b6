/* net/addr: parsing, text, comparing, blocks. */
#include "base/rng.h"
#include "net/addr.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>

static const struct {
	const char *in;
	const char *text; /* NULL: refused */
	const char *ip;
	unsigned port;
} parse_rows[] = {
	{ "10.0.0.5:8080", "10.0.0.5:8080", "10.0.0.5", 8080 },
	{ "[::1]:4140", "[::1]:4140", "::1", 4140 },
	{ "[fe80::1]:1", "[fe80::1]:1", "fe80::1", 1 },
	{ ":80", "0.0.0.0:80", "0.0.0.0", 80 },
	{ "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1", 0 },
	{ "127.0.0.1:65535", "127.0.0.1:65535", "127.0.0.1", 65535 },
	{ "unix:/run/a.sock", "unix:/run/a.sock", "unix", 0 },
	{ "unix:@name", "unix:@name", "unix", 0 },
	{ "", NULL, NULL, 0 },
	{ ":", NULL, NULL, 0 },
	{ "10.0.0.5", NULL, NULL, 0 },
	{ "10.0.0.5:", NULL, NULL, 0 },
	{ "10.0.0.5:65536", NULL, NULL, 0 },
	{ "10.0.0.5:-1", NULL, NULL, 0 },
	{ "10.0.0.5:8080x", NULL, NULL, 0 },
	{ "10.0.0.256:1", NULL, NULL, 0 },
	{ "10.0.5:1", NULL, NULL, 0 },
	{ "localhost:80", NULL, NULL, 0 },
	{ "::1:80", NULL, NULL, 0 },
	{ "[::1]", NULL, NULL, 0 },
	{ "[::1:80", NULL, NULL, 0 },
	{ "[10.0.0.1]:80", NULL, NULL, 0 },
	{ "[]:80", NULL, NULL, 0 },
	{ "unix:", NULL, NULL, 0 },
	{ "unix:@", NULL, NULL, 0 },
	{ "unix:relative", NULL, NULL, 0 },
};

START_TEST(parses_and_prints)
{
	struct addr a;
	struct err e = { "" };
	char text[ADDR_TEXT_MAX];
	bool ok = addr_parse(str_of(parse_rows[_i].in), &a, &e);
	ck_assert_msg(ok == (parse_rows[_i].text != NULL), "%s: %s", parse_rows[_i].in, e.text);
	if (!ok) {
		ck_assert_str_ne(e.text, "");
		return;
	}
	addr_text(&a, text);
	ck_assert_str_eq(text, parse_rows[_i].text);
	addr_ip_text(&a, text);
	ck_assert_str_eq(text, parse_rows[_i].ip);
	ck_assert_uint_eq(addr_port(&a), parse_rows[_i].port);
}
END_TEST

/* Numbers, dots, and now and then another byte: what is an IPv4 address is what the C library says. */
START_TEST(an_ip_is_what_the_library_says)
{
	static const char bytes[] = "0011223455..........99x -:";
	struct rng r;
	unsigned good = 0;
	rng_seed(&r, 7);
	for (unsigned k = 0; k < 300000; k++) {
		char text[24];
		size_t n = 0;
		for (unsigned part = 0, parts = 3 + rng_below(&r, 3); part < parts; part++)
			n += (size_t)snprintf(text + n, 6, "%s%u", part ? "." : "", rng_below(&r, part % 2 ? 300 : 12)) % 6;
		if (rng_below(&r, 2))
			text[rng_below(&r, (uint32_t)n)] = bytes[rng_below(&r, sizeof(bytes) - 1)];
		struct in_addr want;
		struct addr got;
		bool is = inet_pton(AF_INET, text, &want) == 1;
		ck_assert_msg(addr_parse_ip(str_make(text, n), 80, &got) == is, "%s", text);
		if (is)
			ck_assert_mem_eq(&got.in.sin_addr, &want, sizeof(want));
		good += is;
	}
	ck_assert_uint_gt(good, 10000);
}
END_TEST

START_TEST(a_long_or_odd_unix_name)
{
	char name[256] = "unix:/";
	memset(name + 6, 'x', 200);
	struct addr a;
	struct err e;
	ck_assert(!addr_parse(str_make(name, 5 + 108), &a, &e));
	ck_assert(addr_parse(str_make(name, 5 + 107), &a, &e));
	name[9] = 0;
	ck_assert(!addr_parse(str_make(name, 20), &a, &e));

	char text[ADDR_TEXT_MAX];
	memcpy(name, "unix:@a\nb", 9);
	ck_assert(addr_parse(str_make(name, 9), &a, &e));
	addr_text(&a, text);
	ck_assert_str_eq(text, "unix:@a?b");
	addr_text(&(struct addr){ .len = 0 }, text);
	ck_assert_str_eq(text, "none");
}
END_TEST

static struct addr ip(const char *z)
{
	struct addr a;
	ck_assert_msg(addr_parse_ip(str_of(z), 80, &a), "%s", z);
	return a;
}

static const struct {
	const char *ip;
	bool loopback, link_local, any;
} kind_rows[] = {
	{ "127.0.0.1", true, false, false },  { "127.255.0.9", true, false, false },
	{ "::1", true, false, false },	      { "::ffff:127.0.0.1", true, false, false },
	{ "128.0.0.1", false, false, false }, { "169.254.169.254", false, true, false },
	{ "::ffff:169.254.0.1", false, true, false },
	{ "169.253.0.1", false, false, false }, { "fe80::1", false, true, false },
	{ "febf::1", false, true, false },    { "fec0::1", false, false, false },
	{ "0.0.0.0", false, false, true },    { "::", false, false, true },
	{ "0.0.0.1", false, false, false },   { "[::1]", true, false, false },
};

START_TEST(knows_kinds)
{
	struct addr a = ip(kind_rows[_i].ip);
	ck_assert_int_eq(addr_is_loopback(&a), kind_rows[_i].loopback);
	ck_assert_int_eq(addr_is_link_local(&a), kind_rows[_i].link_local);
	ck_assert_int_eq(addr_is_any(&a), kind_rows[_i].any);
}
END_TEST

static const struct {
	const char *block, *ip;
	bool has;
} cidr_rows[] = {
	{ "10.0.0.0/8", "10.255.1.2", true },   { "10.0.0.0/8", "11.0.0.0", false },
	{ "10.9.9.9/8", "10.0.0.1", true },     { "192.168.4.128/25", "192.168.4.129", true },
	{ "192.168.4.128/25", "192.168.4.1", false }, { "10.0.0.0/8", "::ffff:10.0.0.1", true },
	{ "0.0.0.0/0", "8.8.8.8", true },       { "0.0.0.0/0", "::1", false },
	{ "::/0", "fd00::1", true },            { "::/0", "8.8.8.8", false },
	{ "::1", "::1", true },                 { "::1", "::2", false },
	{ "fd00::/8", "fdff::1", true },        { "fd00::/8", "fe00::1", false },
	{ "10.0.0.1", "10.0.0.1", true },       { "10.0.0.1", "10.0.0.2", false },
};

START_TEST(blocks_hold)
{
	struct cidr c;
	struct err e;
	struct addr a = ip(cidr_rows[_i].ip);
	ck_assert(cidr_parse(str_of(cidr_rows[_i].block), &c, &e));
	ck_assert_int_eq(cidr_has(&c, &a), cidr_rows[_i].has);
}
END_TEST

START_TEST(bad_blocks_are_refused)
{
	static const char *const bad[] = { "", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/8x", "host/8" };
	struct cidr c;
	struct err e;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!cidr_parse(str_of(bad[i]), &c, &e), "%s", bad[i]);
}
END_TEST

START_TEST(mapped_equals_plain)
{
	struct addr four = ip("1.2.3.4"), six = ip("::ffff:1.2.3.4"), other = ip("1.2.3.5");
	ck_assert(addr_eq(&four, &six));
	ck_assert(addr_hash(&four) == addr_hash(&six));
	ck_assert(!addr_eq(&four, &other));
	addr_set_port(&six, 81);
	ck_assert(!addr_eq(&four, &six));
	addr_unmap(&six);
	ck_assert_int_eq(six.sa.sa_family, AF_INET);
	ck_assert_uint_eq(addr_port(&six), 81);
}
END_TEST

START_TEST(own_addresses_hold_loopback)
{
	struct addr own[64];
	size_t n = addr_own(own, 64);
	bool found = false;
	for (size_t i = 0; i < n; i++)
		found = found || addr_is_loopback(&own[i]);
	ck_assert(found);
	ck_assert_uint_eq(addr_own(own, 1), 1);
}
END_TEST

#define ROWS(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_net_addr(void);
Suite *suite_net_addr(void)
{
	Suite *s = suite_create("net/addr");
	TCase *t = tcase_create("all");
	tcase_add_loop_test(t, parses_and_prints, 0, ROWS(parse_rows));
	tcase_add_test(t, an_ip_is_what_the_library_says);
	tcase_add_test(t, a_long_or_odd_unix_name);
	tcase_add_loop_test(t, knows_kinds, 0, ROWS(kind_rows));
	tcase_add_loop_test(t, blocks_hold, 0, ROWS(cidr_rows));
	tcase_add_test(t, bad_blocks_are_refused);
	tcase_add_test(t, mapped_equals_plain);
	tcase_add_test(t, own_addresses_hold_loopback);
	suite_add_tcase(s, t);
	return s;
}
