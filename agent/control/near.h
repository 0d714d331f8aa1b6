/* Which addresses stand on this node: those of all its containers, with a sidecar or without, as the keeper of a node knows them. It is
 * how an instance that never says a hello (a database, a plain container) is known to be near, or not.
 *
 *     keeper: text, an IP a line ──near_replace()──> sorted ──near_where()──> control/build_balance.c: the tier of an endpoint
 *
 * In modes without a keeper nothing is ever put here, and nothing is known. Bounds: NEAR_MAX addresses; those beyond are left out, which is
 * said by near_replace(). Owner and thread: control; it may change between the slices of a build. Nothing of it is on the path of a request. */
#ifndef OUTRIDER_CONTROL_NEAR_H
#define OUTRIDER_CONTROL_NEAR_H

#include "net/addr.h"

#define NEAR_MAX 16384u
#define NEAR_TEXT_MAX (NEAR_MAX * 46u) /* bytes: INET6_ADDRSTRLEN each */

struct near_ip {
	uint8_t byte[16]; /* IPv4 as v4-mapped */
};

struct near { /* zeroed: nothing is known */
	bool known;
	size_t n, n_changed;
	struct near_ip *ip;      /* owned; sorted, each once */
	struct near_ip *changed; /* owned: what came or went with the last replacement; sorted */
	bool all_changed;        /* the first one: what was unknown is not any more */
};

enum near_place { NEAR_UNKNOWN, NEAR_HERE, NEAR_ELSEWHERE };

/* What is no IP is left out. false: no memory (all stays as it was), or more than NEAR_MAX (those beyond count as elsewhere). */
bool near_replace(struct near *n, struct str text);
void near_release(struct near *n);
enum near_place near_where(const struct near *n, const struct addr *a); /* NULL is fine; the port does not matter */
bool near_changed(const struct near *n, const struct addr *a);          /* by the last replacement */

#endif
