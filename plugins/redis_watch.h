/* One service as Redis knows it: read, and read again when a message or the clock says so; delivered when it changed.
 *
 *     ask ───> all read ──> kept and compared ──(changed)──> parsed aside ──> on_endpoints
 *     hear ──> these instances read ──(changed)──> put into what is known ──> on_endpoints
 *
 * A message that names an instance has that one read, at once after quiet. REDIS_FEW_BURST such readings in a row may be had, then one in
 * each REDIS_WATCH_GAP; ids that come meanwhile wait, and when they are more than REDIS_FEW_MAX all is read instead, as for every
 * message that names none. So a burst costs a few whole readings however long it is, and the poll remains the truth. All is
 * read too when Redis refuses to read a few (a user without the right to ZSCORE) and while nobody may be forgotten (below).
 *
 * What is missing without having been withdrawn is kept for one lease (grace) after the connection was down, or when the data set
 * has another name than before (FLUSHALL, a restart without data, another server): then its own agent has had no chance to say
 * that it lives. Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_REDIS_WATCH_H
#define OUTRIDER_PLUGINS_REDIS_WATCH_H

#include "plugin.h"
#include "redis_calls.h"
#include "redis_members.h"
#include "redis_registry.h"

#define REDIS_WATCH_GAP (100 * USEC_MS) /* between two whole readings of one service */
#define REDIS_FEW_BURST 8u              /* readings of a few instances in a row before they keep that gap */
#define REDIS_WITHDRAWN_MAX 1024u       /* remembered of one service in one grace */

struct redis_watcher { /* what all watches of a registry share */
	struct loop *loop;
	struct redis_calls *calls; /* borrowed */
	usec poll, lease;
	usec grace_until; /* of all; 0: none */
	struct rng rng;
	struct registry_events events;
	void *arg;
	void (*said)(void *arg, struct str service, const struct resp_value *v); /* an error of Redis, or that all was well */
	void *said_arg;
};

struct redis_watch;

struct redis_watch *redis_watch_new(struct redis_watcher *of, struct str service) MUST_CHECK; /* NULL: no memory, name too long */
void redis_watch_free(struct redis_watch *w); /* NULL is fine; not inside its callbacks */
struct str redis_watch_service(const struct redis_watch *w);
bool redis_watch_answers(const struct redis_watch *w); /* its last reading was good, or there was none yet */
void redis_watch_ask(struct redis_watch *w); /* soon; no callback inside */
void redis_watch_again(struct redis_watch *w); /* as ask, and deliver it even if it is the same */
/* A message named that instance: it came or changed, or left by its own will (withdrawn). Believed is only what Redis says then. Not
 * inside callbacks of the link that asks. */
void redis_watch_hear(struct redis_watch *w, struct str id, bool withdrawn);

#endif
