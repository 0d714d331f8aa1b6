/* attach/container: what of the engine's answer counts, who opts in, and the packed form that goes to the proxy. */
#include "attach/container.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char whole[] =
	"{\"Id\":\"" ID "\",\"Name\":\"/shop_quotes.1.x\",\"Path\":\"/handler\",\"State\":{\"Status\":\"running\",\"Pid\":7},"
	"\"Config\":{\"Image\":\"quotes:1\",\"Hostname\":\"h\",\"Env\":[\"OUTRIDER_PORT=8080\",\"A=b=c\",\"EMPTY=\",\"NONE\",\"OUTRIDER_PORT=9\"],"
	"\"Labels\":{\"com.docker.swarm.service.name\":\"shop_quotes\",\"outrider.mode\":\"observe\"}},"
	"\"HostConfig\":{\"NetworkMode\":\"shop\"},\"NetworkSettings\":{\"SandboxKey\":\"/var/run/docker/netns/1a2b3c4d5e6f\","
	"\"Networks\":{\"outrider\":{\"IPAddress\":\"10.0.1.7\",\"GlobalIPv6Address\":\"\"}}}}";

static bool is(struct str s, const char *z)
{
	return str_eq(s, str_of(z));
}

static void check_whole(const struct container *c)
{
	ck_assert(is(c->id, ID) && is(c->name, "shop_quotes.1.x") && is(c->image, "quotes:1") && is(c->entry, "/handler"));
	ck_assert(is(c->sandbox, "1a2b3c4d5e6f") && is(c->network_mode, "shop") && c->state == CONTAINER_RUNNING);
	ck_assert(is(container_env(c, "A"), "b=c") && is(container_env(c, "EMPTY"), ""));
	ck_assert(is(container_env(c, "OUTRIDER_PORT"), "9")); /* of two equal ones the last */
	ck_assert_ptr_null(container_env(c, "NONE").p);
	ck_assert(is(container_label(c, "outrider.mode"), "observe"));
	ck_assert_uint_eq(c->n_networks, 1);
	ck_assert(is(c->networks[0].name, "outrider") && is(c->networks[0].address, "10.0.1.7"));
}

START_TEST(what_counts_is_read)
{
	struct container c;
	struct err err;
	ck_assert_msg(container_read(&c, str_of(whole), &err), "%s", err.text);
	check_whole(&c);
	container_release(&c);
}
END_TEST

START_TEST(packed_and_unpacked_it_is_the_same)
{
	struct container c, d;
	struct err err;
	struct text t;
	ck_assert(container_read(&c, str_of(whole), &err));
	text_init(&t, CONTAINER_BYTES_MAX * 2);
	container_pack(&c, &t);
	container_release(&c);
	ck_assert(!t.failed);
	ck_assert_msg(container_unpack(&d, text_str(&t), &err), "%s", err.text);
	check_whole(&d);
	container_release(&d);
	for (size_t n = 0; n < t.n; n++) { /* cut anywhere: refused, or a part, but nothing breaks */
		if (container_unpack(&d, str_make(t.p, n), &err))
			container_release(&d);
	}
	text_release(&t);
}
END_TEST

static const char *const bad[] = {
	"", "null", "[]", "{}", "{\"Id\":7}", "{\"Id\":\"xyz\"}", "{\"Id\":\"" ID "0\"}", "{\"Id\":\"" ID, "{\"Id\":\"0123\"}",
};

START_TEST(what_is_no_container)
{
	struct container c;
	struct err err = { "" };
	ck_assert(!container_read(&c, str_of(bad[_i]), &err));
	ck_assert(err.text[0]);
}
END_TEST

/* Labels and the output of health checks are strangers' texts: a NUL in them spoils nothing else. A backslash before u0000 is two letters. */
START_TEST(a_nul_spoils_its_own_text)
{
	static const char body[] =
		"{\"Id\":\"" ID
		"\",\"State\":{\"Status\":\"running\",\"Health\":{\"Log\":[{\"Output\":\"\\u0000\"}]}},"
		"\"Config\":{\"Labels\":{\"a\":\"x\\u0000y\\u0000\",\"b\\u0000\":\"\\\\u0000\",\"outrider."
		"port\":\"80\"}}}";
	struct container c;
	struct err err = { "" };

	ck_assert_msg(container_read(&c, str_of(body), &err), "%s", err.text);
	ck_assert(is(container_label(&c, "a"), "x\xef\xbf\xbdy\xef\xbf\xbd"));
	ck_assert(is(container_label(&c, "b\xef\xbf\xbd"), "\\u0000"));
	ck_assert(is(container_label(&c, "outrider.port"), "80") && c.state == CONTAINER_RUNNING);
	container_release(&c);
}
END_TEST

