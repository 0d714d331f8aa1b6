/* GET /tap: finished exchanges that fit a filter (record_filter.h), as server-sent events, one JSON object as in the access log each.
 *
 *     data: {"time":…,"type":"access",…}            at most TAP_RATE a second to each reader
 *     event: dropped  data: {"dropped":17}          so many more fitted in the second before
 *     : …                                           a comment every TAP_PING, so that a reader knows that it is quiet
 *
 * While somebody reads, workers record every exchange (`wanted`), else only those that others want. At most TAP_READERS, of one seat TAP_OF_SEAT,
 * and one place is for seat 0; a reader that takes nothing is closed. One per process; thread: control's. */
#ifndef OUTRIDER_CONTROL_TAP_H
#define OUTRIDER_CONTROL_TAP_H

#include "control/telemetry.h"
#include "net/httpd.h"

#include <stdatomic.h>

#define TAP_READERS 4u
#define TAP_OF_SEAT 1u
#define TAP_RATE 100u
#define TAP_PING (10 * USEC_SEC)

struct tap;

/* wanted: told whether anybody reads; borrowed. */
struct tap *tap_new(struct loop *l, _Atomic bool *wanted, struct err *err) MUST_CHECK;
void tap_free(struct tap *t); /* the httpds of its readers are closed; NULL is fine */
/* Takes the request over, or refuses it. seat: of that sidecar alone, 0: of all. */
void tap_serve(struct tap *t, struct httpd_request *r, uint64_t seat);
void tap_record(void *tap, const struct telemetry_who *who, const struct record *r, uint32_t n); /* telemetry_consumer.record */

#endif
