/* Deadlines in great number: a wheel per loop (one libevent timer for all of them).
 *
 * Lazy: timer_set() to a later time than the one it is queued for only stores the new deadline, so pushing an
 * idle deadline on every request costs one store. Resolution TIMER_TICK; a timer never fires early, and
 * at most one tick late. O(1) set and clear, no allocation. The wheel sleeps while it is empty, and wakes only for slots in use.
 * Thread: the loop's. */
#ifndef OUTRIDER_NET_TIMER_H
#define OUTRIDER_NET_TIMER_H

#include "net/loop.h"

#define TIMER_TICK (8 * USEC_MS)

struct timer {
	struct list link;  /* in a slot of the wheel */
	usec deadline;     /* when to fire; USEC_NEVER: not armed */
	usec queued;       /* the time whose slot it lies in */
	void (*fn)(void *arg);
	void *arg;
};

/* Must be called before any other use; does not arm. */
void timer_init(struct timer *t, void (*fn)(void *arg), void *arg);
/* Fires once at or after `deadline` (monotonic µs, see loop_now()); a past deadline fires on the next turn. */
void timer_set(struct loop *l, struct timer *t, usec deadline);
void timer_clear(struct timer *t); /* idempotent; after it, memory may be freed */
/* A deadline at about `when`, at most `grid` earlier, that others with the same grid share: what need not be punctual, and stands
 * beside many of its kind, then wakes the process once for all of them. */
static inline usec timer_shared(usec when, usec grid)
{
	return when - when % grid;
}
static inline bool timer_armed(const struct timer *t)
{
	return t->deadline != USEC_NEVER;
}

#endif
