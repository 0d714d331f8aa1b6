#include "proxy/admit.h"

#include "base/mem.h"
#include "proxy/client.h"
#include "proxy/park.h"
#include "proxy/queue.h"
#include "proxy/steps.h"

#define DEADLINE_MAX_MS (86400u * 1000u)

/* --- the deadline -------------------------------------------------------------------------------------------------------- */

static void on_deadline(void *arg)
{
	struct exchange *x = arg;

	x->deadline_over = true;
	if (x->head_down)
		exchange_response_failed(x, REASON_REQUEST_TIMEOUT);
	else
		exchange_answer(x, REASON_REQUEST_TIMEOUT);
}

/* What the caller gives us: its agent's word, else that of an Envoy. */
static uint64_t told_ms(const struct exchange *x)
{
	static const uint8_t ids[] = { FIELD_X_OUTRIDER_DEADLINE_MS, FIELD_X_ENVOY_TIMEOUT };
	uint64_t ms;

	for (size_t i = 0; i < sizeof(ids); i++) {
		const struct field *f = x->req.first[ids[i]] ? head_get(&x->req, ids[i]) : NULL;
		if (f && str_u64(field_value(f), &ms) && ms && ms <= DEADLINE_MAX_MS)
			return ms;
	}
	return 0;
}

static void set_deadline(struct exchange *x)
{
	const struct spec_policy *p = &x->upstream->policy;
	usec limit = p->request_timeout, told = told_ms(x) * USEC_MS;
	bool shorter = told && (!limit || told < limit);

	if (shorter)
		limit = told;
	if (x->upstream->mode != MODE_ON || !limit || (x->deadline && x->deadline <= x->started + limit))
		return;
	if (!x->deadline)
		timer_init(&x->deadline_timer, on_deadline, x);
	x->deadline = x->started + limit;
	x->deadline_told = shorter;
	timer_set(x->w->loop, &x->deadline_timer, x->deadline);
}

uint64_t admit_left_ms(const struct exchange *x)
{
	usec now = loop_now(x->w->loop);

	if (!x->deadline)
		return 0;
	return x->deadline > now + USEC_MS ? (x->deadline - now) / USEC_MS : 1;
}

/* --- breaker and bulkhead ---------------------------------------------------------------------------------------------------- */

struct changed_mail {
	struct mail m;
	struct worker *w;
	uint32_t sidecar;
	size_t n;
	uint8_t change;
	char name[PARK_NAME_BYTES];
};

static void on_changed(struct mail *m)
{
	struct changed_mail *q = LIST_OWNER(m, struct changed_mail, m);

	q->w->cfg.circuit_changed(q->w->cfg.arg, q->sidecar, str_make(q->name, q->n), (enum breaker_change)q->change);
	mem_free(q);
}

/* Counts a change of the circuit's state, and has control say it in the log. */
static void changed(struct exchange *x, enum breaker_change c)
{
	struct worker *w = x->w;
	struct str name = x->upstream->name;

	if (c == BREAKER_UNCHANGED)
		return;
	if (c == BREAKER_OPENED || c == BREAKER_REOPENED)
		count(x->sc, COUNTER_CIRCUITS_OPENED);
	else if (c == BREAKER_CLOSED_AGAIN)
		count(x->sc, COUNTER_CIRCUITS_CLOSED);
	struct changed_mail *q = w->cfg.circuit_changed && name.n <= PARK_NAME_BYTES ? mem_zalloc(sizeof(*q)) : NULL;
	if (!q)
		return;
	q->m.fn = on_changed;
	q->w = w;
	q->sidecar = x->sc->slot;
	q->change = (uint8_t)c;
	q->n = name.n;
	memcpy(q->name, name.p, name.n);
	loop_post(w->cfg.control, &q->m);
}

/* Whose breaker judges the call. */
static struct circuit *judge_of(const struct exchange *x)
{
	return x->keyed ? x->keyed : x->circuit;
}

/* A circuit of its own for what the call wants of the upstream, where the options say so and one is left. */
static void find_key(struct exchange *x)
{
	const struct spec_upstream *u = x->upstream;
	const struct field *f = u->keyed && x->req.first[FIELD_SOAPACTION] ? head_get(&x->req, FIELD_SOAPACTION) : NULL;

	x->keyed = f && field_value(f).n ? circuit_of_key(u->keyed, field_value(f)) : NULL;
}

static enum admit_result enter_breaker(struct exchange *x, enum reason *why)
{
	const struct spec_policy *p = &x->upstream->policy;
	struct breaker *b = &judge_of(x)->breaker;
	usec now = loop_now(x->w->loop);

