/* Options to spec. */
#include "options_help.h"

#include <stdio.h>

struct made {
	struct options *o;
	struct slots *slots;
	struct spec_sidecar *s;
};

static struct made make_with(const char *flags, enum command cmd, struct slots *slots, const struct spec_sidecar *previous)
{
	struct made m = { from_flags(flags), slots, NULL };
	struct err err = { "" };
	struct addr own[1];

	ck_assert(addr_parse(STR("10.0.0.9:0"), &own[0], &err));
	if (!m.slots)
		m.slots = slots_new(&err);
	ck_assert_ptr_nonnull(m.slots);
	check_good(m.o, cmd);
	struct build_request q = {
		.options = m.o, .command = cmd, .slots = m.slots, .own = own, .n_own = 1, .previous = previous
	};
	m.s = build_spec(&q, &err);
	ck_assert_msg(m.s != NULL, "%s", err.text);
	options_free(m.o); /* the spec borrows nothing */
	m.o = NULL;
	return m;
}

static struct made make(const char *flags, enum command cmd)
{
	return make_with(flags, cmd, NULL, NULL);
}

static void unmake(struct made *m)
{
	build_unref(m->s);
	slots_free(m->slots);
}

static void ck_listener(const struct spec_sidecar *s, uint32_t i, enum listener_kind kind, const char *text,
			const char *upstream, bool optional)
{
	ck_assert_uint_lt(i, s->n_listeners);
	ck_assert_uint_eq(s->listeners[i].kind, kind);
	ck_assert_str_eq(s->listeners[i].text, text);
	ck_assert(s->listeners[i].optional == optional);
	if (upstream)
		ck_str(s->listeners[i].upstream->name, upstream);
	else
		ck_assert_ptr_null(s->listeners[i].upstream);
}

START_TEST(a_sidecar_by_default)
{
	struct made m = make("--service=Account --port=6767", COMMAND_SIDECAR);
	const struct spec_sidecar *s = m.s;

	ck_str(s->service, "account");
	ck_assert(!s->is_edge);
	ck_assert_uint_eq(s->refs, 1);
	ck_assert_uint_eq(s->version, 1);
	ck_assert_uint_eq(s->n_listeners, 3);
	ck_listener(s, 0, LISTEN_INBOUND, "0.0.0.0:4143", "handler", false);
	ck_listener(s, 1, LISTEN_OUTBOUND, "127.0.0.1:4140", NULL, false);
	ck_listener(s, 2, LISTEN_OUTBOUND, "[::1]:4140", NULL, true);
	ck_assert_uint_eq(s->handler->port, 6767);
	ck_assert_uint_eq(s->handler->handler.len, 0);
	ck_assert_uint_eq(s->n_agent_ports, 3);
	ck_assert_uint_eq(s->limits.h1.head, 65536);
	ck_assert_uint_eq(s->limits.h1.line, 32768);
	ck_assert_uint_eq(s->limits.h1.fields, 256);
	ck_assert_uint_eq(s->limits.body + s->limits.connections + s->limits.requests, 0);
	ck_assert_uint_eq(s->times.head, 60 * USEC_SEC);
	ck_assert_uint_eq(s->times.idle, 600 * USEC_SEC);
	ck_assert_uint_eq(s->external->policy.stall + s->external->policy.tunnel_idle, 0);
	ck_assert_uint_eq(s->forward.set, 31);
	ck_assert_uint_eq(s->forward.n_trusted, 8);
	ck_assert_uint_eq(s->forward.via.n, 9 + 16);
	ck_assert_uint_eq(s->egress, EGRESS_ALLOW);
	ck_assert_uint_eq(s->n_own, 1);
	ck_assert_uint_eq(s->local->kind, UPSTREAM_LOCAL);
	ck_assert_uint_eq(s->external->kind, UPSTREAM_EXTERNAL);
	ck_assert_uint_eq(s->external->policy.connect_timeout, 5 * USEC_SEC);
	ck_assert_uint_eq(s->external->policy.max_idle, 128);
	ck_assert(s->external->policy.retry_safe);
	ck_assert_uint_ne(s->local->slot, s->external->slot);
	unmake(&m);
}
END_TEST

