/* The bench's load program: the words of its command line and what its modes share. See bench.h. */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

_Noreturn void bench_die(const char *fmt, ...)
{
	va_list ap;

	fputs("load: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

const char *bench_pattern(void)
{
	static char *made; /* the program is one thread */
	uint32_t x = 12345;

	if (made)
		return made;
	made = malloc(BENCH_PERIOD + BENCH_RUN);
	if (!made)
		bench_die("out of memory");
	for (size_t i = 0; i < BENCH_PERIOD; i++) {
		x = x * 1664525u + 1013904223u;
		made[i] = (char)('!' + (x >> 24) % 90);
	}
	for (size_t i = BENCH_PERIOD; i < BENCH_PERIOD + BENCH_RUN; i++)
		made[i] = made[i - BENCH_PERIOD];
	return made;
}

bool bench_u64(const char *p, char stop, uint64_t *ret, const char **ret_end)
{
	uint64_t v = 0;
	const char *start = p;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (v > (UINT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(*p - '0');
	}
	if (p == start || *p != stop)
		return false;
	*ret = v;
	if (ret_end)
		*ret_end = p;
	return true;
}

bool bench_addr(const char *text, struct sockaddr_in *ret)
{
	char host[16];
	const char *colon = text ? strchr(text, ':') : NULL;
	uint64_t port;

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return false;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	memset(ret, 0, sizeof(*ret));
	ret->sin_family = AF_INET;
	if (inet_pton(AF_INET, host, &ret->sin_addr) != 1 || !bench_u64(colon + 1, '\0', &port, NULL) || port > 65535)
		return false;
	ret->sin_port = htons((uint16_t)port);
	return true;
}

static int tcp_socket(void)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int bench_listen(const struct sockaddr_in *addr)
{
	int one = 1, fd = tcp_socket();

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 && listen(fd, 4096) == 0)
		return fd;
	close(fd);
	return -1;
}

int bench_connect(const struct sockaddr_in *addr)
{
	int fd = tcp_socket();

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EINPROGRESS)
		return fd;
	close(fd);
	return -1;
}

void bench_raise_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static const struct opt *opt_find(const struct opt *opts, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++) {
		if (strncmp(word, "--", 2) == 0 && strcmp(word + 2, opts[i].name) == 0)
			return &opts[i];
	}
	return NULL;
}

int bench_options(int argc, char **argv, const struct opt *opts, size_t n)
{
	int i = 0;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const struct opt *o = opt_find(opts, n, argv[i]);

		if (!o)
			bench_die("unknown option %s", argv[i]);
		if (o->kind == OPT_FLAG) {
			*(bool *)o->to = true;
			continue;
		}
		if (++i >= argc)
			bench_die("--%s needs a value", o->name);
		if (o->kind == OPT_TEXT)
			*(const char **)o->to = argv[i];
		else if (!bench_u64(argv[i], '\0', o->to, NULL))
			bench_die("--%s %s: not a number", o->name, argv[i]);
	}
	return i < argc ? i + 1 : i;
}

static void usage(FILE *to)
{
	fputs("usage: load origin --listen ADDRESS:PORT\n"
	      "       load client --target ADDRESS:PORT [--connections N] [--size BYTES] [--milliseconds N] [--count N]\n"
	      "                   [--close | --rate PER_SECOND | --hold]\n"
	      "       load first --target ADDRESS:PORT [--core N] -- COMMAND…\n"
	      "client: closed loop by default; --close makes a connection per request; --rate sends at fixed times and\n"
	      "measures from the time when a request was due; --hold makes one request on each connection and keeps all\n"
	      "open until standard input ends. Each mode prints one line of JSON.\n",
	      to);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *word;
		int (*run)(int argc, char **argv);
	} modes[] = { { "origin", origin_main }, { "client", client_main }, { "first", first_main } };

	signal(SIGPIPE, SIG_IGN);
	bench_raise_files();
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].word) == 0)
			return modes[i].run(argc - 2, argv + 2);
	}
	usage(argc > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
	return argc > 1 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
