/* Admin pages about circuits: /circuits, and opening or closing one by hand. */
#include "control/admin.h"

#include <inttypes.h>

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

static void put_ms(struct json *j, const char *key, uint64_t us)
{
	json_key(j, key);
	json_num(j, (double)us / 1000);
}

/* Why the calls' failures opened it: what was counted then, since the window has moved on. */
static void say_cause(struct text *t, const struct breaker_view *v)
{
	text_fmt(t, "%u of %u calls had failed when it opened", v->cause_errors, v->cause_total);
	if (v->probes_failed)
		text_fmt(t, ", and %u probe%s since", v->probes_failed, v->probes_failed == 1 ? "" : "s");
}

void admin_circuit_why(struct text *t, const struct breaker_view *v, const struct breaker_policy *p)
{
	if (v->force == BREAKER_FORCE_OPEN || p->force == BREAKER_FORCE_OPEN)
		text_fmt(t, "opened by %s", v->force == BREAKER_FORCE_OPEN ? "hand" : "option breaker.force");
	else if (v->force == BREAKER_FORCE_CLOSED || p->force == BREAKER_FORCE_CLOSED)
		text_fmt(t, "kept closed by %s",
			v->force == BREAKER_FORCE_CLOSED ? "hand" : "option breaker.force");
	else if (!p->on)
		text_addz(t, "breaker=off");
	else if (v->state != BREAKER_CLOSED) {
		text_addz(t, v->state == BREAKER_HALF_OPEN ? "a probe decides: " : "");
		say_cause(t, v);
	} else if (v->total < p->volume)
		text_fmt(t, "%" PRIu64 " calls in the window, %u would be judged", v->total, p->volume);
	else
		text_fmt(t, "%u%% failed, %u%% would open it", v->error_percent, p->error_percent);
}

static const char *comma(const struct text *t)
{
	return t->n ? ", " : "";
}

void admin_circuit_faults(struct text *t, const struct spec_upstream *u)
{
	const struct spec_fault *f = &u->policy.fault;

	if (f->delay)
		text_fmt(t, "delay %" PRIu64 "ms of %u%%", f->delay / USEC_MS, f->delay_percent);
	if (f->abort)
		text_fmt(t, "%sabort %u of %u%%", comma(t), f->abort, f->abort_percent);
	if (f->reset_percent)
		text_fmt(t, "%sreset of %u%%", comma(t), f->reset_percent);
	if (f->throttle)
		text_fmt(t, "%sthrottle %" PRIu64 " bytes/s of %u%%", comma(t), f->throttle, f->throttle_percent);
	if (t->n && u->fault_name.n)
		text_fmt(t, "; calls with %.*s%s%.*s", STR_ARG(u->fault_name), u->fault_value.n ? "=" : "", STR_ARG(u->fault_value));
}

void admin_circuit_now(struct text *t, const struct circuit *c, const struct breaker_policy *p)
{
	usec now = clock_now();
	struct breaker_view v;
	char iso[25];

	breaker_look(&c->breaker, p, now, &v);
	usec at = v.force == BREAKER_AUTO && v.opened ? v.opened : v.since;
	text_addz(t, v.open ? breaker_state_word(v.force == BREAKER_AUTO && v.state ? v.state : BREAKER_OPEN)
			    : "closed");
	if (at && at <= now) {
		clock_iso(clock_wall() - (now - at), iso);
		text_fmt(t, " since %s", iso);
	}
	text_addz(t, ": ");
	admin_circuit_why(t, &v, p);
}

static void put_window(struct json *j, const struct breaker_view *v)
{
	static const struct {
		const char *key;
		enum circuit_event id;
	} rows[] = { { "success", CIRCUIT_SUCCESS }, { "failure", CIRCUIT_FAILURE },
		{ "timeout", CIRCUIT_TIMEOUT }, { "rejected", CIRCUIT_REJECTED },
		{ "shorted", CIRCUIT_SHORT }, { "bad_request", CIRCUIT_BAD }, { "aborted", CIRCUIT_ABORTED },
		{ "fallback", CIRCUIT_FALLBACK }, { "fallback_failed", CIRCUIT_FALLBACK_FAILED }, { "retry", CIRCUIT_RETRY },
		{ "retry_refused", CIRCUIT_RETRY_REFUSED } };

	json_key(j, "window");
	json_object(j);
	json_put_u64(j, "total", v->total);
	json_put_u64(j, "errors", v->errors);
	json_put_u64(j, "error_percent", v->error_percent);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		json_put_u64(j, rows[i].key, v->n[rows[i].id]);
	json_end(j);
}

