/* Options to spec: the routes of an edge. */
#include "control/build_int.h"

#include "control/option_trace.h"

#include <stdio.h>
#include <stdlib.h>

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

#define SUBJECT_MAX (2 * OPTIONS_KEY_MAX)

/* The identity of a route with its upstream, in `room`; empty when it is too long. */
static struct str subject_of(const struct spec_route *r, char room[SUBJECT_MAX])
{
	int n = snprintf(room, SUBJECT_MAX, "%c%.*s%c%.*s", OPTIONS_ROUTE_MARK, STR_ARG(r->name), OPTIONS_ROUTE_MARK, STR_ARG(r->upstream->name));

	return str_make(room, n < 0 || (size_t)n >= SUBJECT_MAX ? 0 : (size_t)n);
}

/* A copy of the upstream whose policy and circuit are this route's. */
static bool make_own(struct build *b, struct spec_route *r)
{
	char room[SUBJECT_MAX];
	struct spec_upstream *u = arena_zalloc(&b->s->arena, sizeof(*u));
	struct str subject = subject_of(r, room);

	if (!u || !subject.n)
		return false;
	*u = *r->upstream;
	arena_init(&u->arena, BUILD_MEMORY_MAX, NULL, 0);
	memset(&u->policy, 0, sizeof(u->policy));
	u->route = r->name;
	u->keyed = NULL;
	u->keyed_slots = NULL;
	u->own_slot = slots_upstream(b->q.slots, b->s->slot, subject).number;
	r->own = u; /* from here on build_drop_routes() sees to it */
	if (u->own_slot == SLOT_NONE)
		return false;
	u->circuit = slots_circuit(b->q.slots, u->own_slot);
	u->mode = build_mode(b->o, subject);
	return build_policy(u, b->o, subject) && build_keyed(u, &b->q, b->s->slot, subject);
}

void build_drop_routes(struct spec_sidecar *s)
{
	for (uint32_t i = 0; i < s->n_routes; i++) {
		struct spec_upstream *u = s->routes[i].own;
		if (s->routes[i].part)
			slots_upstream_unuse(s->slots, s->routes[i].part - 1);
		if (!u)
			continue;
		build_drop_keyed(u, s->slots);
		if (u->own_slot != SLOT_NONE)
			slots_upstream_unuse(s->slots, u->own_slot);
		arena_release(&u->arena);
	}
}

/* Where workers count what becomes of its requests. */
static bool make_part(struct build *b, struct spec_route *r)
{
	char room[SUBJECT_MAX];
	struct str subject = subject_of(r, room);
	struct slot slot = subject.n ? slots_upstream(b->q.slots, b->s->slot, subject) : (struct slot){ .number = SLOT_NONE };

	if (slot.number == SLOT_NONE)
		return false;
	r->part = slot.number + 1;
	r->generation = slot.generation;
	return true;
}

static bool make_sampler(struct build *b, struct spec_route *r, struct str text)
{
	struct sampler_policy *p;

	if (!text.n || str_ieq(text, STR("auto")))
		return true;
	p = arena_zalloc(&b->s->arena, sizeof(*p));
	r->sampler = p;
	return p && option_sampler(text, p);
}

static bool fill_route(struct build *b, struct spec_route *r, struct str name)
{
	struct arena *a = &b->s->arena;
	struct str prefix = options_of_text(b->o, name, OPT_ROUTE_PREFIX);

	while (prefix.n > 1 && prefix.p[prefix.n - 1] == '/') /* whole segments match, so "/api/" is "/api" */
		prefix.n--;
	r->name = arena_str(a, name);
	r->host = build_lower(a, options_of_text(b->o, name, OPT_ROUTE_HOST));
	r->prefix = arena_str(a, prefix);
	r->strip = options_of_bool(b->o, name, OPT_ROUTE_STRIP);
	r->rewrite = arena_str(a, options_of_text(b->o, name, OPT_ROUTE_REWRITE));
	r->upstream = spec_find_upstream(b->s, options_of_text(b->o, name, OPT_ROUTE_UPSTREAM));
	if (!r->name.p || !r->host.p || !r->prefix.p || !r->rewrite.p || !r->upstream)
		return false;
	return make_part(b, r) && make_sampler(b, r, options_of_text(b->o, name, OPT_ROUTE_TRACE_SAMPLE)) &&
	       (!options_route_differs(b->o, name) || make_own(b, r));
}

bool build_put_routes(struct build *b)
{
	struct spec_sidecar *s = b->s;
	size_t n = s->is_edge ? options_route_count(b->o) : 0;

	s->slots = b->q.slots;
	s->routes = arena_zalloc(&s->arena, (n + 1) * sizeof(*s->routes));
	if (!s->routes)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!fill_route(b, &s->routes[s->n_routes++], options_route(b->o, i)))
			return false;
	qsort(s->routes, s->n_routes, sizeof(*s->routes), by_precedence);
	return true;
}
