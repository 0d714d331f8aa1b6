/* Collapses repeated records of the agent's own log: of equal ones within LOGS_WINDOW the first LOGS_BURST pass, the others are counted;
 * when the window is over, one more tells how many they were. Equal are level, subsystem, service, task, message and members.
 *
 *     log_repeat_take(q, r, now)    true: it is counted, do not write it
 *     log_repeat_due(q, now, &r)    false: none is due; else write r, and ask again
 *
 * A table of LOG_REPEAT_ROWS; who is not there any more is new again, what was counted of it is said first. Pure: `now` is an argument. */
#ifndef OUTRIDER_CONTROL_LOG_REPEAT_H
#define OUTRIDER_CONTROL_LOG_REPEAT_H

#include "base/clock.h"
#include "base/text.h"
#include "control/log.h"

#define LOG_REPEAT_ROWS 16u
#define LOG_REPEAT_BYTES 2048u /* longer records are never collapsed */

struct log_repeat_row {
	uint64_t hash; /* 0: a free row */
	usec began;
	uint64_t wall, seat;
	uint32_t seen, held; /* in this window; of them not written */
	uint8_t level;
	struct text texts;   /* subsystem, service, task, message, members, one behind the other */
	uint16_t n[5];
};

struct log_repeat {
	struct log_repeat_row rows[LOG_REPEAT_ROWS];
	struct text members; /* of the record that log_repeat_due() made */
	uint64_t held;       /* ever */
};

void log_repeat_init(struct log_repeat *q);
void log_repeat_release(struct log_repeat *q);
bool log_repeat_take(struct log_repeat *q, const struct log_record *r, usec now);
/* *ret is valid until the next call. now USEC_NEVER: all that there is. */
bool log_repeat_due(struct log_repeat *q, usec now, struct log_record *ret);
usec log_repeat_next(const struct log_repeat *q); /* when to ask; USEC_NEVER: nothing is held */

#endif
