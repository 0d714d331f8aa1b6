/* A sidecar: the agent's object for one local instance (DESIGN section 1): its options, listeners, upstreams, admin port, what it
 * tells registries of the instance. Its traffic is carried by the workers of the crew.
 *
 *     sidecar_init ─> reloading_first ─> serving_start ─> … ─> announcing_withdraw ─> serving_stop ─> sidecar_release
 *
 *     serving.c      its spec, ports and admin port       reloading.c    a change of its options while it serves
 *     discovering.c  which services are asked for         announcing.c   the instance in the eyes of others
 *     minding.c      active checks, outliers, what mode observe leaves alone
 *
 * These files share `struct sidecar`; nobody outside attach/ sees into it. Owner and thread: control. */
#ifndef OUTRIDER_ATTACH_SIDECAR_H
#define OUTRIDER_ATTACH_SIDECAR_H

#include "attach/crew.h"
#include "attach/ports.h"
#include "control/observed.h"
#include "control/admin.h"
#include "control/agent.h"
#include "control/build.h"
#include "control/options.h"
#include "control/reload.h"

enum { /* exit statuses of the agent itself; exec returns its child's */
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* a port is taken, memory is short … */
	EXIT_USAGE = 2   /* options are wrong */
};

struct sidecar {
	struct crew *crew;      /* borrowed */
	struct loop *loop;      /* borrowed: the crew's */
	struct netspace *ns;    /* borrowed: where it stands; NULL: the agent's own */
	struct str identity;    /* borrowed: tells it from others of the process; empty: its service's name does */
	const struct addr *own; /* borrowed: the addresses of its namespace; NULL: the machine is asked */
	size_t n_own;
	enum command command;   /* by whose rules its options are judged */
	struct options *options; /* owned: flags and env of the start; reload has what is in force */
	int argc;               /* flags and environment, for reading them again; borrowed */
	char **argv;
	char *const *environ_;
	bool (*layers)(void *arg, struct options *o, struct err *err); /* as in reload_config; arg: the sidecar */
	struct reload *reload;  /* owned */
	struct log log;
	struct telemetry_who who; /* for its spans and records, without the service; texts borrowed */

	/* serving.c */
	struct spec_sidecar *spec;    /* owned through refs: the newest */
	struct agent_sidecar view;    /* for admin pages */
	struct ports ports;
	struct agent agent;
	struct admin admin;
	struct text admin_text; /* where it listens */
	int claim; /* @outrider until the admin port has it; -1 */
	bool stopped;

	/* reloading.c */
	struct list changes;          /* of spec_change: changes that a worker has not read yet */
	uint64_t stamp;               /* of the options in force, as build_request has it */
	struct making {               /* the next spec, while it is made in slices; build NULL: none is */
		struct build *build;  /* owned */
		const struct options *options;
		uint64_t stamp;
	} making;

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
	struct observed observed;
};

/* --- serving.c --------------------------------------------------------------------------------------------- */
void sidecar_init(struct sidecar *sc, enum command command);
/* The crew must work, the options be read. false: err; serving_stop() all the same. */
bool serving_start(struct sidecar *sc, struct err *err) MUST_CHECK;
void serving_announce(struct sidecar *sc); /* the one line that says where it listens */
void serving_stop(struct sidecar *sc);     /* also of what is half made; the workers are halted, or have no spec of it any more */
void sidecar_release(struct sidecar *sc);  /* after serving_stop() */
/* The address that http_proxy of a child names; false: outbound is off. */
bool serving_proxy_address(const struct sidecar *sc, char dst[ADDR_TEXT_MAX]);
/* It is on its way out: nothing of it changes any more. */
static inline bool sidecar_leaves(const struct sidecar *sc)
{
	return sc->agent.phase == AGENT_DRAINING;
}

/* --- minding.c --------------------------------------------------------------------------------------------- */
bool minding_start(struct sidecar *sc, struct err *err) MUST_CHECK;
/* Before the workers get a spec. */
void minding_follow(struct sidecar *sc, const struct options *o, const struct spec_sidecar *spec);
void minding_stop(struct sidecar *sc);

/* --- reloading.c ------------------------------------------------------------------------------------------- */
/* Reads the sources of outrider.config for the first time. false: err; *wrong tells whether what was said is wrong. */
bool reloading_first(struct sidecar *sc, bool *wrong, struct err *err) MUST_CHECK;
/* The same at once, with what is known now (reload_now()). */
bool reloading_now(struct sidecar *sc, struct err *err) MUST_CHECK;
void reloading_release(struct sidecar *sc);

/* Makes a spec of these options and what is discovered until about `until` on clock_now(); when it is DONE the workers have it.
 * MORE: to be called again on a later turn, with the same options; others give up what was begun. FAILED: err, nothing has changed. */
enum build_state reloading_publish(struct sidecar *sc, const struct options *o, usec until, struct err *err) MUST_CHECK;
/* Is a spec of other options than those in force being made? */
bool reloading_applies(const struct sidecar *sc);
void reloading_give_up(struct sidecar *sc);
/* All workers get the spec and the ports, or none. */
bool reloading_tell(struct sidecar *sc, struct spec_sidecar *spec, const struct ports *ports, struct err *err) MUST_CHECK;

/* --- discovering.c ----------------------------------------------------------------------------------------- */
bool discovering_start(struct sidecar *sc, struct err *err) MUST_CHECK;
/* What a spec of these options is to be built from. */
struct build_request discovering_request(struct sidecar *sc, const struct options *o);
/* Sees to a spec with what is discovered, if one is wanted. */
void discovering_respec(struct sidecar *sc); /* what a spec is made of has changed: one is made soon */
void discovering_again(struct sidecar *sc);
/* Upstreams that the options name are asked for. */
void discovering_names(struct sidecar *sc, const struct options *o);
void discovering_wanted(struct sidecar *sc, struct str name);                           /* worker_config.wanted */
void discovering_met(struct sidecar *sc, const struct addr *endpoint, struct str hello); /* worker_config.met */
void discovering_near(struct sidecar *sc); /* crew.near was replaced */
void discovering_stop(struct sidecar *sc);

/* --- announcing.c ------------------------------------------------------------------------------------------ */
bool announcing_start(struct sidecar *sc, struct err *err) MUST_CHECK; /* when ports are open */
void announcing_tell(struct sidecar *sc);     /* the own state may have changed */
void announcing_withdraw(struct sidecar *sc); /* once, when it leaves */
void announcing_stop(struct sidecar *sc);

#endif
