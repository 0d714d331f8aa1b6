#include "net/httpd_int.h"

#include "base/json.h"

#include <time.h>

/* --- the request, as handlers see it ------------------------------------------------------------------------- */

const char *httpd_method(const struct httpd_request *r)
{
	return r->head.method;
}

void httpd_path_cut(struct httpd_request *r, size_t n)
{
	struct str *p = &r->head.path;

	*p = n < p->n ? str_make(p->p + n, p->n - n) : STR("/");
}

struct str httpd_path(const struct httpd_request *r)
{
	return r->head.path;
}

static struct str find(const struct httpd_pair *pairs, unsigned n, const char *name, bool fold)
{
	struct str key = str_of(name);
	for (unsigned i = 0; i < n; i++)
		if (fold ? str_ieq(pairs[i].name, key) : str_eq(pairs[i].name, key))
			return pairs[i].value;
	return str_make(NULL, 0);
}

struct str httpd_query(struct httpd_request *r, const char *name)
{
	return find(r->head.params, r->head.param_count, name, false);
}

struct str httpd_header(const struct httpd_request *r, const char *name)
{
	return find(r->head.fields, r->head.field_count, name, true);
}

bool httpd_header_repeated(const struct httpd_request *r, const char *name)
{
	unsigned n = 0;
	for (unsigned i = 0; i < r->head.field_count; i++)
		n += str_ieq(r->head.fields[i].name, str_of(name));
	return n > 1;
}

struct str httpd_body(struct httpd_request *r)
{
	return str_make(r->in + r->head.bytes, r->head.body);
}

const struct addr *httpd_peer(const struct httpd_request *r)
{
	return &r->peer;
}

const struct addr *httpd_local(const struct httpd_request *r)
{
	return &r->local;
}

void httpd_on_gone(struct httpd_request *r, void (*fn)(void *arg), void *arg)
{
	r->on_gone = fn;
	r->on_gone_arg = arg;
}

/* --- heads of answers -------------------------------------------------------------------------------------------- */

static const char *phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} rows[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 303, "See Other" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 411, "Length Required" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == status)
			return rows[i].phrase;
	return "Status";
}

/* RFC 9110 section 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT", in English whatever the locale. */
static void add_date(struct text *t)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t now = (time_t)(clock_wall() / USEC_SEC);
	struct tm tm;
	if (!gmtime_r(&now, &tm))
		return;
	text_fmt(t, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", days + 3 * tm.tm_wday, tm.tm_mday,
		 months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* A field that could smuggle a line of its own is dropped. */
static bool is_clean(const char *z)
{
	for (; *z; z++)
		if ((unsigned char)*z < ' ' && *z != '\t')
			return false;
	return true;
}

void httpd_reply_header(struct httpd_request *r, const char *name, const char *value)
{
	if (*name && is_clean(name) && is_clean(value) && !strpbrk(name, ": "))
		text_fmt(&r->headers, "%s: %s\r\n", name, value);
}

static void begin_head(struct httpd_request *r, struct text *t, int status, const char *type)
{
	text_fmt(t, "HTTP/1.1 %d %s\r\n", status, phrase(status));
	add_date(t);
	if (type && is_clean(type))
		text_fmt(t, "Content-Type: %s\r\n", type);
	text_add(t, text_str(&r->headers));
	if (r->close)
		text_addz(t, "Connection: close\r\n");
	else if (r->head.minor == 0)
		text_addz(t, "Connection: keep-alive\r\n");
}

/* --- answers --------------------------------------------------------------------------------------------------------- */

static bool is_head(const struct httpd_request *r)
{
	return r->head.method[0] == 'H';
}

static void reply(struct httpd_request *r, int status, const char *type, struct str body)
{
	struct text t;
	text_init(&t, HTTPD_HEADERS_OUT_MAX + HTTPD_REPLY_MAX + 1024);
	bool bodiless = status == 204 || status == 304;
	begin_head(r, &t, status, bodiless ? NULL : type);
	if (bodiless)
		text_addz(&t, "\r\n");
	else
		text_fmt(&t, "Content-Length: %zu\r\n\r\n", body.n);
	if (!bodiless && !is_head(r))
		text_add(&t, body);
	if (t.failed)
		httpd_kill(r); /* no memory for the answer: a cut connection is no wrong answer */
	else if (httpd_send(r, text_str(&t)))
		httpd_finish(r);
	text_release(&t);
}

void httpd_reply(struct httpd_request *r, int status, const char *type, struct str body)
{
	r->on_gone = NULL;
	if (body.n > HTTPD_REPLY_MAX || r->headers.failed) {
		text_clear(&r->headers);
		status = 500;
		type = "application/json";
		body = STR("{\"error\":\"the answer is too large\"}");
	}
	reply(r, status, type, body);
}

void httpd_refuse(struct httpd_request *r, int status, const char *why)
{
	struct text t;
	text_init(&t, 1024);
	struct json j = json_begin(&t);
	json_object(&j);
	json_key(&j, "error");
	json_strz(&j, why);
	json_end(&j);
	r->close = r->linger = true;
	r->head.method[0] = 0; /* what was parsed of the head is no guide */
	text_clear(&r->headers);
	reply(r, status, "application/json", text_str(&t));
	text_release(&t);
}

/* --- streams ------------------------------------------------------------------------------------------------------------ */

void httpd_stream_begin(struct httpd_request *r, int status, const char *type)
{
	struct text t;
	text_init(&t, HTTPD_HEADERS_OUT_MAX + 1024);
	r->chunked = r->head.minor > 0;
	if (!r->chunked)
		r->close = true; /* HTTP/1.0: the end of the connection is the end of the stream */
	begin_head(r, &t, status, type);
	text_addz(&t, r->chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
	const int room = HTTPD_STREAM_SNDBUF;
	(void)setsockopt(r->stream.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)); /* else it grows to megabytes */
	r->state = HTTPD_STREAMING;
	/* A failure must not kill r under the caller's hands: the next turn reads the end and calls on_gone. */
	if (t.failed || !httpd_put(r, text_str(&t)))
		shutdown(r->stream.fd, SHUT_RDWR);
	text_release(&t);
}

bool httpd_stream_send(struct httpd_request *r, struct str piece)
{
	if (r->state != HTTPD_STREAMING)
		return false;
	if (is_head(r) || piece.n == 0)
		return true;
	if (httpd_queued(r) + piece.n > HTTPD_OUTPUT_MAX) {
		httpd_kill(r);
		return false;
	}
	if (!r->chunked)
		return httpd_send(r, piece);
	struct text t;
	text_init(&t, piece.n + 32);
	text_fmt(&t, "%zx\r\n", piece.n);
	text_add(&t, piece);
	text_addz(&t, "\r\n");
	bool alive = !t.failed && httpd_send(r, text_str(&t));
	if (t.failed)
		httpd_kill(r);
	text_release(&t);
	return alive;
}

size_t httpd_stream_backlog(const struct httpd_request *r)
{
	return r->state == HTTPD_STREAMING ? httpd_queued(r) : 0;
}

void httpd_stream_end(struct httpd_request *r)
{
	if (r->state != HTTPD_STREAMING)
		return;
	if (!r->chunked || is_head(r) || httpd_send(r, STR("0\r\n\r\n")))
		httpd_finish(r);
}
