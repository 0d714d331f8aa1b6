/* Aliases: the other names by which callers know the service behind this agent.
 *
 * A caller's hello says which service it wants (proxy/hello.h). When that is not the name that we know, the address may have changed
 * its owner, or the service has several names: its full one of the swarm, network aliases, a virtual address. Nobody tells a
 * container its aliases, but the resolver of its network knows them: where `tasks.<name>`, or the name itself, has one of our own
 * addresses, the name is ours. Asked once per name and kept for a while; the request waits for at most ALIAS_WAIT.
 * Private to proxy/; thread: the worker's. */
#ifndef OUTRIDER_PROXY_ALIAS_H
#define OUTRIDER_PROXY_ALIAS_H

#include "proxy/exchange.h"

#define ALIAS_WAIT (300 * USEC_MS)
#define ALIAS_MINE_TIME (60 * USEC_SEC) /* a name that was found to be ours is believed so long */
#define ALIAS_FOREIGN_TIME USEC_SEC     /* one that was not */
#define ALIASES_MAX 8u                  /* kept per sidecar and worker; the oldest goes */
#define ALIAS_NAME_BYTES 128u

enum alias_verdict { ALIAS_MINE, ALIAS_FOREIGN, ALIAS_ASKING };

/* ALIAS_ASKING: exchange_run(x) is called when it is known. */
enum alias_verdict alias_of(struct exchange *x, struct str name);
void alias_free(struct wsidecar *sc); /* forgets them all */

#endif
