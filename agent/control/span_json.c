#include "control/span_json.h"

#include <arpa/inet.h>

static void hex16(uint64_t v, char dst[17])
{
	for (unsigned i = 16; i-- > 0; v >>= 4)
		dst[i] = "0123456789abcdef"[v & 15];
	dst[16] = '\0';
}

void span_trace_id(uint64_t hi, uint64_t lo, char dst[33])
{
	if (hi)
		hex16(hi, dst);
	hex16(lo, dst + (hi ? 16 : 0));
}

static bool read_hex(struct str s, uint64_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i] >= 'A' && s.p[i] <= 'F' ? (char)(s.p[i] | 0x20) : s.p[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret = v;
	return true;
}

bool span_trace_id_read(struct str s, uint64_t *hi, uint64_t *lo)
{
	*hi = 0;
	if (s.n == 32 && !read_hex(str_make(s.p, 16), hi))
		return false;
	return (s.n == 16 || s.n == 32) && read_hex(str_make(s.p + s.n - 16, 16), lo) && (*hi | *lo);
}

static void put_id(struct json *j, const char *key, uint64_t id)
{
	char hex[17];

	hex16(id, hex);
	json_key(j, key);
	json_strz(j, hex);
}

static void put_endpoint(struct json *j, const char *key, const struct span_peer *p)
{
	char ip[INET6_ADDRSTRLEN];

	if (!p->service.n && !p->family)
		return;
	json_key(j, key);
	json_object(j);
	if (p->service.n) {
		json_key(j, "serviceName");
		json_str(j, p->service);
	}
	if (p->family && inet_ntop(p->family == 6 ? AF_INET6 : AF_INET, p->ip, ip, sizeof(ip))) {
		json_key(j, p->family == 6 ? "ipv6" : "ipv4");
		json_strz(j, ip);
	}
	if (p->port) {
		json_key(j, "port");
		json_u64(j, p->port);
	}
	json_end(j);
}

static void put_notes(struct json *j, const struct span *s)
{
	json_key(j, "annotations");
	json_array(j);
	for (unsigned i = 0; i < s->n_notes; i++) {
		json_object(j);
		json_key(j, "timestamp");
		json_u64(j, s->notes[i].at);
		json_key(j, "value");
		json_strz(j, s->notes[i].what);
		json_end(j);
	}
	json_end(j);
}

static void put_tags(struct json *j, const struct span *s)
{
	json_key(j, "tags");
	json_object(j);
	for (unsigned i = 0; i < s->n_tags; i++) {
		json_key(j, s->tags[i].key);
		json_str(j, s->tags[i].value);
	}
	json_end(j);
}

void span_json(struct json *j, const struct span *s)
{
	char trace[33];

	span_trace_id(s->trace_hi, s->trace_lo, trace);
	json_object(j);
	json_key(j, "traceId");
	json_strz(j, trace);
	put_id(j, "id", s->id);
	if (s->parent)
		put_id(j, "parentId", s->parent);
	if (s->kind != SPAN_LOCAL) {
		json_key(j, "kind");
		json_strz(j, s->kind == SPAN_SERVER ? "SERVER" : "CLIENT");
	}
	json_key(j, "name");
	json_str(j, s->name);
	json_key(j, "timestamp");
	json_u64(j, s->started);
	json_key(j, "duration");
	json_u64(j, s->duration ? s->duration : 1);
	put_endpoint(j, "localEndpoint", &s->local);
	put_endpoint(j, "remoteEndpoint", &s->remote);
	if (s->n_notes)
		put_notes(j, s);
	if (s->n_tags)
		put_tags(j, s);
	if (s->debug) {
		json_key(j, "debug");
		json_bool(j, true);
	}
	if (s->shared && s->kind == SPAN_SERVER) {
		json_key(j, "shared");
		json_bool(j, true);
	}
	json_end(j);
}
