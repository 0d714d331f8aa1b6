/* Pieces of JSON written straight into memory that has room for them: what spans are made of. Nothing here allocates, checks for room or
 * calls the printf family; who writes a span has SPAN_BYTES_MAX bytes and keeps to the bounds below. Pure; any thread. */
#ifndef OUTRIDER_PLUGINS_SPAN_TEXT_H
#define OUTRIDER_PLUGINS_SPAN_TEXT_H

#include "plugin.h"

#define SPAN_VALUE_MAX 512u /* bytes of a name, key or value that are looked at; longer ones are cut between two characters */
#define SPAN_VALUES_MAX (4u + 2 * SPAN_TAGS_MAX + SPAN_NOTES_MAX) /* name, two services, the message of an error, keys and values, notes */
/* Every byte of a value may become six (\u0001), the fixed parts and numbers of a tag or note are below 128 bytes. */
#define SPAN_BYTES_MAX (SPAN_VALUES_MAX * (SPAN_VALUE_MAX * 6 + 128) + 2048)

/* A literal. */
#define SPAN_PUT(p, lit) ((char *)memcpy((p), "" lit, sizeof(lit) - 1) + (sizeof(lit) - 1))

/* Each returns the end of what it wrote at p. */
char *span_put_u64(char *p, uint64_t v);   /* decimal, at most 20 bytes */
char *span_put_hex(char *p, uint64_t v);   /* 16 digits, lower case */
/* The content of a JSON string, without quotes: quotes, backslashes and control bytes escaped, what is no UTF-8 replaced by U+FFFD. */
char *span_put_json(char *p, struct str s);
char *span_put_ip(char *p, const struct span_peer *peer); /* family 4 or 6 (RFC 5952); at most 39 bytes */

/* Does Zipkin or OTLP take it: a trace id and a span id that are not zero? Else it would refuse the whole batch. */
static inline bool span_is_sound(const struct span *s)
{
	return (s->trace_hi | s->trace_lo) != 0 && s->id != 0;
}
static inline uint64_t span_u64_max(uint64_t v, uint64_t max)
{
	return v < max ? v : max;
}

#endif
