/* A worker: one thread, one event loop, and all that only this thread touches (DESIGN section 5).
 *
 *     control                                   worker
 *     worker_new, worker_start   ───────────>   loop_run
 *     worker_set_sidecar(spec)   ──mail──────>  listeners open, new exchanges use the new spec
 *                                <──mail──────  released(old spec) when its last exchange ended
 *     worker_drain               ──mail──────>  says Connection: close, stops accepting, finishes
 *     worker_stop, worker_join   ───────────>   everything closed
 *
 * Control owns specs and listening descriptors; a worker borrows them until it says "released". Counters have one
 * writer (the worker) and may be read by any thread (relaxed). */
#ifndef OUTRIDER_PROXY_WORKER_H
#define OUTRIDER_PROXY_WORKER_H

#include "base/reason.h"
#include "base/text.h"
#include "net/loop.h"
#include "proxy/durations.h"
#include "proxy/overload.h"
#include "proxy/spec.h"

enum counter_id {
#define METRIC(id, name, type, unit, help) COUNTER_##id,
#include "metrics.def"
#undef METRIC
	COUNTER_COUNT
};

/* Per worker and sidecar. Gauges are counters that go down. */
struct counters {
	_Atomic uint64_t v[COUNTER_COUNT];
	_Atomic uint64_t reasons[REASON_COUNT]; /* own answers and cut exchanges by reason */
};

/* The last failure of an attempt. */
struct last_error {
	_Atomic uint64_t at;     /* wall µs, 0 = never */
	_Atomic uint32_t reason; /* enum reason; REASON_NONE: a reply that was not taken, of status `error` */
	_Atomic uint32_t error;  /* errno, 0 = none */
};

/* Per worker and upstream, for /upstreams. Its last error is the only one shown of endpoints that no spec lists (the
 * handler's, localhost's and egress'). */
struct upstream_counters {
	_Atomic uint64_t requests, failures, active, retries;
	_Atomic uint64_t called; /* when the last call began, loop_now() of its worker */
	struct last_error last;
};

/* Per worker and endpoint, for /upstreams. */
struct endpoint_counters {
	_Atomic uint64_t attempts, failures, active, idle, connects;
	struct last_error last;
};

struct worker;

struct worker_config {
	unsigned index;      /* 0 .. */
	size_t buffers_max;  /* bytes of blocks this worker may have out */
	uint32_t max_sidecars, max_upstreams, max_endpoints; /* sizes of the slot tables: slots are below these */
	/* Posted to this loop (control's) when a spec is no longer used by this worker. */
	struct loop *control;
	void (*released)(void *arg, unsigned worker, struct spec_sidecar *spec);
	/* Posted to the same loop: somebody calls `name` (lower case), whose endpoints are not known; NULL: nobody can be asked. */
	void (*wanted)(void *arg, unsigned worker, uint32_t sidecar, struct str name);
	/* Posted to the same loop: the agent at an endpoint said of itself `hello` (proxy/hello.h), something new; may be NULL. */
	void (*met)(void *arg, uint32_t sidecar, const struct addr *endpoint, struct str hello);
	/* Posted to the same loop: the circuit of that sidecar's upstream changed its state; may be NULL. */
	void (*circuit_changed)(void *arg, uint32_t sidecar, struct str upstream, enum breaker_change how);
	/* Posted to the same loop: the handler of that sidecar closed connections, or refuses them: has it ended? May be NULL. */
	void (*handler_left)(void *arg, uint32_t sidecar);
	/* Posted to the same loop: the worker stands on another step of the overload ladder; may be NULL. */
	void (*overloaded)(void *arg, unsigned worker, enum overload_step step);
	/* Posted to the same loop: the worker's buffers grew by some MiB, so memory_percent may be old; may be NULL. */
	void (*grew)(void *arg);
	/* Posted to the same loop: there are records in its ring (worker_ring()) that control was not told of; may be NULL: nothing is
	 * recorded. */
	void (*recorded)(void *arg, unsigned worker);
	size_t ring;         /* bytes of the ring */
	const _Atomic bool *tapped; /* does control want a record of every exchange now? NULL: no */
	struct duration_bounds bounds; /* of its histograms */
	const _Atomic uint32_t *memory_percent; /* of what is left to the process, set by control; NULL: not known */
	void *arg;
};

