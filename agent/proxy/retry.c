/* Retry: when an attempt fails before a byte of a response went to the client, may another one be made? (DESIGN section 9) */
#include "proxy/origin.h"
#include "proxy/steps.h"

static void remember_tried(struct exchange *x)
{
	if (x->n_tried == TRIED_MAX)
		return;
	x->tried_index[x->n_tried] = x->a.ticket.index;
	x->tried[x->n_tried++] = x->a.ep;
}

/* May this request be sent again, though the origin may have seen it? */
static bool repeatable(const struct exchange *x, bool reused)
{
	if (x->retried_safe || !x->upstream->policy.retry_safe || x->req.body != BODY_NONE)
		return false;
	if (x->upstream->kind == UPSTREAM_EXTERNAL && !reused)
		return false; /* egress has no retries: a dead pooled connection is our own affair, though */
	return x->req.method == METHOD_GET || x->req.method == METHOD_HEAD || x->req.method == METHOD_OPTIONS ||
	       (reused && method_idempotent(x->req.method));
}

/* The set of endpoints changed since the exchange began: what it may try now stands in the new spec, and all that it knows may be
 * gone. */
static bool has_newer_spec(const struct exchange *x)
{
	return x->wspec != x->sc->cur && x->upstream->kind == UPSTREAM_SERVICE && !x->fixed;
}

static bool may_retry(struct exchange *x, bool connecting, enum reason why)
{
	bool unsent = x->up.q.sent == x->a.sent_before;

	if (exchange_off(x) || x->n_attempts >= TRIED_MAX || x->a.got_bytes || why == REASON_RESPONSE_TIMEOUT)
		return false;
	if (connecting)
		return x->n_connects < x->upstream->policy.connect_tries && (pick_has_other(x) || has_newer_spec(x));
	if (x->a.reused && unsent)
		return true;
	if (!repeatable(x, x->a.reused))
		return false;
	x->retried_safe = true;
	return true;
}

static void try_again(struct exchange *x)
{
	count(x->sc, COUNTER_RETRIES);
	count_add(&x->wup->c.retries, 1);
	if (has_newer_spec(x)) {
		exchange_renew(x);
		return;
	}
	x->step = STEP_PICK;
	exchange_run(x);
}

void exchange_attempt_failed(struct exchange *x, enum reason why, int err)
{
	bool connecting = x->step == STEP_CONNECT;
	bool head_queued = !connecting && !x->connect;
	bool retry = may_retry(x, connecting, why);
	bool unsent = x->up.q.sent == x->a.sent_before;

	attempt_end(x, why == REASON_NO_MEMORY ? BALANCE_CANCELLED : BALANCE_FAILED);
	x->a.o = NULL;
	record_attempt_failed(x, why, err);
	pick_failed(x, connecting);
	if (!retry) {
		exchange_answer(x, connecting && x->upstream->kind == UPSTREAM_HANDLER ? REASON_HANDLER_DOWN : why);
		return;
	}
	if (head_queued && x->up.q.sent == x->a.sent_before)
		outq_drop_first(&x->up.q); /* the next attempt writes its own */
	else if (head_queued)
		outq_clear(&x->up.q); /* no body: only head bytes can be left */
	if (x->a.reused)
		pool_clear(x->a.ep); /* what rests beside a dead connection is likely dead, too */
	/* A process that dies closes its connections before its listener: who comes again at once may be taken, and cut again. */
	if (!x->a.reused || (!unsent && x->upstream->kind == UPSTREAM_SERVICE))
		remember_tried(x);
	try_again(x);
}

/* Did the agent at the endpoint say that its handler never saw the request? (DESIGN section 3, "between agents" (a)) */
static bool said_unsent(const struct exchange *x)
{
	const struct field *f = head_get(&x->res, FIELD_X_OUTRIDER_MARK);

	return f && x->upstream->kind == UPSTREAM_SERVICE && str_eq(field_value(f), STR("unsent"));
}

bool exchange_retry_unsent(struct exchange *x)
{
	if (!said_unsent(x) || exchange_off(x) || x->req.body != BODY_NONE ||
	    x->n_attempts >= x->upstream->policy.connect_tries || !(pick_has_other(x) || has_newer_spec(x)))
		return false;
	record_attempt_failed(x, REASON_HANDLER_DOWN, 0);
	attempt_end(x, BALANCE_FAILED);
	exchange_drop_attempt(x, false);
	outq_clear(&x->up.q);
	block_unref(x->res_block);
	x->res_block = NULL;
	head_init(&x->res);
	remember_tried(x);
	try_again(x);
	return true;
}
