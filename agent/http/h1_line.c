#include "http/h1_int.h"

enum { AT_START, AT_FIELDS, AT_DONE, AT_BAD };

void h1_parser_init(struct h1_parser *p)
{
	*p = (struct h1_parser){ 0 };
}

/* --- one field line -------------------------------------------------------------------------------------- */

/* Enters a field into the table, which has room for it; the value comes trimmed. */
static inline void add_field(struct h1_run *r, const struct field *f)
{
	struct head *h = r->h;

	h->f[h->n++] = *f;
	if (f->id == FIELD_OTHER)
		return;
	if (h->first[f->id])
		r->p->twice |= (uint64_t)1 << f->id;
	else
		h->first[f->id] = h->n;
}

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The fast road. The line at `s` when it is an ordinary one: enters it and returns the start of the next line.
 * NULL: not ordinary, not complete, or the table is full; nothing was changed then. */
static inline const char *field_fast(struct h1_run *r, const char *s)
{
	const char *colon = octets_token(s, r->end), *v, *e;
	struct field f;

	if (colon == r->end || *colon != ':' || colon == s || colon - s > UINT16_MAX)
		return NULL;
	if (r->h->n == r->h->cap || r->h->n >= r->fields)
		return NULL;
	v = colon + 1;
	while (v < r->end && is_blank(*v))
		v++;
	e = octets_text(v, r->end);
	if (r->end - e < 2 || e[0] != '\r' || e[1] != '\n')
		return NULL;
	f.line = s;
	f.line_len = (uint32_t)(e + 2 - s);
	while (e > v && is_blank(e[-1]))
		e--;
	f.value = v;
	f.value_len = (uint32_t)(e - v);
	f.name_len = (uint16_t)(colon - s);
	f.id = (uint8_t)field_lookup_token(s, f.name_len);
	f.flags = 0;
	add_field(r, &f);
	return s + f.line_len;
}

/* A line that begins with a blank goes on with the value before it (obs-fold, RFC 9112 section 5.2). The lines lie
 * behind each other: the field just grows, h1_repair() joins it at the end. */
static bool fold(struct h1_run *r, struct str line, size_t raw)
{
	struct head *h = r->h;
	struct field *f;

	if (!r->side->reply || h->n == 0)
		return h1_fail(r, r->side->bad_field);
	if (octets_text(line.p, line.p + line.n) != line.p + line.n)
		return h1_fail(r, r->side->bad_field);
	f = &h->f[h->n - 1];
	f->line_len += (uint32_t)raw;
	f->flags |= FIELD_REPAIRED;
	h1_odd(h);
	return true;
}

/* The careful road: a complete line without its line end; raw = bytes with it. */
static bool field_line(struct h1_run *r, struct str line, size_t raw, bool bare)
{
	const char *end = line.p + line.n, *colon = octets_token(line.p, end), *name_end = colon;
	const struct h1_side *side = r->side;
	bool odd = bare;

	if (bare && !side->reply)
		return h1_fail(r, side->bad_field);
	if (is_blank(line.p[0]))
		return fold(r, line, raw);
	for (; side->reply && colon < end && is_blank(*colon); colon++)
		odd = true;
	if (colon == end || *colon != ':' || name_end == line.p || name_end - line.p > UINT16_MAX)
		return h1_fail(r, side->bad_field);
	if (octets_text(colon + 1, end) != end)
		return h1_fail(r, side->bad_field);
	if (r->h->n >= r->fields)
		return h1_fail(r, side->too_large);
	if (r->h->n == r->h->cap && !head_grow(r->h, r->a, r->fields))
		return h1_fail(r, REASON_NO_MEMORY);
	struct str v = str_trim(str_make(colon + 1, (size_t)(end - colon - 1)));
	struct field f = {
		.line = line.p,
		.value = v.p,
		.line_len = (uint32_t)raw,
		.value_len = (uint32_t)v.n,
		.name_len = (uint16_t)(name_end - line.p),
		.flags = odd ? FIELD_REPAIRED : 0,
	};
	f.id = (uint8_t)field_lookup_token(line.p, f.name_len);
	if (odd)
		h1_odd(r->h);
	add_field(r, &f);
	return true;
}

