#include "docker_events.h"

#include <string.h>

#define PAUSE (2 * USEC_SEC)

/* Services and nodes: of tasks the engine tells no events (shared knowledge: docker-swarm, section 4). HTTP/1.0: no chunks. */
static const char question[] = "GET /events?filters=%7B%22type%22%3A%5B%22service%22%2C%22node%22%5D%7D HTTP/1.0\r\n"
			       "Host: docker\r\nUser-Agent: outrider\r\n\r\n";

static void lost(struct docker_events *e)
{
	stream_close(&e->stream, STREAM_CLOSE);
	e->open = false;
	timer_set(e->loop, &e->timer, loop_touch(e->loop) + PAUSE);
}

/* Bytes behind the head are events. */
static bool behind_head(struct docker_events *e, const char *p, size_t n)
{
	if (e->answered)
		return n > 0;
	size_t room = sizeof(e->head) - 1 - e->n, take = n < room ? n : room;
	memcpy(e->head + e->n, p, take);
	e->n += take;
	e->head[e->n] = '\0';
	const char *end = strstr(e->head, "\r\n\r\n");
	if (!end && e->n < sizeof(e->head) - 1)
		return false;
	e->answered = true;
	return end && end + 4 < e->head + e->n;
}

static void on_readable(void *arg)
{
	struct docker_events *e = arg;
	bool any = false;
	char buf[4096];
	ssize_t n;

	while ((n = stream_read(&e->stream, buf, sizeof(buf))) > 0)
		any = behind_head(e, buf, (size_t)n) || any;
	if (n < 0 || (e->answered && !strstr(e->head, " 200 ")))
		lost(e);
	if (any)
		e->happened(e->arg);
}

static void ask(struct docker_events *e)
{
	struct iovec iov = { (void *)(uintptr_t)question, sizeof(question) - 1 };

	if (stream_writev(&e->stream, &iov, 1) != (ssize_t)iov.iov_len) /* a fresh socket takes it whole */
		lost(e);
}

static void on_writable(void *arg)
{
	struct docker_events *e = arg;
	int r = stream_connect_result(&e->stream);

	if (r > 0)
		ask(e);
	else if (r < 0)
		lost(e);
}

static void on_timer(void *arg)
{
	struct docker_events *e = arg;

	e->n = 0;
	e->answered = false;
	e->open = true;
	stream_init(&e->stream, e->loop, on_readable, on_writable, e);
	int r = stream_connect(&e->stream, NULL, &e->to);
	if (r < 0)
		lost(e);
	else if (r > 0)
		ask(e);
}

void docker_events_init(struct docker_events *e, struct loop *loop, const struct addr *to, void (*happened)(void *arg), void *arg)
{
	*e = (struct docker_events){ .loop = loop, .to = *to, .happened = happened, .arg = arg };
	timer_init(&e->timer, on_timer, e);
}

void docker_events_open(struct docker_events *e)
{
	timer_set(e->loop, &e->timer, loop_touch(e->loop));
}

void docker_events_release(struct docker_events *e)
{
	if (!e->loop)
		return;
	timer_clear(&e->timer);
	if (e->open)
		stream_close(&e->stream, STREAM_CLOSE);
	e->open = false;
}
