/* Names to addresses by c-ares on the caller's loop: never blocks (DESIGN section 5). One resolver per loop.
 * /etc/hosts is read, then DNS from /etc/resolv.conf (or servers given). Answers are cached for a bounded
 * time and count; equal questions in flight are asked once. A and AAAA are asked at once, IPv4 stands first; a family
 * that lags 100 ms behind the other is not waited for; 4 s is the end. */
#ifndef OUTRIDER_NET_RESOLVE_H
#define OUTRIDER_NET_RESOLVE_H

#include "net/addr.h"
#include "net/loop.h"
#include "net/sockets.h"

#define RESOLVE_ADDRS_MAX 16

struct resolver;
struct resolve_query; /* a caller's question in flight */

struct resolver *resolver_new(struct loop *l, struct netspace *ns, struct err *err) MUST_CHECK;

struct resolver_options {
	const char *servers; /* "10.0.0.2:53,[::1]:53"; NULL: those of /etc/resolv.conf */
	bool dns_only;       /* do not read /etc/hosts: it may name this agent itself (DESIGN section 3, wiring 1) */
};
struct resolver *resolver_new_with(struct loop *l, struct netspace *ns, const struct resolver_options *o,
				   struct err *err) MUST_CHECK;
struct dns *resolver_dns(struct resolver *r); /* for net/lookup */
void resolver_free(struct resolver *r); /* outstanding callbacks are not called */

/* Called exactly once unless cancelled, never before resolve() returned (cached and literal answers come on the next turn).
 * n = 0: failed, `why` is a sentence. Ports are as given to resolve(). addrs is valid during the call. */
typedef void (*resolve_cb)(void *arg, const struct addr *addrs, size_t n, const char *why);
/* NULL when out of memory or too many questions (1,024) are in flight: cb is not called. */
struct resolve_query *resolve(struct resolver *r, struct str host, uint16_t port, resolve_cb cb, void *arg);
void resolve_cancel(struct resolve_query *q);

#endif
