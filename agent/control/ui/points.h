/* Points: how many calls, how many failed and how long they took, in each interval of the last ten minutes.
 *
 *     counts (of histograms, ever growing) ──ui_delta──> of one interval ──ui_point_of──> a point ──> ui_history
 *
 * Percentiles are read out of the histogram's buckets, linear between two bounds, so they are as fine as option metrics.buckets.
 * A history takes no memory before the first call of its owner. Pure; time is an argument. Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_UI_POINTS_H
#define OUTRIDER_CONTROL_UI_POINTS_H

#include "base/json.h"
#include "proxy/durations.h"

#define UI_INTERVAL (2 * USEC_SEC)
#define UI_POINTS 300u /* ten minutes */

/* What was counted: ever, or in one interval. */
struct ui_delta {
	uint64_t n, errors; /* of all; with status 5xx */
	uint64_t retries;   /* of an upstream */
	uint64_t buckets[DURATION_BUCKETS];
};

/* Adds what a worker counted. */
void ui_delta_look(struct ui_delta *to, const struct durations *d);
void ui_delta_add(struct ui_delta *to, const struct ui_delta *d);
/* now minus before. A count that became smaller began anew (a worker's part was given to another): all of it is new. */
void ui_delta_between(struct ui_delta *ret, const struct ui_delta *now, const struct ui_delta *before);

struct ui_point {
	float rate, errors;  /* per second */
	float p50, p95, p99; /* ms; NaN: nothing was measured */
};

struct ui_point ui_point_of(const struct ui_delta *d, const struct duration_bounds *b, usec took);
/* µs below which so many thousandths of them were; of what lies above the last bound that bound. NaN: there are none. */
double ui_quantile(
	const uint64_t buckets[DURATION_BUCKETS], const struct duration_bounds *b, unsigned permille);
/* "rate": … "p99_ms": … into an open object. */
void ui_point_put(struct json *j, const struct ui_point *p);

enum ui_side { UI_IN, UI_OUT, UI_SIDES };

struct ui_history {
	struct ui_point *at; /* owned: UI_SIDES * UI_POINTS, a ring; NULL: no calls so far */
	uint32_t n, next;    /* points that are known; where the next goes */
};

/* One more interval is over. Without memory it is forgotten. */
void ui_history_put(struct ui_history *h, const struct ui_point p[UI_SIDES]);
/* "in": {"rate": […], …}, "out": {…} into an open object, oldest first, of UI_POINTS intervals at most `points` (at least 1) values: each
 * stands for ui_history_step() intervals then, rates by their mean, percentiles by the worst. */
void ui_history_print(const struct ui_history *h, struct json *j, unsigned points);
static inline unsigned ui_history_step(unsigned points)
{
	return (UI_POINTS + points - 1) / points;
}
void ui_history_release(struct ui_history *h);

#endif
