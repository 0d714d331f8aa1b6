/* The head of an HTTP message as a table of fields that refer to received bytes or to an arena
 * (DESIGN section 7, "head"). Nothing is copied when a head is parsed.
 *
 * Who owns what: a head borrows all its bytes. The block that was parsed, and the arena that new fields
 * were written into, must outlive it. `head_rebase` follows a block that moved.
 *
 * A field that must not be forwarded is flagged, not removed; a field that the agent adds has FIELD_NEW and a
 * complete `line` ("name: value\r\n") of its own. Writers copy runs of adjacent lines in one memcpy.
 * Thread: its worker. */
#ifndef OUTRIDER_HTTP_HEAD_H
#define OUTRIDER_HTTP_HEAD_H

#include "base/arena.h"
#include "base/str.h"

/* Fields that the agent itself looks at. X(id, "lower-case-name") */
#define HTTP_FIELDS(X)                                                                                       \
	X(CONNECTION, "connection") X(CONTENT_LENGTH, "content-length") X(TRANSFER_ENCODING, "transfer-encoding") \
	X(HOST, "host") X(TE, "te") X(TRAILER, "trailer") X(UPGRADE, "upgrade") X(KEEP_ALIVE, "keep-alive")   \
	X(PROXY_CONNECTION, "proxy-connection") X(PROXY_AUTHENTICATE, "proxy-authenticate")                  \
	X(PROXY_AUTHORIZATION, "proxy-authorization") X(PROXY_AUTHENTICATION_INFO, "proxy-authentication-info") \
	X(EXPECT, "expect") X(VIA, "via") X(FORWARDED, "forwarded") X(X_FORWARDED_FOR, "x-forwarded-for")    \
	X(X_FORWARDED_PROTO, "x-forwarded-proto") X(X_FORWARDED_HOST, "x-forwarded-host")                    \
	X(X_REQUEST_ID, "x-request-id") X(X_OUTRIDER_HELLO, "x-outrider-hello")                              \
	X(X_OUTRIDER_MARK, "x-outrider-mark") X(X_OUTRIDER_DEADLINE_MS, "x-outrider-deadline-ms")            \
	X(X_OUTRIDER_ATTEMPT, "x-outrider-attempt") X(X_OUTRIDER_RETRIES, "x-outrider-retries") X(X_OUTRIDER_PRIORITY, "x-outrider-priority") X(X_OUTRIDER_REASON, "x-outrider-reason")                \
	X(X_OUTRIDER_AGENT, "x-outrider-agent") X(X_OUTRIDER, "x-outrider")                                  \
	X(X_ENVOY_TIMEOUT, "x-envoy-expected-rq-timeout-ms")                                                 \
	X(B3, "b3") X(X_B3_TRACEID, "x-b3-traceid") X(X_B3_SPANID, "x-b3-spanid")                            \
	X(X_B3_PARENTSPANID, "x-b3-parentspanid") X(X_B3_SAMPLED, "x-b3-sampled") X(X_B3_FLAGS, "x-b3-flags") \
	X(TRACEPARENT, "traceparent") X(TRACESTATE, "tracestate") X(RETRY_AFTER, "retry-after")              \
	X(DATE, "date") X(AGE, "age") X(VARY, "vary") X(CACHE_CONTROL, "cache-control")                      \
	X(SET_COOKIE, "set-cookie") X(COOKIE, "cookie") X(AUTHORIZATION, "authorization")                    \
	X(USER_AGENT, "user-agent") X(CONTENT_TYPE, "content-type") X(ORIGIN, "origin")                      \
	X(SOAPACTION, "soapaction") X(LOCATION, "location") X(SERVER, "server")

enum field_id {
	FIELD_OTHER = 0,
#define X(id, name) FIELD_##id,
	HTTP_FIELDS(X)
#undef X
	FIELD_IDS
};

enum { /* flags of a field */
	FIELD_DELETED = 1, /* do not forward */
	FIELD_NEW = 2,     /* not part of the received bytes */
	FIELD_REPAIRED = 4 /* its line had to be written anew (obs-fold); `line` is in the arena */
};

struct field {
	const char *line;   /* "Name: value\r\n", the name comes first */
	const char *value;  /* trimmed, inside line */
	uint32_t line_len;  /* with the line end */
	uint32_t value_len; /* bytes */
	uint16_t name_len;  /* bytes */
	uint8_t id;         /* enum field_id */
	uint8_t flags;
};

