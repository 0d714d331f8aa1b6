/* Walks the ready-made members of a log record ("workers":2,"why":"x"), as sinks need them one by one.
 *
 *     struct str rest = r->members;
 *     while (log_member_next(&rest, &m)) …
 *
 * Members come from control, but of what a service wrote also from that service: anything that is not as it must be ends the walk.
 * Pure; any thread. */
#ifndef OUTRIDER_PLUGINS_LOG_MEMBERS_H
#define OUTRIDER_PLUGINS_LOG_MEMBERS_H

#include "base/text.h"

enum log_member_type { LOG_MEMBER_STRING, LOG_MEMBER_NUMBER, LOG_MEMBER_WORD, LOG_MEMBER_NESTED }; /* WORD: true, false, null */

struct log_member {
	struct str key;   /* as it stands between its quotes, escaped as JSON */
	struct str value; /* of a string what stands between its quotes; else all of it */
	enum log_member_type type;
};

bool log_member_next(struct str *rest, struct log_member *ret);
/* The bytes of an escaped JSON string; what is no escape stays as it is, \u of a surrogate alone becomes U+FFFD. */
void log_member_unescape(struct text *t, struct str escaped);
/* Is it the inside of a JSON string as it stands: UTF-8 without control bytes, escapes that are some? */
bool log_member_is_clean(struct str escaped);

#endif
