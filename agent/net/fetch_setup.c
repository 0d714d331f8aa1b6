/* A request told to libcurl. It neither resolves names, nor reads files, environment or CA certificates: a callback of
 * each kind is closed here or belongs to net/. */
#include "base/mem.h"
#include "net/fetch_int.h"

#include <string.h>
#include <sys/un.h>

#define UNIX_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

/* --- the peer ------------------------------------------------------------------------------------------------ */

/* A part of the URL into dst. An URL without it leaves dst empty. */
static bool part_of(CURLU *u, CURLUPart part, unsigned flags, char *dst, size_t cap)
{
	char *text = NULL;
	bool ok = true;

	if (curl_url_get(u, part, &text, flags) == CURLUE_OK)
		ok = str_copy(str_of(text), dst, cap);
	else
		dst[0] = '\0';
	curl_free(text);
	return ok;
}

/* libcurl would make xn-- names of others on its own, and look those up. */
static bool is_ascii(const char *z)
{
	for (; *z; z++)
		if ((unsigned char)*z <= ' ' || (unsigned char)*z >= 0x7f)
			return false;
	return true;
}

static bool read_url(struct fetch *f, CURLU *u, const char *url, struct err *err)
{
	char scheme[16], port[16], user[8];
	struct addr ip;
	uint64_t number;

	if (strlen(url) > FETCH_URL_MAX || !is_ascii(url) ||
		curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
		!part_of(u, CURLUPART_SCHEME, 0, scheme, sizeof(scheme)) ||
		!part_of(u, CURLUPART_HOST, 0, f->host, sizeof(f->host) - 8) || !f->host[0] ||
		!part_of(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof(port)) ||
		!str_u64(str_of(port), &number) || number == 0 || number > UINT16_MAX)
		return err_set(err, "the URL is no http://host:port/path of printable ASCII characters");
	if (!part_of(u, CURLUPART_USER, 0, user, sizeof(user)) || user[0])
		return err_set(err, "the URL holds a user name");
	f->secure = strcmp(scheme, "https") == 0;
	if (!f->secure && strcmp(scheme, "http") != 0)
		return err_set(err, "the URL begins with neither http:// nor https://");
	f->port = (uint16_t)number;
	f->literal = addr_parse_ip(str_of(f->host), f->port, &ip);
	snprintf(f->peer, sizeof(f->peer), "%.*s:%u", FETCH_PEER_MAX - 8, f->host, f->port);
	return true;
}

/* There is no name to resolve, so the peer counts as literal. */
static bool set_unix(struct fetch *f, const char *path, struct err *err)
{
	if (f->secure)
		return err_set(err, "https is not spoken over a Unix socket");
	if (path[0] != '/' || strlen(path) > UNIX_PATH_MAX)
		return err_set(err, "the path of a Unix socket begins with / and has at most %u bytes",
			(unsigned)UNIX_PATH_MAX);
	f->literal = true;
	snprintf(f->peer, sizeof(f->peer), "unix:%s", path);
	return true;
}

bool fetch_set_peer(struct fetch *f, const struct fetch_request *q, struct err *err)
{
	CURLU *u = curl_url();
	bool ok = u ? read_url(f, u, q->url, err) : err_set(err, "out of memory");

	curl_url_cleanup(u);
	return ok && (!q->unix_path || set_unix(f, q->unix_path, err));
}

/* --- callbacks that keep libcurl within our rules -------------------------------------------------------------- */

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct fetch *f = arg;

	(void)purpose;
	return socket_make(f->owner->ns, a->family, SOCK_STREAM);
}

/* Called before libcurl would resolve: a name that we did not hand over must not start a thread of its own. */
static int on_resolve(void *state, void *reserved, void *arg)
{
	const struct fetch *f = arg;

	(void)state;
	(void)reserved;
	return f->literal ? 0 : 1;
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct fetch *f = ssl ? SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)) : NULL;

	if (!ok && f)
		tls_refused(&(struct tls_peer){ f->host, f->port, f->owner->ca_option }, store, &f->err);
	return ok;
}

