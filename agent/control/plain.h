/* JSON made readable for `?format=text`: one renderer for every admin page.
 *
 * Objects become lines "key  value" with aligned values; arrays of objects become tables whose columns are
 * the members of the first; nested values are indented under their key. Not a format for programs: those take
 * the JSON. Thread: any, pure. */
#ifndef OUTRIDER_CONTROL_PLAIN_H
#define OUTRIDER_CONTROL_PLAIN_H

#include "base/text.h"

/* Adds the readable form of `json` to t. false when it is no JSON, or memory is short: t is unchanged or failed. */
bool plain_from_json(struct text *t, struct str json) MUST_CHECK;

#endif
