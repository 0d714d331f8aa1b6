/* What build.c and build_upstream.c share. */
#ifndef OUTRIDER_CONTROL_BUILD_INT_H
#define OUTRIDER_CONTROL_BUILD_INT_H

#include "control/build.h"

/* One of the upstreams that are always there, or a service. `port`: 0 = what the options say. The part of `previous` that says
 * the same is shared. NULL: no memory or slots. */
struct build_upstream {
	struct str name;
	enum upstream_kind kind;
	uint16_t port;
	struct addr handler;
};
struct spec_upstream *build_upstream(const struct build_request *q, uint32_t sidecar_slot,
				     const struct build_upstream *want) MUST_CHECK;
void build_upstream_unref(struct spec_upstream *u); /* the last one gives its slots back; NULL is fine */

#endif
