/* Lines of what a service writes, out of bytes that come in any pieces.
 *
 *     app_lines_init(l, 64 KiB)
 *     app_lines_feed(l, bytes, now, wall, line, arg)     line() for each line that ended, and for each piece of one that is too long
 *     app_lines_due(l)                                   when what has come of a line is given without its end …
 *     app_lines_flush(l, line, arg)                      … by this
 *     app_lines_end(l, line, arg)                        the writer is gone: what there is of a line is all of it
 *
 * A line ends in LF or CRLF, which are removed. Of one longer than `max` pieces of at most `max` bytes are given, never cut within a UTF-8
 * character, marked APP_LINE_MORE (it goes on in the next) and APP_LINE_REST (it began in a former one). A piece that was flushed is marked the
 * same way, and so is what comes of its line later. Nothing is lost, but for lack of memory: those bytes are counted.
 * Memory: `max` bytes while a line is incomplete, none while there is none. Pure: times are arguments. Owner: who called app_lines_init(). */
#ifndef OUTRIDER_CONTROL_APP_LINES_H
#define OUTRIDER_CONTROL_APP_LINES_H

#include "base/clock.h"
#include "base/str.h"

#define APP_LINE_MIN 1024u
#define APP_LINE_MAX (1024u * 1024u)
#define APP_LINE_PATIENCE                                                                                    \
	USEC_SEC /* an incomplete line is given that long after its first byte: a prompt, a progress bar */

enum { APP_LINE_MORE = 1, APP_LINE_REST = 2 };

/* text: valid during the call, without its end, may be empty; wall: when its first byte came. */
typedef void app_line_fn(void *arg, struct str text, unsigned flags, uint64_t wall);

struct app_lines {
	size_t max;
	char *mem; /* owned: what has come of the present line */
	size_t n, cap;
	bool rest;  /* a piece of the present line was given already */
	usec began; /* when the first byte in mem came */
	uint64_t wall;
	uint64_t lost; /* bytes, for lack of memory */
};

void app_lines_init(struct app_lines *l, size_t max); /* max: APP_LINE_MIN to APP_LINE_MAX */
void app_lines_release(struct app_lines *l);          /* a zeroed one is fine */
void app_lines_feed(
	struct app_lines *l, struct str bytes, usec now, uint64_t wall, app_line_fn *line, void *arg);
usec app_lines_due(const struct app_lines *l); /* USEC_NEVER: nothing waits */
void app_lines_flush(struct app_lines *l, app_line_fn *line, void *arg);
void app_lines_end(struct app_lines *l, app_line_fn *line, void *arg);

#endif
