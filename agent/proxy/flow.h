/* One direction of an exchange's body: how its source frames it, how its sink frames it, and the bytes between.
 *
 *     source's block ──flow_feed──> decode ──> frame anew ──> q ──outq_write──> sink
 *
 * A body is decoded and framed anew, never passed on as the source wrote it: chunk sizes, extensions and
 * forbidden trailers of one side cannot confuse the other. Pure but for the blocks it queues. */
#ifndef OUTRIDER_PROXY_FLOW_H
#define OUTRIDER_PROXY_FLOW_H

#include "base/text.h"
#include "http/h1.h"
#include "proxy/outq.h"

enum flow_result {
	FLOW_MORE,  /* all bytes consumed, the body goes on */
	FLOW_FULL,  /* the queue is above OUTQ_HIGH: feed again when it has drained */
	FLOW_END,   /* the body is complete (and its end queued) */
	FLOW_BAD,   /* malformed chunk */
	FLOW_LARGE, /* more than `max` bytes */
	FLOW_NOMEM
};

struct flow {
	struct outq q;
	uint64_t left;  /* BODY_LENGTH: bytes still to come from the source */
	uint64_t bytes; /* body bytes seen */
	uint64_t max;   /* 0 = unlimited */
	uint8_t in;     /* enum body_kind of the source */
	uint8_t out;    /* enum body_kind of the sink */
	bool ended;     /* the source delivered all; the end is in q */
	bool discard;   /* the sink is gone: decode and drop */
	bool paused;    /* the source was stopped because of FLOW_FULL */
	struct chunk_decoder chunk;
	struct arena *arena; /* trailer lines */
	uint32_t trailers_at; /* bytes of trailers queued in trailer text */
	char *trailers;       /* arena memory, H1_TRAILER_MAX bytes, or NULL */
	struct text *copy;    /* the owner's: gets the body's bytes, too; NULL: nobody wants them */
};

/* in/length: as parsed. out: how the sink is told. arena must outlive the flow. */
void flow_init(struct flow *f, struct arena *arena);
void flow_begin(struct flow *f, enum body_kind in, uint64_t length, enum body_kind out, uint64_t max);
void flow_release(struct flow *f);

/* Consumes body bytes b->data[b->start .. b->end), advancing start. */
enum flow_result flow_feed(struct flow *f, struct block_pool *pool, struct block *b);
/* The source ended (only BODY_CLOSE may end like this): queues the end. */
enum flow_result flow_close(struct flow *f, struct block_pool *pool);
/* Has the source a body that is not complete yet? */
static inline bool flow_open(const struct flow *f)
{
	return !f->ended;
}

#endif
