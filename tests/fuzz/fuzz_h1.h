/* The differential check of both head parsers: the same bytes whole, and cut at every place, must give the same
 * answer; and what an accepted head writes must be read again as the same head. */
#ifndef OUTRIDER_TESTS_FUZZ_H1_H
#define OUTRIDER_TESTS_FUZZ_H1_H

#include "base/mem.h"
#include "fuzz.h"
#include "http/h1.h"

#define FUZZ_CUT_ALL 2048 /* inputs up to this many bytes are cut everywhere */
#define FUZZ_CUTS 64      /* longer ones here and there */

/* One parser with all that it needs. */
struct fuzz_side {
	struct h1_parser p;
	struct head h;
	struct arena a;
	char *buf; /* exactly as many bytes as the parser may see */
	enum h1_result r;
};

struct fuzz_h1 {
	bool reply;
	enum http_method method;
	struct h1_limits lim;
};

static void fuzz_begin(struct fuzz_side *s)
{
	h1_parser_init(&s->p);
	arena_init(&s->a, 1 << 20, NULL, 0);
	s->buf = NULL;
	s->r = H1_MORE;
}

static void fuzz_end(struct fuzz_side *s)
{
	arena_release(&s->a);
	free(s->buf);
}

/* Shows the parser the first n bytes, in new memory: the old is freed, so a pointer left behind is seen. */
static void fuzz_feed(const struct fuzz_h1 *f, struct fuzz_side *s, const char *data, size_t n, size_t before)
{
	char *now = fuzz_copy(data, n);

	if (s->buf)
		head_rebase(&s->h, s->buf, before, now);
	free(s->buf);
	s->buf = now;
	s->r = f->reply ? h1_parse_response(&s->p, &s->h, now, n, &f->lim, f->method, &s->a) :
			  h1_parse_request(&s->p, &s->h, now, n, &f->lim, &s->a);
}

static void fuzz_same_head(const struct head *a, const struct head *b)
{
	FUZZ_CHECK(str_eq(a->method_text, b->method_text) && str_eq(a->target, b->target));
	FUZZ_CHECK(str_eq(a->authority, b->authority) && str_eq(a->path, b->path) && str_eq(a->scheme, b->scheme));
	FUZZ_CHECK(str_eq(a->phrase, b->phrase) && a->status == b->status && a->method == b->method);
	FUZZ_CHECK(a->minor == b->minor && a->form == b->form && a->body == b->body && a->length == b->length);
	FUZZ_CHECK(a->keep_alive == b->keep_alive && a->upgrade == b->upgrade);
	FUZZ_CHECK(a->upgrade_other == b->upgrade_other && a->expect_continue == b->expect_continue);
	FUZZ_CHECK(a->te_trailers == b->te_trailers && a->keep_alive_s == b->keep_alive_s && a->odd == b->odd);
	FUZZ_CHECK(a->n == b->n && memcmp(a->first, b->first, sizeof(a->first)) == 0);
	for (unsigned i = 0; i < a->n; i++) {
		const struct field *x = &a->f[i], *y = &b->f[i];
		FUZZ_CHECK(x->id == y->id && x->flags == y->flags && x->name_len == y->name_len);
		FUZZ_CHECK(str_eq(str_make(x->line, x->line_len), str_make(y->line, y->line_len)));
		FUZZ_CHECK(str_eq(field_value(x), field_value(y)));
	}
}

static void fuzz_same(const struct fuzz_side *whole, const struct fuzz_side *cut)
{
	FUZZ_CHECK(whole->r == cut->r);
	if (whole->r == H1_BAD)
		FUZZ_CHECK(whole->p.why == cut->p.why && whole->p.why != REASON_NONE);
	if (whole->r != H1_DONE)
		return;
	FUZZ_CHECK(whole->p.used == cut->p.used);
	fuzz_same_head(&whole->h, &cut->h);
}

/* Every line that goes out is one clean line, whatever came in. */
static void fuzz_clean_lines(const struct fuzz_h1 *f, const struct head *h)
{
	for (unsigned i = 0; i < h->n; i++) {
		const struct field *x = &h->f[i];
		struct str line = str_make(x->line, x->line_len);
		FUZZ_CHECK(x->name_len > 0 && line.n >= x->name_len + 3u && line.p[x->name_len] == ':');
		FUZZ_CHECK(line.p[line.n - 2] == '\r' && line.p[line.n - 1] == '\n');
		FUZZ_CHECK(str_find(line, '\n') == line.n - 1 && str_find(line, '\r') == line.n - 2);
		FUZZ_CHECK(str_find(line, '\0') == SIZE_MAX);
		FUZZ_CHECK(field_lookup(field_name(x)) == x->id);
		FUZZ_CHECK(f->reply || x->flags == 0);
	}
}

static bool fuzz_is_first(size_t at, size_t n, size_t step)
{
	return n <= FUZZ_CUT_ALL || at % step == 0;
}

