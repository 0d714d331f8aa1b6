/* Admin pages about upstreams and their endpoints: /upstreams, and draining by hand. */
#include "control/admin.h"
#include "control/endpoint_state.h"

#include "base/mem.h"

/* A monotonic instant as wall time; 0: null. */
static void put_instant(struct json *j, const char *key, usec at)
{
	char iso[25];
	usec mono = clock_now(), wall = clock_wall();
	json_key(j, key);
	if (at)
		clock_iso(at <= mono ? wall - (mono - at) : wall + (at - mono), iso);
	json_strz(j, at ? iso : NULL);
}

static void put_last_error(struct json *j, const struct last_error_sum *l)
{
	bool refused = l->at && l->reason == REASON_NONE;
	char at[25], status[24];
	if (l->at)
		clock_iso(l->at, at);
	snprintf(status, sizeof(status), "status %u", l->error);
	json_put_strz(j, "last_error", refused ? status : l->at ? reason_word((enum reason)l->reason) : NULL);
	json_put_strz(j, "last_errno", l->at && l->error && !refused ? strerror((int)l->error) : NULL);
	json_put_strz(j, "last_error_at", l->at ? at : NULL);
}

/* --- state of an endpoint -------------------------------------------------------------------------------------- */

static void put_state(struct json *j, const struct balance_cell *c)
{
	uint64_t word = cell_word(c);
	struct endpoint_state state = endpoint_state(c);

	json_put_strz(j, "state", state.word);
	json_put_strz(j, "why", state.why);
	put_instant(j, "since", atomic_load_explicit(&c->since, memory_order_relaxed));
	if (outlier_state(word) != OUTLIER_IN)
		put_instant(j, "until", outlier_until(word));
	json_put_u64(j, "ejected_times", outlier_times(word));
}

/* --- what its registry and its agent say ---------------------------------------------------------------------------- */

static void put_info(struct json *j, const struct registry_endpoint *e)
{
	json_put_str(j, "instance", e->instance);
	json_put_str(j, "node", e->node);
	json_put_str(j, "zone", e->zone);
	json_put_u64(j, "weight", e->weight);
	json_key(j, "meta");
	json_object(j);
	for (size_t i = 0; i < e->n_meta; i++) {
		json_keyn(j, e->meta[i].key);
		json_str(j, e->meta[i].value);
	}
	json_end(j);
}

static void put_hello(struct json *j, struct str hello)
{
	struct str pair;
	json_key(j, "agent");
	if (!hello.n || str_eq(hello, STR(HELLO_NONE))) {
		json_null(j);
		return;
	}
	json_object(j);
	while (str_next(&hello, ';', &pair)) {
		size_t equals = str_find(pair, '=');
		if (equals == SIZE_MAX || equals == 0)
			continue;
		json_keyn(j, str_make(pair.p, equals));
		json_str(j, str_make(pair.p + equals + 1, pair.n - equals - 1));
	}
	json_end(j);
}

/* The active check: null where there is none, else "passes" or why it failed. */
static void put_check(struct json *j, const struct agent *a, uint32_t slot)
{
	const char *why = a->health ? health_why(a->health, slot) : NULL;

	json_put_strz(j, "check", why && why[0] == '\0' ? "passes" : why);
}

static void put_endpoint(struct json *j, const struct agent *a, const struct spec_upstream *u, uint32_t i)
{
	const struct spec_endpoint *e = &u->endpoints[i];
	struct endpoint_sum s;

	agent_sum_endpoint(a, e->slot, &s);
	json_object(j);
	json_put_strz(j, "address", e->text);
	if (i < u->balance.n)
		put_state(j, u->balance.cells[i]);
	put_check(j, a, e->slot);
	if (e->info)
		put_info(j, e->info);
	put_hello(j, discovery_hello(a->discovery, &e->addr));
	json_key(j, "latency_ms");
	if (s.cost > 0)
		json_num(j, s.cost / 1000);
	else
		json_null(j);
	json_put_u64(j, "active", s.active);
	json_put_u64(j, "idle", s.idle);
	json_put_u64(j, "attempts", s.attempts);
	json_put_u64(j, "failures", s.failures);
	json_put_u64(j, "connects", s.connects);
	put_last_error(j, &s.last);
	json_end(j);
}

/* --- /upstreams ------------------------------------------------------------------------------------------------------- */

