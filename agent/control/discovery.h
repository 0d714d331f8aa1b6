/* Discovery: where the instances of services are, whatever tells it.
 *
 *     registries of outrider.registry  ──sets──>  discovery  ──changed()──>  build_spec() asks discovery_set() of each upstream
 *     workers: a name was called  ─────discovery_want()──^       unknown()──>  workers stop waiting for that name
 *
 * A service is asked for when it is first called or stands in the options, and no more when nobody called it for
 * outrider.registry-idle; its last set stays until it is dropped, one that has none is forgotten. Of several registries the first that has instances is believed, in the order of
 * outrider.registry or of the upstream's own list. What a registry said last stays while it is in trouble; when it says that
 * there is none any more, it stays for outrider.registry-hold (DESIGN section 9).
 * Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_DISCOVERY_H
#define OUTRIDER_CONTROL_DISCOVERY_H

#include "control/endpoint_set.h"
#include "control/options.h"

#define DISCOVERY_REGISTRIES_MAX 8u

struct discovery;

struct discovery_config {
	struct loop *loop;
	const struct options *options; /* of the start; borrowed */
	struct netspace *ns;
	/* The set of a service changed: build anew. Never inside a call of discovery_…. */
	void (*changed)(void *arg, struct str service);
	/* The same, with what it was and is (NULL: nothing); valid during the call. May be NULL. */
	void (*replaced)(void *arg, struct str service, const struct endpoint_set *was, const struct endpoint_set *is);
	/* Every registry that can tell said that there is no such service, or none can be asked. */
	void (*unknown)(void *arg, struct str service);
	/* Trouble of a registry, "" when it is over; for the log. */
	void (*trouble)(void *arg, const char *registry, const char *why);
	void *arg;
};

/* NULL and err: no such plug-in, an address that makes no sense, no memory. With `static` alone it is there and knows nothing. */
struct discovery *discovery_open(const struct discovery_config *config, struct err *err) MUST_CHECK;
void discovery_close(struct discovery *d); /* NULL is fine; not inside its callbacks */

/* Is there any registry but `static`? */
bool discovery_asks(const struct discovery *d);
/* What is known then already is said once more, on a later turn: changed() where it is not what it was, unknown().
 * Somebody calls the service (lower case), or its options name it (called false: registries for which every question costs are
 * not asked then): ask, and go on asking. `registries`: the upstream's own list; empty: all. false: no memory or too many
 * services. Calling it again for a service that is asked for is cheap. */
bool discovery_want(struct discovery *d, struct str service, struct str registries, bool called) MUST_CHECK;
/* What is known; NULL: nothing, or nothing yet. Borrowed until the next turn: take a reference to keep it. */
const struct endpoint_set *discovery_set(const struct discovery *d, struct str service);
/* When somebody wanted it last (monotonic); 0: it is not known. */
usec discovery_wanted_at(const struct discovery *d, struct str service);
/* Asks no more for it and forgets it with its last set, of which changed() does not tell. Not inside the callbacks. */
void discovery_drop(struct discovery *d, struct str service);
/* Did every registry that is asked for it answer at least once, or fail? */
bool discovery_answered(const struct discovery *d, struct str service);
void discovery_refresh(struct discovery *d);

/* Tells all registries that take registrations of the own instance; again on every change of state. */
bool discovery_announce(struct discovery *d, const struct registry_instance *self) MUST_CHECK;
/* Takes it back everywhere; done is called once, when all know or gave up (2 s). */
void discovery_withdraw(struct discovery *d, struct str id, void (*done)(void *arg), void *arg);

/* What the agent at an address said of itself (proxy/hello.h), whatever registry knows the address. Copied; the newest counts.
 * false: no memory or too many. */
bool discovery_met(struct discovery *d, const struct addr *a, struct str hello) MUST_CHECK;
struct str discovery_hello(const struct discovery *d, const struct addr *a); /* {NULL, 0}: nothing */

struct discovery_view { /* of one registry, for /upstreams and /stats */
	const char *name, *trouble;
	size_t services, endpoints;
	uint64_t updates;
	usec at; /* wall time of the last; 0: never */
};
size_t discovery_count(const struct discovery *d);
struct discovery_view discovery_view(const struct discovery *d, size_t i);

#endif
