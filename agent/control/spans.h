/* Record to spans: what Zipkin and others are told of an exchange (docs/tracing.md; shared knowledge: zipkin, section 5).
 *
 *     inbound    SERVER
 *     edge       SERVER ── CLIENT (first attempt), local `retry` ── CLIENT (each other attempt)
 *     outbound   CLIENT (first attempt), local `retry` ── CLIENT …; nothing was sent: one CLIENT without a peer
 *
 * Pure. Thread: any. */
#ifndef OUTRIDER_CONTROL_SPANS_H
#define OUTRIDER_CONTROL_SPANS_H

#include "control/telemetry.h"

#define SPANS_MAX (RECORD_TRIES_MAX + 2u)

struct span_set {
	struct span at[SPANS_MAX];
	size_t n;
	char statuses[SPANS_MAX][8]; /* texts of tags that are made here, by span */
	char attempts[SPANS_MAX][8];
	char name[64];
};

/* Spans of a traced record; texts point into r, who and set. n is 0 when it is not traced. */
void spans_of(const struct telemetry_who *who, const struct record *r, struct span_set *set);

#endif
