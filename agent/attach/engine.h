/* The keeper's view of the container engine: which containers run on this node, kept true by lists, quick by events.
 *
 *     _ping (version) ─> info ─> events, opened first ─> containers/json ─> containers/ID/json of each that is new or changed
 *                                   └─ an event is a hint: that container is asked for at once      └─> container(), gone()
 *
 * GETs of that closed list only. The list is asked again every ENGINE_LIST_EVERY and whenever the event stream had to be opened anew.
 * While the engine is away, what was known stays: nobody is gone because nobody answers.
 * Facts: shared knowledge "docker-swarm", sections 1 to 3. Bounds: ENGINE_CONTAINERS_MAX, ENGINE_ASKS at a time.
 * Owner and thread: the loop's. */
#ifndef OUTRIDER_ATTACH_ENGINE_H
#define OUTRIDER_ATTACH_ENGINE_H

#include "attach/container.h"
#include "net/addr.h"
#include "net/loop.h"

#define ENGINE_CONTAINERS_MAX 4096u
#define ENGINE_ASKS 32u
#define ENGINE_LIST_EVERY (30 * USEC_SEC)
#define ENGINE_API_MIN 41u /* 1.41, engine 20.10 */
#define ENGINE_API_MAX 55u

struct engine;

struct engine_info { /* texts are valid during the call */
	struct str node, node_id, version;
	unsigned api; /* 41: 1.41 is spoken */
	bool swarm, manager;
};

struct engine_config {
	struct loop *loop;
	struct addr to; /* a Unix socket */
	/* It was made, runs, is paused, or what is said of it changed; borrowed during the call. false: memory is short, so say it again with the
	 * next list. */
	bool (*container)(void *arg, const struct container *c);
	/* What the engine says of it cannot be taken, or it says nothing; why has the remedy, and comes once per container. What was told of it
	 * before stays; it is asked for again with each list. The others are not concerned. */
	void (*unread)(void *arg, struct str id, const char *why);
	void (*joined)(void *arg); /* one that does not run yet stands on a network: see engine_starting() */
	void (*stopping)(void *arg, struct str id); /* it was told to stop, by its stop signal or one that none survives */
	void (*gone)(void *arg, struct str id); /* it ended or was removed */
	void (*listed)(void *arg);              /* the first list was worked through */
	void (*info)(void *arg, const struct engine_info *i);
	void (*trouble)(void *arg, const char *why); /* with the remedy; "" when it is over */
	void *arg;
};

struct engine *engine_open(const struct engine_config *config, struct err *err) MUST_CHECK;
void engine_again(struct engine *e); /* all that is known is told once more, as if it were new */
/* The id of the one container that is starting and stands on a network already; {NULL, 0} when another one may be starting as well, whether
 * it wants a sidecar or not, or when the events have not been heard for long enough to know. Valid until the loop turns. */
struct str engine_starting(const struct engine *e);
void engine_close(struct engine *e); /* NULL is fine; not inside its callbacks */

#endif