enum http_method {
	METHOD_OTHER, METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_PUT, METHOD_DELETE, METHOD_CONNECT,
	METHOD_OPTIONS, METHOD_TRACE, METHOD_PATCH
};

enum body_kind {
	BODY_NONE,    /* no body follows */
	BODY_LENGTH,  /* `length` bytes follow (may be 0) */
	BODY_CHUNKED, /* chunks, then trailers */
	BODY_CLOSE    /* replies only: until the connection ends */
};

enum target_form { TARGET_ORIGIN, TARGET_ABSOLUTE, TARGET_AUTHORITY, TARGET_ASTERISK };

#define HEAD_FIELDS_INLINE 48   /* more are taken from the arena, up to the limit */
#define HEAD_FIELDS_MAX 1024    /* hard ceiling whatever the limit says */

struct head {
	/* start line; a request has method .. path, a reply has status and phrase */
	struct str method_text, target, phrase;
	struct str authority; /* requests: host[:port] of absolute or authority form, else the value of Host; empty unless well formed: no userinfo */
	struct str path;      /* requests: path and query; "/" for an empty absolute form; "*" for asterisk form */
	struct str scheme;    /* of absolute form, else {NULL,0} */
	uint16_t status;
	uint8_t method; /* enum http_method */
	uint8_t minor;  /* 0 or 1 of HTTP/1.x */
	uint8_t form;   /* enum target_form */
	uint8_t body;   /* enum body_kind */
	bool keep_alive;      /* the sender allows the connection to go on (version and Connection) */
	bool upgrade;         /* Connection: upgrade with an Upgrade field that says exactly websocket (RFC 6455) */
	bool upgrade_other;   /* an upgrade to something else, h2c included: not forwarded */
	bool expect_continue; /* Expect: 100-continue */
	bool te_trailers;     /* TE: trailers */
	uint8_t odd;          /* replies: how many oddities were repaired (counted as a metric) */
	uint32_t keep_alive_s; /* Keep-Alive: timeout=N of a reply; 0 = not said */
	uint64_t length;       /* BODY_LENGTH: bytes */
	uint16_t n, cap;       /* fields */
	uint16_t first[FIELD_IDS]; /* index + 1 of the first field with that id, 0 = none */
	struct field *f;           /* inline_f, or arena memory when there are more */
	struct field inline_f[HEAD_FIELDS_INLINE];
};

/* Ready for parsing; does not clear inline_f. */
void head_init(struct head *h);

/* The received bytes moved from old (n bytes) to now: every pointer into them follows. */
void head_rebase(struct head *h, const char *old, size_t n, const char *now);

/* First field with that id that is not deleted, or NULL. */
const struct field *head_get(const struct head *h, enum field_id id);
static inline struct str field_value(const struct field *f)
{
	return f ? str_make(f->value, f->value_len) : (struct str){ NULL, 0 };
}
static inline struct str field_name(const struct field *f)
{
	return str_make(f->line, f->name_len);
}
/* Next field of any id with that (case-folded) name after index `*at` (start with 0); NULL at the end. */
const struct field *head_next(const struct head *h, struct str name, uint16_t *at);

/* Flags every field with that id as deleted. */
void head_delete(struct head *h, enum field_id id);
/* RFC 9110 section 7.6.1 (Trailer is end to end): Connection and all that it names, Keep-Alive, Proxy-Connection, TE,
 * Transfer-Encoding, Upgrade, Proxy-Authenticate, Proxy-Authorization, Proxy-Authentication-Info. A Connection
 * that names Host, Content-Length, or other fields needed for framing and routing does not delete those. */
void head_delete_hop_by_hop(struct head *h);

/* Adds "name: value"; the bytes are copied into the arena. false when there is no room (arena or HEAD_FIELDS_MAX).
 * Both must be free of CR, LF and NUL (asserted). */
bool head_add(struct head *h, struct arena *a, enum field_id id, struct str name, struct str value);

/* enum field_id of a name in any case; FIELD_OTHER when it is none of the list. */
enum field_id field_lookup(struct str name);
struct str field_id_name(enum field_id id);
enum http_method method_lookup(struct str m);
/* Safe to repeat by RFC 9110 section 9.2.2. */
bool method_idempotent(enum http_method m);

/* Bytes that head_write_fields() will write. */
size_t head_fields_size(const struct head *h);
/* Copies the lines of all fields that are not deleted to dst (which has head_fields_size() bytes); returns the end. */
char *head_write_fields(const struct head *h, char *dst);

#endif
