/* Replies: a bounded store of good replies of a sidecar, for the fallback that gives the last good one (proxy/last_good.h).
 *
 * Shared by all workers, outlives specs. Only upstreams that ask for this fallback come here; a lock is held while an entry is looked
 * for or put in its place, never while bytes are copied. No worker waits for another: who finds the lock taken, and still taken some looks
 * later, goes without: nothing is stored, nothing found. Entries are counted references: what is found stays valid while others replace it.
 * The one used least recently goes first. All zero is an empty store. Thread: any; time (monotonic µs) is an argument. */
#ifndef OUTRIDER_PROXY_REPLIES_H
#define OUTRIDER_PROXY_REPLIES_H

#include "base/clock.h"
#include "base/str.h"

#include <pthread.h>
#include <stdatomic.h>

#define REPLIES_BUCKETS 256u

struct reply { /* one allocation with its texts behind it; immutable once it is put */
	_Atomic uint32_t refs;
	struct reply *next, *older, *newer; /* the store's */
	uint64_t hash;
	usec at;      /* when it came */
	uint32_t age; /* seconds that it was old then (Age) */
	uint32_t
		valid; /* seconds of age at which it must not be given any more; UINT32_MAX: nothing says so */
	uint16_t status;
	bool is_public;          /* also for requests with Authorization or Cookie */
	struct str key;          /* what was asked for */
	struct str vary;         /* "name: value\n" of each field of the request that its Vary names */
	struct str fields, body; /* end-to-end fields, each with its line end */
};

struct replies {              /* of a sidecar */
	pthread_mutex_t lock; /* zero: as PTHREAD_MUTEX_INITIALIZER */
	struct reply *buckets[REPLIES_BUCKETS];
	struct reply *oldest, *newest;
	_Atomic uint64_t bytes, n;
};

/* A reply with room for those texts, copied; one reference. NULL: no memory. */
struct reply *reply_new(struct str key, struct str vary, struct str fields, struct str body);
void reply_unref(struct reply *r); /* NULL is fine */
uint64_t reply_bytes(const struct reply *r);

/* Takes r over, in the place of the one with the same key and vary; then the oldest go until all are within `max` bytes. While the lock is
 * busy, r is dropped. */
void replies_put(struct replies *s, struct reply *r, uint64_t max);
/* The first with that key that fits(arg, it); one reference. NULL: none, or the lock is busy. fits() runs under the
 * lock. */
struct reply *replies_find(
	struct replies *s, struct str key, bool (*fits)(void *arg, const struct reply *r), void *arg);
void replies_shrink(struct replies *s, uint64_t max); /* the oldest go until all are within it; waits for the lock: control's */
void replies_clear(struct replies *s); /* waits for the lock: control's */

#endif
