/* Addresses: IPv4, IPv6 and Unix (path and abstract). Values, copied freely. Pure. */
#ifndef OUTRIDER_NET_ADDR_H
#define OUTRIDER_NET_ADDR_H

#include "base/err.h"
#include "base/str.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ADDR_TEXT_MAX 128 /* bytes of addr_text() with NUL */

struct addr {
	socklen_t len; /* 0: no address */
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
};

/* A CIDR block: "10.0.0.0/8", "::1", "fd00::/8". */
struct cidr {
	uint8_t bytes[16]; /* IPv4 as v4-mapped */
	uint8_t bits;      /* 0..128 */
};

/* "10.0.0.5:8080", "[::1]:4140", ":80" (0.0.0.0), "unix:/path", "unix:@abstract". No names: resolving is net/resolve. */
bool addr_parse(struct str s, struct addr *ret, struct err *err) MUST_CHECK;
/* An IP without a port, brackets allowed. */
bool addr_parse_ip(struct str s, uint16_t port, struct addr *ret);
void addr_text(const struct addr *a, char dst[ADDR_TEXT_MAX]);
/* The IP alone, no port or brackets ("unix" for Unix sockets). */
void addr_ip_text(const struct addr *a, char dst[ADDR_TEXT_MAX]);
uint16_t addr_port(const struct addr *a); /* host order; 0 for Unix */
void addr_set_port(struct addr *a, uint16_t port);
bool addr_eq(const struct addr *a, const struct addr *b); /* v4-mapped v6 equals v4 */
uint64_t addr_hash(const struct addr *a);
bool addr_is_loopback(const struct addr *a);
bool addr_is_link_local(const struct addr *a); /* 169.254/16, fe80::/10 */
bool addr_is_any(const struct addr *a);        /* 0.0.0.0, :: */
/* ::ffff:1.2.3.4 becomes 1.2.3.4. */
void addr_unmap(struct addr *a);
bool cidr_parse(struct str s, struct cidr *ret, struct err *err) MUST_CHECK;
bool cidr_has(const struct cidr *c, const struct addr *a);
/* The agent's own interface addresses in this namespace (loopback included), at most max; returns the count. */
size_t addr_own(struct addr *dst, size_t max);

#endif
