/* A parser with all that it needs, for the tests of http/. */
#ifndef OUTRIDER_TESTS_HTTP_PARSE_H
#define OUTRIDER_TESTS_HTTP_PARSE_H

#include "base/mem.h"
#include "http/h1.h"

#include <check.h>
#include <stdio.h>

#define ROWS(a) (int)(sizeof(a) / sizeof((a)[0]))

struct parse {
	struct h1_parser p;
	struct head h;
	struct arena a;
	struct h1_limits lim;
	enum h1_result r;
};

static inline void parse_init(struct parse *t)
{
	h1_parser_init(&t->p);
	head_init(&t->h);
	arena_init(&t->a, 1 << 20, NULL, 0);
	t->lim = (struct h1_limits){ .head = 65536, .line = 8192, .fields = 100 };
	t->r = H1_MORE;
}

static inline void parse_release(struct parse *t)
{
	arena_release(&t->a);
}

static inline enum h1_result parse_request(struct parse *t, struct str in)
{
	return t->r = h1_parse_request(&t->p, &t->h, in.p, in.n, &t->lim, &t->a);
}

static inline enum h1_result parse_reply(struct parse *t, struct str in, enum http_method method)
{
	return t->r = h1_parse_response(&t->p, &t->h, in.p, in.n, &t->lim, method, &t->a);
}

/* The word for the outcome: "done", "more", or that of the reason. */
static inline const char *parse_word(const struct parse *t)
{
	return t->r == H1_DONE ? "done" : t->r == H1_MORE ? "more" : reason_word(t->p.why);
}

static inline void assert_str(struct str got, const char *want)
{
	ck_assert_msg(str_eq(got, str_of(want)), "'%.*s' is not '%s'", STR_ARG(got), want);
}

/* What the writer makes of the head. */
static inline void assert_fields(const struct head *h, const char *want)
{
	char buf[4096];

	ck_assert_uint_lt(head_fields_size(h), sizeof(buf));
	char *e = head_write_fields(h, buf);
	ck_assert_uint_eq((size_t)(e - buf), head_fields_size(h));
	assert_str(str_make(buf, (size_t)(e - buf)), want);
}

#endif
