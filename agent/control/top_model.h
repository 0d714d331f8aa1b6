/* What `outrider top` shows, as it was at one moment: made of the pages of one agent or of all (/ui/state, /ui/changes, /failures).
 *
 *     struct top_model *m = top_model_new();
 *     root = bounded_json_parse(…);
 *     if (!top_read_state(m, root, "10.0.5.3:4191", &err)) …
 *     top_model_finish(m, TOP_SWARM);           sums, groups, counts
 *     top_sort(m, view, field, descending);
 *
 * Every view is a table of one kind of row: three texts and numbers, NAN where nothing is known. Texts are as they came, cut at
 * their room: whoever shows them cleans them (style.h). Bounded: TOP_ROWS_MAX rows a view, more are counted in left_out.
 * Owner: whoever made it. Thread: the owner's; pure but for memory. */
#ifndef OUTRIDER_CONTROL_TOP_MODEL_H
#define OUTRIDER_CONTROL_TOP_MODEL_H

#include "base/text.h"

#include <cjson/cJSON.h>

#define TOP_ROWS_MAX 4000u
#define TOP_AGENTS_MAX 64u
#define TOP_CHANGES_MAX 16u /* the latest */
#define TOP_TROUBLES_MAX 16u
#define TOP_TREND 40u /* points of a sparkline that are kept */

/* As fmax() and fmin(), an unknown value loses; the agent does without libm. */
static inline double top_max(double a, double b)
{
	return a != a || b > a ? b : a;
}
static inline double top_min(double a, double b)
{
	return a != a || b < a ? b : a;
}

enum top_scope { TOP_SIDECAR, TOP_NODE, TOP_SWARM, TOP_SCOPES };
enum top_view { TOP_SERVICES, TOP_UPSTREAMS, TOP_CIRCUITS, TOP_FAILURES, TOP_VIEWS };

extern const char *const top_scope_words[TOP_SCOPES];
extern const char *const top_view_words[TOP_VIEWS];

enum top_number {
	TOP_RATE, /* per second, as the next three */
	TOP_ERRORS,
	TOP_RETRIES,
	TOP_OUT_RATE,
	TOP_OUT_ERRORS,
	TOP_PERCENT, /* errors of the rate, or as a circuit's window says */
	TOP_P50,     /* ms */
	TOP_P95,
	TOP_P99,
	TOP_ACTIVE,
	TOP_HEALTHY,
	TOP_ENDPOINTS,
	TOP_OPEN,   /* circuits that are not closed */
	TOP_CPU,    /* percent of one core */
	TOP_MEMORY, /* bytes */
	TOP_REQUESTS,
	TOP_REJECTED,
	TOP_AGE, /* ms before the model's time */
	TOP_STATUS,
	TOP_TOOK, /* ms */
	TOP_ATTEMPTS,
	TOP_INSTANCES, /* rows that were put together to this one */
	TOP_NUMBERS
};

struct top_row {
	char name[96];  /* service or sidecar; the calling service */
	char other[96]; /* upstream */
	char node[48];
	char state[24]; /* of the sidecar, of the circuit; reason of a failure */
	char note[160]; /* why it is so; path of a failure */
	char key[128]; /* by which /sidecars/NAME finds it, or whose edge or circuit it is; request id of a failure */
	unsigned agent; /* that told it, from 1: two of one node may tell of one sidecar */
	double of[TOP_NUMBERS];
	uint8_t n_trend; /* filled by top_trend.h */
	float trend[TOP_TREND];
};

struct top_table {
	struct top_row *rows;
	size_t n, cap;
	unsigned left_out;
};

struct top_point {
	double rate, errors, p50, p95, p99, active;
};

struct top_change {
	double time_ms;
	char node[48], kind[24], text[200];
	char service[96], upstream[96],
		subject[128]; /* whose, of its calls to whom, an endpoint or a registry; "": none */
	char agent[64];       /* who told it */
};

struct top_trouble { /* a support system, or an agent that did not answer */
	char name[96], why[160];
};

struct top_model {
	enum top_scope scope;
	bool can[TOP_SCOPES]; /* scopes that the agent offers */
	char node[48], service[96], version[64], command[16];
	double time_ms; /* wall time of the figures */
	struct top_point in, out;
	double cpu, memory;
	unsigned agents, agents_silent;
	unsigned not_serving, handlers_down, circuits_open;
	double healthy, endpoints;
	struct top_table tables[TOP_VIEWS];
	struct top_change changes[TOP_CHANGES_MAX]; /* newest first */
	unsigned n_changes;
	struct top_trouble troubles[TOP_TROUBLES_MAX];
	unsigned n_troubles;
	unsigned n_trend_in,
		n_trend_out; /* after top_read_past() what the agent remembers, after top_trend_take() all */
	float trend_in[TOP_TREND], trend_out[TOP_TREND];
};

struct top_model *top_model_new(void) MUST_CHECK; /* NULL: no memory */
void top_model_free(struct top_model *m);         /* NULL is fine */

/* --- reading (top_read.c): trees of bounded_json_parse(), hostile ------------------------------------------------------ */

/* STATE of one agent. false: it is none, or memory is short; what was read stays. agent: its address, for a swarm, or "". */
bool top_read_state(struct top_model *m, const cJSON *state, const char *agent, struct err *err) MUST_CHECK;
void top_read_past(struct top_model *m, const cJSON *page); /* /ui/history */
void top_read_changes(struct top_model *m, const cJSON *page, const char *agent);
bool top_read_failures(struct top_model *m, const cJSON *page, const char *node, struct err *err) MUST_CHECK;
/* A page of /swarm/…: calls fn for each answer with status 200; the others become troubles when `complain`. */
typedef bool (*top_answer_fn)(struct top_model *m, const cJSON *answer, const char *agent, struct err *err);
bool top_read_swarm(
	struct top_model *m, const cJSON *page, top_answer_fn fn, bool complain, struct err *err) MUST_CHECK;

/* --- making it ready ------------------------------------------------------------------------------------------------------ */

struct top_row *top_table_add(
	struct top_table *t); /* zeroed, numbers NAN; NULL: full (counted) or no memory */
void top_trouble(struct top_model *m, const char *name, const char *why);
/* "accountservice -> quotes-service: " before its text, as far as that does not say it itself. */
void top_change_whose(const struct top_change *c, char *dst, size_t cap);
/* Sums of endpoints and circuits per service. group: rows of one service, and edges between the same two, become one row: rates
 * and what is in flight are added, p50 is weighed by rate, p95 and p99 are the worst one's, a state is the worst one's. */
void top_model_finish(struct top_model *m, bool group);
/* Equal ones by name, unknown ones last. number: TOP_NUMBERS sorts by name. */
void top_sort(struct top_table *t, enum top_number number, bool descending);

#endif
