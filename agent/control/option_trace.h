/* Values of the options trace.…: samplers and kinds of fields. Pure; thread: any. */
#ifndef OUTRIDER_CONTROL_OPTION_TRACE_H
#define OUTRIDER_CONTROL_OPTION_TRACE_H

#include "base/str.h"
#include "proxy/sampler.h"

/* "always", "never", "5%", "0.1%", "100/s". */
bool option_sampler(struct str s, struct sampler_policy *ret);
/* "b3,b3-multi,w3c" to enum TRACE_ kinds in that order, each once, 0 at the end. */
bool option_trace_kinds(struct str s, uint8_t order[4]);

#endif
