/* Telemetry: what becomes of the records of finished exchanges (proxy/record.h).
 *
 *     worker ──ring──> telemetry (control, every 20 ms while there is something) ──┬──> spans ──> exporters (plugin.h)
 *                                                                                 ├──> flight recorder (control/flight.h)
 *                                                                                 └──> access log
 *
 * A worker wakes control when there is a record that control was not told of; nothing runs while nobody calls. What does not fit is dropped and
 * counted, never waited for. Thread: control's. */
#ifndef OUTRIDER_CONTROL_TELEMETRY_H
#define OUTRIDER_CONTROL_TELEMETRY_H

#include "plugin.h"
#include "proxy/record.h"

#define TELEMETRY_EVERY (20 * USEC_MS)

struct log;
struct options;
struct spec_sidecar;
struct text;
struct worker;

/* Who the sidecar of a record is; texts live as long as the sidecar. Empty: not known. */
struct telemetry_who {
	struct str service, stack, slot, node;
	uint64_t seat;                   /* which sidecar of this process's life: a slot is given to others later, a seat is not. 0: not known */
	const struct spec_sidecar *spec; /* what it runs with now; NULL: not known */
};

/* What is told of every record, in the order of the list. r is valid during the call; n: all its bytes. */
struct telemetry_consumer {
	void (*record)(void *arg, const struct telemetry_who *who, const struct record *r, uint32_t n);
	void *arg;
};

#define TELEMETRY_CONSUMERS_MAX 4
#define TELEMETRY_EXPORTERS_MAX 4


struct telemetry_config {
	struct loop *loop;
	struct log *log;      /* borrowed */
	/* Who stands in that slot now; false: nobody any more, its records are dropped. */
	bool (*who)(void *arg, uint32_t slot, struct telemetry_who *ret);
	void *arg;
};

struct telemetry;

struct telemetry *telemetry_new(const struct telemetry_config *config, struct err *err) MUST_CHECK;
/* Their rings are read from now on; the array is borrowed. */
void telemetry_start(struct telemetry *t, struct worker *const *workers, unsigned n);
/* Opens what outrider.trace names. false: err says which is wrong. */
bool telemetry_export(struct telemetry *t, const struct options *o, struct err *err) MUST_CHECK;
bool telemetry_consume(struct telemetry *t, const struct telemetry_consumer *c); /* false: TELEMETRY_CONSUMERS_MAX are there */
/* worker_config.recorded */
void telemetry_recorded(struct telemetry *t, unsigned worker);
/* All that the rings hold now: before a slot becomes somebody else's, and at the end. */
void telemetry_drain(struct telemetry *t);
/* The agent leaves: exporters send what they have, for about a second. */
void telemetry_flush(struct telemetry *t);
void telemetry_free(struct telemetry *t); /* the workers have ended; NULL is fine */

struct telemetry_exporter {
	const char *name;            /* "zipkin:http://zipkin:9411", credentials masked */
	const char *trouble;         /* "" = all is well */
	struct exporter_counts counts;
};
/* false: there are no more than i. */
bool telemetry_exporter(const struct telemetry *t, unsigned i, struct telemetry_exporter *ret);
struct telemetry_counts { uint64_t written, dropped; /* records, all rings */ };
struct telemetry_counts telemetry_counts(const struct telemetry *t);

#endif
