/* The record of an exchange: written once by its worker into the worker's ring, read by control, which makes spans, a line of the access log
 * and an entry of the flight recorder of it (control/telemetry.h).
 *
 * One piece of memory: struct record, then n_tries struct record_try, then the texts one after another, without NUL, in the order of enum
 * record_text. Only exchanges that somebody will look at are written: those traced, failed, slow, or drawn for the log;
 * while somebody reads /tap, all. */
#ifndef OUTRIDER_PROXY_RECORD_H
#define OUTRIDER_PROXY_RECORD_H

#include "base/clock.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum record_text { /* each at most RECORD_TEXT_MAX bytes, longer ones are cut */
	RECORD_METHOD, RECORD_PATH /* as it came, without query */, RECORD_HOST, RECORD_REQUEST_ID, RECORD_UPSTREAM, RECORD_ROUTE, RECORD_USER_AGENT,
	RECORD_TEXTS
};
#define RECORD_TEXT_MAX 512u
#define RECORD_TRIES_MAX 8u

enum { /* record.why: who wants it */
	RECORD_TRACED = 1, /* its spans are to be reported */
	RECORD_LOGGED = 2, /* drawn for the access log */
	RECORD_FAILED = 4, /* the agent's own answer, cut, or a status of 500 and above */
	RECORD_SLOW = 8,
	RECORD_TAPPED = 16, /* somebody reads /tap: every exchange is recorded meanwhile */
	RECORD_RETRIED = 32 /* it took more than one attempt */
};

enum { /* record.flags */
	RECORD_DEBUG = 1,    /* B3 debug */
	RECORD_SHARED = 2,   /* the SERVER span has the id that came */
	RECORD_INFERRED = 4, /* its parent was inferred, not said */
	RECORD_CUT = 8,
	RECORD_TUNNEL = 16,
	RECORD_FALLBACK = 32,
	RECORD_PARKED = 64,
	RECORD_QUEUED = 128 /* it waited for a place in the bulkhead */
};

struct record_peer { /* family 0: none; 4 and 6 */
	uint8_t family;
	uint8_t ip[16];
	uint16_t port; /* host order */
};

struct record_try { /* an attempt; times are µs since record.started, 0 = it did not come to that */
	uint64_t span;    /* id of its CLIENT span; 0: none */
	uint32_t started, sent, head, ended; /* chosen; the request's head queued; the reply's head; over */
	struct record_peer peer;
	uint16_t status;  /* of its reply, 0: none */
	uint16_t reason;  /* enum reason of its failure */
	bool reused;
};

struct record {
	uint64_t started;            /* wall µs */
	uint32_t duration;           /* µs, at least 1; up to 71 minutes, longer ones are cut to that */
	uint32_t accepted;           /* µs between the acceptance of its connection and started; 0: not the first on it */
	uint32_t head;               /* µs since started: its head was whole */
	uint32_t routed;             /* the same: upstream known, before the first attempt's wait; 0: it never was */
	uint32_t queued;             /* RECORD_QUEUED: the same, when it first began to wait */
	uint32_t slot;               /* of the sidecar */
	uint64_t trace_hi, trace_lo; /* both 0: none came and none was made. It has spans where why says RECORD_TRACED */
	uint64_t span, parent;       /* inbound and edge: of the SERVER span. outbound: span is 0, parent is who called */
	uint64_t retry;              /* id of the local span `retry`; 0: none */
	uint64_t bytes_in, bytes_out; /* bodies, as relayed */
	struct record_peer peer;     /* who connected */
	struct record_peer client;   /* the client: the last address of X-Forwarded-For that is no trusted hop's, where the peer is one; else the peer */
	uint16_t status, reason;
	uint8_t kind;                /* enum listener_kind */
	uint8_t why, flags, n_tries;
	uint8_t worker;
	uint16_t text_n[RECORD_TEXTS];
};

static inline const struct record_try *record_tries(const struct record *r)
{
	return (const struct record_try *)(const void *)(r + 1);
}
/* Texts follow each other: asked for in order it is cheap, each by itself it adds up those before. */
static inline struct str record_text(const struct record *r, enum record_text which)
{
	const char *p = (const char *)(record_tries(r) + r->n_tries);

	for (unsigned i = 0; i < which; i++)
		p += r->text_n[i];
	return str_make(p, r->text_n[which]);
}

#endif
