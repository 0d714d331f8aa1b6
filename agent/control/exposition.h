/* Exposition: writes a page of metrics as Prometheus reads it, text 0.0.4 or OpenMetrics 1.0 (shared knowledge: prometheus).
 *
 *     exposition_begin(&e, &text, openmetrics, series_max);
 *     exposition_family(&e, FAMILY_REQUESTS);
 *     exposition_u64(&e, text_str(&labels), n);           one for each set of labels
 *     exposition_family(&e, …);                           families in the order of agent/metrics.def, each once
 *     exposition_end(&e);
 *
 * HELP, TYPE and UNIT stand before the first sample; a family without samples is not there. The page has at most series_max series and what
 * fits into the text: what is beyond is added up (gauges that are states: the greatest) into one series per family whose `service` is
 * "_overflow", and counted in `dropped`. Both formats write le as "1.0", so that a series is the same in both. Pure. Thread: control's. */
#ifndef OUTRIDER_CONTROL_EXPOSITION_H
#define OUTRIDER_CONTROL_EXPOSITION_H

#include "base/text.h"
#include "proxy/durations.h"

enum family_id { /* the first are those of enum counter_id */
#define METRIC(id, name, type, unit, help) FAMILY_##id,
#define FAMILY(id, name, type, unit, labels, help) FAMILY_##id,
#include "metrics.def"
	FAMILY_COUNT
};

enum family_type { FAMILY_TYPE_counter, FAMILY_TYPE_gauge, FAMILY_TYPE_state, FAMILY_TYPE_histogram };

struct family_row {
	const char *name;   /* of a counter with its _total */
	uint8_t type;       /* enum family_type */
	const char *unit;   /* "", "seconds", "bytes", "ratio" */
	const char *labels; /* for people; beside those of a sidecar */
	const char *help;
};
const struct family_row *family_row(enum family_id id);
const char *family_type_word(uint8_t type); /* "counter", "gauge", "histogram" */

#define EXPOSITION_RESERVE 256u /* of series_max: room for overflow series, and what the page says of the process itself */

struct exposition {
	struct text *t;        /* borrowed */
	bool openmetrics;
	uint32_t room, series; /* that may be, that are there */
	uint64_t dropped;      /* series that went into overflow */
	bool always;           /* what comes now has its place in any case: few series, of the process itself */
	const struct family_row *row;
	bool begun;            /* its head is written */
	unsigned scale;        /* of the family's values: they are so many-th parts */
	bool over;             /* some of the family's are beyond */
	uint64_t over_value;
	struct durations_view over_histogram;
	const struct duration_bounds *bounds;
};

void exposition_begin(struct exposition *e, struct text *t, bool openmetrics, uint32_t series_max);
void exposition_family(struct exposition *e, enum family_id id);
/* labels: as labels_put() wrote them; empty: none. */
void exposition_u64(struct exposition *e, struct str labels, uint64_t v);
/* v: µs of a family in seconds, or millionths of a ratio. */
void exposition_micro(struct exposition *e, struct str labels, uint64_t v);
void exposition_histogram(struct exposition *e, struct str labels, const struct duration_bounds *b, const struct durations_view *v);
void exposition_end(struct exposition *e);

/* Appends key="value", escaped, after a comma where one is due. An empty value is no label. Bytes that are no UTF-8 become U+FFFD. */
void labels_put(struct text *t, const char *key, struct str value);

/* Does the client's field Accept prefer OpenMetrics 1.0 to plain text? */
bool exposition_wants_openmetrics(struct str accept);
#define EXPOSITION_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define EXPOSITION_OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

#endif
