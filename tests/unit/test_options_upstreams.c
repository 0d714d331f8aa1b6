/* The grammar of OUTRIDER_UPSTREAMS. */
#include "control/upstreams.h"
#include "options_help.h"

static const struct {
	const char *item, *service, *addr;
	bool tcp;
	uint16_t port;
	const char *why; /* refused, and the message says this */
} items[] = {
	{ "quotes-service@127.0.4.1:8080", "quotes-service", "127.0.4.1:8080", false, 0, NULL },
	{ "image:9002", "image", "127.0.0.1:9002", false, 0, NULL },
	{ "tcp://db:5432@127.0.4.2:5433", "db", "127.0.4.2:5433", true, 5432, NULL },
	{ "tcp://db@127.0.4.2:5432", "db", "127.0.4.2:5432", true, 0, NULL },
	{ "TCP://db@127.0.4.2:5432", "db", "127.0.4.2:5432", true, 0, NULL },
	{ "quotes:8081@[::1]:80", "quotes", "[::1]:80", false, 8081, NULL },
	{ " quotes-service.shop@127.0.0.1:1 ", "quotes-service.shop", "127.0.0.1:1", false, 0, NULL },
	{ "Quotes:65535", "Quotes", "127.0.0.1:65535", false, 0, NULL },
	{ "quotes", NULL, NULL, false, 0, "service@address:port or service:port" },
	{ "", NULL, NULL, false, 0, "service:port" },
	{ ":9001", NULL, NULL, false, 0, "name of the service is missing" },
	{ "@127.0.0.1:80", NULL, NULL, false, 0, "name of the service is missing" },
	{ "quotes:0", NULL, NULL, false, 0, "from 1 to 65535" },
	{ "quotes:65536", NULL, NULL, false, 0, "from 1 to 65535" },
	{ "quotes:http", NULL, NULL, false, 0, "from 1 to 65535" },
	{ "quotes@127.0.0.1", NULL, NULL, false, 0, "address" },
	{ "quotes@127.0.0.1:0", NULL, NULL, false, 0, "port from 1 to 65535" },
	{ "quotes@10.0.0.5:8080", NULL, NULL, false, 0, "loopback" },
	{ "quotes@0.0.0.0:8080", NULL, NULL, false, 0, "loopback" },
	{ "quotes@unix:/run/q", NULL, NULL, false, 0, "loopback" },
	{ "quotes@localhost:80", NULL, NULL, false, 0, "no IP address" },
	{ "quotes:0@127.0.0.1:80", NULL, NULL, false, 0, "before the @" },
	{ "quotes:x@127.0.0.1:80", NULL, NULL, false, 0, "before the @" },
	{ "quotes:@127.0.0.1:80", NULL, NULL, false, 0, "before the @" },
	{ "tcp://db:5432", NULL, NULL, false, 0, "tcp:// needs the address" },
	{ "tcp://", NULL, NULL, false, 0, "tcp:// needs the address" },
	{ "http://quotes:8080", NULL, NULL, false, 0, "no http://" },
	{ "default:9001", NULL, NULL, false, 0, "no service name" },
	{ "DEFAULT@127.0.4.1:80", NULL, NULL, false, 0, "no service name" },
	{ "localhost:9001", NULL, NULL, false, 0, "not a host or an address" },
	{ "10.0.0.1:9001", NULL, NULL, false, 0, "not a host or an address" },
	{ "a/b:9001", NULL, NULL, false, 0, "letters, digits" },
	{ "-a:9001", NULL, NULL, false, 0, "begins and ends" },
	{ "a@b@127.0.0.1:1", NULL, NULL, false, 0, "no IP address" },
};

START_TEST(grammar)
{
	struct upstream_pin pin = { .upstream_port = 7 };
	struct err err = { "" };
	char text[ADDR_TEXT_MAX];
	bool ok = upstream_pin_parse(str_of(items[_i].item), &pin, &err);

	if (items[_i].why) {
		ck_assert_msg(!ok, "\"%s\" was accepted", items[_i].item);
		ck_assert_msg(strstr(err.text, items[_i].why) != NULL, "\"%s\": %s", items[_i].item, err.text);
		ck_assert_uint_eq(pin.upstream_port, 7);
		return;
	}
	ck_assert_msg(ok, "\"%s\": %s", items[_i].item, err.text);
	ck_str(pin.service, items[_i].service);
	addr_text(&pin.addr, text);
	ck_assert_str_eq(text, items[_i].addr);
	ck_assert_uint_eq(pin.upstream_port, items[_i].port);
	ck_assert(pin.tcp == items[_i].tcp);
}
END_TEST

START_TEST(lists)
{
	struct str rest = STR(" a:1 ,, tcp://b:5@127.0.0.2:2,"), bad = STR("a:1,b");
	struct upstream_pin pin;
	struct err err = { "" };

	ck_assert_int_eq(upstream_pin_next(&rest, &pin, &err), 1);
	ck_str(pin.service, "a");
	ck_assert_int_eq(upstream_pin_next(&rest, &pin, &err), 1);
	ck_str(pin.service, "b");
	ck_assert_int_eq(upstream_pin_next(&rest, &pin, &err), 0);
	ck_assert_int_eq(upstream_pin_next(&bad, &pin, &err), 1);
	ck_assert_int_eq(upstream_pin_next(&bad, &pin, &err), -1);
}
END_TEST

Suite *suite_options_upstreams(void)
{
	Suite *s = suite_create("options_upstreams");
	TCase *t = tcase_create("grammar");

	tcase_add_loop_test(t, grammar, 0, ROWS(items));
	tcase_add_test(t, lists);
	suite_add_tcase(s, t);
	return s;
}
