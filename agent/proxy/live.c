#include "proxy/live.h"

#define FREE 0u
#define BUSY 1u

uint64_t live_key(struct str id)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a: a collision links a call wrongly, and is marked as inferred */

	for (size_t i = 0; i < id.n; i++)
		h = (h ^ (unsigned char)id.p[i]) * 0x100000001b3u;
	return h < 2 ? h + 2 : h;
}

void live_enter(struct live *l, unsigned worker)
{
	atomic_fetch_add_explicit(&l->counts[worker % LIVE_COUNTS].n, 1, memory_order_relaxed);
}

void live_leave(struct live *l, unsigned worker)
{
	atomic_fetch_sub_explicit(&l->counts[worker % LIVE_COUNTS].n, 1, memory_order_relaxed);
}

struct live_slot *live_put(struct live *l, uint64_t key, const struct live_trace *t)
{
	if (t->decision == TRACE_DENY && atomic_load_explicit(&l->used, memory_order_relaxed) >= LIVE_SLOTS / 2)
		return NULL;
	for (unsigned i = 0; i < LIVE_SLOTS; i++) {
		struct live_slot *s = &l->slots[(key + i) % LIVE_SLOTS];
		uint64_t none = FREE;
		if (atomic_load_explicit(&s->key, memory_order_relaxed) != FREE ||
		    !atomic_compare_exchange_strong_explicit(&s->key, &none, BUSY, memory_order_acq_rel, memory_order_relaxed))
			continue;
		atomic_store_explicit(&s->hi, t->hi, memory_order_relaxed);
		atomic_store_explicit(&s->lo, t->lo, memory_order_relaxed);
		atomic_store_explicit(&s->span, t->span, memory_order_relaxed);
		atomic_store_explicit(&s->decision, t->decision, memory_order_relaxed);
		atomic_store_explicit(&s->key, key, memory_order_release);
		atomic_fetch_add_explicit(&l->used, 1, memory_order_relaxed);
		return s;
	}
	return NULL;
}

void live_remove(struct live *l, struct live_slot *s)
{
	atomic_store_explicit(&s->key, FREE, memory_order_release);
	atomic_fetch_sub_explicit(&l->used, 1, memory_order_relaxed);
}

/* What a slot says while it has that key. Read with acquire, so that a key that is still the same afterwards vouches for it. */
static bool read_slot(const struct live_slot *s, uint64_t key, struct live_trace *t)
{
	t->hi = atomic_load_explicit(&s->hi, memory_order_acquire);
	t->lo = atomic_load_explicit(&s->lo, memory_order_acquire);
	t->span = atomic_load_explicit(&s->span, memory_order_acquire);
	t->decision = (uint8_t)atomic_load_explicit(&s->decision, memory_order_acquire);
	return atomic_load_explicit(&s->key, memory_order_relaxed) == key;
}

static bool is_alone(const struct live *l)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LIVE_COUNTS; i++)
		n += atomic_load_explicit(&l->counts[i].n, memory_order_relaxed);
	return n == 1;
}

bool live_find(const struct live *l, uint64_t key, struct live_trace *t)
{
	if (!atomic_load_explicit(&l->used, memory_order_relaxed))
		return false;
	for (unsigned i = 0; key && i < LIVE_SLOTS; i++) {
		const struct live_slot *s = &l->slots[(key + i) % LIVE_SLOTS];
		if (atomic_load_explicit(&s->key, memory_order_acquire) == key)
			return read_slot(s, key, t);
	}
	if (!is_alone(l))
		return false;
	for (unsigned i = 0; i < LIVE_SLOTS; i++) {
		uint64_t had = atomic_load_explicit(&l->slots[i].key, memory_order_acquire);
		if (had > BUSY)
			return read_slot(&l->slots[i], had, t);
	}
	return false;
}
