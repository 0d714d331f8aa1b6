/* Bytes on their way out: a bounded queue of pieces over shared blocks, written with one writev.
 *
 * Large pieces are referenced, small ones copied into a scratch block so that a head and a short body leave
 * in one send (HOTPATH.md, "Bytes"). An outq lives in an exchange or a tunnel, so an idle connection owns none.
 * Back-pressure: sources stop above OUTQ_HIGH and go on below OUTQ_LOW. Thread: its worker. */
#ifndef OUTRIDER_PROXY_OUTQ_H
#define OUTRIDER_PROXY_OUTQ_H

#include "base/block.h"
#include "net/stream.h"

#define OUTQ_PIECES 32
#define OUTQ_REFS 24               /* beyond that many pieces even large pieces are copied */
#define OUTQ_COPY 2048u            /* pieces up to that many bytes are copied */
#define OUTQ_HIGH (128u * 1024u)   /* bytes: stop the source */
#define OUTQ_LOW (48u * 1024u)     /* bytes: let it go on */
#define OUTQ_HIGH_SHORT (12u * 1024u) /* the same when more than half of the pool's memory is out: */
#define OUTQ_LOW_SHORT (4u * 1024u)   /* many slow readers get little each, so that nobody gets nothing */

struct piece {
	struct block *b; /* one reference */
	char *p;
	uint32_t n;
};

#define KEPT_PIECES 16u

struct kept { /* a copy of the references to all that was added behind the head, for another attempt */
	struct piece s[KEPT_PIECES];
	uint32_t n, bytes, max;
	bool lost; /* it was more than max, or part of it was never queued */
};

struct outq {
	struct kept *kept; /* the owner's memory; NULL: nothing is kept */
	struct piece s[OUTQ_PIECES];
	struct block *scratch; /* where copies go; one reference of its own */
	uint8_t first, count;  /* pieces s[first] .. s[first + count - 1] */
	size_t bytes;
	uint64_t sent;         /* bytes written since init */
};

static inline bool outq_is_short(const struct block_pool *pool)
{
	return pool->tight || pool->out > pool->max_bytes / 2;
}
static inline size_t outq_high(const struct block_pool *pool)
{
	return outq_is_short(pool) ? OUTQ_HIGH_SHORT : OUTQ_HIGH;
}
static inline size_t outq_low(const struct block_pool *pool)
{
	return outq_is_short(pool) ? OUTQ_LOW_SHORT : OUTQ_LOW;
}

void outq_init(struct outq *q);
void outq_clear(struct outq *q); /* drops everything */
/* Copies n bytes (any n up to 64 KiB). false: no memory, nothing added. */
bool outq_copy(struct outq *q, struct block_pool *pool, const char *p, size_t n) MUST_CHECK;
/* Adds a piece of block b by reference (or by copy when it is small). false: no memory. */
bool outq_add(struct outq *q, struct block_pool *pool, struct block *b, char *p, size_t n) MUST_CHECK;
/* n contiguous bytes to be written by the caller, who then calls outq_commit(). NULL: no memory, or n above 1 MiB. */
char *outq_reserve(struct outq *q, struct block_pool *pool, size_t n) MUST_CHECK;
void outq_commit(struct outq *q, size_t n);
/* Puts n bytes of block b (whose reference is taken over, also on failure) before everything else: a request's head, which a
 * retry must be able to replace while the body behind it stays. */
bool outq_prepend(struct outq *q, struct block *b, char *p, size_t n) MUST_CHECK;
/* Drops the first span (the head of an attempt that sent nothing). */
void outq_drop_first(struct outq *q);

/* From now on what is added (not what is prepended) is kept, up to k->max bytes. k: zero but for max; until outq_forget(). */
void outq_keep(struct outq *q, struct kept *k);
void outq_forget(struct outq *q); /* drops what is kept; harmless when nothing is */
void outq_lose(struct outq *q);   /* part of the body was dropped: it cannot be sent again */
/* Everything that was ever added is queued again, nothing else. false: it is not all there; the queue is unchanged. */
bool outq_rewind(struct outq *q) MUST_CHECK;

enum outq_result { OUTQ_DONE, OUTQ_PART, OUTQ_FAILED };
/* Writes what the stream takes. PART: the caller wants to hear when it is writable. FAILED: stream_errno(). */
enum outq_result outq_write(struct outq *q, struct stream *s);

#endif
