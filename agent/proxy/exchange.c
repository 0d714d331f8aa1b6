#include "proxy/exchange.h"

#include "base/mem.h"
#include "proxy/admit.h"
#include "proxy/client.h"
#include "proxy/hello.h"
#include "proxy/last_good.h"
#include "proxy/origin.h"
#include "proxy/park.h"
#include "proxy/queue.h"
#include "proxy/steps.h"

#define FREE_EXCHANGES_MAX 128 /* kept for reuse; above that they go back to libc */

/* --- life -------------------------------------------------------------------------------------------- */

static struct exchange *take(struct worker *w)
{
	struct exchange *x = w->free_exchanges;

	if (!x)
		return mem_zalloc(sizeof(*x));
	w->free_exchanges = x->next;
	w->n_free_exchanges--;
	return x;
}

static void give_back(struct exchange *x)
{
	struct worker *w = x->w;

	flow_release(&x->up);
	flow_release(&x->down_flow);
	block_unref(x->req_block);
	block_unref(x->res_block);
	arena_release(&x->arena);
	if (w->n_free_exchanges >= FREE_EXCHANGES_MAX) {
		mem_free(x);
		return;
	}
	x->next = w->free_exchanges;
	w->free_exchanges = x;
	w->n_free_exchanges++;
}

static void reset_target(struct exchange *x)
{
	x->upstream = x->primary = NULL;
	x->wup = NULL;
	x->fixed = NULL;
	x->route = NULL;
	x->path = x->host = x->request_id = x->forwarded_for = (struct str){ NULL, 0 };
	x->port = 0;
	x->n_addrs = x->next_addr = 0;
	x->a = (struct attempt){ 0 };
	x->n_attempts = x->n_connects = x->n_tried = x->n_tries = 0;
	x->trace = (struct exchange_trace){ 0 };
	x->routed = 0;
	x->sticky = 0;
	x->park_until = 0;
	x->draft = NULL;
	x->recalled = NULL;
	x->circuit = x->keyed = NULL;
	x->crowded = x->is_throttled = false;
	x->throttle = x->throttled = 0;
	x->deadline = 0;
	x->own_status = 0;
	x->verdict = 0;
	x->retry_cap = UINT8_MAX;
}

static void reset_flags(struct exchange *x)
{
	x->step = STEP_BEGIN;
	x->status = x->reason = 0;
	x->admitted = x->counted = x->tunnel_wanted = x->connect = x->tcp = false;
	x->request_done = x->head_down = x->response_done = false;
	x->close_down = x->cut = x->retried_safe = x->upgraded = false;
	x->is_parked = x->was_parked = x->greet = x->port_given = x->renewed = x->park_over = x->prepared = false;
	x->entered = x->placed = x->is_queued = x->was_queued = x->is_delayed = x->is_backing_off = x->faulted = x->fault_reset = false;
	x->deadline_over = x->deadline_told = x->fallen = x->exhausted = false;
	x->id[0] = '\0';
}

struct exchange *exchange_new(struct worker *w, struct wlistener *l, struct client *c,
			      const struct session_ops *down)
{
	struct exchange *x = take(w);

	if (!x)
		return NULL;
	x->w = w;
	x->l = l;
	x->sc = l->sc;
	x->wspec = wspec_use(l->sc);
	x->c = c;
	x->down = down;
	x->up_ops = &origin_ops;
	x->generation++;
	x->req_block = x->res_block = NULL;
	head_init(&x->req);
	head_init(&x->res);
	arena_init(&x->arena, 512u * 1024u, x->arena_mem, sizeof(x->arena_mem));
	flow_init(&x->up, &x->arena);
	flow_init(&x->down_flow, &x->arena);
	reset_target(x);
	reset_flags(x);
	x->began = x->started = x->moved = loop_now(w->loop);
	return x;
}

void exchange_drop_attempt(struct exchange *x, bool clean)
{
	if (x->a.query) {
		resolve_cancel(x->a.query);
		x->a.query = NULL;
	}
	attempt_end(x, BALANCE_CANCELLED);
	if (!x->a.o)
		return;
	x->up_ops->leave(x, clean);
	x->a.o = NULL;
}

/* Whatever it waited for does not run it any more. */
void exchange_stop_waiting(struct exchange *x)
{
	park_leave(x);
	queue_leave(x);
	retry_leave(x);
	if (x->is_delayed)
		timer_clear(&x->wait_timer);
	x->is_delayed = false;
}

