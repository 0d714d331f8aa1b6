#include "proxy/exchange.h"

#include "base/mem.h"
#include "proxy/client.h"
#include "proxy/hello.h"
#include "proxy/origin.h"
#include "proxy/park.h"
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
	x->upstream = NULL;
	x->wup = NULL;
	x->fixed = NULL;
	x->path = x->host = x->request_id = x->forwarded_for = (struct str){ NULL, 0 };
	x->port = 0;
	x->n_addrs = x->next_addr = 0;
	x->a = (struct attempt){ 0 };
	x->n_attempts = x->n_connects = x->n_tried = 0;
	x->sticky = 0;
	x->park_until = 0;
}

static void reset_flags(struct exchange *x)
{
	x->step = STEP_BEGIN;
	x->status = x->reason = 0;
	x->admitted = x->counted = x->tunnel_wanted = x->connect = x->tcp = false;
	x->request_done = x->head_down = x->response_done = false;
	x->close_down = x->cut = x->retried_safe = x->upgraded = false;
	x->is_parked = x->was_parked = x->greet = x->port_given = x->renewed = x->park_over = x->prepared = false;
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
	x->started = x->moved = loop_now(w->loop);
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

/* The end of every exchange: the connections go their ways, the figures are kept. */
void exchange_finish(struct exchange *x)
{
	struct wspec *s = x->wspec;

	x->step = STEP_FINISH;
	park_leave(x);
	exchange_drop_attempt(x, false);
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

/* The response cannot be completed: the client must see that. */
static void cut(struct exchange *x, enum reason why)
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
	if (forward_looped(x))
		return refuse(x, REASON_LOOP);
	if (x->req.first[FIELD_X_OUTRIDER_HELLO] && hello_is_foreign(x))
		return refuse(x, REASON_WRONG_SERVICE);
	return CONTINUE;
}

static enum step_result step_route(struct exchange *x)
{
	enum reason why = route_find(x);

	if (x->is_parked)
		return WAIT;
	if (why != REASON_NONE)
		return refuse(x, why);
	x->step = STEP_ADMIT;
	return CONTINUE;
}

/* Where breaker, bulkhead and budget of the upstream will be asked. */
static enum step_result step_admit(struct exchange *x)
{
	if (!x->prepared)
		count_add(&x->wup->c.requests, 1);
	count_add(&x->wup->c.active, 1);
	x->admitted = true;
	if (!x->tcp && !x->prepared && !forward_prepare(x))
		return refuse(x, REASON_NO_MEMORY);
	x->prepared = true;
	x->step = STEP_PICK;
	return CONTINUE;
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
	return !method_idempotent(x->req.method) || x->req.body != BODY_NONE;
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
		cut(x, why);
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
	cut(x, REASON_CLIENT_GONE);
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
	if (f->paused && f->q.bytes <= outq_low(&x->w->blocks) && x->a.o) {
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

/* How the client is told where the response's body ends. */
static enum body_kind framing_down(struct exchange *x)
{
	if (x->req.method == METHOD_HEAD || x->res.body == BODY_NONE)
		return BODY_NONE;
	if (x->res.body == BODY_LENGTH)
		return BODY_LENGTH;
	if (x->req.minor >= 1)
		return BODY_CHUNKED;
	x->close_down = true;
	return BODY_CLOSE;
}

static bool response_interim(struct exchange *x)
{
	count(x->sc, COUNTER_RESPONSES_1XX);
	if (x->req.minor == 0)
		return true;
	if (!x->down->head(x)) {
		cut(x, REASON_NO_MEMORY);
		return false;
	}
	x->down->flush(x);
	return true;
}

static bool response_upgrade(struct exchange *x)
{
	if (!x->tunnel_wanted) {
		exchange_drop_attempt(x, false);
		exchange_answer(x, REASON_BAD_RESPONSE);
		return false;
	}
	attempt_answered(x);
	x->status = 101;
	x->head_down = x->upgraded = true;
	if (!x->down->head(x)) {
		cut(x, REASON_NO_MEMORY);
		return false;
	}
	tunnel_start(x);
	return false;
}

bool exchange_response_head(struct exchange *x)
{
	x->moved = loop_now(x->w->loop);
	if (x->res.odd)
		count_n(x->sc, COUNTER_ODD_RESPONSES, x->res.odd);
	if (x->res.status == 101)
		return response_upgrade(x);
	if (x->res.status < 200)
		return response_interim(x);
	hello_learn(x);
	if (x->res.first[FIELD_X_OUTRIDER_MARK] && exchange_retry_unsent(x))
		return false;
	attempt_answered(x);
	x->status = x->res.status;
	x->head_down = true;
	if (!x->request_done)
		x->close_down = true; /* an early reply: the rest of the body will not be waited for */
	flow_begin(&x->down_flow, x->res.body, x->res.length, framing_down(x), 0);
	if (!x->down->head(x)) {
		cut(x, REASON_NO_MEMORY);
		return false;
	}
	return true;
}

void exchange_response_moved(struct exchange *x)
{
	x->moved = loop_now(x->w->loop);
	if (x->down_flow.ended && !x->response_done) {
		x->response_done = true;
		bool sent = x->request_done && x->up.q.bytes == 0 && !x->up.discard;
		exchange_drop_attempt(x, x->res.keep_alive && sent && x->res.body != BODY_CLOSE);
		x->up.discard = true;
	}
	x->down->flush(x);
}

void exchange_response_failed(struct exchange *x, enum reason why)
{
	record_attempt_failed(x, why, 0);
	attempt_end(x, why == REASON_NO_MEMORY ? BALANCE_CANCELLED : BALANCE_FAILED);
	cut(x, why);
}

void exchange_origin_flushed(struct exchange *x)
{
	x->moved = loop_now(x->w->loop);
	if (x->up.paused && x->up.q.bytes <= outq_low(&x->w->blocks)) {
		x->up.paused = false;
		x->down->pull(x);
	}
}

/* --- own answers ------------------------------------------------------------------------------------------ */

void exchange_answer(struct exchange *x, enum reason why)
{
	const struct reason_row *row = reason_row(why);

	exchange_drop_attempt(x, false);
	x->reason = (uint16_t)why;
	if (x->tcp || x->head_down || row->status == 0) {
		cut(x, why);
		return;
	}
	outq_clear(&x->up.q);
	x->up.discard = true;
	if (!x->request_done)
		x->close_down = true;
	x->status = row->status;
	x->head_down = x->response_done = true;
	if (!answer_write(x, why)) {
		cut(x, REASON_NO_MEMORY);
		return;
	}
	x->down->flush(x);
}
