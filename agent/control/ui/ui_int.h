/* What ui.c, live.c and swarm.c share. */
#ifndef OUTRIDER_CONTROL_UI_UI_INT_H
#define OUTRIDER_CONTROL_UI_UI_INT_H

#include "control/ui/changes.h"
#include "control/ui/sampler.h"
#include "control/ui/ui.h"

#define UI_READERS 10u
#define UI_EVENT_MAX (HTTPD_OUTPUT_MAX - 64u * 1024u) /* bytes of one event */

enum ui_scope { UI_SCOPE_SIDECAR, UI_SCOPE_NODE, UI_SCOPE_SWARM, UI_SCOPES };

struct ui_reader {
	struct ui *of;
	struct httpd_request *r; /* NULL: a free place */
	enum ui_scope scope;
	uint64_t seat; /* of that sidecar alone; 0: of all of this process */
	bool ready;    /* it has its history: ticks may come */
	bool waits;    /* scope swarm: for the history that the agents are asked for */
};

struct ui_swarm;

struct ui {
	struct loop *loop;
	struct agent *root;      /* borrowed; NULL: not yet known */
	struct changes *changes; /* owned */
	struct ui_swarm *swarm;  /* owned; NULL: nobody wanted it so far */
	usec next, pinged;       /* look of the sampler; ping of the readers */
	struct ui_reader readers[UI_READERS];
	struct ui_sampler sampler;
};

/* --- ui.c -------------------------------------------------------------------------------------------------------------------------- */
/* The agent as its page shows it now: of the whole, or that sidecar. NULL: it has left. */
const struct agent *ui_agent(const struct ui *u, uint64_t seat);
/* Scopes that may be asked for there, as bits. */
unsigned ui_scopes(const struct ui *u, const struct agent *a);
/* {"agent":"outrider", …}: what a client needs to know of the agent that it asks. */
void ui_put_hello(
	const struct ui *u, const struct agent *a, struct json *j, enum ui_scope scope, const char *writes);
void ui_put_state(const struct ui *u, const struct agent *a, struct json *j, size_t max); /* members */
/* node, in, out, changes, changes_left_out: members. points: 0 is all. Of the changes of the last ten minutes the newest, as far as j's text has not
 * more than `max` bytes then. */
void ui_put_history(const struct ui *u, const struct agent *a, struct json *j, unsigned points, size_t max);
/* As many as are wanted (0: all), or as fit into a history of so many bytes. */
unsigned ui_history_points(unsigned wanted, size_t max);
/* Whose changes it sees: 0 is all of them. */
uint64_t ui_seat(const struct ui *u, const struct agent *a);
const char *ui_writes(const struct admin *a, struct httpd_request *r); /* "loopback", "token", "none" */
const char *ui_scope_word(enum ui_scope s);

/* --- live.c ------------------------------------------------------------------------------------------------------------------------- */
void ui_live_tick(struct ui *u, usec now); /* the sampler has looked */
bool ui_live_any(const struct ui *u, enum ui_scope s);
void ui_live_changed(void *arg, uint64_t number, struct str json); /* struct ui; changes_listen() */
bool ui_live_late(const struct ui_reader *q); /* it has not taken what it was sent: it gets no tick */
/* Sends an event to a reader; one that is too slow is gone then. */
void ui_live_send(struct ui_reader *q, const struct text *event);

/* --- swarm.c ------------------------------------------------------------------------------------------------------------------------ */
void ui_swarm_tick(struct ui *u);    /* asks the agents for their state, unless that is under way */
void ui_swarm_history(struct ui *u); /* and for the history, for readers that wait for it */
void ui_swarm_free(struct ui_swarm *s);

#endif
