/* A log record as a line for people, as `text:` writes it:
 *
 *     2026-11-23T04:05:06.789Z warn  discovery: a registry does not answer registry="eureka" (repeated 17 times)
 *     2026-11-23T04:05:06.789Z info  access quotes-service: GET /api/quote 200 duration_ms=12.3 …
 *
 * Nothing in it ends a line, or moves a terminal's cursor. Pure; any thread. */
#ifndef OUTRIDER_PLUGINS_LOG_TEXT_H
#define OUTRIDER_PLUGINS_LOG_TEXT_H

#include "base/text.h"
#include "plugin.h"

void log_text_line(struct text *t, const struct log_record *r); /* without its end */
const char *log_text_level(unsigned level); /* "error" … */

#endif
