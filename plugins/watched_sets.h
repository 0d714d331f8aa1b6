/* The services that control watches, for registries that know all sets at once (file, docker): tells what changed of them.
 * Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_WATCHED_SETS_H
#define OUTRIDER_PLUGINS_WATCHED_SETS_H

#include "base/table.h"
#include "file_endpoints.h"

struct watched_sets {
	struct table table; /* of struct watched_set */
	struct registry_events events;
	void *arg;
};

void watched_sets_init(struct watched_sets *s, const struct registry_events *events, void *arg, uint64_t seed);
void watched_sets_release(struct watched_sets *s);
/* Watched already: its set is told again by the next watched_sets_tell(). false: no memory, or too many. */
bool watched_sets_add(struct watched_sets *s, struct str service) MUST_CHECK;
void watched_sets_remove(struct watched_sets *s, struct str service);
/* on_endpoints and on_gone for whatever is not what was told last. false: memory was short for some. */
bool watched_sets_tell(struct watched_sets *s, const struct file_endpoints *now) MUST_CHECK;

#endif
