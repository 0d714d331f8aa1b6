/* Spans on their way out: written as bytes at once, kept within a bound, taken in batches, accounted for one by one.
 *
 *     span_queue_add()  ──>  waiting, oldest first  ──span_queue_take()──>  the batch under way  ──span_queue_settle()──>  sent, refused, failed
 *                               └─ no room: the oldest waiting is dropped (dropped_full)
 *
 * At every moment produced = sent + dropped_full + dropped_refused + dropped_failed + queued, where queued is what waits and what is under
 * way. A span without ids counts as refused: a collector would refuse all of the batch that holds one. Memory: the bound, whose pages
 * are touched only as far as the queue ever filled, SPAN_BYTES_MAX to write one in, and a batch while it is under way (one of half of
 * SPAN_BATCH_MAX and more: until a smaller one is). Pure; the owner's thread. */
#ifndef OUTRIDER_PLUGINS_SPAN_QUEUE_H
#define OUTRIDER_PLUGINS_SPAN_QUEUE_H

#include "plugin.h"
#include "span_text.h"

#define SPAN_BATCH_MAX 490000u /* bytes of a batch before gzip; Zipkin's reporters keep to 500,000 */
#define SPAN_GROUPS_MAX 64u    /* services in one batch */
#define SPAN_QUEUE_MIN (256u * 1024u)

/* How spans become a batch: open, then for each group group_open key group_mid spans group_close, then close. */
struct span_format {
	size_t (*write)(const struct span *s, char *at); /* into SPAN_BYTES_MAX; 0: it cannot be sent */
	struct str open, close;
	struct str between;       /* spans, and groups */
	bool by_service;          /* a group is a local service, and key its name; else all are one group without key */
	struct str group_open, group_mid, group_close;
};

struct span_queue {
	const struct span_format *format;
	char *mem, *scratch; /* owned */
	size_t size;
	size_t from, to, end; /* the oldest; the next free byte; where the memory is left unused because of the turn */
	bool turned;          /* `to` lies before `from` */
	size_t bytes;         /* of what waits, with its entries */
	uint64_t waiting;
	struct exporter_counts counts; /* but for queued */
	char *batch;                   /* owned; NULL: none under way */
	size_t batch_n, batch_size;    /* bytes; of its memory, 0 where that is somebody else's make */
	uint64_t batch_spans;
	char *kept; /* owned: the memory of the last large batch, for the next one; NULL: none */
};

/* size: bytes, SPAN_QUEUE_MIN at least. false: no memory; release it all the same. */
bool span_queue_init(struct span_queue *q, const struct span_format *format, size_t size, struct err *err) MUST_CHECK;
void span_queue_release(struct span_queue *q); /* a zeroed one is fine */

void span_queue_add(struct span_queue *q, const struct span *s);
/* Makes the next batch, when none is under way. false: nothing waits, or no memory (all stays). */
bool span_queue_take(struct span_queue *q) MUST_CHECK;
/* The batch under way as these bytes instead; owned from now on. */
void span_queue_packed(struct span_queue *q, char *bytes, size_t n);
/* The batch is done with: of its spans `refused` and `failed` were lost, the others went out. */
void span_queue_settle(struct span_queue *q, uint64_t refused, uint64_t failed);
struct exporter_counts span_queue_counts(const struct span_queue *q);
/* Is there as much as one batch holds? */
static inline bool span_queue_has_batch(const struct span_queue *q)
{
	return q->bytes >= SPAN_BATCH_MAX || q->bytes >= q->size / 2;
}

#endif
