/* Admin pages of the flight recorder: /failures, /traces, and the stream /tap. The explanation of one exchange: admin_why.c. */
#include "control/admin.h"

#include "base/mem.h"
#include "base/unit.h"
#include "control/phases.h"
#include "control/record_filter.h"
#include "control/span_json.h"
#include "control/spans.h"

#include <stdio.h>

#define ROWS_DEFAULT 100u
#define ROWS_MAX 1000u
#define TRACES_MAX 500u
#define OF_TRACE_MAX 256u /* exchanges of one trace that are looked at */
#define FULL_BYTES (ADMIN_PAGE_MAX * 3 / 4)

static void put_str(struct json *j, const char *key, struct str s)
{
	json_key(j, key);
	if (s.n)
		json_str(j, s);
	else
		json_null(j);
}

static void put_ms(struct json *j, const char *key, uint64_t us)
{
	json_key(j, key);
	json_num(j, (double)us / 1000);
}

static void put_time(struct json *j, const char *key, usec wall)
{
	char iso[25];

	clock_iso(wall, iso);
	json_key(j, key);
	json_strz(j, iso);
}

void admin_peer_text(const struct record_peer *p, char dst[ADDR_TEXT_MAX])
{
	struct addr a = { .len = 0 };

	if (p->family == 4) {
		a.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(p->port) };
		a.len = sizeof(a.in);
		memcpy(&a.in.sin_addr, p->ip, 4);
	} else if (p->family == 6) {
		a.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(p->port) };
		a.len = sizeof(a.in6);
		memcpy(&a.in6.sin6_addr, p->ip, 16);
	}
	if (a.len)
		addr_text(&a, dst);
	else
		dst[0] = '\0';
}

/* --- how far back it reaches ------------------------------------------------------------------------------------------------- */

void admin_put_reach(struct json *j, const struct agent *g)
{
	static const struct { const char *key; enum flight_class class; } rows[] = { { "failures_and_slow", FLIGHT_KEPT }, { "others", FLIGHT_OTHER } };
	usec now = clock_now(), wall = clock_wall();

	json_key(j, "reaches_back");
	json_object(j);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct flight_reach v = flight_reach(g->flight, rows[i].class, now);
		char since[64], seconds[64];
		snprintf(seconds, sizeof(seconds), "%s_s", rows[i].key);
		snprintf(since, sizeof(since), "%s_since", rows[i].key);
		json_put_u64(j, seconds, v.back / USEC_SEC);
		put_time(j, since, wall - v.back);
		if (g->seat)
			continue; /* how many others there are is not of this sidecar's business */
		snprintf(since, sizeof(since), "%s_kept", rows[i].key);
		json_put_u64(j, since, v.entries);
		snprintf(since, sizeof(since), "%s_pushed_out", rows[i].key);
		json_put_u64(j, since, v.pushed_out);
		snprintf(since, sizeof(since), "%s_left_out", rows[i].key); /* of a sidecar that had more than half of it */
		json_put_u64(j, since, v.left_out);
	}
	json_put_u64(j, "bytes", flight_bytes(g->flight));
	json_end(j);
}

bool admin_has_flight(struct admin *a, struct httpd_request *r)
{
	if (a->agent->flight)
		return true;
	admin_refuse(r, 404, "no-recorder", "There is no flight recorder: outrider.flight.size is off.", "Set it, 1MiB for example, and start the agent anew.");
	return false;
}

/* --- /failures ----------------------------------------------------------------------------------------------------------------- */

static void put_failure(struct json *j, const struct flight_entry *e)
{
	const struct record *r = e->record;
	char peer[ADDR_TEXT_MAX] = "";

	uint16_t first = r->n_tries > 1 ? record_tries(r)[0].reason : 0; /* why it was tried again */

	if (r->n_tries)
		admin_peer_text(&record_tries(r)[r->n_tries - 1].peer, peer);
	json_object(j);
	put_time(j, "time", r->started);
	put_str(j, "service", e->who.service);
	put_str(j, "listener", str_of(record_listener(r)));
	put_str(j, "upstream", record_text(r, RECORD_UPSTREAM));
	put_str(j, "endpoint", str_of(peer));
	json_put_u64(j, "attempts", r->n_tries);
	json_put_u64(j, "status", r->status);
	put_str(j, "reason", r->reason ? str_of(reason_word((enum reason)r->reason)) : STR(""));
	put_str(j, "retried_for", first ? str_of(reason_word((enum reason)first)) : STR(""));
	put_ms(j, "duration_ms", r->duration);
	put_str(j, "method", record_text(r, RECORD_METHOD));
	put_str(j, "path", record_text(r, RECORD_PATH));
	put_str(j, "request_id", record_text(r, RECORD_REQUEST_ID));
	json_end(j);
}

