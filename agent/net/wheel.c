#include "net/wheel.h"

#define WORDS (WHEEL_SLOTS / 64)

void wheel_init(struct wheel *w, usec now)
{
	w->tick = now / TIMER_TICK;
	list_init(&w->due);
	for (unsigned i = 0; i < WORDS; i++)
		w->used[i] = 0;
	for (unsigned i = 0; i < WHEEL_SLOTS; i++)
		list_init(&w->slots[i]);
}

void wheel_restart(struct wheel *w, usec now)
{
	if (now / TIMER_TICK > w->tick)
		w->tick = now / TIMER_TICK;
}

usec wheel_add(struct wheel *w, struct timer *t, usec now)
{
	t->queued = t->deadline;
	uint64_t tick = t->deadline / TIMER_TICK + (t->deadline % TIMER_TICK != 0);
	if (t->deadline <= now || tick <= w->tick) {
		list_append(&w->due, &t->link);
		return 0;
	}
	unsigned slot = (unsigned)(tick % WHEEL_SLOTS);
	list_append(&w->slots[slot], &t->link);
	w->used[slot / 64] |= UINT64_C(1) << (slot % 64);
	/* Beyond the horizon the slot comes first for an earlier round. */
	uint64_t distance = (tick - w->tick - 1) % WHEEL_SLOTS + 1;
	return (w->tick + distance) * TIMER_TICK;
}

/* The first occupied slot among `count` (≤ WHEEL_SLOTS) from `slot` on, as a distance; count when there is none. */
static unsigned next_used(struct wheel *w, unsigned slot, unsigned count)
{
	for (unsigned d = 0; d < count;) {
		unsigned at = (slot + d) % WHEEL_SLOTS;
		uint64_t word = w->used[at / 64] >> (at % 64);
		if (!word) {
			d += 64 - at % 64;
			continue;
		}
		d += (unsigned)__builtin_ctzll(word);
		if (d >= count)
			break;
		at = (slot + d) % WHEEL_SLOTS;
		if (!list_empty(&w->slots[at]))
			return d;
		w->used[at / 64] &= ~(UINT64_C(1) << (at % 64));
	}
	return count;
}

usec wheel_next(struct wheel *w)
{
	if (!list_empty(&w->due))
		return 0;
	unsigned d = next_used(w, (unsigned)((w->tick + 1) % WHEEL_SLOTS), WHEEL_SLOTS);
	return d == WHEEL_SLOTS ? USEC_NEVER : (w->tick + 1 + d) * TIMER_TICK;
}

/* Moves all members of `from` to the end of `to`. */
static void list_move_all(struct list *from, struct list *to)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

/* Takes what lies in the slots of the ticks that have passed. */
static void collect(struct wheel *w, usec now, struct list *batch)
{
	list_move_all(&w->due, batch);
	uint64_t target = now / TIMER_TICK;
	if (target <= w->tick)
		return;
	uint64_t passed = target - w->tick;
	unsigned count = passed < WHEEL_SLOTS ? (unsigned)passed : WHEEL_SLOTS;
	unsigned first = (unsigned)((target - count + 1) % WHEEL_SLOTS);
	for (unsigned d = 0; d < count; d++) {
		d += next_used(w, (first + d) % WHEEL_SLOTS, count - d);
		if (d >= count)
			break;
		unsigned slot = (first + d) % WHEEL_SLOTS;
		w->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
		list_move_all(&w->slots[slot], batch);
	}
	w->tick = target;
}

void wheel_advance(struct wheel *w, usec now)
{
	struct list batch;
	list_init(&batch);
	collect(w, now, &batch);
	while (!list_empty(&batch)) {
		struct timer *t = LIST_OWNER(batch.next, struct timer, link);
		list_remove(&t->link);
		if (t->deadline > now) { /* pushed meanwhile, or of a later round */
			wheel_add(w, t, now);
		} else {
			t->deadline = USEC_NEVER;
			t->fn(t->arg);
		}
	}
}
