/* The grammar of OUTRIDER_UPSTREAMS (DESIGN section 3):
 *
 *     list  = item *( "," item )
 *     item  = [ "tcp://" ] service [ ":" upstream-port ] "@" address ":" port
 *           | service ":" port                      short for service@127.0.0.1:port
 *
 * Names are lower-cased by whoever keeps them. A pinned address is a loopback address (127.0.0.0/8 or ::1): what
 * listens there is reached by nobody but the service itself. Pure. */
#ifndef OUTRIDER_CONTROL_UPSTREAMS_H
#define OUTRIDER_CONTROL_UPSTREAMS_H

#include "net/addr.h"

struct upstream_pin {
	struct str service;     /* inside the text that was parsed, as it was written */
	bool tcp;
	uint16_t upstream_port; /* 0: not given */
	struct addr addr;       /* where the agent listens for it */
};

/* One item. err says what is wrong and what would be right. */
bool upstream_pin_parse(struct str item, struct upstream_pin *ret, struct err *err) MUST_CHECK;
/* Takes the next item of *rest: 1 and *ret, 0 at the end, -1 and err. Empty items (a comma too many) are passed over. */
int upstream_pin_next(struct str *rest, struct upstream_pin *ret, struct err *err);

/* A name that a service may have: letters, digits, `-`, `_`, `.`, at most 128 bytes, beginning and ending with a letter or
 * digit, no IP address, and neither `default` nor `localhost`. */
bool service_name_check(struct str name, struct err *err) MUST_CHECK;

#endif