START_TEST(outbound_only)
{
	struct made m = make("--outbound=[::1]:7,127.0.0.1:7 --egress=list --egress-list=API.example.org,*.x.org "
			     "--trusted-peers=none --forward.via=off --mode=off --workers=2 --limit.connections=5", COMMAND_SIDECAR);
	const struct spec_sidecar *s = m.s;

	ck_assert_ptr_null(s->handler);
	ck_assert_uint_eq(s->n_listeners, 2);
	ck_listener(s, 0, LISTEN_OUTBOUND, "[::1]:7", NULL, false); /* was asked for, so it must open */
	ck_assert_uint_eq(s->egress, EGRESS_LIST);
	ck_assert_uint_eq(s->n_egress_list, 2);
	ck_str(s->egress_list[0], "api.example.org");
	ck_assert_uint_eq(s->forward.n_trusted, 0);
	ck_assert_uint_eq(s->forward.set, 15);
	ck_assert_uint_eq(s->mode, MODE_OFF);
	ck_assert_uint_eq(s->external->mode, MODE_OFF);
	ck_assert_uint_eq(s->limits.connections, 3);
	unmake(&m);
}
END_TEST

START_TEST(handlers)
{
	struct made a = make("--service=a --port=unix:@app", COMMAND_SIDECAR);
	struct made b = make("--service=a --port=127.0.0.1:81", COMMAND_SIDECAR);

	ck_assert_uint_eq(a.s->handler->handler.sa.sa_family, AF_UNIX);
	ck_assert_uint_eq(a.s->handler->port, 0);
	ck_assert_uint_eq(b.s->handler->handler.sa.sa_family, AF_INET);
	ck_assert_uint_eq(b.s->handler->port, 81);
	unmake(&a);
	unmake(&b);
}
END_TEST

START_TEST(upstreams_and_pins)
{
	struct made m = make("--upstreams=Quotes:8081@127.0.4.1:8080,image:9002,tcp://db:5432@127.0.4.2:5432 "
			     "--upstream.image.endpoints=10.0.0.1:80,10.0.0.2:80,10.0.0.1:80 --upstream.image.mode=observe "
			     "--upstream.image.timeout.connect=1s --timeout.connect=2s --upstream.db.port=1 "
			     "--outbound=127.0.0.1:4140", COMMAND_SIDECAR);
	const struct spec_sidecar *s = m.s;
	const struct spec_upstream *image = spec_find_upstream(s, STR("IMAGE."));

	ck_assert_uint_eq(s->n_upstreams, 3);
	ck_str(s->upstreams[0]->name, "db");
	ck_str(s->upstreams[1]->name, "image");
	ck_str(s->upstreams[2]->name, "quotes");
	ck_assert_ptr_eq(image, s->upstreams[1]);
	ck_assert_ptr_null(spec_find_upstream(s, STR("imag")));
	ck_assert_ptr_null(spec_find_upstream(s, STR("")));
	ck_listener(s, 1, LISTEN_PINNED, "127.0.4.1:8080", "quotes", false);
	ck_listener(s, 2, LISTEN_PINNED, "127.0.0.1:9002", "image", false);
	ck_listener(s, 3, LISTEN_PINNED_TCP, "127.0.4.2:5432", "db", false);
	ck_assert_uint_eq(s->upstreams[2]->port, 8081);
	ck_assert_uint_eq(s->upstreams[0]->port, 5432); /* what the pin says is nearer than the option */
	ck_assert_uint_eq(image->n_endpoints, 2);
	ck_assert_str_eq(image->endpoints[1].text, "10.0.0.2:80");
	ck_assert_uint_ne(image->endpoints[0].slot, image->endpoints[1].slot);
	ck_assert_uint_eq(image->mode, MODE_OBSERVE);
	ck_assert_uint_eq(s->upstreams[2]->mode, MODE_ON);
	ck_assert_uint_eq(image->policy.connect_timeout, USEC_SEC);
	ck_assert_uint_eq(s->upstreams[2]->policy.connect_timeout, 2 * USEC_SEC);
	ck_assert_uint_eq(s->n_agent_ports, 2); /* 4140 and 4191 */
	unmake(&m);
}
END_TEST

