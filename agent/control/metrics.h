/* Metrics: what /metrics says (docs/metrics.md), computed when it is asked for from what workers and control keep anyway: workers pay nothing
 * for a scrape.
 *
 *     metrics.c           the page, its format, what is of the process
 *     metrics_sidecar.c   counters, reasons, durations, configuration, registries of each sidecar
 *     metrics_upstream.c  calls, endpoints, pools, circuits of each upstream
 *
 * These files share `struct metrics`. Series are those of the specs in force: what no spec lists is not on the page. Thread: control's. */
#ifndef OUTRIDER_CONTROL_METRICS_H
#define OUTRIDER_CONTROL_METRICS_H

#include "control/agent.h"
#include "control/exposition.h"

struct metrics_sidecar {
	const struct spec_sidecar *spec;
	const struct agent *agent; /* whose configuration, registries and log are its */
	size_t labels_at, labels_n; /* in metrics.names */
	uint64_t v[COUNTER_COUNT], reasons[REASON_COUNT];
};

struct metrics_upstream {
	const struct spec_upstream *u;
	size_t labels_at, labels_n; /* with those of its sidecar */
	struct upstream_sum sum;
};

struct metrics {
	struct exposition e;
	const struct agent *a;
	struct text names;  /* labels of all sidecars and upstreams */
	struct text labels; /* of the series that is being written */
	uint32_t n_sidecars, n_upstreams;
	struct metrics_sidecar *sidecars;   /* owned */
	struct metrics_upstream *upstreams; /* owned */
};

/* Writes the page of an agent. false: no memory. */
bool metrics_page(const struct agent *a, struct text *t, bool openmetrics) MUST_CHECK;

/* metrics_sidecar.c, metrics_upstream.c: look at all of them; write their families */
bool metrics_gather_sidecars(struct metrics *m) MUST_CHECK;
bool metrics_gather_upstreams(struct metrics *m) MUST_CHECK;
void metrics_put_sidecars(struct metrics *m);
void metrics_put_upstreams(struct metrics *m);

/* One sample for each class of statuses, with what m->labels has. */
void metrics_put_classes(struct metrics *m, const struct durations_view *v);

/* Labels of a sidecar or upstream and one more, or none (key NULL). Valid until the next call. */
struct str metrics_labels(struct metrics *m, size_t at, size_t n, const char *key, struct str value);

#endif
