/* Discovery without a peer: a file that is not there knows nothing. */
#include "options_help.h"

#include "control/discovery.h"
#include "net/loop.h"

#include <stdio.h>

static void on_changed(void *arg, struct str service)
{
	(void)arg;
	(void)service;
}

static void on_trouble(void *arg, const char *registry, const char *why)
{
	(void)arg;
	(void)registry;
	(void)why;
}

/* Whoever calls 4140 makes up names; after all of those a service is still found. */
START_TEST(names_that_nobody_knows_take_no_place_for_ever)
{
	struct err err = { "" };
	struct options *o = from_flags("--service=a --registry=file:/nonexistent/services.yml");
	struct loop *loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	check_good(o, COMMAND_SIDECAR);
	struct discovery_config c = { .loop = loop, .options = o, .changed = on_changed, .unknown = on_changed, .trouble = on_trouble };
	struct discovery *d = discovery_open(&c, &err);
	ck_assert_msg(d != NULL, "%s", err.text);
	for (unsigned i = 0; i < REGISTRY_SERVICES_MAX + 100; i++) {
		char name[32];
		int n = snprintf(name, sizeof(name), "name-%u", i);
		ck_assert_msg(discovery_want(d, str_make(name, (size_t)n), STR(""), true), "%s", name);
	}
	ck_assert_uint_eq(discovery_view(d, 0).services, REGISTRY_SERVICES_MAX);
	discovery_close(d);
	options_free(o);
	loop_free(loop);
}
END_TEST

Suite *suite_discovery(void)
{
	Suite *s = suite_create("discovery");
	TCase *t = tcase_create("discovery");

	tcase_add_test(t, names_that_nobody_knows_take_no_place_for_ever);
	suite_add_tcase(s, t);
	return s;
}
