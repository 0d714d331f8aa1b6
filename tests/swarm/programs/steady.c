/* A steady load for the swarm tests: requests at fixed times, whatever became of those before; each outcome counted and said with
 * its time. Threads, one connection each.
 *
 *     steady TARGET:PORT SECONDS RATE [--close] [--host NAME] [--path PATH] [--threads N] [--timeout MS]
 *
 * --close: a connection for each request; else kept, and made anew when the other end closed it between requests. A request on a
 * kept connection that was closed before any byte of a reply came is tried once more on a new one, as HTTP clients do (RFC 9110,
 * section 9.2.2), and counted as `again`. Ends after SECONDS, or at SIGTERM; prints one JSON object then. Latency counts from the time when a request was due. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WORDS 32
#define STEP_US 5
#define LATENCIES (2000000 / STEP_US) /* two seconds */

static struct sockaddr_in target;
static double seconds, rate;
static bool close_each;
static const char *host = "quotes", *path = "/";
static int threads = 16, timeout_ms = 5000;
static double began;
static volatile sig_atomic_t stopped;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t ok, again, late, latencies[LATENCIES + 1];
static struct { char word[160]; uint64_t n; double first, last; } bad[WORDS], by[WORDS];

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void until(double when)
{
	double left = when - now();
	if (left <= 0)
		return;
	struct timespec t = { (time_t)left, (long)((left - (double)(time_t)left) * 1e9) };
	nanosleep(&t, NULL);
}

static void add(void *list, const char *word, size_t n)
{
	typeof(&bad[0]) l = list;
	double at = now() - began;
	for (int i = 0; i < WORDS; i++) {
		if (l[i].n && (strncmp(l[i].word, word, n) != 0 || l[i].word[n]))
			continue;
		if (!l[i].n++) {
			for (size_t k = 0; k < n && k < sizeof(l[i].word) - 1; k++)
				l[i].word[k] = word[k] < ' ' || word[k] == '"' || word[k] == '\\' ? ' ' : word[k];
			l[i].first = at;
		}
		l[i].last = at;
		return;
	}
}

