/* How the client commands (get, doctor, why, top) look: aligned cells, and colour only for a person at a terminal.
 *
 *     struct style s = style_of(STDOUT_FILENO);
 *     style_cell(&t, &s, str_of(name), 20, STYLE_LEFT, PAINT_BOLD);
 *
 * All text that came over a network goes through here: style_clean() leaves no byte that a terminal obeys (C0, DEL, C1 in its
 * UTF-8 form too), none that reorders what is read (bidirectional marks), none that takes no room (zero width, combining), and
 * no broken UTF-8. What is taken away shows as `?`, but for combining marks, which go. A terminal that is not UTF-8 gets ASCII.
 *
 * Columns are those of a terminal: East Asian wide characters take two. Pure but for style_of(); any thread. */
#ifndef OUTRIDER_CONTROL_STYLE_H
#define OUTRIDER_CONTROL_STYLE_H

#include "base/text.h"

struct style {
	bool colour;
	bool utf8;
	bool terminal;
	unsigned width; /* columns of the terminal; 0: none, nothing is cut */
};

enum paint { PAINT_NONE, PAINT_BOLD, PAINT_DIM, PAINT_GOOD, PAINT_WARN, PAINT_BAD, PAINT_HEAD, PAINT_CURSOR, PAINTS };
enum style_align { STYLE_LEFT, STYLE_RIGHT };

/* What the environment says; NULL: not set. */
struct style_env {
	const char *term, *no_colour, *lc_all, *lc_ctype, *lang;
};

/* No colour without a terminal, with NO_COLOR (of any value but the empty one, no-color.org), with TERM=dumb or none. UTF-8 as
 * the first of LC_ALL, LC_CTYPE, LANG that is not empty says. */
struct style style_from(const struct style_env *env, bool terminal, unsigned width);
struct style style_of(int fd);

/* Is the cursor to be moved here? Not with TERM=dumb or none. */
bool style_moves(const struct style_env *env);
struct style_env style_env(void);

/* What a word of state means: `open`, `down`, `fail` are bad, `warn`, `draining` want a look, `ok`, `up` are good, others nothing. */
enum paint style_word(struct str word);

void style_begin(struct text *t, const struct style *s, enum paint p);
void style_end(struct text *t, const struct style *s, enum paint p);
/* Cleaned, uncut. */
void style_add(struct text *t, const struct style *s, struct str z, enum paint p);
/* Columns of the cleaned text. */
unsigned style_columns(const struct style *s, struct str z);
/* Cleaned, cut to `columns` with an ellipsis (`~` in ASCII) as its last one; returns the columns that it took. */
unsigned style_cut(struct text *t, const struct style *s, struct str z, unsigned columns);
/* As style_cut, and filled with blanks to exactly `columns`. */
void style_cell(struct text *t, const struct style *s, struct str z, unsigned columns, enum style_align align, enum paint p);
/* Cleaned, and broken between words at the terminal's width, further lines behind `indent` blanks; the first begins where the text
 * stands, at that column. Without a width, or with little room, it is not broken. */
void style_wrap(struct text *t, const struct style *s, struct str z, unsigned indent, enum paint p);
void style_blanks(struct text *t, unsigned n);

#endif
