#include "attach/engine_ask.h"

#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>

/* --- the answer -------------------------------------------------------------------------------------------------- */

static size_t head_end(struct str s)
{
	for (size_t i = 0; i + 3 < s.n; i++)
		if (memcmp(s.p + i, "\r\n\r\n", 4) == 0)
			return i + 4;
	return 0;
}

struct str engine_field(struct str head, const char *name)
{
	struct str rest = head, line;
	size_t n = strlen(name);

	while (str_next(&rest, '\n', &line)) {
		line = str_trim(line);
		if (line.n > n && line.p[n] == ':' && str_ieq(str_make(line.p, n), str_make(name, n)))
			return str_trim(str_make(line.p + n + 1, line.n - n - 1));
	}
	return (struct str){ NULL, 0 };
}

static int status_of(struct str head)
{
	int status = 0;
	if (head.n > 12 && str_starts(head, STR("HTTP/1.")))
		for (size_t i = 9; i < 12 && head.p[i] >= '0' && head.p[i] <= '9'; i++)
			status = status * 10 + (head.p[i] - '0');
	return status;
}

static void finish(struct engine_ask *a, const char *why)
{
	struct engine_reply r = { .why = why, .hopeless = a->hopeless };
	struct text in = a->in;

	a->in = (struct text){ .p = NULL };
	engine_ask_stop(a);
	size_t end = why ? 0 : head_end(text_str(&in));
	if (end) {
		r.head = str_make(in.p, end);
		r.body = str_make(in.p + end, in.n - end);
		r.status = status_of(r.head);
	}
	if (!r.status && !why)
		r.why = "it ended the connection before an answer";
	a->done(a->arg, &r);
	text_release(&in);
}

/* HTTP/1.0 ends with the connection; a proxy in between may keep it open and say how long the body is. */
static bool is_whole(const struct engine_ask *a)
{
	struct str all = text_str(&a->in);
	size_t end = head_end(all);
	uint64_t length;
	struct str said = end ? engine_field(str_make(all.p, end), "Content-Length") : (struct str){ NULL, 0 };

	return said.n && str_u64(said, &length) && all.n - end >= length;
}

static void on_readable(void *arg)
{
	struct engine_ask *a = arg;
	char buf[16 * 1024];
	ssize_t n;

	while ((n = stream_read(&a->stream, buf, sizeof(buf))) > 0)
		text_add(&a->in, str_make(buf, (size_t)n));
	a->hopeless = a->in.failed;
	if (a->in.failed)
		finish(a, "its answer is too long");
	else if (n == STREAM_EOF || (n < 0 && a->in.n) || is_whole(a))
		finish(a, NULL);
	else if (n < 0)
		finish(a, strerror(stream_errno(&a->stream)));
}

/* --- the question ------------------------------------------------------------------------------------------------ */

static void say(struct engine_ask *a)
{
	char text[ENGINE_PATH_MAX + 128];
	int n = snprintf(text, sizeof(text), "GET %s HTTP/1.0\r\nHost: docker\r\nUser-Agent: outrider\r\n\r\n", a->path);
	struct iovec iov = { text, (size_t)n };

	if (stream_writev(&a->stream, &iov, 1) != n) /* a fresh socket takes it whole */
		finish(a, "it takes no question");
}

static void on_writable(void *arg)
{
	struct engine_ask *a = arg;
	int r = stream_connect_result(&a->stream);

	if (r > 0)
		say(a);
	else if (r < 0)
		finish(a, strerror(stream_errno(&a->stream)));
}

static void begin(struct engine_ask *a)
{
	stream_init(&a->stream, a->loop, on_readable, on_writable, a);
	a->open = true;
	int r = stream_connect(&a->stream, NULL, &a->to);
	timer_set(a->loop, &a->timer, loop_touch(a->loop) + ENGINE_TIME);
	if (r > 0)
		say(a);
	else if (r < 0)
		finish(a, strerror(stream_errno(&a->stream)));
}

static void on_timer(void *arg)
{
	struct engine_ask *a = arg;

	a->hopeless = a->open;
	if (a->open)
		finish(a, "it gave no answer in time");
	else
		begin(a);
}

void engine_ask_init(struct engine_ask *a, struct loop *loop, const struct addr *to, void (*done)(void *arg, const struct engine_reply *r),
	void *arg)
{
	*a = (struct engine_ask){ .loop = loop, .to = *to, .done = done, .arg = arg };
	timer_init(&a->timer, on_timer, a);
}

void engine_ask_start(struct engine_ask *a, const char *path)
{
	engine_ask_stop(a);
	snprintf(a->path, sizeof(a->path), "%s", path);
	text_init(&a->in, ENGINE_BODY_MAX);
	timer_set(a->loop, &a->timer, 0); /* on the next turn: done() is never called inside */
}

void engine_ask_stop(struct engine_ask *a)
{
	if (!a->loop)
		return;
	timer_clear(&a->timer);
	if (a->open)
		stream_close(&a->stream, STREAM_CLOSE);
	a->open = false;
	text_release(&a->in);
}
