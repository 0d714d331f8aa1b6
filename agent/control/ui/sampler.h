/* The sampler: looks every UI_INTERVAL at what workers count, for the page's charts and rates.
 *
 *     workers' counters and histograms ──ui_sampler_look()──> rates and percentiles of the last interval, of each sidecar, of each
 *                                                             upstream that was called, of all; ten minutes of the first and the last
 *
 * Always on, so that who opens the page sees what was before; workers do nothing for it. Of an upstream that nobody calls it reads two
 * words. Memory: 0.4 KiB for each upstream that was called, 13 KiB for each sidecar that was. Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_UI_SAMPLER_H
#define OUTRIDER_CONTROL_UI_SAMPLER_H

#include "control/agent.h"
#include "control/slots.h"
#include "control/ui/points.h"

struct ui_called {                    /* an upstream that was called */
	struct ui_delta before, last; /* counted when it was looked at; in the last interval */
	struct ui_point now;
	uint64_t requests; /* ever */
	uint64_t looked;   /* ui_sampler.looks when a spec had it */
	uint8_t again;     /* looks for which it is measured though nothing moves: what was under way ends */
};

struct ui_served { /* a sidecar */
	uint64_t seat, looked;
	struct ui_delta before[UI_SIDES], last[UI_SIDES];
	struct ui_point now[UI_SIDES];
	struct ui_history history;
};

struct ui_sampler {
	uint64_t looks;
	usec at, took;                 /* of the last look (monotonic); since the one before */
	usec wall;                     /* of the last look */
	usec cpu;                      /* of this process at the last look */
	double cpu_percent;            /* in the last interval, of one core */
	struct ui_point now[UI_SIDES]; /* all sidecars together */
	struct ui_delta last[UI_SIDES];
	struct ui_history history;
	struct ui_served *served[SLOTS_SIDECARS_MAX];  /* owned, by slot */
	struct ui_called *called[SLOTS_UPSTREAMS_MAX]; /* owned, by slot */
};

void ui_sampler_init(struct ui_sampler *s); /* in zeroed memory */
void ui_sampler_release(struct ui_sampler *s);
/* a: of the whole process. cpu: that the process has used. */
void ui_sampler_look(struct ui_sampler *s, const struct agent *a, usec now, usec cpu);
/* NULL: it was not looked at yet, or never called. */
const struct ui_served *ui_sampler_served(const struct ui_sampler *s, uint32_t slot);
const struct ui_called *ui_sampler_called(const struct ui_sampler *s, uint32_t slot);

#endif
