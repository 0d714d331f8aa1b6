/* Times a program's first answered byte: starts COMMAND, tries to connect every 50 µs, asks for a small reply, takes the time
 * from just before exec until the first byte of an answer has come, ends the program again, prints one line of JSON. */
#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define GIVE_UP (10 * NS_PER_SEC)
#define PAUSE_NS 50000L
#define STOP_TRIES 500 /* of 10 ms, before SIGKILL */

static const char request[] = "GET /128/00000000 HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";

static void pause_ns(long ns)
{
	struct timespec t = { 0, ns };

	nanosleep(&t, NULL);
}

/* One try; true when a reply with status 200 begins to arrive. */
static bool answered(const struct sockaddr_in *addr)
{
	char in[256];
	bool good = false;
	int fd = bench_connect(addr);
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (fd < 0)
		return false;
	if (poll(&p, 1, 1000) == 1 && send(fd, request, sizeof(request) - 1, 0) == (ssize_t)sizeof(request) - 1) {
		p.events = POLLIN;
		good = poll(&p, 1, 1000) == 1 && recv(fd, in, sizeof(in), 0) >= 12 && memcmp(in, "HTTP/1.1 200", 12) == 0;
	}
	close(fd);
	return good;
}

static pid_t start(char **argv, uint64_t core, uint64_t *began)
{
	pid_t pid = fork();
	cpu_set_t set;

	if (pid != 0)
		return pid;
	setpgid(0, 0);
	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (core != UINT64_MAX)
		sched_setaffinity(0, sizeof(set), &set);
	*began = bench_now();
	execvp(argv[0], argv);
	_exit(127);
}

/* SIGTERM, five seconds, SIGKILL: to the group, since some proxies are several processes. */
static void stop(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	for (int i = 0; i < STOP_TRIES; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return;
		pause_ns(10000000);
	}
	kill(-pid, SIGKILL);
	waitpid(pid, &status, 0);
}

int first_main(int argc, char **argv)
{
	const char *target = NULL;
	uint64_t core = UINT64_MAX, begin = bench_now(), at = 0;
	const struct opt opts[] = { { "target", OPT_TEXT, &target }, { "core", OPT_U64, &core } };
	int used = bench_options(argc, argv, opts, 2);
	uint64_t *began = mmap(NULL, sizeof(*began), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sockaddr_in addr;
	pid_t pid;

	if (!bench_addr(target, &addr) || used >= argc || began == MAP_FAILED || (core != UINT64_MAX && core >= CPU_SETSIZE))
		bench_die("first needs --target ADDRESS:PORT -- COMMAND");
	prctl(PR_SET_TIMERSLACK, 1UL);
	pid = start(argv + used, core, began);
	if (pid < 0)
		bench_die("cannot fork: %s", strerror(errno));
	while (!at && bench_now() - begin < GIVE_UP && waitpid(pid, NULL, WNOHANG) == 0) {
		if (answered(&addr))
			at = bench_now();
		else
			pause_ns(PAUSE_NS);
	}
	stop(pid);
	if (!at)
		bench_die("%s: no answer", argv[used]);
	printf("{\"what\":\"first\",\"us\":%.1f}\n", (double)(at - *began) / 1e3);
	return 0;
}
