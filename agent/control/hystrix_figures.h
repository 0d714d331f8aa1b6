/* What the Hystrix streams tell of a circuit, as figures that can be added up, and the two events made of them.
 *
 * An event is one line `data: {…}` and an empty one (shared/protocols/hystrix-stream.md, sections 2 and 3: the full key set, numeric
 * keys never left out, whole numbers). Figures of several circuits of the same name are told as Turbine tells them (section 5 and the
 * Dashboard's own arithmetic): counts are sums, `reportingHosts` is how many circuits they are of, and the Dashboard divides by it what is
 * no count. So what is a mean here (latencies, weighted by calls, and the share of errors) is written times that number, and
 * what is set the same everywhere as it stands. isCircuitBreakerOpen is false when none is open; of one circuit that is open true, of several
 * their number when all are, else the text {"true":1,"false":3}.
 * Thread: pure. */
#ifndef OUTRIDER_CONTROL_HYSTRIX_FIGURES_H
#define OUTRIDER_CONTROL_HYSTRIX_FIGURES_H

#include "base/clock.h"
#include "base/text.h"
#include "proxy/spec.h"

#define HYSTRIX_QUANTILES 9

/* Times are milliseconds. */
enum hystrix_figure {
	HYSTRIX_HOSTS, /* circuits that these figures are of */
	HYSTRIX_OPEN, /* of them are open */
	HYSTRIX_FORCED_OPEN,
	HYSTRIX_FORCED_CLOSED,
	HYSTRIX_ENABLED,
	HYSTRIX_REQUESTS,
	HYSTRIX_ERRORS,
	HYSTRIX_BAD,
	HYSTRIX_THROWN, /* failed, and no fallback answered */
	HYSTRIX_FAILURE,
	HYSTRIX_FALLBACK,
	HYSTRIX_FALLBACK_FAILED,
	HYSTRIX_REJECTED,
	HYSTRIX_SHORT,
	HYSTRIX_SUCCESS,
	HYSTRIX_TIMEOUT,
	HYSTRIX_ACTIVE,
	HYSTRIX_PEAK,
	HYSTRIX_QUEUED,
	HYSTRIX_PLACES, /* of the bulkhead; 0: no limit */
	HYSTRIX_QUEUE,
	HYSTRIX_VOLUME,
	HYSTRIX_SLEEP,
	HYSTRIX_THRESHOLD, /* percent */
	HYSTRIX_LIMIT,     /* of the whole call; 0: none */
	HYSTRIX_WINDOW,
	HYSTRIX_DONE, /* calls that the latencies are of */
	HYSTRIX_MEAN,
	HYSTRIX_QUANTILE, /* the first of HYSTRIX_QUANTILES */
	HYSTRIX_FIGURES = HYSTRIX_QUANTILE + HYSTRIX_QUANTILES,
};

struct hystrix_figures {
	struct str name, group, pool; /* borrowed. A name that is not the pool's is that of a single SOAP action, which has no pool of its own */
	uint64_t v[HYSTRIX_FIGURES];
	struct hystrix_figures *next; /* hystrix_sums.h */
};

/* What the spec and the circuit say; names are the caller's to give. active: calls under way. now: clock_now(). */
void hystrix_figures_look(
	struct hystrix_figures *f, const struct spec_upstream *u, const struct circuit *c, uint32_t active, usec now);
void hystrix_figures_add(struct hystrix_figures *sum, const struct hystrix_figures *one); /* names stay */
/* Command, and pool if it has one of its own. wall: clock_wall(). */
void hystrix_figures_events(struct text *t, const struct hystrix_figures *f, usec wall);

#endif