/* The end of every exchange: the connections go their ways, the figures are kept. */
void exchange_finish(struct exchange *x)
{
	struct wspec *s = x->wspec;

	x->step = STEP_FINISH;
	exchange_stop_waiting(x);
	if (x->deadline)
		timer_clear(&x->deadline_timer);
	exchange_drop_attempt(x, false);
	admit_leave(x);
	last_good_drop(x);
	if (x->crowded)
		crowd_leave(exchange_spec(x)->crowd, x->client);
	trace_end(x);
	if (x->admitted)
		count_sub(&x->wup->c.active, 1);
	if (x->counted) {
		record_exchange(x);
		worker_busy_sub(x->w, x->l);
	}
	if (x->c)
		x->down->leave(x, !x->cut);
	give_back(x);
	wspec_unuse(s);
}

void exchange_cut(struct exchange *x, enum reason why)
{
	if (!x->reason)
		x->reason = (uint16_t)why;
	x->cut = true;
	exchange_finish(x);
}

/* --- the step table --------------------------------------------------------------------------------- */

static enum step_result refuse(struct exchange *x, enum reason why)
{
	exchange_answer(x, why);
	return DONE;
}

static enum step_result step_begin(struct exchange *x)
{
	const struct spec_limits *lim = &exchange_spec(x)->limits;

	x->step = STEP_ROUTE;
	if (x->tcp) {
		x->request_done = true;
		return CONTINUE;
	}
	if (x->req.method == METHOD_CONNECT) {
		if (x->l->kind != LISTEN_OUTBOUND)
			return refuse(x, REASON_UPGRADE_REFUSED);
		x->connect = true;
	}
	flow_begin(&x->up, x->req.body, x->req.length, x->req.body, lim->body);
	x->request_done = x->up.ended;
	if (lim->body && x->req.body == BODY_LENGTH && x->req.length > lim->body)
		return refuse(x, REASON_BODY_TOO_LARGE);
	bool looped = forward_looped(x);
	if (looped || x->l->kind != LISTEN_EDGE)
		trace_begin(x);
	return looped ? refuse(x, REASON_LOOP) : CONTINUE;
}

static enum step_result step_route(struct exchange *x)
{
	if (x->req.first[FIELD_X_OUTRIDER_HELLO] && !x->prepared) {
		enum alias_verdict v = hello_is_for(x);
		if (v != ALIAS_MINE)
			return v == ALIAS_ASKING ? WAIT : refuse(x, REASON_WRONG_SERVICE);
	}
	enum reason why = route_find(x);

	if (x->l->kind == LISTEN_EDGE)
		trace_begin(x);
	if (x->is_parked)
		return WAIT;
	if (why != REASON_NONE)
		return refuse(x, why);
	if (x->fallen)
		fallback_renewed(x);
	x->step = STEP_ADMIT;
	return CONTINUE;
}

static bool prepare(struct exchange *x)
{
	if (x->tcp || x->prepared)
		return true;
	retry_keep_body(x);
	if (!forward_prepare(x))
		return false;
	trace_prepared(x);
	return true;
}

static enum step_result step_admit(struct exchange *x)
{
	enum reason why = REASON_NONE;

	if (!x->prepared) {
		count_add(&x->wup->c.requests, 1);
		x->routed = loop_now(x->w->loop);
		atomic_store_explicit(&x->wup->c.called, x->routed, memory_order_relaxed);
		if (x->upstream->policy.stall != exchange_spec(x)->external->policy.stall && x->c)
			client_await_move(x->c, x->upstream->policy.stall);
	}
	if (!x->admitted)
		count_add(&x->wup->c.active, 1);
	x->admitted = true;
	if (!prepare(x))
		return refuse(x, REASON_NO_MEMORY);
	x->prepared = true;
	switch (admit(x, &why)) {
	case ADMIT_GO:
		x->step = STEP_PICK;
		return CONTINUE;
	case ADMIT_WAIT:
		return WAIT;
	case ADMIT_REFUSED:
		break;
	}
	return refuse(x, why);
}

static enum step_result step_pick(struct exchange *x)
{
	enum reason why = REASON_NONE;

	switch (pick_endpoint(x, &why)) {
	case PICK_OK:
		x->step = STEP_CONNECT;
		return CONTINUE;
	case PICK_WAIT:
		return WAIT;
	case PICK_NONE:
		break;
	}
	return refuse(x, why);
}

/* Must a request not be sent on a connection that may just be closing? */
static bool must_not_repeat(const struct exchange *x)
{
	bool never = x->upstream->kind == UPSTREAM_SERVICE && x->upstream->policy.retry_methods == RETRY_NONE;

	return never || !method_idempotent(x->req.method) || x->req.body != BODY_NONE;
}

