/* An exchange: one request and its response passing through a sidecar (DESIGN sections 1 and 7).
 *
 * The walk of a request, legs labelled as in docs/architecture.md:
 *
 *   (a) client.c   bytes arrive, http/h1 parses the head ............. exchange_start()
 *   (b) exchange.c the step table: begin, route, admit, pick, connect, send, relay, finish
 *                  route.c says which upstream, pick.c which endpoint, pool.c which connection
 *   (c) origin.c   writes the request, reads the response's head ..... exchange_response_head()
 *   (d) flow.c     bodies both ways; client.c and origin.c flush ..... exchange_flushed()
 *   (e) exchange.c finish: record.c counts; client.c goes on with the next request
 *
 * An exchange never sees a connection: it talks to two sessions through `struct session_ops` (client.c on the way
 * down, origin.c on the way up; HTTP/2 later), which call back with the exchange_… functions below.
 *
 * Life: taken from the worker's free list by a client when the first byte of a request arrives, given back in
 * finish. Every function that may finish an exchange says so: afterwards the caller looks at its own pointer
 * (client->x, origin->x), which finish has cleared. Thread: its worker. */
#ifndef OUTRIDER_PROXY_EXCHANGE_H
#define OUTRIDER_PROXY_EXCHANGE_H

#include "proxy/flow.h"
#include "proxy/parts.h"
#include "proxy/record.h"
#include "proxy/trace.h"

struct circuit;
struct draft;
struct reply;
struct exchange;
struct client;
struct origin;

/* What a session can do for an exchange. Client: head is the response's; origin: head is the request's. */
struct session_ops {
	/* Queues the head (x->res or x->req) as this protocol writes it. false: no memory. */
	bool (*head)(struct exchange *x);
	/* Writes what is queued; reports by exchange_flushed() or exchange_…_failed(). May finish x. */
	void (*flush)(struct exchange *x);
	/* The peer's queue has drained: deliver more of the body. May finish x. */
	void (*pull)(struct exchange *x);
	/* Detaches from x. `clean`: the message is complete and the connection may be used again; else it is ended,
	 * visibly for the peer when a message was cut. */
	void (*leave)(struct exchange *x, bool clean);
};

enum step { /* the step table, in order */
	STEP_BEGIN, STEP_ROUTE, STEP_ADMIT, STEP_PICK, STEP_CONNECT, STEP_SEND, STEP_RELAY, STEP_FINISH, STEP_COUNT
};

enum step_result { CONTINUE, WAIT, DONE };

#define TRIED_MAX 8

struct attempt { /* one try at one endpoint; its own object so that two may live at once later */
	struct wendpoint *ep;
	struct origin *o;      /* NULL until a connection is under way */
	struct resolve_query *query; /* egress: the name being resolved */
	usec started;
	uint64_t sent_before;  /* of x->up.q.sent when the attempt began */
	uint32_t err;          /* errno of its failure */
	struct balance_ticket ticket; /* of a balanced one */
	usec sent_at;          /* when its head was queued */
	usec head_at;          /* when the response's head came; 0: not yet */
	uint16_t status, reason; /* of its reply; of its failure, enum reason */
	uint8_t outcome;       /* enum balance_outcome, once head_at is set */
	bool balanced;         /* an endpoint of a service that the balancer picked */
	bool begun;            /* it counts at its endpoint */
	bool reused;           /* a pooled connection */
	bool got_bytes;        /* the origin began to answer */
};

struct exchange {
	struct exchange *next;       /* free list */
	struct worker *w;
	struct wsidecar *sc;
	struct wspec *wspec;         /* the spec it began with */
	struct wlistener *l;
	struct client *c;            /* way down; NULL after leave */
	const struct session_ops *down, *up_ops;
	uint32_t generation;         /* grows each time the object is used anew */
	uint8_t step;                /* enum step */
	bool waiting;

	struct head req, res;
	struct block *req_block;     /* holds the request's head */
	struct block *res_block;
	struct arena arena;
	struct flow up;              /* request body, client to origin */
	struct flow down_flow;       /* response body, origin to client */