START_TEST(the_first_networks_are_taken)
{
	char body[64 * 1024];
	struct container c;
	struct err err = { "" };
	size_t n = (size_t)snprintf(
		body, sizeof(body), "{\"Id\":\"" ID "\",\"NetworkSettings\":{\"Networks\":{");

	for (unsigned i = 0; i < CONTAINER_NETWORKS_MAX + 7; i++)
		n += (size_t)snprintf(body + n, sizeof(body) - n, "%s\"n%u\":{\"IPAddress\":\"10.0.0.%u\"}",
			i ? "," : "", i, i);
	snprintf(body + n, sizeof(body) - n, "}}}");
	ck_assert_msg(container_read(&c, str_of(body), &err), "%s", err.text);
	ck_assert_uint_eq(c.n_networks, CONTAINER_NETWORKS_MAX);
	ck_assert(is(c.networks[CONTAINER_NETWORKS_MAX - 1].name, "n63"));
	container_release(&c);
}
END_TEST

/* A path out of the folder, or a name that the engine never gives, is no namespace. */
START_TEST(names_of_namespaces)
{
	static const struct {
		const char *key, *name;
	} rows[] = { { "/run/docker/netns/0a1b", "0a1b" }, { "/run/docker/netns/default", "default" }, { "/run/docker/netns/..", "" },
		{ "/etc/passwd", "" }, { "/run/docker/netns/0a1b/", "" }, { "", "" },
		{ "/run/docker/netns/0123456789abcdef0123456789abcdef0", "" } };
	char body[512];
	struct container c;
	struct err err;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(body, sizeof(body), "{\"Id\":\"" ID "\",\"NetworkSettings\":{\"SandboxKey\":\"%s\"}}", rows[i].key);
		ck_assert(container_read(&c, str_of(body), &err));
		ck_assert_msg(is(c.sandbox, rows[i].name), "%s", rows[i].key);
		container_release(&c);
	}
}
END_TEST

static const struct {
	const char *env, *labels, *mode, *path;
	bool all, in, why;
} opting[] = {
	{ "", "", "shop", "/app", false, false, false },
	{ "\"OUTRIDER_PORT=80\"", "", "shop", "/app", false, true, false },
	{ "", "\"outrider.port\":\"80\"", "shop", "/app", false, true, false },
	{ "", "\"outrider.enable\":\"true\"", "shop", "/app", false, true, false },
	{ "", "\"outrider.enable\":\"True\"", "shop", "/app", false, true, false },
	{ "\"OUTRIDER_PORT=80\"", "\"outrider.enable\":\"false\"", "shop", "/app", false, false, false },
	{ "\"OUTRIDER_PORT=80\"", "\"outrider.enable\":\"Off\"", "shop", "/app", false, false, false },
	{ "", "\"outrider.enable\":\"on\"", "shop", "/app", false, true, false },
	{ "\"OUTRIDER_PORT=80\"", "\"outrider.enable\":\"no\"", "shop", "/app", false, false, true },
	{ "", "\"outrider.enable\":\"1\"", "shop", "/app", false, false, true },
	{ "", "\"outrider.enable\":\"\"", "shop", "/app", true, false, true },
	{ "\"OUTRIDER_ENABLE=true\"", "", "shop", "/app", false, true, false },
	{ "\"OUTRIDER_ENABLE=true\"", "\"outrider.enable\":\"false\"", "shop", "/app", false, false, false },
	{ "\"OUTRIDER_PORT=80\",\"OUTRIDER_ENABLE=nein\"", "\"outrider.enable\":\"true\"", "shop", "/app", false, false, true },
	{ "", "", "shop", "/app", true, true, false },
	{ "", "\"outrider.enable\":\"false\"", "shop", "/app", true, false, false },
	{ "\"OUTRIDER_PORT=80\"", "", "host", "/app", false, false, true },
	{ "\"OUTRIDER_PORT=80\"", "", "none", "/app", false, false, true },
	{ "\"OUTRIDER_PORT=80\"", "", "container:1234", "/app", false, false, true },
	{ "\"OUTRIDER_PORT=80\"", "", "shop", "/usr/bin/outrider", false, false, true },
	{ "\"OUTRIDER_PORT=80\"", "", "shop", "outrider", false, false, true },
	{ "\"OUTRIDER_PORT=80\"", "", "shop", "/my-outrider", false, true, false },
};

