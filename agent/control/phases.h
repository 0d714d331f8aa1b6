/* What the time of an exchange went on, from its record. Pure; any thread.
 *
 *     first byte ── head ── route ── queue ──┬─ attempts before the last ─┬─ connect ── first byte ── transfer ──> end
 */
#ifndef OUTRIDER_CONTROL_PHASES_H
#define OUTRIDER_CONTROL_PHASES_H

#include "proxy/record.h"

enum phase { PHASE_HEAD, PHASE_ROUTE, PHASE_QUEUE, PHASE_RETRY, PHASE_CONNECT, PHASE_FIRST_BYTE, PHASE_TRANSFER, PHASES };

struct phases {
	uint64_t at[PHASES]; /* µs; those that it did not come to are 0. Their sum is the duration */
};

struct phases phases_of(const struct record *r);
const char *phase_key(enum phase p);  /* "route_ms" */
const char *phase_says(enum phase p); /* "waiting for the first byte of the reply" */
const char *record_listener(const struct record *r); /* "inbound", "outbound", "edge" */

#endif
