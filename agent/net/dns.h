/* Questions to DNS servers by c-ares on a loop: its sockets, its timer, nothing of caching. Private to net/resolve.
 * Thread: the loop's. */
#ifndef OUTRIDER_NET_DNS_H
#define OUTRIDER_NET_DNS_H

#include "net/resolve.h"

#define DNS_TRY_MS 2000 /* the first try of a server; the deadline of net/resolve bounds the whole */
#define DNS_TRIES 2

struct dns;

/* IPs of one family: in_addr or in6_addr, `n` of them. */
struct dns_ips {
	size_t n;
	union {
		struct in_addr v4[RESOLVE_ADDRS_MAX];
		struct in6_addr v6[RESOLVE_ADDRS_MAX];
	};
};

/* servers: "127.0.0.1:5353,[::1]:53", or NULL: those of /etc/resolv.conf. */
struct dns *dns_new(struct loop *l, struct netspace *ns, const char *servers, struct err *err) MUST_CHECK;
void dns_free(struct dns *d); /* every question in flight is answered with a failure first */

/* why: NULL, or a few words when ips->n is 0. ttl in seconds. */
typedef void (*dns_cb)(void *arg, int family, const struct dns_ips *ips, unsigned ttl, const char *why);
/* Calls cb exactly once, perhaps before it returns. family: AF_INET or AF_INET6. */
void dns_ask(struct dns *d, const char *name, int family, dns_cb cb, void *arg);
/* The same for all addresses that the answer has (DNS_ALL_MAX at most), port 0. */
#define DNS_ALL_MAX 4096u
enum dns_end { DNS_FOUND, DNS_NONE /* the server said that there is none */, DNS_FAILED };
typedef void (*dns_all_cb)(void *arg, int family, enum dns_end end, const struct addr *addrs, size_t n, const char *why);
void dns_ask_all(struct dns *d, const char *name, int family, dns_all_cb cb, void *arg);
/* What /etc/hosts says, read now. false: nothing. */
bool dns_hosts(struct dns *d, const char *name, int family, struct dns_ips *ips);

#endif
