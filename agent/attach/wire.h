/* What keeper and proxy say to each other: records of one size over SEQPACKET sockets, with descriptors beside them (SCM_RIGHTS).
 *
 *     keeper                                          proxy
 *     NODE (bytes: who this node is)   ───────────>
 *     CONTAINER (number; bytes: the packed container) ──>  makes a sidecar
 *                                      <───────────   LISTEN (number, address, index), answered on the socket of calls: LISTENER
 *                                      <───────────   REFILL (number, kind, n)
 *     SOCKETS (number, kind; fds)      ───────────>   net/netspace's stock
 *                                      <───────────   SERVING (number), or it cannot be
 *     STOPPING (number)                ───────────>   tells callers to go elsewhere
 *     ENDED (number)                   ───────────>   drops the sidecar
 *     STOP (n: 1 = a successor serves; kind: ms that are left, 0 = open) ──>  drains
 *     LOG (number, kind: of a terminal; fd: a pipe) ──>  reads the engine's log stream of that container there
 *     LOG (number, n: enum doctor_level, why) ───────>  why there is none
 *                                      <───────────   LOG_AT (number, kind: seconds, n: nanoseconds of what it read last; error: 1 = it read all)
 *     NEAR (bytes: addresses of this node) ────────>  locality (control/near.h)
 *                                      <───────────   LEFT: nothing is under way any more
 *
 * Two sockets: `records` for what nobody waits for, `calls` for LISTEN, which the proxy waits for (microseconds; WIRE_WAIT at most).
 * The keeper waits for nobody: what the proxy does not read yet stays in an outbox (outbox.h).
 * A container has a number, never used again. Both ends check what they get: the proxy is not trusted by the keeper. */
#ifndef OUTRIDER_ATTACH_WIRE_H
#define OUTRIDER_ATTACH_WIRE_H

#include "base/clock.h"
#include "base/err.h"
#include "net/addr.h"

#define WIRE_FDS_MAX 64u
#define WIRE_WAIT_S 2
#define WIRE_RECORDS_FD 3 /* of the proxy */
#define WIRE_CALLS_FD 4

enum wire_op {
	/* Between keepers, which may be of two versions (keeper_handover.c): these numbers and the record stay as they are. */
	WIRE_LISTENER = 1, /* also to the proxy */
	WIRE_TAKE = 2,
	WIRE_ALL = 3,
	WIRE_READY = 4,
	WIRE_LINE = 5, /* to the successor, fd: the line to an agent before us, to hold; the first versions close it */
	/* Between a keeper and its proxy, which are one program. */
	WIRE_NODE,
	WIRE_CONTAINER,
	WIRE_SOCKETS,
	WIRE_FACT, /* kind: enum wire_fact, n: enum doctor_level, why */
	WIRE_STOPPING,
	WIRE_ENDED,
	WIRE_STOP,
	WIRE_LISTEN,
	WIRE_UNLISTEN,
	WIRE_REFILL,
	WIRE_SERVING,
	WIRE_LEFT,
	WIRE_REOPEN,
	WIRE_LOG,
	WIRE_LOG_AT,
	WIRE_NEAR, /* fd: bytes, the addresses of all containers of this node, one a line */
	WIRE_OPS
};

enum wire_fact { FACT_ENGINE, FACT_RIGHTS, FACT_NAMESPACES, FACT_HANDOVER, FACT_CLOCK, FACT_FILES, WIRE_FACTS };

struct wire_record {
	uint32_t op;        /* enum wire_op */
	uint32_t container; /* its number; 0: none */
	uint32_t kind;      /* enum netspace_kind; of LISTEN its serial number, which the answer repeats */
	uint32_t n;         /* sockets wanted; index of a listener; what else op says */
	int32_t error;      /* LISTENER without a descriptor: errno */
	uint32_t addr_len;
	struct sockaddr_un addr; /* of any family: the largest one */
	char why[256];      /* for people; of READY and STOP for a successor: since when it reads logs, in ns */
};

/* A connected pair, both ends close-on-exec; writes wait for WIRE_WAIT_S at most. */
bool wire_pair(int ret[2], struct err *err) MUST_CHECK;
/* The descriptors stay the caller's. false: errno; EPIPE: the other end is gone; EAGAIN: it does not read (wait: for WIRE_WAIT_S). */
bool wire_send(int fd, const struct wire_record *r, const int *fds, size_t n, bool wait);
/* 1: a record, whose *n descriptors are the caller's; 0: the other end is gone; -1: errno, EAGAIN: nothing is there.
 * wait: blocks for WIRE_WAIT_S at most. */
int wire_receive(int fd, struct wire_record *r, int fds[WIRE_FDS_MAX], size_t *n, bool wait);

void wire_put_addr(struct wire_record *r, const struct addr *a);
/* false: it is no address that we know. */
bool wire_get_addr(const struct wire_record *r, struct addr *ret);

/* Bytes of any length travel as a sealed file in memory. -1: errno. */
int wire_bytes_fd(struct str bytes);
/* Reads it all, at most max bytes; mem_free() the text. {NULL, 0}: err. The fd is closed. */
struct str wire_read_bytes(int fd, size_t max, struct err *err);

#endif
