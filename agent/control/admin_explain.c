/* /explain: where a hypothetical request would go, and why.
 *
 *     which upstream    the edge's route for host and path, else the service
 *     who is picked     TRIALS picks of the balancer itself, on copies of what it would change: what is asked here takes no lease
 *                       and moves no turn
 *     the candidates    as one of the workers sees them; of an upstream that none has called yet, what is known without
 *
 * Thread: control. Workers write their statistics meanwhile: each figure is a moment's. */
#include "control/admin.h"
#include "control/endpoint_state.h"

#include "base/mem.h"

#define TRIALS 1000u
#define PICKED_MAX 20u /* endpoints named as likely */
#define LISTED_BYTES                                                                                         \
	(ADMIN_PAGE_MAX * 3 / 4) /* then a page lists no further candidates, but says where they are */

/* --- whose eyes ------------------------------------------------------------------------------------------------------- */

/* What the first worker that called the upstream knows; *which: its number, or n_workers when none did. */
static struct balance_part view_of(const struct agent *a, const struct spec_upstream *u, unsigned *which)
{
	struct balance_part ret = { 0 };
	const struct balance_part *p = NULL;

	for (*which = 0; *which < a->n_workers && !p; ++*which)
		p = worker_balance_part(a->workers[*which], u->slot);
	if (p)
		--*which;
	const struct balance_stat *stats = worker_balance_stat(a->workers[p ? *which : 0], 0);
	ret.stats = (struct balance_stat *)(uintptr_t)stats; /* read alone */
	if (p) {
		atomic_store_explicit(&ret.mean, atomic_load_explicit(&p->mean, memory_order_relaxed),
			memory_order_relaxed);
		atomic_store_explicit(
			&ret.gap, atomic_load_explicit(&p->gap, memory_order_relaxed), memory_order_relaxed);
	}
	for (uint32_t i = 0; i < u->balance.n; i++)
		ret.in_flight += atomic_load_explicit(
			&stats[u->balance.slots[i]].in_flight, memory_order_relaxed);
	return ret;
}

/* --- who would be picked ------------------------------------------------------------------------------------------------ */

struct trials {
	char *room;                 /* of the copies */
	struct balance_cell *cells; /* in it, each on a cache line of its own */
	struct balance_cell **at;
	struct balance_tally *tally; /* in the room, too */
	uint32_t *times; /* by index */
	uint8_t *why;    /* of the last time */
	uint8_t nobody;  /* why nobody was picked */
};

static void trials_release(struct trials *t)
{
	mem_free(t->room);
	mem_free(t->at);
	mem_free(t->times);
	mem_free(t->why);
}

static bool trials_init(struct trials *t, const struct balance_spec *s)
{
	*t = (struct trials){ .room = mem_zarray(s->n + 2u, sizeof(struct balance_cell)),
		.at = mem_zarray(s->n + 1u, sizeof(struct balance_cell *)),
		.times = mem_zarray(s->n + 1u, sizeof(*t->times)),
		.why = mem_zarray(s->n + 1u, sizeof(*t->why)) };
	if (!t->room || !t->at || !t->times || !t->why)
		return false;
	uintptr_t odd = (uintptr_t)t->room % _Alignof(struct balance_cell);
	t->cells = (struct balance_cell *)(void *)(t->room + (odd ? _Alignof(struct balance_cell) - odd : 0));
	_Static_assert(sizeof(*t->tally) <= sizeof(*t->cells) && _Alignof(struct balance_tally) <= _Alignof(struct balance_cell), "it stands behind the last");
	t->tally = (struct balance_tally *)(void *)(t->cells + s->n);
	atomic_store_explicit(&t->tally->version, 1, memory_order_relaxed);
	for (uint32_t i = 0; i < s->n; i++) {
		const struct balance_cell *c = s->cells[i];
		atomic_store_explicit(&t->cells[i].word, cell_word(c), memory_order_relaxed);
		atomic_store_explicit(&t->cells[i].ready,
			atomic_load_explicit(&c->ready, memory_order_relaxed), memory_order_relaxed);
		t->at[i] = &t->cells[i];
	}
	return true;
}

static void try_picks(struct trials *t, const struct balance_spec *s, struct balance_part part,
	const struct balance_request *q)
{
	struct balance_spec copy = *s;
	struct rng r;
	usec now = clock_now();

	rng_seed_os(&r);
	for (unsigned i = 0; i < BALANCE_SETS_MAX; i++)
		for (unsigned k = 0; k < BALANCE_TIERS; k++)
			part.turn[i][k] = (uint32_t)rng_next(&r);
	copy.cells = t->at;
	copy.tally = t->tally;
	for (unsigned i = 0; i < TRIALS; i++) {
		struct balance_ticket ticket = balance_pick(&copy, &part, q, now, &r);
		if (ticket.index == BALANCE_NONE) {
			t->nobody = ticket.why;
			return;
		}
		t->times[ticket.index]++;
		t->why[ticket.index] = ticket.why;
	}
}

