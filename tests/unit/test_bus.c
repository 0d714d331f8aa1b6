/* plugins/bus_event, bus_address and bus_guard: a row for each rule of Spring Cloud Bus, of addresses, of frames. The rest is
 * tested against a real RabbitMQ by tests/run/test_config_bus.py. */
#include "../../plugins/bus_address.h"
#include "../../plugins/bus_event.h"
#include "../../plugins/bus_guard.h"
#include "base/mem.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* --- destinations -------------------------------------------------------------------------------------------------- */

static const struct {
	const char *destination, *service, *profiles;
	bool yes;
} destinations[] = {
	/* everyone */
	{ "", "orders", "", true },
	{ "  ", "orders", "", true },
	{ "**", "orders", "", true },
	{ "*:**", "orders", "", true },
	{ "*", "orders", "", true },
	{ "***", "orders", "", true },
	{ "**:**", "orders", "test", true },
	{ "*:*:**", "orders", "test", true },
	/* one service */
	{ "orders:**", "orders", "", true },
	{ "orders", "orders", "", true },
	{ "orders:", "orders", "", true },
	{ "orders:*", "orders", "", true }, /* becomes orders:*:** */
	{ "orders:**", "orders", "test", true },
	{ "order:**", "orders", "", false },
	{ "order", "orders", "", false },
	{ "orders:**", "order", "", false },
	{ "orders-test:**", "orders", "test", false },
	{ "Orders:**", "orders", "", false },
	{ "orders:**", "application", "", false },
	{ "application:**", "application", "", true },
	/* characters of a part */
	{ "o*:**", "orders", "", true },
	{ "*ers", "orders", "", true },
	{ "o*d*s:**", "orders", "", true },
	{ "o*x*s:**", "orders", "", false },
	{ "order?:**", "orders", "", true },
	{ "orders?:**", "orders", "", false },
	{ "??????:**", "orders", "", true },
	{ "**s:**", "orders", "", true },
	{ "a*", "accountservice", "", true },
	/* profiles are a part of their own */
	{ "orders:test:**", "orders", "test", true },
	{ "orders:test", "orders", "test", true },
	{ "orders:prod:**", "orders", "test", false },
	{ "orders:test:**", "orders", "", false },
	{ "orders:test,eu:**", "orders", "test,eu", true },
	{ "orders:*eu*:**", "orders", "test,eu", true },
	{ "**:test:**", "orders", "test", true },
	{ "*:test:*:*", "orders", "test", true },
	{ "*:test:*", "orders", "test", false }, /* two colons: nothing is appended */
	/* port and random part are not known: wildcards alone match them */
	{ "orders:*:*", "orders", "", true },
	{ "orders:*:*:**", "orders", "", true },
	{ "orders:*:*:*", "orders", "", false },
	{ "orders:*:*:*", "orders", "test", true },
	{ "orders:8080:**", "orders", "", false },
	{ "orders:8080", "orders", "", false },
	{ "orders:80*:**", "orders", "", false },
	{ "orders:?:**", "orders", "", false },
	{ "orders:**:9a868594", "orders", "", false },
	{ "orders:**:*", "orders", "", true },
	/* two ** and odd texts */
	{ "**:orders:**", "orders", "", true },
	{ "**:orders:**", "xorders", "", false },
	{ "a:b:c", "orders", "", false },
	{ ":**", "orders", "", false },
	{ ":orders:**", "orders", "", false },
	{ "orders::**", "orders", "", true },
	{ "sedoPpthy:**", "orders", "", false },
	{ "orders:**:**:**:**:**:**", "orders", "", true },
};

START_TEST(test_destination)
{
	const char *d = destinations[_i].destination;
	struct bus_id id = { str_of(destinations[_i].service), str_of(destinations[_i].profiles) };
	ck_assert_msg(bus_destination_matches(str_of(d), &id) == destinations[_i].yes, "'%s' for %s:%s", d,
		destinations[_i].service, destinations[_i].profiles);
}
END_TEST

/* Patterns that make a naive matcher walk every way: they end, and soon. */
START_TEST(test_destination_is_quick)
{
	struct bus_id id = { STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
		STR("") };
	char many[4096] = "";
	ck_assert(!bus_destination_matches(STR("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b:**"), &id));
	for (size_t i = 0; i < 1000; i++)
		memcpy(many + 3 * i, "**:", 3);
	ck_assert(!bus_destination_matches(str_make(many, 3000), &id)); /* more than BUS_PARTS_MAX parts */
	ck_assert(!bus_destination_matches(STR("**:**:**:**:**:**:**:**:**:**:**:**:**:b"), &id));
}
END_TEST

