/* The state of an agent in one JSON object, as `/ui/state` shows it and `/ui/live` sends it every UI_INTERVAL (docs/ui.md):
 *
 *     {"in":POINT,"out":POINT,"process":{…},"config_age_ms":…,"support":[…],"circuits":[…],"sidecars":[…],"edges":[…],"left_out":{…}}
 *
 *     state.c            the whole, and its bounds          state_support.c   sources, registries, exporters, engine
 *     state_sidecars.c   sidecars                           state_calls.c     edges and circuits
 *
 * Rates are those of the last interval that the sampler looked at. Lists have the busiest first; what does not fit is counted in left_out.
 * Thread: control's. */
#ifndef OUTRIDER_CONTROL_UI_STATE_H
#define OUTRIDER_CONTROL_UI_STATE_H

#include "control/agent.h"
#include "control/ui/sampler.h"

#define UI_STATE_MAX (512u * 1024u)
#define UI_STATE_MIN (8u * 1024u)
#define UI_SIDECARS_MAX 300u
#define UI_EDGES_MAX 500u
#define UI_CIRCUITS_MAX 200u

struct ui_state {
	const struct ui_sampler *sampler;
	const struct agent *agent; /* whose state: of the process, or of one sidecar */
	bool whole;                /* it is the process's */
	struct json *j;            /* in an open object */
	size_t max;                /* bytes of j's text */
	uint32_t left_sidecars, left_edges, left_circuits;
};

/* Members into the open object. max: bytes that its text may have, at least UI_STATE_MIN. */
void ui_state_put(struct ui_state *s);

/* state_sidecars.c, state_calls.c, state_support.c: each member, until the text has so many bytes */
void ui_state_sidecars(struct ui_state *s, size_t until);
void ui_state_edges(struct ui_state *s, size_t until);
void ui_state_circuits(struct ui_state *s, size_t until);
void ui_state_support(struct ui_state *s, size_t until);

/* {"rate": … "active": n} as a member. */
void ui_state_point(struct json *j, const char *key, const struct ui_point *p, uint64_t active);
uint64_t ui_state_counter(const struct agent *a, uint32_t slot, enum counter_id id);
void ui_state_active(const struct agent *a, const struct spec_sidecar *spec, uint64_t ret[UI_SIDES]);
/* Stands in for what was never looked at. */
const struct ui_point *ui_state_quiet(void);

#endif
