/* The abstract socket `@outrider` of a network namespace: who holds it is the agent of that namespace.
 *
 * An agent that is alone in its container (exec as PID 1, node) takes it before it listens anywhere; `outrider health`
 * asks through it, whatever ports were configured. The kernel frees it when its holder dies. */
#ifndef OUTRIDER_ATTACH_CLAIM_H
#define OUTRIDER_ATTACH_CLAIM_H

#include "base/err.h"
#include "net/addr.h"

/* The listening descriptor, or -1: taken by another (err names it), or the kernel refused. */
int claim_namespace(const struct addr *name, struct err *err) MUST_CHECK;

#endif
