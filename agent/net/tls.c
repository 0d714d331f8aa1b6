#include "base/mem.h"
#include "net/tls_int.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>

#define RECORD_MAX 16384 /* RFC 8446 section 5.1 */

/* --- what the poll is asked for --------------------------------------------------------------------------------- */

/* The owner's wishes, but for a direction that waits for the other one: to poll for it would spin. */
static void arm(struct stream *s)
{
	struct tls *t = s->tls;
	bool read = (!t->established && !t->failure && list_empty(&t->wait.link)) ||
		    (t->owner_read && !t->read_wants_write) || t->write_wants_read;
	bool write = (t->established && t->owner_write && !t->write_wants_read) || t->read_wants_write ||
		     ((t->established || t->failure) && !t->told);

	if (read)
		(void)watch_on(&s->rd);
	else
		watch_off(&s->rd);
	if (write)
		(void)watch_on(&s->wr);
	else
		watch_off(&s->wr);
}

/* --- one step of OpenSSL ------------------------------------------------------------------------------------------- */

static ssize_t failed(struct stream *s)
{
	struct tls *t = s->tls;

	t->failure = t->ended && t->established ? STREAM_CUT : STREAM_ERROR;
	if (t->failure == STREAM_CUT)
		err_set(&t->why, "%s:%u ended the connection without close_notify", t->host, t->port);
	else if (t->why.text[0] != '\0') /* the certificate was refused: what followed says less */
		s->error = EPROTO;
	else if (t->ended)
		err_set(&t->why, "%s:%u closed the connection in the TLS handshake", t->host, t->port);
	else if (s->error)
		err_set(&t->why, "%s:%u: %s", t->host, t->port, strerror(s->error));
	else
		tls_library_error(t);
	if (!s->error)
		s->error = EPROTO;
	ERR_clear_error();
	t->read_wants_write = t->write_wants_read = false;
	arm(s);
	return t->failure;
}

/* What a call of OpenSSL that gave r <= 0 means. reading: of read or handshake, else of write. */
static ssize_t stopped(struct stream *s, int r, bool reading)
{
	struct tls *t = s->tls;
	int why = SSL_get_error(t->ssl, r);

	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
		if (why != SSL_ERROR_ZERO_RETURN)
			return failed(s);
		t->closed = true;
		return STREAM_EOF;
	}
	if (reading)
		t->read_wants_write = why == SSL_ERROR_WANT_WRITE;
	else
		t->write_wants_read = why == SSL_ERROR_WANT_READ;
	arm(s);
	return 0;
}

/* > 0: the handshake is over. */
static ssize_t shake(struct stream *s)
{
	struct tls *t = s->tls;

	if (!list_empty(
		    &t->wait.link)) /* whom to trust is being read; what the peer does meanwhile can wait */
		return 0;
	ERR_clear_error();
	s->error = 0;
	int r = SSL_do_handshake(t->ssl);
	if (r == 1) {
		t->established = true;
		t->read_wants_write = false;
		arm(s);
		return 1;
	}
	ssize_t what = stopped(s, r, true);
	return what == STREAM_EOF ? failed(s) : what;
}

static ssize_t secure_read(struct stream *s, void *buf, size_t n)
{
	struct tls *t = s->tls;
	size_t got = 0;

	if (t->failure)
		return t->failure;
	if (t->closed)
		return STREAM_EOF;
	if (!t->established || n == 0)
		return 0;
	ERR_clear_error();
	s->error = 0;
	int r = SSL_read_ex(t->ssl, buf, n, &got);
	if (r == 1) {
		if (t->read_wants_write) {
			t->read_wants_write = false;
			arm(s);
		}
		return (ssize_t)got;
	}
	return stopped(s, r, true);
}

/* One record's worth: a write that is repeated must begin with the same bytes and be no shorter, however the owner cuts
 * his pieces. */
