/* A bump allocator for things that live and die together (a snapshot, the fields that a request gains).
 *
 * Nothing is freed singly. The first chunk may be given by the owner (no malloc at all then). Every arena
 * has a maximum; NULL when it is reached or memory is short. Not for threads to share while growing. */
#ifndef OUTRIDER_BASE_ARENA_H
#define OUTRIDER_BASE_ARENA_H

#include "base/str.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* owned, newest first */
	char *at, *end;             /* free part of the newest chunk */
	char *first, *first_end;    /* the owner's memory, may be NULL */
	size_t used, max;           /* bytes handed out; the limit */
};

void arena_init(struct arena *a, size_t max, void *first, size_t first_len);
void *arena_alloc(struct arena *a, size_t n);  /* aligned for any type, not cleared */
void *arena_zalloc(struct arena *a, size_t n); /* cleared */
char *arena_bytes(struct arena *a, size_t n);  /* unaligned, for text */
/* A copy that ends in NUL (not counted in n). {NULL,0} when there is no room. */
struct str arena_str(struct arena *a, struct str s);
char *arena_z(struct arena *a, struct str s);
char *arena_fmt(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_reset(struct arena *a);   /* forgets all, frees all chunks but the owner's first */
void arena_release(struct arena *a); /* frees all; init again before use */

#endif
