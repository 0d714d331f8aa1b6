/* The crew of a process: its workers, and what all of its sidecars share.
 *
 *     crew_start ─> sidecars come and go (sidecar.h) ─> crew_halt ─> sidecars are stopped ─> crew_release
 *
 * `outrider sidecar`, `exec` and `edge` have one sidecar, `node` has one for each container that opted in. What a worker says of
 * a sidecar (a name was called, an agent said hello, a spec is no longer used) comes here and goes on to that sidecar; what it
 * says of one that has left meanwhile is dropped. Owner and thread: control. */
#ifndef OUTRIDER_ATTACH_CREW_H
#define OUTRIDER_ATTACH_CREW_H

#include "base/list.h"
#include "control/access_log.h"
#include "control/agent.h"
#include "control/beat.h"
#include "control/flight.h"
#include "control/logs.h"
#include "control/memory_load.h"
#include "control/slots.h"
#include "control/tap.h"
#include "control/near.h"
#include "control/telemetry.h"
#include "net/timer.h"
#include "proxy/worker.h"

struct sidecar;

struct crew {
	struct loop *loop;       /* borrowed: control's */
	struct log *log;         /* borrowed */
	struct logs *logs;       /* borrowed: where the access log goes, and what services write */
	struct slots *slots;     /* owned */
	struct worker **workers; /* owned */
	struct beat *beats;      /* owned: one per worker */
	struct agent_process process;
	usec beat_due;           /* of the next beat */
	usec cpu_seen, next_share; /* crew_cost.c; when it is due without being asked for */
	unsigned n_workers;      /* that run */
	struct timer beat_timer;
	struct telemetry *telemetry; /* owned, as what follows: it tells them of every record */
	struct flight *flight;       /* NULL: outrider.flight.size is off */
	struct access_log *access;
	struct tap *tap;
	struct ui *ui;               /* what the page of the admin port lives on */
	_Atomic bool tapped;         /* workers read it */
	uint64_t seats;              /* ever given */
	struct memory_load memory;
	_Atomic uint32_t memory_percent; /* workers read it */
	struct timer memory_timer;
	uint64_t most;           /* connections and exchanges under way, since memory was given back last */
	usec next_trim;
	struct trim *trim;       /* owned: under way; NULL: none is */
	uint64_t changes;        /* of the specs in force: who has gathered them gathers them anew */
	struct list specs;       /* of spec_hold: what workers have and have not said to be released */
	struct near near;        /* owned; a node's, else nothing is known */
	struct sidecar *sidecars[SLOTS_SIDECARS_MAX]; /* borrowed, by slot */
};

struct crew_config {
	struct loop *loop;
	unsigned n_workers;
	size_t buffers_max; /* bytes of one worker's buffers; what a limit of the cgroup leaves is less where outrider.limit.buffers is not set */
	bool alone;         /* nobody else is in the container */
	struct log *log;    /* borrowed: where overload is told of */
	struct logs *logs;  /* borrowed */
	const struct options *options; /* where spans go, and memory for records; read during the call */
};

void crew_init(struct crew *c);
/* false and err: memory, descriptors or threads are short; crew_halt() and crew_release() all the same. */
bool crew_start(struct crew *c, const struct crew_config *config, struct err *err) MUST_CHECK;
/* The threads end; their connections are closed. What they said last is heard. */
void crew_halt(struct crew *c);
void crew_release(struct crew *c); /* after crew_halt(), and after the sidecars gave back what they had of slots */

/* From now on what workers say of this slot is for the sidecar; NULL: for nobody. */
void crew_seat(struct crew *c, uint32_t slot, struct sidecar *sc);

/* Counts a reference that a worker gets; false: no memory. */
bool crew_hold(struct crew *c, struct spec_sidecar *spec) MUST_CHECK;
/* Does any worker still have a spec of that slot? */
bool crew_holds(const struct crew *c, uint32_t slot);
/* A worker gave it back, or never got it. */
void crew_drop(struct crew *c, struct spec_sidecar *spec);

/* --- crew_cost.c ------------------------------------------------------------------------------------------------------- */
void crew_share_cpu(struct agent_process *p); /* agent_process.share_cpu; p is a crew's */

/* --- crew_memory.c: for crew.c alone ---------------------------------------------------------------------------------- */
size_t crew_buffers(const struct crew *c, const struct crew_config *config); /* bytes of one worker's */
void crew_watch_memory(struct crew *c); /* from now on */
void crew_look_at_memory(void *crew); /* now */
void crew_leave_memory(struct crew *c); /* harmless when it is not watched; turn the loop once more */

#endif