	const struct spec_upstream *upstream;
	const struct spec_upstream *primary; /* its fallback.upstream is called in its place; NULL: that is not so */
	struct wupstream *wup;
	const struct spec_route *route; /* of an edge */
	struct str path;             /* as forwarded: normalised, rewritten */
	struct str host;             /* of the target, without port; egress: the name to resolve */
	uint16_t port;               /* of the target; 0 = none given */
	struct wendpoint *fixed;     /* the target names one endpoint */
	struct addr addrs[4];        /* egress: what the name resolved to */
	uint8_t n_addrs, next_addr;
	struct attempt a;
	struct record_try tries[RECORD_TRIES_MAX]; /* attempts that are over */
	uint8_t n_tries;
	struct exchange_trace trace;
	usec routed;                 /* its upstream was known */
	usec queued;                 /* was_queued: it first began to wait for a place */
	uint8_t n_attempts, n_connects, n_tried;
	const struct wendpoint *tried[TRIED_MAX];
	uint32_t tried_index[TRIED_MAX]; /* the same by index among the upstream's endpoints */
	uint64_t sticky;             /* balance_id() that the client's cookie wants; 0: none */
	struct list parked;          /* park.c: it waits for a name; queue.c: for a place */
	struct timer wait_timer;     /* of the one thing that it waits for: name, place, back-off, injected delay */
	struct timer deadline_timer; /* armed once while deadline is set */
	uint64_t throttle, throttled; /* an injected fault: bytes per second of the reply's body, 0: none; bytes that were let through */
	usec deadline;               /* of the call; 0: none */
	usec placed_at;              /* valid while placed */
	struct circuit *circuit;     /* where it is placed, and entered unless `keyed` is */
	struct circuit *keyed;       /* whose breaker judges it, where the upstream has one for its SOAP action */
	struct crowd_place client;   /* valid while crowded */
	struct breaker_ticket ticket;
	usec park_until;             /* 0: it never waited */
	struct draft *draft;         /* last_good.c: its reply is being copied; NULL: it is not */
	struct reply *recalled;      /* the last good reply that answers; a reference; NULL: none */

	uint16_t status;             /* of the final response, 0 = none yet */
	uint16_t reason;             /* enum reason: why the agent answered or cut */
	uint16_t own_status;         /* of the agent's own answer, where it is not its reason's; 0: it is */
	uint8_t verdict;             /* enum circuit_event + 1, where the outcome is not the reply's; 0: it is */
	uint8_t retry_cap;           /* retries that the caller allows */
	bool counted;                /* in the counters and gauges */
	bool admitted;               /* counts as active at its upstream */
	bool tunnel_wanted;          /* websocket upgrade was forwarded */
	bool connect;                /* CONNECT or a tcp listener: a tunnel, no request to forward */
	bool tcp;                    /* tcp listener: no HTTP at all */
	bool request_done;           /* the client delivered the whole request */
	bool head_down;              /* the final response's head is queued or sent: no retry any more */
	bool response_done;          /* the whole response is queued */
	bool close_down;             /* the client is told Connection: close */
	bool cut;                    /* the response could not be completed */
	bool entered, placed;        /* counts in its circuit's breaker, holds a place of its bulkhead */
	bool is_throttled;           /* the origin is read again when wait_timer fires */
	bool is_queued, was_queued, is_delayed, is_backing_off; /* waits for a place (or did), by an injected fault, before a retry */
	bool faulted, fault_reset;   /* faults were thrown for it; its client's connection is to be closed */
	bool crowded;                /* counts among its client's requests */
	bool deadline_over;
	bool deadline_told;          /* it is the caller's own: that it ended says nothing of the upstream */
	bool fallen;                 /* a fallback answers, or is called to */
	bool exhausted;              /* the reply passed on is one that an agent marked so */
	bool retried_safe;           /* the one repetition of a safe request is used up */
	bool is_parked, was_parked, park_over; /* waits for discovery; waited as long as it may */
	bool park_patient;                     /* waits also when there is no such service just now */
	bool greet;                  /* inbound: the caller is an agent that said hello */
	bool renewed;                /* tried_index[] is of an earlier spec */
	bool port_given;             /* the target named a port */
	bool prepared;               /* forward_prepare() is done */
	bool upgraded;               /* became a tunnel: the sessions belong to it now */
	char id[33];                 /* request id, "" until made */
	struct str request_id;       /* the client's own or id */
	struct str forwarded_for;    /* what X-Forwarded-For said when it came */
	usec began;                  /* µs, monotonic: its first byte came; what is told of its time counts from here */
	usec started, moved;         /* its head was whole; last byte moved */
	char arena_mem[2048];
};

