/* Trace context: B3 in its two forms and W3C trace context, as they stand in a request's head. Pure.
 *
 *     trace_read(head, order, &t)   what came, of the first kind in `order` that is there and well formed
 *     trace_write(&t, kinds, p)     the fields that go out, all of the same ids
 *
 * Sources: openzipkin/b3-propagation; W3C Trace Context (shared knowledge: zipkin, sections 3 to 5). Malformed contexts are as if they were
 * not there. Thread: any. */
#ifndef OUTRIDER_HTTP_TRACE_H
#define OUTRIDER_HTTP_TRACE_H

#include "base/str.h"
#include "http/head.h"

enum trace_decision {
	TRACE_DEFER,  /* nobody has decided yet */
	TRACE_DENY,   /* not to be reported */
	TRACE_ACCEPT,
	TRACE_DEBUG   /* reported whatever samplers say */
};

enum { /* kinds of fields */
	TRACE_B3 = 1,       /* b3: {trace}-{span}-{state}-{parent} */
	TRACE_B3_MULTI = 2, /* X-B3-TraceId … */
	TRACE_W3C = 4       /* traceparent */
};
#define TRACE_KINDS (TRACE_B3 | TRACE_B3_MULTI | TRACE_W3C)

struct trace_context {
	uint64_t hi, lo;  /* the trace's id; hi 0: one of 64 bits. Both 0: no ids came */
	uint64_t span;    /* of the one who sent it */
	uint64_t parent;  /* of that span; 0: none was said */
	uint8_t decision; /* enum trace_decision */
	uint8_t kind;     /* TRACE_…: where it came from */
	uint8_t flags;    /* W3C: others than sampled, as received (random-trace-id) */
};

static inline bool trace_has_ids(const struct trace_context *t)
{
	return t->hi | t->lo;
}

/* order: up to four of enum TRACE_ kinds, the first that is there wins, 0 ends it. false: nothing came that can be used; *ret is zeroed. */
bool trace_read(const struct head *h, const uint8_t order[4], struct trace_context *ret);

/* The values alone; false: malformed. */
bool trace_read_b3(struct str value, struct trace_context *ret);
bool trace_read_w3c(struct str value, struct trace_context *ret);

#define TRACE_WRITE_MAX 320u /* bytes that trace_write() may write */
/* Lines with their ends at p, which has room for TRACE_WRITE_MAX; the end is returned. t has ids, or a decision to deny. */
char *trace_write(const struct trace_context *t, unsigned kinds, char *p);
/* Marks all fields of the three forms as not to be forwarded; tracestate stays only with `keep_state` (it goes with a traceparent). */
void trace_delete(struct head *h, bool keep_state);

#define TRACE_ID_TEXT 33
/* 32 digits, or 16 where hi is 0, lower case. */
void trace_id_text(uint64_t hi, uint64_t lo, char dst[TRACE_ID_TEXT]);
void trace_span_text(uint64_t id, char dst[17]);
/* 16 or 32 hexadecimal digits of either case, not all zero. */
bool trace_id_parse(struct str s, uint64_t *hi, uint64_t *lo);

#endif
