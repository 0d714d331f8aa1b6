/* One GET to the container engine over its Unix socket, for the keeper: HTTP/1.0, so that the answer comes without chunks and ends
 * with the connection. A connection each: an answer that hangs (the engine answers for a container that is being started when it
 * has started) hinders no other. Facts: shared knowledge "docker-swarm", section 1.
 * Bounds: ENGINE_BODY_MAX bytes, ENGINE_TIME. Owner and thread: the loop's. */
#ifndef OUTRIDER_ATTACH_ENGINE_ASK_H
#define OUTRIDER_ATTACH_ENGINE_ASK_H

#include "base/text.h"
#include "net/stream.h"
#include "net/timer.h"

#define ENGINE_BODY_MAX (8u << 20)
#define ENGINE_HEAD_MAX 8192u
#define ENGINE_TIME (30 * USEC_SEC)
#define ENGINE_PATH_MAX 256u

struct engine_reply {
	int status;      /* 0: there was no answer, why says it */
	struct str head; /* with its status line */
	struct str body;
	const char *why;
	bool hopeless; /* asked again at once, it would end in the same way: too long, or no answer in time */
};

struct engine_ask {
	struct loop *loop;
	struct addr to;
	struct stream stream;
	struct timer timer;
	struct text in; /* head and body as they come */
	char path[ENGINE_PATH_MAX];
	bool open, hopeless;
	/* Called once for each start, not inside it; the ask may be started again or freed there. */
	void (*done)(void *arg, const struct engine_reply *r);
	void *arg;
};

void engine_ask_init(struct engine_ask *a, struct loop *loop, const struct addr *to, void (*done)(void *arg, const struct engine_reply *r),
	void *arg);
/* path: "/v1.41/containers/json", without spaces or line ends. One at a time. */
void engine_ask_start(struct engine_ask *a, const char *path);
void engine_ask_stop(struct engine_ask *a); /* done is not called; of a zeroed one harmless */
/* The value of a field in the head, any case; {NULL, 0}. */
struct str engine_field(struct str head, const char *name);

#endif
