/* Record: what a finished exchange adds to the counters. Spans and log records will be written here, too. */
#include "proxy/steps.h"

static void count_status(struct exchange *x)
{
	static const enum counter_id by_class[] = { COUNTER_RESPONSES_1XX, COUNTER_RESPONSES_1XX, COUNTER_RESPONSES_2XX,
						    COUNTER_RESPONSES_3XX, COUNTER_RESPONSES_4XX, COUNTER_RESPONSES_5XX };

	if (x->status == 101)
		count(x->sc, COUNTER_RESPONSES_2XX);
	else if (x->status >= 200 && x->status < 600)
		count(x->sc, by_class[x->status / 100]);
}

void record_exchange(struct exchange *x)
{
	count_down(x->sc, COUNTER_REQUESTS_ACTIVE);
	count_status(x);
	if (x->reason) {
		count_add(&x->sc->counters.reasons[x->reason], 1);
		if (x->reason == REASON_CLIENT_GONE)
			count(x->sc, COUNTER_CLIENTS_GONE);
		else if (x->cut)
			count(x->sc, COUNTER_RESPONSES_CUT);
		else
			count(x->sc, COUNTER_OWN_ANSWERS);
	}
	if (!x->wup || !x->n_attempts)
		return;
	if ((x->reason && x->reason != REASON_CLIENT_GONE) || x->status >= 500)
		count_add(&x->wup->c.failures, 1);
}

static void set_last(struct last_error *l, enum reason why, int err, usec at)
{
	atomic_store_explicit(&l->reason, (uint32_t)why, memory_order_relaxed);
	atomic_store_explicit(&l->error, (uint32_t)err, memory_order_relaxed);
	atomic_store_explicit(&l->at, at, memory_order_relaxed);
}

void record_attempt_failed(struct exchange *x, enum reason why, int err)
{
	usec at = clock_wall();

	count_add(&x->a.ep->c.failures, 1);
	set_last(&x->a.ep->c.last, why, err, at);
	set_last(&x->wup->c.last, why, err, at);
}
