#include "control/access_format.h"

#include "base/reason.h"
#include "control/nearest.h"
#include "control/phases.h"

struct view { /* of one record, looked at once */
	const struct telemetry_who *who;
	const struct record *r;
	struct str text[RECORD_TEXTS];
	struct phases phases;
};

static void look(struct view *v, const struct telemetry_who *who, const struct record *r)
{
	const char *p = (const char *)(record_tries(r) + r->n_tries);

	v->who = who;
	v->r = r;
	for (unsigned i = 0; i < RECORD_TEXTS; p += r->text_n[i++])
		v->text[i] = str_make(p, r->text_n[i]);
	v->phases = phases_of(r);
}

/* --- fields of templates ------------------------------------------------------------------------------------------------- */

enum field {
	F_LITERAL, F_TIME, F_LISTENER, F_SERVICE, F_STACK, F_SLOT, F_NODE, F_REQUEST_ID, F_TRACE_ID, F_CLIENT, F_PEER, F_METHOD, F_HOST, F_PATH, F_ROUTE,
	F_UPSTREAM, F_ENDPOINT, F_ATTEMPTS, F_STATUS, F_REASON, F_BYTES_IN, F_BYTES_OUT, F_DURATION, F_ACCEPT, F_PHASE, F_USER_AGENT = F_PHASE + PHASES
};

static const struct { const char *name; uint8_t field; } names[] = {
	{ "time", F_TIME }, { "listener", F_LISTENER }, { "service", F_SERVICE }, { "stack", F_STACK }, { "slot", F_SLOT }, { "node", F_NODE },
	{ "request_id", F_REQUEST_ID }, { "trace_id", F_TRACE_ID }, { "client", F_CLIENT }, { "peer", F_PEER }, { "method", F_METHOD }, { "host", F_HOST },
	{ "path", F_PATH }, { "route", F_ROUTE }, { "upstream", F_UPSTREAM }, { "endpoint", F_ENDPOINT }, { "attempts", F_ATTEMPTS },
	{ "status", F_STATUS }, { "reason", F_REASON }, { "bytes_in", F_BYTES_IN }, { "bytes_out", F_BYTES_OUT }, { "duration_ms", F_DURATION }, { "accept_ms", F_ACCEPT },
	{ "head_ms", F_PHASE + PHASE_HEAD }, { "route_ms", F_PHASE + PHASE_ROUTE }, { "queue_ms", F_PHASE + PHASE_QUEUE }, { "retry_ms", F_PHASE + PHASE_RETRY },
	{ "connect_ms", F_PHASE + PHASE_CONNECT }, { "first_byte_ms", F_PHASE + PHASE_FIRST_BYTE }, { "transfer_ms", F_PHASE + PHASE_TRANSFER },
	{ "user_agent", F_USER_AGENT },
};
#define NAMES (sizeof(names) / sizeof(names[0]))

static void add_number(struct line *l, uint64_t v, bool known)
{
	if (known)
		line_u64(l, v);
}

static void add_trace(struct line *l, const struct record *r)
{
	if (r->trace_hi)
		line_hex(l, r->trace_hi);
	if (r->trace_hi | r->trace_lo)
		line_hex(l, r->trace_lo);
}

static void add_endpoint(struct line *l, const struct record *r)
{
	if (r->n_tries)
		line_peer(l, &record_tries(r)[r->n_tries - 1].peer);
}

static struct str text_of(const struct view *v, uint8_t field)
{
	switch (field) {
	case F_LISTENER:
		return str_of(record_listener(v->r));
	case F_SERVICE:
		return v->who->service;
	case F_STACK:
		return v->who->stack;
	case F_SLOT:
		return v->who->slot;
	case F_NODE:
		return v->who->node;
	case F_REQUEST_ID:
		return v->text[RECORD_REQUEST_ID];
	case F_METHOD:
		return v->text[RECORD_METHOD];
	case F_HOST:
		return v->text[RECORD_HOST];
	case F_PATH:
		return v->text[RECORD_PATH];
	case F_ROUTE:
		return v->text[RECORD_ROUTE];
	case F_UPSTREAM:
		return v->text[RECORD_UPSTREAM];
	case F_USER_AGENT:
		return v->text[RECORD_USER_AGENT];
	case F_REASON:
		return v->r->reason ? str_of(reason_word((enum reason)v->r->reason)) : STR("");
	default:
		return STR("");
	}
}

