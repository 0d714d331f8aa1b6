/* How a line of the access log looks: outrider.access.format.
 *
 *     json      an object per line
 *     text      for people
 *     template  what holds a %: bytes as they are, %{name} a field, %% a percent sign
 *
 * Values are escaped as in JSON strings (no value ends a line or a quote), empty ones are a dash. Pure; any thread. */
#ifndef OUTRIDER_CONTROL_ACCESS_FORMAT_H
#define OUTRIDER_CONTROL_ACCESS_FORMAT_H

#include "base/arena.h"
#include "control/line.h"
#include "control/log.h"
#include "control/telemetry.h"

#define ACCESS_PARTS_MAX 64u

struct access_part {
	uint8_t field;   /* 0: literal */
	struct str literal;
};

struct access_format {
	bool json;
	unsigned n;
	struct access_part parts[ACCESS_PARTS_MAX];
};

/* Literals point into s. false: why names what is wrong, and what would be accepted. */
bool access_format_parse(struct str s, struct access_format *ret, struct err *why) MUST_CHECK;
/* A copy with its texts; NULL: no memory. s must be good. */
const struct access_format *access_format_keep(struct arena *a, struct str s);

/* A line without its end, added to l. f NULL: json. */
void access_line(struct line *l, const struct access_format *f, const struct telemetry_who *who, const struct record *r);
void access_line_json(struct line *l, const struct telemetry_who *who, const struct record *r);
/* The same; returns the part behind whose it is, as log_record.members has it. Valid unless l->cut, while l has it. */
struct str access_line_members(struct line *l, const struct telemetry_who *who, const struct record *r);
enum log_level access_level(const struct record *r); /* warn: it failed, or its status is 5xx; else info */
void access_message(struct line *l, const struct record *r); /* "GET /api/quote 200", as it is: not escaped */

#endif
