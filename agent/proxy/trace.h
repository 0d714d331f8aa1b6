/* Trace: what an exchange knows of the trace that it belongs to, and the fields that tell it on.
 *
 *     trace_begin(x)    what came, was inferred, or begins here; who decides. At an edge once the route is known, which may have a sampler. Idempotent
 *     trace_attempt(x)  the id of an attempt's CLIENT span
 *     trace_fields(x)   for forward.c: the fields of the present attempt
 *     trace_end(x)      idempotent
 *
 * Inbound and edge: a SERVER span, `ctx.span`. Outbound: no span of its own, `ctx.span` is its caller's (0: there is none). Rules: docs/tracing.md.
 * Private to proxy/; thread: the worker's. */
#ifndef OUTRIDER_PROXY_TRACE_H
#define OUTRIDER_PROXY_TRACE_H

#include "http/trace.h"
#include "proxy/live.h"
#include "proxy/sampler.h"

struct exchange;

#define TRACE_ROUTES 32u

struct trace_cell { /* of a sidecar, shared by workers, outlives specs */
	struct live live;
	_Atomic uint64_t sampled; /* the word of its sampler */
	_Atomic uint64_t routed[TRACE_ROUTES]; /* of the samplers of its routes, by place; more routes share */
};

struct spec_trace {
	bool on;          /* else nothing of this file happens */
	bool told;        /* spans are exported: what is not sampled is denied in so many words, so that traces are whole */
	bool join, infer;
	uint8_t order[4]; /* of enum TRACE_ kinds, as read; 0 ends it */
	uint8_t write;    /* set of kinds */
	struct sampler_policy sampler;
	struct trace_cell *cell; /* control's; NULL: no inference, no rate */
};

struct exchange_trace {
	struct trace_context ctx;
	uint64_t attempt;       /* id of the present attempt's CLIENT span */
	uint64_t retry;         /* id of the local span `retry`; 0: none */
	struct live_slot *slot; /* where others find it */
	uint8_t flags;          /* RECORD_SHARED, RECORD_INFERRED, RECORD_DEBUG */
	bool sampled;           /* spans are recorded */
	bool rewrite;           /* the fields are ours */
	bool keep_state;        /* tracestate goes with them */
	bool counted;           /* in live */
	bool begun;
};

void trace_begin(struct exchange *x);
void trace_prepared(struct exchange *x); /* its request id is settled: calls that it causes may find it */
void trace_attempt(struct exchange *x);
void trace_end(struct exchange *x);
/* Marks what came as not to be forwarded. */
void trace_strip(struct exchange *x);
/* At most TRACE_WRITE_MAX bytes at p; its end is returned. */
char *trace_fields(struct exchange *x, char *p);

#endif
