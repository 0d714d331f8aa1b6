/* What the steps of an exchange ask of their neighbours: route, pick, forward, answer, record, tunnel. Private to proxy/. */
#ifndef OUTRIDER_PROXY_STEPS_H
#define OUTRIDER_PROXY_STEPS_H

#include "proxy/exchange.h"

/* route.c: which upstream. Sets x->upstream, wup, path, host, port, fixed. REASON_NONE, or why it goes nowhere. */
enum reason route_find(struct exchange *x);

/* pick.c: which endpoint. */
enum pick_result {
	PICK_OK,   /* x->a.ep is set */
	PICK_WAIT, /* a name is being resolved; exchange_run() goes on when it is */
	PICK_NONE  /* *why says why */
};
enum pick_result pick_endpoint(struct exchange *x, enum reason *why);
/* Is there an endpoint that was not tried yet, after the present one failed to connect? */
bool pick_has_other(struct exchange *x);
/* Names are asked where the sidecar stands. NULL: no memory. */
struct resolver *pick_resolver(struct exchange *x);
/* The present attempt reached a connection, or failed to. */
void pick_connected(struct exchange *x);
void pick_failed(struct exchange *x, bool connecting);

/* attempt.c: what an attempt counts at its endpoint. */
void attempt_begin(struct exchange *x);
/* The response's head came. */
void attempt_answered(struct exchange *x);
/* Idempotent. `how` is overruled by what attempt_answered() saw, unless it is BALANCE_FAILED. */
void attempt_end(struct exchange *x, enum balance_outcome how);

/* hash_key.c */
/* The hash of what the upstream's balance.hash names; false: the request has none. */
bool hash_key(const struct exchange *x, uint64_t *ret);
/* The endpoint that the client's sticky cookie wants (balance_id()); 0: none. */
uint64_t hash_sticky(const struct exchange *x);

/* forward.c: heads as they are sent on. */
/* Once per exchange, before the first attempt: removes what must not be forwarded, settles the request id. false: no memory. */
bool forward_prepare(struct exchange *x);
bool forward_request_head(struct exchange *x);  /* queues x->req into x->up.q. false: no memory */
bool forward_response_head(struct exchange *x); /* queues x->res into x->down_flow.q. false: no memory */
/* Makes an id of our own for the request. */
void forward_make_id(struct exchange *x);
/* May the client's connection go on after this response? Settles x->close_down. */
bool forward_trusts(const struct exchange *x); /* is what this caller says of itself and of others to be believed? */
bool forward_keeps_open(struct exchange *x);
/* Is our own Via mark in the request? */
bool forward_looped(const struct exchange *x);

/* retry.c */
void retry_told(struct exchange *x);      /* what the caller's x-outrider-retries allows */
void retry_keep_body(struct exchange *x); /* the body is kept for another attempt, as far as the policy says */
void retry_leave(struct exchange *x);     /* harmless when no back-off is under way */
bool retry_leads_elsewhere(const struct exchange *x); /* a connection that is given up now would be tried by a newer spec */
bool retry_can_rewind(const struct exchange *x);
bool retry_rewind(struct exchange *x);    /* the request can be sent again from its start: made so */
/* Is the reply that goes down the last word of this agent's retries, said to another agent? */
bool retry_is_exhausted(const struct exchange *x, bool failed);

/* fallback.c: true when a fallback answers, or another upstream is called: x may be gone. */
bool fallback_instead(struct exchange *x); /* of the reply x->res */
bool fallback_for(struct exchange *x);     /* of the agent's own answer, x->reason */
void fallback_answered(struct exchange *x); /* the reply goes down: counted, if it is another upstream's */
void fallback_renewed(struct exchange *x);  /* routed anew while the fallback.upstream was called: there it goes on */

/* answer.c: queues the agent's own answer into x->down_flow.q. false: no memory. */
bool answer_write(struct exchange *x, enum reason why);
/* Queues "200" for a granted CONNECT. */
bool answer_connected(struct exchange *x);

/* record.c: counts a finished exchange, and writes its record where somebody will look at it. */
void record_exchange(struct exchange *x);
/* The present attempt is over. */
void record_try(struct exchange *x, usec now);
void record_attempt_failed(struct exchange *x, enum reason why, int err);
void record_attempt_refused(struct exchange *x); /* its reply is not taken, another endpoint is asked; before the reply is forgotten */

/* tunnel.c: the exchange ends as a tunnel between its two connections. Finishes x. */
void tunnel_start(struct exchange *x);
struct tunnel;
void tunnel_close_all(struct worker *w);
void tunnel_close_of(struct wsidecar *sc);
bool tunnel_close_one(struct worker *w); /* lets one go; false: there is none */
/* A tunnel between a client and an origin that belong to no exchange any more (CONNECT with bytes that are no HTTP). */
void tunnel_join(struct client *c, struct origin *o);

#endif
