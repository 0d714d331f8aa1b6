/* One active check, run once: a connection, or a request and a judgement on its reply. Thread: control. */
#ifndef OUTRIDER_CONTROL_HEALTH_PROBE_H
#define OUTRIDER_CONTROL_HEALTH_PROBE_H

#include "net/fetch.h"
#include "net/stream.h"
#include "net/timer.h"
#include "proxy/spec.h"

#define HEALTH_PATH_MAX 1024u
#define HEALTH_TEXT_MAX 256u

struct health_rule { /* of an upstream */
	bool http;       /* else a connection is enough */
	char path[HEALTH_PATH_MAX + 1];
	char host[HEALTH_TEXT_MAX]; /* the service's name */
	char body[HEALTH_TEXT_MAX]; /* "": any */
	struct status_set passes;   /* statuses that pass */
	usec interval, timeout;
	unsigned rise, fall;
	uint16_t port; /* 0: the endpoint's */
	bool starts_down;
};

struct health_probe {
	struct loop *loop;
	struct netspace *ns;
	struct stream stream;
	struct timer timer; /* of a connection; a request has its own */
	struct fetch *fetch;
	const struct health_rule *rule; /* of the run */
	bool connecting;
	/* Once per run, never inside health_probe_run(); why is "" when it passed. The probe may be run again or ended inside. */
	void (*done)(void *arg, const char *why);
	void *arg;
};

void health_probe_init(struct health_probe *p, struct loop *loop, struct netspace *ns, void (*done)(void *arg, const char *why),
		       void *arg);
/* Begins. fetcher: for rules of HTTP. It must not be running. rule must live until it is done. */
void health_probe_run(struct health_probe *p, struct fetcher *fetcher, const struct addr *to, const struct health_rule *rule);
void health_probe_end(struct health_probe *p); /* done is not called; harmless when it does not run */

#endif
