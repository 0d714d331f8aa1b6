/* Time in microseconds. Pure code takes `now` as an argument; only loops and main() read a clock.
 * Monotonic time starts anywhere; wall time is since 1970. uint64_t lasts 584,000 years. */
#ifndef OUTRIDER_BASE_CLOCK_H
#define OUTRIDER_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t usec; /* microseconds, a duration or a monotonic instant */

#define USEC_MS ((usec)1000)
#define USEC_SEC ((usec)1000000)
#define USEC_NEVER UINT64_MAX

usec clock_now(void);  /* CLOCK_MONOTONIC, 24 ns a call */
usec clock_wall(void); /* CLOCK_REALTIME */
/* "2026-11-23T04:05:06.789Z" into dst (25 bytes with NUL). */
void clock_iso(usec wall, char dst[25]);
/* RFC 3339, its letters in either case, also with a blank for the T and a zone without its colon: "2026-11-23T04:05:06.789012345+01:00".
 * The whole of it; *ret is in nanoseconds since 1970. false: it is none, or before 1970, or it says no zone. */
bool clock_read_iso(const char *p, size_t n, uint64_t *ret);

#endif
