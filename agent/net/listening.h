/* Which TCP ports somebody listens on in a network namespace, asked of the kernel (sock_diag), without connecting to any:
 * the listener sees nothing. Works for an unprivileged process; microseconds, whatever the number of connections.
 * Thread: any. */
#ifndef OUTRIDER_NET_LISTENING_H
#define OUTRIDER_NET_LISTENING_H

#include "net/addr.h"
#include "net/sockets.h"

#define LISTENING_MAX 512u

struct listening {
	size_t n;
	struct addr at[LISTENING_MAX]; /* with port; 0.0.0.0 and :: for wildcards */
};

/* false: the kernel does not tell (seccomp, another kernel); errno says why. Beyond LISTENING_MAX the rest is left out. */
bool listening_ask(struct netspace *ns, struct listening *ret) MUST_CHECK;
/* Would a connection to this address find a listener? One lookup, whatever the number of sockets on the machine (the list above walks
 * all listeners of all namespaces). false also when the kernel does not tell. */
bool listening_at(struct netspace *ns, const struct addr *a);
/* A netlink socket kept for many questions: an answer is waited for at most 200 ms. */
void listening_limit(int fd);
/* Does somebody listen on that Unix socket (path or abstract)? true also when nobody can tell. */
bool listening_unix(const struct addr *a);
/* Would a connection to `a` find one of the list? */
bool listening_has(const struct listening *l, const struct addr *a);

#endif
