/* Sources over the network, opened and closed without a peer: nothing is said inside open(), no allocation that fails does
 * harm, and an address that makes no sense says why without its credentials. */
#include "base/mem.h"
#include "plugin.h"

#include <check.h>

extern const struct source_ops source_consul, source_redis, source_rediss;

static const struct {
	const struct source_ops *ops;
	const char *address;
} sources[] = {
	{ &source_redis, "127.0.0.1:1|//user:secret@[::1]:1/3" },
	{ &source_rediss, "127.0.0.1:1" },
	{ &source_consul, "http://127.0.0.1:1|https://[::1]:1/proxy/|127.0.0.1" },
};

static unsigned said;

static void on_values(void *arg, const struct source_property *at, size_t n)
{
	(void)arg;
	(void)at;
	(void)n;
	said++;
}

static void on_trouble(void *arg, const char *why)
{
	(void)arg;
	(void)why;
	said++;
}

static struct str setting(const void *of, const char *plugin, const char *name)
{
	(void)of;
	(void)plugin;
	return strcmp(name, "ca") == 0       ? STR("/nowhere/ca.pem")
	       : strcmp(name, "prefix") == 0 ? STR("config")
					     : STR("s3cret");
}

static struct source *open_one(struct loop *l, struct resolver *r, const struct source_ops *ops,
	const char *address, struct err *err)
{
	static const struct source_events events = { on_values, on_trouble };
	struct source_config c = {
		.loop = l,
		.resolver = r,
		.address = str_of(address),
		.service = STR("shop"),
		.profiles = STR("test,eu"),
		.poll = USEC_SEC,
		.settings = { setting, NULL },
	};
	said = 0;
	struct source *s = ops->open(&c, &events, NULL, err);
	ck_assert_uint_eq(said, 0);
	return s;
}

START_TEST(open_and_close)
{
	struct err err = { .text = "" };
	struct loop *l = loop_new(&err);
	struct resolver *r = resolver_new(l, NULL, &err);
	struct source *s = open_one(l, r, sources[_i].ops, sources[_i].address, &err);

	ck_assert_msg(s, "%s", err.text);
	for (usec end = clock_now() + 5 * USEC_SEC; said == 0 && clock_now() < end;)
		loop_turn(l, false);
	ck_assert_uint_eq(said, 1); /* nobody listens there */
	sources[_i].ops->refresh(s);
	loop_turn(l, false);
	sources[_i].ops->close(s);
	sources[_i].ops->close(NULL);
	resolver_free(r);
	loop_free(l);
}
END_TEST

START_TEST(allocations_fail)
{
	struct err err = { .text = "" };
	struct loop *l = loop_new(&err);
	struct resolver *r = resolver_new(l, NULL, &err);
	const struct source_ops *ops = sources[_i].ops;

	mem_fail_at(0);
	struct source *s = open_one(l, r, ops, sources[_i].address, &err);
	unsigned long n = mem_count();
	ops->close(s);
	for (unsigned long k = 1; k <= n; k++) {
		err.text[0] = '\0';
		mem_fail_at(k);
		s = open_one(l, r, ops, sources[_i].address, &err);
		mem_fail_at(0);
		ck_assert_msg(s || strstr(err.text, "memory"), "%lu of %lu: '%s'", k, n, err.text);
		ops->close(s);
	}
	/* And what comes later: the first turns, with each of their allocations failing. */
	for (unsigned long k = 1; k <= 40; k++) {
		s = open_one(l, r, ops, sources[_i].address, &err);
		ck_assert(s);
		mem_fail_at(k);
		for (unsigned i = 0; i < 20; i++) {
			loop_skip(l, 10 * USEC_MS);
			loop_turn(l, false);
		}
		mem_fail_at(0);
		ops->close(s);
	}
	resolver_free(r);
	loop_free(l);
}
END_TEST

static const struct {
	const struct source_ops *ops;
	const char *address, *why;
} wrong[] = {
	{ &source_redis, "", "HOST:PORT" },
	{ &source_redis, "h:0", "port" },
	{ &source_redis, "u:secret@h:1/x", "database" },
	{ &source_redis, "a|b|c|d|e", "more than 4" },
	{ &source_consul, "", "http://HOST:PORT" },
	{ &source_consul, "http://", "http://HOST:PORT" },
	{ &source_consul, "http://u:secret@h:1", "outrider.consul.token" },
	{ &source_consul, "http://h/?dc=x", "'?'" },
	{ &source_consul, "http://h o", "blanks" },
};

START_TEST(wrong_addresses)
{
	struct err err = { .text = "" };
	struct loop *l = loop_new(&err);
	struct resolver *r = resolver_new(l, NULL, &err);

	ck_assert(!open_one(l, r, wrong[_i].ops, wrong[_i].address, &err));
	ck_assert_msg(strstr(err.text, wrong[_i].why) && !strstr(err.text, "secret"), "'%s'", err.text);
	resolver_free(r);
	loop_free(l);
}
END_TEST

Suite *suite_net_sources(void);
Suite *suite_net_sources(void)
{
	Suite *s = suite_create("net_sources");
	TCase *c = tcase_create("open");
	int n = (int)(sizeof(sources) / sizeof(sources[0]));
	tcase_set_timeout(c, 30);
	tcase_add_loop_test(c, open_and_close, 0, n);
	tcase_add_loop_test(c, allocations_fail, 0, n);
	tcase_add_loop_test(c, wrong_addresses, 0, sizeof(wrong) / sizeof(wrong[0]));
	suite_add_tcase(s, c);
	return s;
}