static uint32_t most_often(const struct trials *t, uint32_t n)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < n; i++)
		if (t->times[i] > t->times[best])
			best = i;
	return best;
}

/* The likeliest first. */
static void put_picked(struct json *j, const struct spec_upstream *u, const struct balance_part *part,
	const struct balance_request *q)
{
	struct trials t;

	if (trials_init(&t, &u->balance))
		try_picks(&t, &u->balance, *part, q);
	else
		t.nobody = BALANCE_WHYS; /* no memory: nothing is said */
	json_key(j, "picked");
	json_array(j);
	for (unsigned k = 0; t.nobody == 0 && k < PICKED_MAX && u->balance.n; k++) {
		uint32_t i = most_often(&t, u->balance.n);
		if (!t.times[i])
			break;
		json_object(j);
		json_put_strz(j, "address", u->endpoints[i].text);
		json_put_num(j, "percent", (double)t.times[i] * 100 / TRIALS);
		json_put_strz(j, "by", balance_why_name((enum balance_why)t.why[i]));
		json_end(j);
		t.times[i] = 0;
	}
	json_end(j);
	json_put_strz(j, "nobody",
		t.nobody && t.nobody < BALANCE_WHYS ? balance_why_name((enum balance_why)t.nobody) : NULL);
	trials_release(&t);
}

/* --- candidates ----------------------------------------------------------------------------------------------------------- */

static void put_until(struct json *j, usec at)
{
	char iso[25];
	usec mono = clock_now(), wall = clock_wall();

	if (!at)
		return;
	clock_iso(at <= mono ? wall - (mono - at) : wall + (at - mono), iso);
	json_put_strz(j, "until", iso);
}

static void put_candidate(struct json *j, const struct spec_upstream *u, const struct balance_part *part,
	const struct balance_census *census, uint32_t i)
{
	static const char *const tiers[] = { "same-node", "same-zone", "elsewhere" };
	struct endpoint_state state = endpoint_state(u->balance.cells[i]);
	struct balance_candidate c;

	balance_explain(&u->balance, part, census, NULL, i, clock_now(), &c);
	json_object(j);
	json_put_strz(j, "address", u->endpoints[i].text);
	json_put_strz(j, "state", state.word);
	json_put_strz(j, "excluded",
		c.excluded == BALANCE_CANDIDATE ? NULL
						: balance_excluded_name((enum balance_excluded)c.excluded));
	json_put_strz(j, "why", state.why);
	json_put_strz(j, "tier", c.tier < BALANCE_TIERS ? tiers[c.tier] : "?");
	json_put_u64(j, "subset", c.set);
	json_put_u64(j, "weight", c.weight);
	json_put_u64(j, "warm_percent", c.warm);
	json_put_u64(j, "in_flight", c.in_flight);
	json_put_num(j, "latency_ms", (double)c.cost / 1000);
	json_put_num(j, "failure_load", (double)c.ghost);
	json_put_num(j, "score", (double)c.score);
	put_until(j, c.until);
	json_end(j);
}

struct asking { /* the page's parameters */
	struct str service, path, host, key, sidecar;
	uint32_t from;
};

static void put_more(struct json *j, const struct asking *q, const struct spec_upstream *u, uint32_t i)
{
	char more[1024];

	snprintf(more, sizeof(more), "/explain?service=%.*s&from=%u%s%.*s", STR_ARG(u->name), i,
		q->sidecar.n ? "&sidecar=" : "", (int)(q->sidecar.n < 256 ? q->sidecar.n : 256),
		q->sidecar.n ? q->sidecar.p : "");
	json_put_strz(j, "candidates_more", more);
}

static void put_candidates(struct json *j, const struct text *page, const struct asking *q,
	const struct spec_upstream *u, const struct balance_part *part)
{
	struct balance_census census;
	uint32_t i = q->from;

	balance_count(&u->balance, &census);
	json_put_u64(j, "available", census.available);
	json_key(j, "panic");
	json_bool(j, census.panic);
	json_put_u64(j, "candidates_total", u->balance.n);
	json_key(j, "candidates");
	json_array(j);
	for (; i < u->balance.n && page->n < LISTED_BYTES; i++)
		put_candidate(j, u, part, &census, i);
	json_end(j);
	if (i < u->balance.n)
		put_more(j, q, u, i);
}

/* --- the request ------------------------------------------------------------------------------------------------------------ */

/* ?key= says it; of balance.hash=query:NAME the path may. */
static struct str key_of(const struct asking *q, const struct spec_upstream *u)
{
	size_t mark = str_find(q->path, '?');
	struct str rest, pair;

