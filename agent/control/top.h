/* `outrider top`: the overview of an agent, its node or the swarm in a terminal; docs/top.md.
 *
 *     top.c        command, loop          top_look.c   asks the agent, on a thread
 *     top_ui.c     keys, columns          top_read.c   its pages ──> top_model.c  rows, groups, order
 *     top_term.c   the terminal           top_trend.c  rates of the last looks
 *     top_draw.c, top_cells.c   model and ui ──> lines     top_json.c   the same for programs */
#ifndef OUTRIDER_CONTROL_TOP_H
#define OUTRIDER_CONTROL_TOP_H

#include "control/top_ui.h"

/* 0; 1 no agent answers, or the terminal cannot be used; 2 usage; 128 + N ended by signal N. */
int command_top(int argc, char **argv);

/* One look as JSON: all views that the look has, the rows sorted as the ui says. */
void top_json(struct text *t, const struct top_model *m, const struct top_ui *ui);

#endif