static void add_field(struct line *l, const struct view *v, uint8_t field)
{
	switch (field) {
	case F_TIME:
		line_time(l, v->r->started);
		break;
	case F_TRACE_ID:
		add_trace(l, v->r);
		break;
	case F_CLIENT:
		line_ip(l, &v->r->client);
		break;
	case F_PEER:
		line_peer(l, &v->r->peer);
		break;
	case F_ENDPOINT:
		add_endpoint(l, v->r);
		break;
	case F_ATTEMPTS:
		line_u64(l, v->r->n_tries);
		break;
	case F_STATUS:
		add_number(l, v->r->status, v->r->status);
		break;
	case F_BYTES_IN:
		line_u64(l, v->r->bytes_in);
		break;
	case F_BYTES_OUT:
		line_u64(l, v->r->bytes_out);
		break;
	case F_DURATION:
		line_ms(l, v->r->duration);
		break;
	case F_ACCEPT:
		line_ms(l, v->r->accepted);
		break;
	default:
		if (field >= F_PHASE && field < F_PHASE + PHASES)
			line_ms(l, v->phases.at[field - F_PHASE]);
		else
			line_value(l, text_of(v, field));
	}
}

static void add_part(struct line *l, const struct view *v, const struct access_part *p)
{
	size_t before = l->n;

	if (p->field == F_LITERAL) {
		line_add(l, p->literal);
		return;
	}
	add_field(l, v, p->field);
	if (l->n == before)
		line_add(l, STR("-"));
}

/* --- templates ------------------------------------------------------------------------------------------------------------- */

#define TEXT "%{time} %{listener} %{service} %{client} \"%{method} %{host} %{path}\" %{status} %{reason} %{duration_ms}ms" \
	     " %{bytes_in}/%{bytes_out}B %{upstream} %{endpoint} %{attempts} %{request_id} %{trace_id} \"%{user_agent}\""

static bool add(struct access_format *f, uint8_t field, struct str literal, struct err *why)
{
	if (f->n == ACCESS_PARTS_MAX)
		return err_set(why, "a template has at most %u parts", ACCESS_PARTS_MAX);
	f->parts[f->n++] = (struct access_part){ field, literal };
	return true;
}

static bool add_name(struct access_format *f, struct str name, struct err *why)
{
	const char *near = NULL;

	for (size_t i = 0; i < NAMES; i++) {
		if (str_eq(name, str_of(names[i].name)))
			return add(f, names[i].field, STR(""), why);
		if (nearest_is_near(name, str_of(names[i].name)))
			near = names[i].name;
	}
	return err_set(why, "a template has no field \"%.*s\"%s%s%s", (int)(name.n < 40 ? name.n : 40), name.p, near ? "; did you mean " : "",
		near ? near : "", near ? "?" : "");
}

/* What stands behind a '%' at s; *used: bytes of it. */
static bool add_percent(struct access_format *f, struct str s, size_t *used, struct err *why)
{
	if (s.n && s.p[0] == '%') {
		*used = 1;
		return add(f, F_LITERAL, str_make(s.p, 1), why);
	}
	size_t end = s.n && s.p[0] == '{' ? str_find(s, '}') : SIZE_MAX;
	if (end == SIZE_MAX)
		return err_set(why, "behind a %% of a template stands {name}, or another %%");
	*used = end + 1;
	return add_name(f, str_make(s.p + 1, end - 1), why);
}

bool access_format_parse(struct str s, struct access_format *ret, struct err *why)
{
	ret->n = 0;
	ret->json = str_ieq(s, STR("json"));
	if (ret->json)
		return true;
	if (str_ieq(s, STR("text")))
		s = STR(TEXT);
	if (str_find(s, '%') == SIZE_MAX)
		return err_set(why, "a template names fields: %%{time} %%{method} %%{path} %%{status}");
	while (s.n) {
		size_t n = str_find(s, '%'), used = 0;
		n = n == SIZE_MAX ? s.n : n;
		for (size_t i = 0; i < n; i++)
			if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
				return err_set(why, "a template has no control bytes");
		if (n && !add(ret, F_LITERAL, str_make(s.p, n), why))
			return false;
		s = str_make(s.p + n, s.n - n);
		if (!s.n)
			break;
		if (!add_percent(ret, str_make(s.p + 1, s.n - 1), &used, why))
			return false;
		s = str_make(s.p + 1 + used, s.n - 1 - used);
	}
	return true;
}

const struct access_format *access_format_keep(struct arena *a, struct str s)
{
	struct access_format *f = arena_zalloc(a, sizeof(*f));
	struct str kept = arena_str(a, s);
	struct err why;

	return f && kept.p && access_format_parse(kept, f, &why) ? f : NULL;
}

void access_line(struct line *l, const struct access_format *f, const struct telemetry_who *who, const struct record *r)
{
	struct view v;

	if (!f || f->json) {
		access_line_json(l, who, r);
		return;
	}
	look(&v, who, r);
	for (unsigned i = 0; i < f->n; i++)
		add_part(l, &v, &f->parts[i]);
}

/* --- JSON ------------------------------------------------------------------------------------------------------------------ */

/* ,"key":"value" unless it is empty */
static inline void put_text(struct line *l, struct str key, struct str s)
{
	if (!s.n)
		return;
	line_add(l, key);
	line_value(l, s);
	line_add(l, STR("\""));
}

static inline void put_u64(struct line *l, struct str key, uint64_t v)
{
	line_add(l, key);
	line_u64(l, v);
}

