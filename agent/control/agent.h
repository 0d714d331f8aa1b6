/* What the control thread holds of a serving process, as far as admin pages and the life of the process share it.
 *
 * attach/process.c fills it and owns everything it points to; control/admin*.c reads it, on the same thread. */
#ifndef OUTRIDER_CONTROL_AGENT_H
#define OUTRIDER_CONTROL_AGENT_H

#include "control/beat.h"
#include "control/discovery.h"
#include "control/flight.h"
#include "control/handler.h"
#include "control/health.h"
#include "control/log.h"
#include "control/reload.h"
#include "control/telemetry.h"
#include "control/ui/changes.h"
#include "proxy/worker.h"

enum agent_phase { AGENT_STARTING, AGENT_READY, AGENT_DRAINING };

struct json;

struct agent;

enum agent_proxy { AGENT_PROXY_UNKNOWN, AGENT_PROXY_UNSET, AGENT_PROXY_OTHER, AGENT_PROXY_SET };

struct agent_sidecar {
	struct spec_sidecar *spec; /* the newest */
	const struct agent *agent; /* its own, where the process has many */
	const struct telemetry_who *who;
	const char *name;       /* as /sidecars/NAME takes it; NULL: that of its service */
	enum agent_proxy proxy; /* whether the service's environment names a proxy, OTHER: one that is not its sidecar; beside a process that runs already it is not known */
};

struct agent_fact { /* of a sidecar, whether it serves or not; texts are borrowed */
	const struct agent_sidecar *view; /* NULL: it does not serve */
	const char *name;                 /* as /sidecars/NAME takes it */
	const char *service, *stack, *slot;
	const char *state, *why;          /* "serving", "failed", "stopping" …; "": there is nothing to say */
	const char *wiring;               /* why its own calls do not come through it; NULL: they do */
	uint32_t left_out;                /* of its options, because they are wrong */
};

struct agent_cost { /* of a sidecar, estimated: attach/crew_cost.c */
	usec cpu;            /* of the workers' */
	uint64_t units, due; /* carried, as it was seen last; since the time before */
};

struct agent_process { /* what all sidecars of a process share; the crew's */
	usec cpu_shared; /* of the workers', among sidecars, those that have ended included */
	void (*share_cpu)(struct agent_process *p); /* brings that and agent.cost.cpu of all up to now; NULL: there is no crew */
	const struct telemetry *telemetry;
	usec lag;                      /* of control's loop: how late its last beat was */
	struct duration_bounds bounds; /* of all histograms */
	uint32_t series_max;           /* of a page of metrics */
	usec series_idle;              /* an upstream that nobody names and nobody called for so long is not on it; 0: it stays */
	uint64_t series_dropped;       /* by all pages; metrics.c writes it */
	usec scrape;                   /* that the last page took; metrics.c writes it */
};

struct doctor;
struct admin;
struct ui;
struct tap;
struct access_log;
struct logs;
struct app_counts;

struct agent {
	struct loop *loop;
	struct log *log;
	struct reload *reload; /* options and properties in force */
	const struct handler *handler; /* the service's own, as it is seen; NULL before it is looked at */
	struct discovery *discovery; /* who knows where instances are; NULL before it is open */
	const struct health *health; /* active checks; NULL before they begin */
	struct flight *flight;   /* the last exchanges; NULL: none are kept */
	struct tap *tap;         /* NULL before there are workers */
	const struct access_log *access; /* the same */
	struct logs *logs;       /* where all records go; NULL before it is open */
	const struct app_counts *output; /* of what the service writes; NULL: nobody reads it */
	uint64_t seat;           /* pages show records of this sidecar alone; 0: of all of this process */
	const char *command; /* "sidecar", "exec", "edge" */
	const char *version;
	enum agent_phase phase;
	const char *phase_detail; /* a word more for /ready: which step of the drain; NULL */
	usec started;             /* wall */
	uint32_t n_sidecars;
	struct agent_sidecar *sidecars;
	unsigned n_workers;
	struct worker **workers;
	struct beat *beats; /* one per worker */
	struct agent_process *process; /* NULL: nothing of it is known */
	struct agent_cost cost;
	/* Objects of /sidecars into an open array; NULL: there is one sidecar, and this agent is it. */
	void (*put_sidecars)(void *arg, struct json *j);
	void (*put_health)(void *arg, struct json *j); /* members of /health?verbose; may be NULL */
	void (*examine)(void *arg, struct doctor *d);  /* lines of /doctor; NULL: those of one sidecar */
	/* Whose pages stand below /sidecars/NAME/: by service, service.stack, task, container or the begin of its id. NULL: nobody's. */
	struct admin *(*find_sidecar)(void *arg, struct str name);
	/* Tells of each of its sidecars; NULL: there is one, and this agent is it. */
	void (*each_sidecar)(void *arg, void (*fn)(void *to, const struct agent_fact *f), void *to);
	/* Members {kind, name, state, why, detail} of /ui/state's support into an open array; may be NULL. */
	void (*put_support)(void *arg, struct json *j);
	void *put_arg;
	struct str node;         /* its name; empty: not known */
	struct ui *ui;           /* what the page lives on, the process's; NULL: there is none */
	struct changes *changes; /* the same: what happened lately */
	bool sees_swarm; /* false: stands in the network of one container, and shows that alone */
};

/* May traffic come? What /ready says. */
bool agent_is_ready(const struct agent *a);
/* Why the service's own calls are not known to come through its sidecar; NULL: one did. An edge has no service: do not ask. */
const char *agent_wiring(const struct agent *a, const struct agent_sidecar *s);
struct str agent_sidecar_name(const struct agent_sidecar *s); /* tells instances of one service apart; borrowed */
const char *agent_phase_word(enum agent_phase p); /* "starting", "ready", "draining" */

/* Tells agent.changes that something changed with this agent's sidecar, as a sentence. Empty texts: none. */
void agent_note(const struct agent *a, enum change_kind kind, struct str upstream, struct str subject, const char *fmt, ...) PRINTF_LIKE(5, 6);

/* Sums over all workers; slots that a worker never saw count nothing. */
void agent_sum_counters(const struct agent *a, uint32_t sidecar_slot, uint64_t v[COUNTER_COUNT],
	uint64_t reasons[REASON_COUNT]);

struct last_error_sum { /* of the worker that failed last; at: wall µs, 0 = never */
	uint64_t at;
	uint32_t reason, error;
};

struct upstream_sum {
	uint64_t requests, failures, active, retries;
	usec called; /* when the last call began; 0: never */
	struct last_error_sum last;
};
void agent_sum_upstream(const struct agent *a, uint32_t slot, struct upstream_sum *ret);

struct endpoint_sum {
	uint64_t attempts, failures, active, idle, connects;
	double cost; /* µs, mean over the workers that know it; 0: unknown */
	struct last_error_sum last;
};
void agent_sum_endpoint(const struct agent *a, uint32_t slot, struct endpoint_sum *ret);

/* Of all workers; *ret is written whole. */
void agent_sum_durations(const struct agent *a, uint32_t sidecar_slot, enum direction d, struct durations_view *ret);
void agent_sum_upstream_durations(const struct agent *a, uint32_t slot, struct durations_view *ret);

#endif
