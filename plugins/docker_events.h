/* Hears that something happens in a swarm: `GET /events` over the engine's socket, an answer without end. What it says is not
 * read: an event is a hint, the lists are the truth. The connection comes back by itself. Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_DOCKER_EVENTS_H
#define OUTRIDER_PLUGINS_DOCKER_EVENTS_H

#include "net/stream.h"
#include "net/timer.h"

struct docker_events {
	struct loop *loop;
	struct addr to; /* a Unix socket */
	struct stream stream;
	struct timer timer; /* the next try */
	bool open;
	char head[512]; /* of the answer, as far as it came; its first line is what counts */
	size_t n;
	bool answered;
	void (*happened)(void *arg);
	void *arg;
};

void docker_events_init(struct docker_events *e, struct loop *loop, const struct addr *to, void (*happened)(void *arg), void *arg);
void docker_events_open(struct docker_events *e); /* and keeps it open */
void docker_events_release(struct docker_events *e); /* twice, and of a zeroed one, harmless */

#endif
