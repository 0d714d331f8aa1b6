/* `outrider node`, the unprivileged half: the proxy, with a sidecar for each container that the keeper tells of. It parses whatever
 * comes from a network, and holds no right but the descriptors that it is given (DESIGN section 2).
 *
 *     node.c          life: the keeper's records, the own admin port, the drain
 *     node_sidecar.c  a container's record becomes a sidecar, and ends
 *     node_options.c  its options: the agent's own, the container's variables, its labels, what swarm says of it
 *     node_logs.c     what containers write
 *     node_pages.c    /sidecars                    node_doctor.c   /doctor
 *
 * These files share `struct node`. Thread: control's. */
#ifndef OUTRIDER_ATTACH_NODE_H
#define OUTRIDER_ATTACH_NODE_H

#include "attach/container.h"
#include "attach/sidecar.h"
#include "attach/wire.h"
#include "control/app_output.h"
#include "net/answers.h"
#include "net/netspace.h"

#define NODE_OWN_MAX 32u
#define NODE_BAD_MAX 64u

/* Returns the exit status. */
int node_main(const char *version, int argc, char **argv);

struct node;

struct node_fact { /* what the keeper said of its surroundings */
	uint32_t level; /* enum doctor_level */
	char says[sizeof(((struct wire_record *)NULL)->why)];
};

struct node_sidecar {
	struct list link;
	struct node *node;
	uint32_t number; /* the keeper's */
	struct container container; /* owned */
	struct netspace *ns;        /* owned */
	struct sidecar sidecar;
	char identity[CONTAINER_ID_LENGTH + 16];
	char service[132], stack[132], task[132], slot[64]; /* as swarm names them; service also without swarm */
	struct addr own[NODE_OWN_MAX];
	size_t n_own;
	char networks[200]; /* their names, as of now */
	uint64_t shares;    /* who has the same ones may have the same answers of DNS: node_networks() */
	struct str bad[NODE_BAD_MAX]; /* keys of variables and labels that are wrong; in the container's arena */
	size_t n_bad;
	struct text problems; /* what was wrong with them, a line each */
	struct addr asked; /* the listener that the keeper was asked for last, and its number */
	uint32_t asked_n;
	struct err why;       /* why it does not serve */
	bool serving, stopping, ending;
	bool hopeless;        /* it does not serve for what its container says of itself, which never changes */
	bool anew;            /* it ends, to begin again */
	usec pause, next;     /* monotonic; it failed: between tries, and the next one */
	bool deaf; /* a worker could not be told to drop it */
	usec since, until; /* monotonic; until: its end is waited for so long */
	usec served;       /* wall time since when it serves */
	struct node_log *log;   /* of what its container writes; NULL: that is not read */
	struct node_fact output; /* why */
};

struct node_log;

struct node {
	const char *version;
	int argc;
	char **argv;       /* owned: flags that hold for sidecars, too */
	char **environ_;   /* owned: the same of the environment */
	struct options *options;
	struct log log;
	struct logs *logs;   /* owned */
	struct loop *loop;
	struct crew crew;
	struct watch on_records;
	struct list sidecars; /* struct node_sidecar */
	size_t n_sidecars;
	uint32_t calls;    /* to the keeper, so far */
	char name[256];    /* of the node */
	struct timer tick, again_timer; /* again_timer: a sidecar that failed is tried again */
	size_t n_ending;   /* of sidecars: what node_reap() looks for */
	bool reaping, stopped, argv_owned;
	bool on_network;   /* its admin port listens there */
	usec next_rest, drained_at;
	usec let_go_from, gone_by; /* its last third: what is still under way is let go then, spread over it; 0: not yet known */
	uint64_t to_let_go;        /* under way at let_go_from */
	struct node_fact facts[WIRE_FACTS];
	struct app_output *output; /* owned */
	struct list logs_read;     /* struct node_log */
	struct timer logs_timer;
	uint64_t logs_until;       /* ns since 1970: from then on they are a successor's; 0: there is none */
	struct answers *answers; /* owned: of DNS, shared by sidecars on equal networks */
	uint64_t gathered; /* crew.changes when views were gathered */
	struct agent_sidecar views[SLOTS_SIDECARS_MAX]; /* of those that serve, for admin pages */
	enum { NODE_SERVING, NODE_RELIEVED, NODE_DRAINING } phase;
	bool at_rest; /* relieved, and its sidecars were ended */
	struct sidecar own; /* the agent itself: its admin port, no traffic */
};

/* --- node_sidecar.c ------------------------------------------------------------------------------------------- */
void node_container(struct node *n, uint32_t number, struct str packed);
void node_stopping(struct node *n, uint32_t number); /* its container was told to stop */
void node_ended(struct node *n, uint32_t number);
void node_try_again(void *arg); /* again_timer */
void node_relieved(struct node *n); /* ends all sidecars; what is registered is the successor's */
struct node_sidecar *node_find(struct node *n, uint32_t number);
/* Frees what has ended; only between turns of the loop, for it turns it itself. */
void node_reap(struct node *n);
void node_end_all(struct node *n); /* the crew is halted */

/* --- node_logs.c ---------------------------------------------------------------------------------------------- */
bool node_logs_begin(struct node *n, struct err *err) MUST_CHECK;
void node_log(struct node *n, const struct wire_record *r, int *fds, size_t *n_fds); /* WIRE_LOG; takes the descriptor */
void node_logs_until(struct node *n, struct str ns); /* a successor reads from then on */
void node_log_leave(struct node_sidecar *s);         /* it is freed; what its container has written is still read */
void node_logs_end(struct node *n);                  /* before the hub is flushed */
void node_put_output(struct json *j, const struct node_sidecar *s); /* a member of its object on /sidecars */

/* --- node_pages.c --------------------------------------------------------------------------------------------- */
void node_put_sidecars(void *arg, struct json *j); /* agent.put_sidecars */
struct admin *node_find_sidecar(void *arg, struct str name); /* agent.find_sidecar */
void node_each_sidecar(void *arg, void (*fn)(void *to, const struct agent_fact *f), void *to); /* agent.each_sidecar */
const char *node_sidecar_name(const struct node_sidecar *s); /* of its task, without swarm of its container; unique on the node */
enum agent_proxy node_proxy(const struct node_sidecar *s); /* of one that serves: whether its variables lead to its outbound listener */
const char *node_wiring(const struct node *n, const struct node_sidecar *s); /* how its own calls reach it */

/* --- node_doctor.c -------------------------------------------------------------------------------------------- */
void node_fact(struct node *n, const struct wire_record *r);
void node_examine(void *arg, struct doctor *d);   /* agent.examine */
void node_put_health(void *arg, struct json *j);  /* agent.put_health */
void node_put_support(void *arg, struct json *j); /* agent.put_support */

/* --- node_options.c ------------------------------------------------------------------------------------------- */
/* Reads the options of a new sidecar. What is wrong in a container's variables or labels is left out and logged. false: err. */
bool node_options(struct node_sidecar *s, struct err *err) MUST_CHECK;
/* Flags and environment of the agent without what is only its own (admin port …). */
bool node_own_options(struct node *n, struct err *err) MUST_CHECK;
/* Those of its networks; false: they are the same as before. */
/* Of its networks: who has the same gets the same answers of DNS. */
uint64_t node_networks(const struct container *c);
void node_name_networks(struct node_sidecar *s, const struct container *c);
bool node_own_addresses(struct node_sidecar *s, const struct container *c);
void node_identify(struct node_sidecar *s); /* service, stack, task, own addresses */

#endif
