/* From the values of sources to judged options: the steps that the reload job does in slices and `outrider check` at once.
 *
 *     judge_merge()    each value of each source, strongest source first     → properties
 *     judge_resolve()  each property: placeholders
 *     judge_option()   each property: outrider.* become options
 *     judge_problems() after options_check(): what is wrong, as notes
 *
 * What is wrong with one value is a note and does not end the work; false is short memory or a limit (err).
 * Thread: the owner's of what is given. */
#ifndef OUTRIDER_CONTROL_JUDGE_H
#define OUTRIDER_CONTROL_JUDGE_H

#include "control/options.h"
#include "control/properties.h"
#include "control/sources.h"

#define RELOAD_PROBLEMS_MAX 64u
#define RELOAD_NOTES_MAX (256u * 1024u) /* bytes of problems, of held options */

struct reload_note { /* a problem of a change, or an option that waits for a restart */
	struct str key, value, origin, why;
};

struct reload_notes { /* a zeroed one is empty */
	struct arena arena;
	struct reload_note at[RELOAD_PROBLEMS_MAX];
	size_t n, total; /* kept; all */
};

/* Copies. Secrets are the caller's to mask. */
void notes_add(struct reload_notes *n, struct str key, struct str value, struct str origin, const char *why);
void notes_release(struct reload_notes *n);

/* The i-th value of a source that stands at place `source` of the chain. Call for i = 0, 1, … in turn. */
bool judge_merge(struct properties *p, uint32_t source, const struct source_values *v, size_t i,
	struct reload_notes *bad, struct err *err) MUST_CHECK;
void judge_resolve(struct properties *p, size_t i, char *const *environ_, struct reload_notes *bad);
/* Properties that are no options are passed over. list: the caller's, of at least OPTIONS_VALUE_MAX. */
bool judge_option(struct options *o, const struct properties *p, size_t i, struct text *list,
	struct err *err) MUST_CHECK;
void judge_problems(const struct options *o, struct reload_notes *bad);

/* All of it, for a chain of n sources (NULL: has no values), into `o`, which holds flags and environment. */
bool judge_properties(struct options *o, struct source_values *const *values, size_t n, char *const *environ_,
	enum command command, struct reload_notes *bad, struct err *err) MUST_CHECK;

#endif