/* --- events -------------------------------------------------------------------------------------------------------- */

#define TYPE "\"type\":\"RefreshRemoteApplicationEvent\""

static const struct {
	const char *body;
	enum bus_verdict verdict;
} events[] = {
	{ "{" TYPE ",\"timestamp\":1795345832572,\"originService\":\"config-server:18889:9a86\","
	  "\"destinationService\":\"orders:**\",\"id\":\"37f2c35c-c35e-4677-b6fe-479baa2bce65\"}",
		BUS_REFRESH },
	{ "{" TYPE ",\"destinationService\":\"quotes:**\"}", BUS_FOR_OTHERS },
	{ "{" TYPE ",\"destinationService\":null}", BUS_REFRESH },
	{ "{" TYPE ",\"destinationService\":\"\"}", BUS_REFRESH }, { "{" TYPE "}", BUS_REFRESH },
	{ "{" TYPE ",\"destinationService\":7}", BUS_FOR_OTHERS },
	{ "{" TYPE ",\"destinationService\":[\"**\"]}", BUS_FOR_OTHERS },
	{ " \r\n{\"unknown\":{\"a\":[1,2,{}]}," TYPE "} ", BUS_REFRESH },
	{ "{\"type\":\"AckRemoteApplicationEvent\",\"destinationService\":\"**\",\"ackId\":\"1\","
	  "\"event\":\"org.springframework.cloud.bus.event.RefreshRemoteApplicationEvent\"}",
		BUS_OTHER_TYPE },
	{ "{\"type\":\"EnvironmentChangeRemoteApplicationEvent\",\"destinationService\":\"**\",\"values\":{"
	  "\"k\":\"v\"}}",
		BUS_OTHER_TYPE },
	{ "{\"type\":\"refreshremoteapplicationevent\"}", BUS_OTHER_TYPE },
	{ "{\"Type\":\"RefreshRemoteApplicationEvent\"}", BUS_OTHER_TYPE },
	{ "{\"type\":null,\"destinationService\":\"**\"}", BUS_OTHER_TYPE },
	{ "{\"type\":{\"a\":1}}", BUS_OTHER_TYPE }, { "{\"destinationService\":\"**\"}", BUS_OTHER_TYPE },
	{ "{}", BUS_OTHER_TYPE }, { "[{" TYPE "}]", BUS_NO_EVENT },
	{ "\"RefreshRemoteApplicationEvent\"", BUS_NO_EVENT }, { "refresh", BUS_NO_EVENT },
	{ "", BUS_NO_EVENT }, { "{" TYPE, BUS_NO_EVENT }, { "{" TYPE ",\"a\":\"\\", BUS_NO_EVENT },
	{ "{\"a\":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]," TYPE "}", BUS_NO_EVENT },
	{ "{\"a\":\"[[[[[[[[[[[[[[[[[[[[{{{{,,,,\"," TYPE "}",
		BUS_REFRESH }, /* in a text they count for nothing */
};

START_TEST(test_event)
{
	struct bus_id id = { STR("orders"), STR("") };
	struct str body = str_of(events[_i].body);
	char *copy = mem_dup(body.p, body.n); /* exact, for the sanitizer */
	ck_assert_ptr_nonnull(copy);
	ck_assert_msg(
		bus_event_judge(str_make(copy, body.n), &id) == events[_i].verdict, "%s", events[_i].body);
	mem_free(copy);
}
END_TEST

/* Too long, and too many values, whatever they say. */
START_TEST(test_event_bounds)
{
	struct bus_id id = { STR("orders"), STR("") };
	static char body[BUS_BODY_MAX + 1];
	struct str head = STR("{" TYPE ",\"a\":[");

	memset(body, ' ', sizeof(body));
	memcpy(body, head.p, head.n);
	memcpy(body + BUS_BODY_MAX - 3, "1]}", 3);
	ck_assert_int_eq(bus_event_judge(str_make(body, BUS_BODY_MAX), &id), BUS_REFRESH);
	ck_assert_int_eq(bus_event_judge(str_make(body, BUS_BODY_MAX + 1), &id), BUS_NO_EVENT);
	for (size_t i = 0; i < BUS_VALUES_MAX; i++)
		memcpy(body + head.n + 2 * i, "1,", 2);
	ck_assert_int_eq(bus_event_judge(str_make(body, BUS_BODY_MAX), &id), BUS_NO_EVENT);
}
END_TEST

