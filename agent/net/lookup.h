/* One question to DNS, asked anew: no cache, no /etc/hosts, every address, A and AAAA. For those who poll a name because its
 * TTL says nothing about how long the answer holds (Docker's resolver says 600 s; shared knowledge: docker-swarm, section 5).
 *
 * Truncated answers are asked for again over TCP by c-ares. Found is what either family has; NONE is said only when the
 * servers said so for both; all else (SERVFAIL, silence for LOOKUP_TIME, no memory) is FAILED. Of what one family has while the other failed or lags, FOUND says
 * which it lacks: who knew addresses of that one keeps them. Thread: the loop's. */
#ifndef OUTRIDER_NET_LOOKUP_H
#define OUTRIDER_NET_LOOKUP_H

#include "net/resolve.h"
#include "net/timer.h"

#define LOOKUP_TIME (4 * USEC_SEC)
#define LOOKUP_GRACE (200 * USEC_MS) /* a family that lags behind one with addresses is waited for */
#define LOOKUP_ADDRS_MAX 4096u

enum lookup_end { LOOKUP_FOUND, LOOKUP_NONE, LOOKUP_FAILED };

struct lookup;

/* addrs: port 0, no duplicates within a family, valid during the call. lacking: AF_INET or AF_INET6 when FOUND is silent about that
 * family; else 0. why: a few words unless FOUND. */
typedef void (*lookup_cb)(void *arg, enum lookup_end end, const struct addr *addrs, size_t n, int lacking, const char *why);

/* cb is called exactly once, on a later turn, unless cancelled. NULL: no memory. Cancel all before resolver_free(). */
struct lookup *lookup_start(struct loop *l, struct resolver *r, const char *name, lookup_cb cb, void *arg) MUST_CHECK;
void lookup_cancel(struct lookup *q); /* NULL is fine; not after cb was called */

#endif
