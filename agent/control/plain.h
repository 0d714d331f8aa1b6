/* JSON made readable for `?format=text`: one renderer for every admin page.
 *
 * Objects become lines "key  value" with aligned values; arrays of objects become tables whose columns are
 * the members of the first; nested values are indented under their key. Not a format for programs: those take
 * the JSON. Columns of numbers are aligned at their last digit. Thread: any, pure. */
#ifndef OUTRIDER_CONTROL_PLAIN_H
#define OUTRIDER_CONTROL_PLAIN_H

#include "control/style.h"

/* Adds the readable form of `json` to t. false when it is no JSON, or memory is short: t is unchanged or failed. */
bool plain_from_json(struct text *t, struct str json) MUST_CHECK;

/* The same in a style of the caller's: for the commands, which know their terminal. */
bool plain_styled(struct text *t, struct str json, const struct style *style) MUST_CHECK;

#endif
