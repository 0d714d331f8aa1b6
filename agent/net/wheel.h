/* The timing wheel behind net/timer.h: pure, `now` is an argument, so that a test drives an hour in a moment.
 *
 * WHEEL_SLOTS slots of TIMER_TICK each; a timer lies in the slot in which its time ends (rounded up, hence never
 * early). A deadline beyond the horizon (16 s) lies in the slot of the same number and stays there for more
 * rounds. A bitmap tells the occupied slots; a bit may be stale after timer_clear() and is cleaned by the next search.
 * Thread: the loop's. */
#ifndef OUTRIDER_NET_WHEEL_H
#define OUTRIDER_NET_WHEEL_H

#include "net/timer.h"

#define WHEEL_SLOTS 2048u

struct wheel {
	uint64_t tick;    /* the last tick whose slot was handled */
	struct list due;  /* deadlines that had passed when they were set: for the next turn */
	uint64_t used[WHEEL_SLOTS / 64];
	struct list slots[WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, usec now);
/* Nothing is queued and the wheel stood still: starts from now. Only when wheel_next() said USEC_NEVER. */
void wheel_restart(struct wheel *w, usec now);
/* Queues t (unlinked) for t->deadline. Returns when the wheel wants wheel_advance() because of it. */
usec wheel_add(struct wheel *w, struct timer *t, usec now);
/* When wheel_advance() should be called next; USEC_NEVER when nothing is queued, 0 when something is overdue. */
usec wheel_next(struct wheel *w);
/* Fires all whose deadline is ≤ now. Callbacks may set, clear and free any timer, their own included. */
void wheel_advance(struct wheel *w, usec now);

#endif
