/* The collectors of an exporter: addresses, credentials, and one POST to the current one. Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_SPAN_PEERS_H
#define OUTRIDER_PLUGINS_SPAN_PEERS_H

#include "http_url.h"
#include "span_post.h"

struct span_peers {
	struct fetcher *fetcher; /* owned */
	struct http_url servers[SPAN_SERVERS_MAX]; /* with path */
	unsigned n, current;
	char *user, *password, *token, *ca; /* owned; NULL: none */
	const struct span_kind_of_peer *kind;
};

/* false: err; release it all the same. */
bool span_peers_init(struct span_peers *p, const struct span_kind_of_peer *kind, const struct exporter_config *c, struct err *err) MUST_CHECK;
void span_peers_release(struct span_peers *p); /* what is in flight ends with it; a zeroed one is fine */
/* body is JSON, packed with gzip or not; it is borrowed until cb, or fetch_cancel(). NULL: err. */
struct fetch *span_peers_post(struct span_peers *p, struct str body, bool packed, usec total, fetch_cb cb, void *arg, struct err *err) MUST_CHECK;
/* What an answer other than 2xx, or none, means to a person: the current URL, the status, the collector's own words. */
void span_peers_why(const struct span_peers *p, const struct fetch_reply *r, bool packed, struct err *why);
/* The same with words that came in an answer that was taken. */
void span_peers_partial(const struct span_peers *p, uint64_t rejected, const struct err *words, struct err *why);
/* A collector's words as one line: escaped, at most SPAN_WORDS_MAX bytes of them. */
void span_words(struct str body, struct err *ret);

#endif
