/* Names of fields and methods to small numbers. Private to http/; the public part is in head.h.
 * Thread: pure, any. */
#ifndef OUTRIDER_HTTP_FIELD_H
#define OUTRIDER_HTTP_FIELD_H

#include "http/head.h"
#include "http/octets.h"

/* As field_lookup(), for n bytes that are known to be a token. About 3 ns. */
enum field_id field_lookup_token(const char *p, size_t n);

/* Doubles the table of fields, up to limit entries. false when it is reached or the arena has no room. */
bool head_grow(struct head *h, struct arena *a, unsigned limit);

/* Does the comma list of every field with that id that is not deleted hold the word (case folded)? */
bool field_list_has(const struct head *h, enum field_id id, struct str word);

#endif
