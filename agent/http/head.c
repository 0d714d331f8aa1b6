#include "http/head.h"

#include "http/field.h"

#include <assert.h>

/* Options of Connection that are no known field and are looked for: bounded, since each costs a walk
 * over all fields. Nobody names more than a handful. */
#define NAMED_MAX 64

_Static_assert(FIELD_IDS <= 64, "h1_parser.twice has one bit per id");

void head_init(struct head *h)
{
	memset(h, 0, offsetof(struct head, f));
	h->cap = HEAD_FIELDS_INLINE;
	h->f = h->inline_f;
}

/* --- moving -------------------------------------------------------------------------------------------- */

struct shift {
	uintptr_t old;
	size_t n;
	const char *now;
};

static inline void move(const struct shift *s, const char **p)
{
	uintptr_t off = (uintptr_t)*p - s->old;

	if (*p && off < s->n)
		*p = s->now + off;
}

void head_rebase(struct head *h, const char *old, size_t n, const char *now)
{
	const struct shift s = { (uintptr_t)old, n, now };
	struct str *strs[] = { &h->method_text, &h->target, &h->phrase, &h->authority, &h->path, &h->scheme };

	if (old == now)
		return;
	for (size_t i = 0; i < sizeof(strs) / sizeof(strs[0]); i++)
		move(&s, &strs[i]->p);
	for (unsigned i = 0; i < h->n; i++) {
		move(&s, &h->f[i].line);
		move(&s, &h->f[i].value);
	}
}

/* --- finding -------------------------------------------------------------------------------------------- */

const struct field *head_get(const struct head *h, enum field_id id)
{
	if (id == FIELD_OTHER || id >= FIELD_IDS || h->first[id] == 0)
		return NULL;
	for (unsigned i = h->first[id] - 1u; i < h->n; i++) {
		if (h->f[i].id == id && !(h->f[i].flags & FIELD_DELETED))
			return &h->f[i];
	}
	return NULL;
}

const struct field *head_next(const struct head *h, struct str name, uint16_t *at)
{
	for (unsigned i = *at; i < h->n; i++) {
		const struct field *f = &h->f[i];

		if (f->name_len != name.n || (f->flags & FIELD_DELETED) || !str_ieq(field_name(f), name))
			continue;
		*at = (uint16_t)(i + 1);
		return f;
	}
	*at = h->n;
	return NULL;
}

bool field_list_has(const struct head *h, enum field_id id, struct str word)
{
	if (id == FIELD_OTHER || h->first[id] == 0)
		return false;
	for (unsigned i = h->first[id] - 1u; i < h->n; i++) {
		struct str rest = field_value(&h->f[i]), piece;

		if (h->f[i].id != id || (h->f[i].flags & FIELD_DELETED))
			continue;
		while (str_next(&rest, ',', &piece)) {
			if (str_ieq(piece, word))
				return true;
		}
	}
	return false;
}

/* --- deleting ------------------------------------------------------------------------------------------- */

void head_delete(struct head *h, enum field_id id)
{
	if (id == FIELD_OTHER || id >= FIELD_IDS || h->first[id] == 0)
		return;
	for (unsigned i = h->first[id] - 1u; i < h->n; i++) {
		if (h->f[i].id == id)
			h->f[i].flags |= FIELD_DELETED;
	}
}

/* What a Connection field cannot take away: framing, routing, the loop mark, the trail of callers and what
 * agents tell each other. A caller that names them tries to hide something from the next server. */
static bool is_end_to_end(enum field_id id)
{
	switch (id) {
	case FIELD_HOST:
	case FIELD_CONTENT_LENGTH:
	case FIELD_VIA:
	case FIELD_FORWARDED:
	case FIELD_X_FORWARDED_FOR:
	case FIELD_X_FORWARDED_PROTO:
	case FIELD_X_FORWARDED_HOST:
	case FIELD_X_REQUEST_ID:
	case FIELD_X_OUTRIDER_HELLO:
	case FIELD_X_OUTRIDER_MARK:
	case FIELD_X_OUTRIDER_DEADLINE_MS:
	case FIELD_X_OUTRIDER_ATTEMPT:
	case FIELD_X_OUTRIDER_RETRIES:
	case FIELD_X_OUTRIDER_PRIORITY:
	case FIELD_X_OUTRIDER_REASON:
	case FIELD_X_OUTRIDER_AGENT:
	case FIELD_X_OUTRIDER:
		return true;
	default:
		return false;
	}
}