/* The bytes arrive in two pieces cut at each place, then one by one. */
static void fuzz_cuts(const struct fuzz_h1 *f, const struct fuzz_side *whole, const char *data, size_t n)
{
	size_t step = n / FUZZ_CUTS + 1;
	struct fuzz_side s;

	for (size_t at = 0; at < n; at++) {
		if (!fuzz_is_first(at, n, step))
			continue;
		fuzz_begin(&s);
		fuzz_feed(f, &s, data, at, 0);
		if (s.r == H1_MORE)
			fuzz_feed(f, &s, data, n, at);
		fuzz_same(whole, &s);
		fuzz_end(&s);
	}
	fuzz_begin(&s);
	for (size_t at = 1, before = 0; at <= n && s.r == H1_MORE; before = at, at += n <= FUZZ_CUT_ALL ? 1 : step)
		fuzz_feed(f, &s, data, at, before);
	if (s.r == H1_MORE)
		fuzz_feed(f, &s, data, n, n);
	fuzz_same(whole, &s);
	fuzz_end(&s);
}

/* Start line and fields of an accepted head, as a forwarder would write them, into *ret. */
static size_t fuzz_write(const struct fuzz_h1 *f, const struct head *h, char **ret)
{
	size_t cap = head_fields_size(h) + h->target.n + h->method_text.n + h->phrase.n + 64;
	char *p = malloc(cap);
	int n;

	if (!p)
		abort();
	if (f->reply)
		n = snprintf(p, cap, "HTTP/1.%u %u %.*s\r\n", h->minor, h->status, STR_ARG(h->phrase));
	else
		n = snprintf(p, cap, "%.*s %.*s HTTP/1.%u\r\n", STR_ARG(h->method_text), STR_ARG(h->target), h->minor);
	char *e = head_write_fields(h, p + n);
	FUZZ_CHECK((size_t)(e - p) == (size_t)n + head_fields_size(h));
	e[0] = '\r';
	e[1] = '\n';
	*ret = p;
	return (size_t)(e + 2 - p);
}

static void fuzz_round_trip(const struct fuzz_h1 *f, struct head *h)
{
	struct fuzz_h1 wide = *f;
	struct fuzz_side s;
	unsigned alive = 0;
	char *out;
	size_t n = fuzz_write(f, h, &out);

	wide.lim = (struct h1_limits){ 1 << 20, 1 << 20, HEAD_FIELDS_MAX };
	fuzz_begin(&s);
	fuzz_feed(&wide, &s, out, n, 0);
	free(out);
	FUZZ_CHECK(s.r == H1_DONE && s.p.used == n);
	FUZZ_CHECK(s.h.body == h->body && s.h.length == h->length && s.h.status == h->status && s.h.odd == 0);
	FUZZ_CHECK(str_eq(s.h.authority, h->authority) && str_eq(s.h.path, h->path));
	for (unsigned i = 0; i < h->n; i++) {
		if (h->f[i].flags & FIELD_DELETED)
			continue;
		FUZZ_CHECK(alive < s.h.n && s.h.f[alive].id == h->f[i].id);
		FUZZ_CHECK(str_eq(field_value(&s.h.f[alive]), field_value(&h->f[i])));
		alive++;
	}
	FUZZ_CHECK(alive == s.h.n);
	fuzz_end(&s);
}

/* After hop-by-hop fields went, none of them is left, and framing fields that were there still are. */
static void fuzz_hop_by_hop(struct head *h)
{
	bool host = head_get(h, FIELD_HOST) != NULL, length = head_get(h, FIELD_CONTENT_LENGTH) != NULL;

	head_delete_hop_by_hop(h);
	FUZZ_CHECK(!head_get(h, FIELD_CONNECTION) && !head_get(h, FIELD_TRANSFER_ENCODING) && !head_get(h, FIELD_TE));
	FUZZ_CHECK((head_get(h, FIELD_HOST) != NULL) == host);
	FUZZ_CHECK((head_get(h, FIELD_CONTENT_LENGTH) != NULL) == length);
}

static void fuzz_h1_run(const struct fuzz_h1 *f, const char *data, size_t n)
{
	struct fuzz_side whole;

	fuzz_begin(&whole);
	fuzz_feed(f, &whole, data, n, 0);
	fuzz_cuts(f, &whole, data, n);
	if (whole.r == H1_DONE) {
		FUZZ_CHECK(whole.p.used <= n && whole.p.used <= f->lim.head && whole.h.n <= f->lim.fields + 1u);
		fuzz_clean_lines(f, &whole.h);
		fuzz_round_trip(f, &whole.h);
		fuzz_hop_by_hop(&whole.h);
	}
	fuzz_end(&whole);
}

/* Limits from one byte: mostly wide ones, sometimes such that they are met. */
static struct h1_limits fuzz_limits(uint8_t b)
{
	struct h1_limits lim = { 65536, 8192, 100 };

	if (b & 0x10)
		lim.head = 64;
	if (b & 0x20)
		lim.line = 24;
	if (b & 0x40)
		lim.fields = 3;
	return lim;
}

#endif