static bool read_number(struct httpd_request *r, const char *name, uint64_t usual, uint64_t max, uint64_t *ret)
{
	struct str s = httpd_query(r, name);

	*ret = usual;
	return !s.n || (str_u64(s, ret) && *ret <= max && *ret > 0);
}

/* Rows until the page is full; the number of the last one looked at when there may be more, else 0. */
static uint64_t put_failures(struct json *j, const struct text *page, struct flight_walk *w, const struct record_filter *f, uint64_t limit)
{
	struct flight_entry e;
	uint64_t n = 0, last = 0;

	while (flight_next(w, &e)) {
		last = e.number;
		if ((!(e.record->why & RECORD_FAILED) && !f->slow && !f->retried) || !record_filter_fits(f, &e.who, e.record))
			continue;
		put_failure(j, &e);
		if (++n == limit || page->n > FULL_BYTES)
			return last;
	}
	return w->steps >= FLIGHT_STEPS_MAX ? last : 0;
}

void admin_page_failures(struct admin *a, struct httpd_request *r)
{
	struct record_filter f;
	struct flight_walk w;
	uint64_t before, limit;
	struct text t;

	if (!admin_has_flight(a, r))
		return;
	const char *bad = record_filter_read(&f, r);
	if (!read_number(r, "before", 0, UINT64_MAX, &before))
		bad = "before";
	if (!read_number(r, "limit", ROWS_DEFAULT, ROWS_MAX, &limit))
		bad = "limit";
	if (bad) {
		admin_refuse(r, 400, "bad-filter", bad, "?service=&upstream=&route=&status=503|5xx|500-599&reason=WORD&path=/begin&method=&slow=500ms&retried=true&limit=100&before=NUMBER");
		return;
	}
	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	json_key(&j, "failures");
	json_array(&j);
	flight_walk(a->agent->flight, true, a->agent->seat, before, clock_now(), &w);
	uint64_t next = put_failures(&j, &t, &w, &f, limit);
	json_end(&j);
	json_key(&j, "next_before"); /* ?before= of the next page */
	if (next)
		json_u64(&j, next);
	else
		json_null(&j);
	admin_put_reach(&j, a->agent);
	json_end(&j);
	admin_reply(r, 200, &t);
}

/* --- /traces ------------------------------------------------------------------------------------------------------------------- */

struct trace_list {
	struct admin *admin;
	struct str service; /* empty: any */
	bool failed_only;
	usec slow;
	uint64_t limit, n;
	struct { uint64_t hi, lo; } seen[TRACES_MAX * 4]; /* open addressing; both 0: free */
	unsigned n_seen;
	struct flight_entry of[OF_TRACE_MAX];
	struct span_set set;
};

/* Is it seen for the first time? */
static bool is_new(struct trace_list *l, uint64_t hi, uint64_t lo)
{
	const unsigned cap = TRACES_MAX * 4;
	unsigned i = (unsigned)((lo * 0x9e3779b97f4a7c15u) >> 40) % cap;

	for (; l->seen[i].hi | l->seen[i].lo; i = (i + 1) % cap)
		if (l->seen[i].hi == hi && l->seen[i].lo == lo)
			return false;
	if (l->n_seen == cap / 2)
		return false;
	l->n_seen++;
	l->seen[i].hi = hi;
	l->seen[i].lo = lo;
	return true;
}

struct trace_sum {
	const struct flight_entry *root;
	usec from, to;
	uint64_t spans;
	bool failed, of_service;
};

static struct trace_sum sum_up(struct trace_list *l, size_t n)
{
	struct trace_sum s = { .from = UINT64_MAX };

	for (size_t i = 0; i < n; i++) {
		const struct flight_entry *e = &l->of[i];
		const struct record *r = e->record;
		/* Of two that began in the same microsecond the one that is nobody's child is the root. */
		if (r->started < s.from || (r->started == s.from && !r->parent))
			s.root = e;
		s.from = r->started < s.from ? r->started : s.from;
		s.to = r->started + r->duration > s.to ? r->started + r->duration : s.to;
		s.failed = s.failed || r->why & RECORD_FAILED;
		s.of_service = s.of_service || !l->service.n || str_ieq(l->service, e->who.service);
		spans_of(&e->who, r, &l->set);
		s.spans += l->set.n;
	}
	return s;
}

