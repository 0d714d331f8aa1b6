/* RESP2, the protocol of Redis, by the reader and the formatter of hiredis: bytes in, flat bounded replies out. No sockets.
 *
 * A reply is its values in preorder: an array is followed by what it holds. Limits are checked as bytes arrive, so that a
 * peer that announces a billion elements or a gigabyte costs nothing. Thread: its owner's. */
#ifndef OUTRIDER_PLUGINS_RESP_H
#define OUTRIDER_PLUGINS_RESP_H

#include "base/err.h"
#include "base/str.h"
#include "base/text.h"

enum resp_type { RESP_TEXT, RESP_STATUS, RESP_ERROR, RESP_INTEGER, RESP_NIL, RESP_ARRAY };

struct resp_value {
	enum resp_type type;
	struct str text;   /* of TEXT, STATUS and ERROR; valid until the next resp_next() or resp_feed() */
	long long integer; /* of INTEGER */
	size_t count;      /* of ARRAY: elements */
};

struct resp_limits {
	size_t values; /* of one reply, arrays included */
	size_t text;   /* bytes of one value */
	size_t bytes;  /* of all values of one reply */
};

struct resp;

struct resp *resp_new(const struct resp_limits *limits) MUST_CHECK; /* NULL: no memory */
void resp_free(struct resp *r);                                     /* NULL is fine */
void resp_reset(struct resp *r);                                    /* for a new connection */
/* Takes bytes as they came. false: no memory. */
bool resp_feed(struct resp *r, const void *p, size_t n) MUST_CHECK;
/* 1: a reply, *n values at *ret; 0: more bytes are needed; -1: not RESP, or beyond a limit: close the connection. */
int resp_next(struct resp *r, const struct resp_value **ret, size_t *n, struct err *err) MUST_CHECK;

#define RESP_ARGS_MAX 24
/* Adds a command to `out` (whose `failed` tells of short memory). argc <= RESP_ARGS_MAX. */
void resp_command(struct text *out, const struct str *argv, size_t argc);

#endif
