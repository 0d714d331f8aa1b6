/* The worker's private parts: what one thread keeps per sidecar, listener, upstream and endpoint.
 *
 *     worker ──> wsidecar[slot] ──> wspec (current) ──> spec_sidecar (control's)
 *        │            ├──> wlistener ──> clients
 *        │            └──> wspec (retired, until its last exchange ended)
 *        ├──> wupstream[slot]   counters, round-robin position, dynamic endpoints
 *        └──> wendpoint[slot]   pool, counters, learned closing age
 *
 * Everything is made and freed by the worker's thread; control only reads the counters. Private to proxy/. */
#ifndef OUTRIDER_PROXY_PARTS_H
#define OUTRIDER_PROXY_PARTS_H

#include "base/block.h"
#include "base/list.h"
#include "base/ring.h"
#include "base/rng.h"
#include "net/listen.h"
#include "net/resolve.h"
#include "net/timer.h"
#include "proxy/worker.h"

#include <pthread.h>

/* The one way to count: a single writer, so no locked instruction. */
static inline void count_add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline void count_sub(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) - n, memory_order_relaxed);
}

struct wspec { /* a spec as long as this worker uses it */
	struct spec_sidecar *spec;
	struct worker *w;
	struct mail released; /* its way back to control */
	uint64_t uses; /* exchanges that began with it */
	bool retired;
};

struct wlistener {
	struct listener l;
	struct worker *w;
	struct wsidecar *sc;
	struct list link;     /* wsidecar.listeners */
	struct list clients;  /* struct client.link */
	uint32_t n_clients;
	uint32_t n_dead;      /* closed in this turn, not buried yet */
	uint32_t index;       /* in the current spec's listeners; UINT32_MAX: removed, its clients finish */
	int fd;               /* control's */
	uint8_t kind;         /* enum listener_kind */
	bool accepting;
	char via[64];         /* what our Via element says on this kind of listener: the loop mark */
};

struct wsidecar {
	struct worker *w;
	uint32_t slot;
	struct wspec *cur;
	struct list listeners;
	struct aliases *aliases; /* alias.c; NULL: none was asked for */
	struct list names;     /* park.c: names that requests wait for */
	uint32_t n_names, n_parked;
	uint32_t n_clients;    /* open connections on its listeners */
	uint32_t n_busy;       /* exchanges and tunnels under way on them */
	struct resolver *resolver; /* of its namespace, when a name was first asked for; NULL: the worker's */
	bool leaves;          /* its instance was told to stop */
	usec suspect_next;    /* leave.c: before then control is not asked to look at its handler again */
	struct party party;   /* one sidecar's flood lets the others go first */
	struct counters counters;
	struct durations durations[DIRECTIONS];
};

struct wendpoint {
	struct wupstream *up;
	struct addr addr;
	char text[64];
	struct list link;      /* wupstream.dynamic, or unlinked */
	struct list idle;      /* struct origin.link, most recently used first */
	uint32_t n_idle, n_busy; /* connections resting; connections in use, tunnels included */
	usec idle_age;         /* peer closes idle connections after that long, as seen; USEC_NEVER: not seen */
	usec last_used;
	bool dynamic;
	uint8_t agent;         /* enum endpoint_agent, as this worker saw it */
	usec absent_until;     /* ENDPOINT_ABSENT: then it is looked for again */
	uint64_t hello_hash;   /* of what its agent said last */
	bool gone;             /* not in the spec any more: nothing is pooled */
	uint32_t given;        /* spec_endpoint.generation of the identity that it stands for */
	uint32_t generation;   /* grows when the slot gets another identity: older connections are not pooled */
	uint32_t seen;         /* worker.changes when a spec last listed it */
	struct endpoint_counters c;
};

#define DYNAMIC_MAX 256 /* endpoints of egress, localhost and the handler kept per upstream and worker */

struct waker { /* queue.c: calls of one worker that wait for a place; stands in its circuit's list once it had any */
	struct waker *next;
	struct mail mail;
	struct worker *w;
	struct circuit *circuit; /* once listed */
	struct list waiting;  /* struct exchange.parked */
	_Atomic uint32_t n;   /* that wait */
	_Atomic bool posted;  /* the mail is on its way */
	bool listed;
};

