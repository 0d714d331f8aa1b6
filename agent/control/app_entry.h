/* What a line that a service wrote says: an entry for the sinks (plugin.h, struct log_record).
 *
 *     {"level":"WARN","msg":"late","order":7,"traceId":"80f1…"}  ──>  warn, "late", members "order":7,"app_level":"WARN", trace 80f1…
 *     2026-11-23 04:05:06 ERROR [bank,80f1…,05e3…,true] no     ──>  error, the line, no members, trace 80f1…
 *
 * A line that is a JSON object (app_json.h) is merged: its time, level, message, trace and span are taken from the names that loggers give
 * them (tables in app_entry.c), all others stay members as they stand. What cannot be taken without a loss stays as well, and a name that is a
 * stamp of ours (service, task, node …) is kept as app_NAME: nothing of a line overwrites a stamp, and no stamp hides what the line said.
 * Any other line is the message. Its level is the first word for one that stands there as such: in capitals, in brackets, or behind level=.
 * stderr says nothing about the level: many loggers write everything there. None known: info.
 * Trace: behind traceId, trace_id, X-B3-TraceId, traceparent, in any case, anywhere in the line (also nested, also quoted), and Sleuth's
 * [application,trace,span,exportable].
 * Pure; any thread. */
#ifndef OUTRIDER_CONTROL_APP_ENTRY_H
#define OUTRIDER_CONTROL_APP_ENTRY_H

#include "base/text.h"
#include "control/log.h"

#define APP_ENTRY_JSON_MAX                                                                                   \
	(256u * 1024u) /* longer lines are not looked at as JSON: that would take long (DESIGN section 5) */

struct app_entry {
	uint64_t wall; /* µs since 1970; 0: the line says none */
	enum log_level level;
	bool merged;                  /* the line is a JSON object */
	struct str message, members;  /* members without braces, may be empty; both in `text` or the line */
	struct str trace_id, span_id; /* 16 or 32, and 16 hexadecimal digits; empty: none */
	struct text
		text; /* owned: what had to be written anew. Kept between lines, so that memory is not asked for each */
};

void app_entry_init(struct app_entry *e);
void app_entry_release(struct app_entry *e);
/* Of a clean line (app_text.h), which must live as long as what is said of it; whole: it is no piece of a longer one. */
void app_entry_read(struct app_entry *e, struct str line, bool whole);

#endif
