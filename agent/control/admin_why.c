/* /why/ID: what became of a request, and which knob to turn, from the flight recorder. The sentences: why_says.c. */
#include "control/admin.h"
#include "control/endpoint_state.h"
#include "control/phases.h"
#include "control/span_json.h"
#include "control/why_says.h"

#define FOUND_MAX 50u
#define CANDIDATES_MAX 16u

static void put_str(struct json *j, const char *key, struct str s)
{
	json_key(j, key);
	if (s.n)
		json_str(j, s);
	else
		json_null(j);
}

static void put_text(struct json *j, const char *key, const char *z)
{
	put_str(j, key, str_of(z));
}

static void put_ms(struct json *j, const char *key, uint64_t us)
{
	json_key(j, key);
	json_num(j, (double)us / 1000);
}

/* --- what is known of the upstream now ------------------------------------------------------------------------------------ */

static const struct spec_sidecar *spec_of(const struct agent *g, const struct flight_entry *e)
{
	for (uint32_t i = 0; i < g->n_sidecars; i++) {
		const struct spec_sidecar *s = g->sidecars[i].spec;
		if (s && s->slot == e->record->slot && str_eq(s->service, e->who.service))
			return s;
	}
	return NULL;
}

static const struct spec_upstream *upstream_of(const struct spec_sidecar *s, const struct record *r)
{
	return s && r->kind != LISTEN_INBOUND ? spec_find_upstream(s, record_text(r, RECORD_UPSTREAM)) : NULL;
}

static void put_candidates(struct json *j, const struct spec_upstream *u)
{
	if (!u)
		return;
	json_key(j, "candidates_now");
	json_array(j);
	for (uint32_t i = 0; i < u->n_endpoints && i < CANDIDATES_MAX; i++) {
		struct endpoint_state s = i < u->balance.n ? endpoint_state(u->balance.cells[i])
							   : (struct endpoint_state){ "up", NULL };
		json_object(j);
		put_text(j, "endpoint", u->endpoints[i].text);
		put_text(j, "state", s.word);
		put_text(j, "why", s.why);
		json_end(j);
	}
	json_end(j);
	if (u->n_endpoints > CANDIDATES_MAX)
		json_put_u64(j, "candidates_left_out", u->n_endpoints - CANDIDATES_MAX);
}

/* What refused it, as it is now. One that calls of several actions share is told; those of single ones are on /circuits. */
static void put_circuit(struct json *j, const struct record *r, const struct spec_upstream *u)
{
	struct text t;

	if (r->reason != REASON_CIRCUIT_OPEN || !u || !u->circuit)
		return;
	text_init(&t, 256);
	admin_circuit_now(&t, u->circuit, &u->policy.breaker);
	put_str(j, "circuit_now", text_str(&t));
	text_release(&t);
}

/* --- one exchange ------------------------------------------------------------------------------------------------------------ */

static void put_try(struct json *j, const struct record *r, unsigned i)
{
	const struct record_try *t = &record_tries(r)[i];
	bool answered = t->status || t->head, sent = answered || t->sent;
	char peer[ADDR_TEXT_MAX];

	admin_peer_text(&t->peer, peer);
	json_object(j);
	json_put_u64(j, "attempt", i + 1u);
	put_text(j, "endpoint", peer);
	put_text(j, "connection", t->reused ? "reused" : "new");
	put_ms(j, "began_ms", t->started);
	json_key(j, "connect_ms");
	if (sent)
		json_num(j, (double)(t->sent > t->started ? t->sent - t->started : 0) / 1000);
	else
		json_null(j);
	json_key(j, "first_byte_ms");
	if (answered)
		json_num(j, (double)(t->head > t->sent ? t->head - t->sent : 0) / 1000);
	else
		json_null(j);
	put_ms(j, "took_ms", t->ended > t->started ? t->ended - t->started : 0);
	json_key(j, "status");
	if (t->status)
		json_u64(j, t->status);
	else
		json_null(j);
	put_text(j, "reason", t->reason ? reason_word((enum reason)t->reason) : "");
	json_end(j);
}

static void put_request(struct json *j, const struct agent *g, const struct flight_entry *e)
{
	const struct record *r = e->record;
	char iso[25], trace[33], peer[ADDR_TEXT_MAX];

	clock_iso(r->started, iso);
	put_text(j, "time", iso);
	put_text(j, "listener", record_listener(r));
	put_str(j, "service", e->who.service);
	if (e->who.stack.n)
		put_str(j, "stack", e->who.stack);
	if (e->who.slot.n)
		put_str(j, "slot", e->who.slot);
	if (g->node.n) /* all that is kept here was of it */
		put_str(j, "node", g->node);
	put_str(j, "request_id", record_text(r, RECORD_REQUEST_ID));
	span_trace_id(r->trace_hi, r->trace_lo, trace);
	put_text(j, "trace_id", r->trace_hi | r->trace_lo ? trace : "");
	put_str(j, "method", record_text(r, RECORD_METHOD));
	put_str(j, "host", record_text(r, RECORD_HOST));
	put_str(j, "path", record_text(r, RECORD_PATH));
	admin_peer_text(&r->client, peer);
	put_text(j, "client", peer);
	put_str(j, "user_agent", record_text(r, RECORD_USER_AGENT));
	put_str(j, "route", record_text(r, RECORD_ROUTE));
	put_str(j, "upstream", record_text(r, RECORD_UPSTREAM));
	json_put_u64(j, "status", r->status);
	put_text(j, "reason", r->reason ? reason_word((enum reason)r->reason) : "");
	json_put_u64(j, "bytes_in", r->bytes_in);
	json_put_u64(j, "bytes_out", r->bytes_out);
}