static void put_trace(struct json *j, struct trace_list *l, const struct record *of)
{
	struct agent *g = l->admin->agent;
	size_t n = flight_find_trace(g->flight, of->trace_hi, of->trace_lo, g->seat, clock_now(), l->of, OF_TRACE_MAX);
	struct trace_sum s = sum_up(l, n);
	char id[33];

	if (!s.root || !s.of_service || (l->failed_only && !s.failed) || s.to - s.from < l->slow)
		return;
	l->n++;
	span_trace_id(of->trace_hi, of->trace_lo, id);
	json_object(j);
	put_str(j, "trace_id", str_of(id));
	put_time(j, "time", s.from);
	put_str(j, "service", s.root->who.service);
	put_str(j, "method", record_text(s.root->record, RECORD_METHOD));
	put_str(j, "path", record_text(s.root->record, RECORD_PATH));
	put_ms(j, "duration_ms", s.to - s.from);
	json_key(j, "failed");
	json_bool(j, s.failed);
	json_put_u64(j, "spans", s.spans);
	json_put_u64(j, "exchanges", n);
	json_end(j);
}

static const char *read_list(struct trace_list *l, struct admin *a, struct httpd_request *r)
{
	struct str slow = httpd_query(r, "slow"), failed = httpd_query(r, "failed");

	l->admin = a;
	l->service = httpd_query(r, "service");
	l->failed_only = failed.p && !str_ieq(failed, STR("false")) && !str_ieq(failed, STR("no"));
	if (slow.n && !duration_parse(slow, &l->slow))
		return "slow";
	return read_number(r, "limit", ROWS_DEFAULT, TRACES_MAX, &l->limit) ? NULL : "limit";
}

static void list_traces(struct trace_list *l, struct httpd_request *r)
{
	struct agent *g = l->admin->agent;
	struct flight_walk w;
	struct flight_entry e;
	struct text t;

	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	json_key(&j, "traces");
	json_array(&j);
	flight_walk(g->flight, false, g->seat, 0, clock_now(), &w);
	while (l->n < l->limit && t.n < FULL_BYTES && flight_next(&w, &e))
		if (e.record->why & RECORD_TRACED && is_new(l, e.record->trace_hi, e.record->trace_lo))
			put_trace(&j, l, e.record);
	json_end(&j);
	admin_put_reach(&j, g);
	json_end(&j);
	admin_reply(r, 200, &t);
}

void admin_page_traces(struct admin *a, struct httpd_request *r)
{
	if (!admin_has_flight(a, r))
		return;
	struct trace_list *l = mem_zalloc(sizeof(*l));
	const char *bad = l ? read_list(l, a, r) : NULL;
	if (!l)
		admin_refuse(r, 503, "no-memory", "The agent is short of memory.", "Raise the limit of the container.");
	else if (bad)
		admin_refuse(r, 400, "bad-filter", bad, "?service=&slow=500ms&failed=true&limit=100");
	else
		list_traces(l, r);
	mem_free(l);
}

/* What was not sampled has an id that came, and no spans. */
static bool has_spans(const struct trace_list *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (l->of[i].record->why & RECORD_TRACED)
			return true;
	return false;
}

void admin_page_trace(struct admin *a, struct httpd_request *r)
{
	static const struct str prefix = { "/traces/", 8 };
	struct str path = httpd_path(r);
	struct agent *g = a->agent;
	uint64_t hi, lo;
	struct text t;

	if (!admin_has_flight(a, r))
		return;
	struct trace_list *l = mem_zalloc(sizeof(*l));
	size_t n = l && span_trace_id_read(str_make(path.p + prefix.n, path.n - prefix.n), &hi, &lo)
			   ? flight_find_trace(g->flight, hi, lo, g->seat, clock_now(), l->of, OF_TRACE_MAX)
			   : 0;
	if (!n || !has_spans(l, n)) {
		mem_free(l);
		admin_refuse(r, 404, "no-such-trace", "No exchange of that trace is kept here.", "GET /traces lists those that are; /swarm/traces/ID asks all agents.");
		return;
	}
	flight_sort(l->of, n);
	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_array(&j);
	for (size_t i = 0; i < n && t.n < FULL_BYTES; i++) {
		l->of[i].who.node = g->node; /* all that is kept here was of it */
		spans_of(&l->of[i].who, l->of[i].record, &l->set);
		for (size_t k = 0; k < l->set.n; k++)
			span_json(&j, &l->set.at[k]);
	}
	json_end(&j);
	mem_free(l);
	admin_reply(r, 200, &t);
}

/* --- /tap ------------------------------------------------------------------------------------------------------------------------ */

void admin_page_tap(struct admin *a, struct httpd_request *r)
{
	const struct agent *g = a->agent;

	if (g->tap && (g->sees_swarm || g->seat))
		tap_serve(g->tap, r, g->sees_swarm ? 0 : g->seat);
	else
		admin_refuse(r, 503, "starting", "The agent is starting.", "Ask again in a moment.");
}
