/* What `outrider top` remembers between looks: the last rates of each row and of all, for sparklines.
 *
 * Rows are known again by view, names and node, as a hash. Bounded: TREND_SLOTS rows; when they are used up, those that the last
 * look did not have are forgotten, and then nothing new is remembered. Owner and thread: the loop of `top`. */
#ifndef OUTRIDER_CONTROL_TOP_TREND_H
#define OUTRIDER_CONTROL_TOP_TREND_H

#include "control/top_model.h"

struct top_trend;

struct top_trend *top_trend_new(void) MUST_CHECK; /* NULL: no memory */
void top_trend_free(struct top_trend *t);         /* NULL is fine */
/* Remembers the rates of m, and gives its rows what is remembered of them, oldest first. group: as of top_model_finish(). */
void top_trend_take(struct top_trend *t, struct top_model *m, bool group);

#endif
