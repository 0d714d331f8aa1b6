/* The flight recorder: the last exchanges that somebody may ask about, in a fixed number of bytes.
 *
 *     record ──flight_put──> class KEPT (failed, slow)  ─┐   a ring of bytes each: the newest push out the oldest of their class,
 *                            class OTHER (the rest)     ─┴─> so that a flood of good ones never pushes out a failure
 *
 * Who fills more than half of a class while others have some there, keeps one in 16 of its records: one sidecar of a node that fails always does
 * not erase what the others did.
 *
 * Entries lie in one piece of memory with two indices per class, by request id and by trace id. A position is the number of bytes
 * ever written to its ring; a link to what was pushed out or is too old is known by its position, so nothing is ever unlinked: putting
 * is O(1) and calls no allocator. Entries older than FLIGHT_AGE_MAX are found no more. Times are of clock_now().
 * Thread: control's. */
#ifndef OUTRIDER_CONTROL_FLIGHT_H
#define OUTRIDER_CONTROL_FLIGHT_H

#include "control/telemetry.h"

#define FLIGHT_SIZE_MIN ((size_t)64 * 1024)
#define FLIGHT_AGE_MAX (7200 * USEC_SEC)
#define FLIGHT_STEPS_MAX 20000u /* entries that one question looks at */

enum flight_class { FLIGHT_KEPT, FLIGHT_OTHER, FLIGHT_CLASSES };

struct flight_entry { /* texts and record point into the recorder: valid until the next put */
	const struct record *record;
	struct telemetry_who who; /* service, stack, slot and seat; no node (it is the agent's), no spec */
	uint64_t number;          /* of all that were put, from 1 */
	usec at;                  /* when it was put */
	uint8_t class;            /* enum flight_class */
};

struct flight;

/* size: bytes of all it keeps, at least FLIGHT_SIZE_MIN. NULL: no memory. */
struct flight *flight_new(size_t size, usec now, struct err *err) MUST_CHECK;
void flight_free(struct flight *f); /* NULL is fine */

/* One that is larger than a quarter of its ring is left out and counted. Those that only /tap wanted are passed over. */
void flight_put(struct flight *f, const struct telemetry_who *who, const struct record *r, uint32_t n, usec now);

/* --- questions; seat: of this sidecar alone, 0: of all ------------------------------------------------------------------- */

/* The newest first of each class, at most max; their number is returned. */
size_t flight_find_request(struct flight *f, struct str id, uint64_t seat, usec now, struct flight_entry *dst, size_t max);
/* hi 0: whatever its upper half is. */
size_t flight_find_trace(struct flight *f, uint64_t hi, uint64_t lo, uint64_t seat, usec now, struct flight_entry *dst, size_t max);

void flight_sort(struct flight_entry *at, size_t n); /* by when they began */

struct flight_walk { /* private */
	struct flight *of;
	uint64_t at[FLIGHT_CLASSES], seat, below;
	unsigned steps;
};
/* From the newest to the oldest: of both classes, or of KEPT alone; below: only those with a smaller number, 0: all. Nothing may be put
 * meanwhile. */
void flight_walk(struct flight *f, bool kept_only, uint64_t seat, uint64_t below, usec now, struct flight_walk *w);
/* false: there is none any more, or FLIGHT_STEPS_MAX were looked at. */
bool flight_next(struct flight_walk *w, struct flight_entry *ret);

struct flight_reach {
	uint64_t entries;     /* now */
	uint64_t pushed_out;  /* for want of room, ever */
	uint64_t too_large;
	uint64_t left_out;    /* of a sidecar that had more than half */
	size_t bytes, room;   /* in use, at most */
	usec back;            /* everything since so long ago is still there */
};
struct flight_reach flight_reach(struct flight *f, enum flight_class class, usec now);
size_t flight_bytes(const struct flight *f); /* all its memory */

#endif
