/* A byte ring from one thread to another: records of any length, in order, without a lock.
 *
 *     writer                                    reader
 *     p = ring_reserve(r, n); fill p; ───────>  p = ring_peek(r, &n); read p; ring_pop(r)
 *     ring_commit(r)
 *
 * A record lies in one piece: one that does not fit before the end of the memory begins at its start. What does not fit at all is
 * dropped and counted; the writer never waits. produced = read + dropped + what lies in the ring.
 * Thread: one writes, one reads; the counters may be read by any. */
#ifndef OUTRIDER_BASE_RING_H
#define OUTRIDER_BASE_RING_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	char *mem;     /* owned */
	uint32_t size; /* bytes, a power of two */
	uint32_t reserved; /* of the record that is being written, with its header */
	_Alignas(64) _Atomic uint64_t head; /* the writer's: bytes ever committed */
	uint64_t seen_tail;                 /* the writer's copy: the other line is asked for only when it seems full */
	_Atomic uint64_t written, dropped;
	_Alignas(64) _Atomic uint64_t tail; /* the reader's: bytes ever popped */
};

/* size: bytes, 4 KiB to 1 GiB, rounded up to a power of two. false: no memory. */
bool ring_init(struct ring *r, size_t size) MUST_CHECK;
void ring_release(struct ring *r); /* a zeroed one is fine */

/* n bytes, 8-aligned, to be filled; NULL: it is full, or n is more than a quarter of it; counted as dropped. */
void *ring_reserve(struct ring *r, uint32_t n);
void ring_commit(struct ring *r);
void ring_drop(struct ring *r); /* counts a record that its writer leaves out */
bool ring_half_full(struct ring *r); /* is more than half of it in use? The writer's */

/* The oldest record, or NULL. Valid until ring_pop(). */
const void *ring_peek(struct ring *r, uint32_t *n);
void ring_pop(struct ring *r);

#endif