	if (q->key.n || u->hash_kind != HASH_QUERY || mark == SIZE_MAX)
		return q->key;
	rest = str_make(q->path.p + mark + 1, q->path.n - mark - 1);
	while (str_next(&rest, '&', &pair))
		if (pair.n > u->hash_name.n && str_starts(pair, u->hash_name) &&
			pair.p[u->hash_name.n] == '=')
			return str_make(pair.p + u->hash_name.n + 1, pair.n - u->hash_name.n - 1);
	return STR("");
}

static void put_choice(struct json *j, const struct text *page, const struct agent *a, const struct asking *q,
	const struct spec_upstream *u)
{
	struct balance_request like = { 0 };
	struct str key = u->balancing.policy == BALANCE_RING_HASH ? key_of(q, u) : STR("");
	unsigned which;
	struct balance_part part = view_of(a, u, &which);

	like.has_hash = key.n > 0;
	like.hash = key.n ? balance_id(key.p, key.n) : 0;
	json_put_str(j, "upstream", u->name);
	json_put_strz(j, "source", u->source ? u->source : "options");
	json_put_strz(j, "balance", balance_policy_name(u->balancing.policy));
	json_key(j, "key");
	if (key.n)
		json_str(j, key);
	else
		json_null(j);
	json_key(j, "worker"); /* whose figures these are; null: none called it yet */
	if (which < a->n_workers)
		json_u64(j, which);
	else
		json_null(j);
	put_picked(j, u, &part, &like);
	put_candidates(j, page, q, u, &part);
}

/* --- which upstream ----------------------------------------------------------------------------------------------------------- */

/* The edge's route for a path; a sidecar has none. */
static const struct spec_route *route_for(const struct spec_sidecar *s, struct str host, struct str path)
{
	for (uint32_t i = 0; s->is_edge && i < s->n_routes; i++)
		if (spec_route_matches(&s->routes[i], host, path.n ? path : STR("/")))
			return &s->routes[i];
	return NULL;
}

/* The one that was named, else the first that calls the service, else the first. NULL: there is no such. */
static const struct spec_sidecar *sidecar_for(const struct agent *a, const struct asking *q)
{
	const struct spec_sidecar *first = NULL;

	for (uint32_t i = 0; i < a->n_sidecars; i++) {
		const struct spec_sidecar *s = a->sidecars[i].spec;
		if (q->sidecar.n && !str_ieq(s->service, q->sidecar))
			continue;
		if (!first)
			first = s;
		if (!q->service.n || spec_find_upstream(s, q->service))
			return s;
	}
	return first;
}

static const char *why_none(const struct spec_sidecar *s, const struct asking *q)
{
	if (s && s->is_edge && !q->service.n)
		return "no route of this edge matches the host and path";
	if (!q->service.n)
		return "say which service is called: ?service=quotes";
	if (s && s->discovers)
		return "no option names that service and nobody called it yet: the first call asks the "
		       "registries";
	return "no option names that service: a call to it would be egress";
}

static void put_answer(struct json *j, const struct text *page, const struct agent *a, const struct asking *q,
	const struct spec_sidecar *s)
{
	const struct spec_route *route = s ? route_for(s, q->host, q->path) : NULL;
	const struct spec_upstream *u = s && q->service.n ? spec_find_upstream(s, q->service)
					: route           ? route->upstream
							  : NULL;

	if (route && u != route->upstream)
		route = NULL; /* that path leads elsewhere */
	json_put_str(j, "sidecar", s ? s->service : STR(""));
	json_put_str(j, "service", q->service);
	json_put_str(j, "path", q->path);
	json_key(j, "route");
	if (route)
		json_str(j, route->name);
	else
		json_null(j);
	if (u) {
		put_choice(j, page, a, q, u);
		return;
	}
	json_put_strz(j, "upstream", NULL);
	json_put_strz(j, "why", why_none(s, q));
}

void admin_page_explain(struct admin *a, struct httpd_request *r)
{
	struct asking q = { .service = httpd_query(r, "service"),
		.path = httpd_query(r, "path"),
		.host = httpd_query(r, "host"),
		.key = httpd_query(r, "key"),
		.sidecar = httpd_query(r, "sidecar") };
	struct text t;

	if (!admin_from(r, &q.from))
		return;
	const struct spec_sidecar *s = sidecar_for(a->agent, &q);
	if (!s && q.sidecar.n) {
		admin_refuse(r, 404, "no-such-sidecar", "No sidecar of this agent has that service.",
			"GET /sidecars lists them.");
		return;
	}
	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	put_answer(&j, &t, a->agent, &q, s);
	json_end(&j);
	admin_reply(r, 200, &t);
}
