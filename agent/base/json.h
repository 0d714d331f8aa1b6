/* Writes JSON into a `struct text`, commas and quoting included. Reading JSON is cJSON's work.
 *
 *     struct json j = json_begin(&t);
 *     json_object(&j);
 *       json_key(&j, "name"); json_str(&j, name);
 *       json_key(&j, "list"); json_array(&j); json_u64(&j, 1); json_end(&j);
 *     json_end(&j);
 *
 * Bytes that are not valid UTF-8 are written as U+FFFD; control bytes, quotes, backslashes, and `<` (as
 * \u003c, so that no page is ever closed by a value) are escaped. Depth is limited to 63; deeper marks the
 * text as failed. Thread: pure. */
#ifndef OUTRIDER_BASE_JSON_H
#define OUTRIDER_BASE_JSON_H

#include "base/text.h"

struct json {
	struct text *t;
	uint64_t is_array; /* bit per level: array or object */
	uint64_t has_item; /* bit per level: a comma is due */
	uint8_t depth;
	bool after_key;
};

struct json json_begin(struct text *t);
void json_object(struct json *j);
void json_array(struct json *j);
void json_end(struct json *j); /* closes the innermost object or array */
void json_key(struct json *j, const char *key);
void json_keyn(struct json *j, struct str key);
void json_str(struct json *j, struct str s);
void json_strz(struct json *j, const char *z); /* NULL is written as null */
void json_u64(struct json *j, uint64_t v);
void json_i64(struct json *j, int64_t v);
void json_num(struct json *j, double v); /* three decimals at most; NaN and infinities as null */
void json_bool(struct json *j, bool v);
void json_null(struct json *j);
void json_raw(struct json *j, struct str json); /* a value that is JSON already: nothing of it is looked at */

/* A member of an object: the key, then the value. */
static inline void json_put_str(struct json *j, const char *key, struct str s)
{
	json_key(j, key);
	json_str(j, s);
}

static inline void json_put_strz(struct json *j, const char *key, const char *z)
{
	json_key(j, key);
	json_strz(j, z);
}

static inline void json_put_u64(struct json *j, const char *key, uint64_t v)
{
	json_key(j, key);
	json_u64(j, v);
}

static inline void json_put_num(struct json *j, const char *key, double v)
{
	json_key(j, key);
	json_num(j, v);
}

static inline void json_put_bool(struct json *j, const char *key, bool v)
{
	json_key(j, key);
	json_bool(j, v);
}

/* Length of the valid UTF-8 character at z (n bytes are there, n >= 1), or 0. */
size_t utf8_length(const char *z, size_t n);

/* The escaped content of a JSON string without its quotes. */
void json_escape(struct text *t, struct str s);

#endif
