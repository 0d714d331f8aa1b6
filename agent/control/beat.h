/* Does a worker's loop still turn? Control posts a mail to it once a second; the worker's thread answers by
 * setting a flag. A mail that lies unanswered for BEAT_LIMIT means a stuck loop.
 *
 * A loop that has nothing to do sleeps: the mail wakes it, so silence is never mistaken for death. Memory must
 * outlive the worker's thread. Thread: control's, but for the answer. */
#ifndef OUTRIDER_CONTROL_BEAT_H
#define OUTRIDER_CONTROL_BEAT_H

#include "net/loop.h"

#define BEAT_EVERY USEC_SEC
#define BEAT_LIMIT (2 * USEC_SEC)

struct beat {
	struct mail mail; /* in the worker's box until answered */
	_Atomic bool answered;
	bool sent;
	usec sent_at;
	_Atomic uint64_t lag; /* µs that the last answer took */
};

void beat_init(struct beat *b);
/* Posts the next mail, unless the last one is still out. */
void beat_send(struct beat *b, struct loop *worker, usec now);
bool beat_alive(const struct beat *b, usec now);
/* Sent and not yet answered. */
bool beat_waits(const struct beat *b);
/* How late the loop is: of the last answer, or as long as it has been waited for. */
usec beat_lag(const struct beat *b, usec now);
/* How long the answer has been waited for; 0 when nothing is out. */
usec beat_silence(const struct beat *b, usec now);

#endif
