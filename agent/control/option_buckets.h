/* Values of the option metrics.buckets: bounds of histograms. Pure; thread: any. */
#ifndef OUTRIDER_CONTROL_OPTION_BUCKETS_H
#define OUTRIDER_CONTROL_OPTION_BUCKETS_H

#include "control/options.h"
#include "proxy/durations.h"

/* "5ms,50ms,500ms": ascending, 1 to DURATION_BOUNDS_MAX, at most an hour. */
bool option_buckets(struct str s, struct duration_bounds *ret);
/* As the table of types has it. */
bool option_buckets_parse(const struct option_row *row, struct str s, uint64_t *ret, struct err *why);

#endif
