/* How a serving process leaves: which step comes after which, as a pure step function.
 *
 *     SERVING ──signal──> LAME_DUCK ──time──> INBOUND ──quiet──> CHILD ──child ended──> ALL ──quiet──> LEFT
 *        └──── child ended by itself ───────────────────────────────────────────────────> ALL
 *
 * LAME_DUCK  /ready fails, connections are still accepted (callers have not yet heard that we leave)
 * INBOUND    nothing new on inbound; exchanges under way there finish
 * CHILD      the child was told to end, its calls still go out (skipped without a child)
 * ALL        nothing new at all; what is under way finishes
 *
 * The stop time bounds it all: when it is up the child is killed. So that a single long exchange cannot eat
 * the time in which a child cleans up, LAME_DUCK and INBOUND end at the latest when a third of the stop time
 * is left. A second signal skips every wait but the one for the child; a third kills the child.
 * Signals, exits, counts and time come in as arguments; what is to be done goes out as flags. Nothing here
 * reads a clock. */
#ifndef OUTRIDER_ATTACH_DRAIN_H
#define OUTRIDER_ATTACH_DRAIN_H

#include "base/clock.h"

#include <stdbool.h>

enum drain_phase {
	DRAIN_PHASE_SERVING,
	DRAIN_PHASE_LAME_DUCK,
	DRAIN_PHASE_INBOUND,
	DRAIN_PHASE_CHILD,
	DRAIN_PHASE_ALL,
	DRAIN_PHASE_LEFT
};

enum {                             /* what the caller has to do after a step, in this order */
	DRAIN_DO_ANNOUNCE = 1,     /* worker_drain(DRAIN_ANNOUNCE); /ready already fails */
	DRAIN_DO_STOP_INBOUND = 2, /* worker_drain(DRAIN_INBOUND) */
	DRAIN_DO_SIGNAL_CHILD = 4, /* pass on the signal that was received */
	DRAIN_DO_STOP_ALL = 8,     /* worker_drain(DRAIN_ALL) */
	DRAIN_DO_KILL_CHILD = 16,  /* SIGKILL */
	DRAIN_DO_LEAVE = 32        /* stop the workers, leave */
};

#define DRAIN_TICK (10 * USEC_MS)        /* how often the caller asks while it waits */
#define DRAIN_AFTER_CHILD USEC_SEC       /* at most that long for exchanges of a child that ended by itself */
#define DRAIN_AFTER_KILL (500 * USEC_MS) /* a killed child is reaped within that time, or left behind */

struct drain_config {
	usec lame_duck, stop_timeout;
	bool has_child;
};

struct drain {
	struct drain_config cfg;
	enum drain_phase phase;
	usec until;    /* when the phase ends by itself */
	usec deadline; /* when all ends */
	unsigned signals;
	bool child_ended, killed, hurry;
	const char *why; /* a word for /ready and the log: "signal", "child ended"; NULL while serving */
};

struct drain_input {
	usec now;
	unsigned signals;            /* SIGTERM or SIGINT received since the last step */
	bool skip_lame_duck;         /* the first of them came from a terminal: nobody needs to be told */
	bool child_ended;            /* since the last step, or before: it may stay true */
	uint64_t busy_inbound, busy; /* exchanges under way */
};

void drain_init(struct drain *d, const struct drain_config *cfg);
/* Takes all steps that are due and returns the DRAIN_DO_… flags. Call it on every event, and every DRAIN_TICK
 * while drain_waits(). */
unsigned drain_step(struct drain *d, const struct drain_input *in);
static inline bool drain_waits(const struct drain *d)
{
	return d->phase != DRAIN_PHASE_SERVING && d->phase != DRAIN_PHASE_LEFT;
}
const char *drain_phase_word(enum drain_phase p); /* "serving", "lame-duck" … */

#endif
