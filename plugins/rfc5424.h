/* A log record as a message of syslog, RFC 5424:
 *
 *     <134>1 2026-11-23T04:05:06.789Z n1 quotes-service shop_quotes.2.x7k access [outrider@32473 stack="shop" trace_id="46…" status="200"] GET /api/quote 200
 *
 * APP-NAME is the service, PROCID its task, MSGID the kind. Ids and members are structured data (32473 is the number of RFC 5612 for
 * examples: the agent has none of its own). Bytes that are no UTF-8 become U+FFFD, control bytes of structured data and NUL blanks.
 * Pure; any thread. */
#ifndef OUTRIDER_PLUGINS_RFC5424_H
#define OUTRIDER_PLUGINS_RFC5424_H

#include "base/text.h"
#include "plugin.h"

/* facility: 0 to 23 (16 = local0). longest: bytes; what is longer goes without its members, then with a message that is cut, marked
 * truncated="true". Failure (no memory) shows in t->failed. */
void rfc5424_message(struct text *t, const struct log_record *r, const struct sink_identity *self, unsigned facility, size_t longest);
/* "local0", "daemon" …; false: no facility. */
bool rfc5424_facility(struct str word, unsigned *ret);

#endif