START_TEST(a_service_may_be_called_external)
{
	struct made m = make("--upstreams=external:9001,local:9002", COMMAND_SIDECAR);

	ck_assert_uint_ne(m.s->external->slot, m.s->upstreams[0]->slot);
	ck_assert_uint_ne(m.s->local->slot, m.s->upstreams[1]->slot);
	unmake(&m);
}
END_TEST

START_TEST(routes_in_order)
{
	struct made m = make("--route.root.upstream=web --route.api.upstream=api --route.api.prefix=/api/ --route.api.strip "
			     "--route.v1.upstream=api --route.v1.prefix=/api/v1 --route.v1.rewrite=/ "
			     "--route.host.upstream=shop --route.host.host=Shop.example.org "
			     "--route.wild.upstream=shop --route.wild.host=*.example.org", COMMAND_EDGE);
	static const char *const order[] = { "host", "wild", "v1", "api", "root" };
	const struct spec_sidecar *s = m.s;

	ck_assert(s->is_edge);
	ck_str(s->service, "edge");
	ck_assert_uint_eq(s->n_listeners, 1);
	ck_listener(s, 0, LISTEN_EDGE, "0.0.0.0:8080", NULL, false);
	ck_assert_uint_eq(s->forward.n_trusted, 0);
	ck_assert_uint_eq(s->n_routes, 5);
	for (size_t i = 0; i < ROWS(order); i++)
		ck_str(s->routes[i].name, order[i]);
	ck_str(s->routes[0].host, "shop.example.org");
	ck_str(s->routes[3].prefix, "/api");
	ck_assert(s->routes[3].strip && !s->routes[2].strip);
	ck_str(s->routes[2].rewrite, "/");
	ck_str(s->routes[4].prefix, "/");
	ck_str(s->routes[4].upstream->name, "web");
	ck_assert_ptr_eq(s->routes[2].upstream, s->routes[3].upstream);
	ck_assert_uint_eq(s->routes[4].upstream->n_endpoints, 0);
	unmake(&m);
}
END_TEST

START_TEST(unchanged_upstreams_are_shared)
{
	struct made a = make("--upstream.x.endpoints=10.0.0.1:80 --upstream.y.endpoints=10.0.0.2:80", COMMAND_SIDECAR);
	struct made b = make_with("--upstream.x.endpoints=10.0.0.1:80 --upstream.y.endpoints=10.0.0.3:80,10.0.0.2:80",
				  COMMAND_SIDECAR, a.slots, a.s);

	ck_assert_ptr_eq(a.s->upstreams[0], b.s->upstreams[0]);
	ck_assert_uint_eq(a.s->upstreams[0]->refs, 2);
	ck_assert_ptr_ne(a.s->upstreams[1], b.s->upstreams[1]);
	ck_assert_uint_eq(a.s->upstreams[1]->slot, b.s->upstreams[1]->slot);
	ck_assert_uint_eq(a.s->upstreams[1]->endpoints[0].slot, b.s->upstreams[1]->endpoints[1].slot);
	ck_assert_ptr_eq(a.s->local, b.s->local);
	ck_assert_uint_eq(b.s->version, 2);
	ck_assert_uint_eq(a.s->slot, b.s->slot);
	ck_assert(str_eq(a.s->forward.via, b.s->forward.via));
	build_unref(a.s);
	ck_assert_uint_eq(b.s->upstreams[0]->refs, 1);
	ck_assert_str_eq(b.s->upstreams[0]->endpoints[0].text, "10.0.0.1:80");
	build_unref(b.s);
	slots_free(a.slots);
}
END_TEST

/* A request that began before may have nothing else left to try than what the new set lists no more. */
START_TEST(a_new_set_takes_nothing_from_the_old_one)
{
	struct made a = make("--upstream.x.endpoints=10.0.0.1:80,10.0.0.2:80", COMMAND_SIDECAR);
	struct made b = make_with("--upstream.x.endpoints=10.0.0.3:80,10.0.0.4:80", COMMAND_SIDECAR, a.slots, a.s);
	const struct spec_upstream *old = a.s->upstreams[0];

	for (uint32_t i = 0; i < old->n_endpoints; i++)
		ck_assert(outlier_available(cell_word(slots_cell(a.slots, old->endpoints[i].slot))));
	build_unref(a.s);
	build_unref(b.s);
	slots_free(a.slots);
}
END_TEST

