/* The instances of one service, kept parsed, so that a change of one parses one: the members as they stand in Redis, and beside each that is
 * readable its endpoint. Both in one order: the readable ones first, by address, for control sorts nothing then that is sorted
 * already; the unreadable behind them.
 *
 * What a change leaves behind (its former texts) stays until all is parsed anew: `stale` counts it, and its owner asks for that at
 * REDIS_STALE_MAX. Thread: its owner's; redis_known_parse() any, while nobody else looks. */
#ifndef OUTRIDER_PLUGINS_REDIS_KNOWN_H
#define OUTRIDER_PLUGINS_REDIS_KNOWN_H

#include "base/arena.h"
#include "plugin.h"
#include "redis_members.h"

#define REDIS_STALE_MAX (1u << 20)  /* bytes */
#define REDIS_TEXTS_MAX (64u << 20) /* bytes of the texts of all endpoints */

struct redis_known { /* redis_known_init() */
	struct redis_members members;
	struct registry_endpoint *at; /* owned: of members 0 to n - 1; texts in the arena */
	size_t n, cap;
	struct arena texts;
	size_t stale;
};

enum redis_change {
	REDIS_SAME, /* nothing is different */
	REDIS_CHANGED,
	REDIS_UNABLE, /* memory is short, or a bound is reached; nothing was changed: read all */
};

/* Takes the members; *m is empty then. */
void redis_known_init(struct redis_known *k, struct redis_members *m);
void redis_known_release(struct redis_known *k); /* twice harmless */
/* Once, before anything else. What is not readable harms nobody else. false: no memory; release it. */
bool redis_known_parse(struct redis_known *k) MUST_CHECK;
/* One instance as Redis says that it is: added or changed; value NULL: it is not there. */
enum redis_change redis_known_put(struct redis_known *k, struct str id, const struct str *value) MUST_CHECK;

#endif
