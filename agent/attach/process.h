/* The common life of a serving process: `outrider sidecar`, `exec -- CMD…`, `edge`.
 *
 *     options ─> control loop, signals ─> spec ─> ports ─> workers, admin ─> child ─> serving ─> drain ─> gone
 *
 * Everything is made in that order by the main thread, which then runs the control loop, and taken down in
 * the reverse order; a step that fails takes down what stands, prints one line with the remedy, and leaves.
 *     process.c   the life            serving.c   ports, workers, admin port
 *     leaving.c   signals, child, drain            drain.h   which step comes after which
 *     reloading.c a change of options while serving
 * These files share `struct process`; nobody outside attach/ sees into it. */
#ifndef OUTRIDER_ATTACH_PROCESS_H
#define OUTRIDER_ATTACH_PROCESS_H

#include "attach/child.h"
#include "attach/drain.h"
#include "attach/ports.h"
#include "control/admin.h"
#include "control/agent.h"
#include "control/build.h"
#include "control/options.h"
#include "control/reload.h"
#include "control/slots.h"
#include "net/timer.h"

enum process_kind { PROCESS_SIDECAR, PROCESS_EXEC, PROCESS_EDGE };

enum { /* exit statuses of the agent itself; exec returns its child's */
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* a port is taken, memory is short … */
	EXIT_USAGE = 2   /* options are wrong */
};

#define PROCESS_SIGNALS 9
#define PROCESS_DRAIN_STEPS 3

struct process_settings {
	usec lame_duck, stop_timeout;
	unsigned workers;
	bool proxy_env;
	struct str admin; /* addresses, or "off" */
	struct guard_policy guard;
	enum log_level log_level;
};

struct process {
	enum process_kind kind;
	char **command; /* exec: the child's argv, NULL-terminated */
	struct process_settings set;
	int argc; /* flags, for reading them again */
	char **argv;
	struct options *options; /* owned: flags and env; reload has what is in force */
	struct reload *reload;   /* owned */
	struct log log;
	struct loop *loop; /* owned: control's */
	struct child_limits limits;

	/* serving.c */
	struct slots *slots;          /* owned */
	struct agent_sidecar sidecar; /* its spec is owned through refs */
	struct list specs;            /* of spec_hold: what workers have and have not said to be released */
	struct list changes;          /* of spec_change: changes that a worker has not read yet */
	uint64_t stamp;               /* of the options in force, as build_request has it */
	struct making {               /* the next spec, while it is made in slices; build NULL: none is */
		struct build *build;  /* owned */
		const struct options *options;
		uint64_t stamp;
	} making;
	struct ports ports;
	struct agent agent;
	struct admin admin;
	struct text admin_text; /* where it listens */
	struct timer beat_timer;
	int claim; /* @outrider until the admin port has it; -1 */

	/* announcing.c */
	struct handler *handler;     /* owned */
	bool announced;              /* registries were told of this instance */
	bool withdrawn, withdrawing; /* they were told that it leaves; an answer is waited for */
	/* discovering.c */
	struct discovery *discovery; /* owned */
	struct called *called;       /* owned: services that no option names, but that were called and are known */
	struct mail respec;          /* the next slice of a spec with what is discovered */
	bool respec_posted;
	bool respec_wanted;          /* something changed that no spec has, nor one that is being made */
	struct timer calls_timer;    /* looks which upstreams were called */
	/* minding.c */
	struct health *health;       /* owned */
	struct outliers *outliers;   /* owned */
	/* leaving.c */
	struct drain drain;
	struct timer drain_timer;
	struct beat *acks; /* [worker * PROCESS_DRAIN_STEPS + step]: a worker has read its drain mail */
	struct child child;
	struct sigwatch signals[PROCESS_SIGNALS];
	unsigned stop_signals; /* received and not yet given to the drain */
	int stop_signal;       /* what the child gets */
	bool from_terminal;
	/* child_config.c */
	struct reload_watch child_watch;
	struct timer child_kill;
	uint64_t child_hash;   /* of the service's own properties that the child was given */
	bool child_restarts;   /* it was told to end, and is started again */
	bool deaf; /* a worker could not be told to drain: its listeners stay as they are */
};

