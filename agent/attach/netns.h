/* Sockets in another network namespace, for the keeper, which alone has the right (CAP_SYS_ADMIN) to enter one: it enters, makes
 * them, and returns before it does anything else. A keeper that cannot return ends at once: nothing of it may go on in there.
 * Thread: the keeper's only one. */
#ifndef OUTRIDER_ATTACH_NETNS_H
#define OUTRIDER_ATTACH_NETNS_H

#include "net/addr.h"
#include "net/netspace.h"

struct netns_home {
	int own;    /* our own namespace */
	int folder; /* of the engine's namespaces; -1: not there yet */
	const char *path; /* of the folder, borrowed */
};

/* false and err with the remedy: /proc or the folder is missing, the right is missing (entering is tried with our own). */
bool netns_begin(struct netns_home *h, const char *folder, struct err *err) MUST_CHECK;
/* Will what the engine mounts in the folder later be seen here? false: the folder was mounted without propagation (rprivate). */
bool netns_follows(const struct netns_home *h);
void netns_end(struct netns_home *h);

/* The namespace of that name; holds it open, whatever becomes of the name. -1 and err. */
int netns_open(struct netns_home *h, const char *name, struct err *err);
/* n sockets of a kind into fds. Returns how many; fewer: errno. */
size_t netns_sockets(const struct netns_home *h, int ns, enum netspace_kind kind, int *fds, size_t n);
/* As socket_listen() makes it; first: nobody may listen there yet. -1, errno and err. */
int netns_listen(const struct netns_home *h, int ns, const struct addr *a, bool first, struct err *err);

#endif