	if (x->upstream->kind != UPSTREAM_SERVICE)
		return ADMIT_GO;
	window_add(&x->circuit->breaker.counts, CIRCUIT_REQUEST, p->breaker.bucket, now); /* the retry budget is the upstream's */
	if (x->keyed)
		window_add(&b->counts, CIRCUIT_REQUEST, p->breaker.bucket, now);
	enum breaker_pass pass = breaker_enter(b, &p->breaker, now, &x->ticket);
	changed(x, (enum breaker_change)x->ticket.change);
	x->entered = pass != BREAKER_REFUSED;
	if (pass == BREAKER_REFUSED || pass == BREAKER_WOULD_REFUSE)
		count(x->sc, COUNTER_SHORTED);
	if (pass == BREAKER_WOULD_REFUSE)
		count(x->sc, COUNTER_OBSERVED_SHORTED);
	if (pass != BREAKER_REFUSED)
		return ADMIT_GO;
	*why = REASON_CIRCUIT_OPEN;
	return ADMIT_REFUSED;
}

static void would_reject(struct exchange *x)
{
	count(x->sc, COUNTER_REJECTED);
	if (x->upstream->mode != MODE_ON)
		count(x->sc, COUNTER_OBSERVED_REJECTED);
}

static enum admit_result rejected(struct exchange *x, enum reason *why)
{
	count(x->sc, COUNTER_REJECTED);
	*why = REASON_BULKHEAD_FULL;
	return ADMIT_REFUSED;
}

static void take_place(struct exchange *x)
{
	x->placed = true;
	x->placed_at = loop_now(x->w->loop);
}

static enum admit_result enter_bulkhead(struct exchange *x, enum reason *why)
{
	const struct bulkhead_policy *p = &x->upstream->policy.bulkhead;
	bool would;

	if (circuit_take(x->upstream->circuit, p, &would)) {
		take_place(x);
		if (would)
			would_reject(x);
		return ADMIT_GO;
	}
	if (!p->queue)
		return rejected(x, why);
	switch (queue_wait(x)) {
	case QUEUE_TAKEN:
		take_place(x);
		return ADMIT_GO;
	case QUEUE_WAIT:
		count(x->sc, COUNTER_QUEUED);
		return ADMIT_WAIT;
	case QUEUE_FULL:
		break;
	}
	return rejected(x, why);
}

void admit_placed(struct exchange *x)
{
	take_place(x);
	exchange_run(x); /* step_admit goes on behind the bulkhead */
}

/* --- injected faults --------------------------------------------------------------------------------------------------------- */

static bool chance(struct exchange *x, unsigned percent)
{
	return percent && rng_below(&x->w->rng, 100) < percent;
}

static bool has_fault_header(const struct exchange *x)
{
	const struct spec_upstream *u = x->upstream;

	if (!u->fault_name.n)
		return true;
	for (unsigned i = 0; i < x->req.n; i++) {
		const struct field *f = &x->req.f[i];
		if (str_ieq(field_name(f), u->fault_name))
			return !u->fault_value.n || str_eq(field_value(f), u->fault_value);
	}
	return false;
}

static void on_delayed(void *arg)
{
	struct exchange *x = arg;

	x->is_delayed = false;
	exchange_run(x);
}

static enum admit_result inject(struct exchange *x, enum reason *why)
{
	const struct spec_fault *f = &x->upstream->policy.fault;

	x->faulted = true;
	if (!(f->delay || f->abort || f->reset_percent || f->throttle) || !has_fault_header(x))
		return ADMIT_GO;
	if (f->throttle && chance(x, f->throttle_percent)) {
		count(x->sc, COUNTER_FAULTS);
		x->throttle = f->throttle;
	}
	*why = REASON_FAULT_INJECTED;
	if (chance(x, f->reset_percent)) {
		count(x->sc, COUNTER_FAULTS);
		x->fault_reset = true;
		return ADMIT_REFUSED;
	}
	if (f->abort && chance(x, f->abort_percent)) {
		count(x->sc, COUNTER_FAULTS);
		x->own_status = f->abort;
		return ADMIT_REFUSED;
	}
	if (!f->delay || !chance(x, f->delay_percent))
		return ADMIT_GO;
	count(x->sc, COUNTER_FAULTS);
	x->is_delayed = true;
	timer_init(&x->wait_timer, on_delayed, x);
	timer_set(x->w->loop, &x->wait_timer, loop_now(x->w->loop) + f->delay);
	return ADMIT_WAIT;
}

/* A new spec made the upstream another one: nothing can be said of the old one any more. A probe's lease ends by itself. */
static void abandon(struct exchange *x)
{
	if (x->placed) {
		circuit_give(x->circuit);
		queue_wake(x->circuit, x->w);
	}
	x->entered = x->placed = false;
	x->circuit = x->keyed = NULL;
}

/* --- the client ------------------------------------------------------------------------------------------------------------------- */

