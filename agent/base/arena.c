#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define ALIGN _Alignof(max_align_t)
#define CHUNK_MIN 4096u
#define CHUNK_MAX (64u * 1024u)

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* of data */
	_Alignas(max_align_t) char data[];
};

void arena_init(struct arena *a, size_t max, void *first, size_t first_len)
{
	*a = (struct arena){ .max = max, .first = first, .at = first };
	a->first_end = a->end = first ? a->first + first_len : NULL;
}

/* Chunks double from 4 to 64 KiB, so that many allocations need few of them; a large piece gets its own. */
static bool add_chunk(struct arena *a, size_t need)
{
	size_t size = a->chunks ? a->chunks->size * 2 : CHUNK_MIN;

	if (size > CHUNK_MAX)
		size = CHUNK_MAX;
	if (size < need)
		size = need;
	if (size > SIZE_MAX - sizeof(struct arena_chunk))
		return false;
	struct arena_chunk *c = mem_alloc(sizeof(*c) + size);
	if (!c)
		return false;
	c->next = a->chunks;
	c->size = size;
	a->chunks = c;
	a->at = c->data;
	a->end = c->data + size;
	return true;
}

/* Takes n bytes after `pad` skipped ones out of the newest chunk; they are known to be there. */
static void *take(struct arena *a, size_t pad, size_t n)
{
	char *p = a->at + pad;

	a->at = p + n;
	a->used += pad + n;
	return p;
}

static void *alloc(struct arena *a, size_t n, size_t align)
{
	size_t room = (size_t)(a->end - a->at);
	size_t pad = (size_t)(0 - (uintptr_t)a->at) & (align - 1);
	size_t left = a->max - a->used;

	if (a->at && pad <= room && n <= room - pad)
		return pad <= left && n <= left - pad ? take(a, pad, n) : NULL;
	if (n > left || !add_chunk(a, n))
		return NULL;
	return take(a, 0, n);
}

void *arena_alloc(struct arena *a, size_t n)
{
	return alloc(a, n, ALIGN);
}

void *arena_zalloc(struct arena *a, size_t n)
{
	void *p = alloc(a, n, ALIGN);

	if (p)
		memset(p, 0, n);
	return p;
}

char *arena_bytes(struct arena *a, size_t n)
{
	return alloc(a, n, 1);
}

char *arena_z(struct arena *a, struct str s)
{
	char *p = s.n < SIZE_MAX ? arena_bytes(a, s.n + 1) : NULL;

	if (!p)
		return NULL;
	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p = arena_z(a, s);

	return p ? str_make(p, s.n) : str_make(NULL, 0);
}

char *arena_fmt(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	char *p = n >= 0 ? arena_bytes(a, (size_t)n + 1) : NULL;
	if (p)
		vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void arena_reset(struct arena *a)
{
	while (a->chunks) {
		struct arena_chunk *next = a->chunks->next;
		mem_free(a->chunks);
		a->chunks = next;
	}
	a->at = a->first;
	a->end = a->first_end;
	a->used = 0;
}

void arena_release(struct arena *a)
{
	arena_reset(a);
	*a = (struct arena){ 0 };
}
