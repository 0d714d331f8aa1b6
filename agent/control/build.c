#include "control/build_int.h"

#include "base/mem.h"
#include "control/option_value.h"
#include "control/options_impl.h"
#include "net/netspace.h"

#include <stdlib.h>

/* --- upstreams ---------------------------------------------------------------------------------------------------------- */

/* The upstream port that the pins of a service say, by index of the service. */
static uint16_t *pinned_ports(const struct options *o)
{
	uint16_t *ports = mem_zarray(o->n_services + 1, sizeof(*ports));

	for (size_t i = 0; ports && i < o->n_pins; i++)
		if (o->pins[i].service < o->n_services && o->pins[i].pin.upstream_port)
			ports[o->pins[i].service] = o->pins[i].pin.upstream_port;
	return ports;
}

static int compare_names(struct str a, struct str b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
	return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* The next of the services that options name and of those that were called and found, both sorted. */
static struct build_upstream next_service(struct build *b)
{
	struct build_upstream want = { .kind = UPSTREAM_SERVICE };
	size_t n = options_service_count(b->o);
	int c = b->named == n                 ? 1
		: b->called == b->q.n_called ? -1
					     : compare_names(options_service(b->o, b->named), b->q.called[b->called]);

	want.name = c <= 0 ? options_service(b->o, b->named) : b->q.called[b->called];
	want.port = c <= 0 ? b->ports[b->named] : 0;
	want.called = c > 0;
	b->named += c <= 0;
	b->called += c >= 0;
	return want;
}

static bool begin_services(struct build *b)
{
	struct spec_sidecar *s = b->s;
	size_t n = options_service_count(b->o) + b->q.n_called;

	b->too_many = b->q.ns && n > BUILD_SHARED_UPSTREAMS;
	if (b->too_many)
		return false;
	s->discovers = b->q.discovery && discovery_asks(b->q.discovery);
	s->upstreams = arena_zalloc(&s->arena, (n + 1) * sizeof(struct spec_upstream *));
	b->ports = pinned_ports(b->o);
	return s->upstreams && b->ports;
}

/* What takes long: as many as there is time for, and at least one. */
static bool put_services(struct build *b)
{
	struct spec_sidecar *s = b->s;

	if (!b->ports && !begin_services(b))
		return false;
	while (b->named < options_service_count(b->o) || b->called < b->q.n_called) {
		struct build_upstream want = next_service(b);
		struct spec_upstream *u = build_upstream(&b->q, s->slot, &want);
		if (!u)
			return false;
		s->upstreams[s->n_upstreams++] = u;
		b->more = clock_now() >= b->until;
		if (b->more)
			return true;
	}
	return true;
}

static bool put_fixed(struct build *b)
{
	struct spec_sidecar *s = b->s;
	struct build_upstream local = { .name = STR("local"), .kind = UPSTREAM_LOCAL };
	struct build_upstream external = { .name = STR("external"), .kind = UPSTREAM_EXTERNAL };
	struct build_upstream handler = { .name = STR("handler"), .kind = UPSTREAM_HANDLER };
	struct str port = options_text(b->o, OPT_PORT);

	s->local = build_upstream(&b->q, s->slot, &local);
	s->external = build_upstream(&b->q, s->slot, &external);
	if (!s->local || !s->external)
		return false;
	if (s->is_edge || port.n == 0)
		return true;
	if (!option_handler(port, &handler.port, &handler.handler, NULL))
		return false;
	s->handler = build_upstream(&b->q, s->slot, &handler);
	return s->handler != NULL;
}

/* --- listeners ----------------------------------------------------------------------------------------------------------- */

static bool add_listener(struct build *b, enum listener_kind kind, const struct addr *a, bool by_default,
	struct spec_upstream *u)
{
	struct spec_listener *l = &b->s->listeners[b->s->n_listeners];
	char text[ADDR_TEXT_MAX];

	addr_text(a, text);
	*l = (struct spec_listener){ .kind = (uint8_t)kind, .addr = *a, .upstream = u };
	l->optional = by_default && a->sa.sa_family == AF_INET6;
	l->text = arena_z(&b->s->arena, str_of(text));
	if (!l->text)
		return false;
	b->s->n_listeners++;
	return true;
}

static bool add_listeners(
	struct build *b, enum option_id id, enum listener_kind kind, struct spec_upstream *u)
{
	struct str list = options_text(b->o, id), item;
	struct addr a;

	if (str_ieq(list, STR("off")))
		return true;
	while (option_item_next(&list, &item))
		if (!option_address(item, &a, NULL) ||
			!add_listener(b, kind, &a, !options_is_set(b->o, id), u))
			return false;
	return true;
}

static bool put_listeners(struct build *b)
{
	struct spec_sidecar *s = b->s;
	size_t pins = s->is_edge ? 0 : b->o->n_pins;

	s->listeners = arena_zalloc(&s->arena, (3 * OPTION_LISTEN_MAX + pins) * sizeof(*s->listeners));
	if (!s->listeners)
		return false;
	if (s->is_edge)
		return add_listeners(b, OPT_LISTEN, LISTEN_EDGE, NULL);
	if (s->handler && !add_listeners(b, OPT_INBOUND, LISTEN_INBOUND, s->handler))
		return false;
	if (!add_listeners(b, OPT_OUTBOUND, LISTEN_OUTBOUND, NULL))
		return false;
	for (size_t i = 0; i < pins; i++) {
		const struct upstream_pin *pin = &b->o->pins[i].pin;
		struct spec_upstream *u = spec_find_upstream(s, pin->service);
		enum listener_kind kind = pin->tcp ? LISTEN_PINNED_TCP : LISTEN_PINNED;
		if (!u || !add_listener(b, kind, &pin->addr, false, u))
			return false;
	}
	return true;
}

static void add_port(struct spec_sidecar *s, const struct addr *a)
{
	uint16_t port = addr_port(a);

	for (uint32_t i = 0; i < s->n_agent_ports; i++)
		if (s->agent_ports[i] == port)
			return;
	if (port)
		s->agent_ports[s->n_agent_ports++] = port;
}

/* Ports of the agent that nobody reaches through it: 4140, 4143, 4191, and the edge's. Pinned ports are not
 * among them: those are upstreams. */
static bool put_agent_ports(struct build *b)
{
	struct spec_sidecar *s = b->s;
	struct str admin = options_text(b->o, OPT_ADMIN), item;
	struct addr a;

	s->agent_ports = arena_zalloc(
		&s->arena, (s->n_listeners + OPTION_LISTEN_MAX) * sizeof(*s->agent_ports));
	if (!s->agent_ports)
		return false;
	for (uint32_t i = 0; i < s->n_listeners; i++)
		if (s->listeners[i].kind != LISTEN_PINNED && s->listeners[i].kind != LISTEN_PINNED_TCP)
			add_port(s, &s->listeners[i].addr);
	while (!str_ieq(admin, STR("off")) && option_item_next(&admin, &item))
		if (option_address(item, &a, NULL))
			add_port(s, &a);
	return true;
}

/* --- all of it --------------------------------------------------------------------------------------------------------------- */

/* In the order in which one needs the other. */
static bool (*const steps[])(struct build *b) = {
	/* false: no memory or slots */
	build_put_identity,
	build_put_hello,
	build_put_agent,
	build_put_via,
	build_put_limits,
	build_put_forward,
	build_put_trace,
	build_put_access,
	build_put_egress,
	build_put_own,
	put_services,
	put_fixed,
	build_put_routes,
	put_listeners,
	put_agent_ports,
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

static bool keep_request(struct build *b, const struct build_request *q)
{
	struct str *called = mem_zarray(q->n_called + 1, sizeof(*called));

	b->q = *q;
	b->o = q->options;
	b->q.called = called;
	b->previous = (struct spec_sidecar *)(uintptr_t)q->previous;
	if (b->previous)
		b->previous->refs++;
	if (!called)
		return false;
	if (q->n_called)
		memcpy(called, q->called, q->n_called * sizeof(*called));
	return true;
}

struct build *build_begin(const struct build_request *q, struct err *err)
{
	struct build *b = mem_zalloc(sizeof(*b));

	if (b && keep_request(b, q))
		b->s = mem_zalloc(sizeof(*b->s));
	if (!b || !b->s) {
		build_cancel(b);
		err_set(err, "out of memory while making the spec");
		return NULL;
	}
	b->s->refs = 1;
	b->s->ns = netspace_ref(q->ns);
	arena_init(&b->s->arena, BUILD_MEMORY_MAX, NULL, 0);
	return b;
}

enum build_state build_step(struct build *b, usec until, struct err *err)
{
	b->until = until;
	while (b->step < STEPS) {
		b->more = false;
		if (!steps[b->step](b)) {
			if (b->too_many)
				err_set(err, "more than %u upstreams: on a node, where others have theirs, a sidecar has no more", BUILD_SHARED_UPSTREAMS);
			else
				err_set(err, "out of memory while making the spec, or more than %u upstreams or %u endpoints",
					SLOTS_UPSTREAMS_MAX, SLOTS_ENDPOINTS_MAX);
			return BUILD_FAILED;
		}
		if (b->more)
			return BUILD_MORE;
		b->step++;
	}
	return BUILD_DONE;
}

struct spec_sidecar *build_take(struct build *b)
{
	struct spec_sidecar *s = b->s;

	b->s = NULL;
	build_cancel(b);
	return s;
}

void build_cancel(struct build *b)
{
	if (!b)
		return;
	build_unref(b->s);
	build_unref(b->previous);
	mem_free(b->ports);
	mem_free((struct str *)(uintptr_t)b->q.called);
	mem_free(b);
}

struct spec_sidecar *build_spec(const struct build_request *q, struct err *err)
{
	struct build *b = build_begin(q, err);

	if (!b)
		return NULL;
	if (build_step(b, UINT64_MAX, err) == BUILD_DONE)
		return build_take(b);
	build_cancel(b);
	return NULL;
}

struct spec_sidecar *build_sidecar(
	const struct options *o, enum command cmd, struct slots *slots, struct err *err)
{
	struct build_request q = { .options = o, .command = cmd, .slots = slots };
	return build_spec(&q, err);
}

void build_unref(struct spec_sidecar *s)
{
	if (!s || --s->refs > 0)
		return;
	netspace_unref(s->ns);
	for (uint32_t i = 0; i < s->n_upstreams; i++)
		build_upstream_unref(s->upstreams[i]);
	build_upstream_unref(s->handler);
	build_upstream_unref(s->local);
	build_upstream_unref(s->external);
	build_drop_routes(s);
	arena_release(&s->arena);
	mem_free(s);
}
