/* A client's connection: the HTTP/1.1 server session (DESIGN section 7, "session").
 * At rest it owns no buffer and no exchange. Owned by its listener's list; freed one turn after it closed. */
#ifndef OUTRIDER_PROXY_CLIENT_H
#define OUTRIDER_PROXY_CLIENT_H

#include "proxy/exchange.h"

enum client_state {
	CLIENT_IDLE,     /* between requests */
	CLIENT_HEAD,     /* part of a head has arrived */
	CLIENT_EXCHANGE, /* x is under way */
	CLIENT_SNIFF,    /* CONNECT was granted: is what follows HTTP? */
	CLIENT_TUNNEL,   /* belongs to a tunnel */
	CLIENT_LINGER,   /* all is said: discarding what still comes, so that the reply is not reset away */
	CLIENT_CLOSED
};

struct client {
	struct stream s;
	struct list link;    /* wlistener.clients, or worker.dead_clients */
	struct list ready;   /* worker.ready */
	struct timer timer;
	struct worker *w;
	struct wlistener *l;
	struct exchange *x;
	struct block *in;    /* received, not yet consumed */
	struct h1_parser parser;
	char *connect_authority; /* after CONNECT with HTTP inside: what every request goes to; owned */
	struct origin *sniff;    /* CLIENT_SNIFF: the granted connection */
	struct addr peer;
	char peer_ip[46];    /* the peer's address as text, "" until it was asked for */
	struct addr local;   /* len 0 until client_local() was asked */
	usec since, active;  /* accepted; last request began or ended */
	usec tunnel_idle;    /* CLIENT_SNIFF: of the tunnel that it may become; 0: for ever */
	uint32_t requests;
	uint32_t linger;     /* bytes discarded */
	uint8_t state;       /* enum client_state */
	bool half_closed;    /* the client sent FIN but may still be reading */
	bool gone_soon;      /* and is taken for gone when the timer fires */
	bool read_off;       /* the read watch is stopped */
};

extern const struct session_ops client_ops;

/* Takes an accepted descriptor. */
void client_accept(struct wlistener *l, int fd, const struct addr *peer);
/* Pipelined bytes are waiting: called from the worker's end-of-turn work. */
void client_resume(struct client *c);
/* Closes at once (drop of a listener, end of the worker), ending an exchange if there is one. */
void client_close(struct client *c, enum stream_close how);
/* Says goodbye to a connection at rest (drain): closes it when it is idle. */
void client_close_idle(struct client *c);
void client_free(struct client *c); /* graveyard only */
/* CLIENT_SNIFF: the origin spoke or left. */
void client_sniff_end(struct client *c);
/* The address that the client connected to, asked of the kernel once. NULL when it says nothing. */
const struct addr *client_local(struct client *c);
/* While an exchange is under way: something must move within that time (0: it need not). */
void client_await_move(struct client *c, usec stall);
/* The name of a state, for /connections. */
const char *client_state_name(const struct client *c);

#endif
