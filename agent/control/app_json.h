/* The members of a JSON object that a service wrote as a line: checked, and left as they stand, so that no number loses a digit.
 *
 *     {"level":"warn","n":1e400,"mdc":{"a":[1]}}   ──app_json_read()──>   level: "warn"   n: 1e400   mdc: {"a":[1]}
 *
 * Strict (RFC 8259), and bounded: APP_JSON_MEMBERS, APP_JSON_DEPTH levels, names of APP_JSON_NAME bytes. Refused too are names with an escape,
 * half surrogates, and two equal names: readers would take them for one or the other. Pure, one pass, no memory; any thread. */
#ifndef OUTRIDER_CONTROL_APP_JSON_H
#define OUTRIDER_CONTROL_APP_JSON_H

#include "base/text.h"

#define APP_JSON_MEMBERS 128u
#define APP_JSON_DEPTH 16u
#define APP_JSON_NAME 256u

struct app_member {
	struct str name;  /* without quotes */
	struct str value; /* as it stands: a string with its quotes and escapes */
};

struct app_object {
	size_t n;
	struct app_member at[APP_JSON_MEMBERS];
};

/* Blanks around it are fine, anything else is not. false: it is no object that can be taken. Slices point into s. */
bool app_json_read(struct str s, struct app_object *ret);
/* The text of a value that is a string, appended to t: NUL and half surrogates become U+FFFD. false: it is no string. */
bool app_json_text(struct text *t, struct str value);

#endif
