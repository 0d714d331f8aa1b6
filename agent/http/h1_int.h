/* What the request and the response parser share: the walk over lines, one field line, the checks of fields
 * that both know. Private to http/.
 *
 * Two roads lead through a field line. The fast one takes a line only when it is exactly "name: value\r\n" of
 * ordinary bytes, in one scan; whatever it does not take goes to the other, which finds the LF first, knows the
 * limits, resumes, and alone decides what is bad. Both must accept the same lines with the same result:
 * tests/fuzz cuts every input at every place, and a line that was cut goes by the second road. */
#ifndef OUTRIDER_HTTP_H1_INT_H
#define OUTRIDER_HTTP_H1_INT_H

#include "http/field.h"
#include "http/h1.h"

struct h1_run;

/* What differs between the two directions. */
struct h1_side {
	bool reply;
	enum reason bad_field, too_large;
	/* The start line without its line end. `bare`: it ended by LF alone. false after h1_fail(). */
	bool (*start)(struct h1_run *r, struct str line, bool bare);
	/* After the empty line: what the fields mean together. */
	bool (*finish)(struct h1_run *r);
};

/* One call of the parser. */
struct h1_run {
	struct h1_parser *p;
	struct head *h;
	struct arena *a;
	const struct h1_limits *lim;
	const struct h1_side *side;
	const char *buf, *end; /* end: of the bytes that may belong to a head within the limit */
	unsigned fields;       /* maximum */
	enum http_method method; /* replies: of the request */
};

enum h1_result h1_walk(struct h1_run *r, size_t n);

/* Notes why and returns false, so that `return h1_fail(…)` reads well. */
static inline bool h1_fail(struct h1_run *r, enum reason why)
{
	r->p->why = why;
	return false;
}

static inline void h1_odd(struct head *h)
{
	if (h->odd < UINT8_MAX)
		h->odd++;
}

/* Was a field with that id met more than once? */
static inline bool h1_twice(const struct h1_run *r, enum field_id id)
{
	return (r->p->twice >> id & 1) != 0;
}

/* A Content-Length: digits only, at most 2^63 - 1. */
bool h1_length(struct str value, uint64_t *ret);
/* keep_alive from version and Connection; upgrade, upgrade_other, te_trailers. */
void h1_connection(struct head *h);
/* Is the only Transfer-Encoding field exactly "chunked"? */
bool h1_is_chunked(const struct h1_run *r);
/* Writes every FIELD_REPAIRED line anew, into the arena. */
bool h1_repair(struct h1_run *r);

#endif
