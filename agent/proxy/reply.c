/* Replies: what becomes of an upstream's response, and of the agent's own answers. */
#include "proxy/admit.h"
#include "proxy/client.h"
#include "proxy/hello.h"
#include "proxy/last_good.h"
#include "proxy/steps.h"

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
		exchange_cut(x, REASON_NO_MEMORY);
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
		exchange_cut(x, REASON_NO_MEMORY);
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
	if (x->res.status >= 400 && (exchange_retry_reply(x) || fallback_instead(x)))
		return false;
	fallback_answered(x);
	x->status = x->res.status;
	x->head_down = true;
	outq_forget(&x->up.q);
	if (!x->request_done)
		x->close_down = true; /* an early reply: the rest of the body will not be waited for */
	flow_begin(&x->down_flow, x->res.body, x->res.length, framing_down(x), 0);
	if (!x->down->head(x)) {
		exchange_cut(x, REASON_NO_MEMORY);
		return false;
	}
	last_good_begin(x);
	return true;
}

/* --- an injected fault: a slow body ----------------------------------------------------------------------------------------- */

static void on_throttled(void *arg)
{
	struct exchange *x = arg;

	x->is_throttled = false;
	if (!x->down_flow.paused || !x->a.o)
		return;
	x->down_flow.paused = false;
	x->up_ops->pull(x);
}

/* What came takes its time at the rate: until then the origin is not read. */
static void throttle(struct exchange *x)
{
	uint64_t n = x->down_flow.bytes - x->throttled;

	if (!n || x->is_throttled)
		return;
	x->throttled = x->down_flow.bytes;
	x->is_throttled = x->down_flow.paused = true;
	timer_init(&x->wait_timer, on_throttled, x);
	timer_set(x->w->loop, &x->wait_timer, loop_now(x->w->loop) + n * USEC_SEC / x->throttle);
}

void exchange_response_moved(struct exchange *x)
{
	x->moved = loop_now(x->w->loop);
	if (x->throttle && !x->down_flow.ended)
		throttle(x);
	if (x->down_flow.ended && !x->response_done) {
		x->response_done = true;
		last_good_commit(x);
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
	exchange_cut(x, why);
}

/* --- own answers ------------------------------------------------------------------------------------------ */

void exchange_answer(struct exchange *x, enum reason why)
{
	const struct reason_row *row = reason_row(why);

	exchange_stop_waiting(x); /* the answer may take its time to leave: nothing is to be sent for it then */
	exchange_drop_attempt(x, false);
	x->reason = (uint16_t)why;
	if (!x->head_down && !x->fault_reset && fallback_for(x))
		return;
	if (x->tcp || x->head_down || x->fault_reset || row->status == 0) {
		exchange_cut(x, why);
		return;
	}
	outq_clear(&x->up.q);
	outq_forget(&x->up.q);
	x->up.discard = true;
	if (!x->request_done)
		x->close_down = true;
	x->status = x->own_status ? x->own_status : row->status;
	x->head_down = x->response_done = true;
	if (!answer_write(x, why)) {
		exchange_cut(x, REASON_NO_MEMORY);
		return;
	}
	x->down->flush(x);
}
