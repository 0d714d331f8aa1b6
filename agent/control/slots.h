/* Names to slots: the dense numbers by which workers find their private parts (proxy/spec.h).
 *
 *     struct slot s = slots_endpoint(slots, upstream, addr);        counts one use more
 *     …the spec part that names it lives…
 *     slots_endpoint_unuse(slots, s.number);                       when control frees that part
 *
 * The same identity gets the same number, so that pools and counters outlive specs: a sidecar by its name, an upstream by
 * sidecar and name, an endpoint by upstream and address. A number whose last use ended rests: its identity gets it back
 * when it returns (registries flap), until more than SLOTS_…_RESTING of its kind rest; then the one that has rested longest goes to
 * whoever asks next, with another `generation`, by which workers see that the part is somebody else's now. Parts of specs
 * are freed only when no worker uses the spec any more (worker.h: released), so no number changes hands while it is used.
 * A sidecar's is taken by its first spec and given back by its owner, when no spec of it is left. Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_SLOTS_H
#define OUTRIDER_CONTROL_SLOTS_H

#include "base/err.h"
#include "base/str.h"
#include "proxy/circuit.h"
#include "proxy/crowd.h"
#include "proxy/outlier.h"
#include "proxy/replies.h"
#include "proxy/trace.h"

#define SLOTS_SIDECARS_MAX 256u
#define SLOTS_UPSTREAMS_MAX 4096u
#define SLOTS_ENDPOINTS_MAX 65536u
/* So many rest when others are still free. Workers keep their private parts of each (kilobytes of a sidecar, as much of each of its
 * upstreams), so few of what seldom returns: a container that ended has a successor with another name. */
#define SLOTS_SIDECARS_RESTING 8u
#define SLOTS_UPSTREAMS_RESTING 64u
#define SLOTS_ENDPOINTS_RESTING 1024u
#define SLOT_NONE UINT32_MAX /* full, or out of memory */

struct slots;

struct slot {
	uint32_t number;     /* SLOT_NONE: there is none */
	uint32_t generation; /* grows when the number gets another identity */
};

struct slots *slots_new(struct err *err) MUST_CHECK;
void slots_free(struct slots *s); /* NULL is fine */

/* What workers and control share of an endpoint, of an upstream: lives as long as its slot. The slot must have been given. */
struct balance_cell *slots_cell(struct slots *s, uint32_t endpoint);
struct balance_tally *slots_tally(struct slots *s, uint32_t upstream);
struct crowd *slots_crowd(struct slots *s, uint32_t sidecar);
struct replies *slots_replies(struct slots *s, uint32_t sidecar);
void slots_shrink_replies(struct slots *s, uint64_t max); /* memory is short: each store keeps so many bytes at most */
struct trace_cell *slots_trace(struct slots *s, uint32_t sidecar);
struct circuit *slots_circuit(struct slots *s, uint32_t upstream);
uint64_t slots_serial(struct slots *s); /* 1, 2, 3 …: never the same twice */

uint32_t slots_sidecar(struct slots *s, struct str name);
struct slot slots_upstream(struct slots *s, uint32_t sidecar, struct str name);
struct slot slots_endpoint(
	struct slots *s, uint32_t upstream, struct str address); /* as addr_text() writes it */
struct slot slots_endpoint_again(
	struct slots *s, uint32_t number); /* one more use of a number that is in use */
void slots_sidecar_unuse(struct slots *s, uint32_t number);
/* Ends one use; the last one makes the endpoint's cell as of an endpoint that is in. SLOT_NONE is fine. */
void slots_upstream_unuse(struct slots *s, uint32_t number);
void slots_endpoint_unuse(struct slots *s, uint32_t number);

/* For tests and /stats: numbers in use. */
size_t slots_upstreams_used(const struct slots *s);
size_t slots_endpoints_used(const struct slots *s);

#endif