/* Certificates are verified during the first handshake alone (no renegotiation), which ends with its request: f lives. */
static CURLcode on_context(CURL *easy, void *context, void *arg)
{
	struct fetch *f = arg;
	SSL_CTX *ctx = context;

	(void)easy;
	SSL_CTX_set_app_data(ctx, f);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
	return tls_trust_apply(f->owner->tls, ctx, f->host) ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

/* --- the request -------------------------------------------------------------------------------------------------- */

#define SET(option, value) (curl_easy_setopt(f->easy, CURLOPT_##option, value) == CURLE_OK)

/* A libcurl built without it, as the static program's is, reads no .netrc and knows no such option. */
static bool ignore_netrc(struct fetch *f)
{
	CURLcode r = curl_easy_setopt(f->easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	return r == CURLE_OK || r == CURLE_UNKNOWN_OPTION || r == CURLE_NOT_BUILT_IN;
}

static bool set_rules(struct fetch *f)
{
	return SET(PRIVATE, f) && SET(PROTOCOLS_STR, "http,https") && SET(PROXY, "") &&
	       ignore_netrc(f) && SET(NOSIGNAL, 1L) && SET(FOLLOWLOCATION, 0L) &&
	       SET(PATH_AS_IS, 1L) && SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
	       SET(HTTP09_ALLOWED, 0L) && SET(CONNECTTIMEOUT_MS, (long)(f->total / USEC_MS) + 1) &&
	       SET(ERRORBUFFER, f->words) && SET(OPENSOCKETFUNCTION, open_socket) && SET(OPENSOCKETDATA, f) &&
	       SET(RESOLVER_START_FUNCTION, on_resolve) && SET(RESOLVER_START_DATA, f);
}

/* libcurl then asks neither for a name nor for a port, and shares the connection by the path alone. */
static bool set_unix_path(struct fetch *f, const struct fetch_request *q)
{
	return !q->unix_path || SET(UNIX_SOCKET_PATH, q->unix_path);
}

static bool set_tls(struct fetch *f)
{
	if (!f->secure)
		return true;
	/* No CA file or folder for libcurl: it would read the system's bundle here, on the loop (some 30 ms). */
	return SET(CAINFO, NULL) && SET(CAPATH, NULL) && SET(SSL_VERIFYPEER, 1L) && SET(SSL_VERIFYHOST, 2L) &&
	       SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) && SET(SSL_CTX_FUNCTION, on_context) &&
	       SET(SSL_CTX_DATA, f);
}

static bool add_header(struct fetch *f, const char *line)
{
	struct str s = str_of(line);
	struct curl_slist *more = NULL;

	if (str_find(s, '\r') == SIZE_MAX && str_find(s, '\n') == SIZE_MAX)
		more = curl_slist_append(f->headers, line);
	if (more)
		f->headers = more;
	return more != NULL;
}

static bool has_type(const struct fetch_request *q)
{
	for (const char *const *h = q->headers; h && *h; h++)
		if (str_istarts(str_of(*h), STR("content-type:")))
			return true;
	return false;
}

static bool set_headers(struct fetch *f, const struct fetch_request *q)
{
	char line[512];
	bool ok = add_header(f, "Expect:") &&
		  (has_type(q) || add_header(f, "Content-Type:")); /* libcurl's own */

	for (const char *const *h = q->headers; ok && h && *h; h++)
		ok = add_header(f, *h);
	if (ok && q->if_none_match)
		ok = snprintf(line, sizeof(line), "If-None-Match: %s", q->if_none_match) <
			     (int)sizeof(line) &&
		     add_header(f, line);
	return ok && SET(HTTPHEADER, f->headers);
}

/* POST and PUT without a body say Content-Length: 0, which some servers insist on. */
static bool takes_body(const char *method)
{
	return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
}

static bool set_method(struct fetch *f, const struct fetch_request *q)
{
	const char *method = q->method ? q->method : q->body.n ? "POST" : "GET";

	if (q->body.n > FETCH_BODY_MAX)
		return false;
	if (strcmp(method, "HEAD") == 0)
		return SET(NOBODY, 1L);
	const char *body = q->body.n ? q->body.p : "";
	if ((q->body.n || takes_body(method)) &&
		!(SET(POSTFIELDSIZE, (long)q->body.n) && (q->body_stays ? SET(POSTFIELDS, body) : SET(COPYPOSTFIELDS, body))))
		return false;
	return SET(CUSTOMREQUEST, method);
}

static bool set_credentials(struct fetch *f, const struct fetch_request *q)
{
	if (q->user)
		return SET(HTTPAUTH, CURLAUTH_BASIC) && SET(USERNAME, q->user) &&
		       SET(PASSWORD, q->password ? q->password : "");
	if (q->bearer)
		return SET(HTTPAUTH, CURLAUTH_BEARER) && SET(XOAUTH2_BEARER, q->bearer);
	return true;
}

bool fetch_set_up(struct fetch *f, const struct fetch_request *q, struct err *err)
{
	return (SET(URL, q->url) && set_rules(f) && set_unix_path(f, q) && set_tls(f) && set_headers(f, q) &&
		       set_method(f, q) && set_credentials(f, q)) ||
	       err_set(err,
		       "%s cannot be asked: out of memory, a body above %u bytes, or a header with a line "
		       "break",
		       f->peer, FETCH_BODY_MAX);
}
