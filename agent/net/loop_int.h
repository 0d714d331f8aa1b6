/* The inside of a loop, for net/ alone. */
#ifndef OUTRIDER_NET_LOOP_INT_H
#define OUTRIDER_NET_LOOP_INT_H

#include "net/loop.h"
#include "net/wheel.h"

struct loop {
	struct event_base *base;
	/* loop_now(): read at most once per turn, by the first who asks after the poll. */
	usec now;
	usec skew; /* loop_skip() */
	bool now_is_fresh;
	bool again; /* loop_again() */
	void (*on_turn)(void *arg);
	void *on_turn_arg;

	/* Whose turn it is: windows of PARTY_WINDOW events. */
	uint64_t window;
	uint64_t shared_until;       /* the window until which more than one party counts as active */
	const struct party *latest;  /* whose event came last */
	uint16_t n_in_window;
	uint16_t n_in_turn, n_later; /* while shared: all of this turn, and those of busy parties */

	/* The deadlines and the one libevent timer that stands for them. */
	struct wheel wheel;
	struct event wheel_ev;
	usec wheel_armed; /* when wheel_ev fires; USEC_NEVER: not pending */

	atomic_uint_fast64_t turns;
	_Atomic uint64_t counts[LOOP_COUNTS];
	int wake_fd; /* eventfd */
	struct watch wake;

	/* What other threads write, a cache line away from what this one writes. */
	char apart[64];
	_Atomic(struct mail *) box; /* newest first */
	atomic_bool stopped;
};

/* Classes of libevent's queues. */
enum { TURN_FIRST, TURN_LATER, TURN_CLASSES };

void loop_timers_init(struct loop *l);
void loop_timers_release(struct loop *l);

#endif
