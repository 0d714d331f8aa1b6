/* The one place that makes sockets (DESIGN section 2): in the agent's own network namespace by socket(), in those of
 * containers (`outrider node`) from the stock that a keeper filled (net/netspace.h). All are non-blocking and close-on-exec. */
#ifndef OUTRIDER_NET_SOCKETS_H
#define OUTRIDER_NET_SOCKETS_H

#include "net/addr.h"

struct netspace; /* a network namespace; NULL = the agent's own */

/* type: SOCK_STREAM or SOCK_DGRAM. -1 with errno; ENOBUFS: the stock of that namespace is empty for a moment. */
int socket_make(struct netspace *ns, int family, int type);
/* A listening TCP (SO_REUSEADDR, SO_REUSEPORT, V6ONLY) or Unix stream socket (a stale path is replaced only when nobody answers
 * there; mode 0660). -1 and err: names the address and the remedy (in use: by whom is asked of /proc where it can be). backlog 4096 or somaxconn. */
int socket_listen(struct netspace *ns, const struct addr *a, struct err *err);
/* Does nobody listen on this TCP address yet? SO_REUSEPORT lets two agents of one user share a port without a word, so
 * ask before the first of a set of listeners is made. false and err (errno kept) as socket_listen(). */
bool socket_listen_check(struct netspace *ns, const struct addr *a, struct err *err);
/* Options of every TCP connection (accepted ones inherit them from socket_listen()): NODELAY, keepalive after 300 s idle, 30 s apart, 5 probes (below swarm's 900 s). */
/* a is the peer, or what a listener is bound to (accepted connections inherit all of it). On loopback the congestion control is
 * reno, which is always there and cheapest: BBR's pacing and rate samples cost 10 % of a small exchange. */
void socket_tune(int fd, const struct addr *a);
bool socket_local(int fd, struct addr *ret);
bool socket_peer(int fd, struct addr *ret);

#endif
