/* What control does for endpoints that fail: compares success rates once per eject.interval (outlier_sweep), which needs the counts
 * of all workers, and logs each change of an endpoint's state, whoever made it, within OUTLIERS_TICK.
 *
 * Costs nothing per request: workers count anyway. An upstream of which no word changed is not looked at for the log.
 * Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_OUTLIERS_H
#define OUTRIDER_CONTROL_OUTLIERS_H

#include "control/agent.h"

#define OUTLIERS_TICK (250 * USEC_MS)
#define OUTLIERS_AGAIN (10 * USEC_SEC) /* an address where another service's agent answered, and which is still listed, is tried again */
#define OUTLIERS_REST USEC_SEC /* while there is no upstream */
#define OUTLIERS_LINES 20u /* log lines of one tick; more are counted in one line */

struct outliers;

struct outliers *outliers_new(const struct agent *agent, struct err *err) MUST_CHECK; /* agent: borrowed; its sidecars may change */
void outliers_free(struct outliers *o); /* NULL is fine */
/* Why the active check of an endpoint fails, for the log; NULL: nobody knows. */
void outliers_ask(struct outliers *o, const char *(*why)(const void *of, uint32_t slot), const void *of);
/* One tick, as the timer makes it; for tests. */
void outliers_tick(struct outliers *o, usec now);

#endif