#define LISTED_BYTES (ADMIN_PAGE_MAX * 3 / 4) /* then a page lists no further endpoints, but says where they are */
#define NAMED_BYTES (ADMIN_PAGE_MAX * 7 / 8)  /* then it names no further upstreams, but says how many there are */

struct listing {
	struct json *j;
	const struct text *page;
	const struct agent *agent;
	struct str only; /* this upstream alone; empty: all */
	uint32_t from;   /* endpoint */
	uint64_t omitted; /* upstreams */
};

static void put_endpoints(struct listing *l, const struct spec_upstream *u)
{
	uint32_t i = l->from;

	json_put_u64(l->j, "endpoints_total", u->n_endpoints);
	json_key(l->j, "endpoints");
	json_array(l->j);
	for (; i < u->n_endpoints && l->page->n < LISTED_BYTES; i++)
		put_endpoint(l->j, l->agent, u, i);
	json_end(l->j);
	if (i >= u->n_endpoints)
		return;
	char more[512];
	snprintf(more, sizeof(more), "/upstreams?service=%.*s&from=%u", STR_ARG(u->name), i);
	json_put_strz(l->j, "endpoints_more", more);
}

static void put_upstream(struct listing *l, const struct agent_sidecar *s, const struct spec_upstream *u)
{
	struct json *j = l->j;
	const struct agent *a = l->agent;
	static const char *const kinds[] = {
		[UPSTREAM_SERVICE] = "service",
		[UPSTREAM_HANDLER] = "handler",
		[UPSTREAM_LOCAL] = "local",
		[UPSTREAM_EXTERNAL] = "external",
	};
	static const char *const modes[] = {
		[MODE_ON] = "on", [MODE_OBSERVE] = "observe", [MODE_OFF] = "off"
	};
	struct upstream_sum sum;
	if (!u || (l->only.n && !str_eq(l->only, u->name)))
		return;
	if (l->page->n >= NAMED_BYTES) {
		l->omitted++;
		return;
	}
	agent_sum_upstream(a, u->slot, &sum);
	json_object(j);
	json_put_str(j, "sidecar", s->spec->service);
	json_put_str(j, "instance", agent_sidecar_name(s));
	json_put_str(j, "name", u->name);
	json_put_strz(j, "kind", u->kind <= UPSTREAM_EXTERNAL ? kinds[u->kind] : "?");
	json_put_strz(j, "mode", u->mode <= MODE_OFF ? modes[u->mode] : "?");
	if (u->kind == UPSTREAM_SERVICE) {
		json_put_strz(j, "source", u->source ? u->source : u->n_endpoints ? "options" : NULL);
		json_put_strz(j, "balance", balance_policy_name(u->balancing.policy));
	}
	json_put_u64(j, "requests", sum.requests);
	json_put_u64(j, "failures", sum.failures);
	json_put_u64(j, "active", sum.active);
	json_put_u64(j, "retries", sum.retries);
	put_last_error(j, &sum.last);
	put_endpoints(l, u);
	json_end(j);
}

static void put_registries(struct json *j, const struct agent *a)
{
	json_key(j, "registries");
	json_array(j);
	for (size_t i = 0; a->discovery && i < discovery_count(a->discovery); i++) {
		struct discovery_view v = discovery_view(a->discovery, i);
		char at[25];
		if (v.at)
			clock_iso(v.at, at);
		json_object(j);
		json_put_strz(j, "registry", v.name);
		json_key(j, "well");
		json_bool(j, v.trouble[0] == '\0');
		json_put_strz(j, "trouble", v.trouble[0] ? v.trouble : NULL);
		json_put_u64(j, "services", v.services);
		json_put_u64(j, "endpoints", v.endpoints);
		json_put_u64(j, "updates", v.updates);
		json_put_strz(j, "updated_at", v.at ? at : NULL);
		json_end(j);
	}
	json_end(j);
}

bool admin_from(struct httpd_request *r, uint32_t *ret)
{
	struct str said = httpd_query(r, "from");
	uint64_t from = 0;

	if (said.n && (!str_u64(said, &from) || from > UINT32_MAX)) {
		admin_refuse(r, 400, "bad-from", "`from` is the number of an endpoint.", "GET /upstreams?service=<service>&from=1000");
		return false;
	}
	*ret = (uint32_t)from;
	return true;
}