static size_t gather(const struct iovec *iov, int n, size_t skip, char *dst)
{
	size_t have = 0;

	for (int i = 0; i < n && have < RECORD_MAX; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		size_t part = iov[i].iov_len - skip;
		part = part < RECORD_MAX - have ? part : RECORD_MAX - have;
		memcpy(dst + have, (const char *)iov[i].iov_base + skip, part);
		have += part;
		skip = 0;
	}
	return have;
}

static ssize_t secure_writev(struct stream *s, const struct iovec *iov, int n)
{
	struct tls *t = s->tls;
	char record[RECORD_MAX];
	size_t total = 0, part;

	if (t->failure)
		return t->failure;
	if (!t->established)
		return 0;
	while ((part = gather(iov, n, total, record)) > 0) {
		size_t put = 0;
		ERR_clear_error();
		s->error = 0;
		int r = SSL_write_ex(t->ssl, record, part, &put);
		if (r != 1) {
			ssize_t what = stopped(s, r, false);
			return total ? (ssize_t)total : what == STREAM_EOF ? STREAM_ERROR : what;
		}
		total += put;
		t->write_wants_read = false;
	}
	return (ssize_t)total;
}

static void secure_shutdown(struct stream *s)
{
	if (s->tls->established && !s->tls->failure)
		(void)SSL_shutdown(s->tls->ssl);
	ERR_clear_error();
	shutdown(s->fd, SHUT_WR);
}

static size_t secure_pending(const struct stream *s)
{
	return s->tls->established ? (size_t)SSL_pending(s->tls->ssl) : 0;
}

static void secure_want_read(struct stream *s, bool on)
{
	s->tls->owner_read = on;
	arm(s);
}

static void secure_want_write(struct stream *s, bool on)
{
	s->tls->owner_write = on;
	arm(s);
}

static void dispose(struct tls *t)
{
	list_remove(&t->wait.link);
	SSL_free(t->ssl);
	mem_free(t);
}

static void secure_release(struct stream *s, enum stream_close how)
{
	struct tls *t = s->tls;

	if (how == STREAM_CLOSE && t->established && !t->failure)
		(void)SSL_shutdown(t->ssl); /* as much of close_notify as the socket takes now */
	ERR_clear_error();
	s->on_readable = t->on_readable;
	s->on_writable = t->on_writable;
	s->arg = t->arg;
	s->tls = NULL;
	list_remove(&t->wait.link); /* it waits for nothing any more */
	if (t->busy)
		t->dead = true; /* a callback of ours stands above: it frees */
	else
		dispose(t);
}

static const struct stream_ops secure_ops = {
	.read = secure_read,
	.writev = secure_writev,
	.shutdown = secure_shutdown,
	.pending = secure_pending,
	.want_read = secure_want_read,
	.want_write = secure_want_write,
	.release = secure_release,
};

/* --- events ------------------------------------------------------------------------------------------------------------ */

/* Tells the owner; false when he closed the stream. */
static bool tell(struct tls *t, void (*fn)(void *arg))
{
	t->busy = true;
	fn(t->arg);
	t->busy = false;
	if (!t->dead)
		return true;
	dispose(t);
	return false;
}

/* The owner hears of the handshake's end once: success as on_writable, failure as on_readable. */
static void go_on_shaking(struct stream *s)
{
	struct tls *t = s->tls;

	if (!t->established && !t->failure && shake(s) == 0)
		return;
	t->told = true;
	loop_count(s->loop, t->failure ? LOOP_TLS_FAILED : LOOP_TLS_OK);
	arm(s);
	if (t->failure)
		(void)tell(t, t->on_readable);
	else if (tell(t, t->on_writable) && t->owner_read && SSL_has_pending(t->ssl))
		(void)tell(t, t->on_readable); /* the peer's first words came in the same read */
}

/* It is known whom to trust (or, why, is not). */
static void trust_known(struct tls_waiter *w, const char *why)
{
	struct tls *t = LIST_OWNER(w, struct tls, wait);
	struct stream *s = t->stream;

	list_remove(&t->wait.link);
	if (why) {
		err_set(&t->why, "%s", why);
		s->error = EIO;
		t->failure = STREAM_ERROR;
	}
	go_on_shaking(s);
}

