/* Parking: requests that wait until discovery knows where to send them (DESIGN section 9, endpoint-wait).
 *
 *     route.c, pick.c: park(x, name) ──mail──> control asks the registries
 *                                    <──spec── names with endpoints: park_resume() runs all that wait anew, on the new spec
 *                                    <──mail── worker_unknown(): no such service: those that wait for the name go on without it
 *     or outrider.endpoint-wait ends
 *
 * A request parks at most once for each reason; its client may leave at any time. Bounds: PARK_NAMES_MAX names per sidecar
 * and worker, PARK_REQUESTS_MAX requests. Private to proxy/; thread: the worker's. */
#ifndef OUTRIDER_PROXY_PARK_H
#define OUTRIDER_PROXY_PARK_H

#include "proxy/exchange.h"

#define PARK_NAMES_MAX 256u
#define PARK_REQUESTS_MAX 4096u
#define PARK_NAME_BYTES 128u
#define PARK_UNKNOWN_TIME (5 * USEC_SEC) /* a name that is no service is not asked for again before that */
#define PARK_ASKED_TIME (1 * USEC_SEC)   /* what control left open is asked for again by who is parked after that: so it stays wanted */

enum park_result {
	PARK_WAIT,  /* it waits now; nothing more to do */
	PARK_NO,    /* control said lately that there is no such service */
	PARK_FULL   /* too many wait, or memory is short */
};

/* x waits for the service `name` at most `limit` from its first parking on; then it runs again, and park() says PARK_NO.
 * patient: also when there is no such service just now, for it may be on its way. */
enum park_result park(struct exchange *x, struct str name, usec limit, bool patient);
/* May this host be the name of a service that nobody named yet? A single label, no address. */
bool park_may_be_service(struct str host);
/* x ends or goes on: harmless when it does not wait. */
void park_leave(struct exchange *x);
/* The sidecar has a new spec: all that wait run anew on it. */
void park_resume(struct wsidecar *sc);
/* There is no service of that name: who waits for it runs again and is told PARK_NO, but for the patient. */
void park_unknown(struct wsidecar *sc, struct str name);
void park_free(struct wsidecar *sc); /* the worker ends */

#endif
