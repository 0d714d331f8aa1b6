/* The bench's origin: GET /SIZE/TAG is answered with SIZE bytes (bench.h says which), keep-alive unless the request says
 * `Connection: close`. Pipelined requests are answered in order. Anything else is 400 and the end of the connection,
 * so that a proxy that sends wrong requests is seen. With --delay each reply is that many microseconds late (all connections at
 * once: a slow server, not a full one). Ends on SIGTERM. */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_BYTES 4096u /* a request's head */
#define SMALL 16384u   /* replies up to here are sent in one piece */

struct peer {
	struct peer *next_dead;
	int fd;
	bool dead, closing, want_write, late;
	struct peer *next_late; /* late: in the queue of those whose reply is not due yet */
	uint64_t due;
	uint32_t in_len;
	uint64_t pos, size;          /* of the body being sent; pos == size: none */
	uint32_t head_at, head_len;  /* part of head[] still to be sent */
	char head[256];
	char in[IN_BYTES + 1];
};

struct origin {
	int epoll_fd, listen_fd;
	const char *pattern;
	struct peer *dead; /* freed after the turn: later events of it may name them */
	uint64_t delay;    /* nanoseconds; 0: at once */
	struct peer *late, *last_late; /* by due time, which is the order of coming as all wait equally long */
	char out[SMALL + 256];
};

static volatile sig_atomic_t origin_stop;

static void on_stop(int signo)
{
	(void)signo;
	origin_stop = 1;
}

static void peer_kill(struct origin *o, struct peer *p)
{
	if (p->dead)
		return;
	close(p->fd);
	p->dead = true;
	p->next_dead = o->dead;
	o->dead = p;
}

static void peer_watch(struct origin *o, struct peer *p, bool want_write)
{
	struct epoll_event ev = { .events = want_write ? EPOLLOUT : EPOLLIN, .data.ptr = p };

	if (p->want_write == want_write)
		return;
	p->want_write = want_write;
	if (epoll_ctl(o->epoll_fd, EPOLL_CTL_MOD, p->fd, &ev) != 0)
		peer_kill(o, p);
}

/* Sends what is due. true: all is sent and the next request may be looked at. */
static bool peer_flush(struct origin *o, struct peer *p)
{
	while (p->head_at < p->head_len || p->pos < p->size) {
		ssize_t n;

		if (p->head_at < p->head_len) {
			n = send(p->fd, p->head + p->head_at, p->head_len - p->head_at, MSG_MORE);
		} else {
			uint64_t left = p->size - p->pos;

			n = send(p->fd, o->pattern + p->pos % BENCH_PERIOD, left < BENCH_RUN ? (size_t)left : BENCH_RUN, 0);
		}
		if (n < 0 && errno == EAGAIN) {
			peer_watch(o, p, true);
			return false;
		}
		if (n <= 0) {
			peer_kill(o, p);
			return false;
		}
		if (p->head_at < p->head_len)
			p->head_at += (uint32_t)n;
		else
			p->pos += (uint64_t)n;
	}
	if (p->closing) {
		peer_kill(o, p);
		return false;
	}
	peer_watch(o, p, false);
	return !p->dead;
}

/* `head` ends in NUL. Field names of proxies come in any case. */
static bool says_close(const char *head)
{
	const char *line = head;

	while ((line = strchr(line, '\n')) != NULL) {
		line++;
		if ((*line | 32) == 'c' && strncasecmp(line, "connection:", 11) == 0) {
			for (line += 11; *line == ' '; line++)
				continue;
			return strncasecmp(line, "close", 5) == 0;
		}
	}
	return false;
}

static int head_write(char *to, size_t cap, uint64_t size, const char *tag, bool closing)
{
	return snprintf(to, cap, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %llu\r\n%s\r\n%.*s",
			(unsigned long long)size, closing ? "Connection: close\r\n" : "", BENCH_TAG, tag);
}