/* --- addresses ----------------------------------------------------------------------------------------------------- */

static const struct {
	const char *text;
	const char *host; /* NULL: refused, and the text says `name` */
	unsigned port;
	bool secure;
	const char *user, *password, *vhost, *name;
} addresses[] = {
	{ "amqp://rabbit", "rabbit", 5672, false, "", "", "/", "rabbit:5672" },
	{ "AMQP://rabbit:7000", "rabbit", 7000, false, "", "", "/", "rabbit:7000" },
	{ "amqps://rabbit", "rabbit", 5671, true, "", "", "/", "rabbit:5671" },
	{ "amqp://rabbit/", "rabbit", 5672, false, "", "", "/", "rabbit:5672" },
	{ "amqp://rabbit/%2F", "rabbit", 5672, false, "", "", "/", "rabbit:5672" },
	{ "amqp://rabbit/shop", "rabbit", 5672, false, "", "", "shop", "rabbit:5672" },
	{ "amqp://rabbit/%2fa%20b", "rabbit", 5672, false, "", "", "/a b", "rabbit:5672" },
	{ "amqp://u:p@rabbit:1/v", "rabbit", 1, false, "u", "p", "v", "rabbit:1" },
	{ "amqp://u@rabbit", "rabbit", 5672, false, "u", "", "/", "rabbit:5672" },
	{ "amqp://u:p%40%3a%25:x@rabbit", "rabbit", 5672, false, "u", "p@:%:x", "/", "rabbit:5672" },
	{ "amqp://u:p@ss@rabbit", "rabbit", 5672, false, "u", "p@ss", "/", "rabbit:5672" },
	{ "amqp://[::1]:5673", "::1", 5673, false, "", "", "/", "[::1]:5673" },
	{ "amqps://[fd00::7]/v", "fd00::7", 5671, true, "", "", "v", "[fd00::7]:5671" },
	{ " amqp://rabbit ", "rabbit", 5672, false, "", "", "/", "rabbit:5672" },
	{ .text = "rabbit:5672", .name = "expected spring-bus:amqp://" },
	{ .text = "http://rabbit", .name = "expected spring-bus:amqp://" },
	{ .text = "", .name = "expected spring-bus:amqp://" },
	{ .text = "amqp://", .name = "host is missing" },
	{ .text = "amqp://:5672", .name = "host is missing" },
	{ .text = "amqp://rabbit:0", .name = "'0' is no port" },
	{ .text = "amqp://rabbit:65536", .name = "'65536' is no port" },
	{ .text = "amqp://rabbit:x", .name = "'x' is no port" },
	{ .text = "amqp://::1:5672", .name = "in brackets" },
	{ .text = "amqp://user:geheim%zz@rabbit", .name = "bad %-code" },
	{ .text = "amqp://user:geheim%00@rabbit", .name = "bad %-code" },
	{ .text = "amqp://user:geheim@rabbit:x", .name = "is no port" },
	{ .text = "amqp://rabbit/%0a", .name = "virtual host" },
};

START_TEST(test_address)
{
	struct bus_address a;
	struct err err = { .text = "" };
	char name[BUS_NAME_MAX];
	bool ok = bus_address_parse(str_of(addresses[_i].text), &a, &err);

	ck_assert_msg(ok == (addresses[_i].host != NULL), "%s: %s", addresses[_i].text, err.text);
	if (!ok) {
		ck_assert_msg(
			strstr(err.text, addresses[_i].name) != NULL, "%s: %s", addresses[_i].text, err.text);
		ck_assert_ptr_null(strstr(err.text, "geheim"));
		return;
	}
	ck_assert_str_eq(a.host, addresses[_i].host);
	ck_assert_uint_eq(a.port, addresses[_i].port);
	ck_assert_int_eq(a.secure, addresses[_i].secure);
	ck_assert_str_eq(a.user, addresses[_i].user);
	ck_assert_str_eq(a.password, addresses[_i].password);
	ck_assert_str_eq(a.vhost, addresses[_i].vhost);
	bus_address_name(&a, name);
	ck_assert_str_eq(name, addresses[_i].name);
}
END_TEST

/* --- frames -------------------------------------------------------------------------------------------------------- */