static bool enter_crowd(struct exchange *x, enum reason *why)
{
	const struct spec_sidecar *s = exchange_spec(x);
	bool would;

	if (x->crowded || !s->crowd || !wlistener_is_inbound(x->l))
		return true;
	x->client = crowd_place(&x->c->peer);
	x->crowded = crowd_enter(s->crowd, x->client, s->limits.client, x->upstream->mode != MODE_ON, &would);
	if (would)
		would_reject(x);
	*why = REASON_CLIENT_BULKHEAD_FULL;
	return x->crowded;
}

/* --- all of it ------------------------------------------------------------------------------------------------------------------- */

enum admit_result admit(struct exchange *x, enum reason *why)
{
	const struct spec_upstream *u = x->upstream;
	enum admit_result r = ADMIT_GO;

	if (x->w->over.step && !x->circuit && !x->n_attempts && overload_sheds(x)) {
		*why = REASON_OVERLOAD;
		return ADMIT_REFUSED;
	}
	if (exchange_off(x) || x->connect)
		return ADMIT_GO;
	if (exchange_spec(x)->limits.client && !enter_crowd(x, why))
		return ADMIT_REFUSED;
	set_deadline(x);
	if (x->req.first[FIELD_X_OUTRIDER_RETRIES])
		retry_told(x);
	if (x->circuit != u->circuit)
		abandon(x);
	if (!u->circuit)
		return ADMIT_GO;
	if (!x->circuit) {
		x->circuit = u->circuit;
		find_key(x);
	}
	if (!x->entered)
		r = enter_breaker(x, why);
	if (r == ADMIT_GO && !x->placed && bulkhead_on(&u->policy.bulkhead))
		r = enter_bulkhead(x, why);
	if (r == ADMIT_GO && !x->faulted)
		r = inject(x, why);
	return r;
}

enum circuit_event admit_outcome(const struct exchange *x)
{
	const struct spec_policy *p = &x->upstream->policy;

	switch (x->reason) {
	case REASON_NONE:
		break;
	case REASON_CONNECT_TIMEOUT:
	case REASON_RESPONSE_TIMEOUT:
	case REASON_TRY_TIMEOUT:
		return CIRCUIT_TIMEOUT;
	case REASON_REQUEST_TIMEOUT:
		return x->deadline_told ? CIRCUIT_ABORTED : CIRCUIT_TIMEOUT;
	case REASON_BULKHEAD_FULL:
	case REASON_QUEUE_TIMEOUT:
		return CIRCUIT_REJECTED;
	case REASON_FAULT_INJECTED:
		return CIRCUIT_FAILURE;
	case REASON_NONE_AVAILABLE:
		return CIRCUIT_ABORTED;
	default:
		return strcmp(reason_row((enum reason)x->reason)->blame, "upstream") == 0 ||
				       strcmp(reason_row((enum reason)x->reason)->blame, "network") == 0
			       ? CIRCUIT_FAILURE
			       : CIRCUIT_ABORTED;
	}
	if (status_in(&p->failures, x->status))
		return CIRCUIT_FAILURE;
	return x->status >= 400 && x->status < 500 ? CIRCUIT_BAD : CIRCUIT_SUCCESS;
}

static void report(struct exchange *x, enum circuit_event how)
{
	const struct spec_policy *p = &x->upstream->policy;
	struct circuit *c = x->upstream->circuit;
	usec now = loop_now(x->w->loop), latency = now - x->started;

	if (x->entered)
		changed(x, breaker_leave(&judge_of(x)->breaker, &p->breaker, &x->ticket, how, now));
	if (how == CIRCUIT_ABORTED || !x->n_attempts)
		return;
	if (x->placed && (how == CIRCUIT_SUCCESS || how == CIRCUIT_BAD))
		circuit_served(c, now - x->placed_at);
	latencies_add(&c->latencies, latency, now);
	if (x->keyed)
		latencies_add(&x->keyed->latencies, latency, now);
	if (!p->bulkhead.adaptive)
		return;
	if (how == CIRCUIT_TIMEOUT || (how == CIRCUIT_FAILURE && x->status == 503))
		limiter_drop(&c->limiter, now);
	else if (how == CIRCUIT_SUCCESS || how == CIRCUIT_BAD) /* how fast a call fails says nothing of how long one takes */
		limiter_report(&c->limiter, now - x->a.started,
			atomic_load_explicit(&c->bulkhead.active, memory_order_relaxed), now);
}

void admit_leave(struct exchange *x)
{
	struct circuit *c = x->circuit;

	if (x->is_throttled)
		timer_clear(&x->wait_timer);
	x->is_throttled = false;
	if (!c || (!x->entered && !x->placed))
		return;
	if (!x->upstream || x->upstream->circuit != c) {
		abandon(x);
		return;
	}
	report(x, x->verdict ? (enum circuit_event)(x->verdict - 1) : admit_outcome(x));
	if (x->placed) {
		circuit_give(c);
		queue_wake(c, x->w);
	}
	x->entered = x->placed = x->faulted = false;
	x->verdict = 0;
}
