/* Listeners: accept in batches on a worker's loop. The listening descriptor is made by socket_listen() (or handed
 * over) by the control thread and belongs to the control thread; the worker only accepts from it. */
#ifndef OUTRIDER_NET_LISTEN_H
#define OUTRIDER_NET_LISTEN_H

#include "net/addr.h"
#include "net/loop.h"

#define LISTEN_QUEUE_MAX 8192 /* at most that many at once when a listener ends */
#define LISTEN_BATCH 64 /* connections accepted per turn and listener */

struct listener {
	struct watch rd;
	struct loop *loop;
	int fd;
	/* fd is the accepted socket: non-blocking, close-on-exec; the callee owns it. */
	void (*on_accept)(void *arg, int fd, const struct addr *peer);
	void *arg;
	bool paused, held;
	struct event retry; /* after EMFILE/ENFILE/ENOBUFS/ENOMEM: pause 50 ms instead of spinning */
	uint64_t failures;  /* how often that was */
};

/* l->rd.party may be set then: each connection counts as an event of that party's, and a batch ends with its turn. */
bool listener_start(struct listener *l, struct loop *loop, int fd,
		    void (*on_accept)(void *, int, const struct addr *), void *arg);
/* Accepts everything that waits in the queue now: called before the last listener_stop() of a descriptor that will be closed,
 * for closing resets what is queued (HOTPATH: 159 of 7,000 connections). */
void listener_accept_waiting(struct listener *l);
void listener_stop(struct listener *l); /* stops accepting; does not close fd; idempotent */

/* Lets connections wait in the kernel's queue, or takes them again. */
void listener_hold(struct listener *l, bool hold);

#endif
