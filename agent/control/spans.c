#include "control/spans.h"

#include "base/reason.h"
#include "proxy/spec.h"

#include <stdio.h>

static bool is_server(const struct record *r)
{
	return r->kind == LISTEN_INBOUND || r->kind == LISTEN_EDGE;
}

static void tag(struct span *s, const char *key, struct str value)
{
	if (value.n && s->n_tags < SPAN_TAGS_MAX)
		s->tags[s->n_tags++] = (struct span_tag){ key, value };
}

static void note(struct span *s, uint64_t at, const char *what)
{
	if (s->n_notes < SPAN_NOTES_MAX)
		s->notes[s->n_notes++] = (struct span_note){ at, what };
}

static void set_remote(struct span *s, const struct record_peer *p, struct str service)
{
	s->remote = (struct span_peer){ .service = service, .family = p->family, .port = p->port };
	memcpy(s->remote.ip, p->ip, sizeof(p->ip));
}

/* Digits in the set's own memory. */
static struct str number(char dst[8], unsigned v)
{
	int n = snprintf(dst, 8, "%u", v);

	return str_make(dst, n > 0 ? (size_t)n : 0);
}

/* The method in lower case, as is the custom for names. */
static struct str name_of(const struct record *r, struct span_set *set)
{
	struct str m = record_text(r, RECORD_METHOD);
	size_t n = m.n < sizeof(set->name) ? m.n : sizeof(set->name);

	for (size_t i = 0; i < n; i++)
		set->name[i] = m.p[i] >= 'A' && m.p[i] <= 'Z' ? (char)(m.p[i] | 0x20) : m.p[i];
	return n ? str_make(set->name, n) : STR("http");
}

static struct span *add(struct span_set *set, const struct telemetry_who *who, const struct record *r, enum span_kind kind)
{
	struct span *s = &set->at[set->n++];

	*s = (struct span){ .trace_hi = r->trace_hi, .trace_lo = r->trace_lo, .kind = (uint8_t)kind, .debug = r->flags & RECORD_DEBUG,
			    .started = r->started, .duration = r->duration };
	s->local.service = who->service;
	return s;
}

static void tag_http(struct span *s, const struct record *r)
{
	tag(s, "http.method", record_text(r, RECORD_METHOD));
	tag(s, "http.path", record_text(r, RECORD_PATH));
	tag(s, "http.host", record_text(r, RECORD_HOST));
	tag(s, "http.route", record_text(r, RECORD_ROUTE));
}

static void tag_who(struct span *s, const struct telemetry_who *who, const struct record *r)
{
	tag(s, "outrider.stack", who->stack);
	tag(s, "outrider.slot", who->slot);
	tag(s, "outrider.node", who->node);
	tag(s, "request.id", record_text(r, RECORD_REQUEST_ID));
	if (r->flags & RECORD_INFERRED)
		tag(s, "outrider.inferred", STR("true"));
	if (r->flags & RECORD_FALLBACK)
		tag(s, "outrider.fallback", STR("true"));
}

static void tag_outcome(struct span_set *set, struct span *s, unsigned status, unsigned reason)
{
	struct str code = status ? number(set->statuses[s - set->at], status) : STR("");
	struct str word = reason ? str_of(reason_word((enum reason)reason)) : STR("");

	tag(s, "http.status_code", code);
	tag(s, "outrider.reason", word);
	s->failed = reason || status >= 400;
	if (s->failed)
		tag(s, "error", word.n ? word : code);
}

static void note_waits(struct span *s, const struct record *r)
{
	if (r->flags & RECORD_PARKED)
		note(s, r->started, "endpoint-wait");
	if (r->flags & RECORD_QUEUED)
		note(s, r->started + r->queued, "queue");
	if (r->reason == REASON_CIRCUIT_OPEN)
		note(s, r->started + r->routed, "circuit.open");
	for (unsigned i = 1; i < r->n_tries; i++)
		note(s, r->started + record_tries(r)[i].started, "retry");
}

static void add_server(struct span_set *set, const struct telemetry_who *who, const struct record *r, struct str name)
{
	struct span *s = add(set, who, r, SPAN_SERVER);

	s->id = r->span;
	s->parent = r->parent;
	s->shared = r->flags & RECORD_SHARED;
	s->name = name;
	set_remote(s, &r->peer, STR(""));
	tag_http(s, r);
	tag_outcome(set, s, r->status, r->reason);
	tag_who(s, who, r);
	note_waits(s, r);
}

static uint64_t caller_of(const struct record *r)
{
	return is_server(r) ? r->span : r->parent;
}

static void add_try(struct span_set *set, const struct telemetry_who *who, const struct record *r, unsigned i, struct str name)
{
	const struct record_try *t = &record_tries(r)[i];
	struct span *s = add(set, who, r, SPAN_CLIENT);
	bool last = i + 1u == r->n_tries;

	s->id = t->span;
	s->parent = i ? r->retry : caller_of(r);
	s->name = name;
	s->started = r->started + t->started;
	s->duration = t->ended > t->started ? t->ended - t->started : 1;
	set_remote(s, &t->peer, record_text(r, RECORD_UPSTREAM));
	tag_http(s, r);
	tag_outcome(set, s, t->status ? t->status : last ? r->status : 0, t->reason ? t->reason : last ? r->reason : 0);
	if (i)
		tag(s, "retry.attempt", number(set->attempts[s - set->at], i));
	tag_who(s, who, r);
	if (i == 0 && !is_server(r))
		note_waits(s, r);
}

/* What holds the attempts after the first together. */
static void add_retry(struct span_set *set, const struct telemetry_who *who, const struct record *r)
{
	const struct record_try *t = record_tries(r);
	struct span *s = add(set, who, r, SPAN_LOCAL);
	uint32_t from = t[1].started, to = t[r->n_tries - 1].ended;

	s->id = r->retry;
	s->parent = caller_of(r) ? caller_of(r) : t[0].span;
	s->name = STR("retry");
	s->started = r->started + from;
	s->duration = to > from ? to - from : 1;
}

static uint64_t mixed(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return z ? z : 1;
}

/* Nothing was sent: the call itself, without a peer. */
static void add_refused(struct span_set *set, const struct telemetry_who *who, const struct record *r, struct str name)
{
	struct span *s = add(set, who, r, SPAN_CLIENT);

	s->id = caller_of(r) ? mixed(r->trace_lo ^ r->started ^ (uint64_t)r->slot << 48) : r->trace_lo;
	s->parent = caller_of(r);
	s->name = name;
	s->remote.service = record_text(r, RECORD_UPSTREAM);
	tag_http(s, r);
	tag_outcome(set, s, r->status, r->reason);
	tag_who(s, who, r);
	note_waits(s, r);
}

void spans_of(const struct telemetry_who *who, const struct record *r, struct span_set *set)
{
	set->n = 0;
	if (!(r->why & RECORD_TRACED))
		return;
	struct str name = name_of(r, set);
	if (is_server(r))
		add_server(set, who, r, name);
	if (r->kind == LISTEN_INBOUND)
		return; /* its handler is the same service */
	if (r->n_tries > 1)
		add_retry(set, who, r);
	for (unsigned i = 0; i < r->n_tries; i++)
		add_try(set, who, r, i, name);
	if (!r->n_tries && !is_server(r))
		add_refused(set, who, r, name);
}