static inline void put_phase(struct line *l, struct str key, uint64_t us)
{
	if (!us)
		return;
	line_add(l, key);
	line_ms(l, us);
}

static void put_ids(struct line *l, const struct view *v)
{
	put_text(l, STR(",\"request_id\":\""), v->text[RECORD_REQUEST_ID]);
	if (v->r->client.family) {
		line_add(l, STR(",\"client\":\""));
		line_ip(l, &v->r->client);
		line_add(l, STR("\""));
	}
}

static void put_way(struct line *l, const struct view *v)
{
	put_text(l, STR(",\"method\":\""), v->text[RECORD_METHOD]);
	put_text(l, STR(",\"host\":\""), v->text[RECORD_HOST]);
	put_text(l, STR(",\"path\":\""), v->text[RECORD_PATH]);
	put_text(l, STR(",\"route\":\""), v->text[RECORD_ROUTE]);
	put_text(l, STR(",\"upstream\":\""), v->text[RECORD_UPSTREAM]);
	if (v->r->n_tries) {
		line_add(l, STR(",\"endpoint\":\""));
		add_endpoint(l, v->r);
		line_add(l, STR("\""));
	}
	put_u64(l, STR(",\"attempts\":"), v->r->n_tries);
}

static void put_outcome(struct line *l, const struct view *v)
{
	if (v->r->status)
		put_u64(l, STR(",\"status\":"), v->r->status);
	if (v->r->reason)
		put_text(l, STR(",\"reason\":\""), str_of(reason_word((enum reason)v->r->reason)));
	put_u64(l, STR(",\"bytes_in\":"), v->r->bytes_in);
	put_u64(l, STR(",\"bytes_out\":"), v->r->bytes_out);
	line_add(l, STR(",\"duration_ms\":"));
	line_ms(l, v->r->duration);
	put_phase(l, STR(",\"accept_ms\":"), v->r->accepted);
	put_phase(l, STR(",\"head_ms\":"), v->phases.at[PHASE_HEAD]);
	put_phase(l, STR(",\"route_ms\":"), v->phases.at[PHASE_ROUTE]);
	put_phase(l, STR(",\"queue_ms\":"), v->phases.at[PHASE_QUEUE]);
	put_phase(l, STR(",\"retry_ms\":"), v->phases.at[PHASE_RETRY]);
	put_phase(l, STR(",\"connect_ms\":"), v->phases.at[PHASE_CONNECT]);
	put_phase(l, STR(",\"first_byte_ms\":"), v->phases.at[PHASE_FIRST_BYTE]);
	put_phase(l, STR(",\"transfer_ms\":"), v->phases.at[PHASE_TRANSFER]);
}

enum log_level access_level(const struct record *r)
{
	return r->reason || r->status >= 500 ? LEVEL_WARN : LEVEL_INFO;
}

/* Whose it is: what a log record has as fields of its own. */
static void put_whose(struct line *l, const struct view *v)
{
	put_text(l, STR(",\"service\":\""), v->who->service);
	put_text(l, STR(",\"stack\":\""), v->who->stack);
	put_text(l, STR(",\"slot\":\""), v->who->slot);
	put_text(l, STR(",\"node\":\""), v->who->node);
	if (v->r->trace_hi | v->r->trace_lo) {
		line_add(l, STR(",\"trace_id\":\""));
		add_trace(l, v->r);
		line_add(l, STR("\""));
	}
}

void access_line_json(struct line *l, const struct telemetry_who *who, const struct record *r)
{
	(void)access_line_members(l, who, r);
}

struct str access_line_members(struct line *l, const struct telemetry_who *who, const struct record *r)
{
	struct view v;

	look(&v, who, r);
	line_add(l, STR("{\"time\":\""));
	line_time(l, r->started);
	line_add(l, access_level(r) == LEVEL_WARN ? STR("\",\"level\":\"warn\",\"type\":\"access\"") : STR("\",\"level\":\"info\",\"type\":\"access\""));
	put_whose(l, &v);
	line_add(l, STR(","));
	size_t begin = l->n;
	line_add(l, STR("\"listener\":\""));
	line_add(l, str_of(record_listener(r)));
	line_add(l, STR("\""));
	put_ids(l, &v);
	put_way(l, &v);
	put_outcome(l, &v);
	put_text(l, STR(",\"user_agent\":\""), v.text[RECORD_USER_AGENT]);
	size_t end = l->n;
	line_add(l, STR("}"));
	return str_make(l->mem + begin, end - begin);
}

void access_message(struct line *l, const struct record *r)
{
	static const struct telemetry_who nobody;
	struct view v;

	look(&v, &nobody, r);
	line_add(l, v.text[RECORD_METHOD]);
	line_add(l, STR(" "));
	line_add(l, v.text[RECORD_PATH]);
	if (r->status) {
		line_add(l, STR(" "));
		line_u64(l, r->status);
	}
	if (r->reason) {
		line_add(l, STR(" "));
		line_add(l, text_of(&v, F_REASON));
	}
}
