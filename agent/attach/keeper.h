/* `outrider node`, the privileged half: finds the containers of this node, makes sockets in their namespaces, keeps their listeners,
 * and keeps a proxy running, which does all the rest without any privilege (DESIGN section 2).
 *
 *     keeper.c           life: options, signals, the stop           keeper_wards.c     containers: attached, ended
 *     keeper_facts.c     what /doctor says of all that
 *     keeper_early.c     the namespace of a container that starts
 *     keeper_proxy.c     the proxy process and what it asks for     keeper_handover.c  listeners to and from another keeper
 *     keeper_neighbours.c  addresses of all containers
 *     keeper_logs.c      containers' log streams into pipes         log_choice.h       whose
 *     engine.h           the container engine                       netns.h            sockets in namespaces
 *
 * It parses nothing but the engine's JSON and records of fixed size. These files share `struct keeper`. One thread. */
#ifndef OUTRIDER_ATTACH_KEEPER_H
#define OUTRIDER_ATTACH_KEEPER_H

#include "attach/engine.h"
#include "attach/log_choice.h"
#include "attach/netns.h"
#include "attach/outbox.h"
#include "attach/wire.h"
#include "base/list.h"
#include "control/log.h"
#include "control/options.h"
#include "net/timer.h"

/* argv: what stands behind the command's word. Returns the exit status. */
int keeper_main(const char *version, int argc, char **argv);

#define WARDS_MAX 240u    /* containers with a sidecar; below SLOTS_SIDECARS_MAX */
#define KEPT_MAX 1024u    /* listeners of one container */

struct kept { /* a listener, for the container's life */
	struct list link;
	struct addr addr;
	uint32_t index;
	int fd;
};

struct ward { /* a container that has a sidecar, or was left alone for a reason that was said */
	struct list link;
	uint32_t number;
	char id[CONTAINER_ID_LENGTH + 1];
	char name[128], sandbox[40];
	bool left;        /* alone */
	bool pending;     /* it is made, and not started: left alone until it is */
	bool refused;     /* left alone by the operator's rule, or for what it is */
	bool taken;       /* for the reason that another agent has it */
	bool again;       /* for that or another reason that may pass: tried again at `next` */
	usec pause, next;
	bool told;        /* the present proxy knows it */
	bool settled;     /* and serves it, or cannot */
	int ns;           /* its namespace, held open; -1 */
	struct list kept; /* struct kept */
	size_t n_kept;
	char *packed; /* owned: for a proxy that starts */
	size_t n_packed;
	usec since; /* monotonic: attached */
	/* keeper_logs.c */
	enum log_choice follow;
	bool terminal, runs;
	uint64_t started, log_at; /* ns since 1970: the container; the line that was read last, 0: none yet */
	char log_driver[40];
	struct ward_log *log; /* owned; NULL: none is read */
};

struct ward_log;

struct proxy { /* the other half */
	pid_t pid; /* 0: none runs */
	int records, calls;
	struct watch on_records, on_calls;
	struct outbox outbox; /* to records */
	usec started;
	unsigned quick; /* ends in a row soon after a start */
	enum { PROXY_SERVES, PROXY_RELIEVED, PROXY_DRAINS } told; /* what it shall do */
	bool replaced;      /* it was relieved, and we end it to have another: no failure */
	struct timer timer; /* the next start */
};

struct handover;

struct keeper {
	const char *version;
	int argc;
	char **argv;
	struct options *options;
	struct log log;
	struct loop *loop;
	struct engine *engine;
	struct addr engine_at;
	struct list logs;     /* keeper_logs.c: also of containers that have ended */
	uint64_t logs_since;  /* ns since 1970: when logs became ours to read */
	uint64_t logs_until;  /* and a successor's; 0: not yet */
	struct netns_home home;
	bool blind; /* what is mounted there later is not seen */
	struct list wards;
	struct list used; /* keeper_early.c */
	struct list neighbours; /* keeper_neighbours.c */
	struct timer neighbours_timer;
	int names_fd; /* inotify of the folder */
	struct watch on_names;
	struct timer early_timer;
	usec early_until;
	size_t n_wards;
	uint32_t numbers; /* given to wards so far */
	char node[256], node_id[64], engine_version[64];
	struct addr own; /* our own container's, on network `outrider`; len 0: unknown */
	bool swarm, manager, listed;
	unsigned api;      /* of the engine: 41 is 1.41 */
	char trouble[200]; /* of the engine */
	int clock_state;   /* keeper_facts.c: what adjtimex() says */
	struct timer clock_timer;
	struct proxy proxy;
	struct handover *handover; /* owned; NULL: outrider.run=off */
	struct sigwatch on_term, on_int, on_child, on_usr1;
	struct container_rule rule;
	bool handed; /* a successor serves the containers */
	bool stopping;
	usec deadline; /* of the stop */
	struct timer stop_timer, again_timer;
	int status;
};

