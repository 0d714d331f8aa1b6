/* Names to slots: the dense numbers by which workers find their private parts (proxy/spec.h).
 *
 * The same identity gets the same number for the life of the process, so that pools and counters outlive specs:
 * a sidecar by its name, an upstream by sidecar and name, an endpoint by upstream and address. Numbers are not given
 * back yet: a registry that moves through more than SLOTS_ENDPOINTS_MAX addresses needs that first.
 * Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_SLOTS_H
#define OUTRIDER_CONTROL_SLOTS_H

#include "base/err.h"
#include "net/addr.h"
#include "proxy/outlier.h"

#define SLOTS_SIDECARS_MAX 256u
#define SLOTS_UPSTREAMS_MAX 4096u
#define SLOTS_ENDPOINTS_MAX 65536u
#define SLOT_NONE UINT32_MAX /* full, or out of memory */

struct slots;

struct slots *slots_new(struct err *err) MUST_CHECK;
void slots_free(struct slots *s); /* NULL is fine */

/* What workers and control share of an endpoint, of an upstream: lives as long as its slot. The slot must have been given. */
struct balance_cell *slots_cell(struct slots *s, uint32_t endpoint);
struct balance_tally *slots_tally(struct slots *s, uint32_t upstream);
uint64_t slots_serial(struct slots *s); /* 1, 2, 3 …: never the same twice */

uint32_t slots_sidecar(struct slots *s, struct str name);
uint32_t slots_upstream(struct slots *s, uint32_t sidecar, struct str name);
uint32_t slots_endpoint(struct slots *s, uint32_t upstream, const struct addr *a);

#endif
