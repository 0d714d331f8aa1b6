/* Live: the requests that a service is busy with and of which is known whether they are traced, so that a call which it makes can be linked to
 * the one that caused it, or denied with it, though it forwarded no fields (link inference, docs/tracing.md).
 *
 *     inbound   live_enter(count) … live_put(key, trace) … live_remove(slot) … live_leave
 *     outbound  live_find(key)    by the X-Request-Id that it has, else by being the only one in flight
 *
 * Shared by the workers of a sidecar, without locks: a slot is taken by CAS on its key, and a reader that finds the key changed
 * under its hands has found nothing. A full table links nothing more; denied ones take half of it at most. Thread: any worker. */
#ifndef OUTRIDER_PROXY_LIVE_H
#define OUTRIDER_PROXY_LIVE_H

#include "base/str.h"
#include "http/trace.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LIVE_SLOTS 64u
#define LIVE_COUNTS 16u /* lines of counters: workers are spread over them */

struct live_slot {
	_Atomic uint64_t key; /* 0: free, 1: being written, else live_key() */
	_Atomic uint64_t hi, lo, span;
	_Atomic uint64_t decision;
};

struct live {
	struct {
		_Alignas(64) _Atomic uint64_t n; /* requests that the handler has, traced or not */
	} counts[LIVE_COUNTS];
	_Alignas(64) _Atomic uint64_t used;
	struct live_slot slots[LIVE_SLOTS];
};

struct live_trace { uint64_t hi, lo, span; uint8_t decision; /* enum trace_decision; of one that is denied the ids may be 0 */ };

uint64_t live_key(struct str request_id); /* never 0 or 1 */
void live_enter(struct live *l, unsigned worker);
void live_leave(struct live *l, unsigned worker);
/* The slot that it stands in, NULL when there is no room. */
struct live_slot *live_put(struct live *l, uint64_t key, const struct live_trace *t);
void live_remove(struct live *l, struct live_slot *slot);
/* key 0: the call has no request id. */
bool live_find(const struct live *l, uint64_t key, struct live_trace *ret);

#endif
