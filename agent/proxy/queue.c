#include "proxy/queue.h"

#include "proxy/admit.h"
#include "proxy/steps.h"

#define LATE_LOOKS 64u /* so many of those that wait are looked at when the queue is full */

static void on_wake(struct mail *m);

void queue_init(struct wupstream *u, struct worker *w)
{
	u->waker.mail.fn = on_wake;
	u->waker.w = w;
	list_init(&u->waker.waiting);
}

/* Once per worker and circuit: a list that grows at its head only. */
static void enlist(struct circuit *c, struct waker *k)
{
	if (k->listed)
		return;
	k->listed = true;
	k->circuit = c;
	k->next = atomic_load_explicit(&c->bulkhead.wakers, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&c->bulkhead.wakers, &k->next, k, memory_order_release, memory_order_relaxed))
		;
}

void queue_leave(struct exchange *x)
{
	if (!x->is_queued)
		return;
	x->is_queued = false;
	list_remove(&x->parked);
	timer_clear(&x->wait_timer);
	atomic_fetch_sub_explicit(&x->wup->waker.n, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&x->upstream->circuit->bulkhead.queued, 1, memory_order_relaxed);
}

static void on_limit(void *arg)
{
	struct exchange *x = arg;

	queue_leave(x);
	exchange_answer(x, REASON_QUEUE_TIMEOUT);
}

static bool enqueue(struct circuit *c, const struct bulkhead_policy *p)
{
	if (atomic_fetch_add_explicit(&c->bulkhead.queued, 1, memory_order_relaxed) < p->queue)
		return true;
	atomic_fetch_sub_explicit(&c->bulkhead.queued, 1, memory_order_relaxed);
	return false;
}

static void drop(struct exchange *x)
{
	queue_leave(x);
	exchange_answer(x, REASON_QUEUE_TIMEOUT);
}

static bool is_late(const struct exchange *x)
{
	return circuit_too_late(x->upstream->circuit, x->deadline, loop_now(x->w->loop));
}

/* One of this worker's that can no longer be answered in time leaves its place in the queue. */
static bool drop_late(struct waker *k)
{
	unsigned looked = 0;

	LIST_EACH(it, tmp, &k->waiting) {
		struct exchange *x = LIST_OWNER(it, struct exchange, parked);
		if (is_late(x)) {
			drop(x);
			return true;
		}
		if (++looked == LATE_LOOKS)
			break;
	}
	return false;
}

enum queue_result queue_wait(struct exchange *x)
{
	struct circuit *c = x->upstream->circuit;
	const struct bulkhead_policy *p = &x->upstream->policy.bulkhead;
	struct waker *k = &x->wup->waker;
	bool would;

	if (!enqueue(c, p) && !(!is_late(x) && drop_late(k) && enqueue(c, p)))
		return QUEUE_FULL;
	enlist(c, k);
	list_append(&k->waiting, &x->parked);
	atomic_fetch_add_explicit(&k->n, 1, memory_order_seq_cst);
	x->is_queued = true;
	timer_init(&x->wait_timer, on_limit, x);
	if (circuit_take(c, p, &would)) {
		queue_leave(x);
		return QUEUE_TAKEN;
	}
	if (!x->was_queued)
		x->queued = loop_now(x->w->loop);
	x->was_queued = true;
	timer_set(x->w->loop, &x->wait_timer, loop_now(x->w->loop) + p->queue_time);
	return QUEUE_WAIT;
}

static bool wake(struct waker *k)
{
	if (atomic_load_explicit(&k->n, memory_order_seq_cst) == 0 ||
	    atomic_exchange_explicit(&k->posted, true, memory_order_acq_rel))
		return false;
	loop_post(k->w->loop, &k->mail);
	return true;
}

/* Who begins the search is chosen by chance, so that no worker's calls wait behind another's for ever. */
void queue_wake(struct circuit *c, struct worker *w)
{
	struct waker *first = atomic_load_explicit(&c->bulkhead.wakers, memory_order_acquire), *from = first;

	if (!first || atomic_load_explicit(&c->bulkhead.queued, memory_order_seq_cst) == 0)
		return;
	for (uint64_t skip = rng_next(&w->rng) % 4; skip && from->next; skip--)
		from = from->next;
	for (struct waker *k = from; k; k = k->next)
		if (wake(k))
			return;
	for (struct waker *k = first; k != from; k = k->next)
		if (wake(k))
			return;
}

/* Runs as many as there are places for. One that runs may end at once and wake us anew. When none is left to run, whom the mail was for may
 * have gone before it came: the place it told of is for another worker's. */
static void on_wake(struct mail *m)
{
	struct waker *k = LIST_OWNER(m, struct waker, mail);
	bool would;

	atomic_store_explicit(&k->posted, false, memory_order_release);
	while (!list_empty(&k->waiting)) {
		struct exchange *x = LIST_OWNER(k->waiting.next, struct exchange, parked);
		if (is_late(x)) {
			drop(x);
			continue;
		}
		if (!circuit_take(x->upstream->circuit, &x->upstream->policy.bulkhead, &would))
			return;
		queue_leave(x);
		admit_placed(x);
	}
	queue_wake(k->circuit, k->w);
}
