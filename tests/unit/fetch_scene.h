/* A scripted HTTP server and a fetcher on one loop, for the tests of net/fetch. */
#ifndef OUTRIDER_TESTS_FETCH_SCENE_H
#define OUTRIDER_TESTS_FETCH_SCENE_H

#include "base/text.h"
#include "net/fetch.h"
#include "net/listen.h"
#include "net/timer.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PEERS_MAX 80

struct scene;

struct script { /* what the server does with each request */
	const char *says;
	bool close, flood,
		drip; /* afterwards: ends the connection, sends zeros without end, a byte every 20 ms */
};

struct peer { /* a connection at the server */
	struct scene *scene;
	int fd;
	struct watch rd, wr;
	struct timer drip;
	char in[8192];
	size_t n;
};

struct scene {
	struct loop *loop;
	struct resolver *resolver;
	struct fetcher *fetcher;
	struct listener listener;
	int fd;
	uint16_t port;
	struct script script;
	struct peer peers[PEERS_MAX];
	size_t n_peers;
	unsigned requests;
	char seen[8192]; /* the last request */
	/* what the client heard */
	unsigned calls;
	int status;
	size_t body;
	char why[512], etag[32], text[64];
	struct fetch *other; /* cancelled in the callback */
	bool once_more;      /* started in the callback */
};

static inline void peer_close(struct peer *p)
{
	watch_off(&p->rd);
	watch_off(&p->wr);
	timer_clear(&p->drip);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

static inline void peer_flood(void *arg, short what)
{
	struct peer *p = arg;
	static const char block[65536];

	(void)what;
	if (write(p->fd, block, sizeof(block)) < 0 && errno != EAGAIN)
		watch_off(&p->wr);
}

static inline void peer_drip(void *arg)
{
	struct peer *p = arg;

	if (write(p->fd, "x", 1) == 1)
		timer_set(p->scene->loop, &p->drip, loop_now(p->scene->loop) + 20 * USEC_MS);
}

/* A whole request lies in p->in: head, and body as Content-Length says. */
static inline bool peer_has_request(const struct peer *p)
{
	const char *end = memmem(p->in, p->n, "\r\n\r\n", 4);
	const char *length = end ? memmem(p->in, (size_t)(end - p->in), "Content-Length: ", 16) : NULL;

	return end && (size_t)(end + 4 - p->in) + (length ? strtoul(length + 16, NULL, 10) : 0) <= p->n;
}

static inline void peer_answer(struct peer *p)
{
	struct scene *s = p->scene;
	const struct script *script = &s->script;

	s->requests++;
	memcpy(s->seen, p->in, p->n);
	s->seen[p->n] = '\0';
	p->n = 0;
	ck_assert(write(p->fd, script->says, strlen(script->says)) == (ssize_t)strlen(script->says));
	if (script->close) {
		peer_close(p);
	} else if (script->drip) {
		peer_drip(p);
	} else if (script->flood) {
		watch_init(&p->wr, s->loop, p->fd, EV_WRITE, peer_flood, p);
		ck_assert(watch_on(&p->wr));
	}
}

static inline void peer_readable(void *arg, short what)
{
	struct peer *p = arg;
	ssize_t n = read(p->fd, p->in + p->n, sizeof(p->in) - 1 - p->n);

	(void)what;
	if (n <= 0) {
		peer_close(p);
		return;
	}
	p->n += (size_t)n;
	if (peer_has_request(p))
		peer_answer(p);
}

static inline void scene_accept(void *arg, int fd, const struct addr *from)
{
	struct scene *s = arg;
	struct peer *p = &s->peers[s->n_peers++];

	(void)from;
	ck_assert(s->n_peers <= PEERS_MAX);
	p->scene = s;
	p->fd = fd;
	timer_init(&p->drip, peer_drip, p);
	watch_init(&p->rd, s->loop, fd, EV_READ, peer_readable, p);
	ck_assert(watch_on(&p->rd));
}

static inline struct fetch *scene_get(struct scene *s, const char *host, usec total, usec idle);

static inline void scene_reply(void *arg, const struct fetch_reply *r)
{
	struct scene *s = arg;

	s->calls++;
	s->status = r->status;
	s->body = r->body.n;
	str_copy(str_of(r->why), s->why, sizeof(s->why));
	str_copy(fetch_header(r, "etag"), s->etag, sizeof(s->etag));
	str_copy(r->body, s->text, sizeof(s->text));
	if (s->other)
		fetch_cancel(s->other);
	s->other = NULL;
	if (s->once_more) {
		s->once_more = false;
		ck_assert(scene_get(s, "127.0.0.1", 5 * USEC_SEC, USEC_SEC) != NULL);
	}
}

static inline struct fetch *scene_start(
	struct scene *s, const char *host, struct fetch_request q, struct err *err)
{
	char url[256];

	snprintf(url, sizeof(url), "http://%s:%u/x", host, s->port);
	q.url = q.url ? q.url : url;
	q.body_max = 65536;
	q.total = q.total ? q.total : 5 * USEC_SEC;
	q.idle = q.idle ? q.idle : 2 * USEC_SEC;
	return fetch_start(s->fetcher, &q, scene_reply, s, err);
}

static inline struct fetch *scene_get(struct scene *s, const char *host, usec total, usec idle)
{
	struct err err = { "" };
	struct fetch *f = scene_start(s, host, (struct fetch_request){ .total = total, .idle = idle }, &err);

	ck_assert_msg(f != NULL, "%s", err.text);
	return f;
}

static inline void scene_open(struct scene *s, struct script script)
{
	struct err err = { "" };
	struct addr a;

	memset(s, 0, sizeof(*s));
	s->script = script;
	s->loop = loop_new(&err);
	s->resolver = resolver_new(s->loop, NULL, &err);
	s->fetcher = fetcher_new(s->loop, s->resolver, NULL, &err);
	ck_assert(addr_parse(STR("127.0.0.1:0"), &a, &err));
	s->fd = socket_listen(NULL, &a, &err);
	ck_assert_msg(s->fd >= 0 && s->fetcher, "%s", err.text);
	ck_assert(socket_local(s->fd, &a));
	s->port = addr_port(&a);
	ck_assert(listener_start(&s->listener, s->loop, s->fd, scene_accept, s));
}

static inline void scene_close(struct scene *s)
{
	fetcher_free(s->fetcher);
	for (size_t i = 0; i < s->n_peers; i++)
		peer_close(&s->peers[i]);
	resolver_free(s->resolver);
	listener_stop(&s->listener);
	close(s->fd);
	loop_turn(s->loop, false);
	loop_free(s->loop);
}

/* Until the client heard `calls` answers. */
static inline void scene_await(struct scene *s, unsigned calls)
{
	usec end = clock_now() + 10 * USEC_SEC;

	while (s->calls < calls && clock_now() < end)
		loop_turn(s->loop, false);
	ck_assert_uint_eq(s->calls, calls);
}

#endif
