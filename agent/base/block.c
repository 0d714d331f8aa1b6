#include "base/block.h"

#include "base/mem.h"

#include <assert.h>

/* Under AddressSanitizer a block that rests in the pool is poisoned from its first byte to its last: a use
 * after the last unref, a second unref included, is reported as if the block had been freed. */
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

static uint32_t class_bytes(enum block_class c)
{
	return c == BLOCK_SMALL ? BLOCK_SMALL_BYTES : BLOCK_LARGE_BYTES;
}

static size_t whole_size(uint32_t cap)
{
	return sizeof(struct block) + cap;
}

void block_pool_init(struct block_pool *p, size_t max_bytes, uint32_t keep)
{
	*p = (struct block_pool){ .max_bytes = max_bytes, .keep = keep };
}

/* The first free block of class c, or NULL. */
static struct block *pop_free(struct block_pool *p, enum block_class c)
{
	struct block *b = p->free[c];

	if (!b)
		return NULL;
	UNPOISON(b, whole_size(class_bytes(c)));
	p->free[c] = b->next;
	p->free_count[c]--;
	return b;
}

void block_pool_release(struct block_pool *p)
{
	assert(p->out == 0);
	for (int c = 0; c < BLOCK_HUGE; c++) {
		for (struct block *b; (b = pop_free(p, (enum block_class)c)) != NULL;)
			mem_free(b);
	}
}

void block_pool_trim(struct block_pool *p)
{
	while (p->free_count[BLOCK_SMALL] > p->keep)
		mem_free(pop_free(p, BLOCK_SMALL));
	while (p->free_count[BLOCK_LARGE] > p->keep / 8)
		mem_free(pop_free(p, BLOCK_LARGE));
}

static struct block *hand_out(struct block_pool *p, struct block *b, enum block_class c, uint32_t cap)
{
	if (!b)
		return NULL;
	b->next = NULL;
	b->pool = p;
	b->refs = 1;
	b->cap = cap;
	b->start = b->end = 0;
	b->klass = (uint8_t)c;
	p->out += cap;
	return b;
}

static bool is_over(const struct block_pool *p, uint32_t more)
{
	return p->out > p->max_bytes || more > p->max_bytes - p->out;
}

struct block *block_get(struct block_pool *p, enum block_class c)
{
	uint32_t cap = class_bytes(c);

	assert(c < BLOCK_HUGE);
	if (is_over(p, cap))
		return NULL;
	struct block *b = pop_free(p, c);
	return hand_out(p, b ? b : mem_alloc(whole_size(cap)), c, cap);
}

struct block *block_get_huge(struct block_pool *p, uint32_t bytes)
{
	if (is_over(p, bytes))
		return NULL;
	return hand_out(p, mem_alloc(whole_size(bytes)), BLOCK_HUGE, bytes);
}

void block_free_(struct block *b)
{
	struct block_pool *p = b->pool;
	enum block_class c = (enum block_class)b->klass;

	p->out -= b->cap;
	if (c == BLOCK_HUGE || p->free_count[c] >= (c == BLOCK_LARGE ? p->keep / 8 : p->keep)) {
		mem_free(b);
		return;
	}
	b->next = p->free[c];
	p->free[c] = b;
	p->free_count[c]++;
	POISON(b, whole_size(b->cap));
}
