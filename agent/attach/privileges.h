/* Rights that a half of `outrider node` gives up, and what it holds.
 *
 * Facts: DESIGN section 2; shared knowledge "docker-swarm", section 10. Only async-signal-safe calls in what runs between fork and
 * exec. */
#ifndef OUTRIDER_ATTACH_PRIVILEGES_H
#define OUTRIDER_ATTACH_PRIVILEGES_H

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

#define PROXY_UID 65534

/* Between fork and exec: no group, no user, no capability, no way to get any. 0, or the errno of the step that failed, whose name
 * is *step. A process that was not root stays who it is. */
int privileges_drop(const char **step);
/* No new privileges for this process and its children. */
bool privileges_no_new(struct err *err) MUST_CHECK;
bool privileges_has(unsigned capability); /* CAP_…, in the effective set */

struct privileges_held { /* of this process, by /proc/self/status */
	uint64_t effective;
	unsigned uid;
	bool no_new_privs;
	unsigned seccomp; /* 0 none, 2 filter */
};
bool privileges_read(struct privileges_held *ret);

#endif
