/* Options to spec: what `outrider sidecar`, `exec` and `edge` mean, as the immutable tree that workers read.
 *
 *     struct build_request q = { .options = o, .command = COMMAND_SIDECAR, .slots = slots, .previous = old };
 *     spec = build_spec(&q, &err);      refs = 1, the caller's
 *     … workers take and give back references …
 *     build_unref(spec);
 *
 * Upstreams that say the same as in `previous` are the same objects (refs + 1), so a change replaces only its part;
 * slots come from the identity (sidecar, upstream, endpoint) and stay over changes. Options must have passed
 * options_check(); the spec borrows nothing from them. Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_BUILD_H
#define OUTRIDER_CONTROL_BUILD_H

#include "control/discovery.h"
#include "control/options.h"
#include "control/slots.h"
#include "proxy/spec.h"

#define BUILD_MEMORY_MAX (64u * 1024u * 1024u) /* of a sidecar without its upstreams, and of one upstream */
#define BUILD_OWN_MAX 64u                      /* own addresses that are looked at */

struct build_request {
	const struct options *options;
	enum command command; /* COMMAND_EDGE makes an edge, all others a sidecar */
	struct slots *slots;
	struct str identity; /* tells sidecars of one process apart; empty: the service's name */
	struct str via; /* the loop mark; empty: "outrider-" and 16 random hex digits, or what previous has */
	const struct addr *own; /* own addresses; NULL: the machine is asked */
	size_t n_own;
	const struct spec_sidecar *previous; /* may be NULL */
	const struct discovery *discovery;   /* NULL: upstreams have the endpoints of their options only */
	const struct str
		*called; /* sorted names of services that no option names, but that were called and found */
	size_t n_called;
	uint64_t met;                        /* grows when an agent said something new of itself: balancing is made anew */
};

/* NULL and err when memory or slots are short, or the options were never checked. */
struct spec_sidecar *build_spec(const struct build_request *q, struct err *err) MUST_CHECK;
/* The same with all that may be empty left empty. */
struct spec_sidecar *build_sidecar(
	const struct options *o, enum command cmd, struct slots *slots, struct err *err) MUST_CHECK;
/* Gives a reference back; the last one frees, and its upstreams give their slots back (slots must still be there). NULL is fine. */
void build_unref(struct spec_sidecar *s);

#endif
