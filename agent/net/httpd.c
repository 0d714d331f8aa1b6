#include "net/httpd_int.h"

#include "base/mem.h"

#include <unistd.h>

#define READ_CHUNK 4096u
#define IN_MAX (HTTPD_HEAD_MAX + HTTPD_BODY_MAX)

/* --- the end of a connection --------------------------------------------------------------------------------- */

void httpd_kill(struct httpd_request *r)
{
	if (r->state == HTTPD_DEAD)
		return;
	r->state = HTTPD_DEAD;
	r->owner->count--;
	r->on_gone = NULL;
	stream_close(&r->stream, STREAM_CLOSE);
	timer_set(r->loop, &r->timer, loop_now(r->loop)); /* callers up the stack may still look at r */
}

static void request_free(struct httpd_request *r)
{
	stream_close(&r->stream, STREAM_CLOSE);
	timer_clear(&r->timer);
	list_remove(&r->link);
	text_release(&r->headers);
	mem_free(r->in);
	mem_free(r->out);
	mem_free(r);
}

/* The peer left: closes, and tells a handler that has not answered yet. */
static void gone(struct httpd_request *r)
{
	void (*fn)(void *) = r->on_gone;
	void *arg = r->on_gone_arg;
	httpd_kill(r);
	if (fn)
		fn(arg);
}

static void wait_until(struct httpd_request *r, usec from_now)
{
	timer_set(r->loop, &r->timer, loop_now(r->loop) + from_now);
}

/* --- output ---------------------------------------------------------------------------------------------------- */

/* Sends what is queued. false: the peer is gone. */
static bool flush(struct httpd_request *r)
{
	while (httpd_queued(r)) {
		struct iovec v = { r->out + r->out_at, httpd_queued(r) };
		ssize_t n = stream_writev(&r->stream, &v, 1);
		if (n < 0)
			return false;
		if (n == 0)
			break;
		r->out_at += (size_t)n;
		if (r->state != HTTPD_HANDLING)
			wait_until(r, HTTPD_IDLE); /* a reader that takes nothing for so long is gone */
	}
	bool rest = httpd_queued(r) > 0;
	if (!rest)
		r->out_at = r->out_n = 0;
	stream_want_write(&r->stream, rest);
	if (!rest && r->state == HTTPD_STREAMING)
		timer_clear(&r->timer); /* an idle stream may last */
	return true;
}

static bool make_room(struct httpd_request *r, size_t n)
{
	if (r->out_at) {
		memmove(r->out, r->out + r->out_at, httpd_queued(r));
		r->out_n -= r->out_at;
		r->out_at = 0;
	}
	if (r->out_cap - r->out_n >= n)
		return true;
	size_t cap = r->out_n + n;
	cap += cap / 2;
	char *p = mem_resize(r->out, cap);
	if (!p)
		return false;
	r->out = p;
	r->out_cap = cap;
	return true;
}

bool httpd_put(struct httpd_request *r, struct str bytes)
{
	if (r->state == HTTPD_DEAD)
		return false;
	bool was_empty = httpd_queued(r) == 0;
	if (bytes.n) {
		if (!make_room(r, bytes.n))
			return false;
		memcpy(r->out + r->out_n, bytes.p, bytes.n);
		r->out_n += bytes.n;
	}
	if (was_empty && r->state == HTTPD_STREAMING)
		wait_until(r, HTTPD_IDLE);
	return !was_empty || flush(r);
}

bool httpd_send(struct httpd_request *r, struct str bytes)
{
	bool sent = httpd_put(r, bytes);
	if (!sent)
		httpd_kill(r);
	return sent;
}

/* --- requests ------------------------------------------------------------------------------------------------------ */

