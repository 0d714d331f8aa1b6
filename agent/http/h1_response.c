#include "http/h1_int.h"

/* status-line = HTTP/1.x SP 3DIGIT [SP phrase] (RFC 9112 section 4). A later 1.x is read as 1.1; the phrase may be
 * missing, with or without its blank. */
static bool start(struct h1_run *r, struct str line, bool bare)
{
	struct head *h = r->h;
	const char *s = line.p, *end = line.p + line.n;

	if (line.n < 12 || memcmp(s, "HTTP/1.", 7) != 0 || s[7] < '0' || s[7] > '9' || s[8] != ' ')
		return h1_fail(r, REASON_BAD_RESPONSE);
	h->minor = s[7] != '0';
	for (unsigned i = 9; i < 12; i++) {
		if (s[i] < '0' || s[i] > '9')
			return h1_fail(r, REASON_BAD_RESPONSE);
		h->status = (uint16_t)(h->status * 10 + (s[i] - '0'));
	}
	if (h->status < 100 || (line.n > 12 && s[12] != ' ') || octets_text(s + 12, end) != end)
		return h1_fail(r, REASON_BAD_RESPONSE);
	h->phrase = line.n > 13 ? str_make(s + 13, line.n - 13) : str_make(NULL, 0);
	if (bare || line.n == 12)
		h1_odd(h);
	return true;
}

/* All Content-Length values there are, of several fields or in one list, must be the same number (RFC 9112
 * section 6.3). Keeps one field with that number. */
static bool one_length(struct h1_run *r, uint64_t *ret)
{
	struct head *h = r->h;
	struct str keep = { NULL, 0 };
	bool repeated = false;

	for (unsigned i = h->first[FIELD_CONTENT_LENGTH] - 1u; i < h->n; i++) {
		struct str rest = field_value(&h->f[i]), piece;
		uint64_t n;

		if (h->f[i].id != FIELD_CONTENT_LENGTH)
			continue;
		while (str_next(&rest, ',', &piece)) {
			if (!h1_length(piece, &n) || (keep.p && n != *ret))
				return false;
			repeated = repeated || keep.p;
			keep = piece;
			*ret = n;
		}
	}
	if (!repeated)
		return true;
	h1_odd(h);
	head_delete(h, FIELD_CONTENT_LENGTH);
	return head_add(h, r->a, FIELD_CONTENT_LENGTH, STR("Content-Length"), keep) ||
	       h1_fail(r, REASON_NO_MEMORY);
}

/* Replies that have no body whatever their fields say: those fields must not reach the next reader. An agent that
 * does not know better than this server may read a body here: such a connection is not used again. */
static void drop_framing(struct head *h)
{
	const struct field *f = head_get(h, FIELD_CONTENT_LENGTH);

	if (!f && !h->first[FIELD_TRANSFER_ENCODING])
		return;
	if (!f || h->first[FIELD_TRANSFER_ENCODING] || !str_eq(field_value(f), STR("0")))
		h->keep_alive = false;
	head_delete(h, FIELD_CONTENT_LENGTH);
	head_delete(h, FIELD_TRANSFER_ENCODING);
	h1_odd(h);
}

/* Is this a reply without a body by its status (or a tunnel), framing fields to be ignored? */
static bool never_has_body(const struct h1_run *r)
{
	unsigned s = r->h->status;

	return s < 200 || s == 204 || (r->method == METHOD_CONNECT && s < 300);
}

/* RFC 9112 section 6.3. */
static bool framing(struct h1_run *r)
{
	struct head *h = r->h;

	h->body = BODY_NONE;
	if (never_has_body(r)) {
		drop_framing(h);
		return true;
	}
	h->body = BODY_CLOSE;
	if (h->first[FIELD_CONTENT_LENGTH]) {
		if (h->first[FIELD_TRANSFER_ENCODING] || !one_length(r, &h->length))
			return h1_fail(r, r->p->why == REASON_NO_MEMORY ? REASON_NO_MEMORY : REASON_BAD_RESPONSE);
		h->body = BODY_LENGTH;
	}
	if (h->first[FIELD_TRANSFER_ENCODING]) {
		if (h->minor == 0 || !h1_is_chunked(r))
			return h1_fail(r, REASON_BAD_RESPONSE);
		h->body = BODY_CHUNKED;
	}
	if (r->method == METHOD_HEAD || h->status == 304) {
		h->body = BODY_NONE;
		h->length = 0;
	}
	if (h->body == BODY_CLOSE)
		h->keep_alive = false;
	return true;
}

/* "timeout=5, max=100" → 5; 0 when it is not said or no number. */
static uint32_t keep_alive_seconds(struct str rest)
{
	struct str piece;
	uint64_t n;

	while (str_next(&rest, ',', &piece)) {
		size_t eq = str_find(piece, '=');

		if (eq == SIZE_MAX || !str_ieq(str_trim(str_make(piece.p, eq)), STR("timeout")))
			continue;
		if (!str_u64(str_trim(str_make(piece.p + eq + 1, piece.n - eq - 1)), &n))
			return 0;
		return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
	}
	return 0;
}

static bool finish(struct h1_run *r)
{
	struct head *h = r->h;

	if (h->odd > 0 && !h1_repair(r))
		return false;
	h1_connection(h);
	if (h->first[FIELD_KEEP_ALIVE])
		h->keep_alive_s = keep_alive_seconds(field_value(head_get(h, FIELD_KEEP_ALIVE)));
	return framing(r);
}

enum h1_result h1_parse_response(struct h1_parser *p, struct head *h, const char *buf, size_t n,
				 const struct h1_limits *lim, enum http_method method, struct arena *a)
{
	static const struct h1_side side = {
		.reply = true,
		.bad_field = REASON_BAD_RESPONSE,
		.too_large = REASON_RESPONSE_HEAD_TOO_LARGE,
		.start = start,
		.finish = finish,
	};
	struct h1_run r = {
		.p = p, .h = h, .a = a, .lim = lim, .side = &side, .buf = buf, .method = method,
	};

	return h1_walk(&r, n);
}
