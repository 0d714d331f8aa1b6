#include "zipkin_json.h"

#include "span_text.h"

#define NUMBER_MAX (uint64_t) INT64_MAX /* Zipkin reads Java's long, and refuses the whole batch for more */

static char *put_ids(char *p, const struct span *s)
{
	p = SPAN_PUT(p, "{\"traceId\":\"");
	if (s->trace_hi)
		p = span_put_hex(p, s->trace_hi);
	p = span_put_hex(p, s->trace_lo);
	if (s->parent) {
		p = SPAN_PUT(p, "\",\"parentId\":\"");
		p = span_put_hex(p, s->parent);
	}
	p = SPAN_PUT(p, "\",\"id\":\"");
	p = span_put_hex(p, s->id);
	if (s->kind == SPAN_CLIENT)
		return SPAN_PUT(p, "\",\"kind\":\"CLIENT\",\"name\":\"");
	if (s->kind == SPAN_SERVER)
		return SPAN_PUT(p, "\",\"kind\":\"SERVER\",\"name\":\"");
	return SPAN_PUT(p, "\",\"name\":\"");
}

static char *put_endpoint(char *p, const struct span_peer *e)
{
	if (e->service.n) {
		p = SPAN_PUT(p, "\"serviceName\":\"");
		p = span_put_json(p, e->service);
		p = SPAN_PUT(p, "\",");
	}
	if (e->family == 4 || e->family == 6) {
		p = e->family == 4 ? SPAN_PUT(p, "\"ipv4\":\"") : SPAN_PUT(p, "\"ipv6\":\"");
		p = span_put_ip(p, e);
		p = SPAN_PUT(p, "\",");
	}
	if (e->port) {
		p = SPAN_PUT(p, "\"port\":");
		p = span_put_u64(p, e->port);
		*p++ = ',';
	}
	p[-1] = '}'; /* for the last comma */
	return p;
}

static bool is_known(const struct span_peer *e)
{
	return e->service.n || e->family == 4 || e->family == 6 || e->port;
}

static char *put_notes(char *p, const struct span *s)
{
	size_t n = s->n_notes < SPAN_NOTES_MAX ? s->n_notes : SPAN_NOTES_MAX;

	if (n == 0)
		return p;
	p = SPAN_PUT(p, ",\"annotations\":[");
	for (size_t i = 0; i < n; i++) {
		p = SPAN_PUT(p, "{\"timestamp\":");
		p = span_put_u64(p, span_u64_max(s->notes[i].at, NUMBER_MAX));
		p = SPAN_PUT(p, ",\"value\":\"");
		p = span_put_json(p, str_of(s->notes[i].what));
		p = SPAN_PUT(p, "\"},");
	}
	p[-1] = ']';
	return p;
}

static char *put_tags(char *p, const struct span *s)
{
	size_t n = s->n_tags < SPAN_TAGS_MAX ? s->n_tags : SPAN_TAGS_MAX;
	bool said = !s->failed;

	if (n == 0 && said)
		return p;
	p = SPAN_PUT(p, ",\"tags\":{");
	for (size_t i = 0; i < n; i++) {
		struct str key = str_of(s->tags[i].key);
		*p++ = '"';
		p = span_put_json(p, key);
		p = SPAN_PUT(p, "\":\"");
		p = span_put_json(p, s->tags[i].value);
		p = SPAN_PUT(p, "\",");
		said = said || str_eq(key, STR("error"));
	}
	if (!said)
		p = SPAN_PUT(p, "\"error\":\"\",");
	p[-1] = '}';
	return p;
}

size_t zipkin_json_span(const struct span *s, char *at)
{
	char *p = at;

	if (!span_is_sound(s))
		return 0;
	p = put_ids(p, s);
	p = span_put_json(p, s->name);
	*p++ = '"';
	if (s->started) {
		p = SPAN_PUT(p, ",\"timestamp\":");
		p = span_put_u64(p, span_u64_max(s->started, NUMBER_MAX));
	}
	p = SPAN_PUT(p, ",\"duration\":");
	p = span_put_u64(p, s->duration ? span_u64_max(s->duration, NUMBER_MAX) : 1);
	if (is_known(&s->local)) {
		p = SPAN_PUT(p, ",\"localEndpoint\":{");
		p = put_endpoint(p, &s->local);
	}
	if (is_known(&s->remote)) {
		p = SPAN_PUT(p, ",\"remoteEndpoint\":{");
		p = put_endpoint(p, &s->remote);
	}
	p = put_notes(p, s);
	p = put_tags(p, s);
	if (s->debug)
		p = SPAN_PUT(p, ",\"debug\":true");
	if (s->shared && s->kind == SPAN_SERVER)
		p = SPAN_PUT(p, ",\"shared\":true");
	*p++ = '}';
	return (size_t)(p - at);
}