static enum step_result step_connect(struct exchange *x)
{
	struct attempt *a = &x->a;
	usec now = loop_now(x->w->loop);

	if (!a->begun) { /* else: an agent was looked for where none stands */
		x->n_attempts++;
		a->started = now;
		attempt_begin(x);
		count(x->sc, COUNTER_ATTEMPTS);
	}
	a->err = 0;
	a->sent_before = x->up.q.sent;
	struct addr to = hello_address(x);
	a->o = x->connect ? NULL : pool_take(x->w, a->ep, addr_port(&to), now, must_not_repeat(x));
	a->reused = a->o != NULL;
	a->ep->last_used = now;
	if (a->o) {
		count(x->sc, COUNTER_REUSES);
		origin_attach(a->o, x);
		x->step = STEP_SEND;
		return CONTINUE;
	}
	x->n_connects++;
	switch (origin_connect(x)) {
	case ORIGIN_WAIT:
		return WAIT;
	case ORIGIN_READY:
		pick_connected(x);
		x->step = STEP_SEND;
		return CONTINUE;
	case ORIGIN_REFUSED:
		break;
	}
	exchange_attempt_failed(x, origin_reason((int)a->err), (int)a->err);
	return DONE;
}

static enum step_result step_send(struct exchange *x)
{
	x->step = STEP_RELAY;
	if (x->connect) {
		tunnel_start(x);
		return DONE;
	}
	if (!x->up_ops->head(x))
		return refuse(x, REASON_NO_MEMORY);
	if (!x->request_done)
		x->down->pull(x); /* body bytes that came with the head leave with it */
	else
		x->up_ops->flush(x);
	return DONE; /* the sessions drive it from here; x may be gone */
}

static enum step_result step_wait(struct exchange *x)
{
	(void)x;
	return WAIT;
}

static enum step_result (*const steps[STEP_COUNT])(struct exchange *) = {
	[STEP_BEGIN] = step_begin,	   [STEP_ROUTE] = step_route, [STEP_ADMIT] = step_admit,
	[STEP_PICK] = step_pick,	   [STEP_CONNECT] = step_connect, [STEP_SEND] = step_send,
	[STEP_RELAY] = step_wait,	   [STEP_FINISH] = step_wait,
};

void exchange_run(struct exchange *x)
{
	while (steps[x->step](x) == CONTINUE)
		;
}

/* --- from the client's side ----------------------------------------------------------------------------- */

static void begin(struct exchange *x)
{
	x->counted = true;
	x->started = x->moved = loop_now(x->w->loop);
	count(x->sc, COUNTER_REQUESTS);
	count_n(x->sc, COUNTER_REQUESTS_ACTIVE, 1);
	worker_busy_add(x->w, x->l);
}

void exchange_start(struct exchange *x)
{
	begin(x);
	exchange_run(x);
}

void exchange_start_tcp(struct exchange *x)
{
	x->tcp = x->connect = true;
	begin(x);
	exchange_run(x);
}

void exchange_reject(struct exchange *x, enum reason why)
{
	begin(x);
	x->close_down = true;
	exchange_answer(x, why);
}

void exchange_request_failed(struct exchange *x, enum reason why)
{
	if (x->head_down)
		exchange_cut(x, why);
	else
		exchange_answer(x, why);
}

void exchange_request_moved(struct exchange *x)
{
	x->moved = loop_now(x->w->loop);
	if (x->up.ended)
		x->request_done = true;
	if (x->a.o && x->step == STEP_RELAY && !x->up.discard)
		x->up_ops->flush(x);
}

void exchange_client_gone(struct exchange *x)
{
	exchange_cut(x, REASON_CLIENT_GONE);
}

void exchange_client_flushed(struct exchange *x)
{
	struct flow *f = &x->down_flow;

	x->moved = loop_now(x->w->loop);
	if (x->response_done) {
		if (f->q.bytes == 0)
			exchange_finish(x);
		return;
	}
	if (f->paused && !x->is_throttled && f->q.bytes <= outq_low(&x->w->blocks) && x->a.o) {
		f->paused = false;
		x->up_ops->pull(x);
	}
}

/* --- from the origin's side ----------------------------------------------------------------------------- */

void exchange_connected(struct exchange *x)
{
	pick_connected(x);
	x->step = STEP_SEND;
	exchange_run(x);
}

void exchange_origin_flushed(struct exchange *x)
{
	x->moved = loop_now(x->w->loop);
	if (x->up.paused && x->up.q.bytes <= outq_low(&x->w->blocks)) {
		x->up.paused = false;
		x->down->pull(x);
	}
}
