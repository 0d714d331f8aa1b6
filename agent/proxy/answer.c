/* The agent's own answers: a status, x-outrider-reason, and a small JSON body that says what an operator needs. */
#include "base/json.h"
#include "proxy/client.h"
#include "proxy/last_good.h"
#include "proxy/replies.h"
#include "proxy/steps.h"

#include <stdio.h>

#define ANSWER_MAX 16384 /* with the body of a fallback */

static const char *phrase_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *phrase;
	} rows[] = {
		{ 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 203, "Non-Authoritative Information" }, { 204, "No Content" },
		{ 205, "Reset Content" }, { 206, "Partial Content" }, { 300, "Multiple Choices" }, { 301, "Moved Permanently" }, { 302, "Found" },
		{ 303, "See Other" }, { 304, "Not Modified" }, { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" }, { 400, "Bad Request" },
		{ 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" }, { 406, "Not Acceptable" },
		{ 407, "Proxy Authentication Required" }, { 408, "Request Timeout" }, { 409, "Conflict" }, { 410, "Gone" }, { 411, "Length Required" },
		{ 412, "Precondition Failed" }, { 413, "Content Too Large" }, { 414, "URI Too Long" }, { 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" }, { 417, "Expectation Failed" }, { 421, "Misdirected Request" }, { 422, "Unprocessable Content" },
		{ 423, "Locked" }, { 424, "Failed Dependency" }, { 425, "Too Early" }, { 426, "Upgrade Required" }, { 428, "Precondition Required" },
		{ 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" }, { 451, "Unavailable For Legal Reasons" },
		{ 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" }, { 507, "Insufficient Storage" }, { 508, "Loop Detected" },
		{ 511, "Network Authentication Required" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == status)
			return rows[i].phrase;
	return status < 400 ? "OK" : "Error";
}

/* The reply of the options fallback.… */
static bool is_static(const struct exchange *x)
{
	return x->fallen && !x->recalled && x->own_status && x->upstream && x->own_status == x->upstream->policy.fallback_status;
}

static void body_of(struct text *t, const struct exchange *x, const struct reason_row *row)
{
	struct json j = json_begin(t);

	json_object(&j);
	json_key(&j, "reason");
	json_strz(&j, row->word);
	json_key(&j, "status");
	json_u64(&j, x->status);
	json_key(&j, "stage");
	json_strz(&j, row->stage);
	json_key(&j, "blame");
	json_strz(&j, row->blame);
	json_key(&j, "message");
	json_strz(&j, row->cause);
	if (x->upstream) {
		json_key(&j, "upstream");
		json_str(&j, x->upstream->name);
	}
	json_key(&j, "request_id");
	json_str(&j, x->request_id);
	json_end(&j);
	text_char(t, '\n');
}

/* May the caller's agent send this request elsewhere (docs/decisions/0009)? When no byte of it reached the handler, whatever its
 * method; and when the handler ended without a byte of an answer to a request that is safe to repeat. */
static bool is_unsent(const struct exchange *x, enum reason why)
{
	bool safe = x->req.body == BODY_NONE && (x->req.method == METHOD_GET || x->req.method == METHOD_HEAD ||
						 x->req.method == METHOD_OPTIONS);
	bool silent = why == REASON_UPSTREAM_CLOSED || why == REASON_UPSTREAM_RESET;
	bool before = why == REASON_HANDLER_DOWN || why == REASON_WRONG_SERVICE || why == REASON_DRAINING || why == REASON_NO_MEMORY ||
		      why == REASON_NO_SOCKET ||
		      why == REASON_CONNECT_FAILED || why == REASON_CONNECT_TIMEOUT || why == REASON_TOO_MANY_CONNECTIONS ||
		      why == REASON_BULKHEAD_FULL || why == REASON_QUEUE_TIMEOUT || why == REASON_OVERLOAD;

	if (x->l->kind != LISTEN_INBOUND || x->a.got_bytes)
		return false;
	return (before && x->up.q.sent == 0) || (safe && (before || silent));
}

/* Replies that end with their head, whatever it says (RFC 9110 6.4.1), or must be empty (15.3.6). */
static bool is_bare(const struct exchange *x)
{
	return x->status == 204 || x->status == 205 || x->status == 304;
}

/* The lines of the head that tell what kind of answer it is. */
static void put_kind(struct text *t, const struct exchange *x, struct str body)
{
	const struct spec_upstream *u = x->upstream;

	if (x->recalled) {
		last_good_put(x, t);
		return;
	}
	struct str type = is_static(x) ? u->fallback_type : STR("application/json");
	if (!is_bare(x))
		text_fmt(t, "Content-Type: %.*s\r\nContent-Length: %zu\r\n", STR_ARG(type), body.n);
	else if (x->status == 205)
		text_addz(t, "Content-Length: 0\r\n");
	if (!is_static(x))
		return;
	text_addz(t, "x-outrider-fallback: static\r\n");
	text_add(t, u->fallback_fields);
}

static void put_head(struct text *t, struct exchange *x, enum reason why, struct str body)
{
	text_fmt(t, "HTTP/1.1 %u %s\r\nx-outrider-reason: %s\r\n", x->status, phrase_of(x->status), reason_row(why)->word);
	put_kind(t, x, body);
	if (why == REASON_UPGRADE_REFUSED)
		text_addz(t, "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n");
	if (x->greet)
		text_fmt(t, "X-Outrider-Hello: %.*s\r\n", STR_ARG(exchange_spec(x)->hello));
	if (exchange_spec(x)->agent.n)
		text_fmt(t, "x-outrider-agent: %.*s\r\n", STR_ARG(exchange_spec(x)->agent));
	if (is_unsent(x, why))
		text_addz(t, "x-outrider-mark: unsent\r\n");
	else if (retry_is_exhausted(x, x->status >= 500))
		text_addz(t, "x-outrider-mark: exhausted\r\n");
	text_fmt(t, "X-Request-Id: %.*s\r\n", STR_ARG(x->request_id));
	if (!forward_keeps_open(x))
		text_addz(t, "Connection: close\r\n");
	else if (x->req.minor == 0)
		text_addz(t, "Connection: keep-alive\r\n");
	text_addz(t, "\r\n");
}

bool answer_write(struct exchange *x, enum reason why)
{
	struct outq *q = &x->down_flow.q;
	struct text made, head;
	struct str body;

	if (!x->request_id.n)
		forward_make_id(x);
	text_init(&made, ANSWER_MAX);
	text_init(&head, ANSWER_MAX * 2);
	if (x->recalled)
		body = x->recalled->body;
	else if (is_static(x))
		body = x->upstream->fallback_body;
	else {
		body_of(&made, x, reason_row(why));
		body = text_str(&made);
	}
	put_head(&head, x, why, body);
	bool ok = !made.failed && !head.failed && outq_copy(q, &x->w->blocks, head.p, head.n) &&
		  (x->req.method == METHOD_HEAD || is_bare(x) || outq_copy(q, &x->w->blocks, body.p, body.n));
	text_release(&made);
	text_release(&head);
	return ok;
}

bool answer_connected(struct exchange *x)
{
	static const char granted[] = "HTTP/1.1 200 Connection established\r\n\r\n";

	return outq_copy(&x->down_flow.q, &x->w->blocks, granted, sizeof(granted) - 1);
}
