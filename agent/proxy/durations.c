#include "proxy/durations.h"

#include "proxy/client.h"
#include "proxy/steps.h"

static uint64_t get(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

enum duration_class duration_class_of(unsigned status)
{
	return status >= 100 && status < 600 ? (enum duration_class)(status / 100) : DURATION_NONE;
}

void durations_add(struct durations *d, const struct duration_bounds *b, usec took)
{
	count_add(&d->buckets[duration_bucket(b, took)], 1);
	count_add(&d->sum, took);
}

/* Each part is stored with release and read with acquire, so that who sees one of them sees that seq is odd, or has grown. */
void durations_exemplar(struct durations *d, const struct duration_bounds *b, uint64_t hi, uint64_t lo, usec took, usec at)
{
	struct exemplar *e = &d->exemplars[duration_bucket(b, took)];
	uint32_t seq = atomic_load_explicit(&e->seq, memory_order_relaxed);

	if (!hi && !lo)
		return;
	atomic_store_explicit(&e->seq, seq + 1, memory_order_relaxed);
	atomic_store_explicit(&e->hi, hi, memory_order_release);
	atomic_store_explicit(&e->lo, lo, memory_order_release);
	atomic_store_explicit(&e->at, at, memory_order_release);
	atomic_store_explicit(&e->us, took < UINT32_MAX ? (uint32_t)took : UINT32_MAX, memory_order_release);
	atomic_store_explicit(&e->seq, seq + 2 ? seq + 2 : 2, memory_order_release);
}

bool exemplar_look(const struct exemplar *e, struct exemplar_view *ret)
{
	uint32_t seq = atomic_load_explicit(&e->seq, memory_order_acquire);

	if (!seq || seq & 1)
		return false;
	struct exemplar_view v = {
		.hi = atomic_load_explicit(&e->hi, memory_order_acquire),
		.lo = atomic_load_explicit(&e->lo, memory_order_acquire),
		.at = atomic_load_explicit(&e->at, memory_order_acquire),
		.us = atomic_load_explicit(&e->us, memory_order_acquire),
	};
	if (atomic_load_explicit(&e->seq, memory_order_relaxed) != seq)
		return false;
	*ret = v;
	return true;
}

void durations_zero(struct durations *d)
{
	for (unsigned i = 0; i < DURATION_BUCKETS; i++) {
		atomic_store_explicit(&d->buckets[i], 0, memory_order_relaxed);
		atomic_store_explicit(&d->exemplars[i].seq, 0, memory_order_relaxed);
	}
	for (unsigned i = 0; i < DURATION_CLASSES; i++)
		atomic_store_explicit(&d->classes[i], 0, memory_order_relaxed);
	atomic_store_explicit(&d->sum, 0, memory_order_relaxed);
}

void durations_look(const struct durations *d, struct durations_view *ret)
{
	for (unsigned i = 0; i < DURATION_BUCKETS; i++) {
		struct exemplar_view v;
		uint64_t n = get(&d->buckets[i]);
		ret->buckets[i] += n;
		ret->count += n;
		if (n && exemplar_look(&d->exemplars[i], &v) && v.at > ret->exemplars[i].at)
			ret->exemplars[i] = v;
	}
	ret->sum += get(&d->sum);
	for (unsigned i = 0; i < DURATION_CLASSES; i++)
		ret->classes[i] += get(&d->classes[i]);
}

/* --- of an exchange -------------------------------------------------------------------------------------------------------------- */

static struct durations *of_sidecar(struct exchange *x)
{
	static const uint8_t directions[] = { [LISTEN_INBOUND] = DIRECTION_INBOUND, [LISTEN_OUTBOUND] = DIRECTION_OUTBOUND,
		[LISTEN_PINNED] = DIRECTION_OUTBOUND, [LISTEN_PINNED_TCP] = DIRECTION_OUTBOUND, [LISTEN_EDGE] = DIRECTION_EDGE };

	return &x->sc->durations[directions[x->l->kind]];
}

/* How long a tunnel was open says nothing of how fast anybody is. */
static bool is_tunnel(const struct exchange *x)
{
	return x->upgraded || x->connect;
}

void durations_exchange(struct exchange *x)
{
	const struct duration_bounds *b = &x->w->cfg.bounds;
	usec took = loop_now(x->w->loop) - x->started;
	struct durations *own = of_sidecar(x), *called = x->wup && x->n_attempts ? &x->wup->durations : NULL;
	struct durations *routed = x->route ? part_route(x->w, x->route) : NULL;
	enum duration_class class = x->status == 101 ? DURATION_2XX : duration_class_of(x->status);

	if (x->tcp)
		return; /* no HTTP: it has no status */
	count_add(&own->classes[class], 1);
	if (called)
		count_add(&called->classes[class], 1);
	if (routed)
		count_add(&routed->classes[class], 1);
	if (is_tunnel(x))
		return;
	durations_add(own, b, took);
	if (called)
		durations_add(called, b, took);
	if (routed)
		durations_add(routed, b, took);
}

void durations_traced(struct exchange *x, uint64_t hi, uint64_t lo, usec at)
{
	const struct duration_bounds *b = &x->w->cfg.bounds;
	usec took = loop_now(x->w->loop) - x->started;
	struct durations *routed = x->route ? part_route(x->w, x->route) : NULL;

	if (x->tcp || is_tunnel(x))
		return;
	durations_exemplar(of_sidecar(x), b, hi, lo, took, at);
	if (x->wup && x->n_attempts)
		durations_exemplar(&x->wup->durations, b, hi, lo, took, at);
	if (routed)
		durations_exemplar(routed, b, hi, lo, took, at);
}
