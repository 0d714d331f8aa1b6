/* Keys of options in their three spellings, and the rows and subjects they mean (DESIGN section 4).
 *
 *     outrider.upstream.quotes-service.timeout.connect     property, label
 *     --upstream.quotes-service.timeout.connect            flag
 *     OUTRIDER_UPSTREAM_QUOTES_SERVICE_TIMEOUT_CONNECT     env: `-`, `_` and `.` are equal, letters of any case
 *
 * The longest known option at the end wins, the rest is the service or route. A row index belongs to its owner and does not
 * change once made. Pure. */
#ifndef OUTRIDER_CONTROL_OPTION_KEY_H
#define OUTRIDER_CONTROL_OPTION_KEY_H

#include "control/options.h"

#define ROW_INDEX_SLOTS 512u

enum key_form { KEY_PROPERTY, KEY_FLAG, KEY_ENV };

enum key_group {
	GROUP_TOP,      /* process, sidecar, and upstream options in their short form */
	GROUP_UPSTREAM,
	GROUP_ROUTE,
	GROUPS
};

/* Names of rows to their ids: open addressing, 0 = free, else id + 1. */
struct row_index {
	uint16_t slots[GROUPS][ROW_INDEX_SLOTS];
};

void row_index_init(struct row_index *x);

struct option_key {
	enum option_id id;
	struct str subject; /* inside the key, as it was written; of short upstream forms "default"; else empty */
	bool folded;        /* the subject came by env: it means every name that differs only in `-`, `_`, `.`, case */
	bool by_route;      /* an upstream option that was said of a route */
	bool file;          /* …_FILE, …-file: the value is the path of a file that holds the secret */
};

/* Without the prefix: `name` is what follows "outrider.", "--", "OUTRIDER_". false: no such option. */
bool key_parse(const struct row_index *x, struct str name, enum key_form form, struct option_key *ret) MUST_CHECK;
/* Takes "outrider.", "--" or "OUTRIDER_" away; false when the key does not begin so. */
bool key_strip(struct str key, enum key_form form, struct str *ret_name) MUST_CHECK;
/* The property form of a row for a subject ("" for rows without one, or `default`: the short form where there is one). */
void key_print(const struct row_index *x, struct text *t, enum option_id id, struct str subject);
/* "outrider.workers" to "OUTRIDER_WORKERS" (in: without prefix). */
void key_env(struct text *t, struct str name);
/* Is there an outrider.<name> that means upstream.default.<name>? */
bool key_has_short(const struct row_index *x, enum option_id id);
/* The nearest known key, in the same form and with its prefix; false when none is near. */
bool key_nearest(const struct row_index *x, struct str name, enum key_form form, struct text *t);

/* Lower case, `_` and `.` as `-`. dst: at least s.n bytes. */
struct str key_fold(struct str s, char *dst);

#endif
