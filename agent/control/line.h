/* A line of text that is made quickly: for what is written per exchange (access log, /tap). Nothing of the printf family, no
 * allocation but for odd bytes.
 *
 *     struct line *l = line_new();
 *     line_clear(l); line_add(l, STR("{\"status\":")); line_u64(l, 200); …; if (!l->cut) send(line_str(l));
 *
 * What does not fit is left out and `cut` says so. Thread: its owner's. */
#ifndef OUTRIDER_CONTROL_LINE_H
#define OUTRIDER_CONTROL_LINE_H

#include "base/clock.h"
#include "base/text.h"
#include "proxy/record.h"

#define LINE_BYTES (32u * 1024u) /* 7 texts of RECORD_TEXT_MAX with every byte escaped to six, and the rest */

struct line {
	size_t n;
	bool cut;
	uint64_t second; /* that `time` is of */
	char time[20];   /* "2026-11-23T04:05:06" */
	struct text odd; /* what json_escape() makes of a text with other bytes than printable ASCII */
	char mem[LINE_BYTES];
};

struct line *line_new(void) MUST_CHECK; /* NULL: no memory */
void line_free(struct line *l);         /* NULL is fine */

static inline void line_clear(struct line *l)
{
	l->n = 0;
	l->cut = false;
}
static inline struct str line_str(const struct line *l)
{
	return str_make(l->mem, l->n);
}
static inline void line_add(struct line *l, struct str s)
{
	if (s.n > LINE_BYTES - l->n) {
		l->cut = true;
		return;
	}
	if (s.n)
		memcpy(l->mem + l->n, s.p, s.n);
	l->n += s.n;
}

void line_u64(struct line *l, uint64_t v);
void line_ms(struct line *l, uint64_t us);    /* "12.345" */
void line_hex(struct line *l, uint64_t v);    /* 16 digits */
void line_time(struct line *l, usec wall);    /* "2026-11-23T04:05:06.789Z" */
void line_value(struct line *l, struct str s); /* as the content of a JSON string: no value ends a quote or a line */
void line_ip(struct line *l, const struct record_peer *p);
void line_peer(struct line *l, const struct record_peer *p); /* with port; nothing for none */

#endif