/* The whole life. argv: what stands behind the command's word. Returns the exit status. */
int process_main(enum process_kind kind, const char *version, int argc, char **argv);

enum command process_options_for(enum process_kind kind);

/* --- serving.c --------------------------------------------------------------------------------------------- */
bool serving_start(struct process *p, struct err *err) MUST_CHECK;
void serving_announce(struct process *p); /* the one line that says where it listens */
void serving_stop(struct process *p);     /* also of what is half made */
/* The address that the child's http_proxy names; false: outbound is off. */
bool serving_proxy_address(const struct process *p, char dst[ADDR_TEXT_MAX]);

/* --- minding.c --------------------------------------------------------------------------------------------- */
bool minding_start(struct process *p, struct err *err) MUST_CHECK; /* slots must be there */
/* Before the workers get a spec. */
void minding_follow(struct process *p, const struct options *o, const struct spec_sidecar *spec);
void minding_stop(struct process *p);

/* --- reloading.c ------------------------------------------------------------------------------------------- */
/* Reads the sources of outrider.config for the first time. false: the exit status is *status. */
bool reloading_first(struct process *p, int *status, struct err *err) MUST_CHECK;
/* Counts a reference that a worker gets; false: no memory. */
bool spec_hold(struct process *p, struct spec_sidecar *spec) MUST_CHECK;
/* A worker gave it back, or never got it. */
void spec_drop(struct process *p, struct spec_sidecar *spec);
void spec_drop_all(struct process *p); /* when the workers are gone: they say nothing of the spec they had */
void reloading_release(struct process *p);

/* Makes a spec of these options and what is discovered until about `until` on clock_now(); when it is DONE the workers have it.
 * MORE: to be called again on a later turn, with the same options; others give up what was begun. FAILED: err, nothing has changed. */
enum build_state reloading_publish(struct process *p, const struct options *o, usec until, struct err *err) MUST_CHECK;
/* Is a spec of other options than those in force being made? */
bool reloading_applies(const struct process *p);
void reloading_give_up(struct process *p);

/* --- discovering.c ----------------------------------------------------------------------------------------- */
bool discovering_start(struct process *p, struct err *err) MUST_CHECK;
/* What a spec of these options is to be built from. */
struct build_request discovering_request(struct process *p, const struct options *o);
/* Sees to a spec with what is discovered, if one is wanted. */
void discovering_again(struct process *p);
/* Upstreams that the options name are asked for. */
void discovering_names(struct process *p, const struct options *o);
/* worker_config.wanted */
void discovering_wanted(void *arg, unsigned worker, uint32_t sidecar, struct str name);
/* worker_config.met */
void discovering_met(void *arg, const struct addr *endpoint, struct str hello);
void discovering_stop(struct process *p);

/* --- announcing.c ------------------------------------------------------------------------------------------ */
bool announcing_start(struct process *p, struct err *err) MUST_CHECK; /* when ports are open */
void announcing_tell(struct process *p);     /* the own state may have changed */
void announcing_withdraw(struct process *p); /* once, when it leaves */
void announcing_stop(struct process *p);

/* --- leaving.c --------------------------------------------------------------------------------------------- */
bool leaving_prepare(struct process *p, struct err *err) MUST_CHECK; /* signals, before anything is open */
/* Starts the child. false: p->child.status is the exit status. */
bool leaving_start_child(struct process *p, struct err *err) MUST_CHECK;
/* --- child_config.c ---------------------------------------------------------------------------------------- */
void child_config_init(struct process *p);
/* Variables for the child, in the arena, by outrider.app-env; writes the file of outrider.app-template. NULL and err. */
char **child_config_prepare(struct process *p, struct arena *a, struct err *err) MUST_CHECK;
void child_config_watch(struct process *p); /* from now on a change does what outrider.on-change says */
/* The child ended: true when that was wanted and it runs again. */
bool child_config_again(struct process *p);
void child_config_release(struct process *p);

int leaving_status(const struct process *p);
void leaving_release(struct process *p);

#endif
