#include "base/text.h"

#include "base/mem.h"

#include <stdio.h>

#define FIRST_CAP 256u

void text_init(struct text *t, size_t max)
{
	/* One byte is kept for the NUL, so the largest size there is cannot overflow. */
	*t = (struct text){ .max = max < SIZE_MAX ? max : SIZE_MAX - 1 };
}

void text_release(struct text *t)
{
	mem_free(t->p);
	text_init(t, t->max);
}

void text_clear(struct text *t)
{
	t->n = 0;
	t->failed = false;
	if (t->p)
		t->p[0] = '\0';
}

/* Makes room for n more bytes and a NUL; false (and failed) when that is too much. */
static bool reserve(struct text *t, size_t n)
{
	if (t->failed)
		return false;
	if (n > t->max - t->n) {
		t->failed = true;
		return false;
	}

	size_t need = t->n + n + 1;
	if (need <= t->cap)
		return true;
	size_t cap = t->cap ? t->cap : FIRST_CAP;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
	if (cap > t->max + 1)
		cap = t->max + 1;

	char *p = mem_resize(t->p, cap);
	if (!p) {
		t->failed = true;
		return false;
	}
	t->p = p;
	t->cap = cap;
	return true;
}

void text_add(struct text *t, struct str s)
{
	if (!reserve(t, s.n))
		return;
	if (s.n)
		memcpy(t->p + t->n, s.p, s.n);
	t->n += s.n;
	t->p[t->n] = '\0';
}

void text_addz(struct text *t, const char *z)
{
	text_add(t, str_of(z));
}

void text_char(struct text *t, char c)
{
	text_add(t, str_make(&c, 1));
}

void text_u64(struct text *t, uint64_t v)
{
	char digits[20]; /* 2^64 - 1 has 20 */
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	text_add(t, str_make(digits + at, sizeof(digits) - at));
}

void text_fmt(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_vfmt(t, fmt, ap);
	va_end(ap);
}

void text_vfmt(struct text *t, const char *fmt, va_list ap)
{
	va_list again;

	if (t->failed)
		return;
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0) {
		t->failed = true;
		return;
	}
	if (!reserve(t, (size_t)n))
		return;
	vsnprintf(t->p + t->n, (size_t)n + 1, fmt, ap);
	t->n += (size_t)n;
}

const char *text_z(const struct text *t)
{
	return t->p ? t->p : "";
}

char *text_detach(struct text *t)
{
	/* An empty text is detached as "", not as NULL: NULL says that something is missing. */
	text_add(t, STR(""));
	char *p = t->failed ? NULL : t->p;
	if (p)
		t->p = NULL;
	text_release(t);
	return p;
}
