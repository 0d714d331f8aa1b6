#include "base/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The only mutable state of base/: the tests' switch. Until mem_fail_at() was called once, an allocation
 * pays one relaxed load for it. */
static atomic_bool armed;
static atomic_ulong count, fail_at;

/* Says whether this allocation is the one that a test wants to see fail. */
static bool must_fail(void)
{
	if (!atomic_load_explicit(&armed, memory_order_relaxed))
		return false;
	unsigned long k = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) + 1;
	return k == atomic_load_explicit(&fail_at, memory_order_relaxed);
}

/* malloc(0) may be NULL, which would read as "no memory". */
static size_t at_least_one(size_t n)
{
	return n ? n : 1;
}

void *mem_alloc(size_t n)
{
	return must_fail() ? NULL : malloc(at_least_one(n));
}

void *mem_zalloc(size_t n)
{
	return must_fail() ? NULL : calloc(1, at_least_one(n));
}

void *mem_zarray(size_t items, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(items, size, &bytes) ? NULL : mem_zalloc(bytes);
}

void *mem_resize(void *p, size_t n)
{
	return must_fail() ? NULL : realloc(p, at_least_one(n));
}

char *mem_dup(const char *p, size_t n)
{
	char *copy = n < SIZE_MAX ? mem_alloc(n + 1) : NULL;

	if (!copy)
		return NULL;
	if (n)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

void mem_free(void *p)
{
	free(p);
}

void mem_wipe_free(void *p, size_t n)
{
	if (!p)
		return;
	explicit_bzero(p, n);
	free(p);
}

void mem_fail_at(unsigned long k)
{
	atomic_store(&count, 0);
	atomic_store(&fail_at, k);
	atomic_store(&armed, true);
}

unsigned long mem_count(void)
{
	return atomic_load(&count);
}