static void put_latency(struct json *j, const struct circuit *c, usec now)
{
	struct latency_view l;

	latencies_look(&c->latencies, now, &l);
	json_key(j, "latency_ms");
	json_object(j);
	put_ms(j, "mean", l.mean);
	put_ms(j, "p50", latency_quantile(&l, 500));
	put_ms(j, "p90", latency_quantile(&l, 900));
	put_ms(j, "p99", latency_quantile(&l, 990));
	json_end(j);
}

static void put_circuit(
	struct json *j, const struct agent_sidecar *s, const struct spec_upstream *u, const struct circuit *c)
{
	const struct breaker_policy *p = &u->policy.breaker;
	const struct bulkhead *b = &c->bulkhead;
	usec now = clock_now();
	struct breaker_view v;
	struct text t;

	breaker_look(&c->breaker, p, now, &v);
	text_init(&t, 1024);
	admin_circuit_why(&t, &v, p);
	json_object(j);
	json_put_str(j, "sidecar", s->spec->service);
	json_put_str(j, "instance", agent_sidecar_name(s));
	json_put_str(j, "upstream", u->name);
	if (u->route.n)
		json_put_str(j, "route", u->route);
	if (circuit_label(c))
		json_put_strz(j, "key", circuit_label(c));
	json_put_strz(j, "state", p->on || v.open ? breaker_state_word(v.state) : "off");
	json_put_strz(j, "forced",
		breaker_force_word(v.force != BREAKER_AUTO ? v.force : (enum breaker_force)p->force));
	json_key(j, "open");
	json_bool(j, v.open);
	json_put_strz(j, "why", text_z(&t));
	text_clear(&t);
	admin_circuit_faults(&t, u);
	json_key(j, "faults");
	json_strz(j, t.n ? text_z(&t) : NULL);
	put_instant(j, "since", v.since);
	put_instant(j, "opened", v.opened);
	put_instant(j, "until", v.until);
	put_window(j, &v);
	put_latency(j, c, now);
	json_put_u64(j, "active", atomic_load_explicit(&b->active, memory_order_relaxed));
	json_put_u64(j, "queued", atomic_load_explicit(&b->queued, memory_order_relaxed));
	json_put_u64(j, "limit", circuit_limit(c, &u->policy.bulkhead));
	json_end(j);
	text_release(&t);
}

/* The upstream's, then those of single SOAP actions that were called. */
static void put_all(struct json *j, const struct agent_sidecar *s, const struct spec_upstream *u)
{
	put_circuit(j, s, u, u->circuit);
	for (unsigned i = 0; u->keyed && i < CIRCUIT_KEYS; i++)
		if (circuit_label(u->keyed[i]))
			put_circuit(j, s, u, u->keyed[i]);
}

void admin_page_circuits(struct admin *a, struct httpd_request *r)
{
	struct str only = httpd_query(r, "service");
	struct text t;

	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	json_key(&j, "circuits");
	json_array(&j);
	for (uint32_t i = 0; i < a->agent->n_sidecars; i++) {
		const struct agent_sidecar *s = &a->agent->sidecars[i];
		const struct spec_upstream *u, *handler = s->spec->handler;
		if (handler && handler->circuit && !only.n)
			put_circuit(&j, s, handler, handler->circuit);
		for (uint32_t k = 0; (u = spec_policy_at(s->spec, k)) != NULL; k++)
			if (u->circuit && (!only.n || str_eq(only, u->name)))
				put_all(&j, s, u);
	}
	json_end(&j);
	json_end(&j);
	admin_reply(r, 200, &t);
}

/* --- PUT /circuits/<service>/open|closed|auto --------------------------------------------------------------------------- */

#define PREFIX "/circuits/"

