/* What a record says in sentences: outcome, whose fault it is, what its time went on, why there was no further attempt. Pure; any thread. */
#ifndef OUTRIDER_CONTROL_WHY_SAYS_H
#define OUTRIDER_CONTROL_WHY_SAYS_H

#include "base/text.h"
#include "proxy/record.h"
#include "proxy/spec.h"

struct why { /* empty: there is nothing to say */
	const char *blame, *stage, *cause, *remedy;
};
struct why why_of(const struct record *r);

void why_outcome(struct text *t, const struct record *r);
void why_slow(struct text *t, const struct record *r); /* nothing, unless it counted as slow */
/* u: the upstream as it is now; NULL: not known. Nothing when a single attempt did. */
void why_retries(struct text *t, const struct record *r, const struct spec_upstream *u);

#endif
