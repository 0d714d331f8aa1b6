/* Every allocation of the agent goes through here, so that tests can make each one fail in turn.
 *
 * All return NULL when memory is short; callers must cope (shed, answer 503, keep the old snapshot).
 * Thread: any. */
#ifndef OUTRIDER_BASE_MEM_H
#define OUTRIDER_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t n) __attribute__((malloc));
void *mem_zalloc(size_t n) __attribute__((malloc));
/* calloc with the overflow check. */
void *mem_zarray(size_t count, size_t size) __attribute__((malloc));
/* As realloc: on NULL the old memory is still owned by the caller. */
void *mem_resize(void *p, size_t n);
char *mem_dup(const char *p, size_t n); /* copies n bytes and adds a NUL */
void mem_free(void *p);                 /* NULL is fine */
/* Overwrites n bytes in a way that the compiler keeps (secrets), then frees. */
void mem_wipe_free(void *p, size_t n);

/* Tests only: the k-th allocation from now on fails (1 = the next one), 0 = never. Counts over all threads. */
void mem_fail_at(unsigned long k);
/* Tests only: allocations made since the last mem_fail_at(). */
unsigned long mem_count(void);

#endif
