/* What a service writes, made safe to show: on a terminal, in a file, as JSON.
 *
 *     colour and cursor sequences (ECMA-48: CSI, OSC, DCS …)   removed; with `colours` those that set colours (SGR) stay
 *     other control characters, C1 and NUL among them           U+FFFD; HT stays, a lone CR becomes a blank
 *     bytes that are no UTF-8                                   U+FFFD
 *
 * Pure; any thread. */
#ifndef OUTRIDER_CONTROL_APP_TEXT_H
#define OUTRIDER_CONTROL_APP_TEXT_H

#include "base/text.h"

/* Appends it to t, at most three times as long. Failure shows in t->failed. */
void app_text_clean(struct text *t, struct str s, bool colours);
/* Is it clean as it is? Then nothing needs to be copied. */
bool app_text_is_clean(struct str s);

#endif
