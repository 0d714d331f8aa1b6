/* Short words for the tests of options. */
#ifndef OUTRIDER_TESTS_OPTIONS_HELP_H
#define OUTRIDER_TESTS_OPTIONS_HELP_H

#include "base/mem.h"
#include "control/build.h"
#include "control/options.h"

#include <check.h>
#include <stdio.h>

#define ROWS(a) (int)(sizeof(a) / sizeof((a)[0]))
#define ENV(...) ((char *[]){ __VA_ARGS__, NULL })
#define ck_str(got, want)                                                                                       \
	do {                                                                                                    \
		struct str got_ = (got);                                                                        \
		ck_assert_msg(str_eq(got_, str_of(want)), "got \"%.*s\", want \"%s\"", STR_ARG(got_), want);    \
	} while (0)

static inline struct options *from_env(char **env)
{
	struct options *o = options_new();
	struct err err = { "" };

	ck_assert_ptr_nonnull(o);
	ck_assert_msg(options_add_env(o, env, &err), "%s", err.text);
	return o;
}

/* flags: separated by single blanks. */
static inline void add_flags(struct options *o, const char *flags)
{
	char copy[1024], *argv[64];
	int argc = 0, rest;
	struct err err = { "" };
	struct str all = str_of(flags), word;

	ck_assert_uint_lt(all.n, sizeof(copy));
	memcpy(copy, all.p, all.n + 1);
	all.p = copy;
	while (str_next(&all, ' ', &word)) {
		copy[(size_t)(word.p - copy) + word.n] = '\0';
		argv[argc++] = copy + (word.p - copy);
	}
	ck_assert_msg(options_add_flags(o, argc, argv, &rest, &err), "%s", err.text);
	ck_assert_int_eq(rest, argc);
}

static inline struct options *from_flags(const char *flags)
{
	struct options *o = options_new();

	ck_assert_ptr_nonnull(o);
	add_flags(o, flags);
	return o;
}

static inline void set(struct options *o, enum option_layer layer, const char *key, const char *value)
{
	struct err err = { "" };
	ck_assert_msg(options_set(o, layer, str_of(key), str_of(value), STR("test:1"), &err), "%s", err.text);
}

static inline void check_good(struct options *o, enum command cmd)
{
	struct err err = { "" };
	ck_assert_msg(options_check(o, cmd, &err), "%s", err.text);
}

/* Fails unless there is exactly one problem and its text contains every word of the NULL-ended list. */
static inline void check_bad_(struct options *o, enum command cmd, const char *const *words)
{
	struct err err = { "" };

	ck_assert_msg(!options_check(o, cmd, &err), "no problem was found");
	ck_assert_msg(options_problem_total(o) == 1, "%zu problems: %s", options_problem_total(o), err.text);
	for (; *words; words++)
		ck_assert_msg(strstr(options_problem(o, 0)->text, *words) != NULL, "\"%s\" does not say \"%s\"",
			      options_problem(o, 0)->text, *words);
}
#define check_bad(o, cmd, ...) check_bad_(o, cmd, (const char *const[]){ __VA_ARGS__, NULL })

#endif
