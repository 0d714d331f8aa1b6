/* A log record as a message of GELF 1.1 (shared knowledge "gelf", sections 1 and 5; Graylog2/documentation, pages/gelf.rst). Pure; any thread.
 *
 *     {"version":"1.1","host":"n1","short_message":"GET /api/quote 200","timestamp":1754000000.123,"level":6,"_kind":"access","_service":…}
 *
 * Members become additional fields: strings and numbers as they are, true and false as text, objects and arrays as text of JSON, null not at
 * all. Of names every byte but letters, digits, '_', '.' and '-' becomes '_'; `id`, which GELF forbids, becomes `_id_`; the first of equal
 * names stays. short_message is the first line and never empty; a message of several lines is full_message, too. */
#ifndef OUTRIDER_PLUGINS_GELF_JSON_H
#define OUTRIDER_PLUGINS_GELF_JSON_H

#include "base/text.h"
#include "plugin.h"

/* longest: bytes; what is longer goes without its members, then with a message that is cut, marked "_truncated":"true".
 * Failure (no memory) shows in t->failed. */
void gelf_json(struct text *t, const struct log_record *r, const struct sink_identity *self, size_t longest);

#endif
