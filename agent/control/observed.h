/* Observed: says in the log what a sidecar in mode observe left alone that mode on would have broken, refused, retried or put aside.
 *
 * Every OBSERVED_EVERY one line per sidecar with the counts since the last, when there are any. Workers count
 * (outrider_observed_…_total); this reads. Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_OBSERVED_H
#define OUTRIDER_CONTROL_OBSERVED_H

#include "control/agent.h"
#include "net/timer.h"

#define OBSERVED_EVERY (2 * USEC_SEC)
#define OBSERVED_KINDS 5u

struct observed {
	const struct agent *agent;
	struct timer timer;
	uint64_t told[OBSERVED_KINDS]; /* of the sidecar's counters */
};

void observed_start(struct observed *o,
	const struct agent *agent);     /* the agent of one sidecar; has its loop, log and workers */
void observed_stop(struct observed *o); /* harmless when it never began */
/* What the timer does. */
void observed_tick(struct observed *o);

#endif
