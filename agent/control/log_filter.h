/* Which log records a reader of /log/recent or /log/tail wants: ?service=&level=&kind=&subsystem=&q=
 *
 *     level   the least important that it wants     kind   agent, access or app      q   what stands in message, members or ids, in any case
 *
 * All that are given must fit. Thread: any. */
#ifndef OUTRIDER_CONTROL_LOG_FILTER_H
#define OUTRIDER_CONTROL_LOG_FILTER_H

#include "control/log.h"
#include "net/httpd.h"

#define LOG_FILTER_TEXT 256u

struct log_filter {
	char service[LOG_FILTER_TEXT], subsystem[LOG_FILTER_TEXT], q[LOG_FILTER_TEXT]; /* "": any */
	uint8_t level; /* LEVEL_DEBUG: any */
	uint8_t kind;  /* LOG_KINDS: any */
	uint64_t seat; /* 0: of all sidecars */
};

/* NULL, or what is wrong. */
const char *log_filter_read(struct log_filter *f, struct httpd_request *r, uint64_t seat);
bool log_filter_fits(const void *filter, const struct log_record *r);

#endif
