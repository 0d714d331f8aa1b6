/* Attempt: what one try at one endpoint counts there: under way, and how it ended for balancing and ejection. */
#include "proxy/steps.h"

void attempt_begin(struct exchange *x)
{
	struct attempt *a = &x->a;

	a->begun = true;
	a->head_at = a->sent_at = 0;
	a->status = a->reason = 0;
	trace_attempt(x);
	a->outcome = BALANCE_CANCELLED;
	count_add(&a->ep->c.attempts, 1);
	count_add(&a->ep->c.active, 1);
	if (a->balanced)
		balance_start(&x->upstream->balance, &x->wup->balance, a->ticket, loop_now(x->w->loop));
}

/* How a reply counts. 429, and 503 with Retry-After, say "less", not "ill". */
static enum balance_outcome outcome_of(const struct head *res)
{
	switch (res->status) {
	case 429:
		return BALANCE_OVERLOADED;
	case 503:
		return res->first[FIELD_RETRY_AFTER] ? BALANCE_OVERLOADED : BALANCE_FAILED;
	case 502:
	case 504:
		return BALANCE_FAILED;
	default:
		return res->status >= 500 ? BALANCE_ERROR : BALANCE_OK;
	}
}

void attempt_answered(struct exchange *x)
{
	x->a.head_at = loop_now(x->w->loop);
	x->a.status = x->res.status;
	x->a.outcome = (uint8_t)outcome_of(&x->res);
}

static void count_verdict(struct exchange *x, enum outlier_verdict v)
{
	switch (v) {
	case OUTLIER_EJECTED:
	case OUTLIER_STAYS_OUT:
		count(x->sc, COUNTER_EJECTIONS);
		break;
	case OUTLIER_CAPPED:
		count(x->sc, COUNTER_EJECTIONS_CAPPED);
		break;
	case OUTLIER_READMITTED:
		count(x->sc, COUNTER_READMISSIONS);
		break;
	case OUTLIER_WOULD_EJECT:
		count(x->sc, COUNTER_OBSERVED_EJECTIONS);
		break;
	case OUTLIER_NOTHING:
		break;
	}
}

void attempt_end(struct exchange *x, enum balance_outcome how)
{
	struct attempt *a = &x->a;
	usec now = loop_now(x->w->loop);

	if (!a->begun)
		return;
	a->begun = false;
	record_try(x, now);
	count_sub(&a->ep->c.active, 1);
	if (!a->balanced)
		return;
	if (a->head_at && how != BALANCE_FAILED)
		how = (enum balance_outcome)a->outcome;
	usec latency = (a->head_at ? a->head_at : now) - a->started;
	count_verdict(x, balance_end(&x->upstream->balance, &x->wup->balance, a->ticket, how, latency, now, &x->w->rng));
}
