/* /hystrix.stream: the circuits of this agent as the Hystrix Dashboard and Turbine read them.
 *
 * Every HYSTRIX_TICK each reader gets the events of every circuit that was used, a HystrixCommand and a
 * HystrixThreadPool (hystrix_figures.h), and a `ping: `. A circuit's name is the upstream's; on the agent of a node, which shows
 * several sidecars, it is <service>.<upstream>, and <service>~2.<upstream> for a second sidecar of that service. The circuit of a
 * single SOAP action (breaker.by) is <upstream>#<action>, a command in the upstream's pool. Nothing is made while nobody reads.
 * Owner and thread: control, one per admin. */
#ifndef OUTRIDER_CONTROL_HYSTRIX_H
#define OUTRIDER_CONTROL_HYSTRIX_H

#include "control/agent.h"
#include "control/hystrix_readers.h"
#include "control/hystrix_sums.h"
#include "net/timer.h"

#define HYSTRIX_TICK (500 * USEC_MS)
#define HYSTRIX_TICK_BYTES (HTTPD_OUTPUT_MAX / 4) /* of a stream: circuits beyond it take turns */

struct hystrix {
	struct agent *agent; /* borrowed */
	struct timer timer;
	uint32_t next; /* the circuit that the next tick begins with: all do not fit into one on a large node */
	struct hystrix_readers readers;
};

void hystrix_init(struct hystrix *h, struct agent *agent); /* it must not move afterwards */
void hystrix_stop(struct hystrix *h); /* before the httpd is freed; a zeroed one is fine */
/* Takes the request over as a stream, or answers 503 "MaxConcurrentConnections reached". */
void hystrix_serve(struct hystrix *h, struct httpd_request *r);
/* The events for a circuit of the agent's i-th sidecar: command, then pool, then a command for each SOAP action; for tests. now: clock_now(). */
void hystrix_lines(struct text *t, const struct agent *a, uint32_t i, const struct spec_upstream *u, usec now, usec wall);
/* All circuits of the agent that were used, added up as <service>.<upstream> whatever its kind. */
void hystrix_sum(struct hystrix_sums *s, const struct agent *a, usec now);

#endif
