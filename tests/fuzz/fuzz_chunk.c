/* The chunked coding: cut at every place it must give the same bytes, trailers and end; and a second decoder, written to be
 * simple instead of fast, must agree. */
#include "fuzz.h"
#include "http/h1.h"

#define CUT_ALL 512

struct result {
	char *body;      /* as many bytes as the input */
	char *trailers;  /* "name:value\n" of each */
	size_t body_n, trailers_n, used;
	int end; /* CHUNK_MORE, CHUNK_END, CHUNK_BAD */
};

static void result_init(struct result *r, size_t n)
{
	*r = (struct result){ .body = fuzz_copy("", 0), .trailers = fuzz_copy("", 0), .end = CHUNK_MORE };
	free(r->body);
	free(r->trailers);
	r->body = malloc(n + 1);
	r->trailers = malloc(2 * n + 1);
	if (!r->body || !r->trailers)
		abort();
}

static void result_free(struct result *r)
{
	free(r->body);
	free(r->trailers);
}

static void add(char *dst, size_t *at, struct str s)
{
	if (s.n)
		memcpy(dst + *at, s.p, s.n);
	*at += s.n;
}

static void add_trailer(struct result *r, struct str name, struct str value)
{
	add(r->trailers, &r->trailers_n, name);
	add(r->trailers, &r->trailers_n, STR(":"));
	add(r->trailers, &r->trailers_n, value);
	add(r->trailers, &r->trailers_n, STR("\n"));
}

/* Feeds one piece. */
static void decode(struct chunk_decoder *d, struct arena *a, struct result *r, const char *buf, size_t n)
{
	char *copy = fuzz_copy(buf, n);
	size_t at = 0, used, len;
	const char *data;

	do {
		r->end = (int)chunk_decode(d, copy + at, n - at, &used, &data, &len, a);
		at += used;
		FUZZ_CHECK(at <= n);
		if (r->end == CHUNK_DATA) {
			FUZZ_CHECK(len > 0 && data >= copy && data + len <= copy + n);
			add(r->body, &r->body_n, str_make(data, len));
		} else if (r->end == CHUNK_TRAILER) {
			add_trailer(r, d->name, d->value);
		}
	} while (r->end == CHUNK_DATA || r->end == CHUNK_TRAILER);
	FUZZ_CHECK(r->end != CHUNK_MORE || at == n);
	r->used += at;
	free(copy);
}

static void decode_cut(const char *buf, size_t n, size_t first, size_t step, struct result *r)
{
	struct chunk_decoder d;
	struct arena a;

	arena_init(&a, 1 << 20, NULL, 0);
	chunk_init(&d);
	result_init(r, n);
	decode(&d, &a, r, buf, first);
	for (size_t at = first; at < n && r->end == CHUNK_MORE; at += step)
		decode(&d, &a, r, buf + at, n - at < step ? n - at : step);
	arena_release(&a);
}

/* --- the simple decoder --------------------------------------------------------------------------------- */

struct cursor {
	const char *p, *end;
};

static bool is_text(char c)
{
	return c == '\t' || ((unsigned char)c >= 0x20 && c != 0x7f);
}

static bool is_tchar(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* The next line up to CRLF; CHUNK_DATA when there is one, else MORE or BAD. */
static int line(struct cursor *c, struct str *ret, size_t max)
{
	const char *s = c->p;

	for (; c->p < c->end && *c->p != '\r'; c->p++) {
		if (!is_text(*c->p) || (size_t)(c->p - s) >= max)
			return CHUNK_BAD;
	}
	*ret = str_make(s, (size_t)(c->p - s));
	if (c->end - c->p < 2)
		return CHUNK_MORE;
	c->p += 2;
	return c->p[-1] == '\n' ? CHUNK_DATA : CHUNK_BAD;
}

/* Is this a size line, or the start of one (then *ret means nothing)? */
static bool size_line(struct str s, bool complete, uint64_t *ret)
{
	size_t i = 0, digits;

	*ret = 0;
	for (; i < s.n && strchr("0123456789abcdefABCDEF", s.p[i]) && s.p[i]; i++) {
		char z[2] = { s.p[i], '\0' };
		if (i == 16 || *ret > (INT64_MAX >> 4))
			return false;
		*ret = *ret * 16 + strtoul(z, NULL, 16);
	}
	digits = i;
	if (digits == 0)
		return s.n == 0 && !complete;
	if (s.n - digits > H1_CHUNK_EXT_MAX)
		return false;
	while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
		i++;
	if (i < s.n)
		return s.p[i] == ';';
	return !complete || i == digits;
}

static int trailers(struct cursor *c, struct result *r)
{
	struct str s;
	size_t total = 0;

	for (unsigned count = 0;; count++) {
		int got = line(c, &s, H1_TRAILER_MAX - total);
		if (got != CHUNK_DATA)
			return got;
		if (s.n == 0)
			return CHUNK_END;
		total += s.n;
		size_t colon = 0;
		while (colon < s.n && is_tchar(s.p[colon]))
			colon++;
		if (colon == 0 || colon == s.n || s.p[colon] != ':' || count == H1_TRAILER_FIELDS)
			return CHUNK_BAD;
		add_trailer(r, str_make(s.p, colon), str_trim(str_make(s.p + colon + 1, s.n - colon - 1)));
	}
}

static int chunks(struct cursor *c, struct result *r)
{
	struct str s;
	uint64_t size;

	for (;;) {
		int got = line(c, &s, SIZE_MAX);
		/* Complete or not, what stands there must be a size so far. */
		if (got == CHUNK_BAD || !size_line(s, got == CHUNK_DATA || c->p < c->end, &size))
			return CHUNK_BAD;
		if (got != CHUNK_DATA)
			return got;
		if (size == 0)
			return trailers(c, r);
		size_t n = size < (size_t)(c->end - c->p) ? (size_t)size : (size_t)(c->end - c->p);
		add(r->body, &r->body_n, str_make(c->p, n));
		c->p += n;
		if (n < size || c->p == c->end)
			return CHUNK_MORE;
		if (*c->p != '\r')
			return CHUNK_BAD;
		if (c->end - c->p == 1)
			return CHUNK_MORE;
		if (c->p[1] != '\n')
			return CHUNK_BAD;
		c->p += 2;
	}
}

static void same(const struct result *a, const struct result *b)
{
	FUZZ_CHECK(a->end == b->end);
	FUZZ_CHECK(str_eq(str_make(a->body, a->body_n), str_make(b->body, b->body_n)));
	FUZZ_CHECK(str_eq(str_make(a->trailers, a->trailers_n), str_make(b->trailers, b->trailers_n)));
	FUZZ_CHECK(a->end != CHUNK_END || a->used == b->used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *buf = (const char *)data;
	struct result whole, cut, simple;
	struct cursor c = { buf, buf + n };

	decode_cut(buf, n, n, 1, &whole);
	result_init(&simple, n);
	simple.end = chunks(&c, &simple);
	simple.used = (size_t)(c.p - buf);
	same(&whole, &simple);
	result_free(&simple);
	for (size_t at = 0; at < n && at <= CUT_ALL; at++) {
		decode_cut(buf, n, at, n, &cut);
		same(&whole, &cut);
		result_free(&cut);
	}
	decode_cut(buf, n, 0, 1, &cut);
	same(&whole, &cut);
	result_free(&cut);
	result_free(&whole);
	return 0;
}