#define SLICED "--upstream.a.endpoints=10.0.0.1:80 --upstream.b.endpoints=10.0.0.2:80 --upstream.c.endpoints=10.0.0.3:80"

static struct build *begin(const struct options *o, struct slots *slots, struct spec_sidecar *previous)
{
	struct err err = { "" };
	struct str called[] = { STR("bb"), STR("z") };
	struct build_request q = { .options = o, .slots = slots, .previous = previous, .called = called, .n_called = 2 };
	struct build *b = build_begin(&q, &err);

	ck_assert_msg(b != NULL, "%s", err.text);
	called[0] = called[1] = STR("gone"); /* the list was copied */
	return b;
}

START_TEST(made_in_slices)
{
	struct made a = make(SLICED, COMMAND_SIDECAR);
	struct options *o = from_flags(SLICED " --upstream.b.pool.idle=1s");
	struct spec_upstream *shared = a.s->upstreams[0];
	struct err err;
	unsigned slices = 1;

	check_good(o, COMMAND_SIDECAR);
	struct build *b = begin(o, a.slots, a.s);
	build_unref(a.s); /* it has a reference of its own */
	for (enum build_state state; (state = build_step(b, 0, &err)) != BUILD_DONE; slices++)
		ck_assert_int_eq(state, BUILD_MORE);
	ck_assert_uint_eq(slices, 6); /* no time at all: an upstream each, then what follows them */
	struct spec_sidecar *s = build_take(b);
	ck_assert_uint_eq(s->n_upstreams, 5);
	for (uint32_t i = 0; i < 5; i++)
		ck_str(s->upstreams[i]->name, ((const char *[]){ "a", "b", "bb", "c", "z" })[i]);
	ck_assert_ptr_eq(s->upstreams[0], shared);
	ck_assert_uint_eq(shared->refs, 1);
	ck_assert_uint_eq(s->upstreams[1]->policy.idle_timeout, USEC_SEC);
	ck_assert_uint_eq(s->version, 2);
	build_unref(s);
	slots_free(a.slots);
	options_free(o);
}
END_TEST

START_TEST(given_up_between_slices)
{
	struct made a = make(SLICED, COMMAND_SIDECAR);
	struct options *o = from_flags(SLICED ",10.0.0.4:80 --upstream.d.endpoints=10.0.0.5:80");
	size_t upstreams = slots_upstreams_used(a.slots), endpoints = slots_endpoints_used(a.slots);
	struct err err;

	check_good(o, COMMAND_SIDECAR);
	for (unsigned slices = 0; slices < 6; slices++) {
		struct build *b = begin(o, a.slots, a.s);
		for (unsigned i = 0; i < slices; i++)
			ck_assert_int_eq(build_step(b, 0, &err), BUILD_MORE);
		build_cancel(b);
		ck_assert_uint_eq(a.s->refs, 1);
		ck_assert_uint_eq(slots_upstreams_used(a.slots), upstreams);
		ck_assert_uint_eq(slots_endpoints_used(a.slots), endpoints);
	}
	options_free(o);
	unmake(&a);
}
END_TEST

static struct spec_sidecar *stamped(struct made *a, const char *flags, uint64_t stamp, uint64_t met)
{
	struct err err = { "" };
	struct options *o = from_flags(flags);
	struct build_request q = { .options = o, .slots = a->slots, .previous = a->s, .stamp = stamp, .met = met };

	check_good(o, COMMAND_SIDECAR);
	struct spec_sidecar *s = build_spec(&q, &err);
	ck_assert_msg(s != NULL, "%s", err.text);
	build_unref(a->s);
	a->s = s;
	options_free(o);
	return s;
}

