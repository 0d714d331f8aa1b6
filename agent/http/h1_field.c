#include "http/h1_int.h"

bool h1_length(struct str value, uint64_t *ret)
{
	uint64_t n;

	if (!str_u64(value, &n) || n > INT64_MAX)
		return false;
	*ret = n;
	return true;
}

bool h1_is_chunked(const struct h1_run *r)
{
	struct str v = field_value(head_get(r->h, FIELD_TRANSFER_ENCODING));

	return !h1_twice(r, FIELD_TRANSFER_ENCODING) && str_ieq(v, STR("chunked"));
}

enum { OPTION_CLOSE = 1, OPTION_KEEP_ALIVE = 2, OPTION_UPGRADE = 4 };

static unsigned connection_option(struct str word)
{
	switch (word.n) {
	case 5:
		return str_ieq(word, STR("close")) ? OPTION_CLOSE : 0;
	case 10:
		return str_ieq(word, STR("keep-alive")) ? OPTION_KEEP_ALIVE : 0;
	case 7:
		return str_ieq(word, STR("upgrade")) ? OPTION_UPGRADE : 0;
	default:
		return 0;
	}
}

/* The options of all Connection fields that matter here, as bits. */
static unsigned connection_options(const struct head *h)
{
	unsigned bits = 0;

	if (h->first[FIELD_CONNECTION] == 0)
		return 0;
	for (unsigned i = h->first[FIELD_CONNECTION] - 1u; i < h->n; i++) {
		struct str rest = field_value(&h->f[i]), word;
		unsigned whole;

		if (h->f[i].id != FIELD_CONNECTION)
			continue;
		whole = connection_option(rest); /* nearly always it is one option alone */
		bits |= whole;
		while (!whole && str_next(&rest, ',', &word))
			bits |= connection_option(word);
	}
	return bits;
}

void h1_connection(struct head *h)
{
	unsigned bits = connection_options(h);

	/* HTTP/1.0 keeps only what both sides asked to keep; close wins over all (RFC 9112 section 9.3). */
	h->keep_alive = !(bits & OPTION_CLOSE) && (h->minor >= 1 || (bits & OPTION_KEEP_ALIVE));
	h->te_trailers = h->first[FIELD_TE] && field_list_has(h, FIELD_TE, STR("trailers"));
	/* Upgrade of HTTP/1.0 is ignored (RFC 9110 section 7.8). */
	if (h->first[FIELD_UPGRADE] && (bits & OPTION_UPGRADE) && h->minor >= 1) {
		const struct field *f = head_get(h, FIELD_UPGRADE);
		uint16_t at = h->first[FIELD_UPGRADE];
		bool only = !head_next(h, STR("upgrade"), &at);

		h->upgrade = only && str_ieq(field_value(f), STR("websocket"));
		h->upgrade_other = !h->upgrade;
	}
}

/* --- repairs of replies ---------------------------------------------------------------------------------- */

/* Copies the value of a folded field to dst: its lines trimmed and joined by one blank. Returns the end. */
static char *unfold(struct str raw, char *dst)
{
	struct str piece;
	const char *start = dst;

	while (str_next(&raw, '\n', &piece)) {
		if (piece.n == 0)
			continue;
		if (dst > start)
			*dst++ = ' ';
		memcpy(dst, piece.p, piece.n);
		dst += piece.n;
	}
	return dst;
}

static bool repair_field(struct arena *a, struct field *f)
{
	struct str raw = str_make(f->line + f->name_len, f->line_len - f->name_len);
	size_t colon = str_find(raw, ':') + 1; /* there is one, after blanks at most */
	/* At most two bytes more than before: the blank after the colon, the CR at the end. */
	char *line = arena_bytes(a, f->line_len + 2), *e, *v;

	if (!line)
		return false;
	memcpy(line, f->line, f->name_len);
	e = line + f->name_len;
	*e++ = ':';
	*e++ = ' ';
	v = e;
	e = unfold(str_make(raw.p + colon, raw.n - colon), v);
	f->value_len = (uint32_t)(e - v);
	*e++ = '\r';
	*e++ = '\n';
	f->value = v;
	f->line = line;
	f->line_len = (uint32_t)(e - line);
	return true;
}

bool h1_repair(struct h1_run *r)
{
	struct head *h = r->h;

	for (unsigned i = 0; i < h->n; i++) {
		if ((h->f[i].flags & FIELD_REPAIRED) && !repair_field(r->a, &h->f[i]))
			return h1_fail(r, REASON_NO_MEMORY);
	}
	return true;
}
