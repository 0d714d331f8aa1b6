#include "otlp_json.h"

#include "span_text.h"

/* The mixer of splitmix64: a permutation, so that two ids never become one. */
uint64_t otlp_server_id(uint64_t id)
{
	uint64_t z = id + 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return z == 0 || z == id ? ~id | 1 : z;
}

static char *put_ids(char *p, const struct span *s)
{
	bool shared = s->shared && s->kind == SPAN_SERVER;
	uint64_t parent = shared ? s->id : s->parent;

	p = SPAN_PUT(p, "{\"traceId\":\"");
	p = span_put_hex(p, s->trace_hi);
	p = span_put_hex(p, s->trace_lo);
	p = SPAN_PUT(p, "\",\"spanId\":\"");
	p = span_put_hex(p, shared ? otlp_server_id(s->id) : s->id);
	if (parent) {
		p = SPAN_PUT(p, "\",\"parentSpanId\":\"");
		p = span_put_hex(p, parent);
	}
	return SPAN_PUT(p, "\",\"name\":\"");
}

/* Wall µs as a text of nanoseconds. */
static char *put_nanos(char *p, uint64_t wall)
{
	p = span_put_u64(p, span_u64_max(wall, UINT64_MAX / 1000));
	return wall ? SPAN_PUT(p, "000") : p;
}

static char *put_times(char *p, const struct span *s)
{
	/* 1 for the kind local, 2 SERVER, 3 CLIENT */
	static const char kinds[] = { [SPAN_LOCAL] = '1', [SPAN_SERVER] = '2', [SPAN_CLIENT] = '3' };
	uint64_t started = span_u64_max(s->started, UINT64_MAX / 2000), duration = span_u64_max(s->duration, UINT64_MAX / 2000);

	p = SPAN_PUT(p, "\",\"kind\":");
	*p++ = kinds[s->kind <= SPAN_CLIENT ? s->kind : SPAN_LOCAL];
	p = SPAN_PUT(p, ",\"startTimeUnixNano\":\"");
	p = put_nanos(p, started);
	p = SPAN_PUT(p, "\",\"endTimeUnixNano\":\"");
	p = put_nanos(p, started + (duration ? duration : 1));
	*p++ = '"';
	return p;
}

/* --- attributes: each ends in a comma ------------------------------------------------------------------------------------------ */

static char *put_text(char *p, struct str key, struct str value)
{
	p = SPAN_PUT(p, "{\"key\":\"");
	p = span_put_json(p, key);
	p = SPAN_PUT(p, "\",\"value\":{\"stringValue\":\"");
	p = span_put_json(p, value);
	return SPAN_PUT(p, "\"}},");
}

static char *put_number(char *p, struct str key, uint64_t value)
{
	p = SPAN_PUT(p, "{\"key\":\"");
	p = span_put_json(p, key);
	p = SPAN_PUT(p, "\",\"value\":{\"intValue\":\"");
	p = span_put_u64(p, value);
	return SPAN_PUT(p, "\"}},");
}

static char *put_peer(char *p, const struct span_peer *e, struct str address, struct str port)
{
	if (e->family == 4 || e->family == 6) {
		char ip[48];
		char *end = span_put_ip(ip, e);
		p = put_text(p, address, str_make(ip, (size_t)(end - ip)));
	}
	return e->port ? put_number(p, port, e->port) : p;
}

static const struct {
	struct str tag, attribute;
	bool number;
} names[] = {
	{ { "http.method", 11 }, { "http.request.method", 19 }, false },
	{ { "http.path", 9 }, { "url.path", 8 }, false },
	{ { "http.status_code", 16 }, { "http.response.status_code", 25 }, true },
	{ { "error", 5 }, { "error.type", 10 }, false },
};

static char *put_tag(char *p, const struct span_tag *tag)
{
	struct str key = str_of(tag->key);
	uint64_t number;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!str_eq(key, names[i].tag))
			continue;
		if (names[i].number && str_u64(tag->value, &number) && number <= INT64_MAX)
			return put_number(p, names[i].attribute, number);
		return put_text(p, names[i].attribute, tag->value);
	}
	return put_text(p, key, tag->value);
}

static char *put_attributes(char *p, const struct span *s)
{
	size_t n = s->n_tags < SPAN_TAGS_MAX ? s->n_tags : SPAN_TAGS_MAX;
	char *began = p = SPAN_PUT(p, ",\"attributes\":[");

	for (size_t i = 0; i < n; i++)
		p = put_tag(p, &s->tags[i]);
	p = put_peer(p, &s->remote, STR("network.peer.address"), STR("network.peer.port"));
	if (s->remote.service.n)
		p = put_text(p, STR("peer.service"), s->remote.service);
	p = put_peer(p, &s->local, STR("network.local.address"), STR("network.local.port"));
	if (s->debug)
		p = SPAN_PUT(p, "{\"key\":\"b3.debug\",\"value\":{\"boolValue\":true}},");
	if (p == began)
		return p - (sizeof(",\"attributes\":[") - 1);
	p[-1] = ']'; /* for the last comma */
	return p;
}

/* --- the rest ------------------------------------------------------------------------------------------------------------------- */

static char *put_events(char *p, const struct span *s)
{
	size_t n = s->n_notes < SPAN_NOTES_MAX ? s->n_notes : SPAN_NOTES_MAX;

	if (n == 0)
		return p;
	p = SPAN_PUT(p, ",\"events\":[");
	for (size_t i = 0; i < n; i++) {
		p = SPAN_PUT(p, "{\"timeUnixNano\":\"");
		p = put_nanos(p, s->notes[i].at);
		p = SPAN_PUT(p, "\",\"name\":\"");
		p = span_put_json(p, str_of(s->notes[i].what));
		p = SPAN_PUT(p, "\"},");
	}
	p[-1] = ']';
	return p;
}

static char *put_status(char *p, const struct span *s)
{
	size_t n = s->n_tags < SPAN_TAGS_MAX ? s->n_tags : SPAN_TAGS_MAX;

	if (!s->failed)
		return p;
	p = SPAN_PUT(p, ",\"status\":{\"code\":2");
	for (size_t i = 0; i < n; i++) {
		if (!str_eq(str_of(s->tags[i].key), STR("error")) || s->tags[i].value.n == 0)
			continue;
		p = SPAN_PUT(p, ",\"message\":\"");
		p = span_put_json(p, s->tags[i].value);
		*p++ = '"';
		break;
	}
	*p++ = '}';
	return p;
}

size_t otlp_json_span(const struct span *s, char *at)
{
	char *p = at;

	if (!span_is_sound(s))
		return 0;
	p = put_ids(p, s);
	p = span_put_json(p, s->name);
	p = put_times(p, s);
	p = put_attributes(p, s);
	p = put_events(p, s);
	p = put_status(p, s);
	*p++ = '}';
	return (size_t)(p - at);
}
