/* A growing text with a stated maximum, for pages, messages and logs: never for the request path.
 *
 *     struct text t;
 *     text_init(&t, 64 * 1024);
 *     text_fmt(&t, "%s is %u\n", name, age);
 *     if (t.failed) …too long or out of memory…
 *     text_release(&t);
 *
 * Adding never fails loudly: once the maximum is passed or memory is short, `failed` is set, what
 * stands there stays, and further adds do nothing. `p` always ends in NUL after init succeeded in
 * adding anything; text_z() is always a valid C string. Owner: whoever called text_init(). */
#ifndef OUTRIDER_BASE_TEXT_H
#define OUTRIDER_BASE_TEXT_H

#include "base/err.h"
#include "base/str.h"

#include <stdarg.h>

struct text {
	char *p;
	size_t n, cap, max; /* bytes; max without the NUL */
	bool failed;
};

void text_init(struct text *t, size_t max);
void text_release(struct text *t); /* frees; t can be used again as after text_init() */
void text_clear(struct text *t);   /* n = 0, keeps the memory, clears failed */
void text_add(struct text *t, struct str s);
void text_addz(struct text *t, const char *z);
void text_char(struct text *t, char c);
void text_u64(struct text *t, uint64_t v);
void text_fmt(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_vfmt(struct text *t, const char *fmt, va_list ap);
const char *text_z(const struct text *t);
/* Gives the memory to the caller (who mem_free()s it) and leaves t empty. NULL when failed. */
char *text_detach(struct text *t);

static inline struct str text_str(const struct text *t)
{
	return str_make(t->p, t->n);
}

#endif
