/* A TLS server on a thread of its own, with certificates made on the spot: what the tests of client TLS talk to. */
#ifndef OUTRIDER_TESTS_TLS_SERVER_H
#define OUTRIDER_TESTS_TLS_SERVER_H

#include "net/sockets.h"

#include <check.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum tls_play {
	PLAY_ECHO,  /* what comes goes back, until close_notify, which is answered */
	PLAY_BYE,   /* "hello", then close_notify */
	PLAY_CUT,   /* "hello", then the bare end of the connection */
	PLAY_PLAIN, /* no TLS at all */
	PLAY_HTTP,  /* every request head is answered with "hello" */
	PLAY_MUTE,  /* the end of the connection instead of a handshake */
};

struct tls_server {
	EVP_PKEY *ca_key, *key;
	X509 *ca, *cert;
	char ca_file[64]; /* PEM of the CA */
	int fd;
	uint16_t port;
	enum tls_play play;
	const char *alpn; /* the one protocol it speaks; NULL: no ALPN */
	char sni[128];    /* the name that was asked for */
	pthread_t thread;
};

static X509 *tls_certificate(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *issuer_key,
	const char *san, int from, int to)
{
	X509 *c = X509_new();
	X509_NAME *n = X509_get_subject_name(c);
	X509V3_CTX ctx;

	X509_set_version(c, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c), issuer ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(c), from);
	X509_gmtime_adj(X509_getm_notAfter(c), to);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(c, issuer ? X509_get_subject_name(issuer) : n);
	X509_set_pubkey(c, key);
	X509V3_set_ctx(&ctx, issuer ? issuer : c, c, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx,
		san ? NID_subject_alt_name : NID_basic_constraints, san ? san : "critical,CA:TRUE");
	X509_add_ext(c, e, -1);
	X509_EXTENSION_free(e);
	ck_assert_int_gt(X509_sign(c, issuer_key, EVP_sha256()), 0);
	return c;
}

static int tls_server_sni(SSL *ssl, int *alert, void *arg)
{
	struct tls_server *s = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	snprintf(s->sni, sizeof(s->sni), "%s", name ? name : "");
	return SSL_TLSEXT_ERR_OK;
}

static int tls_server_alpn(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in,
	unsigned in_n, void *arg)
{
	const struct tls_server *s = arg;

	(void)ssl;
	for (unsigned i = 0; s->alpn && i < in_n; i += 1u + in[i])
		if (in[i] == strlen(s->alpn) && memcmp(in + i + 1, s->alpn, in[i]) == 0) {
			*out = in + i + 1;
			*n = in[i];
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_NOACK;
}

static void tls_server_talk(struct tls_server *s, SSL *ssl)
{
	static char buf[70000];
	int n;

	if (s->play == PLAY_HTTP) {
		static const char hello[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
		while ((n = SSL_read(ssl, buf, sizeof(buf))) > 0)
			if (SSL_write(ssl, hello, sizeof(hello) - 1) <= 0)
				return;
		SSL_shutdown(ssl);
		return;
	}
	if (s->play == PLAY_ECHO) {
		while ((n = SSL_read(ssl, buf, sizeof(buf))) > 0)
			if (SSL_write(ssl, buf, n) != n)
				return;
		SSL_shutdown(ssl);
		return;
	}
	(void)SSL_write(ssl, "hello", 5);
	if (s->play == PLAY_BYE)
		SSL_shutdown(ssl);
}

static void *tls_server_run(void *arg)
{
	struct tls_server *s = arg;
	int fd = accept(s->fd, NULL, NULL);

	if (fd < 0)
		return NULL;
	if (s->play == PLAY_PLAIN) {
		(void)!write(fd, "-ERR what?\r\n", 12);
		char buf[1024];
		while (read(fd, buf, sizeof(buf)) > 0)
			;
	} else if (s->play != PLAY_MUTE) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
		SSL_CTX_use_certificate(ctx, s->cert);
		SSL_CTX_use_PrivateKey(ctx, s->key);
		SSL_CTX_set_tlsext_servername_callback(ctx, tls_server_sni);
		SSL_CTX_set_tlsext_servername_arg(ctx, s);
		SSL_CTX_set_alpn_select_cb(ctx, tls_server_alpn, s);
		SSL *ssl = SSL_new(ctx);
		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) == 1)
			tls_server_talk(s, ssl);
		SSL_free(ssl);
		SSL_CTX_free(ctx);
	} else {
		char buf[1024];
		(void)!read(fd, buf, sizeof(buf)); /* the greeting is taken, so that the end is no reset */
	}
	close(fd);
	return NULL;
}

/* san: "DNS:redis,IP:127.0.0.1". own: signed by itself, not by the CA. days: until it ends, may be negative. */
static void tls_server_start(struct tls_server *s, enum tls_play play, const char *san, bool own, int days)
{
	struct addr a;
	struct err e;

	signal(SIGPIPE, SIG_IGN);
	s->play = play;
	s->ca_key = EVP_EC_gen("P-256");
	s->key = EVP_EC_gen("P-256");
	s->ca = tls_certificate(s->ca_key, "Test-CA", NULL, s->ca_key, NULL, -864000, 864000);
	s->cert = tls_certificate(
		s->key, "subject", own ? NULL : s->ca, own ? s->key : s->ca_key, san, -400000, days * 86400);
	snprintf(s->ca_file, sizeof(s->ca_file), "/tmp/outrider-ca-XXXXXX");
	FILE *f = fdopen(mkstemp(s->ca_file), "w");
	PEM_write_X509(f, s->ca);
	fclose(f);
	ck_assert(addr_parse(STR("127.0.0.1:0"), &a, &e));
	s->fd = socket_listen(NULL, &a, &e);
	ck_assert_msg(s->fd >= 0, "%s", e.text);
	ck_assert(socket_local(s->fd, &a));
	s->port = addr_port(&a);
	ck_assert_int_eq(fcntl(s->fd, F_SETFL, 0), 0); /* the thread may block */
	ck_assert_int_eq(pthread_create(&s->thread, NULL, tls_server_run, s), 0);
}

static void tls_server_stop(struct tls_server *s)
{
	pthread_join(s->thread, NULL);
	close(s->fd);
	unlink(s->ca_file);
	X509_free(s->ca);
	X509_free(s->cert);
	EVP_PKEY_free(s->ca_key);
	EVP_PKEY_free(s->key);
}

#endif
