/* The agent's own answers: a status, x-outrider-reason, and a small JSON body that says what an operator needs. */
#include "base/json.h"
#include "proxy/client.h"
#include "proxy/steps.h"

#include <stdio.h>

#define ANSWER_MAX 16384 /* with the body of a fallback */

static const char *phrase_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *phrase;
	} rows[] = {
		{ 200, "OK" }, { 204, "No Content" }, { 400, "Bad Request" }, { 403, "Forbidden" }, { 404, "Not Found" }, { 408, "Request Timeout" },
		{ 413, "Content Too Large" }, { 414, "URI Too Long" }, { 421, "Misdirected Request" },
		{ 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" }, { 502, "Bad Gateway" },
		{ 503, "Service Unavailable" }, { 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" },
		{ 508, "Loop Detected" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == status)
			return rows[i].phrase;
	return "Error";
}

/* The reply of the options fallback.… */
static bool is_static(const struct exchange *x)
{
	return x->fallen && x->own_status && x->upstream && x->own_status == x->upstream->policy.fallback_status;
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
		      why == REASON_CONNECT_FAILED || why == REASON_CONNECT_TIMEOUT || why == REASON_TOO_MANY_CONNECTIONS ||
		      why == REASON_BULKHEAD_FULL || why == REASON_QUEUE_TIMEOUT || why == REASON_OVERLOAD;

	if (x->l->kind != LISTEN_INBOUND || x->a.got_bytes)
		return false;
	return (before && x->up.q.sent == 0) || (safe && (before || silent));
}

bool answer_write(struct exchange *x, enum reason why)
{
	const struct reason_row *row = reason_row(why);
	struct text body, all;
	bool ok;

	if (!x->request_id.n)
		forward_make_id(x);
	text_init(&body, ANSWER_MAX);
	text_init(&all, ANSWER_MAX * 2);
	struct str type = STR("application/json");
	if (is_static(x)) {
		text_add(&body, x->upstream->fallback_body);
		type = x->upstream->fallback_type;
	} else {
		body_of(&body, x, row);
	}
	text_fmt(&all, "HTTP/1.1 %u %s\r\nx-outrider-reason: %s\r\nContent-Type: %.*s\r\nContent-Length: %zu\r\n",
		 x->status, phrase_of(x->status), row->word, STR_ARG(type), body.n);
	if (is_static(x))
		text_addz(&all, "x-outrider-fallback: static\r\n");
	if (why == REASON_UPGRADE_REFUSED)
		text_addz(&all, "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n");
	if (x->greet)
		text_fmt(&all, "X-Outrider-Hello: %.*s\r\n", STR_ARG(exchange_spec(x)->hello));
	if (exchange_spec(x)->agent.n)
		text_fmt(&all, "x-outrider-agent: %.*s\r\n", STR_ARG(exchange_spec(x)->agent));
	if (is_unsent(x, why))
		text_addz(&all, "x-outrider-mark: unsent\r\n");
	else if (retry_is_exhausted(x, x->status >= 500))
		text_addz(&all, "x-outrider-mark: exhausted\r\n");
	text_fmt(&all, "X-Request-Id: %.*s\r\n", STR_ARG(x->request_id));
	if (!forward_keeps_open(x))
		text_addz(&all, "Connection: close\r\n");
	else if (x->req.minor == 0)
		text_addz(&all, "Connection: keep-alive\r\n");
	text_addz(&all, "\r\n");
	if (x->req.method != METHOD_HEAD)
		text_add(&all, text_str(&body));
	ok = !body.failed && !all.failed && outq_copy(&x->down_flow.q, &x->w->blocks, all.p, all.n);
	text_release(&body);
	text_release(&all);
	return ok;
}

bool answer_connected(struct exchange *x)
{
	static const char granted[] = "HTTP/1.1 200 Connection established\r\n\r\n";

	return outq_copy(&x->down_flow.q, &x->w->blocks, granted, sizeof(granted) - 1);
}
