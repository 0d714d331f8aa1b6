/* Queue: calls that wait for a place in a bulkhead (proxy/circuit.h), over all workers.
 *
 *     admit.c: all places taken ──> queue_wait(x)   in the list of its worker and upstream, in order
 *     a place is given back ──> queue_wake(): a worker in which calls wait gets a mail (one at a time)
 *     that worker: takes places for as many as it can, and runs them
 *     bulkhead.queue-time ends: 503 queue-timeout
 *     the queue is full, or it is a call's turn, and its deadline would end before it is answered (circuit_too_late()): that one is
 *     dropped first, 503 queue-timeout
 *
 * No wake is lost: a call says that it waits before it tries for a place once more, and who gives a place back looks for
 * those that wait afterwards; a worker that was woken and has nobody left to run passes the wake on.
 * Private to proxy/; thread: the worker's, but for queue_wake()'s look at the others. */
#ifndef OUTRIDER_PROXY_QUEUE_H
#define OUTRIDER_PROXY_QUEUE_H

#include "proxy/exchange.h"

enum queue_result {
	QUEUE_TAKEN, /* a place was free after all */
	QUEUE_WAIT,
	QUEUE_FULL
};

enum queue_result queue_wait(struct exchange *x);
void queue_leave(struct exchange *x); /* harmless when it does not wait */
/* x gave its place back: whoever waits may take it. */
void queue_wake(struct circuit *c, struct worker *w);
void queue_init(struct wupstream *u, struct worker *w); /* with the part */

#endif
