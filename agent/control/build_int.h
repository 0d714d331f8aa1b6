/* What build.c, build_rules.c, build_upstream.c and build_balance.c share. */
#ifndef OUTRIDER_CONTROL_BUILD_INT_H
#define OUTRIDER_CONTROL_BUILD_INT_H

#include "control/build.h"

struct build { /* a spec in the making */
	struct build_request q; /* its list of called names is ours; the names are not */
	const struct options *o;
	struct spec_sidecar *s;        /* owned, until it is taken */
	struct spec_sidecar *previous; /* a reference of ours */
	size_t step;
	/* put_services() */
	uint16_t *ports;      /* owned */
	size_t named, called; /* how many services of the options, of the called ones are done */
	usec until;
	bool too_many; /* services, of one sidecar among others */
	bool more; /* the step wants to go on in another slice */
};

/* build_rules.c: parts of the spec that hold for all upstreams. false: no memory or slots. */
bool build_put_identity(struct build *b) MUST_CHECK;
bool build_put_hello(struct build *b) MUST_CHECK;
bool build_put_agent(struct build *b) MUST_CHECK;
bool build_put_via(struct build *b) MUST_CHECK;
bool build_put_limits(struct build *b) MUST_CHECK;
bool build_put_forward(struct build *b) MUST_CHECK;
bool build_put_trace(struct build *b) MUST_CHECK;  /* build_telemetry.c */
bool build_put_access(struct build *b) MUST_CHECK;
bool build_put_egress(struct build *b) MUST_CHECK;
bool build_put_own(struct build *b) MUST_CHECK;
struct str build_lower(struct arena *a, struct str s) MUST_CHECK; /* p NULL: no memory */

/* build_routes.c */
bool build_put_routes(struct build *b) MUST_CHECK;
void build_drop_routes(struct spec_sidecar *s); /* what its routes have of their own */

/* build_upstream.c */
/* One of the upstreams that are always there, or a service. `port`: 0 = what the options say. The part of `previous` that says
 * the same is shared. NULL: no memory or slots. */
struct build_upstream {
	struct str name;
	enum upstream_kind kind;
	uint16_t port;
	struct addr handler;
	bool called; /* a service that no option names */
};
struct spec_upstream *build_upstream(const struct build_request *q, uint32_t sidecar_slot,
				     const struct build_upstream *want) MUST_CHECK;
/* build_policy.c: u's name, kind and mode are set; texts in its arena. false: no memory. */
bool build_policy(struct spec_upstream *u, const struct options *o, struct str subject) MUST_CHECK;
bool build_policy_same(const struct spec_upstream *a, const struct spec_upstream *b);

/* build_upstream.c: u's mode; a breaker for each SOAP action where its options say so. false: no memory. */
uint8_t build_mode(const struct options *o, struct str subject);
bool build_keyed(struct spec_upstream *u, const struct build_request *q, uint32_t sidecar_slot, struct str subject) MUST_CHECK;
void build_drop_keyed(struct spec_upstream *u, struct slots *slots);

/* build_balance.c */
/* What the options of an upstream say of balancing; texts in its arena. false: no memory. */
bool build_balance_options(struct spec_upstream *u, const struct options *o, struct str subject) MUST_CHECK;
/* Makes u->balance of its endpoints, and tells their cells what their registry says. old: the former upstream, or NULL.
 * false: no memory. */
bool build_balance(struct spec_upstream *u, const struct build_request *q, const struct spec_upstream *old) MUST_CHECK;
void build_upstream_unref(struct spec_upstream *u); /* the last one gives its slots back; NULL is fine */

#endif