/* --- from the client's side ------------------------------------------------------------------------------ */
/* A blank exchange for a connection of l, or NULL when memory is short. */
struct exchange *exchange_new(struct worker *w, struct wlistener *l, struct client *c, const struct session_ops *down);
/* The request's head is complete (x->req). May finish x. */
void exchange_start(struct exchange *x);
/* A tcp connection: x->tcp and x->connect are set. May finish x. */
void exchange_start_tcp(struct exchange *x);
/* The request could not be read: answers with that reason and closes. May finish x. */
void exchange_reject(struct exchange *x, enum reason why);
/* The request's body failed: bad chunk, too large, stalled. Answers if no response began. May finish x. */
void exchange_request_failed(struct exchange *x, enum reason why);
/* More of the request's body is queued, or its end (x->up.ended). May finish x. */
void exchange_request_moved(struct exchange *x);
/* The client left. Finishes x. */
void exchange_client_gone(struct exchange *x);
/* All that was queued for the client is in the kernel. May finish x. */
void exchange_client_flushed(struct exchange *x);

/* --- from the origin's side ------------------------------------------------------------------------------ */
void exchange_connected(struct exchange *x); /* May finish x. */
/* The attempt failed before a response head: retried elsewhere, or answered. The origin has been closed. May finish x. */
void exchange_attempt_failed(struct exchange *x, enum reason why, int err);
/* x->res is complete. false: x went another way (bad response), the origin was left. */
bool exchange_response_head(struct exchange *x);
void exchange_response_moved(struct exchange *x); /* body bytes or the end are queued. May finish x. */
/* The response ended too early or is malformed: the client is cut. Finishes x. */
void exchange_response_failed(struct exchange *x, enum reason why);
/* All that was queued for the origin is in the kernel. May finish x. */
void exchange_origin_flushed(struct exchange *x);

/* --- within proxy/ ------------------------------------------------------------------------------------------ */
void exchange_run(struct exchange *x);          /* runs steps until one waits; may finish x */
void exchange_answer(struct exchange *x, enum reason why); /* own answer; may finish x */
/* Leaves the present attempt's connection (or stops resolving); `clean` as in session_ops.leave. */
void exchange_drop_attempt(struct exchange *x, bool clean);
/* retry.c: the reply is an agent's "unsent": true when the request went to another endpoint instead; x may be gone. */
bool exchange_retry_unsent(struct exchange *x);
/* retry.c: a reply with a status of retry.statuses: true when the request goes elsewhere instead; x may be gone. */
bool exchange_retry_reply(struct exchange *x);
void exchange_renew(struct exchange *x);        /* runs from the route on, on the sidecar's present spec; may finish x */
void exchange_stop_waiting(struct exchange *x); /* for a name, a place, a back-off or an injected delay; harmless when it does not */
void exchange_cut(struct exchange *x, enum reason why); /* the response cannot be completed, and the client must see that; x is gone */
void exchange_finish(struct exchange *x);       /* the end; x is gone */

static inline const struct spec_sidecar *exchange_spec(const struct exchange *x)
{
	return x->wspec->spec;
}
/* How long its peers may stand still while a body is under way; 0: for ever. */
static inline usec exchange_stall(const struct exchange *x)
{
	return (x->upstream ? x->upstream : exchange_spec(x)->external)->policy.stall;
}
static inline bool exchange_off(const struct exchange *x)
{
	return exchange_spec(x)->mode == MODE_OFF || (x->upstream && x->upstream->mode == MODE_OFF);
}

#endif
