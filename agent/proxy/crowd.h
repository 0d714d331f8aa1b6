/* Crowd: how many requests each client address has under way, over all workers (outrider.limit.client-concurrent).
 *
 * Two rows of counters, an address counts in one of each row; what it has is at most the smaller of the two. Nothing is allocated and no client
 * can make it grow: addresses that share both counters, one pair in a million, share their limit. Thread: any worker. */
#ifndef OUTRIDER_PROXY_CROWD_H
#define OUTRIDER_PROXY_CROWD_H

#include "net/addr.h"

#include <stdatomic.h>

#define CROWD_WIDTH 1024u

struct crowd { /* of a sidecar */
	_Atomic uint32_t n[2][CROWD_WIDTH];
};

struct crowd_place { uint16_t at[2]; }; /* of an address, ports do not count */

struct crowd_place crowd_place(const struct addr *a);
/* One more of that address. false: it has `max` already, nothing is counted; with `observe` it is counted all the same, *would says so. */
bool crowd_enter(struct crowd *c, struct crowd_place p, uint32_t max, bool observe, bool *would);
void crowd_leave(struct crowd *c, struct crowd_place p);

#endif
