/* What `outrider check` found in files: collected, told once, sorted by place, printed for people or programs.
 *
 *     struct findings f;
 *     findings_init(&f);
 *     findings_add(&f, &(struct finding){ .file = STR("shop.yml"), .line = 14, .severity = SEVERITY_WARN, … });
 *     findings_print(&f, &t);          shop.yml:14: warn: …; …
 *     findings_release(&f);
 *
 * Adding copies. The same finding (file, line, id, text) is kept once: a directory is judged for many services, and what is
 * wrong with its application.yml is wrong for all of them. Bounds: FINDINGS_MAX are kept, more are only counted;
 * FINDINGS_MEMORY_MAX bytes. Short memory shows in `failed`. Thread: its owner's. */
#ifndef OUTRIDER_CONTROL_FINDINGS_H
#define OUTRIDER_CONTROL_FINDINGS_H

#include "base/arena.h"
#include "base/json.h"
#include "base/table.h"

#define FINDINGS_MAX 4096u
#define FINDINGS_MEMORY_MAX (16u * 1024u * 1024u)
#define FINDING_TEXT_MAX 1024u /* bytes of a text, of a remedy */

enum severity {
	SEVERITY_ERROR, /* it will not work; `outrider check` ends with status 1 */
	SEVERITY_WARN,  /* it may be meant so, and mostly is not */
	SEVERITY_NOTE,  /* good to know */
	SEVERITIES
};

struct finding {
	struct str file;
	uint32_t line;           /* from 1; 0: the file as a whole */
	uint8_t severity;        /* enum severity */
	const char *id;          /* "deploy-labels": for programs; static */
	struct str service;      /* whom it concerns, or empty */
	struct str text, remedy; /* cause; what to do, may be empty. Printed with control bytes as '?' */
};

struct findings {
	struct arena arena;
	struct table seen;
	struct finding *at; /* owned */
	size_t n, cap;
	size_t count[SEVERITIES]; /* all, also those beyond FINDINGS_MAX */
	bool failed;
};

void findings_init(struct findings *f);
void findings_release(struct findings *f);
void findings_add(struct findings *f, const struct finding *one);
void findings_sort(
	struct findings *f); /* by file and line; equal ones stay in the order in which they were found */
/* One line each: "file:line: severity: text; remedy". */
void findings_print(const struct findings *f, struct text *t);
/* "errors", "warnings", "notes", "findings": members of an open object. */
void findings_print_json(const struct findings *f, struct json *j);
const char *severity_name(enum severity s); /* "error", "warn", "note" */

#endif