/* --- the walk -------------------------------------------------------------------------------------------- */

/* Is the start line longer than its limit? `n` bytes of it are known, its line end not counted as far as it is known.
 * When even a line within the limit could not lie in the head, only the head's limit counts: so that the answer
 * does not depend on how the bytes arrived. */
static bool line_too_long(const struct h1_run *r, size_t n)
{
	const struct h1_parser *p = r->p;

	if (r->side->reply || p->state != AT_START || (uint64_t)p->at + r->lim->line + 2 >= r->lim->head)
		return false;
	return n > r->lim->line;
}

/* The LF of the current line, or NULL: then *result says whether to wait or to give up. */
static const char *find_line(struct h1_run *r, size_t n, enum h1_result *result)
{
	struct h1_parser *p = r->p;
	const char *s = r->buf + p->at, *from = r->buf + (p->scanned > p->at ? p->scanned : p->at);
	const char *lf = from < r->end ? memchr(from, '\n', (size_t)(r->end - from)) : NULL;
	const char *e = lf ? lf : r->end;

	*result = H1_BAD;
	if (line_too_long(r, (size_t)(e - s) - (e > s && e[-1] == '\r'))) {
		p->why = REASON_TARGET_TOO_LONG;
		return NULL;
	}
	if (lf)
		return lf;
	p->scanned = (uint32_t)(r->end - r->buf);
	p->why = r->side->too_large;
	if (n < r->lim->head)
		*result = H1_MORE;
	return NULL;
}

/* An empty line before a request line: one is forgiven (RFC 9112 section 2.2). */
static bool skip_empty(struct h1_run *r, bool bare)
{
	return !r->side->reply && !bare && r->p->skipped++ == 0;
}

/* One complete line. true when the head goes on or is complete (state AT_DONE). */
static bool take_line(struct h1_run *r, const char *lf)
{
	struct h1_parser *p = r->p;
	const char *s = r->buf + p->at;
	bool bare = lf == s || lf[-1] != '\r';
	struct str line = str_make(s, (size_t)(lf - s) - !bare);

	p->at = (uint32_t)(lf + 1 - r->buf);
	if (p->state == AT_START) {
		if (line.n == 0 && skip_empty(r, bare))
			return true;
		p->state = AT_FIELDS;
		return r->side->start(r, line, bare);
	}
	if (line.n > 0)
		return field_line(r, line, (size_t)(lf + 1 - s), bare);
	if (bare && !r->side->reply)
		return h1_fail(r, r->side->bad_field);
	if (bare)
		h1_odd(r->h);
	p->state = AT_DONE;
	p->used = p->at;
	return r->side->finish(r);
}

/* Takes ordinary field lines as long as they come. A line that was seen incomplete before is left to the careful road,
 * which does not read it again from its start. */
static void fast_fields(struct h1_run *r)
{
	struct h1_parser *p = r->p;
	const char *s = r->buf + p->at, *next;

	if (p->scanned > p->at)
		return;
	while (r->end - s >= 2 && *s != '\r' && (next = field_fast(r, s)) != NULL)
		s = next;
	p->at = (uint32_t)(s - r->buf);
}

enum h1_result h1_walk(struct h1_run *r, size_t n)
{
	struct h1_parser *p = r->p;
	enum h1_result result;

	if (p->state == AT_START && p->at == 0 && p->scanned == 0)
		head_init(r->h);
	if (n == 0 && p->state == AT_START)
		return H1_MORE; /* buf may be NULL */
	r->end = r->buf + (n < r->lim->head ? n : r->lim->head);
	r->fields = r->lim->fields < HEAD_FIELDS_MAX ? r->lim->fields : HEAD_FIELDS_MAX;
	while (p->state == AT_START || p->state == AT_FIELDS) {
		if (p->state == AT_FIELDS)
			fast_fields(r);
		const char *lf = find_line(r, n, &result);
		if (!lf && result == H1_MORE)
			return H1_MORE;
		if (!lf || !take_line(r, lf))
			p->state = AT_BAD;
	}
	return p->state == AT_DONE ? H1_DONE : H1_BAD;
}
