/* Fifty sidecars in one process, with one real worker between the load client and the origin, whose specs are all replaced
 * at once ten times a second: what does a request of one of them feel of it?
 *
 *     sidecars LISTEN ORIGIN      SIGUSR1 begins and ends the replacing, SIGTERM ends the program
 *
 * Each sidecar has 20 upstreams of 8 endpoints; every second set of options differs in the policy of all of them, so that
 * nothing can be shared between successive specs. Control's work (build_spec) is done by this program's main thread, as in
 * the agent. When it ends it prints one line of JSON: rounds, and the longest of them. */
#include "base/mem.h"
#include "control/build.h"
#include "net/sockets.h"
#include "net/timer.h"
#include "proxy/worker.h"

#include <inttypes.h>
#include <signal.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIDECARS = 50, UPSTREAMS = 20, ENDPOINTS = 8 };
#define EVERY (100 * USEC_MS)

struct side {
	struct options *options[2]; /* what they say in turn */
	struct spec_sidecar *spec;
	int fd;
};

struct bench {
	struct loop *loop;
	struct worker *worker;
	struct slots *slots;
	struct side sides[SIDECARS];
	struct timer timer;
	struct sigwatch toggle, end;
	bool on;
	uint64_t rounds;
	usec longest;
};

_Noreturn static void die(const char *what, const struct err *err)
{
	fprintf(stderr, "sidecars: %s: %s\n", what, err ? err->text : "failed");
	exit(1);
}

static void released(void *arg, unsigned worker, struct spec_sidecar *spec)
{
	(void)arg;
	(void)worker;
	build_unref(spec);
}

static void put(struct options *o, const char *key, const char *value)
{
	struct err err = { "" };
	if (!options_set(o, LAYER_ENV, str_of(key), str_of(value), STR("bench"), &err))
		die(key, &err);
}

static struct options *make_options(unsigned side, unsigned turn, const char *listen, const char *origin)
{
	struct options *o = options_new();
	struct err err = { "" };
	char key[96], value[512], name[16];

	if (!o)
		die("options", NULL);
	snprintf(name, sizeof(name), "s%u", side);
	put(o, "outrider.service", name);
	put(o, "outrider.port", origin);
	put(o, "outrider.inbound", listen);
	put(o, "outrider.outbound", "off");
	put(o, "outrider.timeout.connect", turn ? "4s" : "3s");
	for (unsigned u = 0; u < UPSTREAMS; u++) {
		size_t n = 0;
		for (unsigned e = 0; e < ENDPOINTS; e++)
			n += (size_t)snprintf(value + n, sizeof(value) - n, "%s10.%u.%u.%u:8080",
				e ? "," : "", side, u, e + 1);
		snprintf(key, sizeof(key), "outrider.upstream.u%u.endpoints", u);
		put(o, key, value);
	}
	if (!options_check(o, COMMAND_SIDECAR, &err))
		die("options", &err);
	return o;
}

static void replace(struct bench *b, struct side *s, unsigned turn)
{
	struct err err = { "" };
	struct build_request q = { .options = s->options[turn],
		.command = COMMAND_SIDECAR,
		.slots = b->slots,
		.previous = s->spec };
	struct spec_sidecar *spec = build_spec(&q, &err);

	if (!spec)
		die("spec", &err);
	spec->refs++; /* the worker's */
	if (!worker_set_sidecar(b->worker, spec, &s->fd))
		die("worker", NULL);
	build_unref(s->spec);
	s->spec = spec;
}

static void on_timer(void *arg)
{
	struct bench *b = arg;
	usec from = clock_now();

	for (unsigned i = 0; i < SIDECARS; i++) {
		replace(b, &b->sides[i], (unsigned)(b->rounds & 1));
		sched_yield(); /* as attach/reloading.c does after each */
	}
	b->rounds++;
	usec took = clock_now() - from;
	b->longest = took > b->longest ? took : b->longest;
	timer_set(b->loop, &b->timer, loop_touch(b->loop) + EVERY);
}

static void on_toggle(void *arg, int signo)
{
	struct bench *b = arg;
	(void)signo;
	b->on = !b->on;
	timer_clear(&b->timer);
	if (b->on)
		timer_set(b->loop, &b->timer, loop_touch(b->loop) + EVERY);
}

static void on_end(void *arg, int signo)
{
	(void)signo;
	loop_stop(((struct bench *)arg)->loop);
}

static int open_port(const char *text)
{
	struct err err = { "" };
	struct addr a;
	int fd = addr_parse(str_of(text), &a, &err) ? socket_listen(NULL, &a, &err) : -1;
	if (fd < 0)
		die(text, &err);
	return fd;
}

static void start(struct bench *b, const char *listen, const char *origin)
{
	struct err err = { "" };
	b->loop = loop_new(&err);
	b->slots = slots_new(&err);
	struct worker_config cfg = { .buffers_max = 64u << 20,
		.max_sidecars = SLOTS_SIDECARS_MAX,
		.max_upstreams = SLOTS_UPSTREAMS_MAX,
		.max_endpoints = SLOTS_ENDPOINTS_MAX,
		.control = b->loop,
		.released = released,
		.arg = b };
	b->worker = b->loop && b->slots ? worker_new(&cfg, &err) : NULL;
	if (!b->worker)
		die("start", &err);
	timer_init(&b->timer, on_timer, b);
	for (unsigned i = 0; i < SIDECARS; i++) {
		struct side *s = &b->sides[i];
		s->fd = open_port(i ? "127.0.0.1:0" : listen);
		s->options[0] = make_options(i, 0, listen, origin);
		s->options[1] = make_options(i, 1, listen, origin);
		replace(b, s, 1);
	}
	if (!worker_start(b->worker, &err) || !sigwatch_on(&b->toggle, b->loop, SIGUSR1, on_toggle, b) ||
		!sigwatch_on(&b->end, b->loop, SIGTERM, on_end, b))
		die("start", &err);
}

int main(int argc, char **argv)
{
	static struct bench b;
	if (argc != 3) {
		fprintf(stderr, "usage: sidecars LISTEN ORIGIN\n");
		return 2;
	}
	start(&b, argv[1], argv[2]);
	loop_run(b.loop);
	worker_stop(b.worker);
	worker_join(b.worker);
	printf("{\"rounds\": %" PRIu64 ", \"longest_us\": %" PRIu64 "}\n", b.rounds, (uint64_t)b.longest);
	return 0; /* the rest ends with the process */
}
