/* JSON of a peer that is not trusted, parsed by cJSON within bounds: bytes, values and levels are counted before the tree is made.
 * Numbers become texts with the digits that were sent, so that "8080" and 8080 are the same, and no double stands in between.
 * A NUL, escaped or not, is refused, and so is what follows the value: a C string would end at it. Thread: any; some 0.2 µs a value, so
 * large ones belong on a helper thread. */
#ifndef OUTRIDER_HTTP_BOUNDED_JSON_H
#define OUTRIDER_HTTP_BOUNDED_JSON_H

#include "base/err.h"
#include "base/str.h"

#include <cjson/cJSON.h>

struct json_limits {
	size_t bytes, nodes; /* a tree takes some 100 bytes a value */
	unsigned depth;
};

/* NULL: err says what is wrong, and never shows a value. cJSON_Delete() it. */
cJSON *bounded_json_parse(struct str body, const struct json_limits *limits, struct err *err) MUST_CHECK;
/* The same for an answer that passes on what strangers wrote, as the container engine does with labels and the output of health checks:
 * an escaped NUL becomes U+FFFD, so that one of them spoils its own text and not the whole answer. */
cJSON *bounded_json_parse_foreign(
	struct str body, const struct json_limits *limits, struct err *err) MUST_CHECK;

#endif
