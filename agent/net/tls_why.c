/* How a certificate or a handshake that was refused is told to a person. */
#include "base/mem.h"
#include "base/text.h"
#include "net/tls_int.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#define NAMES_SHOWN 4 /* of a certificate that is for another host */

/* --- saying why not ---------------------------------------------------------------------------------------- */

/* Bytes of a certificate are the peer's: only what can be shown goes into a message. */
static void add_shown(struct text *t, const unsigned char *p, int n)
{
	for (int i = 0; i < n && t->n < t->max; i++)
		text_char(t, p[i] > 0x20 && p[i] < 0x7f ? (char)p[i] : '?');
}

static void add_alternative(struct text *t, const GENERAL_NAME *name)
{
	const unsigned char *p;

	if (name->type == GEN_DNS) {
		add_shown(t, ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName));
	} else if (name->type == GEN_IPADD) {
		struct addr a = { .len = 0 };
		char ip[ADDR_TEXT_MAX];
		p = ASN1_STRING_get0_data(name->d.iPAddress);
		if (ASN1_STRING_length(name->d.iPAddress) == 4) {
			a.len = sizeof(a.in);
			a.in.sin_family = AF_INET;
			memcpy(&a.in.sin_addr, p, 4);
		} else if (ASN1_STRING_length(name->d.iPAddress) == 16) {
			a.len = sizeof(a.in6);
			a.in6.sin6_family = AF_INET6;
			memcpy(&a.in6.sin6_addr, p, 16);
		}
		addr_ip_text(&a, ip);
		text_addz(t, a.len ? ip : "?");
	}
}

static void add_common_name(struct text *t, const X509_NAME *name)
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	const ASN1_STRING *s = at < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));

	if (s)
		add_shown(t, ASN1_STRING_get0_data(s), ASN1_STRING_length(s));
	else
		text_addz(t, "nobody");
}

/* "a.example, b.example": whom a certificate is for. */
static void add_names(struct text *t, X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int shown = 0, n = names ? sk_GENERAL_NAME_num(names) : 0;

	for (int i = 0; i < n && shown < NAMES_SHOWN; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_DNS && name->type != GEN_IPADD)
			continue;
		text_addz(t, shown++ ? ", " : "");
		add_alternative(t, name);
	}
	if (n > NAMES_SHOWN)
		text_addz(t, " …");
	if (shown == 0)
		add_common_name(t, X509_get_subject_name(cert));
	GENERAL_NAMES_free(names);
}

/* "2026-11-22". */
static void add_day(struct text *t, const ASN1_TIME *when)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(when, &tm) == 1)
		text_fmt(t, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
	else
		text_addz(t, "a day that cannot be read");
}

static void add_remedy(struct text *t, const struct tls_peer *p, const char *what)
{
	if (p->ca_option)
		text_fmt(t, ": name %s by %s", what, p->ca_option);
}

static void add_reason(struct text *t, const struct tls_peer *p, int error, X509 *cert)
{
	switch (error) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		text_addz(t, "is for ");
		add_names(t, cert);
		text_fmt(t, ", not for %s", p->host);
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		text_addz(t, "expired on ");
		add_day(t, X509_get0_notAfter(cert));
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		text_addz(t, "is valid only from ");
		add_day(t, X509_get0_notBefore(cert));
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		text_addz(t, "is self-signed");
		add_remedy(t, p, "its CA");
		break;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		text_addz(t, "is signed by ");
		add_common_name(t, X509_get_issuer_name(cert));
		text_addz(t, ", which is not trusted here");
		add_remedy(t, p, "that CA");
		break;
	default:
		text_fmt(t, "is refused: %s", X509_verify_cert_error_string(error));
	}
}

void tls_refused(const struct tls_peer *p, X509_STORE_CTX *store, struct err *why)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(store);
	struct text t;

	if (!cert)
		return;
	int depth = X509_STORE_CTX_get_error_depth(store);
	text_init(&t, ERR_MAX - 1);
	text_fmt(&t, "%scertificate of %s:%u ", depth > 0 ? "a CA in the " : "", p->host, p->port);
	add_reason(&t, p, X509_STORE_CTX_get_error(store), cert);
	err_set(why, "%s", text_z(&t));
	text_release(&t);
}

int tls_verified(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *s = ssl ? SSL_get_app_data(ssl) : NULL;

	if (!ok && s)
		tls_refused(&(struct tls_peer){ s->host, s->port, s->client->ca_option }, store, &s->why);
	return ok;
}

/* --- the library's own errors -------------------------------------------------------------------------------- */

static const struct {
	int reason;
	const char *what; /* behind "host:port " */
} known[] = {
	{ SSL_R_WRONG_VERSION_NUMBER, "does not speak TLS at this port" },
	{ SSL_R_UNSUPPORTED_PROTOCOL,
		"speaks only versions of TLS that are not safe (1.2 is the oldest accepted)" },
	{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "does not speak TLS 1.2 or 1.3" },
	{ SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE,
		"refused the handshake: no cipher in common, or it wants a client certificate" },
	{ SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "wants a client certificate, which is not supported yet" },
	{ SSL_R_TLSV1_UNRECOGNIZED_NAME, "does not know that host name" },
	{ SSL_R_NO_APPLICATION_PROTOCOL, "speaks none of the protocols offered" },
};

void tls_library_error(struct tls *t)
{
	unsigned long e = ERR_peek_last_error();
	int reason = ERR_GET_REASON(e);
	const char *words = e ? ERR_reason_error_string(e) : NULL;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && t->why.text[0] == '\0' && e; i++)
		if (known[i].reason == reason)
			err_set(&t->why, "%s:%u %s", t->host, t->port, known[i].what);
	if (t->why.text[0] == '\0')
		err_set(&t->why, "TLS with %s:%u failed: %s", t->host, t->port,
			words ? words : "for no stated reason");
	ERR_clear_error();
}
