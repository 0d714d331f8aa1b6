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

/* --- what may be sent again ------------------------------------------------------------------------------------- */

/* Which methods may be sent again, though an instance may have seen the request. */
static bool method_allowed(const struct exchange *x)
{
	bool safe = x->req.method == METHOD_GET || x->req.method == METHOD_HEAD || x->req.method == METHOD_OPTIONS;

	switch (x->upstream->policy.retry_methods) {
	case RETRY_NONE:
		return false;
	case RETRY_SAFE:
		return safe && x->req.body == BODY_NONE;
	case RETRY_IDEMPOTENT:
		return method_idempotent(x->req.method);
	default:
		return true;
	}
}

void retry_keep_body(struct exchange *x)
{
	uint32_t max = x->upstream->policy.retry_body;

	if (x->req.body == BODY_NONE || !max || x->up.q.kept || (x->req.body == BODY_LENGTH && x->req.length > max))
		return;
	struct kept *k = arena_zalloc(&x->arena, sizeof(*k));
	if (!k)
		return;
	k->max = max + 64 * KEPT_PIECES; /* with the sizes of chunks */
	outq_keep(&x->up.q, k);
}

bool retry_can_rewind(const struct exchange *x)
{
	return x->req.body == BODY_NONE || (x->up.q.kept && !x->up.q.kept->lost);
}

bool retry_rewind(struct exchange *x)
{
	if (!retry_can_rewind(x))
		return false;
	if (x->req.body == BODY_NONE)
		outq_clear(&x->up.q);
	else if (!outq_rewind(&x->up.q))
		return false;
	x->up.discard = false;
	return true;
}

void retry_told(struct exchange *x)
{
	const struct field *f = head_get(&x->req, FIELD_X_OUTRIDER_RETRIES);
	uint64_t n;

	if (f && str_u64(field_value(f), &n) && n < UINT8_MAX)
		x->retry_cap = (uint8_t)n;
}

static bool budget_allows(struct exchange *x)
{
	if (!x->circuit || circuit_may_retry(x->circuit, &x->upstream->policy.budget, loop_now(x->w->loop)))
		return true;
	count(x->sc, COUNTER_RETRIES_REFUSED);
	return false;
}

/* Attempts that the policy allows for a request that may have been seen. */
static bool has_tries(const struct exchange *x)
{
	return x->upstream->kind == UPSTREAM_SERVICE && !x->fixed &&
	       x->n_attempts < x->upstream->policy.retry_tries && method_allowed(x) && retry_can_rewind(x);
}

/* May this request be sent again, though the origin may have seen it? */
static bool repeatable(struct exchange *x, bool reused)
{
	const struct spec_policy *p = &x->upstream->policy;

	if (x->retried_safe || !p->retry_safe || (x->upstream->kind == UPSTREAM_SERVICE && p->retry_methods == RETRY_NONE))
		return false;
	if (x->upstream->mode == MODE_ON && has_tries(x)) {
		x->retried_safe = true;
		return true;
	}
	if (x->req.body != BODY_NONE)
		return false;
	if (x->upstream->kind == UPSTREAM_EXTERNAL && !reused)
		return false; /* egress has no retries: a dead pooled connection is our own affair, though */
	if (x->req.method != METHOD_GET && x->req.method != METHOD_HEAD && x->req.method != METHOD_OPTIONS &&
	    !(reused && method_idempotent(x->req.method)))
		return false;
	x->retried_safe = true;
	return true;
}

/* The set of endpoints changed since the exchange began: what it may try now stands in the new spec, and all that it knows may be
 * gone. */
static bool has_newer_spec(const struct exchange *x)
{
	return x->wspec != x->sc->cur && x->upstream->kind == UPSTREAM_SERVICE && !x->fixed;
}

bool retry_leads_elsewhere(const struct exchange *x)
{
	return has_newer_spec(x) && !exchange_off(x) && x->n_connects < x->upstream->policy.connect_tries && x->n_attempts <= x->retry_cap;
}

