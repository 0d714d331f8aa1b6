/* The pages of an agent into the model of `outrider top`. Numbers are texts in these trees (http/bounded_json.h). */
#include "control/top_model.h"

#include "base/clock.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CHANGE_ONCE 5000 /* ms within which the same of two agents means the same event */
#define EDGES_MAX 1000u  /* rows of one kind that one agent may give */

static const cJSON *member(const cJSON *o, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(o, key);
}

/* Cut at the end of a character, never within one. */
static void take_text(const cJSON *o, const char *key, char *dst, size_t cap)
{
	const cJSON *v = member(o, key);
	struct str s = cJSON_IsString(v) ? str_of(v->valuestring) : STR("");

	while (s.n >= cap) {
		s.n = cap - 1;
		while (s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
			s.n--;
	}
	(void)str_copy(s, dst, cap);
}

#define TAKE(o, key, dst) take_text(o, key, dst, sizeof(dst))

static double number_of(const cJSON *v)
{
	char *end = NULL;

	if (!cJSON_IsString(v) || !v->valuestring[0])
		return NAN;
	double d = strtod(v->valuestring, &end);
	/* No figure here is negative; 1e300 would be as wide as the screen. */
	return *end || !isfinite(d) || d < 0 || d > 1e15 ? NAN : d;
}

static double number(const cJSON *o, const char *key)
{
	return number_of(member(o, key));
}

static double known(double v)
{
	return isnan(v) ? 0 : v;
}

/* --- STATE --------------------------------------------------------------------------------------------------------------- */

static struct top_point read_point(const cJSON *o)
{
	return (struct top_point){ number(o, "rate"), number(o, "errors"), number(o, "p50_ms"),
		number(o, "p95_ms"), number(o, "p99_ms"), number(o, "active") };
}

static double worse(double a, double b)
{
	return isnan(a) ? b : isnan(b) ? a : top_max(a, b);
}

static void add_point(struct top_point *to, struct top_point p)
{
	double all = to->rate + known(p.rate);

	if (isnan(to->p50) || isnan(p.p50))
		to->p50 = worse(to->p50, p.p50);
	else
		to->p50 = all > 0 ? (to->p50 * to->rate + p.p50 * known(p.rate)) / all
				  : worse(to->p50, p.p50);
	to->p95 = worse(to->p95, p.p95);
	to->p99 = worse(to->p99, p.p99);
	to->rate = all;
	to->errors += known(p.errors);
	to->active += known(p.active);
}

static void read_sidecar(struct top_model *m, const cJSON *o)
{
	struct top_row *r = top_table_add(&m->tables[TOP_SERVICES]);
	char handler[24] = "";

	if (!r)
		return;
	struct top_point in = read_point(member(o, "in")), out = read_point(member(o, "out"));
	const cJSON *cost = member(o, "cost");
	TAKE(o, "service", r->name);
	TAKE(o, "name", r->key);
	r->agent = m->agents;
	if (!r->name[0])
		TAKE(o, "name", r->name);
	TAKE(o, "slot", r->other);
	TAKE(o, "node", r->node);
	TAKE(o, "state", r->state);
	TAKE(o, "handler", handler);
	TAKE(o, "why", r->note);
	if (!r->note[0])
		TAKE(o, "wired", r->note);
	if (strcmp(handler, "down") == 0) {
		m->handlers_down++;
		if (member(o, "handler_why"))
			TAKE(o, "handler_why", r->note);
		(void)str_copy(STR("down"), r->state, sizeof(r->state));
	}
	r->of[TOP_RATE] = in.rate;
	r->of[TOP_ERRORS] = in.errors;
	r->of[TOP_P50] = in.p50;
	r->of[TOP_P95] = in.p95;
	r->of[TOP_P99] = in.p99;
	r->of[TOP_ACTIVE] = in.active;
	r->of[TOP_OUT_RATE] = out.rate;
	r->of[TOP_OUT_ERRORS] = out.errors;
	r->of[TOP_CPU] = number(cost, "cpu_percent");
	r->of[TOP_MEMORY] = number(cost, "memory_bytes");
}

static void read_edge(struct top_model *m, const cJSON *o, const char *node)
{
	static const struct {
		const char *key;
		enum top_number number;
	} rows[] = { { "rate", TOP_RATE }, { "errors", TOP_ERRORS }, { "p50_ms", TOP_P50 },
		{ "p95_ms", TOP_P95 }, { "p99_ms", TOP_P99 }, { "active", TOP_ACTIVE },
		{ "retries", TOP_RETRIES }, { "healthy", TOP_HEALTHY }, { "endpoints", TOP_ENDPOINTS } };
	struct top_row *r = top_table_add(&m->tables[TOP_UPSTREAMS]);

	if (!r)
		return;
	TAKE(o, "from", r->name);
	TAKE(o, "to", r->other);
	TAKE(o, "circuit", r->state);
	TAKE(o, "instance", r->key);
	r->agent = m->agents;
	(void)str_copy(str_of(node), r->node, sizeof(r->node));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		r->of[rows[i].number] = number(o, rows[i].key);
}

static void read_circuit(struct top_model *m, const cJSON *o, const char *node)
{
	struct top_row *r = top_table_add(&m->tables[TOP_CIRCUITS]);
	char route[64], action[64], forced[24];

	if (!r)
		return;
	TAKE(o, "from", r->name);
	TAKE(o, "to", r->other);
	TAKE(o, "instance", r->key);
	TAKE(o, "route", route);
	TAKE(o, "key", action);
	TAKE(o, "state", r->state);
	TAKE(o, "why", r->note);
	TAKE(o, "forced", forced);
	if (forced[0] && !strstr(r->state, "forced"))
		snprintf(r->state, sizeof(r->state), "forced-%.15s", forced);
	if (route[0]) {
		size_t n = strlen(r->other);
		snprintf(r->other + n, sizeof(r->other) - n, " (%s)", route);
	}
	if (action[0]) {
		size_t n = strlen(r->other);
		snprintf(r->other + n, sizeof(r->other) - n, " %s", action);
	}
	r->agent = m->agents;
	(void)str_copy(str_of(node), r->node, sizeof(r->node));
	double since = number(o, "since_ms");
	/* A wall time, or how long it has been so. */
	r->of[TOP_AGE] = since > 1e12 ? top_max(0, m->time_ms - since) : since;
	r->of[TOP_REQUESTS] = number(o, "requests");
	r->of[TOP_ERRORS] = number(o, "errors");
	r->of[TOP_PERCENT] = number(o, "error_percent");
	r->of[TOP_REJECTED] = number(o, "rejected");
}

static void read_hello(struct top_model *m, const cJSON *o)
{
	const cJSON *scope;

	if (!cJSON_IsObject(o))
		return;
	if (!m->version[0]) {
		TAKE(o, "node", m->node);
		TAKE(o, "service", m->service);
		TAKE(o, "version", m->version);
		TAKE(o, "command", m->command);
	}
	double now = number(o, "time_ms");
	if (!isnan(now))
		m->time_ms = now; /* its clock, by which its other times are meant */
	cJSON_ArrayForEach(
		scope, member(o, "scopes")) for (unsigned i = 0; i < TOP_SCOPES;
						 i++) if (cJSON_IsString(scope) &&
							  strcmp(scope->valuestring, top_scope_words[i]) == 0)
		m->can[i] = true;
}

static void read_support(struct top_model *m, const cJSON *list, const char *node)
{
	const cJSON *o;
	unsigned n = 0;

	cJSON_ArrayForEach(o, list)
	{
		char state[24], kind[24], name[64], why[160], both[96];
		TAKE(o, "state", state);
		if (!state[0] || strcmp(state, "ok") == 0 || ++n > TOP_TROUBLES_MAX)
			continue;
		TAKE(o, "kind", kind);
		TAKE(o, "name", name);
		TAKE(o, "why", why);
		snprintf(both, sizeof(both), "%.20s %s", kind, name);
		if (node[0])
			snprintf(both, sizeof(both), "%.20s %.20s %.50s", node, kind, name);
		top_trouble(m, both, why[0] ? why : "in trouble");
	}
}

bool top_read_state(struct top_model *m, const cJSON *state, const char *agent, struct err *err)
{
	const cJSON *o, *process = member(state, "process"), *left = member(state, "left_out");
	char node[48] = "";
	unsigned n = 0;

	if (!cJSON_IsObject(state) || !cJSON_IsObject(member(state, "in")))
		return err_set(err, "the page is no state of an agent");
	read_hello(m, member(state, "hello"));
	TAKE(member(state, "hello"), "node", node);
	if (!node[0])
		(void)str_copy(str_of(agent), node, sizeof(node));
	m->agents++;
	add_point(&m->in, read_point(member(state, "in")));
	add_point(&m->out, read_point(member(state, "out")));
	cJSON_ArrayForEach(o, member(state, "sidecars")) if (++n <= EDGES_MAX) read_sidecar(m, o);
	n = 0;
	cJSON_ArrayForEach(o, member(state, "edges")) if (++n <= EDGES_MAX) read_edge(m, o, node);
	n = 0;
	cJSON_ArrayForEach(o, member(state, "circuits")) if (++n <= EDGES_MAX) read_circuit(m, o, node);
	read_support(m, member(state, "support"), agent[0] ? node : "");
	m->tables[TOP_SERVICES].left_out += (unsigned)top_min(1e6, known(number(left, "sidecars")));
	m->tables[TOP_CIRCUITS].left_out += (unsigned)top_min(1e6, known(number(left, "circuits")));
	m->tables[TOP_UPSTREAMS].left_out += (unsigned)top_min(1e6, known(number(left, "edges")));
	double cpu = number(process, "cpu_percent"), memory = number(process, "memory_bytes");
	m->cpu = isnan(m->cpu) ? cpu : m->cpu + known(cpu);
	m->memory = isnan(m->memory) ? memory : m->memory + known(memory);
	return true;
}

/* --- history, changes, failures ------------------------------------------------------------------------------------------------------ */

/* The newest TOP_TREND ones, oldest first. */
static unsigned read_series(const cJSON *list, float dst[TOP_TREND])
{
	const cJSON *v;
	int n = cJSON_GetArraySize(list), skip = n > (int)TOP_TREND ? n - (int)TOP_TREND : 0;
	unsigned kept = 0;

	cJSON_ArrayForEach(v, list)
	{
		if (skip-- > 0)
			continue;
		double d = number_of(v);
		if (kept < TOP_TREND && (kept || !isnan(d))) /* before it began nothing is known */
			dst[kept++] = isnan(d) ? 0 : (float)d;
	}
	return kept;
}

void top_read_past(struct top_model *m, const cJSON *page)
{
	m->n_trend_in = read_series(member(member(page, "in"), "rate"), m->trend_in);
	m->n_trend_out = read_series(member(member(page, "out"), "rate"), m->trend_out);
}

/* What all that call a service see alike: of whom the agent says it, is who saw it first (ui/changes.c). */
static bool is_everybodys(const struct top_change *c)
{
	return strcmp(c->kind, "rollout") == 0 || strcmp(c->kind, "registry") == 0;
}

static bool is_same(const struct top_change *a, const struct top_change *b)
{
	return strcmp(a->kind, b->kind) == 0 && strcmp(a->text, b->text) == 0 &&
	       strcmp(a->upstream, b->upstream) == 0 && strcmp(a->subject, b->subject) == 0 &&
	       (is_everybodys(a) || strcmp(a->service, b->service) == 0);
}

/* Several agents tell of one event; what one of them tells twice happened twice. */
static bool is_told(const struct top_model *m, const struct top_change *c)
{
	for (unsigned i = 0; i < m->n_changes; i++) {
		double apart = m->changes[i].time_ms - c->time_ms;
		if (apart < CHANGE_ONCE && -apart < CHANGE_ONCE && is_same(&m->changes[i], c) &&
			strcmp(m->changes[i].agent, c->agent) != 0)
			return true;
	}
	return false;
}

void top_change_whose(const struct top_change *c, char *dst, size_t cap)
{
	bool both = c->service[0] && c->upstream[0];

	dst[0] = '\0';
	if (!is_everybodys(c) && (c->service[0] || c->upstream[0]))
		snprintf(dst, cap, "%s%s%s: ", c->service, both ? " -> " : "", c->upstream);
}

/* Kept in order, newest first; what is older than the last one has no room. */
static void put_change(struct top_model *m, const struct top_change *c)
{
	unsigned at = m->n_changes;

	if (is_told(m, c))
		return;
	while (at && m->changes[at - 1].time_ms < c->time_ms)
		at--;
	if (at == TOP_CHANGES_MAX)
		return;
	if (m->n_changes < TOP_CHANGES_MAX)
		m->n_changes++;
	memmove(&m->changes[at + 1], &m->changes[at], (m->n_changes - 1 - at) * sizeof(*c));
	m->changes[at] = *c;
}

void top_read_changes(struct top_model *m, const cJSON *page, const char *agent)
{
	const cJSON *o, *list = cJSON_IsArray(page) ? page : member(page, "changes");
	unsigned n = 0;

	cJSON_ArrayForEach(o, list)
	{
		struct top_change c = { .time_ms = number(o, "time_ms") };
		if (++n > EDGES_MAX || isnan(c.time_ms))
			continue;
		TAKE(o, "node", c.node);
		TAKE(o, "kind", c.kind);
		TAKE(o, "text", c.text);
		TAKE(o, "service", c.service);
		TAKE(o, "upstream", c.upstream);
		TAKE(o, "subject", c.subject);
		(void)str_copy(str_of(agent), c.agent, sizeof(c.agent));
		put_change(m, &c);
	}
}

/* "2026-11-23T04:05:06.789Z" to ms since 1970; NAN: it is none. */
static double iso_ms(const char *z)
{
	struct tm tm = { 0 };
	int ms = 0;

	const char *rest = strptime(z, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest || (*rest == '.' && sscanf(rest, ".%3dZ", &ms) != 1))
		return NAN;
	return (double)timegm(&tm) * 1000 + ms;
}

static void read_failure(struct top_model *m, const cJSON *o, const char *node)
{
	struct top_row *r = top_table_add(&m->tables[TOP_FAILURES]);
	char time[32], method[16], path[128], endpoint[64];

	if (!r)
		return;
	TAKE(o, "time", time);
	TAKE(o, "service", r->name);
	TAKE(o, "upstream", r->other);
	TAKE(o, "reason", r->state);
	TAKE(o, "request_id", r->key);
	TAKE(o, "method", method);
	TAKE(o, "path", path);
	TAKE(o, "endpoint", endpoint);
	snprintf(r->note, sizeof(r->note), "%s %s", method, path);
	(void)str_copy(str_of(node[0] ? node : endpoint), r->node, sizeof(r->node));
	double at = iso_ms(time);
	r->of[TOP_AGE] = isnan(at) ? NAN : top_max(0, m->time_ms - at);
	r->of[TOP_STATUS] = number(o, "status");
	r->of[TOP_TOOK] = number(o, "duration_ms");
	r->of[TOP_ATTEMPTS] = number(o, "attempts");
}

bool top_read_failures(struct top_model *m, const cJSON *page, const char *node, struct err *err)
{
	const cJSON *o, *list = member(page, "failures");
	unsigned n = 0;

	if (!cJSON_IsArray(list))
		return err_set(err, "the page has no failures");
	cJSON_ArrayForEach(o, list) if (++n <= EDGES_MAX) read_failure(m, o, node);
	return true;
}

/* --- /swarm/PAGE --------------------------------------------------------------------------------------------------------------- */

bool top_read_swarm(struct top_model *m, const cJSON *page, top_answer_fn fn, bool complain, struct err *err)
{
	const cJSON *one, *list = member(page, "agents");
	unsigned n = 0;

	if (!cJSON_IsArray(list))
		return err_set(err, "the page is no answer of a swarm");
	cJSON_ArrayForEach(one, list)
	{
		char name[64], why[160];
		if (++n > TOP_AGENTS_MAX)
			break;
		TAKE(one, "agent", name);
		TAKE(one, "why", why);
		double status = number(one, "status");
		struct err wrong = { "" };
		if (status == 200 && fn(m, member(one, "answer"), name, &wrong))
			continue;
		if (!why[0])
			snprintf(why, sizeof(why), "%.100s",
				wrong.text[0] ? wrong.text : "its reply is no page");
		if (status > 0 && status != 200)
			snprintf(why, sizeof(why), "it answered with status %.0f", status);
		if (complain) {
			m->agents_silent++;
			top_trouble(m, name, why);
		}
	}
	return true;
}
