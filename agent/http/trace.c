#include "http/trace.h"

#define ID 16u /* digits of 64 bits */

/* --- digits ------------------------------------------------------------------------------------------------------------------ */

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex64(const char *p, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < ID; i++) {
		int n = nibble(p[i]);
		if (n < 0)
			return false;
		v = v << 4 | (uint64_t)n;
	}
	*ret = v;
	return true;
}

static char *put64(char *p, uint64_t v)
{
	for (unsigned i = 0; i < ID; i++)
		p[i] = "0123456789abcdef"[v >> (60 - 4 * i) & 15];
	return p + ID;
}

void trace_span_text(uint64_t id, char dst[17])
{
	*put64(dst, id) = '\0';
}

static char *put_id(char *p, uint64_t hi, uint64_t lo)
{
	if (hi)
		p = put64(p, hi);
	return put64(p, lo);
}

void trace_id_text(uint64_t hi, uint64_t lo, char dst[TRACE_ID_TEXT])
{
	*put_id(dst, hi, lo) = '\0';
}

bool trace_id_parse(struct str s, uint64_t *hi, uint64_t *lo)
{
	*hi = 0;
	if (s.n == ID)
		return hex64(s.p, lo) && *lo;
	return s.n == 2 * ID && hex64(s.p, hi) && hex64(s.p + ID, lo) && (*hi | *lo);
}

static bool span_parse(struct str s, uint64_t *ret)
{
	return s.n == ID && hex64(s.p, ret) && *ret;
}

/* --- reading ------------------------------------------------------------------------------------------------------------------- */

static bool decision_of(char c, uint8_t *ret)
{
	switch (c) {
	case '0':
		*ret = TRACE_DENY;
		return true;
	case '1':
		*ret = TRACE_ACCEPT;
		return true;
	case 'd':
		*ret = TRACE_DEBUG;
		return true;
	default:
		return false;
	}
}

bool trace_read_b3(struct str v, struct trace_context *t)
{
	struct str part[4];
	unsigned n = 0;

	*t = (struct trace_context){ .kind = TRACE_B3 };
	if (v.n == 1)
		return decision_of(v.p[0], &t->decision);
	for (size_t from = 0, i = 0; i <= v.n; i++) {
		if (i < v.n && v.p[i] != '-')
			continue;
		if (n == 4)
			return false;
		part[n++] = str_make(v.p + from, i - from);
		from = i + 1;
	}
	if (n < 2 || !trace_id_parse(part[0], &t->hi, &t->lo) || !span_parse(part[1], &t->span))
		return false;
	if (n > 2 && (part[2].n != 1 || !decision_of(part[2].p[0], &t->decision)))
		return false;
	return n < 4 || span_parse(part[3], &t->parent);
}

bool trace_read_w3c(struct str v, struct trace_context *t)
{
	uint64_t hi, lo;

	*t = (struct trace_context){ .kind = TRACE_W3C };
	if (v.n < 55 || v.p[2] != '-' || v.p[35] != '-' || v.p[52] != '-')
		return false;
	int version = nibble(v.p[0]) < 0 || nibble(v.p[1]) < 0 ? 0xff : nibble(v.p[0]) << 4 | nibble(v.p[1]);
	if (version == 0xff || (version == 0 && v.n != 55) || (v.n > 55 && v.p[55] != '-'))
		return false;
	for (size_t i = 0; i < 55; i++)
		if (v.p[i] >= 'A' && v.p[i] <= 'F')
			return false; /* lower case only */
	int high = nibble(v.p[53]), low = nibble(v.p[54]);
	if (!hex64(v.p + 3, &hi) || !hex64(v.p + 19, &lo) || !(hi | lo) || !span_parse(str_make(v.p + 36, ID), &t->span) || high < 0 || low < 0)
		return false;
	t->hi = hi;
	t->lo = lo;
	t->flags = (uint8_t)(low & 2);
	t->decision = low & 1 ? TRACE_ACCEPT : TRACE_DENY;
	return true;
}

static struct str value_of(const struct head *h, enum field_id id)
{
	const struct field *f = h->first[id] ? head_get(h, id) : NULL;

	return f ? field_value(f) : (struct str){ NULL, 0 };
}

static bool read_sampled(struct str s, uint8_t *ret)
{
	if (s.n == 1 && s.p[0] != 'd')
		return decision_of(s.p[0], ret);
	*ret = str_ieq(s, STR("true")) ? TRACE_ACCEPT : TRACE_DENY;
	return str_ieq(s, STR("true")) || str_ieq(s, STR("false"));
}

