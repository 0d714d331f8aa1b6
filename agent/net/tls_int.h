/* The inside of net/tls*.c. */
#ifndef OUTRIDER_NET_TLS_INT_H
#define OUTRIDER_NET_TLS_INT_H

#include "net/tls.h"

#include <openssl/ssl.h>

struct tls_load;

struct tls_client {
	SSL_CTX *ctx;
	BIO_METHOD *bio; /* send() without SIGPIPE, and it remembers the end of the connection */
	char *ca, *ca_option;
	enum { TLS_TRUST_UNKNOWN, TLS_TRUST_LOADING, TLS_TRUST_KNOWN } state; /* the CA certificates */
	struct tls_load *load;                                                /* under way */
	struct list waiting; /* tls.link: sessions that begin when it is over */
};

struct tls {
	SSL *ssl;
	struct stream *stream;
	struct list link; /* tls_client.waiting; alone: not waiting */
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

/* Reads the CA certificates unless they are known; state LOADING afterwards: on a thread, and tls_trust_known() follows. */
bool tls_trust_begin(struct tls_client *c, struct loop *loop, struct err *err) MUST_CHECK;
/* A waiting session may begin, or (why) must fail. */
void tls_trust_known(struct stream *s, const char *why);
BIO_METHOD *tls_bio_method(void); /* NULL: no memory */
/* OpenSSL's verify callback: leaves the sentence in the session's `why`. */
int tls_verified(int ok, X509_STORE_CTX *store);
/* The newest of OpenSSL's queued errors as words, the queue empty after it. */
void tls_library_error(struct tls *t);

#endif
