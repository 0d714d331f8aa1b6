#include "control/build_int.h"

#include "base/mem.h"
#include "base/rng.h"
#include "control/option_value.h"
#include "control/options_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct builder { /* one run of build_spec() */
	const struct build_request *q;
	const struct options *o;
	struct spec_sidecar *s;
};

typedef bool (*build_fn)(struct builder *b); /* false: no memory or slots */

static struct str lower(struct arena *a, struct str s)
{
	char *p = arena_z(a, s);

	for (size_t i = 0; p && i < s.n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] + 32);
	return str_make(p, p ? s.n : 0);
}

/* --- identity, limits, rules ------------------------------------------------------------------------------------------- */

static bool put_identity(struct builder *b)
{
	struct spec_sidecar *s = b->s;
	struct str name = options_text(b->o, OPT_SERVICE);

	s->is_edge = b->q->command == COMMAND_EDGE;
	if (name.n == 0 && s->is_edge)
		name = STR("edge");
	s->service = lower(&s->arena, name);
	if (!s->service.p)
		return false;
	s->version = b->q->previous ? b->q->previous->version + 1 : 1;
	s->mode = (uint8_t)options_u64(b->o, OPT_MODE);
	s->slot = slots_sidecar(b->q->slots, b->q->identity.n ? b->q->identity : s->service);
	return s->slot != SLOT_NONE;
}

/* key=value for a hello: what has no place in its grammar becomes '_'. */
static void add_word(struct text *t, const char *key, struct str value)
{
	if (value.n == 0)
		return;
	text_fmt(t, "%s%s=", t->n ? ";" : "", key);
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		text_char(t, c <= ' ' || c > '~' || c == ';' || c == '=' || c == ',' ? '_' : c);
	}
}

/* What other agents are told (proxy/hello.h): the own metadata as they are written, then what we know. */
static bool put_hello(struct builder *b)
{
	struct str meta = options_text(b->o, OPT_META), item;
	char host[256] = "";
	struct str node = options_text(b->o, OPT_NODE);
	struct text t;

	if (b->s->is_edge)
		b->s->hello = STR("service=edge;v=1");
	if (b->s->is_edge)
		return true;
	if (node.n == 0 && gethostname(host, sizeof(host) - 1) == 0)
		node = str_of(host);
	text_init(&t, 8192); /* more than the options can say, so only memory can be short */
	add_word(&t, "service", b->s->service);
	add_word(&t, "node", node);
	add_word(&t, "zone", options_text(b->o, OPT_ZONE));
	add_word(&t, "v", STR("1"));
	while (option_item_next(&meta, &item)) {
		size_t equals = str_find(item, '=');
		char key[64];
		if (equals != SIZE_MAX && str_copy(str_make(item.p, equals), key, sizeof(key)))
			add_word(&t, key, str_make(item.p + equals + 1, item.n - equals - 1));
	}
	if (t.failed)
		b->s->hello = str_make(NULL, 0);
	else /* too long for a hello: what can be said */
		b->s->hello = t.n > HELLO_MAX ? STR("v=1") : arena_str(&b->s->arena, text_str(&t));
	text_release(&t);
	return b->s->hello.p != NULL;
}

static bool put_via(struct builder *b)
{
	struct spec_forward *f = &b->s->forward;
	struct rng r;

	if (b->q->via.n || b->q->previous) {
		f->via = arena_str(&b->s->arena, b->q->via.n ? b->q->via : b->q->previous->forward.via);
	} else {
		rng_seed_os(&r);
		f->via = str_of(
			arena_fmt(&b->s->arena, "outrider-%016llx", (unsigned long long)rng_next(&r)));
	}
	return f->via.p != NULL;
}

static bool put_limits(struct builder *b)
{
	struct spec_limits *l = &b->s->limits;
	struct spec_times *t = &b->s->times;
	unsigned workers = options_workers(b->o);
	uint64_t connections = options_u64(b->o, OPT_LIMIT_CONNECTIONS);

	l->h1.head = (uint32_t)options_u64(b->o, OPT_LIMIT_HEAD);
	l->h1.line = (uint32_t)options_u64(b->o, OPT_LIMIT_REQUEST_LINE);
	l->h1.fields = (uint16_t)options_u64(b->o, OPT_LIMIT_FIELDS);
	l->body = options_u64(b->o, OPT_LIMIT_BODY);
	l->connections = (uint32_t)((connections + workers - 1) /
				    workers); /* each worker counts for itself */
	l->requests = (uint32_t)options_u64(b->o, OPT_LIMIT_REQUESTS);
	t->head = options_duration(b->o, OPT_TIMEOUT_HEAD);
	t->idle = options_duration(b->o, OPT_TIMEOUT_IDLE);
	t->stall = options_duration(b->o, OPT_TIMEOUT_STALL);
	t->tunnel_idle = options_duration(b->o, OPT_TIMEOUT_TUNNEL_IDLE);
	return true;
}

