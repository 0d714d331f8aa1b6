/* What the files of the options share: private to options.c, option_*.c and build.c (which reads the pins).
 *
 *     options ──> cells (row × subject) ──> entry (strongest layer) ──> entry (weaker) ──> …
 *            ├──> index of rows             problems, in the order in which they were found
 *            └──> services, routes, pins    made by options_check()
 *
 * Cells, entries and texts lie in the arena; what is replaced is freed with all else. Secrets have memory of their own. */
#ifndef OUTRIDER_CONTROL_OPTIONS_IMPL_H
#define OUTRIDER_CONTROL_OPTIONS_IMPL_H

#include "base/arena.h"
#include "base/table.h"
#include "control/option_key.h"
#include "control/options.h"
#include "control/upstreams.h"

struct option_entry { /* one value in one layer */
	struct option_entry *weaker;
	uint8_t layer;
	uint64_t number; /* the value of types that are numbers */
	struct str value;
	struct str key;     /* as it was spelt */
	const char *origin;
	char *secret; /* owned; value points here; NULL for other types */
	size_t secret_n;
};

struct option_cell { /* one option of one subject */
	struct option_cell *next; /* all cells, oldest first */
	enum option_id id;
	bool folded; /* subject is in the folded form of env names */
	struct str subject;
	struct option_entry *top;
};

struct option_pin { /* an item of outrider.upstreams */
	struct upstream_pin pin;
	size_t service; /* its index among the services */
};

struct options {
	struct arena arena;
	struct row_index index;
	struct table cells; /* by id, folded, subject */
	struct option_cell *first, **last;
	struct option_cell *common[OPT_COUNT]; /* the cell without a subject, of upstream rows that of `default`: asked for most */
	bool any_folded;                       /* is there a cell with a folded subject? */
	uint64_t defaults[OPT_COUNT];

	struct option_problem problems[OPTIONS_PROBLEMS_MAX];
	size_t n_problems, problems_total; /* kept; all */
	size_t n_read, read_total;         /* of those: found while reading, kept over options_check() */

	struct arena judged; /* what options_check() makes */
	struct str *services, *routes;
	size_t n_services, n_routes;
	struct option_pin *pins;
	size_t n_pins;
};

/* The key of a cell in the table: id, folded, subject. */
#define OPTIONS_CELL_KEY_MAX (OPTIONS_KEY_MAX + 2)
struct str options_cell_key(char buf[OPTIONS_CELL_KEY_MAX], enum option_id id, bool folded, struct str subject);
/* The cell, or NULL. */
struct option_cell *options_cell(const struct options *o, enum option_id id, bool folded, struct str subject);
/* The strongest entry for a subject, its folded form included, without falling back; NULL: none. */
const struct option_entry *options_entry(const struct options *o, enum option_id id, struct str subject);
/* The same, falling back to `default` for upstream options. */
const struct option_entry *options_effective(const struct options *o, enum option_id id, struct str subject);

/* Notes a problem; key, value and origin are copied. row NULL: unknown key. false: no memory. */
bool options_note(struct options *o, const struct option_row *row, struct str key, struct str value, struct str origin,
		  const char *why) MUST_CHECK;
/* The same for a value that was read already. e NULL: the default. */
bool options_note_entry(struct options *o, enum option_id id, struct str subject, const struct option_entry *e,
			const char *why) MUST_CHECK;

/* option_plugins.c: notes plug-ins that there are none of. false: no memory. */
bool options_check_plugins(struct options *o) MUST_CHECK;

struct option_input { /* one key and value as they were read */
	enum option_layer layer;
	enum key_form form;
	struct str key, name; /* with and without prefix */
	struct str value, origin;
};
/* Everything that reads options ends here. false: no memory or too many (err). */
bool options_put(struct options *o, const struct option_input *in, struct err *err) MUST_CHECK;

/* Reads a secret from a file: trailing newlines cut, at most OPTIONS_VALUE_MAX bytes. NULL and err; else memory to wipe and
 * free (`*ret_cap` bytes), the secret in *ret. */
char *secret_read(const char *path, struct str *ret, size_t *ret_cap, struct err *err) MUST_CHECK;

#endif
