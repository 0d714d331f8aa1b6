/* A plain service of the swarm tests, as somebody who never heard of agents writes one: a thread for each connection.
 *
 *     handler [--listen ADDRESS:PORT] [--exit at-once|graceful]
 *
 * With FIRST in its environment it says whether its port 4140 was open at its first instruction.
 *
 * Bodies of requests are read and dropped, so that it also stands for a collector of spans.
 *
 *     /            its host name                         /slow?MS       the same, MS milliseconds later
 *     /events      a line each 100 ms, for ever          /env?NAME      that variable
 *     /from        the caller's address                  Upgrade: websocket, any path: 101, then an echo of bytes
 *
 * SIGTERM: at-once (the default, what a Go program does that has no handler of it) ends in mid-request; graceful ends when the
 * requests under way are answered, and with the number of requests that it cut, for the test to count. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char host_name[128];
static atomic_int under_way;
static atomic_bool stopping;

static void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
	nanosleep(&t, NULL);
}

static bool send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

static bool reply(int fd, const char *text)
{
	char out[2048];
	int n = snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n%s", strlen(text),
		stopping ? "Connection: close\r\n" : "", text);
	return send_all(fd, out, (size_t)n) && !stopping;
}

static bool stream_events(int fd)
{
	char line[64];
	if (!send_all(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", 53))
		return false;
	for (unsigned i = 0;; i++) {
		int n = snprintf(line, sizeof(line), "data: %u\n\n", i);
		if (!send_all(fd, line, (size_t)n))
			return false;
		pause_ms(100);
	}
}

static bool echo(int fd)
{
	char buf[4096];
	ssize_t n;
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

	if (!send_all(fd, head, sizeof(head) - 1))
		return false;
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		if (!send_all(fd, buf, (size_t)n))
			break;
	return false;
}

static bool tell_caller(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char text[INET_ADDRSTRLEN + 2] = "?";

	if (getpeername(fd, (struct sockaddr *)&a, &len) == 0 && a.sin_family == AF_INET)
		inet_ntop(AF_INET, &a.sin_addr, text, sizeof(text));
	return reply(fd, text);
}

/* true: another request may come. */
static bool answer(int fd, char *head)
{
	char *path = strchr(head, ' '), *query, *end;

	if (!path || !(end = strchr(++path, ' ')))
		return false;
	if (strcasestr(end, "\nupgrade: websocket"))
		return echo(fd);
	bool last = strcasestr(end, "\nconnection: close") != NULL;
	*end = '\0';
	query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	if (strcmp(path, "/events") == 0)
		return stream_events(fd);
	if (strcmp(path, "/slow") == 0)
		pause_ms(query ? strtol(query, NULL, 10) : 100);
	bool good;
	if (strcmp(path, "/env") == 0 && query)
		good = reply(fd, getenv(query) ? getenv(query) : "");
	else
		good = strcmp(path, "/from") == 0 ? tell_caller(fd) : reply(fd, host_name);
	return good && !last;
}

static size_t body_length(const char *head)
{
	const char *field = strcasestr(head, "\ncontent-length:");
	return field ? strtoul(field + 16, NULL, 10) : 0;
}

/* What comes is nobody's business here. */
static bool skip(int fd, size_t n)
{
	char buf[4096];

	while (n) {
		ssize_t got = recv(fd, buf, n < sizeof(buf) ? n : sizeof(buf), 0);
		if (got <= 0)
			return false;
		n -= (size_t)got;
	}
	return true;
}

static void *serve(void *arg)
{
	int fd = (int)(long)arg;
	char buf[16384];
	size_t n = 0;
	bool more = true;

	while (more) {
		buf[n] = '\0';
		char *end = strstr(buf, "\r\n\r\n");
		if (!end) {
			ssize_t got = n < sizeof(buf) - 1 ? recv(fd, buf + n, sizeof(buf) - 1 - n, 0) : 0;
			if (got <= 0)
				break;
			n += (size_t)got;
			continue;
		}
		under_way++;
		end[2] = '\0';
		size_t used = (size_t)(end + 4 - buf), body = body_length(buf), here = n - used < body ? n - used : body;
		more = skip(fd, body - here) && answer(fd, buf);
		under_way--;
		used += here;
		memmove(buf, buf + used, n - used);
		n -= used;
	}
	close(fd);
	return NULL;
}

static void on_term(int signo)
{
	(void)signo;
	stopping = true;
}

static int listen_at(const char *where)
{
	char host[64];
	const char *colon = strrchr(where, ':');
	struct sockaddr_in a = { .sin_family = AF_INET };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(host, sizeof(host), "%.*s", (int)(colon ? colon - where : 0), where);
	a.sin_port = htons((uint16_t)(int)strtol(colon ? colon + 1 : "8080", NULL, 10));
	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1024) == 0 ? fd : -1;
}

/* The first thing that it does. */
static bool is_open(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool open = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	close(fd);
	return open;
}

int main(int argc, char **argv)
{
	const char *at = "0.0.0.0:8080";
	bool graceful = false, first = getenv("FIRST") != NULL;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--listen") == 0)
			at = argv[i + 1];
		else if (strcmp(argv[i], "--exit") == 0)
			graceful = strcmp(argv[i + 1], "graceful") == 0;
	}
	gethostname(host_name, sizeof(host_name) - 1);
	int fd = listen_at(at);
	if (fd < 0) {
		fprintf(stderr, "handler: %s: %s\n", at, strerror(errno));
		return 1;
	}
	if (first)
		printf("handler: 4140 %s\n", is_open(4140) ? "open" : "closed"), fflush(stdout);
	/* A first process of a namespace has no default actions. */
	struct sigaction term = { .sa_handler = on_term };
	sigaction(SIGTERM, &term, NULL);
	pthread_attr_t small;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 128 * 1024);
	pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
	while (!stopping) {
		int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC), one = 1;
		pthread_t t;
		if (c < 0)
			continue;
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (pthread_create(&t, &small, serve, (void *)(long)c) != 0)
			close(c);
	}
	int cut = under_way;
	if (graceful) {
		close(fd);
		for (int i = 0; i < 500 && under_way; i++)
			pause_ms(10);
		cut = under_way;
	}
	printf("handler: cut %d\n", cut);
	return 0;
}
