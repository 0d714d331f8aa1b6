/* proxy/route: authorities of the outbound port, hosts and paths of the edge; without sockets. */
#include "proxy/client.h"
#include "proxy/steps.h"
#include "proxy/worker.h"

#include <check.h>
#include <stdlib.h>

static struct loop *control;
static struct worker *worker;

static void released(void *arg, unsigned index, struct spec_sidecar *spec)
{
	(void)arg;
	(void)index;
	(void)spec;
}

static void setup(void)
{
	struct err err;
	control = loop_new(&err);
	ck_assert_ptr_nonnull(control);
	struct worker_config cfg = { .buffers_max = 1u << 20, .max_sidecars = 1, .max_upstreams = 16, .max_endpoints = 16,
				     .control = control, .released = released };
	worker = worker_new(&cfg, &err);
	ck_assert_msg(worker != NULL, "%s", err.text);
}

static void teardown(void)
{
	worker_free(worker);
	loop_free(control);
}

static struct spec_endpoint quote_endpoints[1];
static struct spec_upstream quotes = { .name = { "quotes-service", 14 }, .kind = UPSTREAM_SERVICE, .slot = 10,
				       .endpoints = quote_endpoints, .n_endpoints = 1 };
static struct spec_upstream local_up = { .name = { "local", 5 }, .kind = UPSTREAM_LOCAL, .slot = 11 };
static struct spec_upstream external_up = { .name = { "external", 8 }, .kind = UPSTREAM_EXTERNAL, .slot = 12 };
static struct spec_upstream *const known[] = { &quotes };
static const uint16_t agent_ports[] = { 4140, 4143, 4191 };
static struct str allowed[] = { { "api.example.org", 15 }, { "*.partner.net", 13 } };

static const struct {
	const char *authority;
	enum egress egress;
	const char *upstream; /* NULL: refused */
	enum reason why;
} authority_rows[] = {
	{ "quotes-service", EGRESS_DENY, "quotes-service", REASON_NONE },
	{ "Quotes-Service:8080", EGRESS_DENY, "quotes-service", REASON_NONE },
	{ "quotes-service.", EGRESS_DENY, "quotes-service", REASON_NONE },
	{ "10.0.0.5:8080", EGRESS_DENY, "quotes-service", REASON_NONE },
	{ "10.0.0.5:8081", EGRESS_ALLOW, "external", REASON_NONE },
	{ "localhost:8080", EGRESS_DENY, "local", REASON_NONE },
	{ "127.0.0.1:8080", EGRESS_DENY, "local", REASON_NONE },
	{ "127.9.9.9:8080", EGRESS_DENY, "local", REASON_NONE },
	{ "[::1]:8080", EGRESS_DENY, "local", REASON_NONE },
	{ "0.0.0.0:8080", EGRESS_DENY, "local", REASON_NONE },
	{ "localhost:4191", EGRESS_ALLOW, NULL, REASON_OWN_PORT },
	{ "127.0.0.1:4191", EGRESS_ALLOW, NULL, REASON_OWN_PORT },
	{ "[::1]:4191", EGRESS_ALLOW, NULL, REASON_OWN_PORT },
	{ "[::ffff:127.0.0.1]:4191", EGRESS_ALLOW, NULL, REASON_OWN_PORT },
	{ "0.0.0.0:4140", EGRESS_ALLOW, NULL, REASON_OWN_PORT },
	{ "127.0.0.1:4143", EGRESS_ALLOW, NULL, REASON_OWN_PORT },
	{ "example.com", EGRESS_ALLOW, "external", REASON_NONE },
	{ "example.com", EGRESS_DENY, NULL, REASON_EGRESS_DENIED },
	{ "api.example.org:443", EGRESS_LIST, "external", REASON_NONE },
	{ "API.example.ORG", EGRESS_LIST, "external", REASON_NONE },
	{ "a.partner.net", EGRESS_LIST, "external", REASON_NONE },
	{ "partner.net", EGRESS_LIST, NULL, REASON_EGRESS_DENIED },
	{ "evilpartner.net", EGRESS_LIST, NULL, REASON_EGRESS_DENIED },
	{ "169.254.169.254", EGRESS_ALLOW, NULL, REASON_EGRESS_DENIED },
	{ "[fe80::1]", EGRESS_ALLOW, NULL, REASON_EGRESS_DENIED },
	{ "", EGRESS_ALLOW, NULL, REASON_BAD_HOST },
	{ "a b", EGRESS_ALLOW, NULL, REASON_BAD_HOST },
};

