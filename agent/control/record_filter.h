/* Which records a reader of /failures or /tap wants: ?service=&upstream=&route=&status=&reason=&path=&method=&slow=&retried=
 *
 *     status   503, 5xx, 500-599        reason   a word of docs/reasons.md
 *     path     its beginning            slow     a duration: what took at least so long
 *     retried  true: what took more than one attempt
 *
 * All that are given must fit. Copies what it keeps. Thread: any. */
#ifndef OUTRIDER_CONTROL_RECORD_FILTER_H
#define OUTRIDER_CONTROL_RECORD_FILTER_H

#include "control/telemetry.h"
#include "net/httpd.h"

#define RECORD_FILTER_TEXT 256u

struct record_filter {
	char service[RECORD_FILTER_TEXT], upstream[RECORD_FILTER_TEXT], route[RECORD_FILTER_TEXT], path[RECORD_FILTER_TEXT], method[32]; /* "": any */
	uint16_t low, high; /* status; 0: any */
	uint16_t reason;    /* 0: any */
	uint64_t slow;      /* µs; 0: any */
	bool retried;       /* only what took more than one attempt */
};

/* NULL, or the name of the parameter that cannot be understood. */
const char *record_filter_read(struct record_filter *f, struct httpd_request *r);
bool record_filter_fits(const struct record_filter *f, const struct telemetry_who *who, const struct record *r);
bool record_filter_status(struct str s, uint16_t *low, uint16_t *high);

#endif
