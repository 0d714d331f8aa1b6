/* Telemetry: what becomes of the records of finished exchanges (proxy/record.h).
 *
 *     worker ──ring──> telemetry (control, every 20 ms while there is something) ──┬──> spans ──> exporters (plugin.h)
 *                                                                                 ├──> flight recorder (control/flight.h)
 *                                                                                 └──> access log
 *
 * A worker wakes control by one mail when its ring was empty, or is half full; nothing runs while nobody calls. What does not fit is dropped and
 * counted, never waited for. Thread: control's. */
#ifndef OUTRIDER_CONTROL_TELEMETRY_H
#define OUTRIDER_CONTROL_TELEMETRY_H

#include "plugin.h"
#include "proxy/record.h"

#define TELEMETRY_EVERY (20 * USEC_MS)

/* Who the sidecar of a record is; texts live as long as the sidecar. Empty: not known. */
struct telemetry_who {
	struct str service, stack, slot, node;
};

/* What is told of every record, in the order of the list. r is valid during the call; n: all its bytes. */
struct telemetry_consumer {
	void (*record)(void *arg, const struct telemetry_who *who, const struct record *r, uint32_t n);
	void *arg;
};

#define TELEMETRY_CONSUMERS_MAX 4

#endif