static struct exchange *route(struct spec_sidecar *spec, enum listener_kind kind, const char *authority, const char *path)
{
	static struct exchange x;
	static struct wspec ws;
	static struct wlistener l;
	static struct client c;
	memset(&x, 0, sizeof(x));
	ws.spec = spec;
	l.kind = (uint8_t)kind;
	x.w = worker;
	x.wspec = &ws;
	x.l = &l;
	x.c = &c;
	x.req.authority = str_of(authority);
	x.req.path = str_of(path);
	arena_init(&x.arena, 65536, x.arena_mem, sizeof(x.arena_mem));
	x.reason = (uint16_t)route_find(&x);
	return &x;
}

START_TEST(authority_rules)
{
	struct err err;
	struct spec_sidecar spec = { .egress = (uint8_t)authority_rows[_i].egress, .local = &local_up, .external = &external_up,
				     .upstreams = (struct spec_upstream **)(uintptr_t)known, .n_upstreams = 1,
				     .agent_ports = (uint16_t *)(uintptr_t)agent_ports, .n_agent_ports = 3,
				     .egress_list = allowed, .n_egress_list = 2 };
	ck_assert(addr_parse(STR("10.0.0.5:8080"), &quote_endpoints[0].addr, &err));
	struct exchange *x = route(&spec, LISTEN_OUTBOUND, authority_rows[_i].authority, "/");
	ck_assert_msg(x->reason == authority_rows[_i].why, "%s: %s", authority_rows[_i].authority,
		      reason_word((enum reason)x->reason));
	if (authority_rows[_i].upstream)
		ck_assert_msg(str_eq(x->upstream->name, str_of(authority_rows[_i].upstream)), "%s", authority_rows[_i].authority);
}
END_TEST

static struct spec_route edge_routes[] = {
	{ .host = { "*.shop.example", 14 }, .prefix = { "/", 1 }, .rewrite = { "/shop/", 6 }, .upstream = &external_up },
	{ .prefix = { "/accounts/old", 13 }, .rewrite = { "/v1", 3 }, .upstream = &quotes },
	{ .prefix = { "/accounts", 9 }, .strip = true, .upstream = &quotes },
	{ .prefix = { "/quotes/", 8 }, .upstream = &quotes },
};

static const struct {
	const char *host, *path, *forwarded; /* NULL: no route */
	enum reason why;
} edge_rows[] = {
	{ "x", "/accounts", "/", REASON_NONE },
	{ "x", "/accounts/7?a=b", "/7?a=b", REASON_NONE },
	{ "x", "/accounts?a=b", "/?a=b", REASON_NONE },
	{ "x", "/accountsx", NULL, REASON_NO_ROUTE },
	{ "x", "/accounts/old", "/v1", REASON_NONE },
	{ "x", "/accounts/old/7", "/v1/7", REASON_NONE },
	{ "x", "/accounts/./old/7", "/v1/7", REASON_NONE },
	{ "x", "/quotes/1", "/quotes/1", REASON_NONE },
	{ "x", "/quotes", NULL, REASON_NO_ROUTE },
	{ "x", "/quotes/../accounts/7", "/7", REASON_NONE },
	{ "x", "/quotes/%2e%2e/accounts/7", "/7", REASON_NONE },
	{ "x", "/quotes/..%2faccounts", NULL, REASON_BAD_PATH },
	{ "x", "/../etc", NULL, REASON_BAD_PATH },
	{ "a.shop.example", "/list", "/shop/list", REASON_NONE },
	{ "shop.example", "/list", NULL, REASON_NO_ROUTE },
};

START_TEST(edge_routes_by_host_and_whole_segments)
{
	struct spec_sidecar spec = { .routes = edge_routes, .n_routes = 4 };
	struct exchange *x = route(&spec, LISTEN_EDGE, edge_rows[_i].host, edge_rows[_i].path);
	ck_assert_msg(x->reason == edge_rows[_i].why, "%s: %s", edge_rows[_i].path, reason_word((enum reason)x->reason));
	if (edge_rows[_i].forwarded)
		ck_assert_msg(str_eq(x->path, str_of(edge_rows[_i].forwarded)), "%s became %.*s", edge_rows[_i].path,
			      STR_ARG(x->path));
	arena_release(&x->arena);
}
END_TEST

Suite *suite_proxy_route(void);
Suite *suite_proxy_route(void)
{
	Suite *s = suite_create("proxy_route");
	TCase *t = tcase_create("route");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, authority_rules, 0, sizeof(authority_rows) / sizeof(authority_rows[0]));
	tcase_add_loop_test(t, edge_routes_by_host_and_whole_segments, 0, sizeof(edge_rows) / sizeof(edge_rows[0]));
	suite_add_tcase(s, t);
	return s;
}
