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
#include "control/near.h"
#include "control/options.h"
#include "control/slots.h"
#include "proxy/spec.h"

#define BUILD_MEMORY_MAX (64u * 1024u * 1024u) /* of a sidecar without its upstreams, and of one upstream */
#define BUILD_SHARED_UPSTREAMS 512u            /* of a sidecar that is one of several: no eight of them take all slots */
#define BUILD_OWN_MAX 64u                      /* own addresses that are looked at */

struct build_request {
	const struct options *options;
	enum command command; /* COMMAND_EDGE makes an edge, all others a sidecar */
	struct slots *slots;
	struct netspace *ns; /* where its connections are made; NULL: the agent's own */
	struct str identity; /* tells sidecars of one process apart; empty: the service's name */
	struct str stack, slot; /* of its task; empty: none is known */
	struct str via; /* the loop mark; empty: "outrider-" and 16 random hex digits, or what previous has */
	const struct addr *own; /* own addresses; NULL: the machine is asked */
	size_t n_own;
	const struct spec_sidecar *previous; /* may be NULL */
	const struct near *near;             /* which addresses stand on this node; NULL: nothing is known */
	const struct discovery *discovery;   /* NULL: upstreams have the endpoints of their options only */
	const struct str
		*called; /* sorted names of services that no option names, but that were called and found */
	size_t n_called;
	uint64_t met;                        /* grows when an agent said something new of itself, or near did: balancing is made anew */
	/* Options of the same stamp (slots_serial()) say the same, so that an upstream is not even compared when nobody told
	 * anything new of it: a change of one costs what that one costs. 0: the options may be others than those before. */
	uint64_t stamp;
};

/* NULL and err when memory or slots are short, or the options were never checked. However long it takes. */
struct spec_sidecar *build_spec(const struct build_request *q, struct err *err) MUST_CHECK;

/* The same in slices, for thousands of upstreams:
 *
 *     b = build_begin(&q, &err);
 *     while (build_step(b, clock_now() + slice, &err) == BUILD_MORE)   … what else there is to do …
 *     DONE: spec = build_take(b);      FAILED, or nobody wants it any more: build_cancel(b);
 *
 * What the request points to must stay until then, but for its list of called names, which is copied (the names must stay), and
 * `previous`, of which a reference is taken. Endpoints are those that discovery has when their upstream's turn comes. One
 * upstream is made in one go: a slice is exceeded by at most that. */
struct build;
enum build_state { BUILD_MORE, BUILD_DONE, BUILD_FAILED };
struct build *build_begin(const struct build_request *q, struct err *err) MUST_CHECK; /* NULL and err: no memory */
/* until: on clock_now(). err is written when it FAILED. */
enum build_state build_step(struct build *b, usec until, struct err *err) MUST_CHECK;
struct spec_sidecar *build_take(struct build *b); /* refs = 1, the caller's; b is gone */
void build_cancel(struct build *b);               /* NULL is fine */

/* The same with all that may be empty left empty. */
struct spec_sidecar *build_sidecar(
	const struct options *o, enum command cmd, struct slots *slots, struct err *err) MUST_CHECK;
/* Gives a reference back; the last one frees, and its upstreams give their slots back (slots must still be there). NULL is fine. */
void build_unref(struct spec_sidecar *s);

#endif