START_TEST(who_opts_in)
{
	char body[1024];
	struct container c;
	struct err err;
	const char *why = "";
	snprintf(body, sizeof(body),
		"{\"Id\":\"" ID "\",\"Path\":\"%s\",\"Config\":{\"Env\":[%s],\"Labels\":{%s}},\"HostConfig\":{\"NetworkMode\":\"%s\"}}",
		opting[_i].path, opting[_i].env, opting[_i].labels, opting[_i].mode);
	ck_assert(container_read(&c, str_of(body), &err));
	ck_assert_int_eq(container_opts_in(&c, &(struct container_rule){ .all = opting[_i].all }, &why), opting[_i].in);
	ck_assert_int_eq(why != NULL, opting[_i].why);
	container_release(&c);
}
END_TEST

/* A container of stack shop, on networks front and back. */
static const struct {
	const char *labels, *state, *stacks, *networks;
	bool all, in, why;
} ruled[] = {
	{ "\"outrider.port\":\"80\"", "running", "", "", false, true, false },
	{ "\"outrider.port\":\"80\"", "running", "other, shop", "", false, true, false },
	{ "\"outrider.port\":\"80\"", "running", "shops", "", false, false, true },
	{ "\"outrider.port\":\"80\"", "running", "", "none,back", false, true, false },
	{ "\"outrider.port\":\"80\"", "running", "shop", "none", false, false, true },
	{ "\"outrider.port\":\"80\"", "created", "shop", "none", false, false, false }, /* it may yet join */
	{ "\"a\":\"b\"", "running", "shop", "front", true, true, false },
	{ "\"a\":\"b\"", "running", "other", "", true, false, false }, /* it did not ask */
	{ "\"a\":\"b\"", "running", "shop", "front", false, false, false },
};

START_TEST(whom_the_operator_lets)
{
	char body[1024];
	struct container c;
	struct err err;
	const char *why = "";
	snprintf(body, sizeof(body),
		"{\"Id\":\"" ID "\",\"State\":{\"Status\":\"%s\"},\"Config\":{\"Labels\":{%s,\"com.docker.stack.namespace\":\"shop\"}},"
		"\"NetworkSettings\":{\"Networks\":{\"front\":{},\"back\":{}}}}",
		ruled[_i].state, ruled[_i].labels);
	ck_assert(container_read(&c, str_of(body), &err));
	const struct container_rule rule = { ruled[_i].all, str_of(ruled[_i].stacks), str_of(ruled[_i].networks) };
	ck_assert_int_eq(container_opts_in(&c, &rule, &why), ruled[_i].in);
	ck_assert_int_eq(why != NULL, ruled[_i].why);
	container_release(&c);
}
END_TEST

Suite *suite_attach_container(void);
Suite *suite_attach_container(void)
{
	Suite *s = suite_create("attach_container");
	TCase *t = tcase_create("container");
	tcase_add_test(t, what_counts_is_read);
	tcase_add_test(t, packed_and_unpacked_it_is_the_same);
	tcase_add_loop_test(t, what_is_no_container, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(t, a_nul_spoils_its_own_text);
	tcase_add_test(t, the_first_networks_are_taken);
	tcase_add_test(t, names_of_namespaces);
	tcase_add_loop_test(t, who_opts_in, 0, sizeof(opting) / sizeof(opting[0]));
	tcase_add_loop_test(t, whom_the_operator_lets, 0, sizeof(ruled) / sizeof(ruled[0]));
	suite_add_tcase(s, t);
	return s;
}