static bool may_retry(struct exchange *x, bool connecting, enum reason why)
{
	bool unsent = x->up.q.sent == x->a.sent_before;

	if (exchange_off(x) || x->n_attempts >= TRIED_MAX || x->a.got_bytes || why == REASON_RESPONSE_TIMEOUT ||
	    x->deadline_over)
		return false;
	if (!connecting && x->a.reused && unsent)
		return true; /* the connection was dead already: no instance had any of it */
	if (x->n_attempts > x->retry_cap)
		return false;
	if (connecting)
		return x->n_connects < x->upstream->policy.connect_tries && (pick_has_other(x) || has_newer_spec(x)) &&
		       budget_allows(x);
	if (why == REASON_TRY_TIMEOUT)
		return has_tries(x) && (pick_has_other(x) || has_newer_spec(x)) && budget_allows(x);
	return repeatable(x, x->a.reused) && budget_allows(x);
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
	bool ours = why == REASON_NO_MEMORY || why == REASON_NO_SOCKET; /* the instance is not to blame */

	record_attempt_failed(x, why, err);
	attempt_end(x, ours ? BALANCE_CANCELLED : BALANCE_FAILED);
	x->a.o = NULL;
	if (!ours)
		pick_failed(x, connecting);
	if (!retry) {
		exchange_answer(x, connecting && !ours && x->upstream->kind == UPSTREAM_HANDLER ? REASON_HANDLER_DOWN : why);
		return;
	}
	if (head_queued && x->up.q.sent == x->a.sent_before)
		outq_drop_first(&x->up.q); /* the next attempt writes its own */
	else if (head_queued)
		(void)retry_rewind(x); /* may_retry() saw that it can be */
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

/* The reply is not passed on: as if it had not come. */
static void forget_reply(struct exchange *x)
{
	exchange_drop_attempt(x, false);
	(void)retry_rewind(x);
	block_unref(x->res_block);
	x->res_block = NULL;
	head_init(&x->res);
	remember_tried(x);
}

bool exchange_retry_unsent(struct exchange *x)
{
	if (!said_unsent(x) || exchange_off(x) || !retry_can_rewind(x) || x->n_attempts > x->retry_cap || x->deadline_over ||
	    x->n_attempts >= x->upstream->policy.connect_tries || !(pick_has_other(x) || has_newer_spec(x)) || !budget_allows(x))
		return false;
	record_attempt_failed(x, REASON_HANDLER_DOWN, 0);
	attempt_end(x, BALANCE_FAILED);
	forget_reply(x);
	try_again(x);
	return true;
}

/* --- replies that say that another instance may do better ------------------------------------------------------------- */

static bool is_marked_exhausted(const struct exchange *x)
{
	const struct field *f = x->res.first[FIELD_X_OUTRIDER_MARK] ? head_get(&x->res, FIELD_X_OUTRIDER_MARK) : NULL;

	return f && str_eq(field_value(f), STR("exhausted"));
}

static void on_backoff(void *arg)
{
	struct exchange *x = arg;

	x->is_backing_off = false;
	try_again(x);
}

void retry_leave(struct exchange *x)
{
	if (x->is_backing_off)
		timer_clear(&x->wait_timer);
	x->is_backing_off = false;
}

/* A random time up to the back-off, which doubles with each attempt; beside many callers they come apart. */
static void back_off(struct exchange *x)
{
	usec most = x->upstream->policy.retry_backoff << (x->n_attempts - 1u);

	if (!most) {
		try_again(x);
		return;
	}
	x->is_backing_off = true;
	timer_init(&x->wait_timer, on_backoff, x);
	timer_set(x->w->loop, &x->wait_timer, loop_now(x->w->loop) + rng_next(&x->w->rng) % most);
}

bool exchange_retry_reply(struct exchange *x)
{
	if (x->upstream->kind != UPSTREAM_SERVICE || !status_in(&x->upstream->policy.retry_statuses, x->res.status))
		return false;
	x->exhausted = is_marked_exhausted(x);
	if (x->exhausted || exchange_off(x) || !has_tries(x) || x->n_attempts > x->retry_cap || x->deadline_over ||
	    head_get(&x->res, FIELD_RETRY_AFTER) || !(pick_has_other(x) || has_newer_spec(x)))
		return false;
	if (x->upstream->mode != MODE_ON)
		count(x->sc, COUNTER_OBSERVED_RETRIES);
	if (x->upstream->mode != MODE_ON || !budget_allows(x))
		return false;
	record_attempt_refused(x);
	forget_reply(x);
	back_off(x);
	return true;
}

/* An agent before us is known by its Via mark. A handler that calls on passes none of this. */
bool retry_is_exhausted(const struct exchange *x, bool failed)
{
	const struct head *h = &x->req;

	if (!x->upstream || x->upstream->kind != UPSTREAM_SERVICE || !(failed || x->exhausted) || !h->first[FIELD_VIA])
		return false;
	for (unsigned i = 0; i < h->n; i++)
		if (h->f[i].id == FIELD_VIA && memmem(h->f[i].value, h->f[i].value_len, "outrider-", 9))
			return true;
	return false;
}
