/* A connection to an endpoint: the HTTP/1.1 client session. Either busy with one exchange, or resting in its endpoint's
 * pool, or belonging to a tunnel. Freed one turn after it closed. */
#ifndef OUTRIDER_PROXY_ORIGIN_H
#define OUTRIDER_PROXY_ORIGIN_H

#include "proxy/exchange.h"

enum origin_state { ORIGIN_CONNECTING, ORIGIN_BUSY, ORIGIN_IDLE, ORIGIN_TUNNEL, ORIGIN_CLOSED };

struct origin {
	struct stream s;
	struct list link;  /* wendpoint.idle or worker.dead_origins */
	struct timer timer;
	struct worker *w;
	struct wendpoint *ep;
	struct exchange *x;
	struct client *sniffer; /* a client in CLIENT_SNIFF waits with it */
	struct block *in;
	struct h1_parser parser;
	usec rested;       /* when it was put into the pool */
	usec keep;         /* may rest that long (Keep-Alive, learned age, option) */
	uint32_t uses;
	uint32_t generation; /* of its endpoint when it was made */
	uint16_t port;       /* that it is connected to, of an endpoint without one */
	bool to_agent;       /* to what may be an agent */
	bool said_hello;
	uint8_t state;     /* enum origin_state */
	bool head_done;    /* the final response's head is parsed */
	bool got_bytes;    /* of the present response */
	bool write_failed; /* the request cannot be sent on; a response may still come */
	bool read_off;
	bool no_socket;    /* CONNECTING: its namespace had none in stock, it is tried again */
	usec until;        /* the end of connecting */
};

extern const struct session_ops origin_ops;

enum origin_start {
	ORIGIN_REFUSED, /* failed at once: x->a.err is its errno, nothing is called later */
	ORIGIN_WAIT,    /* exchange_connected() or exchange_attempt_failed() will be called */
	ORIGIN_READY    /* connected at once (Unix sockets) */
};
/* Starts a connection for x (to x->a.ep). */
enum origin_start origin_connect(struct exchange *x);
/* The reason word for a connect that failed with that errno. */
enum reason origin_reason(int err);
/* Takes a pooled connection to that port for x, or NULL. `careful`: look for a pending end first (requests that may not be repeated). */
struct origin *pool_take(struct worker *w, struct wendpoint *ep, uint16_t port, usec now, bool careful);
void origin_attach(struct origin *o, struct exchange *x);
/* To the pool when it may be used again, else closed. */
void origin_rest(struct origin *o, usec keep, uint32_t max_idle);
void origin_close(struct origin *o, enum stream_close how);
void origin_free(struct origin *o); /* graveyard only */
/* Out of its pool, still open (pool.c). */
void pool_remove(struct origin *o);
/* Closes what rests in ep's pool. */
void pool_clear(struct wendpoint *ep);
/* Closes what rests since before `since`. */
void pool_trim(struct wendpoint *ep, usec since);

#endif
