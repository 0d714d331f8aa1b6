/* A network namespace that is not the agent's own: `outrider node` serves containers inside theirs (DESIGN section 2).
 *
 * The process that uses this has no right to enter a namespace; a keeper makes sockets in there and hands them over. A socket
 * belongs for life to the namespace in which it was made, so whoever connects or asks with it does so from inside the container.
 *
 *     keeper ──netspace_put()──> stock ──netspace_take()──> socket_make(ns, …)     any thread, no lock
 *              <──refill()───── low water, told once
 *
 * Stocks hold few sockets at rest; one that was emptied is refilled with twice as many, up to NETSPACE_STOCK_MAX, and shrinks again
 * when nobody takes. An empty stock is ENOBUFS: try again in a moment.
 * Made and filled by the control thread; whoever keeps a pointer holds a reference. */
#ifndef OUTRIDER_NET_NETSPACE_H
#define OUTRIDER_NET_NETSPACE_H

#include "net/addr.h"
#include "net/loop.h"

#define NETSPACE_STOCK_MAX 256u
#define NETSPACE_LOST (2 * USEC_SEC) /* sockets that were asked for and did not come are asked for again when one is wanted */

enum netspace_kind {
	NETSPACE_TCP4,
	NETSPACE_TCP6,
	NETSPACE_UDP4,
	NETSPACE_UDP6,
	NETSPACE_UNIX, /* for names in the abstract space, which is the network namespace's */
	NETSPACE_DIAG, /* netlink, which tells who listens; one that is lent, not taken */
	NETSPACE_KINDS
};

struct netspace;

struct netspace_ops {
	/* Control's thread: n sockets of the kind are wanted; give each to netspace_put(), whenever they come. */
	void (*refill)(void *arg, struct netspace *ns, enum netspace_kind kind, unsigned n);
	/* Control's thread: a listening socket, as socket_listen() makes it, from the namespace; -1, err and errno. */
	int (*listen)(void *arg, struct netspace *ns, const struct addr *a, struct err *err);
	/* Control's thread: nobody listens there any more; the keeper closes what it keeps of it. */
	void (*unlisten)(void *arg, struct netspace *ns, const struct addr *a);
};

/* dns: "127.0.0.11", where names of that namespace are asked; static text. NULL: no memory. */
struct netspace *netspace_new(struct loop *control, const char *dns, const struct netspace_ops *ops, void *arg) MUST_CHECK;
struct netspace *netspace_ref(struct netspace *ns); /* NULL is fine */
void netspace_unref(struct netspace *ns);           /* the last one closes what is in stock; NULL is fine */
/* The keeper is gone, or the namespace: no refill, no listen from now on. */
void netspace_cut(struct netspace *ns);

/* The fd is the stock's from then on; it is closed when there is no room. */
void netspace_put(struct netspace *ns, enum netspace_kind kind, int fd);
/* Any thread. -1: ENOBUFS. The caller's. */
int netspace_take(struct netspace *ns, enum netspace_kind kind);
/* Control's thread. Lent: not to be closed. -1: there is none yet. */
int netspace_diag(const struct netspace *ns);
void netspace_unlisten(struct netspace *ns, const struct addr *a);
int netspace_listen(struct netspace *ns, const struct addr *a, struct err *err);
const char *netspace_dns(const struct netspace *ns);
/* What others of its group asked DNS is good for it, too: borrowed; equal groups stand on equal networks. Control's thread. */
struct answers;
void netspace_share(struct netspace *ns, struct answers *answers, uint64_t group);
struct answers *netspace_answers(const struct netspace *ns, uint64_t *group); /* NULL: it shares nothing */
/* How questions to DNS ended that were asked from there: with an answer, if only that there is none, or without. Any thread. */
struct netspace_dns_view { uint64_t answered, failed; bool fails; /* the last one did */ };
void netspace_dns_told(struct netspace *ns, bool answered); /* NULL is fine */
struct netspace_dns_view netspace_dns_view(const struct netspace *ns);
unsigned netspace_stock(const struct netspace *ns, enum netspace_kind kind); /* for tests and pages */
/* Asks for the first sockets of each kind. */
void netspace_begin(struct netspace *ns);
/* Call now and then (a minute or so): stocks that nobody took from shrink. */
void netspace_rest(struct netspace *ns);

#endif