struct cidrs {
	struct cidr *at; /* NULL: only counted */
	uint32_t n;
};

static bool add_cidr(void *arg, const struct cidr *c)
{
	struct cidrs *list = arg;

	if (list->at)
		list->at[list->n] = *c;
	list->n++;
	return true;
}

static bool each_cidr(struct str list, struct cidrs *to)
{
	struct str item;

	while (option_item_next(&list, &item))
		if (!option_cidr_item(item, add_cidr, to, NULL))
			return false;
	return true;
}

static bool put_forward(struct builder *b)
{
	static const struct {
		enum option_id id;
		uint8_t bit;
	} fields[] = {
		{ OPT_FORWARD_FOR, FORWARD_FOR },
		{ OPT_FORWARD_PROTO, FORWARD_PROTO },
		{ OPT_FORWARD_HOST, FORWARD_HOST },
		{ OPT_FORWARD_REQUEST_ID, FORWARD_REQUEST_ID },
		{ OPT_FORWARD_VIA, FORWARD_VIA },
	};
	struct spec_forward *f = &b->s->forward;
	struct str trusted = options_text(b->o, OPT_TRUSTED_PEERS);
	struct cidrs list = { NULL, 0 };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (options_bool(b->o, fields[i].id))
			f->set |= fields[i].bit;
	if (str_ieq(trusted, STR("auto")))
		trusted = b->s->is_edge ? STR("none") : STR("private");
	if (!each_cidr(trusted, &list))
		return false;
	list.at = arena_zalloc(&b->s->arena, (list.n + 1) * sizeof(*list.at));
	if (!list.at)
		return false;
	list.n = 0;
	if (!each_cidr(trusted, &list))
		return false;
	f->trusted = list.at;
	f->n_trusted = list.n;
	return true;
}

static bool put_egress(struct builder *b)
{
	struct spec_sidecar *s = b->s;
	struct str list = options_text(b->o, OPT_EGRESS_LIST), count = list, item;
	uint32_t n = 0;

	s->egress = (uint8_t)options_u64(b->o, OPT_EGRESS);
	while (option_item_next(&count, &item))
		n++;
	s->egress_list = arena_zalloc(&s->arena, (n + 1) * sizeof(*s->egress_list));
	if (!s->egress_list)
		return false;
	while (option_item_next(&list, &item)) {
		struct str host = lower(&s->arena, item);
		if (!host.p)
			return false;
		s->egress_list[s->n_egress_list++] = host;
	}
	return true;
}

static bool put_own(struct builder *b)
{
	struct spec_sidecar *s = b->s;
	struct addr mine[BUILD_OWN_MAX];
	const struct addr *from = b->q->own;
	size_t n = from ? b->q->n_own : addr_own(mine, BUILD_OWN_MAX);

	if (!from)
		from = mine;
	s->own = arena_zalloc(&s->arena, (n + 1) * sizeof(*s->own));
	if (!s->own)
		return false;
	if (n)
		memcpy(s->own, from, n * sizeof(*s->own));
	s->n_own = (uint32_t)n;
	return true;
}

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

/* Services of the options and those that were called and found, both sorted, become one sorted list. */
static bool put_services(struct builder *b)
{
	struct spec_sidecar *s = b->s;
	size_t n = options_service_count(b->o), called = b->q->n_called, i = 0, k = 0;
	uint16_t *ports = pinned_ports(b->o);

	s->discovers = b->q->discovery && discovery_asks(b->q->discovery);
	s->upstreams = arena_zalloc(&s->arena, (n + called + 1) * sizeof(struct spec_upstream *));
	bool ok = s->upstreams && ports;
	while (ok && (i < n || k < called)) {
		struct build_upstream want = { .kind = UPSTREAM_SERVICE };
		int c = i == n        ? 1
			: k == called ? -1
				      : compare_names(options_service(b->o, i), b->q->called[k]);
		want.name = c <= 0 ? options_service(b->o, i) : b->q->called[k];
		want.port = c <= 0 ? ports[i] : 0;
		i += c <= 0;
		k += c >= 0;
		s->upstreams[s->n_upstreams] = build_upstream(b->q, s->slot, &want);
		ok = s->upstreams[s->n_upstreams] != NULL;
		s->n_upstreams += ok;
	}
	mem_free(ports);
	return ok;
}