#define S16 "0123456789abcdef"
#define START "\1\0\0\0\0\0\4\0\12\0\12\xCE" /* a method of four bytes on channel 0 */
#define ROW(bytes, why)                                                                                      \
	{                                                                                                    \
		bytes, sizeof(bytes) - 1, why                                                                \
	}

static const struct {
	const char *bytes;
	size_t n;
	const char *why; /* NULL: fine */
} frames[] = {
	ROW(START, NULL),
	ROW(START START, NULL),
	ROW(START "\10\0\0\0\0\0\0\xCE", NULL),        /* a heartbeat */
	ROW(START "\2\0\1\0\0\0\20" S16 "\xCE", NULL), /* a head on channel 1 */
	ROW(START "\3\0\2\0\0\0\20" S16 "\xCE", NULL), /* a body on channel 2 */
	ROW(START "\3\0\1\0\0\0\0\xCE", NULL),         /* an empty one */
	ROW("AMQP\0\0\11\1", "AMQP 0-9-1"),
	ROW("HTTP/1.1 400 Bad Request\r\n", "does not speak AMQP"),
	ROW("\x15\3\1\0\2\2\12", "amqps"),
	ROW("\10\0\0\0\0\0\0\xCE", "does not speak AMQP"), /* not as the first */
	ROW(START "\0\0\0\0\0\0\4....\xCE", "type 0"),
	ROW(START "\4\0\0\0\0\0\4....\xCE", "type 4"),
	ROW(START "\377\0\0\0\0\0\4....\xCE", "type 255"),
	ROW(START "\1\0\0\0\0\0\3...\xCE", "3 bytes"),
	ROW(START "\1\0\0\0\0\0\0\xCE", "0 bytes"),
	ROW(START "\2\0\1\0\0\0\15.............\xCE", "13 bytes"),
	ROW(START "\10\0\0\0\0\0\1.\xCE", "type 8"),
	ROW(START "\3\0\3\0\0\0\1.\xCE", "channel 3"),
	ROW(START "\3\377\377\0\0\0\1.\xCE", "channel 65535"),
	ROW(START "\3\0\1\0\0\77\370", NULL), /* 16,376 bytes: the longest */
	ROW(START "\3\0\1\0\0\77\371", "16377 bytes"),
	ROW(START "\3\0\1\377\377\377\377", "4294967295 bytes"),
	ROW(START "\3\0\1\0\0\0\1..", "end as it must"),
};

/* The same verdict, however the bytes come. */
START_TEST(test_frames)
{
	for (size_t step = 1; step <= frames[_i].n; step++) {
		struct bus_guard g = { .begun = false };
		struct err err = { .text = "" };
		bool ok = true;
		for (size_t at = 0; ok && at < frames[_i].n; at += step)
			ok = bus_guard_feed(&g, frames[_i].bytes + at,
				frames[_i].n - at < step ? frames[_i].n - at : step, &err);
		ck_assert_msg(ok == !frames[_i].why, "row %d, step %zu: %s", _i, step, err.text);
		ck_assert_msg(
			ok || strstr(err.text, frames[_i].why), "row %d, step %zu: %s", _i, step, err.text);
	}
}
END_TEST

/* Before it is ready a broker may send so much, after that any amount. */
START_TEST(test_frames_flood)
{
	struct bus_guard g = { .begun = false };
	struct err err;
	size_t sent = 0, one = sizeof(START) - 1;

	for (; sent + one <= BUS_GUARD_SETUP_MAX; sent += one)
		ck_assert(bus_guard_feed(&g, START, one, &err));
	g.ready = true;
	for (size_t i = 0; i < 100; i++)
		ck_assert(bus_guard_feed(&g, START, one, &err));
	g = (struct bus_guard){ .total = sent, .begun = true };
	ck_assert(!bus_guard_feed(&g, START, one, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "more than was asked"));
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_bus(void);
Suite *suite_bus(void)
{
	Suite *s = suite_create("bus");
	TCase *t = tcase_create("bus");

	tcase_add_loop_test(t, test_destination, 0, COUNT(destinations));
	tcase_add_test(t, test_destination_is_quick);
	tcase_add_loop_test(t, test_event, 0, COUNT(events));
	tcase_add_test(t, test_event_bounds);
	tcase_add_loop_test(t, test_address, 0, COUNT(addresses));
	tcase_add_loop_test(t, test_frames, 0, COUNT(frames));
	tcase_add_test(t, test_frames_flood);
	suite_add_tcase(s, t);
	return s;
}
