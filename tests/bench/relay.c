/* The floor of `make bench`: a bare byte relay on epoll. One upstream connection per client connection, no HTTP, no
 * time limits, one thread; a request and its reply cost read, write, read, write and their share of epoll_wait. What a
 * proxy costs above it is what the proxy itself does.
 *
 *     relay LISTEN-ADDRESS:PORT UPSTREAM-ADDRESS:PORT
 *
 * Ends on SIGTERM. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BYTES 65536u
#define EVENTS 256

struct side {
	int fd;
	bool ended;        /* it sent its end of stream */
	uint32_t watching; /* as told to epoll */
	char *held;        /* bytes for this side that its socket did not take; NULL mostly */
	uint32_t held_at, held_end;
	struct side *other;
	struct pair *pair;
};

struct pair {
	struct side client, upstream;
	struct pair *next_dead;
	bool dead;
};

struct relay {
	int epoll_fd, listen_fd;
	struct sockaddr_in upstream;
	struct pair *dead; /* freed after the turn */
	char bytes[BYTES];
};

static volatile sig_atomic_t relay_stop;

static void on_stop(int signo)
{
	(void)signo;
	relay_stop = 1;
}

static void pair_kill(struct relay *r, struct pair *p)
{
	if (p->dead)
		return;
	p->dead = true;
	close(p->client.fd);
	close(p->upstream.fd);
	p->next_dead = r->dead;
	r->dead = p;
}

/* Reads a side while the other takes all; waits for room where bytes are held. */
static void side_watch(struct relay *r, struct side *s)
{
	uint32_t want = (s->ended || s->other->held ? 0 : (uint32_t)EPOLLIN) | (s->held ? (uint32_t)EPOLLOUT : 0);
	struct epoll_event ev = { .events = want, .data.ptr = s };

	if (s->pair->dead || want == s->watching)
		return;
	s->watching = want;
	if (epoll_ctl(r->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev) != 0)
		pair_kill(r, s->pair);
}

static bool side_hold(struct side *s, const char *bytes, size_t n)
{
	s->held = malloc(n);
	if (!s->held)
		return false;
	memcpy(s->held, bytes, n);
	s->held_at = 0;
	s->held_end = (uint32_t)n;
	return true;
}

/* The other side has ended and all its bytes are sent: say so here; the pair is over when both have. */
static void side_finish(struct relay *r, struct side *s)
{
	if (s->ended)
		pair_kill(r, s->pair);
	else
		shutdown(s->fd, SHUT_WR);
}

static void side_read(struct relay *r, struct side *s)
{
	struct side *to = s->other;
	ssize_t n = read(s->fd, r->bytes, BYTES), sent;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		pair_kill(r, s->pair);
		return;
	}
	if (n == 0) {
		s->ended = true;
		side_finish(r, to);
		side_watch(r, s);
		return;
	}
	sent = write(to->fd, r->bytes, (size_t)n);
	if (sent == n)
		return;
	if (sent < 0 && errno != EAGAIN && errno != ENOTCONN) {
		pair_kill(r, s->pair);
		return;
	}
	sent = sent < 0 ? 0 : sent;
	if (!side_hold(to, r->bytes + sent, (size_t)(n - sent))) {
		pair_kill(r, s->pair);
		return;
	}
	side_watch(r, to);
	side_watch(r, s);
}

static void side_write(struct relay *r, struct side *s)
{
	ssize_t n = write(s->fd, s->held + s->held_at, s->held_end - s->held_at);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		pair_kill(r, s->pair);
		return;
	}
	s->held_at += (uint32_t)n;
	if (s->held_at < s->held_end)
		return;
	free(s->held);
	s->held = NULL;
	if (s->other->ended)
		side_finish(r, s);
	side_watch(r, s);
	side_watch(r, s->other);
}

static bool side_add(struct relay *r, struct side *s, struct side *other, struct pair *p, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };
	int one = 1;

	s->fd = fd;
	s->other = other;
	s->pair = p;
	s->watching = EPOLLIN;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0;
}

static void relay_pair(struct relay *r, int client_fd)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pair *p = calloc(1, sizeof(*p));

	if (fd < 0 || !p ||
	    (connect(fd, (struct sockaddr *)&r->upstream, sizeof(r->upstream)) != 0 && errno != EINPROGRESS)) {
		close(client_fd);
		if (fd >= 0)
			close(fd);
		free(p);
		return;
	}
	p->client.fd = client_fd;
	p->upstream.fd = fd;
	if (!side_add(r, &p->client, &p->upstream, p, client_fd) || !side_add(r, &p->upstream, &p->client, p, fd))
		pair_kill(r, p);
}

static void relay_accept(struct relay *r)
{
	for (int i = 0; i < 64; i++) {
		int fd = accept4(r->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		relay_pair(r, fd);
	}
}

static void side_event(struct relay *r, struct side *s, uint32_t events)
{
	if (s->held && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		side_write(r, s);
	if (!s->pair->dead && (s->watching & EPOLLIN) && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		side_read(r, s);
	else if (!s->pair->dead && !s->held && (events & (EPOLLERR | EPOLLHUP)) && s->ended)
		pair_kill(r, s->pair);
}

static void relay_turn(struct relay *r)
{
	struct epoll_event evs[EVENTS];
	int n = epoll_wait(r->epoll_fd, evs, EVENTS, 1000);

	for (int i = 0; i < n; i++) {
		struct side *s = evs[i].data.ptr;

		if (!s)
			relay_accept(r);
		else if (!s->pair->dead)
			side_event(r, s, evs[i].events);
	}
	while (r->dead) {
		struct pair *p = r->dead;

		r->dead = p->next_dead;
		free(p->client.held);
		free(p->upstream.held);
		free(p);
	}
}

static bool addr_read(char *text, struct sockaddr_in *ret)
{
	char *colon = strchr(text, ':');

	if (!colon)
		return false;
	*colon = '\0';
	memset(ret, 0, sizeof(*ret));
	ret->sin_family = AF_INET;
	ret->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	return inet_pton(AF_INET, text, &ret->sin_addr) == 1;
}

static bool relay_open(struct relay *r, const struct sockaddr_in *at)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	int one = 1;

	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (r->epoll_fd < 0 || r->listen_fd < 0)
		return false;
	setsockopt(r->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return bind(r->listen_fd, (const struct sockaddr *)at, sizeof(*at)) == 0 && listen(r->listen_fd, 4096) == 0 &&
	       epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->listen_fd, &ev) == 0;
}

int main(int argc, char **argv)
{
	static struct relay r; /* its buffer is too large for a stack */
	struct sockaddr_in at;
	struct rlimit files;

	if (argc != 3 || !addr_read(argv[1], &at) || !addr_read(argv[2], &r.upstream)) {
		fputs("usage: relay LISTEN-ADDRESS:PORT UPSTREAM-ADDRESS:PORT\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_stop);
	signal(SIGINT, on_stop);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (!relay_open(&r, &at)) {
		perror("relay: cannot listen");
		return 1;
	}
	while (!relay_stop)
		relay_turn(&r);
	return 0;
}