/* A context without ids is a decision alone; ids that are malformed are none. */
static bool read_multi(const struct head *h, struct trace_context *t)
{
	struct str id = value_of(h, FIELD_X_B3_TRACEID), span = value_of(h, FIELD_X_B3_SPANID), parent = value_of(h, FIELD_X_B3_PARENTSPANID);
	struct str sampled = value_of(h, FIELD_X_B3_SAMPLED), flags = value_of(h, FIELD_X_B3_FLAGS);
	bool decided = false;

	*t = (struct trace_context){ .kind = TRACE_B3_MULTI };
	if (sampled.n)
		decided = read_sampled(sampled, &t->decision);
	if (str_eq(flags, STR("1"))) {
		t->decision = TRACE_DEBUG;
		decided = true;
	}
	if (!trace_id_parse(id, &t->hi, &t->lo) || !span_parse(span, &t->span)) {
		t->hi = t->lo = t->span = 0;
		return decided;
	}
	if (parent.n && !span_parse(parent, &t->parent))
		t->parent = 0;
	return true;
}

bool trace_read(const struct head *h, const uint8_t order[4], struct trace_context *t)
{
	for (unsigned i = 0; i < 4 && order[i]; i++) {
		struct str v;
		if (order[i] == TRACE_B3 && (v = value_of(h, FIELD_B3)).n && trace_read_b3(v, t))
			return true;
		if (order[i] == TRACE_B3_MULTI && read_multi(h, t))
			return true;
		if (order[i] == TRACE_W3C && (v = value_of(h, FIELD_TRACEPARENT)).n && trace_read_w3c(v, t))
			return true;
	}
	*t = (struct trace_context){ 0 };
	return false;
}

/* --- writing ------------------------------------------------------------------------------------------------------------------- */

static char *put(char *p, const char *z, size_t n)
{
	memcpy(p, z, n);
	return p + n;
}
#define PUT(p, lit) put((p), "" lit, sizeof(lit) - 1)

static char *put_b3(const struct trace_context *t, char *p)
{
	static const char states[] = { [TRACE_DENY] = '0', [TRACE_ACCEPT] = '1', [TRACE_DEBUG] = 'd' };

	p = PUT(p, "b3: ");
	if (trace_has_ids(t)) {
		p = put_id(p, t->hi, t->lo);
		*p++ = '-';
		p = put64(p, t->span);
	}
	if (trace_has_ids(t) && t->decision != TRACE_DEFER)
		*p++ = '-';
	if (t->decision != TRACE_DEFER)
		*p++ = states[t->decision];
	if (t->parent && t->decision != TRACE_DEFER) {
		*p++ = '-';
		p = put64(p, t->parent);
	}
	return PUT(p, "\r\n");
}

static char *put_multi(const struct trace_context *t, char *p)
{
	if (trace_has_ids(t)) {
		p = PUT(p, "X-B3-TraceId: ");
		p = put_id(p, t->hi, t->lo);
		p = PUT(p, "\r\nX-B3-SpanId: ");
		p = put64(p, t->span);
		p = PUT(p, "\r\n");
	}
	if (trace_has_ids(t) && t->parent) {
		p = PUT(p, "X-B3-ParentSpanId: ");
		p = put64(p, t->parent);
		p = PUT(p, "\r\n");
	}
	if (t->decision == TRACE_DEBUG)
		return PUT(p, "X-B3-Flags: 1\r\n");
	if (t->decision == TRACE_DEFER)
		return p;
	return t->decision == TRACE_ACCEPT ? PUT(p, "X-B3-Sampled: 1\r\n") : PUT(p, "X-B3-Sampled: 0\r\n");
}

char *trace_write(const struct trace_context *t, unsigned kinds, char *p)
{
	if (kinds & TRACE_B3_MULTI)
		p = put_multi(t, p);
	if (kinds & TRACE_B3)
		p = put_b3(t, p);
	if (!(kinds & TRACE_W3C) || !trace_has_ids(t))
		return p;
	p = PUT(p, "traceparent: 00-");
	p = put64(p, t->hi);
	p = put64(p, t->lo);
	*p++ = '-';
	p = put64(p, t->span);
	p = PUT(p, "-0");
	*p++ = (char)('0' + (t->flags & 2) + (t->decision >= TRACE_ACCEPT));
	return PUT(p, "\r\n");
}

void trace_delete(struct head *h, bool keep_state)
{
	static const uint8_t ids[] = { FIELD_B3, FIELD_X_B3_TRACEID, FIELD_X_B3_SPANID, FIELD_X_B3_PARENTSPANID, FIELD_X_B3_SAMPLED, FIELD_X_B3_FLAGS,
				       FIELD_TRACEPARENT };

	for (size_t i = 0; i < sizeof(ids); i++)
		if (h->first[ids[i]])
			head_delete(h, ids[i]);
	if (!keep_state && h->first[FIELD_TRACESTATE])
		head_delete(h, FIELD_TRACESTATE);
}
