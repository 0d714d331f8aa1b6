/* HTTP requests of the control plane: libcurl's multi interface on the caller's loop.
 *
 * One fetcher per network namespace: a multi handle shares connections by host name. Names go through net/resolve and
 * sockets through net/sockets; libcurl itself neither resolves nor reads a proxy from the environment, and redirects
 * are not followed (the caller sees the 3xx). Bounded: FETCH_MAX at once, the body by body_max, the response's head by
 * FETCH_HEAD_MAX, time by total and idle. CA certificates are read as net/tls reads them: large files on a thread.
 * Why a request failed is a sentence that names host and port (or "unix:/path") and cause, and never a credential. Thread: the loop's. */
#ifndef OUTRIDER_NET_FETCH_H
#define OUTRIDER_NET_FETCH_H

#include "net/resolve.h"

#define FETCH_MAX 64u                /* in flight of one fetcher */
#define FETCH_HEAD_MAX (16u * 1024u) /* bytes of a response's head */
#define FETCH_URL_MAX 2048u
#define FETCH_BODY_MAX (1u << 20) /* bytes sent */

struct fetcher;
struct fetch;

struct fetch_request {   /* copied by fetch_start() */
	const char *url; /* http or https, without user info */
	const char *
		unix_path; /* the connection goes to this Unix socket, whatever the (http) URL's host; absolute.
					NULL: none */
	const char *method;          /* NULL: GET, or POST when there is a body */
	struct str body;             /* copied; empty: none. Its Content-Type stands among the headers */
	bool body_stays; /* the body is borrowed instead, until cb or fetch_cancel() */
	const char *const *headers;  /* "Name: value" lines, NULL at the end; may be NULL */
	const char *user, *password; /* basic auth; NULL: none */
	const char *bearer;          /* NULL: none */
	const char *if_none_match;   /* an ETag; NULL: none */
	const char *ca_file;         /* NULL: the system's. The same in all https requests of one fetcher */
	const char *ca_option;       /* the option that sets it, for messages; NULL: not named */
	size_t body_max;             /* bytes; must be given */
	usec total, idle;            /* of the whole, name included; without a byte. Must be given */
};

struct fetch_reply {     /* valid during the callback */
	int status;      /* 0: failed, see why */
	struct str body; /* whole; also of errors */
	struct str head; /* lines of the last response */
	const char *why; /* a sentence when status is 0, else "" */
	bool unsent; /* with status 0: surely nothing of the request has left, so it may be sent again whatever it does */
	const char *local; /* the own IP address of the connection; "" when there was none */
};

typedef void (*fetch_cb)(void *arg, const struct fetch_reply *reply);

struct fetcher *fetcher_new(
	struct loop *l, struct resolver *r, struct netspace *ns, struct err *err) MUST_CHECK;
/* Ends what is in flight without calling back. Not from a callback. NULL is fine. */
void fetcher_free(struct fetcher *fr);

/* cb is called exactly once, on a later turn, unless cancelled; it may start and cancel others. NULL: refused, err says why
 * (the URL, a CA file that cannot be read, FETCH_MAX, memory). */
struct fetch *fetch_start(struct fetcher *fr, const struct fetch_request *q, fetch_cb cb, void *arg,
	struct err *err) MUST_CHECK;
void fetch_cancel(struct fetch *f); /* not after cb was called */
/* The value of a response field; {NULL,0} when absent. */
struct str fetch_header(const struct fetch_reply *reply, const char *name);

#endif