static void put_phases(struct json *j, const struct record *r)
{
	struct phases p = phases_of(r);

	if (r->accepted) /* before all of them */
		put_ms(j, "accept_ms", r->accepted);
	json_key(j, "phases");
	json_object(j);
	for (unsigned i = 0; i < PHASES; i++)
		put_ms(j, phase_key((enum phase)i), p.at[i]);
	put_ms(j, "all_ms", r->duration);
	json_end(j);
}

static void put_sentence(struct json *j, const char *key, struct text *t)
{
	if (t->n)
		put_str(j, key, text_str(t));
	text_clear(t);
}

static void put_blame(struct json *j, const struct record *r, const struct spec_upstream *u)
{
	struct why w = why_of(r);
	struct text t;

	text_init(&t, 2048);
	why_outcome(&t, r);
	put_sentence(j, "outcome", &t);
	put_text(j, "blame", w.blame);
	put_text(j, "stage", w.stage);
	put_text(j, "cause", w.cause);
	put_text(j, "remedy", w.remedy);
	why_slow(&t, r);
	put_sentence(j, "slow", &t);
	why_retries(&t, r, u);
	put_sentence(j, "retries", &t);
	text_release(&t);
}

static void put_exchange(struct json *j, const struct agent *g, const struct flight_entry *e)
{
	const struct record *r = e->record;
	const struct spec_upstream *u = upstream_of(spec_of(g, e), r);

	json_object(j);
	put_blame(j, r, u);
	put_request(j, g, e);
	put_phases(j, r);
	json_key(j, "attempts");
	json_array(j);
	for (unsigned i = 0; i < r->n_tries; i++)
		put_try(j, r, i);
	json_end(j);
	put_candidates(j, u);
	put_circuit(j, r, u);
	json_end(j);
}

/* --- the page ------------------------------------------------------------------------------------------------------------------ */

static bool is_among(const struct flight_entry *at, size_t n, uint64_t number)
{
	for (size_t i = 0; i < n; i++)
		if (at[i].number == number)
			return true;
	return false;
}

/* By request id and by trace id, in the order in which they began. */
static size_t find(const struct agent *g, struct str id, struct flight_entry found[FOUND_MAX])
{
	struct flight_entry traced[FOUND_MAX];
	usec now = clock_now();
	uint64_t hi, lo;
	size_t n = flight_find_request(g->flight, id, g->seat, now, found, FOUND_MAX);
	size_t more = span_trace_id_read(id, &hi, &lo)
			      ? flight_find_trace(g->flight, hi, lo, g->seat, now, traced, FOUND_MAX)
			      : 0;

	for (size_t i = 0; i < more && n < FOUND_MAX; i++)
		if (!is_among(found, n, traced[i].number))
			found[n++] = traced[i];
	flight_sort(found, n);
	return n;
}

static void put_hint(struct json *j, const struct flight_entry *found, size_t n)
{
	struct text t;
	char id[33];

	text_init(&t, 256);
	for (size_t i = 0; i < n && !t.n; i++) {
		if (!(found[i].record->why & RECORD_TRACED))
			continue;
		span_trace_id(found[i].record->trace_hi, found[i].record->trace_lo, id);
		text_fmt(&t, "outrider get /traces/%s, of all agents: outrider get /swarm/traces/%s", id, id);
	}
	put_sentence(j, "trace", &t);
	text_release(&t);
}

void admin_page_why(struct admin *a, struct httpd_request *r)
{
	static const struct str prefix = { "/why/", 5 };
	struct str path = httpd_path(r), id = str_make(path.p + prefix.n, path.n - prefix.n);
	struct flight_entry found[FOUND_MAX];
	struct text t;

	if (!admin_has_flight(a, r))
		return;
	size_t n = find(a->agent, id, found);
	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	put_str(&j, "id", id);
	json_put_u64(&j, "found", n);
	if (!n) {
		put_text(&j, "error", "not-found");
		put_text(&j, "cause",
			"No exchange with that request id or trace id is kept here: failures, slow ones, "
			"sampled traces and what the access log draws are kept, others are not.");
		put_text(&j, "remedy",
			"Ask all agents: outrider why ID --swarm. The request id is X-Request-Id of the "
			"reply or of the request; flight.size and access.sample keep more.");
	} else {
		json_key(&j, "exchanges");
		json_array(&j);
		for (size_t i = 0; i < n; i++)
			put_exchange(&j, a->agent, &found[i]);
		json_end(&j);
		put_hint(&j, found, n);
	}
	admin_put_reach(&j, a->agent);
	json_end(&j);
	admin_reply(r, n ? 200 : 404, &t);
}
