/* The life of a process with one sidecar: `outrider sidecar`, `exec -- CMD…`, `edge`.
 *
 *     options ─> control loop, signals ─> sources ─> crew ─> sidecar ─> child ─> serving ─> drain ─> gone
 *
 * Everything is made in that order by the main thread, which then runs the control loop, and taken down in
 * the reverse order; a step that fails takes down what stands, prints one line with the remedy, and leaves.
 *     process.c   the life             crew.h     the workers         sidecar.h   what serves
 *     leaving.c   signals, child, drain          drain.h   which step comes after which
 * These files share `struct process`; nobody outside attach/ sees into it. */
#ifndef OUTRIDER_ATTACH_PROCESS_H
#define OUTRIDER_ATTACH_PROCESS_H

#include "attach/child.h"
#include "attach/drain.h"
#include "attach/sidecar.h"

enum process_kind { PROCESS_SIDECAR, PROCESS_EXEC, PROCESS_EDGE };

#define PROCESS_SIGNALS 9
#define PROCESS_DRAIN_STEPS 3

struct process_settings {
	usec lame_duck, stop_timeout;
	unsigned workers;
	bool proxy_env;
};

struct process {
	enum process_kind kind;
	char **command; /* exec: the child's argv, NULL-terminated */
	struct process_settings set;
	struct loop *loop; /* owned: control's */
	struct logs *logs; /* owned */
	struct crew crew;
	struct sidecar sidecar;
	struct child_limits limits;

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
