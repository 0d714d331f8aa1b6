/* The last log records, for GET /log/recent: 64 KiB of the agent's own, 64 KiB of the access log, 128 KiB of what services wrote, so that
 * a flood of one kind leaves the others there. The eldest of a kind makes room. A message or members of more than LOG_KEEP_TEXT bytes are
 * kept without their end, and marked. Thread: control's. */
#ifndef OUTRIDER_CONTROL_LOG_KEEP_H
#define OUTRIDER_CONTROL_LOG_KEEP_H

#include "control/log.h"

#define LOG_KEEP_TEXT 8192u

struct log_keep;

struct log_keep *log_keep_new(struct err *err) MUST_CHECK;
void log_keep_free(struct log_keep *k); /* NULL is fine */
void log_keep_put(struct log_keep *k, const struct log_record *r); /* json and line are not kept */

/* Calls fn for every record that `fits` (NULL: all), newest first, at most `limit` times, until it returns false. Returns whether there were more.
 * r has neither json nor line. */
bool log_keep_each(const struct log_keep *k, size_t limit, bool (*fits)(const void *with, const struct log_record *r), const void *with,
	bool (*fn)(void *arg, const struct log_record *r), void *arg);

#endif
