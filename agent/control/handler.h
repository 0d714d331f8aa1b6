/* The service's own handler, as its agent sees it: does it take requests? /ready and registries follow.
 *
 *     listen   somebody listens on its port (asked of the kernel: the handler sees nothing of it); the default
 *     tcp      a connection can be made
 *     /path    GET answers 2xx or 3xx
 *     off      taken for granted
 *
 *     STARTING ──first success──> UP <──> DOWN (HANDLER_FALL failures in a row)
 *
 * A path is not asked for over a Unix socket: a connection is all that is tried there. Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_HANDLER_H
#define OUTRIDER_CONTROL_HANDLER_H

#include "base/text.h"
#include "control/options.h"
#include "net/resolve.h"

#define HANDLER_FALL 2u
#define HANDLER_TIMEOUT (2 * USEC_SEC)
#define HANDLER_SOON (100 * USEC_MS) /* between two looks until it is up for the first time */

enum handler_state { HANDLER_NONE /* the sidecar has none */, HANDLER_STARTING, HANDLER_UP, HANDLER_DOWN };

struct handler;

struct handler_config {
	struct loop *loop;
	struct netspace *ns;
	/* The state changed. Not inside handler_…. */
	void (*changed)(void *arg);
	void *arg;
};

struct handler *handler_new(const struct handler_config *config, struct err *err) MUST_CHECK;
void handler_free(struct handler *h); /* NULL is fine */
/* Options in force, first or new. */
void handler_options(struct handler *h, const struct options *o);
enum handler_state handler_state(const struct handler *h);
const char *handler_word(enum handler_state s); /* "none", "starting", "up", "down" */
/* Asks the kernel now, of a handler that is up: does nobody listen any more? true once; false also when it cannot tell. The state
 * follows soon. */
bool handler_is_gone(struct handler *h);
/* Why it is not up: "nothing listens on 8080, but 3000 does". "" when it is. */
const char *handler_why(const struct handler *h);
usec handler_since(const struct handler *h); /* wall */

#endif