/* The answer is with the kernel: the next request, or the end. */
static void answered(struct httpd_request *r)
{
	if (r->linger) {
		r->state = HTTPD_LINGERING;
		stream_shutdown(&r->stream);
		stream_want_read(&r->stream, true);
		wait_until(r, HTTPD_LINGER);
		return;
	}
	if (r->close) {
		httpd_kill(r);
		return;
	}
	size_t used = r->head.bytes + r->head.body;
	memmove(r->in, r->in + used, r->in_n - used);
	r->in_n -= used;
	r->in_seen = 0;
	r->head.bytes = 0;
	r->state = HTTPD_READING;
	stream_want_read(&r->stream, true);
	r->again = r->in_n > 0;
	wait_until(r, r->again && !r->processing ? 0 : HTTPD_IDLE);
}

void httpd_finish(struct httpd_request *r)
{
	r->on_gone = NULL;
	text_clear(&r->headers);
	if (r->state == HTTPD_DEAD)
		return;
	r->state = HTTPD_FLUSHING;
	if (httpd_queued(r))
		wait_until(r, HTTPD_IDLE);
	else
		answered(r);
}

static bool say_continue(struct httpd_request *r)
{
	r->head.expect = false;
	return httpd_send(r, STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void refuse_head(struct httpd_request *r, int status)
{
	static const struct {
		int status;
		const char *why;
	} rows[] = {
		{ 411, "a body needs Content-Length" },
		{ 413, "the body is longer than 64 KiB" },
		{ 414, "the request line is too long" },
		{ 417, "this expectation cannot be met" },
		{ 431, "the head is longer than 16 KiB or has too many fields" },
		{ 501, "this method is not served here" },
		{ 505, "HTTP/1.1 and HTTP/1.0 are served here" },
	};
	const char *why = "the request is malformed";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == status)
			why = rows[i].why;
	httpd_refuse(r, status, why);
}

/* Takes one request out of what has arrived. false: not complete, or it was refused. */
static bool next_request(struct httpd_request *r)
{
	if (r->head.bytes == 0) {
		while (r->in_n >= 2 && r->in[0] == '\r' && r->in[1] == '\n' && r->in_seen == 0) {
			r->in_n -= 2; /* RFC 9112 section 2.2: an empty line before a request is skipped */
			memmove(r->in, r->in + 2, r->in_n);
		}
		int status = httpd_parse(r->in, r->in_n, &r->in_seen, &r->head);
		if (status == 0)
			return false;
		if (status != 200) {
			refuse_head(r, status);
			return false;
		}
		r->close = r->head.close;
	}
	if (r->in_n - r->head.bytes >= r->head.body)
		return true;
	if (r->head.expect)
		(void)say_continue(r);
	return false;
}

static void process(struct httpd_request *r)
{
	r->processing = true;
	do {
		r->again = false;
		if (r->state != HTTPD_READING || !next_request(r))
			break;
		timer_clear(&r->timer); /* a handler takes the time it takes */
		r->state = HTTPD_HANDLING;
		r->owner->httpd->fn(r, r->owner->httpd->arg);
	} while (r->again);
	r->processing = false;
}

/* --- input ------------------------------------------------------------------------------------------------------------ */

/* The whole maximum at once, so that slices of a head stay where they are; untouched pages cost nothing. */
static bool have_input(struct httpd_request *r)
{
	if (!r->in)
		r->in = mem_alloc(IN_MAX);
	return r->in != NULL;
}

static void discard(struct httpd_request *r)
{
	char waste[READ_CHUNK];
	if (stream_read(&r->stream, waste, sizeof(waste)) < 0)
		httpd_kill(r);
}

static void on_readable(void *arg)
{
	struct httpd_request *r = arg;
	if (r->state == HTTPD_LINGERING) {
		discard(r);
		return;
	}
	if (r->in_n >= IN_MAX) {
		stream_want_read(&r->stream, false); /* pipelined too far ahead */
		return;
	}
	if (!have_input(r)) {
		gone(r);
		return;
	}
	ssize_t n = stream_read(&r->stream, r->in + r->in_n, IN_MAX - r->in_n);
	if (n == 0)
		return;
	if (n == STREAM_EOF && r->state == HTTPD_FLUSHING) {
		r->close = true; /* it closed its half after the request; the answer still goes out */
		stream_want_read(&r->stream, false);
		return;
	}
	if (n < 0) {
		gone(r);
		return;
	}
	if (r->in_n == 0 && r->state == HTTPD_READING)
		wait_until(r, HTTPD_IDLE); /* from the first byte on a request has that long, however it trickles */
	r->in_n += (size_t)n;
	if (r->state == HTTPD_READING)
		process(r);
}

static void on_writable(void *arg)
{
	struct httpd_request *r = arg;
	if (!flush(r)) {
		gone(r);
		return;
	}
	if (r->state == HTTPD_FLUSHING && !httpd_queued(r))
		answered(r);
}

static void on_timer(void *arg)
{
	struct httpd_request *r = arg;
	if (r->state == HTTPD_DEAD) {
		request_free(r);
	} else if (r->state == HTTPD_READING && r->again) {
		wait_until(r, HTTPD_IDLE);
		process(r);
	} else if (r->state == HTTPD_READING && r->in_n) {
		httpd_refuse(r, 408, "the request took longer than 30 s to arrive");
	} else {
		gone(r);
	}
}

/* --- listeners ----------------------------------------------------------------------------------------------------------- */

/* The oldest connection that waits between two requests makes room for a new one. */
static bool drop_an_idle_one(struct httpd_listener *o)
{
	LIST_EACH(it, tmp, &o->connections)
	{
		struct httpd_request *r = LIST_OWNER(it, struct httpd_request, link);
		if (r->state == HTTPD_READING && r->in_n == 0) {
			httpd_kill(r);
			return true;
		}
	}
	return false;
}

static void on_accept(void *arg, int fd, const struct addr *peer)
{
	static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	struct httpd_listener *o = arg;
	struct httpd_request *r = NULL;
	if (o->count < HTTPD_CONNECTIONS_MAX || drop_an_idle_one(o))
		r = mem_zalloc(sizeof(*r));
	if (!r) {
		ssize_t n = send(fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL);
		(void)n;
		close(fd);
		return;
	}
	r->owner = o;
	r->loop = o->httpd->loop;
	r->peer = *peer;
	(void)socket_local(fd, &r->local);
	text_init(&r->headers, HTTPD_HEADERS_OUT_MAX);
	timer_init(&r->timer, on_timer, r);
	list_append(&o->connections, &r->link);
	o->count++;
	stream_init(&r->stream, r->loop, on_readable, on_writable, r);
	if (stream_open(&r->stream, fd))
		wait_until(r, HTTPD_IDLE);
	else
		httpd_kill(r);
}

struct httpd *httpd_new(struct loop *l, httpd_fn fn, void *arg, struct err *err)
{
	struct httpd *h = mem_zalloc(sizeof(*h));
	if (!h) {
		err_set(err, "admin server: out of memory");
		return NULL;
	}
	h->loop = l;
	h->fn = fn;
	h->arg = arg;
	list_init(&h->listeners);
	return h;
}

bool httpd_listen(struct httpd *h, int fd, struct err *err)
{
	struct httpd_listener *o = mem_zalloc(sizeof(*o));
	if (!o) {
		close(fd);
		return err_set(err, "admin server: out of memory");
	}
	o->httpd = h;
	list_init(&o->connections);
	if (!listener_start(&o->listener, h->loop, fd, on_accept, o)) {
		mem_free(o);
		close(fd);
		return err_set(err, "admin server: the kernel refused to watch a listener");
	}
	list_append(&h->listeners, &o->link);
	return true;
}

static void listener_free(struct httpd_listener *o)
{
	listener_stop(&o->listener);
	close(o->listener.fd);
	LIST_EACH(it, tmp, &o->connections)
		gone(LIST_OWNER(it, struct httpd_request, link));
	LIST_EACH(it, tmp, &o->connections)
		request_free(LIST_OWNER(it, struct httpd_request, link));
	list_remove(&o->link);
	mem_free(o);
}

void httpd_free(struct httpd *h)
{
	if (!h)
		return;
	LIST_EACH(it, tmp, &h->listeners)
		listener_free(LIST_OWNER(it, struct httpd_listener, link));
	mem_free(h);
}
