/* The inside of net/httpd: what is parsed, and a connection. Private to net/httpd*.c. */
#ifndef OUTRIDER_NET_HTTPD_INT_H
#define OUTRIDER_NET_HTTPD_INT_H

#include "net/httpd.h"
#include "net/listen.h"
#include "net/stream.h"
#include "net/timer.h"

#define HTTPD_HEAD_MAX (16u * 1024u)
#define HTTPD_BODY_MAX (64u * 1024u)
#define HTTPD_FIELDS_MAX 64u
#define HTTPD_PARAMS_MAX 32u
#define HTTPD_CONNECTIONS_MAX 64u
#define HTTPD_HEADERS_OUT_MAX (16u * 1024u)
#define HTTPD_IDLE (30 * USEC_SEC)
#define HTTPD_LINGER (2 * USEC_SEC) /* how long what a refused client still sends is thrown away */

/* --- a request's head; slices point into the bytes that were parsed -------------------------------------------- */

struct httpd_pair {
	struct str name, value;
};

struct httpd_head {
	char method[8];
	struct str path; /* decoded */
	struct httpd_pair params[HTTPD_PARAMS_MAX]; /* decoded */
	struct httpd_pair fields[HTTPD_FIELDS_MAX];
	unsigned param_count, field_count;
	unsigned minor; /* HTTP/1.minor */
	size_t bytes;   /* of the head, its empty line included */
	size_t body;    /* Content-Length */
	bool close;     /* the connection ends with this exchange */
	bool expect;    /* Expect: 100-continue */
};

/* Parses the head at the start of p. 0: more bytes are needed; 200: complete, p was changed in place (decoding); else
 * the status with which to refuse it. *seen: 0 at first, then kept by the caller while the head grows. */
int httpd_parse(char *p, size_t n, size_t *seen, struct httpd_head *ret);

/* --- a connection ----------------------------------------------------------------------------------------------- */

enum httpd_state {
	HTTPD_READING,   /* a head or body is awaited */
	HTTPD_HANDLING,  /* the handler has the request */
	HTTPD_STREAMING, /* … and began a stream */
	HTTPD_FLUSHING,  /* the answer is complete, its bytes not all sent */
	HTTPD_LINGERING, /* all sent and shut down; what still comes is thrown away */
	HTTPD_DEAD       /* closed; the memory goes at the next turn */
};

struct httpd_listener {
	struct list link; /* httpd.listeners */
	struct list connections;
	unsigned count; /* of those not dead */
	struct httpd *httpd;
	struct listener listener;
};

struct httpd {
	struct loop *loop;
	httpd_fn fn;
	void *arg;
	struct list listeners;
};

struct httpd_request {
	struct list link; /* httpd_listener.connections */
	struct httpd_listener *owner;
	struct loop *loop;
	struct stream stream;
	struct timer timer; /* idle, linger, next request, and the end of the memory */
	enum httpd_state state;
	bool processing, again; /* inside the loop over requests; it is to run once more */
	bool close;             /* after this answer */
	bool linger;            /* close so that the answer is not lost: more may be coming in */
	bool chunked;
	struct addr peer, local;

	char *in; /* received */
	size_t in_n, in_seen;
	struct httpd_head head;

	struct text headers; /* of the answer */
	char *out;           /* queued */
	size_t out_at, out_n, out_cap;

	void (*on_gone)(void *arg);
	void *on_gone_arg;
};

/* Queues bytes and sends what goes. false: the peer is gone or memory is short. */
bool httpd_put(struct httpd_request *r, struct str bytes) MUST_CHECK;
/* The same, and closes on failure; on_gone is not called. */
bool httpd_send(struct httpd_request *r, struct str bytes) MUST_CHECK;
/* The answer is complete: goes on with the next request, or closes, when all is sent. */
void httpd_finish(struct httpd_request *r);
/* Closes at once. Memory stays until the next turn. */
void httpd_kill(struct httpd_request *r);
/* Answers with a status and {"error": why} and closes. */
void httpd_refuse(struct httpd_request *r, int status, const char *why);

static inline size_t httpd_queued(const struct httpd_request *r)
{
	return r->out_n - r->out_at;
}

#endif
