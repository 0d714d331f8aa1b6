/* /swarm/hystrix.stream: the circuits of all agents of outrider.agents added up by name, as Turbine would.
 *
 *     timer ──ask──> GET /hystrix.json of each (swarm_ask.h) ──hystrix_sums_read──> sums ──done──> events, a comment on who failed
 *
 * Every HYSTRIX_SWARM_TICK the agents are asked, but never while they still are, and a `ping: ` is sent in any case. Circuits beyond
 * HYSTRIX_TICK_BYTES take turns. Without readers nobody is asked and nothing kept. Owner and thread: control, one per admin. */
#ifndef OUTRIDER_CONTROL_HYSTRIX_SWARM_H
#define OUTRIDER_CONTROL_HYSTRIX_SWARM_H

#include "base/rng.h"
#include "control/hystrix.h"
#include "control/swarm_ask.h"

#define HYSTRIX_SWARM_TICK (1 * USEC_SEC)
#define HYSTRIX_SWARM_PAGE "hystrix.json"

struct hystrix_swarm {
	struct agent *agent; /* borrowed */
	struct swarm *swarm; /* borrowed; NULL before the first reader */
	struct swarm_ask *ask; /* NULL: none is under way */
	struct timer timer;
	struct rng rng; /* seeds of the sums' tables */
	uint32_t next; /* the circuit that the next events begin with */
	struct hystrix_sums sums; /* of the ask under way */
	struct text failures;     /* its agents that did not answer, with the cause */
	struct hystrix_readers readers;
};

void hystrix_swarm_init(struct hystrix_swarm *h, struct agent *agent); /* it must not move afterwards */
void hystrix_swarm_stop(struct hystrix_swarm *h); /* before the swarm and the httpd are freed; a zeroed one is fine */
void hystrix_swarm_serve(struct hystrix_swarm *h, struct swarm *swarm, struct httpd_request *r);

#endif