static bool put_fixed(struct builder *b)
{
	struct spec_sidecar *s = b->s;
	struct build_upstream local = { .name = STR("local"), .kind = UPSTREAM_LOCAL };
	struct build_upstream external = { .name = STR("external"), .kind = UPSTREAM_EXTERNAL };
	struct build_upstream handler = { .name = STR("handler"), .kind = UPSTREAM_HANDLER };
	struct str port = options_text(b->o, OPT_PORT);

	s->local = build_upstream(b->q, s->slot, &local);
	s->external = build_upstream(b->q, s->slot, &external);
	if (!s->local || !s->external)
		return false;
	if (s->is_edge || port.n == 0)
		return true;
	if (!option_handler(port, &handler.port, &handler.handler, NULL))
		return false;
	s->handler = build_upstream(b->q, s->slot, &handler);
	return s->handler != NULL;
}

/* --- listeners ----------------------------------------------------------------------------------------------------------- */

static bool add_listener(struct builder *b, enum listener_kind kind, const struct addr *a, bool by_default,
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
	struct builder *b, enum option_id id, enum listener_kind kind, struct spec_upstream *u)
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

static bool put_listeners(struct builder *b)
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
static bool put_agent_ports(struct builder *b)
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

/* --- routes ---------------------------------------------------------------------------------------------------------------- */

static int host_rank(struct str host)
{
	return host.n == 0 ? 2 : host.p[0] == '*';
}

/* Exact hosts, then *.suffixes, the longest first, then any host; the longest prefix first; then the name. */
static int by_precedence(const void *x, const void *y)
{
	const struct spec_route *a = x, *b = y;

	if (host_rank(a->host) != host_rank(b->host))
		return host_rank(a->host) - host_rank(b->host);
	if (host_rank(a->host) == 1 && a->host.n != b->host.n)
		return a->host.n > b->host.n ? -1 : 1;
	if (a->prefix.n != b->prefix.n)
		return a->prefix.n > b->prefix.n ? -1 : 1;
	size_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
	int c = memcmp(a->name.p, b->name.p, n);
	return c ? c : (a->name.n > b->name.n) - (a->name.n < b->name.n);
}

static bool fill_route(struct builder *b, struct spec_route *r, struct str name)
{
	struct arena *a = &b->s->arena;
	struct str prefix = options_of_text(b->o, name, OPT_ROUTE_PREFIX);

	while (prefix.n > 1 && prefix.p[prefix.n - 1] == '/') /* whole segments match, so "/api/" is "/api" */
		prefix.n--;
	r->name = arena_str(a, name);
	r->host = lower(a, options_of_text(b->o, name, OPT_ROUTE_HOST));
	r->prefix = arena_str(a, prefix);
	r->strip = options_of_bool(b->o, name, OPT_ROUTE_STRIP);
	r->rewrite = arena_str(a, options_of_text(b->o, name, OPT_ROUTE_REWRITE));
	r->upstream = spec_find_upstream(b->s, options_of_text(b->o, name, OPT_ROUTE_UPSTREAM));
	return r->name.p && r->host.p && r->prefix.p && r->rewrite.p && r->upstream;
}

static bool put_routes(struct builder *b)
{
	struct spec_sidecar *s = b->s;
	size_t n = s->is_edge ? options_route_count(b->o) : 0;

	s->routes = arena_zalloc(&s->arena, (n + 1) * sizeof(*s->routes));
	if (!s->routes)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!fill_route(b, &s->routes[s->n_routes++], options_route(b->o, i)))
			return false;
	qsort(s->routes, s->n_routes, sizeof(*s->routes), by_precedence);
	return true;
}

/* --- all of it --------------------------------------------------------------------------------------------------------------- */

/* In the order in which one needs the other. */
static const build_fn steps[] = {
	put_identity,
	put_hello,
	put_via,
	put_limits,
	put_forward,
	put_egress,
	put_own,
	put_services,
	put_fixed,
	put_routes,
	put_listeners,
	put_agent_ports,
};

struct spec_sidecar *build_spec(const struct build_request *q, struct err *err)
{
	struct builder b = { .q = q, .o = q->options, .s = mem_zalloc(sizeof(*b.s)) };

	if (!b.s) {
		err_set(err, "out of memory while making the spec");
		return NULL;
	}
	b.s->refs = 1;
	arena_init(&b.s->arena, BUILD_MEMORY_MAX, NULL, 0);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i](&b))
			continue;
		build_unref(b.s);
		err_set(err, "out of memory while making the spec, or more than %u upstreams or %u endpoints",
			SLOTS_UPSTREAMS_MAX, SLOTS_ENDPOINTS_MAX);
		return NULL;
	}
	return b.s;
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
	for (uint32_t i = 0; i < s->n_upstreams; i++)
		build_upstream_unref(s->upstreams[i]);
	build_upstream_unref(s->handler);
	build_upstream_unref(s->local);
	build_upstream_unref(s->external);
	arena_release(&s->arena);
	mem_free(s);
}
