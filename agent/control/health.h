/* Active health checks: the instances of an upstream that says so are asked again and again, whether or not they are called.
 *
 *     check = off | tcp (a connection can be made) | /path (GET answers check.status, and with check.body holds that text)
 *
 *     UP  ── check.fall failures in a row ──> held (BALANCE_HOLD_CHECK) ── check.rise successes in a row ──> UP, by slow start
 *
 * With check.start=down a new instance is held until it passed once. A hold is soft: below balance.panic, and when a request
 * failed everywhere else, held instances are called all the same.
 * Where an address came without a port (dns:, docker:) the check goes where calls go: to the agent at 4143, and where none answers to
 * the service's own port: upstream.<s>.port, else that of the 127.x address that is pinned to it. Which of them it is shows when one
 * passes; until then, and while it is held, a check fails when both do. Where no port is known nothing is checked, and `unable` says so once.
 * One check per endpoint, whatever the number of specs and workers. First checks are spread over the interval, later ones
 * jittered by a tenth; HEALTH_AT_ONCE run at a time, the others wait. Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_HEALTH_H
#define OUTRIDER_CONTROL_HEALTH_H

#include "control/options.h"
#include "control/slots.h"
#include "net/resolve.h"
#include "proxy/spec.h"

#define HEALTH_AT_ONCE 48u
#define HEALTH_BODY_MAX (64u * 1024u) /* bytes of a reply that are looked at; a longer one fails */

struct health;

struct health_config {
	struct loop *loop;
	struct netspace *ns;
	struct slots *slots;
	/* Endpoints of an upstream that wants checks cannot be checked, and why: once per upstream. NULL: nobody is told. */
	void (*unable)(void *arg, const char *upstream, const char *why);
	void *arg;
};

struct health *health_new(const struct health_config *config, struct err *err) MUST_CHECK;
void health_free(struct health *h); /* NULL is fine. Holds stay as they are */
/* A spec goes into use, with these options: who is new is checked, and held if it shall start down; who left is not checked any
 * more. Call it before workers get the spec. false: no memory; the next call makes good for it. */
bool health_follow(struct health *h, const struct options *o, const struct spec_sidecar *spec) MUST_CHECK;
/* Why the check of an endpoint failed last, "" when it passed; NULL: it is not checked. Valid until the next turn. */
const char *health_why(const struct health *h, uint32_t slot);

#endif
