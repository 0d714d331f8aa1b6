/* The inside of net/fetch*.c. */
#ifndef OUTRIDER_NET_FETCH_INT_H
#define OUTRIDER_NET_FETCH_INT_H

#include "base/text.h"
#include "net/fetch.h"
#include "net/timer.h"
#include "net/tls_int.h"

#include <curl/curl.h>

#define FETCH_PEER_MAX 300 /* bytes of "host:port" with NUL */

struct fetcher {
	struct loop *loop;
	struct resolver *resolver;
	struct netspace *ns;
	CURLM *multi;
	struct timer timer; /* libcurl's */
	struct list fetches;
	unsigned count;
	struct tls_client *tls;    /* whom its https requests trust; made by the first of them */
	char *ca_file, *ca_option; /* of tls; NULL: the system's, not named */
};

struct fetch {
	struct list link; /* fetcher.fetches */
	struct fetcher *owner;
	CURL *easy;
	struct curl_slist *headers, *addrs;
	struct resolve_query *query; /* the name is being resolved */
	struct tls_waiter trust;     /* whom to trust is being read */
	bool secure, literal;        /* https; the host is an IP, or a Unix socket stands for it */
	bool added;                  /* to the multi handle */
	struct timer timer;
	usec total, total_end, idle, last; /* last: when the last byte came */
	struct text body, head;
	char host[FETCH_PEER_MAX], peer[FETCH_PEER_MAX]; /* peer: "host:port" or "unix:/path", for messages */
	uint16_t port;
	struct err err; /* what stopped it, when that was seen here */
	char words[CURL_ERROR_SIZE];
	fetch_cb cb;
	void *arg;
};

/* fetch_setup.c: all that libcurl must know of the request but for its callbacks. false and err: it cannot be made. */
bool fetch_set_peer(struct fetch *f, const struct fetch_request *q, struct err *err) MUST_CHECK;
bool fetch_set_up(struct fetch *f, const struct fetch_request *q, struct err *err) MUST_CHECK;

/* fetch_why.c: sentences into f->err, unless one stands there already. */
void fetch_why_code(struct fetch *f, CURLcode code);
void fetch_why_late(struct fetch *f, bool total);

#endif
