/* GET /doctor: a diagnosis. Each line is ok, warn or fail, and what is not ok says what to do, and where it stands in the docs.
 *
 * What every agent can say of itself is here; an agent with more to say (a node's keeper) adds lines by agent.examine. Nothing is
 * asked of anybody: it is what is known at that moment. Thread: control's. */
#ifndef OUTRIDER_CONTROL_DOCTOR_H
#define OUTRIDER_CONTROL_DOCTOR_H

#include "control/admin.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_LEVELS };

const char *doctor_word(enum doctor_level l); /* "ok", "warn", "fail" */

struct doctor; /* a diagnosis that is being written */

struct doctor_line {
	enum doctor_level level;
	const char *check;   /* "engine", "handler", "registry" … */
	const char *of;      /* the sidecar or peer that it is about; "" or NULL: the agent */
	const char *says;
	const char *remedy;  /* "" or NULL when it is ok */
	const char *docs;    /* "operations.md#privileges"; "" or NULL */
};

void doctor_say(struct doctor *d, const struct doctor_line *line);
/* Handler, registries, options of one sidecar. of: its name in lines; wiring: what is to be said of its own calls, or NULL. */
void doctor_sidecar(struct doctor *d, const struct agent *a, const char *of, const char *problems, const char *wiring);

void admin_page_doctor(struct admin *a, struct httpd_request *r);

#endif
