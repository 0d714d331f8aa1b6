/* The inside of net/tls*.c. */
#ifndef OUTRIDER_NET_TLS_INT_H
#define OUTRIDER_NET_TLS_INT_H

#include "net/tls.h"

#include <openssl/ssl.h>

struct tls_load;

/* Somebody who waits until it is known whom to trust; alone: not waiting. known() takes itself out of the list. */
struct tls_waiter {
	struct list link;                                     /* tls_client.waiting */
	void (*known)(struct tls_waiter *w, const char *why); /* why: it must fail; NULL: go on */
};

struct tls_client {
	SSL_CTX *ctx;
	BIO_METHOD *bio; /* send() without SIGPIPE, and it remembers the end of the connection */
	char *ca, *ca_option;
	enum { TLS_TRUST_UNKNOWN, TLS_TRUST_LOADING, TLS_TRUST_KNOWN } state; /* the CA certificates */
	struct tls_load *load;                                                /* under way */
	struct list waiting; /* tls_waiter.link: who begins when it is over */
};

struct tls {
	SSL *ssl;
	struct stream *stream;
	struct tls_waiter wait;
	struct tls_client *client;
	char host[TLS_NAME_MAX];
	uint16_t port;
	/* The owner's callbacks; those of the stream are the layer's while it stands. */
	void (*on_readable)(void *arg);
	void (*on_writable)(void *arg);
	void *arg;
	bool established;
	bool told;                    /* the owner knows how the handshake ended */
	bool owner_read, owner_write; /* what the owner wishes to be told */
	bool read_wants_write, write_wants_read;
	bool ended;      /* the connection's end was read */
	bool closed;     /* close_notify was read */
	int failure;     /* STREAM_ERROR or STREAM_CUT, for good; 0: none */
	bool busy, dead; /* inside a callback; closed by it */
	struct err why;
};

/* Reads the CA certificates unless they are known; state LOADING afterwards: on a thread, and those that wait are told. */
bool tls_trust_begin(struct tls_client *c, struct loop *loop, struct err *err) MUST_CHECK;
/* Lets another library's context trust whom the client trusts (state KNOWN), its peer being `host`. false: no memory. */
bool tls_trust_apply(struct tls_client *c, SSL_CTX *ctx, const char *host) MUST_CHECK;
BIO_METHOD *tls_bio_method(void); /* NULL: no memory */

struct tls_peer { /* as messages name it */
	const char *host;
	uint16_t port;
	const char *ca_option; /* NULL: not named */
};
/* Why the certificate at hand is refused, as a sentence. */
void tls_refused(const struct tls_peer *p, X509_STORE_CTX *store, struct err *why);
/* OpenSSL's verify callback: leaves the sentence in the session's `why`. */
int tls_verified(int ok, X509_STORE_CTX *store);
/* The newest of OpenSSL's queued errors as words, the queue empty after it. */
void tls_library_error(struct tls *t);

#endif