struct wupstream {
	uint32_t slot;
	uint32_t given;       /* spec_upstream.generation */
	struct balance_part balance;
	uint32_t n_dynamic;
	struct list dynamic;  /* wendpoint.link, most recently used first */
	bool handler_own;     /* HANDLER: it answered at the caller's address once, so loopback is never tried again */
	struct waker waker;
	uint32_t handler_of;  /* HANDLER: slot of its sidecar + 1, when it was called */
	bool handler_loop;    /* HANDLER: only 127.0.0.1 answered so far */
	struct upstream_counters c;
	struct durations durations;
};

#define WORKER_KEEP_BLOCKS 128u /* free blocks kept by a worker: one turn of the loop may need that many */

struct worker {
	struct worker_config cfg;
	pthread_t thread;
	bool started, ended; /* ended: its thread has ended, and nobody reads what is posted; control's */
	struct loop *loop;
	struct resolver *resolver;
	struct block_pool blocks;
	struct rng rng;
	struct wsidecar *_Atomic *sidecars;   /* by slot; set once, read by control */
	struct wupstream *_Atomic *upstreams;
	struct wendpoint *_Atomic *endpoints;
	struct balance_stat *stats;           /* by endpoint slot */
	struct list dead_clients, dead_origins; /* closed in this turn, freed at its end */
	struct list ready;        /* clients with pipelined bytes to look at in this turn */
	struct list tunnels;
	struct exchange *free_exchanges;
	uint32_t n_free_exchanges;
	_Atomic uint64_t busy, busy_inbound;
	struct overload over;
	struct ring ring;         /* of records, control reads it */
	struct bell ring_bell;
	_Atomic bool ring_told;   /* control was told of what it has not read yet */
	uint32_t n_clients, n_seated; /* connections of all sidecars; sidecars that have a spec */
	uint32_t changes;         /* specs that it was given */
	uint8_t drain;            /* enum drain_step + 1; 0 = not draining */
};

static inline void count(struct wsidecar *sc, enum counter_id id)
{
	count_add(&sc->counters.v[id], 1);
}
static inline void count_n(struct wsidecar *sc, enum counter_id id, uint64_t n)
{
	count_add(&sc->counters.v[id], n);
}
static inline void count_down(struct wsidecar *sc, enum counter_id id)
{
	count_sub(&sc->counters.v[id], 1);
}

static inline bool wlistener_is_inbound(const struct wlistener *l)
{
	return l->kind == LISTEN_INBOUND || l->kind == LISTEN_EDGE;
}
/* leave.c: the handler may have ended. */
void leave_suspect(struct wsidecar *sc);
void leave_suspect_of(struct worker *w, const struct wendpoint *ep); /* of the sidecar whose handler that endpoint is, if it is one */
/* Is a client of this listener to be told that we leave? */
bool wlistener_leaving(const struct wlistener *l);
/* One exchange or tunnel more or less is under way on that listener. */
void worker_busy_add(struct worker *w, const struct wlistener *l);
void worker_busy_sub(struct worker *w, const struct wlistener *l);

struct wspec *wspec_use(struct wsidecar *sc);
/* The last use of a retired spec releases it to control; s may be gone. */
void wspec_unuse(struct wspec *s);
void wlistener_free_if_unused(struct wlistener *l);

/* parts.c: making and finding parts; NULL when memory is short or the slot is out of range */
/* The slot's sidecar; a new one is *spare, which is taken then. slot is in range. */
struct wsidecar *part_sidecar(struct worker *w, uint32_t slot, struct wsidecar **spare);
struct wupstream *part_upstream(struct worker *w, const struct spec_upstream *u);
/* What is counted of a route; NULL: nothing is. */
struct durations *part_route(struct worker *w, const struct spec_route *r);
struct wendpoint *part_endpoint(struct worker *w, struct wupstream *up, const struct spec_endpoint *e);
/* From `old` to `now` (not the same part): parts of slots with another identity begin anew, endpoints that are no longer
 * listed finish what they do and pool nothing. Either may be NULL. */
void parts_follow(struct worker *w, const struct spec_upstream *old, const struct spec_upstream *now);
/* Its counters begin anew: the slot may become another sidecar's. */
void part_sidecar_forget(struct wsidecar *sc);
/* Closes what rests in the pools of an upstream's dynamic endpoints. */
void parts_forget_dynamic(struct worker *w, uint32_t slot);
/* An endpoint that no spec lists (egress, localhost, handler): found or made, the least used idle one dropped beyond DYNAMIC_MAX. */
struct wendpoint *part_dynamic(struct worker *w, struct wupstream *up, const struct addr *a, usec now);
void part_endpoint_free(struct wendpoint *e);
void part_upstream_free(struct wupstream *u);

void record_init(struct worker *w); /* record.c: before its first exchange */

#endif
