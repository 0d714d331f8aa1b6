/* Samplers: is a trace that begins here to be reported? Pure but for one shared word. An incoming decision is obeyed, so samplers are asked for
 * new traces only (shared knowledge: zipkin, section 5).
 *
 * share is consistent: agents that share a trace's id decide alike. rate counts by the second over all workers; a burst across the border of
 * two seconds may be twice the rate. A clock that is a little behind another worker's counts in the other's second. Thread: any. */
#ifndef OUTRIDER_PROXY_SAMPLER_H
#define OUTRIDER_PROXY_SAMPLER_H

#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum sampler_kind { SAMPLER_NEVER, SAMPLER_ALWAYS, SAMPLER_SHARE, SAMPLER_RATE };

struct sampler_policy {
	uint8_t kind;      /* enum sampler_kind */
	uint32_t rate;     /* RATE: traces a second */
	uint64_t boundary; /* SHARE: ids below it */
};

/* word: {second, count} of RATE, all zero at first. id: the low half of the trace's id, random. */
bool sampler_decide(const struct sampler_policy *p, _Atomic uint64_t *word, uint64_t id, usec now);

#endif
