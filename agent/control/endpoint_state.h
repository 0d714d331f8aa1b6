/* What an endpoint is, in the words of /upstreams and of the log. Pure; any thread. */
#ifndef OUTRIDER_CONTROL_ENDPOINT_STATE_H
#define OUTRIDER_CONTROL_ENDPOINT_STATE_H

#include "proxy/outlier.h"

struct endpoint_state {
	const char *word; /* up, gone, drained, down, unhealthy, ejected, on-trial; constants: equal words are the same pointer */
	const char *why;  /* NULL when it is up */
};

struct endpoint_state endpoint_state(const struct balance_cell *c);

#endif
