/* GET /log/tail: log records that fit a filter (log_filter.h) as they come, as server-sent events, one JSON object as in /log/recent each.
 *
 *     data: {"time":…,"level":…,"kind":…,"message":…}   at most LOG_TAIL_RATE a second to each reader
 *     event: dropped  data: {"dropped":17}              so many more fitted in the second before
 *     : …                                               a comment every LOG_TAIL_PING
 *
 * At most LOG_TAIL_READERS, of one seat LOG_TAIL_OF_SEAT, and one place is for seat 0; a reader that takes nothing is closed. Thread: control's. */
#ifndef OUTRIDER_CONTROL_LOG_TAIL_H
#define OUTRIDER_CONTROL_LOG_TAIL_H

#include "control/log_filter.h"

#define LOG_TAIL_READERS 10u /* as many as pages may be open */
#define LOG_TAIL_OF_SEAT 3u /* a page has one per tab of a browser */
#define LOG_TAIL_RATE 200u
#define LOG_TAIL_PING (10 * USEC_SEC)

struct log_tail;

struct log_tail *log_tail_new(struct loop *l, struct err *err) MUST_CHECK;
void log_tail_free(struct log_tail *t); /* the httpds of its readers are closed; NULL is fine */
/* Takes the request over, or refuses it. */
void log_tail_serve(struct log_tail *t, struct httpd_request *r, const struct log_filter *f);
void log_tail_put(struct log_tail *t, const struct log_record *r);

#endif