/* --- keeper_wards.c --------------------------------------------------------------------------------------------- */
bool wards_is_own(const struct container *c); /* ours, as far as can be told */
bool wards_see(struct keeper *k, const struct container *c); /* engine_config.container */
void wards_unread(struct keeper *k, struct str id, const char *why); /* engine_config.unread */
void wards_stopping(struct keeper *k, struct str id); /* engine_config.stopping */
void wards_gone(struct keeper *k, struct str id);
struct ward *wards_find(struct keeper *k, uint32_t number);
struct ward *wards_find_id(struct keeper *k, struct str id); /* also one that is left alone */
void wards_attach(struct keeper *k, struct ward *w); /* its sandbox is known */
void wards_tell(struct keeper *k, struct ward *w); /* the proxy of it */
void wards_try_again(void *arg); /* again_timer */
void wards_end_all(struct keeper *k);
size_t wards_served(const struct keeper *k);       /* not left alone */
/* The listener of that address and index, made when there is none yet. -1, errno, err. */
int wards_listen(struct keeper *k, struct ward *w, const struct addr *a, uint32_t index, struct err *err);
void wards_unlisten(struct ward *w, const struct addr *a);
bool wards_keep(struct ward *w, const struct addr *a, uint32_t index, int fd); /* fd is the ward's then; false: no memory */

/* A listener from a predecessor, of a container that is known already. false: it is not; fd stays the caller's. */
bool wards_inherit(struct keeper *k, const char *id, const struct addr *a, uint32_t index, int fd);
bool wards_settled(const struct keeper *k); /* the proxy has begun, or refused, with each */

/* --- keeper_logs.c ------------------------------------------------------------------------------------------------ */
void logs_choose(struct keeper *k, struct ward *w, const struct container *c); /* it was seen (again) */
void logs_look(struct keeper *k, struct ward *w); /* its log is read from now on, if it may be */
void logs_look_all(struct keeper *k);
void logs_read(struct keeper *k, struct ward *w, const struct wire_record *r); /* WIRE_LOG_AT */
void logs_leave(struct keeper *k, struct ward *w); /* it has ended */
void logs_proxy_ended(struct keeper *k);

/* --- keeper_facts.c ----------------------------------------------------------------------------------------------- */
void facts_begin(struct keeper *k); /* the loop is there */
void facts_look(struct keeper *k);  /* the folder is open: says what is wrong with it */
void facts_end(struct keeper *k);
void facts_tell(struct keeper *k);  /* the proxy */
void facts_tell_files(struct keeper *k); /* there are other containers, or listeners, than before */

/* --- keeper_neighbours.c ------------------------------------------------------------------------------------------ */
void neighbours_begin(struct keeper *k);
void neighbours_see(struct keeper *k, const struct container *c); /* with a sidecar or without */
void neighbours_gone(struct keeper *k, struct str id);
void neighbours_tell(struct keeper *k); /* the proxy, when all are known */
void neighbours_end(struct keeper *k);

/* --- keeper_early.c ----------------------------------------------------------------------------------------------- */
void early_begin(struct keeper *k);                  /* the containers are listed: what is in the folder is somebody's */
void early_use(struct keeper *k, const char *name);  /* that namespace has an owner */
void early_look(struct keeper *k);                   /* a container joined a network, or was seen */
void early_end(struct keeper *k);

/* --- keeper_handover.c ------------------------------------------------------------------------------------------ */
/* Takes what a predecessor has; waits some seconds for it at most. */
bool handover_begin(struct keeper *k, struct str folder, struct err *err) MUST_CHECK;
void handover_listen(struct keeper *k);                 /* for a successor */
void handover_look(struct keeper *k);                   /* are we ready to relieve the predecessor? */
void handover_take(struct keeper *k, struct ward *w);   /* what was inherited of it becomes its */
void handover_kept(struct keeper *k, const struct ward *w, const struct kept *e); /* a new listener, for a successor that is there */
bool handover_is_over(const struct keeper *k);        /* the predecessor, if there is one, was told that we serve */
const char *handover_trouble(const struct keeper *k); /* why no successor could take over; NULL */
void handover_end(struct keeper *k);

/* --- keeper_proxy.c --------------------------------------------------------------------------------------------- */
bool proxy_start(struct keeper *k, struct err *err) MUST_CHECK;
void proxy_ended(struct keeper *k); /* SIGCHLD */
/* successor: another accepts from now on, what is open here may stay until it is used; else it drains and ends. */
void proxy_stop(struct keeper *k, bool successor);
void proxy_end(struct keeper *k);   /* at once */
void proxy_resume(struct keeper *k); /* serve again after proxy_stop() */
bool proxy_send(struct keeper *k, const struct wire_record *r, const int *fds, size_t n);
void proxy_tell_node(struct keeper *k);

/* --- keeper.c --------------------------------------------------------------------------------------------------- */
void keeper_look_at_stop(struct keeper *k); /* something changed that a stop waits for */

#endif