static void delete_named(struct head *h, struct str name)
{
	for (unsigned i = 0; i < h->n; i++) {
		if (h->f[i].name_len == name.n && str_ieq(field_name(&h->f[i]), name))
			h->f[i].flags |= FIELD_DELETED;
	}
}

/* Deletes what the options of one Connection field name; `*budget` bounds the slow kind. */
static void delete_options(struct head *h, struct str rest, unsigned *budget)
{
	struct str name;

	while (str_next(&rest, ',', &name)) {
		enum field_id id = field_lookup(name);

		if (id != FIELD_OTHER) {
			if (!is_end_to_end(id))
				head_delete(h, id);
		} else if (name.n > 0 && !str_ieq(name, STR("close")) && *budget > 0) {
			(*budget)--;
			delete_named(h, name);
		}
	}
}

void head_delete_hop_by_hop(struct head *h)
{
	static const uint8_t always[] = {
		FIELD_CONNECTION,         FIELD_KEEP_ALIVE, FIELD_PROXY_CONNECTION,
		FIELD_TE,                 FIELD_UPGRADE,    FIELD_TRANSFER_ENCODING,
		FIELD_PROXY_AUTHENTICATE, FIELD_PROXY_AUTHORIZATION, FIELD_PROXY_AUTHENTICATION_INFO,
	};
	unsigned budget = NAMED_MAX;

	if (h->first[FIELD_CONNECTION]) {
		for (unsigned i = h->first[FIELD_CONNECTION] - 1u; i < h->n; i++) {
			if (h->f[i].id == FIELD_CONNECTION && !(h->f[i].flags & FIELD_NEW))
				delete_options(h, field_value(&h->f[i]), &budget);
		}
	}
	for (size_t i = 0; i < sizeof(always); i++) {
		if (h->first[always[i]])
			head_delete(h, (enum field_id)always[i]);
	}
}

/* --- adding --------------------------------------------------------------------------------------------- */

bool head_grow(struct head *h, struct arena *a, unsigned limit)
{
	unsigned cap = h->cap * 2u;

	if (cap > limit)
		cap = limit;
	if (cap <= h->cap)
		return false;
	struct field *f = arena_alloc(a, cap * sizeof(*f));
	if (!f)
		return false;
	memcpy(f, h->f, h->n * sizeof(*f));
	h->f = f;
	h->cap = (uint16_t)cap;
	return true;
}

bool head_add(struct head *h, struct arena *a, enum field_id id, struct str name, struct str value)
{
	size_t n = name.n + 2 + value.n + 2;

	assert(name.n > 0 && octets_span(name.p, name.p + name.n, OCTET_TOKEN) == name.p + name.n);
	assert(value.n == 0 || octets_span(value.p, value.p + value.n, OCTET_TEXT) == value.p + value.n);
	if (name.n > UINT16_MAX || value.n > UINT32_MAX / 2 || id >= FIELD_IDS)
		return false;
	if (h->n == h->cap && !head_grow(h, a, HEAD_FIELDS_MAX))
		return false;
	char *line = arena_bytes(a, n);
	if (!line)
		return false;
	memcpy(line, name.p, name.n);
	memcpy(line + name.n, ": ", 2);
	if (value.n)
		memcpy(line + name.n + 2, value.p, value.n);
	memcpy(line + n - 2, "\r\n", 2);
	h->f[h->n++] = (struct field){
		.line = line,
		.value = line + name.n + 2,
		.line_len = (uint32_t)n,
		.value_len = (uint32_t)value.n,
		.name_len = (uint16_t)name.n,
		.id = (uint8_t)id,
		.flags = FIELD_NEW,
	};
	if (id != FIELD_OTHER && h->first[id] == 0)
		h->first[id] = h->n;
	return true;
}

/* --- writing -------------------------------------------------------------------------------------------- */

size_t head_fields_size(const struct head *h)
{
	size_t n = 0;

	for (unsigned i = 0; i < h->n; i++) {
		if (!(h->f[i].flags & FIELD_DELETED))
			n += h->f[i].line_len;
	}
	return n;
}

char *head_write_fields(const struct head *h, char *dst)
{
	unsigned i = 0;

	while (i < h->n) {
		const struct field *f = &h->f[i++];
		size_t n = f->line_len;

		if (f->flags & FIELD_DELETED)
			continue;
		/* Lines that lie behind each other, as they were received, go in one piece. */
		while (i < h->n && !(h->f[i].flags & FIELD_DELETED) && h->f[i].line == f->line + n)
			n += h->f[i++].line_len;
		memcpy(dst, f->line, n);
		dst += n;
	}
	return dst;
}
