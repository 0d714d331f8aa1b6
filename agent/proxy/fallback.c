/* Fallback: what is answered when a call fails, is refused or takes too long: another upstream's reply, else (also when that call fails) the
 * last good one (last_good.h), else that of the options. */
#include "proxy/admit.h"
#include "proxy/last_good.h"
#include "proxy/replies.h"
#include "proxy/steps.h"

/* Whose options say what answers: while its fallback.upstream is called, those of the upstream that the request was for. */
static const struct spec_upstream *asked_of(const struct exchange *x)
{
	return x->primary ? x->primary : x->upstream;
}

static bool has_fallback(const struct exchange *x)
{
	const struct spec_upstream *u = asked_of(x);

	return u && u->kind == UPSTREAM_SERVICE && u->mode == MODE_ON && !x->connect && (!x->fallen || x->primary) &&
	       (u->policy.fallback_status || u->fallback_upstream.n || u->policy.last_good);
}

/* What the caller or this agent did wrong is no failure of the upstream. */
static bool is_failure(const struct exchange *x)
{
	const char *blame = reason_row((enum reason)x->reason)->blame;

	return x->reason == REASON_FALLBACK || x->reason == REASON_FAULT_INJECTED || x->reason == REASON_NO_ENDPOINT ||
	       strcmp(blame, "upstream") == 0 || strcmp(blame, "network") == 0;
}

/* An answer was found, or none of the fallbacks had one. */
static void note(struct exchange *x, enum circuit_event how)
{
	const struct spec_upstream *u = asked_of(x);

	if (how == CIRCUIT_FALLBACK)
		count(x->sc, COUNTER_FALLBACKS);
	window_add(&u->circuit->breaker.counts, how, u->policy.breaker.bucket, loop_now(x->w->loop));
}

/* --- another upstream --------------------------------------------------------------------------------------------------------- */

static bool find_spare(struct exchange *x, struct spec_upstream **u, struct wupstream **wup)
{
	*u = x->upstream->fallback_upstream.n ? spec_find_upstream(exchange_spec(x), x->upstream->fallback_upstream) : NULL;
	*wup = *u && (*u)->slot != x->upstream->slot ? part_upstream(x->w, *u) : NULL;
	return *wup != NULL;
}

/* Is there one that can be called now? */
static bool has_spare(struct exchange *x, struct spec_upstream **u, struct wupstream **wup)
{
	return !x->fallen && !x->deadline_over && retry_can_rewind(x) && find_spare(x, u, wup) && (*u)->n_endpoints;
}

/* The call to the present one is over. */
static void turn_to(struct exchange *x, const struct spec_upstream *u, struct wupstream *wup)
{
	admit_leave(x);
	if (x->admitted)
		count_sub(&x->wup->c.active, 1);
	x->admitted = false;
	x->upstream = u;
	x->wup = wup;
	x->fixed = NULL;
	x->circuit = x->keyed = NULL;
	x->verdict = 0;
}

/* As if it had been the first; its own breaker and bulkhead are asked. */
static void call_spare(struct exchange *x, const struct spec_upstream *u, struct wupstream *wup)
{
	const struct spec_upstream *primary = x->upstream;

	(void)retry_rewind(x); /* has_spare() saw that it can be */
	turn_to(x, u, wup);
	count_add(&wup->c.requests, 1);
	x->primary = primary;
	x->fallen = true;
	x->n_attempts = x->n_connects = x->n_tried = 0;
	x->reason = x->own_status = 0;
	x->step = STEP_ADMIT;
	exchange_run(x);
}

void fallback_renewed(struct exchange *x)
{
	struct spec_upstream *u;
	struct wupstream *wup;

	x->fallen = find_spare(x, &u, &wup);
	if (!x->fallen)
		return;
	x->primary = x->upstream;
	x->upstream = u;
	x->wup = wup;
	x->fixed = NULL;
}

void fallback_answered(struct exchange *x)
{
	if (x->primary)
		note(x, CIRCUIT_FALLBACK);
	x->primary = NULL;
}

/* --- answers of our own ------------------------------------------------------------------------------------------------------- */

static bool has_answer(struct exchange *x)
{
	const struct spec_upstream *called = x->upstream;

	x->upstream = asked_of(x);
	bool found = last_good_find(x) || x->upstream->policy.fallback_status;
	x->upstream = called;
	return found;
}

/* The other upstream failed, too: what is answered is the first one's again. */
static void come_back(struct exchange *x)
{
	struct wupstream *wup = part_upstream(x->w, x->primary);

	if (wup)
		turn_to(x, x->primary, wup);
	x->primary = NULL;
}

bool fallback_for(struct exchange *x)
{
	struct spec_upstream *u;
	struct wupstream *wup;

	if (!has_fallback(x) || !is_failure(x))
		return false;
	if (has_spare(x, &u, &wup)) {
		call_spare(x, u, wup);
		return true;
	}
	bool found = has_answer(x);
	note(x, found ? CIRCUIT_FALLBACK : CIRCUIT_FALLBACK_FAILED);
	if (!found)
		return false;
	if (x->primary)
		come_back(x);
	else if (!x->verdict && x->entered)
		x->verdict = (uint8_t)(admit_outcome(x) + 1);
	x->fallen = true;
	x->own_status = x->recalled ? x->recalled->status : x->upstream->policy.fallback_status;
	return false; /* exchange_answer() goes on, with our status and body */
}

bool fallback_instead(struct exchange *x)
{
	struct spec_upstream *u;
	struct wupstream *wup;

	if (!has_fallback(x) || !status_in(&x->upstream->policy.failures, x->res.status))
		return false;
	if (!has_spare(x, &u, &wup) && !has_answer(x)) {
		note(x, CIRCUIT_FALLBACK_FAILED);
		x->primary = NULL; /* the reply passes as it is */
		return false;
	}
	x->verdict = CIRCUIT_FAILURE + 1;
	exchange_answer(x, REASON_FALLBACK);
	return true;
}