static void on_readable(void *arg)
{
	struct stream *s = arg;
	struct tls *t = s->tls;

	if (!t->told) {
		go_on_shaking(s);
		return;
	}
	if (t->write_wants_read) {
		t->write_wants_read = false;
		arm(s);
		if (!tell(t, t->on_writable))
			return;
	}
	if (t->owner_read)
		(void)tell(t, t->on_readable);
}

static void on_writable(void *arg)
{
	struct stream *s = arg;
	struct tls *t = s->tls;

	if (!t->told) {
		go_on_shaking(s);
		return;
	}
	if (t->read_wants_write) {
		t->read_wants_write = false;
		arm(s);
		if (!tell(t, t->on_readable))
			return;
	}
	if (t->owner_write)
		(void)tell(t, t->on_writable);
}

/* --- a session */

/* The certificate must be for this host; a name is also told to the peer (RFC 6066: never an address). */
static bool expect_host(SSL *ssl, const char *host)
{
	struct addr ip;

	if (addr_parse_ip(str_of(host), 0, &ip)) {
		char bare[ADDR_TEXT_MAX];
		addr_ip_text(&ip, bare);
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), bare) == 1;
	}
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static struct tls *session_new(struct stream *s, struct tls_client *c)
{
	struct tls *t = mem_zalloc(sizeof(*t));
	BIO *bio = t ? BIO_new(c->bio) : NULL;

	if (!bio || !(t->ssl = SSL_new(c->ctx))) {
		BIO_free(bio);
		mem_free(t);
		return NULL;
	}
	BIO_set_data(bio, s);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_app_data(t->ssl, t);
	SSL_set_connect_state(t->ssl);
	t->client = c;
	t->stream = s;
	list_init(&t->wait.link);
	t->wait.known = trust_known;
	t->on_readable = s->on_readable;
	t->on_writable = s->on_writable;
	t->arg = s->arg;
	t->owner_read = true;
	return t;
}

bool tls_start(struct stream *s, struct tls_client *c, struct str host, uint16_t port, struct err *err)
{
	if (host.n > 0 && host.p[host.n - 1] == '.') /* the root's dot is in no certificate */
		host.n--;
	if (host.n == 0 || host.n >= TLS_NAME_MAX)
		return err_set(err, "a host name of %zu bytes cannot be checked by TLS", host.n);
	if (!tls_trust_begin(c, s->loop, err))
		return false;
	struct tls *t = session_new(s, c);
	if (!t || !str_copy(host, t->host, sizeof(t->host)) || !expect_host(t->ssl, t->host)) {
		if (t)
			dispose(t);
		ERR_clear_error();
		return err_set(err, "no memory for TLS");
	}
	t->port = port;
	s->tls = t;
	s->ops = &secure_ops;
	s->on_readable = on_readable;
	s->on_writable = on_writable;
	s->arg = s;
	if (c->state == TLS_TRUST_LOADING)
		list_append(&c->waiting, &t->wait.link);
	else
		(void)shake(s); /* over already, well or not? an event tells, as always */
	return true;
}

bool tls_ready(const struct stream *s)
{
	return !s->tls || (s->tls->established && !s->tls->failure);
}

void tls_why(const struct stream *s, struct err *err)
{
	if (s->tls && s->tls->why.text[0] != '\0')
		err_set(err, "%s", s->tls->why.text);
	else
		err_set(err, "%s", s->error ? strerror(s->error) : "the connection ended");
}

struct str tls_alpn(const struct stream *s)
{
	const unsigned char *p = NULL;
	unsigned n = 0;

	if (s->tls && s->tls->established)
		SSL_get0_alpn_selected(s->tls->ssl, &p, &n);
	return str_make((const char *)p, n);
}
