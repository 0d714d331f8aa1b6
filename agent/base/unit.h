/* Numbers with units, durations and sizes, both ways. Pure. */
#ifndef OUTRIDER_BASE_UNIT_H
#define OUTRIDER_BASE_UNIT_H

#include "base/clock.h"
#include "base/text.h"

/* "250ms", "2s", "5m", "1h", "1d"; "64KiB", "1MiB", "10MB", "4096". */
bool duration_parse(struct str s, usec *ret) MUST_CHECK;
bool size_parse(struct str s, uint64_t *ret) MUST_CHECK;
/* In the largest unit that leaves no rest. */
void duration_text(struct text *t, usec d);
void size_text(struct text *t, uint64_t bytes);

#endif
