#include "base/ring.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <string.h>

#define SIZE_MIN 4096u
#define SIZE_MAX_BYTES (1u << 30)
#define SKIP UINT32_MAX /* instead of a length: the next record begins at the start of the memory */

struct header { /* before each record */
	uint32_t n;   /* bytes of the record; SKIP */
	uint32_t all; /* bytes with header and padding */
};

static uint32_t round_up(uint32_t n)
{
	return (n + 7u) & ~7u;
}

bool ring_init(struct ring *r, size_t size)
{
	uint32_t n = SIZE_MIN;

	memset(r, 0, sizeof(*r));
	while (n < size && n < SIZE_MAX_BYTES)
		n *= 2;
	r->mem = mem_alloc(n);
	r->size = n;
	return r->mem != NULL;
}

void ring_release(struct ring *r)
{
	mem_free(r->mem);
	memset(r, 0, sizeof(*r));
}

static bool has_room(struct ring *r, uint64_t head, uint32_t need)
{
	if (head + need - r->seen_tail <= r->size)
		return true;
	r->seen_tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	return head + need - r->seen_tail <= r->size;
}

void ring_drop(struct ring *r)
{
	atomic_store_explicit(&r->dropped, atomic_load_explicit(&r->dropped, memory_order_relaxed) + 1, memory_order_relaxed);
}

static void *drop(struct ring *r)
{
	ring_drop(r);
	return NULL;
}

void *ring_reserve(struct ring *r, uint32_t n)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint32_t at = (uint32_t)(head & (r->size - 1)), to_end = r->size - at;

	if (n > r->size / 4)
		return drop(r);
	uint32_t all = (uint32_t)sizeof(struct header) + round_up(n), skip = all > to_end ? to_end : 0;
	if (!has_room(r, head, all + skip))
		return drop(r);
	if (skip) {
		*(struct header *)(void *)(r->mem + at) = (struct header){ SKIP, skip };
		at = 0;
	}
	*(struct header *)(void *)(r->mem + at) = (struct header){ n, all };
	r->reserved = all + skip;
	return r->mem + at + sizeof(struct header);
}

void ring_commit(struct ring *r)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	atomic_store_explicit(&r->written, atomic_load_explicit(&r->written, memory_order_relaxed) + 1, memory_order_relaxed);
	atomic_store_explicit(&r->head, head + r->reserved, memory_order_release);
}

bool ring_half_full(struct ring *r)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head - r->seen_tail > r->size / 2)
		r->seen_tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	return head - r->seen_tail > r->size / 2;
}

const void *ring_peek(struct ring *r, uint32_t *n)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);

	if (tail == head)
		return NULL;
	const struct header *h = (const struct header *)(const void *)(r->mem + (tail & (r->size - 1)));
	if (h->n == SKIP) {
		tail += h->all;
		atomic_store_explicit(&r->tail, tail, memory_order_release);
		h = (const struct header *)(const void *)(r->mem + (tail & (r->size - 1)));
	}
	*n = h->n;
	return h + 1;
}

void ring_pop(struct ring *r)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	const struct header *h = (const struct header *)(const void *)(r->mem + (tail & (r->size - 1)));

	atomic_store_explicit(&r->tail, tail + h->all, memory_order_release);
}
