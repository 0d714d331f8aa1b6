#include "control/phases.h"

#include "proxy/spec.h"

static const struct { const char *key, *says; } rows[PHASES] = {
	[PHASE_HEAD] = { "head_ms", "waiting for the rest of the request's head: a slow client" },
	[PHASE_ROUTE] = { "route_ms", "finding where it goes" },
	[PHASE_QUEUE] = { "queue_ms", "waiting until it might be made: for an endpoint, or a place in the bulkhead" },
	[PHASE_RETRY] = { "retry_ms", "attempts before the last one, and the pauses between" },
	[PHASE_CONNECT] = { "connect_ms", "getting a connection" },
	[PHASE_FIRST_BYTE] = { "first_byte_ms", "waiting for the first byte of the reply: the service was at work" },
	[PHASE_TRANSFER] = { "transfer_ms", "passing on the bodies: a large reply, or a slow reader" },
};

const char *phase_key(enum phase p)
{
	return rows[p].key;
}

const char *phase_says(enum phase p)
{
	return rows[p].says;
}

static uint64_t step(uint64_t *from, uint64_t to)
{
	uint64_t took = to > *from ? to - *from : 0;

	*from += took;
	return took;
}

struct phases phases_of(const struct record *r)
{
	const struct record_try *first = record_tries(r), *last = first + (r->n_tries ? r->n_tries - 1u : 0u);
	struct phases p = { { 0 } };
	uint64_t at = 0;

	p.at[PHASE_HEAD] = step(&at, r->head < r->duration ? r->head : r->duration);
	p.at[PHASE_ROUTE] = step(&at, r->routed < r->duration ? r->routed : r->duration);
	if (!r->n_tries) {
		p.at[PHASE_QUEUE] = step(&at, r->duration);
		return p;
	}
	p.at[PHASE_QUEUE] = step(&at, first->started);
	p.at[PHASE_RETRY] = step(&at, last->started);
	bool answered = last->status || last->head, sent = answered || last->sent;
	p.at[PHASE_CONNECT] = step(&at, sent ? last->sent : r->duration);
	p.at[PHASE_FIRST_BYTE] = step(&at, answered ? last->head : r->duration);
	p.at[PHASE_TRANSFER] = step(&at, r->duration);
	return p;
}

const char *record_listener(const struct record *r)
{
	static const char *const words[] = { [LISTEN_INBOUND] = "inbound", [LISTEN_OUTBOUND] = "outbound", [LISTEN_PINNED] = "outbound",
					     [LISTEN_PINNED_TCP] = "outbound", [LISTEN_EDGE] = "edge" };

	return r->kind <= LISTEN_EDGE ? words[r->kind] : "?";
}
