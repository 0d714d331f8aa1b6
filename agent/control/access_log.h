/* The access log: a line for every failure, every slow exchange, and a share of the others (options access.…).
 *
 * What is drawn is decided by the worker (record.why & RECORD_LOGGED); how the line looks by the sidecar's access.format
 * (access_format.h); where it goes by outrider.log (logs.h). The first line of a sidecar, and the first after a change, says what is logged.
 * A record holds the path without its query and of the header User-Agent alone: nothing else of a request can come into the log.
 * Thread: control's. */
#ifndef OUTRIDER_CONTROL_ACCESS_LOG_H
#define OUTRIDER_CONTROL_ACCESS_LOG_H

#include "control/telemetry.h"

struct access_log;
struct log_record;

/* put: as logs_put(). NULL: no memory. */
struct access_log *access_log_new(void (*put)(void *arg, const struct log_record *r), void *arg, struct err *err) MUST_CHECK;
void access_log_record(void *log, const struct telemetry_who *who, const struct record *r, uint32_t n); /* telemetry_consumer.record */
void access_log_free(struct access_log *a); /* NULL is fine */

struct access_log_counts { uint64_t lines, cut; /* handed on; left out since they were too long */ };
struct access_log_counts access_log_counts(const struct access_log *a);

#endif