static int dial(void)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval limit = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&target, sizeof(target)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The reply, whole. 0: none came, the connection is gone; -1: errno. */
static ssize_t receive(int fd, char *buf, size_t room)
{
	size_t n = 0, whole = 0;
	while (!whole || n < whole) {
		ssize_t got = recv(fd, buf + n, room - 1 - n, 0);
		if (got <= 0) {
			if (n == 0 && (got == 0 || errno == ECONNRESET))
				return 0;
			if (got == 0)
				errno = EPIPE; /* cut */
			return -1;
		}
		n += (size_t)got;
		buf[n] = '\0';
		char *end = strstr(buf, "\r\n\r\n"), *length = strcasestr(buf, "\ncontent-length:");
		if (end)
			whole = (size_t)(end + 4 - buf) + (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
	}
	return (ssize_t)n;
}

static void outcome(const char *buf, ssize_t n, double due)
{
	char word[160];
	double took = now() - due;
	size_t step = (size_t)(took * 1e6 / STEP_US);

	pthread_mutex_lock(&lock);
	latencies[step < LATENCIES ? step : LATENCIES]++;
	if (n > 12 && strncmp(buf + 9, "200", 3) == 0) {
		const char *body = strstr(buf, "\r\n\r\n") + 4;
		ok++;
		add(by, body, strcspn(body, "\r\n") < 64 ? strcspn(body, "\r\n") : 64);
	} else if (n > 12) {
		const char *reason = strcasestr(buf, "\nx-outrider-reason:");
		int k = snprintf(word, sizeof(word), "%.3s%.*s", buf + 9, reason ? (int)strcspn(reason + 19, "\r\n") : 0, reason ? reason + 19 : "");
		add(bad, word, (size_t)k);
	} else {
		const char *what = n == 0 ? "closed without a reply" : strerror(errno);
		add(bad, what, strlen(what));
	}
	pthread_mutex_unlock(&lock);
}

static void count_again(void)
{
	pthread_mutex_lock(&lock);
	again++;
	pthread_mutex_unlock(&lock);
}

/* One request; the connection to go on with, or -1. */
static int ask(int fd, double due)
{
	char out[512], in[8192];
	bool kept = fd >= 0;
	int n = snprintf(out, sizeof(out), "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, host, close_each ? "Connection: close\r\n" : "");
	ssize_t got = -1;

	for (int tries = 0; tries < 2; tries++) {
		if (fd < 0)
			fd = dial();
		if (fd < 0)
			break;
		got = send(fd, out, (size_t)n, MSG_NOSIGNAL) == n ? receive(fd, in, sizeof(in)) : errno == EPIPE || errno == ECONNRESET ? 0 : -1;
		if (got != 0 || !kept)
			break;
		close(fd);
		fd = -1;
		kept = false;
		count_again();
	}
	outcome(in, got, due);
	if (fd >= 0 && (got <= 0 || close_each || strcasestr(in, "\nconnection: close"))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void *work(void *arg)
{
	double due = began + (double)(long)arg / rate;
	int fd = -1;

	for (; due < began + seconds && !stopped; due += threads / rate) {
		until(due);
		if (stopped)
			break;
		if (now() - due > 0.1) {
			pthread_mutex_lock(&lock);
			late++;
			pthread_mutex_unlock(&lock);
		}
		fd = ask(fd, due);
	}
	return NULL;
}

static double quantile(double q)
{
	uint64_t sum = 0, all = 0;
	for (size_t i = 0; i <= LATENCIES; i++)
		all += latencies[i];
	for (size_t i = 0; i <= LATENCIES; i++) {
		sum += latencies[i];
		if ((double)sum >= q * (double)all)
			return (double)(i + 1) * STEP_US / 1000;
	}
	return 0;
}

static void print_list(const char *name, void *list)
{
	typeof(&bad[0]) l = list;
	printf(", \"%s\": {", name);
	for (int i = 0; i < WORDS && l[i].n; i++)
		printf("%s\"%s\": {\"n\": %lu, \"first\": %.3f, \"last\": %.3f}", i ? ", " : "", l[i].word, (unsigned long)l[i].n, l[i].first, l[i].last);
	printf("}");
}

static void on_stop(int signo)
{
	(void)signo;
	stopped = 1;
}

static void options(int argc, char **argv)
{
	char *colon = argc > 3 ? strrchr(argv[1], ':') : NULL;
	if (!colon || inet_pton(AF_INET, (*colon = '\0', argv[1]), &target.sin_addr) != 1) {
		fputs("usage: steady TARGET:PORT SECONDS RATE [--close] [--host NAME] [--path PATH] [--threads N] [--timeout MS]\n", stderr);
		exit(2);
	}
	target.sin_family = AF_INET;
	target.sin_port = htons((uint16_t)(int)strtol(colon + 1, NULL, 10));
	seconds = strtod(argv[2], NULL);
	rate = strtod(argv[3], NULL);
	for (int i = 4; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(argv[i], "--close") == 0) {
			close_each = true;
			continue;
		}
		if (strcmp(argv[i], "--host") == 0)
			host = value;
		else if (strcmp(argv[i], "--path") == 0)
			path = value;
		else if (strcmp(argv[i], "--threads") == 0)
			threads = (int)strtol(value, NULL, 10);
		else if (strcmp(argv[i], "--timeout") == 0)
			timeout_ms = (int)strtol(value, NULL, 10);
		i++;
	}
}

int main(int argc, char **argv)
{
	pthread_t t[256];

	options(argc, argv);
	signal(SIGTERM, on_stop);
	if (threads > 256)
		threads = 256;
	began = now() + 0.05;
	for (long i = 0; i < threads; i++)
		pthread_create(&t[i], NULL, work, (void *)i);
	for (int i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	uint64_t failed = 0;
	for (int i = 0; i < WORDS; i++)
		failed += bad[i].n;
	printf("{\"ok\": %lu, \"failed\": %lu, \"again\": %lu, \"late\": %lu, \"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, \"max_ms\": %.3f",
		(unsigned long)ok, (unsigned long)failed, (unsigned long)again, (unsigned long)late, quantile(.5), quantile(.9), quantile(.99), quantile(.999),
		quantile(1));
	print_list("bad", bad);
	print_list("by", by);
	puts("}");
	return 0;
}