static bool peer_refuse(struct origin *o, struct peer *p)
{
	p->closing = true;
	p->pos = p->size = 0;
	p->head_at = 0;
	p->head_len = (uint32_t)snprintf(p->head, sizeof(p->head),
					 "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	return peer_flush(o, p);
}

/* Answers the request in `head` (NUL-terminated). true: go on with the next one. */
static bool peer_answer(struct origin *o, struct peer *p, const char *head)
{
	uint64_t size;
	const char *tag;
	size_t n;
	ssize_t sent;

	if (strncmp(head, "GET /", 5) != 0 || !bench_u64(head + 5, '/', &size, &tag) || size < BENCH_TAG ||
	    strspn(tag + 1, "0123456789abcdef") != BENCH_TAG || tag[1 + BENCH_TAG] != ' ')
		return peer_refuse(o, p);
	tag++;
	p->closing = says_close(head);
	p->head_at = p->head_len = 0;
	p->pos = p->size = 0;
	if (size > SMALL) {
		p->size = size;
		p->pos = BENCH_TAG;
		p->head_len = (uint32_t)head_write(p->head, sizeof(p->head), size, tag, p->closing);
		return peer_flush(o, p);
	}
	n = (size_t)head_write(o->out, sizeof(o->out), size, tag, p->closing);
	memcpy(o->out + n, o->pattern + BENCH_TAG, (size_t)size - BENCH_TAG);
	n += (size_t)size - BENCH_TAG;
	sent = send(p->fd, o->out, n, 0);
	if (sent != (ssize_t)n) { /* one small reply always fits an empty socket buffer */
		peer_kill(o, p);
		return false;
	}
	return p->closing ? peer_flush(o, p) : true;
}

static void peer_delay(struct origin *o, struct peer *p)
{
	if (p->late)
		return;
	p->late = true;
	p->due = bench_now() + o->delay;
	p->next_late = NULL;
	if (o->late)
		o->last_late->next_late = p;
	else
		o->late = p;
	o->last_late = p;
}

/* Answers every whole head that has arrived; with a delay only one that has waited. */
static void peer_requests(struct origin *o, struct peer *p, bool waited)
{
	char *end;

	while (p->in_len && (end = memmem(p->in, p->in_len, "\r\n\r\n", 4)) != NULL) {
		uint32_t used = (uint32_t)(end + 4 - p->in);
		bool go_on;

		if (o->delay && !waited) {
			peer_delay(o, p);
			return;
		}
		waited = false;
		*end = '\0';
		go_on = peer_answer(o, p, p->in);
		if (p->dead)
			return;
		p->in_len -= used;
		memmove(p->in, p->in + used, p->in_len);
		if (!go_on)
			return;
	}
	if (p->in_len == IN_BYTES)
		peer_refuse(o, p);
}

static void peer_event(struct origin *o, struct peer *p, uint32_t events)
{
	ssize_t n;

	if (p->want_write) {
		if ((events & (EPOLLERR | EPOLLHUP)) && !(events & EPOLLOUT))
			peer_kill(o, p);
		else if (peer_flush(o, p))
			peer_requests(o, p, false);
		return;
	}
	n = recv(p->fd, p->in + p->in_len, IN_BYTES - p->in_len, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		peer_kill(o, p);
		return;
	}
	p->in_len += (uint32_t)n;
	peer_requests(o, p, false);
}

static void origin_accept(struct origin *o)
{
	for (int i = 0; i < 64; i++) {
		struct epoll_event ev = { .events = EPOLLIN };
		struct peer *p;
		int fd = accept4(o->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		p = malloc(sizeof(*p));
		if (!p) {
			close(fd);
			return;
		}
		memset(p, 0, offsetof(struct peer, head));
		p->fd = fd;
		ev.data.ptr = p;
		if (epoll_ctl(o->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
			peer_kill(o, p);
	}
}

/* Frees who died in this turn, but those in the queue only when their turn comes there. */
static void origin_bury(struct origin *o)
{
	while (o->dead) {
		struct peer *p = o->dead;

		o->dead = p->next_dead;
		if (!p->late)
			free(p);
	}
}

/* Answers what is due. After origin_bury(): whoever is dead here was left by it. */
static void origin_late(struct origin *o)
{
	uint64_t now = bench_now();

	while (o->late && o->late->due <= now) {
		struct peer *p = o->late;

		o->late = p->next_late;
		p->late = false;
		if (p->dead)
			free(p);
		else
			peer_requests(o, p, true);
	}
}

static int origin_patience(const struct origin *o)
{
	uint64_t now = bench_now();

	if (!o->late)
		return 1000;
	return o->late->due <= now ? 0 : (int)((o->late->due - now + NS_PER_MS - 1) / NS_PER_MS);
}

static void origin_turn(struct origin *o)
{
	struct epoll_event evs[BENCH_EVENTS];
	int n = epoll_wait(o->epoll_fd, evs, BENCH_EVENTS, origin_patience(o));

	for (int i = 0; i < n; i++) {
		struct peer *p = evs[i].data.ptr;

		if (!p)
			origin_accept(o);
		else if (!p->dead)
			peer_event(o, p, evs[i].events);
	}
	origin_bury(o);
	origin_late(o);
}

int origin_main(int argc, char **argv)
{
	static struct origin o; /* its reply buffer is too large for a stack */
	const char *listen_at = NULL;
	uint64_t delay_us = 0;
	const struct opt opts[] = { { "listen", OPT_TEXT, &listen_at }, { "delay", OPT_U64, &delay_us } };
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	struct sockaddr_in addr;

	bench_options(argc, argv, opts, sizeof(opts) / sizeof(opts[0]));
	if (!bench_addr(listen_at, &addr))
		bench_die("origin needs --listen ADDRESS:PORT");
	signal(SIGTERM, on_stop);
	signal(SIGINT, on_stop);
	o.pattern = bench_pattern();
	o.delay = delay_us * NS_PER_US;
	o.listen_fd = bench_listen(&addr);
	o.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (o.listen_fd < 0 || o.epoll_fd < 0 || epoll_ctl(o.epoll_fd, EPOLL_CTL_ADD, o.listen_fd, &ev) != 0)
		bench_die("origin cannot listen on %s: %s", listen_at, strerror(errno));
	while (!origin_stop)
		origin_turn(&o);
	return 0;
}
