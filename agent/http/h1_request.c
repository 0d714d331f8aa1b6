#include "http/h1_int.h"

/* --- request line: method SP target SP HTTP/1.x (RFC 9112 section 3) --------------------------------------- */

static bool version(struct h1_run *r, struct str v)
{
	if (v.n == 8 && memcmp(v.p, "HTTP/1.", 7) == 0 && (v.p[7] == '1' || v.p[7] == '0')) {
		r->h->minor = (uint8_t)(v.p[7] - '0');
		return true;
	}
	if (v.n == 0 || octets_target(v.p, v.p + v.n) != v.p + v.n)
		return h1_fail(r, REASON_BAD_REQUEST_LINE);
	return h1_fail(r, REASON_BAD_VERSION);
}

/* http://authority/path?query. Of other schemes this agent cannot be the proxy. */
static bool target_absolute(struct h1_run *r)
{
	struct head *h = r->h;
	struct str t = h->target;
	size_t colon = str_find(t, ':');
	uint16_t port;

	if (colon == SIZE_MAX || t.n - colon < 3 || memcmp(t.p + colon, "://", 3) != 0)
		return h1_fail(r, REASON_BAD_TARGET);
	h->scheme = str_make(t.p, colon);
	if (!str_ieq(h->scheme, STR("http")) && !str_ieq(h->scheme, STR("https")))
		return h1_fail(r, REASON_BAD_TARGET);
	const char *s = t.p + colon + 3, *end = t.p + t.n, *e = s;
	struct str host;
	while (e < end && *e != '/' && *e != '?')
		e++;
	const struct str authority = str_make(s, (size_t)(e - s));
	if (!authority_split(authority, &host, &port)) /* with a user and a password it is none, and nobody is to see them */
		return h1_fail(r, REASON_BAD_TARGET);
	h->form = TARGET_ABSOLUTE;
	h->authority = authority;
	h->path = str_make(e, (size_t)(end - e));
	if (e == end) {
		h->path = h->method == METHOD_OPTIONS ? STR("*") : STR("/");
	} else if (*e == '?') { /* the empty path before a query is "/" */
		char *path = arena_bytes(r->a, h->path.n + 1);
		if (!path)
			return h1_fail(r, REASON_NO_MEMORY);
		path[0] = '/';
		memcpy(path + 1, h->path.p, h->path.n);
		h->path = str_make(path, h->path.n + 1);
	}
	return true;
}

static bool target(struct h1_run *r)
{
	struct head *h = r->h;
	struct str host;
	uint16_t port;

	if (h->method == METHOD_CONNECT) {
		if (!authority_split(h->target, &host, &port) || port == 0)
			return h1_fail(r, REASON_BAD_TARGET);
		h->form = TARGET_AUTHORITY;
		h->authority = h->target;
		return true;
	}
	if (h->target.p[0] == '/') {
		h->form = TARGET_ORIGIN;
		h->path = h->target;
		return true;
	}
	if (h->target.n == 1 && h->target.p[0] == '*') {
		if (h->method != METHOD_OPTIONS)
			return h1_fail(r, REASON_BAD_TARGET);
		h->form = TARGET_ASTERISK;
		h->path = h->target;
		return true;
	}
	return target_absolute(r);
}

static bool start(struct h1_run *r, struct str line, bool bare)
{
	struct head *h = r->h;
	const char *end = line.p + line.n, *sp = line.n ? memchr(line.p, ' ', line.n) : NULL, *t, *e;

	if (bare || !sp || sp == line.p)
		return h1_fail(r, REASON_BAD_REQUEST_LINE);
	if (str_eq(line, STR("PRI * HTTP/2.0")))
		return h1_fail(r, REASON_HTTP2_PREFACE);
	if (octets_span(line.p, sp, OCTET_TOKEN) != sp)
		return h1_fail(r, REASON_BAD_METHOD);
	h->method_text = str_make(line.p, (size_t)(sp - line.p));
	h->method = (uint8_t)method_lookup(h->method_text);
	t = sp + 1;
	e = octets_target(t, end);
	if (e == end && e > t) /* HTTP/0.9, or a blank is missing */
		return h1_fail(r, REASON_BAD_REQUEST_LINE);
	if (e == t || *e != ' ')
		return h1_fail(r, REASON_BAD_TARGET);
	h->target = str_make(t, (size_t)(e - t));
	return version(r, str_make(e + 1, (size_t)(end - e - 1))) && target(r);
}

/* --- what the fields mean together -------------------------------------------------------------------------- */

/* HTTP/1.1 needs one Host, 1.0 may have one (RFC 9112 section 3.2). */
static bool host(struct h1_run *r)
{
	struct head *h = r->h;
	const struct field *f = head_get(h, FIELD_HOST);
	struct str value = field_value(f), name;
	uint16_t port;

	if (!f)
		return h->minor == 0 || h1_fail(r, REASON_BAD_HOST);
	if (h1_twice(r, FIELD_HOST) || (value.n > 0 && !authority_split(value, &name, &port)))
		return h1_fail(r, REASON_BAD_HOST);
	if (h->form == TARGET_ORIGIN || h->form == TARGET_ASTERISK)
		h->authority = value;
	return true;
}

/* The length of the body (RFC 9112 section 6.3): whatever two readers could see differently is refused. */
static bool framing(struct h1_run *r)
{
	struct head *h = r->h;
	bool coded = h->first[FIELD_TRANSFER_ENCODING] != 0;

	h->body = BODY_NONE;
	if (h->first[FIELD_CONTENT_LENGTH]) {
		struct str v = field_value(head_get(h, FIELD_CONTENT_LENGTH));
		if (coded || h1_twice(r, FIELD_CONTENT_LENGTH) || !h1_length(v, &h->length))
			return h1_fail(r, REASON_BAD_LENGTH);
		h->body = BODY_LENGTH;
	}
	if (coded) {
		if (h->minor == 0 || !h1_is_chunked(r))
			return h1_fail(r, REASON_BAD_ENCODING);
		h->body = BODY_CHUNKED;
	}
	if (h->method != METHOD_CONNECT)
		return true;
	/* What follows a CONNECT is the tunnel: a body would be read as one by some servers only. */
	if (coded || h->length > 0)
		return h1_fail(r, REASON_BAD_LENGTH);
	h->body = BODY_NONE;
	return true;
}

static bool finish(struct h1_run *r)
{
	struct head *h = r->h;

	if (!host(r) || !framing(r))
		return false;
	h1_connection(h);
	/* RFC 6455 section 4.1: a GET. With a body, nobody knows where the tunnel begins. */
	if (h->upgrade && (h->method != METHOD_GET || h->length > 0 || h->body == BODY_CHUNKED)) {
		h->upgrade = false;
		h->upgrade_other = true;
	}
	if (h->first[FIELD_EXPECT] && h->minor >= 1)
		h->expect_continue = str_ieq(field_value(head_get(h, FIELD_EXPECT)), STR("100-continue"));
	return true;
}

enum h1_result h1_parse_request(struct h1_parser *p, struct head *h, const char *buf, size_t n,
				const struct h1_limits *lim, struct arena *a)
{
	static const struct h1_side side = {
		.bad_field = REASON_BAD_FIELD,
		.too_large = REASON_HEAD_TOO_LARGE,
		.start = start,
		.finish = finish,
	};
	struct h1_run r = { .p = p, .h = h, .a = a, .lim = lim, .side = &side, .buf = buf };

	return h1_walk(&r, n);
}