/* Options that lie about their stamp show who is looked at. */
START_TEST(what_has_the_stamp_is_not_looked_at)
{
	struct made a = make("--upstream.x.pool.idle=1s", COMMAND_SIDECAR);
	static const struct {
		const char *flags;
		uint64_t stamp, met;
		usec idle; /* in force then */
	} rows[] = {
		{ "--upstream.x.pool.idle=2s", 0, 0, 2 },
		{ "--upstream.x.pool.idle=3s", 0, 0, 3 }, /* 0 says nothing */
		{ "--upstream.x.pool.idle=3s", 7, 0, 3 }, /* compared, and the same */
		{ "--upstream.x.pool.idle=4s", 7, 0, 3 },
		{ "--upstream.x.pool.idle=4s", 7, 1, 4 }, /* an agent was met */
		{ "--upstream.x.pool.idle=5s", 7, 1, 4 },
		{ "--upstream.x.pool.idle=5s", 8, 1, 5 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct spec_sidecar *s = stamped(&a, rows[i].flags, rows[i].stamp, rows[i].met);
		ck_assert_msg(s->upstreams[0]->policy.idle_timeout == rows[i].idle * USEC_SEC, "row %zu", i);
	}
	unmake(&a);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
	struct options *o = from_flags("--service=a --port=80 --upstreams=q:9001 --upstream.q.endpoints=10.0.0.1:80,10.0.0.2:80 "
				       "--egress-list=a.org --route.r.upstream=w");
	struct err err;
	bool done = false;

	for (int edge = 0; edge < 2; edge++) {
		enum command cmd = edge ? COMMAND_EDGE : COMMAND_SIDECAR;
		check_good(o, cmd);
		done = false;
		for (unsigned long k = 1; !done && k < 200; k++) {
			struct slots *slots = slots_new(&err);
			ck_assert_ptr_nonnull(slots);
			mem_fail_at(k);
			struct spec_sidecar *s = build_sidecar(o, cmd, slots, &err);
			done = mem_count() < k;
			mem_fail_at(0);
			ck_assert((s != NULL) == done);
			ck_assert(s || strstr(err.text, "memory"));
			build_unref(s);
			slots_free(slots);
		}
		ck_assert(done);
	}
	options_free(o);
}
END_TEST

START_TEST(slots_run_out_in_good_order)
{
	struct options *o = options_new();
	struct err err;
	char key[64];

	for (unsigned i = 0; i <= SLOTS_UPSTREAMS_MAX; i++) {
		snprintf(key, sizeof(key), "outrider.upstream.s%u.port", i);
		set(o, LAYER_ENV, key, "80");
	}
	check_good(o, COMMAND_SIDECAR);
	struct slots *slots = slots_new(&err);
	ck_assert_ptr_null(build_sidecar(o, COMMAND_SIDECAR, slots, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "upstreams"));
	slots_free(slots);
	options_free(o);
}
END_TEST

/* Who we are stands in the hello however much metadata there is: else no address would be dropped for a 421. */
START_TEST(metadata_that_do_not_fit_leave_the_hello)
{
	char flags[1024];
	char big[500];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	snprintf(flags, sizeof(flags), "--service=account --port=6767 --node=n1 --zone=z1 --meta=version=2,big=%s,more=1", big);
	struct made m = make(flags, COMMAND_SIDECAR);
	ck_str(m.s->hello, "service=account;node=n1;zone=z1;v=1;version=2");
	unmake(&m);
}
END_TEST

Suite *suite_build(void)
{
	Suite *s = suite_create("build");
	TCase *t = tcase_create("build");

	tcase_add_test(t, a_sidecar_by_default);
	tcase_add_test(t, outbound_only);
	tcase_add_test(t, handlers);
	tcase_add_test(t, upstreams_and_pins);
	tcase_add_test(t, a_service_may_be_called_external);
	tcase_add_test(t, routes_in_order);
	tcase_add_test(t, unchanged_upstreams_are_shared);
	tcase_add_test(t, a_new_set_takes_nothing_from_the_old_one);
	tcase_add_test(t, made_in_slices);
	tcase_add_test(t, given_up_between_slices);
	tcase_add_test(t, what_has_the_stamp_is_not_looked_at);
	tcase_add_test(t, every_allocation_may_fail);
	tcase_add_test(t, slots_run_out_in_good_order);
	tcase_add_test(t, metadata_that_do_not_fit_leave_the_hello);
	suite_add_tcase(s, t);
	return s;
}