void admin_page_upstreams(struct admin *a, struct httpd_request *r)
{
	struct text t;
	uint32_t from;

	if (!admin_from(r, &from))
		return;
	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	struct listing l = { .j = &j, .page = &t, .agent = a->agent, .only = httpd_query(r, "service"), .from = from };
	json_object(&j);
	json_put_u64(&j, "version", a->agent->n_sidecars ? a->agent->sidecars[0].spec->version : 0);
	put_registries(&j, a->agent);
	json_key(&j, "upstreams");
	json_array(&j);
	for (uint32_t i = 0; i < a->agent->n_sidecars; i++) {
		const struct agent_sidecar *s = &a->agent->sidecars[i];
		put_upstream(&l, s, s->spec->handler);
		for (uint32_t k = 0; k < s->spec->n_upstreams; k++)
			put_upstream(&l, s, s->spec->upstreams[k]);
		put_upstream(&l, s, s->spec->local);
		put_upstream(&l, s, s->spec->external);
	}
	json_end(&j);
	if (l.omitted)
		json_put_u64(&j, "upstreams_omitted", l.omitted); /* ?service= shows each */
	json_end(&j);
	admin_reply(r, 200, &t);
}

/* --- PUT /upstreams/<service>/endpoints/<address>?state=drained|up ------------------------------------------------------ */

#define PREFIX "/upstreams/"
#define MIDDLE "/endpoints/"

static bool split_path(struct str path, struct str *service, struct str *address)
{
	struct str rest = str_make(path.p + sizeof(PREFIX) - 1, path.n - (sizeof(PREFIX) - 1));
	const char *at = rest.n ? memmem(rest.p, rest.n, MIDDLE, sizeof(MIDDLE) - 1) : NULL;
	if (!at)
		return false;
	*service = str_make(rest.p, (size_t)(at - rest.p));
	*address = str_make(at + sizeof(MIDDLE) - 1, rest.n - service->n - (sizeof(MIDDLE) - 1));
	return service->n && address->n;
}

static unsigned set_state(const struct admin *a, struct str service, struct str address, bool drained)
{
	unsigned n = 0;
	usec now = clock_now();
	for (uint32_t i = 0; i < a->agent->n_sidecars; i++) {
		const struct spec_upstream *u = spec_find_upstream(a->agent->sidecars[i].spec, service);
		for (uint32_t k = 0; u && k < u->balance.n; k++) {
			if (!str_eq(str_of(u->endpoints[k].text), address))
				continue;
			if (!drained)
				outlier_reset(u->balance.cells[k], u->balance.tally, now);
			outlier_hold(u->balance.cells[k], u->balance.tally, BALANCE_HOLD_DRAINED, drained, true, now);
			n++;
		}
	}
	return n;
}

static void say_drained(struct log *log, struct str service, struct str address, bool drained)
{
	char upstream[256], endpoint[ADDR_TEXT_MAX];

	if (!str_copy(service, upstream, sizeof(upstream)) || !str_copy(address, endpoint, sizeof(endpoint)))
		return; /* no upstream is called so, and none has such an endpoint */
	log_write(log, LEVEL_INFO, "discovery", drained ? "an endpoint is drained by hand" : "an endpoint is put back by hand",
		LOG_FIELDS(log_text("upstream", upstream), log_text("endpoint", endpoint)));
}

void admin_page_endpoint_state(struct admin *a, struct httpd_request *r)
{
	struct str service, address, state = httpd_query(r, "state");
	bool drained = str_eq(state, STR("drained"));
	struct text t;

	if (!split_path(httpd_path(r), &service, &address) || (!drained && !str_eq(state, STR("up")))) {
		admin_refuse(r, 400, "bad-endpoint", "Expected an endpoint and what to make of it.",
			"PUT /upstreams/<service>/endpoints/<address>?state=drained, or state=up");
		return;
	}
	if (!set_state(a, service, address, drained)) {
		admin_refuse(r, 404, "no-such-endpoint", "There is no such upstream, or it has no such endpoint.",
			"GET /upstreams lists them; addresses as they stand there.");
		return;
	}
	say_drained(a->agent->log, service, address, drained);
	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	json_put_str(&j, "upstream", service);
	json_put_str(&j, "endpoint", address);
	json_put_str(&j, "state", state);
	json_end(&j);
	admin_reply(r, 200, &t);
}
