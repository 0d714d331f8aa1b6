/* Fifty sidecars of one process on equal networks, as `outrider node` has them, ask DNS for ten services each: how many questions reach the
 * server? The product's own registry, resolver and shared answers; only the containers are this machine.
 *
 *     questions json SERVER:PORT MS      prints one line of JSON when the time is over: sets that sidecars heard per second */
#include "base/mem.h"
#include "net/answers.h"
#include "net/netspace.h"
#include "net/resolve.h"
#include "net/timer.h"
#include "plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { SIDECARS = 50, SERVICES = 10 };

extern const struct registry_ops registry_dns;

static uint64_t heard;

_Noreturn static void die(const char *what, const struct err *err)
{
	fprintf(stderr, "questions: %s: %s\n", what, err ? err->text : "failed");
	exit(1);
}

static void on_endpoints(void *arg, struct str service, const struct registry_endpoint *at, size_t n)
{
	(void)arg;
	(void)service;
	(void)at;
	heard += n > 0;
}

static void on_gone(void *arg, struct str service)
{
	(void)arg;
	(void)service;
}

static void on_trouble(void *arg, const char *why)
{
	(void)arg;
	if (*why)
		fprintf(stderr, "questions: %s\n", why);
}

/* What a keeper would do, here without another namespace. */
static void refill(void *arg, struct netspace *ns, enum netspace_kind kind, unsigned n)
{
	static const int families[NETSPACE_KINDS] = { AF_INET, AF_INET6, AF_INET, AF_INET6, AF_UNIX, 0 };
	static const int types[NETSPACE_KINDS] = { SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM, SOCK_DGRAM, SOCK_STREAM, 0 };

	(void)arg;
	for (unsigned i = 0; i < n && families[kind]; i++) {
		int fd = socket(families[kind], types[kind] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return;
		netspace_put(ns, kind, fd);
	}
}

static void on_end(void *arg)
{
	loop_stop(arg);
}

static void start_one(struct loop *loop, const char *server, struct answers *answers)
{
	static const struct netspace_ops ops = { .refill = refill };
	static const struct registry_events events = { on_endpoints, on_gone, on_trouble };
	static const struct resolver_options only = { .dns_only = true };
	struct err err = { "" };
	struct netspace *ns = netspace_new(loop, server, &ops, NULL);

	if (!ns)
		die("namespace", NULL);
	netspace_begin(ns);
	netspace_share(ns, answers, 1);
	struct registry_config c = { .loop = loop, .ns = ns, .address = STR("") };
	c.dns = c.resolver = resolver_new_with(loop, ns, &only, &err);
	struct registry *r = c.dns ? registry_dns.open(&c, &events, NULL, &err) : NULL;
	if (!r)
		die("registry", &err);
	for (unsigned i = 0; i < SERVICES; i++) {
		char name[16];
		snprintf(name, sizeof(name), "u%u", i);
		if (!registry_dns.watch(r, str_of(name)))
			die("watch", NULL);
	}
}

int main(int argc, char **argv)
{
	struct err err = { "" };
	struct timer end;

	if (argc != 4) {
		fprintf(stderr, "usage: questions json SERVER:PORT MS\n");
		return 2;
	}
	struct loop *loop = loop_new(&err);
	struct answers *answers = loop ? answers_new(&err) : NULL;
	if (!answers)
		die("start", &err);
	for (unsigned i = 0; i < SIDECARS; i++)
		start_one(loop, argv[2], answers);
	usec span = strtoull(argv[3], NULL, 10) * USEC_MS;
	timer_init(&end, on_end, loop);
	timer_set(loop, &end, loop_touch(loop) + span);
	loop_run(loop);
	printf("{\"heard\": %.1f}\n", (double)heard * USEC_SEC / (double)span);
	return 0; /* the rest ends with the process */
}