static bool force_named(struct str word, enum breaker_force *ret)
{
	static const struct {
		const char *word;
		enum breaker_force f;
	} rows[] = { { "open", BREAKER_FORCE_OPEN }, { "close", BREAKER_FORCE_CLOSED },
		{ "closed", BREAKER_FORCE_CLOSED }, { "auto", BREAKER_AUTO } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!str_eq(word, str_of(rows[i].word)))
			continue;
		*ret = rows[i].f;
		return true;
	}
	return false;
}

/* "quotes", or "quotes@api" of route api. */
static bool is_called(const struct spec_upstream *u, struct str name)
{
	size_t mark = str_find(name, '@');
	struct str route = mark == SIZE_MAX ? STR("") : str_make(name.p + mark + 1, name.n - mark - 1);

	return str_ieq(u->name, str_make(name.p, mark == SIZE_MAX ? name.n : mark)) &&
	       str_eq(u->route, route);
}

/* Is it pinned for bytes alone? Connections of tcp:// ask no circuit. */
static bool is_tcp_only(const struct spec_sidecar *s, const struct spec_upstream *u)
{
	bool tcp = false;

	for (uint32_t i = 0; i < s->n_listeners; i++) {
		if (s->listeners[i].upstream != u)
			continue;
		if (s->listeners[i].kind != LISTEN_PINNED_TCP)
			return false;
		tcp = true;
	}
	return tcp;
}

/* How many there are of that name; *tcp: of these such as only bytes are relayed to, which are left alone. */
static unsigned force_all(const struct admin *a, struct str name, enum breaker_force f, unsigned *tcp)
{
	const struct spec_upstream *u;
	unsigned n = 0;

	*tcp = 0;

	for (uint32_t i = 0; i < a->agent->n_sidecars; i++) {
		for (uint32_t k = 0; (u = spec_policy_at(a->agent->sidecars[i].spec, k)) != NULL; k++) {
			if (!u->circuit || !is_called(u, name))
				continue;
			n++;
			if (is_tcp_only(a->agent->sidecars[i].spec, u)) {
				(*tcp)++;
				continue;
			}
			breaker_set_force(&u->circuit->breaker, f, clock_now());
			for (unsigned key = 0; u->keyed && key < CIRCUIT_KEYS; key++)
				breaker_set_force(&u->keyed[key]->breaker, f, clock_now());
		}
	}
	return n;
}

void admin_page_circuit_state(struct admin *a, struct httpd_request *r)
{
	struct str path = httpd_path(r),
		   rest = str_make(path.p + sizeof(PREFIX) - 1, path.n - (sizeof(PREFIX) - 1));
	size_t slash = str_rfind(rest, '/');
	enum breaker_force f;
	struct text t;

	if (slash == SIZE_MAX || !force_named(str_make(rest.p + slash + 1, rest.n - slash - 1), &f)) {
		admin_refuse(r, 400, "bad-circuit", "Expected a service and what to make of its circuit.",
			"PUT /circuits/<service>/open, /close, or /auto to let it decide by itself again");
		return;
	}
	struct str service = str_make(rest.p, slash);
	unsigned tcp, n = force_all(a, service, f, &tcp);
	if (!n) {
		admin_refuse(r, 404, "no-such-circuit", "No sidecar of this agent knows that upstream.",
			"GET /circuits lists them.");
		return;
	}
	if (n == tcp) {
		admin_refuse(r, 409, "no-circuit-for-bytes", "That upstream is pinned as tcp:// only, and connections that are relayed as bytes ask no circuit.",
			"Put its instances aside instead: PUT /upstreams/<service>/endpoints/<address>?state=drained");
		return;
	}
	agent_note(a->agent, CHANGE_CIRCUIT, service, STR(""), "the circuit was set by hand: %s",
		breaker_force_word(f));
	text_init(&t, ADMIN_PAGE_MAX);
	text_add(&t, service);
	log_write(a->agent->log, LEVEL_INFO, "circuit", "a circuit was set by hand",
		LOG_FIELDS(log_text("upstream", text_z(&t)), log_text("force", breaker_force_word(f))));
	text_clear(&t);
	struct json j = json_begin(&t);
	json_object(&j);
	json_put_str(&j, "upstream", service);
	json_put_strz(&j, "force", breaker_force_word(f));
	json_end(&j);
	admin_reply(r, 200, &t);
}
