/* Rows of tests of the readers of configuration: a text, and "key=value:line" lines, or a part of the error. */
#ifndef OUTRIDER_TESTS_CONFIG_ROWS_H
#define OUTRIDER_TESTS_CONFIG_ROWS_H

#include "base/mem.h"
#include "base/text.h"
#include "../../plugins/config_files.h"

#include <check.h>

typedef bool (*config_reader)(struct config_props *p, struct str text, const char *name, struct str profiles, struct err *err);

struct config_row {
	const char *text, *profiles;
	const char *expected; /* "a=1:1 b.c=2:3", parted by blanks; sets parted by " | "; NULL: error */
	const char *error;
};

/* What was read, as in `expected`. */
static inline void config_print(const struct config_props *p, struct text *t)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct source_property *at = &p->at[i];
		size_t colon = str_rfind(at->origin, ':');
		const char *part = i == 0 ? "" : p->at[i - 1].set == at->set ? " " : " | ";
		text_fmt(t, "%s%.*s=%.*s:%.*s", part, STR_ARG(at->key), STR_ARG(at->value),
			 (int)(at->origin.n - colon - 1), at->origin.p + colon + 1);
	}
}

static inline void config_check_row(config_reader read, const struct config_row *row)
{
	struct config_props p;
	struct err err = { "" };
	struct text t;

	config_props_init(&p);
	text_init(&t, 1u << 20);
	bool ok = read(&p, str_of(row->text), "f.yml", str_of(row->profiles ? row->profiles : ""), &err);
	if (row->expected) {
		ck_assert_msg(ok, "%s: %s", row->text, err.text);
		config_print(&p, &t);
		ck_assert_msg(strcmp(t.n ? text_z(&t) : "", row->expected) == 0, "%s\nbecame  %s\nand not %s", row->text,
			      t.n ? text_z(&t) : "", row->expected);
	} else {
		ck_assert_msg(!ok && strstr(err.text, row->error), "%s: \"%s\" is not in \"%s\"", row->text, row->error, err.text);
	}
	text_release(&t);
	config_props_release(&p);
}

/* Every allocation fails once: an error that says so, and nothing leaks. */
static inline void config_check_memory(config_reader read, const char *text)
{
	bool done = false;
	for (unsigned long k = 1; !done && k < 10000; k++) {
		struct config_props p;
		struct err err = { "" };
		config_props_init(&p);
		mem_fail_at(k);
		bool ok = read(&p, str_of(text), "f", STR(""), &err);
		done = mem_count() < k;
		mem_fail_at(0);
		ck_assert_msg(ok == done && (ok || strstr(err.text, "memory")), "allocation %lu: %d %s", k, ok, err.text);
		config_props_release(&p);
	}
	ck_assert(done);
}

#endif
