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
/* build_balance.c */
/* What the options of an upstream say of balancing; texts in its arena. false: no memory. */
bool build_balance_options(struct spec_upstream *u, const struct options *o, struct str subject) MUST_CHECK;
/* Makes u->balance of its endpoints, and tells their cells what their registry says. old: the former upstream, or NULL.
 * false: no memory. */
bool build_balance(struct spec_upstream *u, const struct build_request *q, const struct spec_upstream *old) MUST_CHECK;
void build_upstream_unref(struct spec_upstream *u); /* the last one gives its slots back; NULL is fine */

#endif
