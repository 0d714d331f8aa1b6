/* What the kernel says of this process, under the names that Prometheus' client libraries use. A page's worth of system calls; what a sandbox
 * does not tell is 0. Thread: control's. */
#ifndef OUTRIDER_CONTROL_PROCESS_STATS_H
#define OUTRIDER_CONTROL_PROCESS_STATS_H

#include "base/clock.h"
#include "base/str.h"

struct process_stats {
	uint64_t resident, virtual; /* bytes */
	uint64_t threads;
	uint64_t fds, fds_max;      /* open; that may be */
	usec cpu;
};

void process_stats_read(struct process_stats *ret);

/* Of /proc/self/stat (proc(5)): its threads, virtual bytes, resident pages. false: it is no such line. */
bool process_stats_parse(struct str stat, uint64_t *threads, uint64_t *virtual, uint64_t *pages);

#endif
