/* The tables of the agent as text for `outrider help reasons|metrics` and, with markdown, as docs/reasons.md and
 * docs/metrics.md. (options_help_text() in options.h makes docs/options.md.) Pure; failure shows in t->failed. */
#ifndef OUTRIDER_CONTROL_HELP_TABLES_H
#define OUTRIDER_CONTROL_HELP_TABLES_H

#include "base/text.h"

void reasons_help_text(struct text *t, bool markdown);
void metrics_help_text(struct text *t, bool markdown);
/* `text` in lines of at most `width` bytes, each after `indent` blanks. */
void help_wrap(struct text *t, struct str text, unsigned indent, unsigned width);
/* For a cell of a markdown table: `|` and `<` do no harm. */
void help_cell(struct text *t, const char *text);

#endif
