/* What the operator's page lives on (docs/ui.md): the state of the agent, what was in the last ten minutes, what changed, live.
 *
 *     /ui/state     what is now (state.h); ?bytes= how long it may be, ?changes_ms= with the changes of so long
 *     /ui/history   ten minutes of points (points.h); ?points= fewer
 *     /ui/changes   what changed (changes.h); ?since=NUMBER
 *     /ui/live      all of it as server-sent events: hello, history, then tick and change; ?scope=sidecar|node|swarm
 *
 *     ui.c      the pages        live.c    readers of /ui/live        swarm.c    scope swarm: the other agents are asked
 *
 * One per process, for all of its admin ports. Scopes: on the port of a node's agent `node` and `swarm`; in a container's network, or below
 * /sidecars/NAME, that sidecar alone; where outrider.agents is set `swarm` as well. While nobody reads only the sampler works.
 * Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_UI_UI_H
#define OUTRIDER_CONTROL_UI_UI_H

#include "control/admin.h"

struct ui;

struct ui *ui_new(struct loop *l, struct err *err) MUST_CHECK;
void ui_free(struct ui *u); /* the httpds of its readers are closed; NULL is fine */
/* Whose workers are looked at: the agent of the whole process, borrowed until ui_free(). */
void ui_watch(struct ui *u, struct agent *a);
void ui_beat(struct ui *u, usec now); /* every second */
struct changes *ui_changes(struct ui *u);

void ui_page_state(struct admin *a, struct httpd_request *r);
void ui_page_history(struct admin *a, struct httpd_request *r);
void ui_page_changes(struct admin *a, struct httpd_request *r);
void ui_page_live(struct admin *a, struct httpd_request *r);

#endif
