/* What a change of a service's instances was, in a sentence: "2 instances came (10.0.0.7:8080 of version 2 …), 1 left (10.0.0.5:8080); 3 now".
 * Pure. Thread: control's. */
#ifndef OUTRIDER_CONTROL_UI_ROLLOUT_H
#define OUTRIDER_CONTROL_UI_ROLLOUT_H

#include "base/text.h"
#include "control/endpoint_set.h"

/* false: nothing that matters (no instance came, left, or has another version), or it is the first set. subject: the address of one of them.
 * was, is: NULL is none. */
bool rollout_says(const struct endpoint_set *was, const struct endpoint_set *is, struct text *t,
	char subject[ADDR_TEXT_MAX]);

#endif