/* NULL and err when memory or descriptors are short. */
struct worker *worker_new(const struct worker_config *cfg, struct err *err) MUST_CHECK;
bool worker_start(struct worker *w, struct err *err) MUST_CHECK; /* its thread, all signals blocked */

/* fds[i] is the listening descriptor of spec->listeners[i] for this worker, -1 = none (an optional address that this machine lacks). The array is copied,
 * the descriptors stay control's. A listener whose descriptor was there in the former spec of the same slot goes on; others are closed
 * for accepting. false: out of memory, nothing changed. */
bool worker_set_sidecar(struct worker *w, struct spec_sidecar *spec, const int *fds) MUST_CHECK;
/* The instance has ended: its connections are closed at once, the spec is released. The slot may be set again. */
bool worker_drop_sidecar(struct worker *w, uint32_t slot) MUST_CHECK;

/* It was told to stop: replies on its inbound listeners say Connection: close from now on. */
bool worker_sidecar_leaves(struct worker *w, uint32_t slot); /* false: out of memory, they find out by themselves */
/* Nobody stands behind it (any more): callers' connections at rest are closed, so that they go elsewhere. */
bool worker_rest_sidecar(struct worker *w, uint32_t slot);

/* The agent's own time is nearly up: ends so many of the tunnels and exchanges under way. false: out of memory. */
bool worker_let_go(struct worker *w, uint32_t n);

/* There is no service `name`: requests that wait for it go on without. false: out of memory. */
bool worker_unknown(struct worker *w, uint32_t sidecar_slot, struct str name) MUST_CHECK;

enum drain_step {
	DRAIN_ANNOUNCE, /* go on accepting; answer with Connection: close (lame duck) */
	DRAIN_INBOUND,  /* stop accepting on inbound, edge listeners; close their idle connections; outbound goes on */
	DRAIN_ALL,      /* the same for every listener */
	/* A successor accepts on the same sockets from now on: stop accepting, answer with Connection: close; idle connections stay until
	 * they are used once more, or DRAIN_ALL: a caller that sends as we close would lose its request */
	DRAIN_RELIEVED
};
bool worker_drain(struct worker *w, enum drain_step step) MUST_CHECK;

/* Exchanges and tunnels under way on inbound and edge listeners / on all; relaxed, any thread. */
uint64_t worker_busy_inbound(const struct worker *w);
uint64_t worker_busy(const struct worker *w);

void worker_stop(struct worker *w); /* any thread */
void worker_join(struct worker *w); /* waits for the thread; closes every connection */
void worker_free(struct worker *w); /* after join, or never started */

struct ring *worker_ring(struct worker *w); /* for its one reader; tell worker_ring_read() before it is emptied */
void worker_ring_read(struct worker *w);    /* control reads it now: the next record is told of again */
struct overload_view { enum overload_step step; unsigned buffers, descriptors; /* percent */ uint32_t clients; };
struct overload_view worker_overload(const struct worker *w);
usec worker_cpu(const struct worker *w); /* that its thread has run on a CPU; 0: unknown */
struct loop *worker_loop(const struct worker *w);
/* Any thread, relaxed reads; NULL when the worker never saw that slot. */
const struct counters *worker_counters(const struct worker *w, uint32_t sidecar_slot);
const struct upstream_counters *worker_upstream_counters(const struct worker *w, uint32_t upstream_slot);
const struct durations *worker_durations(const struct worker *w, uint32_t sidecar_slot, enum direction d);
const struct durations *worker_upstream_durations(const struct worker *w, uint32_t upstream_slot);
const struct endpoint_counters *worker_endpoint_counters(const struct worker *w, uint32_t endpoint_slot);

/* Latency and load of an endpoint as this worker sees them; fields that are atomic may be read. NULL: slot out of range. */
const struct balance_stat *worker_balance_stat(const struct worker *w, uint32_t endpoint_slot);

/* What a worker knows of an upstream, for balance_explain(); NULL: it never called it. */
const struct balance_part *worker_balance_part(const struct worker *w, uint32_t upstream_slot);

/* Asks for the list of open client connections: `fn` is called on control's loop with a JSON array of objects (peer, listener, state, age_ms, idle_ms,
 * requests, method, path without query, upstream, endpoint), at most `max` of them. Text is the callee's to text_release(). */
bool worker_connections(struct worker *w, uint32_t sidecar_slot, uint32_t max,
			void (*fn)(void *arg, unsigned worker, struct text *json), void *arg) MUST_CHECK;

#endif
