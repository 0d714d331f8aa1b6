/* Client TLS (1.2 and 1.3) by OpenSSL behind struct stream: connect plain, call tls_start(), go on as before.
 *
 *     r = stream_connect_result(&s);                      the plain connection stands
 *     tls_start(&s, client, STR("redis"), NULL, &err);    the handshake is under way
 *     … on_writable: tls_ready(&s)? then write            once, when the handshake is over
 *     … on_readable: stream_read() < 0? tls_why(&s, &err) a failed handshake is an error of the first read
 *
 * Until the handshake is over reads and writes return 0. A read that wants a write, and the reverse, is the layer's own
 * business: the owner's wishes (stream_want_read, stream_want_write) keep their meaning. What TLS holds decrypted no poll
 * announces: an owner reads until 0 or asks stream_pending(). End of stream: STREAM_EOF after close_notify, STREAM_CUT
 * when the connection ended without it (an answer whose end is its connection's end may be incomplete).
 *
 * The peer must show a certificate for the host asked, signed by a trusted CA. There is no way to switch that off.
 * Thread: a client and its streams belong to one loop. */
#ifndef OUTRIDER_NET_TLS_H
#define OUTRIDER_NET_TLS_H

#include "net/stream.h"

#define TLS_NAME_MAX 256 /* bytes of a host name with NUL */

struct tls_client; /* whom to trust; shared by streams, and must outlive them */

struct tls_client_config {
	const char *ca;        /* file with CA certificates (PEM); NULL: those of the system */
	const char *ca_option; /* the option that sets it, for messages; NULL: not named */
	const char *alpn;      /* protocols offered, strongest first, comma list; NULL: none */
};

/* Reads nothing: CA certificates are read when the first stream starts: the system's from its folder of hashed names (one
 * file for each CA that is met), else its one bundle, as a `ca`; large files on a thread, while streams wait.
 * NULL and err: no memory, bad alpn. */
struct tls_client *tls_client_new(const struct tls_client_config *config, struct err *err) MUST_CHECK;
void tls_client_free(struct tls_client *c); /* NULL is fine */

/* s: connected. host: name (sent as SNI) or IP that the certificate must be for. port: for messages. false and err: the CA file
 * cannot be used, or no memory; the stream is as before then, and the owner closes it. Errors of the handshake come by read. */
bool tls_start(
	struct stream *s, struct tls_client *c, struct str host, uint16_t port, struct err *err) MUST_CHECK;
bool tls_ready(const struct stream *s); /* the handshake is over, and well; also true of a plain stream */
/* Why read or write said STREAM_ERROR or STREAM_CUT, as a sentence; asked before stream_close(). Of a plain stream: errno's words. */
void tls_why(const struct stream *s, struct err *err);
struct str tls_alpn(const struct stream *s); /* the protocol agreed on; empty: none */

#endif
