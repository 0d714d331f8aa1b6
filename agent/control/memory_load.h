/* How much of the memory that its cgroup leaves to this process it uses.
 *
 *     load = ours / (ours + what is free below the limit)
 *
 * In a container that an agent shares with a handler (`outrider exec`), a handler that fills it does not make a small agent shed:
 * only what is ours can be given up by us. Where an agent has a container to itself (`outrider node`), all of it is ours: both halves, and
 * what the kernel counts there of their sockets, which is more than the program itself when connections are many. Page cache that the
 * kernel would drop (inactive_file) counts as free. Versions 2 and 1 of cgroups as a container sees them; 0 where there is no limit. Files
 * stay open: a sandbox may forbid to open them later. Thread: control's. */
#ifndef OUTRIDER_CONTROL_MEMORY_LOAD_H
#define OUTRIDER_CONTROL_MEMORY_LOAD_H

#include "base/str.h"

#define MEMORY_LOAD_LEAST (16u << 20) /* bytes: less than that is nothing to give up */

struct memory_load {
	uint64_t limit;           /* bytes, 0: none */
	int current, stat, statm; /* descriptors, -1: none */
	bool alone;               /* all in the cgroup is ours */
	bool old;                 /* version 1 */
};

/* NULL: /sys/fs/cgroup. Never fails: without a limit, or the right to read it, nothing is measured. */
void memory_load_open(struct memory_load *m, const char *directory, bool alone);
void memory_load_close(struct memory_load *m);
/* Percent, 0 .. 100. */
unsigned memory_load_now(const struct memory_load *m);

/* Pure. `used` of `limit` bytes by all in the cgroup, of these `cache` that can be dropped and `ours` by us. */
unsigned memory_load_of(uint64_t limit, uint64_t used, uint64_t cache, uint64_t ours);

#endif
