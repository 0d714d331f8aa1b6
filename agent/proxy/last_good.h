/* Last good reply: the fallback that answers a failed GET with what the same GET was answered lately (option fallback.last-good).
 *
 *     head of a 200 ──> may a shared cache store it? ──> its body is copied as it passes ──> whole: into the sidecar's store (replies.h)
 *     the call fails ──> found, young enough, made for such a request ──> given with Age and x-outrider-fallback: last-good
 *
 * Rules of RFC 9111 sections 3, 3.5 and 4.1, the strict side of each: no Authorization or Cookie unless the reply says public, no
 * Set-Cookie, private, no-store, no-cache, Vary: *; what says must-revalidate, proxy-revalidate or s-maxage is given while it is fresh only.
 * Thread: the exchange's worker. */
#ifndef OUTRIDER_PROXY_LAST_GOOD_H
#define OUTRIDER_PROXY_LAST_GOOD_H

#include "http/head.h"

struct exchange;
struct text;

#define LAST_GOOD_REPLY_MAX (256u * 1024u) /* bytes of one reply's body */
#define LAST_GOOD_FIELDS_MAX (16u * 1024u)

struct store_rule { /* what a reply says of being stored */
	bool may;   /* a shared cache may store it */
	bool is_public;
	uint32_t
		valid; /* seconds of age at which it must not be given any more; UINT32_MAX: nothing says so */
};
/* Pure. `with_secrets`: the request had Authorization or Cookie. */
struct store_rule last_good_rule(const struct head *req, const struct head *res, bool with_secrets);

void last_good_begin(struct exchange *x);  /* the head of x->res went down: is its body to be copied? */
void last_good_commit(struct exchange *x); /* the body is complete */
void last_good_drop(struct exchange *x);   /* harmless when nothing is copied or found */
/* x->recalled is set to a reply that may be given for x: true. */
bool last_good_find(struct exchange *x);
/* Its fields but those that every answer of the agent has, with Age and Content-Length; the body is x->recalled->body. */
void last_good_put(const struct exchange *x, struct text *t);

#endif
