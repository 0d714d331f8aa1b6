/* Whom a client trusts: the system's folder of hashed names, or a file. A file with many certificates takes longer than the
 * loop may wait (144 of them: 31 ms), so it is read on a thread that lives for that alone; sessions wait for it. */
#include "base/mem.h"
#include "net/tls_int.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#define AT_ONCE_MAX 16384 /* bytes of a file that is read without a thread: some 2 ms */
#define ALPN_MAX 64

/* One file being read. The thread owns it, then the mail, which frees it. */
struct tls_load {
	struct mail mail;
	struct loop *loop;
	struct tls_client *client; /* NULL: it is gone; the loop's thread alone looks at it */
	X509_STORE *store;
	bool ok;
	pthread_t thread;
	char file[];
};

/* Bundles of the usual systems, where there is no folder of hashed names (a `FROM scratch` image with one file). */
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/cert.pem",
};

/* The file to read, or NULL: the folder needs no reading, or (err) there is nothing. */
static const char *file_of(struct tls_client *c, struct err *err)
{
	const char *file = getenv(X509_get_default_cert_file_env());
	struct stat st;

	if (c->ca || file)
		return c->ca ? c->ca : file;
	/* Opened when a certificate names its CA, one small file each. */
	if (SSL_CTX_set_default_verify_dir(c->ctx) == 1 && stat(X509_get_default_cert_dir(), &st) == 0)
		return NULL;
	for (size_t i = 0; i < sizeof(bundles) / sizeof(bundles[0]); i++)
		if (stat(bundles[i], &st) == 0)
			return bundles[i];
	err_set(err, "there are no CA certificates on this system%s%s",
		c->ca_option ? ": name a CA file by " : "", c->ca_option ? c->ca_option : "");
	return NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------ */

static void loaded(struct tls_client *c, struct tls_load *l, struct err *err)
{
	if (l->ok) {
		SSL_CTX_set1_cert_store(c->ctx, l->store);
		c->state = TLS_TRUST_KNOWN;
	} else {
		err_set(err, "the CA file %s holds no certificate in PEM form", l->file);
		c->state = TLS_TRUST_UNKNOWN; /* the next stream reads it again */
	}
}

static void load_free(struct tls_load *l)
{
	X509_STORE_free(l->store);
	mem_free(l);
}

static void *read_file(void *arg)
{
	struct tls_load *l = arg;

	l->ok = X509_STORE_load_file(l->store, l->file) == 1;
	ERR_clear_error();
	return NULL;
}

static void *read_aside(void *arg)
{
	struct tls_load *l = arg;

	read_file(l);
	loop_post(l->loop, &l->mail);
	return NULL;
}

static void on_loaded(struct mail *m)
{
	struct tls_load *l = LIST_OWNER(m, struct tls_load, mail);
	struct tls_client *c = l->client;
	struct err why = { .text = "" };

	if (c) {
		pthread_join(l->thread, NULL);
		c->load = NULL;
		loaded(c, l, &why);
	}
	load_free(l);
	/* A callback may close any of the others: from the front, one by one. */
	while (c && !list_empty(&c->waiting)) {
		struct tls_waiter *w = LIST_OWNER(c->waiting.next, struct tls_waiter, link);
		w->known(w, why.text[0] != '\0' ? why.text : NULL);
	}
}

static struct tls_load *load_new(struct tls_client *c, struct loop *loop, const char *file)
{
	size_t n = strlen(file) + 1;
	struct tls_load *l = mem_zalloc(sizeof(*l) + n);

	if (!l || !(l->store = X509_STORE_new())) {
		mem_free(l);
		return NULL;
	}
	memcpy(l->file, file, n);
	l->loop = loop;
	l->client = c;
	l->mail.fn = on_loaded;
	return l;
}

bool tls_trust_begin(struct tls_client *c, struct loop *loop, struct err *err)
{
	struct err none = { .text = "" };
	struct stat st;

	if (c->state != TLS_TRUST_UNKNOWN)
		return true;
	const char *file = file_of(c, &none);
	if (!file) {
		c->state = none.text[0] == '\0' ? TLS_TRUST_KNOWN : TLS_TRUST_UNKNOWN;
		return none.text[0] == '\0' || err_set(err, "%s", none.text);
	}
	if (stat(file, &st) != 0)
		return err_set(err, "cannot read the CA file %s: %s", file, strerror(errno));
	struct tls_load *l = load_new(c, loop, file);
	if (!l)
		return err_set(err, "no memory for TLS");
	if (st.st_size > AT_ONCE_MAX && pthread_create(&l->thread, NULL, read_aside, l) == 0) {
		c->load = l;
		c->state = TLS_TRUST_LOADING;
		return true;
	}
	read_file(l);
	loaded(c, l, err);
	load_free(l);
	return c->state == TLS_TRUST_KNOWN;
}

bool tls_trust_apply(struct tls_client *c, SSL_CTX *ctx, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
	struct addr ip;
	char bare[ADDR_TEXT_MAX];

	SSL_CTX_set1_cert_store(ctx, SSL_CTX_get_cert_store(c->ctx));
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	if (c->ca)
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	if (!addr_parse_ip(str_of(host), 0, &ip)) {
		X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
	}
	addr_ip_text(&ip, bare);
	return X509_VERIFY_PARAM_set1_ip_asc(param, bare) == 1;
}

/* --- the client ----------------------------------------------------------------------------------------------------------- */

/* "h2,http/1.1" in the form of RFC 7301: each name behind its length. */
static bool set_alpn(SSL_CTX *ctx, const char *list)
{
	unsigned char wire[ALPN_MAX];
	struct str rest = str_of(list), name;
	unsigned n = 0;

	while (str_next(&rest, ',', &name)) {
		if (name.n == 0 || n + 1 + name.n > sizeof(wire))
			return false;
		wire[n++] = (unsigned char)name.n;
		memcpy(wire + n, name.p, name.n);
		n += (unsigned)name.n;
	}
	return n > 0 && SSL_CTX_set_alpn_protos(ctx, wire, n) == 0;
}

static bool copied(const char *from, char **to)
{
	*to = from ? mem_dup(from, strlen(from)) : NULL;
	return !from || *to;
}

struct tls_client *tls_client_new(const struct tls_client_config *config, struct err *err)
{
	struct tls_client *c = mem_zalloc(sizeof(*c));

	if (c)
		list_init(&c->waiting);
	if (!c || !copied(config->ca, &c->ca) || !copied(config->ca_option, &c->ca_option) ||
		!(c->ctx = SSL_CTX_new(TLS_client_method())) || !(c->bio = tls_bio_method())) {
		err_set(err, "no memory for TLS");
		tls_client_free(c);
		return NULL;
	}
	/* Whatever the operator names is trusted, be it a root, one in between, or the peer's own certificate. */
	if (config->ca)
		X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c->ctx), X509_V_FLAG_PARTIAL_CHAIN);
	SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(c->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					 SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(c->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, tls_verified);
	if (config->alpn && !set_alpn(c->ctx, config->alpn)) {
		err_set(err, "'%s' is no list of protocols for ALPN", config->alpn);
		tls_client_free(c);
		return NULL;
	}
	return c;
}

void tls_client_free(struct tls_client *c)
{
	if (!c)
		return;
	if (c->load) { /* it reads a file: not long; its mail finds nobody */
		pthread_join(c->load->thread, NULL);
		c->load->client = NULL;
	}
	SSL_CTX_free(c->ctx);
	BIO_meth_free(c->bio);
	mem_free(c->ca);
	mem_free(c->ca_option);
	mem_free(c);
}
