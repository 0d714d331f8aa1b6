/* How many CPUs the process may use: its affinity mask, and what the cgroup grants (cgroup v2 cpu.max, v1
 * cpu.cfs_quota_us). Pure but for cpus_granted(), which reads files. */
#ifndef OUTRIDER_CONTROL_CPUS_H
#define OUTRIDER_CONTROL_CPUS_H

#include "base/str.h"

/* At least 1. */
unsigned cpus_granted(void);
/* "200000 100000" gives 2, "50000 100000" gives 1 (rounded up); "max 100000" or anything else gives 0: no limit. */
unsigned cpus_from_quota(struct str cpu_max);

#endif
