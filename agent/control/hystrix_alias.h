/* Properties of Hystrix as options: hystrix.command.<service>.circuitBreaker.… of a Spring estate's files go on working.
 *
 * A property that has no option, whose command is no service's name, or whose value is none, is passed over: such files were written for
 * other programs, and must not make a change fail. The table stands in docs/resilience.md. Pure. */
#ifndef OUTRIDER_CONTROL_HYSTRIX_ALIAS_H
#define OUTRIDER_CONTROL_HYSTRIX_ALIAS_H

#include "base/str.h"
#include "base/text.h"

#define HYSTRIX_PREFIX "hystrix.command."

/* Of a command's time limit: the property that turns it off by being false, and that which does where the former is not there. false: it is no time
 * limit. Both texts are cleared first. */
bool hystrix_alias_switch(struct str key, struct text *name, struct text *standard) MUST_CHECK;
/* Into `name` "outrider.upstream.<service>.<option>", into `to` its value. false: it is none of ours. Both texts are cleared first. */
bool hystrix_alias(struct str key, struct str value, struct text *name, struct text *to) MUST_CHECK;

#endif
