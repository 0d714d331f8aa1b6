/* Blocks: the memory that bytes travel in. One pool per worker, no locks, reference counted so that a
 * replay buffer, a mirror or a hedge can share a body (DESIGN section 7).
 *
 *     struct block *b = block_get(pool, BLOCK_SMALL);   refs = 1
 *     n = read(fd, b->data + b->end, b->cap - b->end);  b->end += n
 *     block_ref(b); … block_unref(b);                   the last one puts it back
 *
 * A pool keeps at most `keep` free small blocks and keep / 8 large ones (the rest goes back to libc) and never has more
 * than `max_bytes` out; block_get() is NULL then: the caller sheds or stops reading.
 * Thread: the pool's worker only; counts are not atomic. */
#ifndef OUTRIDER_BASE_BLOCK_H
#define OUTRIDER_BASE_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum block_class {
	BLOCK_SMALL, /* 16 KiB: heads, small bodies */
	BLOCK_LARGE, /* 64 KiB: bodies that move */
	BLOCK_HUGE,  /* as large as asked, never kept: a head above 16 KiB */
	BLOCK_CLASSES
};

#define BLOCK_SMALL_BYTES (16u * 1024u)
#define BLOCK_LARGE_BYTES (64u * 1024u)

struct block_pool;

struct block {
	struct block *next; /* free list, or whatever list its only owner keeps */
	struct block_pool *pool;
	uint32_t refs;
	uint32_t cap;        /* bytes of data[] */
	uint32_t start, end; /* filled part, for its owner's use */
	uint8_t klass;
	char data[];
};

struct block_pool {
	struct block *free[BLOCK_CLASSES];
	uint32_t free_count[BLOCK_CLASSES];
	uint32_t keep; /* free small blocks kept, and an eighth of that of large ones */
	size_t out;    /* bytes handed out now */
	size_t max_bytes;
	bool tight; /* its owner is to hold little */
};

void block_pool_init(struct block_pool *p, size_t max_bytes, uint32_t keep);
void block_pool_trim(struct block_pool *p); /* what is kept beyond `keep` goes back */
void block_pool_release(struct block_pool *p); /* every block must be back */
/* start = end = 0, refs = 1; NULL when the pool's maximum or memory is reached. */
struct block *block_get(struct block_pool *p, enum block_class c);
struct block *block_get_huge(struct block_pool *p, uint32_t bytes);
void block_free_(struct block *b); /* used by block_unref() */

static inline struct block *block_ref(struct block *b)
{
	b->refs++;
	return b;
}

/* NULL is fine. */
static inline void block_unref(struct block *b)
{
	if (b && --b->refs == 0)
		block_free_(b);
}

/* A received block whose bytes are all consumed is used again, or, when others still refer to it, left to them (*b is NULL then).
 * NULL, or bytes left: nothing happens. */
static inline void block_recycle(struct block **b)
{
	if (!*b || (*b)->start < (*b)->end)
		return;
	if ((*b)->refs == 1) {
		(*b)->start = (*b)->end = 0;
	} else {
		block_unref(*b);
		*b = NULL;
	}
}

static inline uint32_t block_room(const struct block *b)
{
	return b->cap - b->end;
}

#endif
