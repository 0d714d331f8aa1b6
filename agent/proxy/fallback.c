/* Fallback: what is answered when a call fails, is refused or takes too long: another upstream's reply, else the last good one
 * (last_good.h), else that of the options. */
#include "proxy/admit.h"
#include "proxy/last_good.h"
#include "proxy/replies.h"
#include "proxy/steps.h"

static bool has_fallback(const struct exchange *x)
{
	const struct spec_upstream *u = x->upstream;

	return u && u->kind == UPSTREAM_SERVICE && u->mode == MODE_ON && !x->connect && !x->fallen &&
	       (u->policy.fallback_status || u->fallback_upstream.n || u->policy.last_good);
}

/* What the caller or this agent did wrong is no failure of the upstream. */
static bool is_failure(const struct exchange *x)
{
	const char *blame = reason_row((enum reason)x->reason)->blame;

	return x->reason == REASON_FALLBACK || x->reason == REASON_FAULT_INJECTED || x->reason == REASON_NO_ENDPOINT ||
	       strcmp(blame, "upstream") == 0 || strcmp(blame, "network") == 0;
}

static void note(struct exchange *x)
{
	x->fallen = true;
	count(x->sc, COUNTER_FALLBACKS);
	window_add(&x->upstream->circuit->breaker.counts, CIRCUIT_FALLBACK, x->upstream->policy.breaker.bucket,
		loop_now(x->w->loop));
}

/* Another upstream is called, as if it had been the first; its own breaker and bulkhead are asked. */
static bool call_other(struct exchange *x)
{
	struct spec_upstream *u = spec_find_upstream(exchange_spec(x), x->upstream->fallback_upstream);
	struct wupstream *wup = u && u != x->upstream && !x->deadline_over ? part_upstream(x->w, u) : NULL;

	if (!wup || !retry_rewind(x))
		return false;
	note(x);
	admit_leave(x);
	count_sub(&x->wup->c.active, 1);
	count_add(&wup->c.requests, 1);
	x->admitted = false;
	x->upstream = u;
	x->wup = wup;
	x->fixed = NULL;
	x->circuit = x->keyed = NULL;
	x->n_attempts = x->n_connects = x->n_tried = 0;
	x->reason = x->own_status = 0;
	x->step = STEP_ADMIT;
	exchange_run(x);
	return true;
}

bool fallback_for(struct exchange *x)
{
	if (!has_fallback(x) || !is_failure(x))
		return false;
	if (x->upstream->fallback_upstream.n && call_other(x))
		return true;
	if (!last_good_find(x) && !x->upstream->policy.fallback_status)
		return false;
	if (!x->verdict && x->entered)
		x->verdict = (uint8_t)(admit_outcome(x) + 1);
	note(x);
	x->own_status = x->recalled ? x->recalled->status : x->upstream->policy.fallback_status;
	return false; /* exchange_answer() goes on, with our status and body */
}

bool fallback_instead(struct exchange *x)
{
	const struct spec_upstream *u = x->upstream;

	if (!has_fallback(x) || !status_in(&u->policy.failures, x->res.status))
		return false;
	if (!u->policy.fallback_status && !u->fallback_upstream.n && !last_good_find(x))
		return false;
	x->verdict = CIRCUIT_FAILURE + 1;
	exchange_answer(x, REASON_FALLBACK);
	return true;
}
