/* Records that wait until the other half reads: the keeper never waits for the proxy, which at that moment may wait for the keeper
 * (a seqpacket socket takes but net.unix.max_dgram_qlen records, ten by default, before it blocks).
 *
 * Order is kept. Descriptors of a record that waits are held as duplicates. One thread: the loop's. */
#ifndef OUTRIDER_ATTACH_OUTBOX_H
#define OUTRIDER_ATTACH_OUTBOX_H

#include "attach/wire.h"
#include "base/list.h"
#include "net/timer.h"

#define OUTBOX_MAX 4096u              /* records that wait */
#define OUTBOX_STUCK (10 * USEC_SEC)  /* with none of them taken: nobody reads any more. Less may be a machine without a CPU to spare */

struct outbox {
	struct loop *loop;
	int fd; /* borrowed; -1: closed */
	struct watch writable;
	struct timer stuck;
	struct list waiting;
	size_t n;
	void (*failed)(void *arg, int error); /* EPIPE: the reader is gone; EAGAIN: it reads no more; ENOMEM. May close the outbox */
	void *arg;
};

void outbox_open(struct outbox *o, struct loop *loop, int fd, void (*failed)(void *arg, int error), void *arg);
/* The descriptors stay the caller's. false: it failed, and was said so. */
bool outbox_send(struct outbox *o, const struct wire_record *r, const int *fds, size_t n);
void outbox_close(struct outbox *o); /* drops what waits; idempotent, harmless on a zeroed one */

#endif
