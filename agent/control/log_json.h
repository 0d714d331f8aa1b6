/* A log record as JSON, and as a line for people. Pure; any thread. */
#ifndef OUTRIDER_CONTROL_LOG_JSON_H
#define OUTRIDER_CONTROL_LOG_JSON_H

#include "base/text.h"
#include "plugin.h"

/* As json: and file: write it; without an end of line. Failure (no memory, too long) shows in t->failed. */
void log_json_line(struct text *t, const struct log_record *r);
/* As /log/recent and /log/tail show it: the same with "kind". */
void log_json_page(struct text *t, const struct log_record *r);

#endif
