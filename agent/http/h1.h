/* HTTP/1.x: bytes in, heads and body pieces out. Pure codecs (RFC 9112), no sockets, no allocation but
 * from the arena that is given.
 *
 * The parser is resumable and works line by line: call h1_parse() again with the same buffer grown (same
 * start, more bytes). One piece, or cut at every place: same result. A head must lie in one contiguous
 * buffer; when it moves, call head_rebase(): the parser itself keeps offsets only.
 *
 *     h1_parser_init(&p);                      the parser calls head_init(h) itself
 *     do r = h1_parse_request(&p, &h, buf, n, &lim, &arena); while (r == H1_MORE && read more)
 *
 * A result other than H1_MORE is final: further calls return it again. H1_BAD with REASON_NO_MEMORY means
 * that the arena had no room (many fields, or a reply's line that had to be written anew).
 *
 * Strict towards requests, lenient but never ambiguous towards replies: DESIGN section 9, and the rules
 * in the issue: each refusal has its own enum reason. */
#ifndef OUTRIDER_HTTP_H1_H
#define OUTRIDER_HTTP_H1_H

#include "base/reason.h"
#include "http/head.h"

enum h1_result {
	H1_MORE, /* not complete yet */
	H1_DONE, /* head complete: `used` bytes of the buffer belong to it */
	H1_BAD   /* `why` says what */
};

struct h1_limits {
	uint32_t head;   /* bytes of the whole head, start line and final CRLF included */
	uint32_t line;   /* bytes of the request line without CRLF */
	uint16_t fields; /* number of fields */
};

struct h1_parser {
	uint32_t at;        /* offset of the first byte of the current line */
	uint32_t scanned;   /* offset up to which no LF was found */
	uint32_t used;      /* valid when H1_DONE */
	uint8_t state;      /* private */
	uint64_t twice;     /* private: a bit per enum field_id that was met more than once */
	uint8_t skipped;    /* empty lines before a request line (at most one is forgiven, RFC 9112 2.2) */
	enum reason why;    /* valid when H1_BAD */
};

void h1_parser_init(struct h1_parser *p);

/* Requests. On H1_DONE, h is complete: start line, fields, authority, body kind and length, keep_alive,
 * upgrade, expect. Fields beyond HEAD_FIELDS_INLINE take their table from `a`.
 * A method, target or version error is told apart as the rows of reasons.def say; an HTTP/2 preface
 * ("PRI * HTTP/2.0") gives REASON_HTTP2_PREFACE. Errors are found as soon as the offending line is complete,
 * limits as soon as they are passed.
 *
 * With absolute form, h->authority is the target's and differs from Host when the client says so: the writer must
 * replace Host by it (RFC 9112 section 3.2.2). OPTIONS with an empty absolute form has the path "*" (section
 * 3.2.4). CONNECT has authority with a port, an empty path and no body. An empty Host field is legal and gives
 * an empty authority; so does HTTP/1.0 without Host. */
enum h1_result h1_parse_request(struct h1_parser *p, struct head *h, const char *buf, size_t n,
				const struct h1_limits *lim, struct arena *a);

/* Replies. `method` is that of the request (HEAD, CONNECT change the framing). 1xx and 204, 304: BODY_NONE.
 * Equal repeated Content-Length and obs-fold are repaired (h->odd counts); bare LF line ends are accepted
 * and repaired, as are blanks before a colon (RFC 9112 section 5.1); what had to be repaired lies in the arena.
 * Framing fields of 1xx, 204 and a CONNECT's 2xx are deleted. A status is 100..999. Ambiguity is H1_BAD
 * with REASON_BAD_RESPONSE, size with REASON_RESPONSE_HEAD_TOO_LARGE. */
enum h1_result h1_parse_response(struct h1_parser *p, struct head *h, const char *buf, size_t n,
				 const struct h1_limits *lim, enum http_method method, struct arena *a);

/* --- bodies ----------------------------------------------------------------------------------------- */

#define H1_CHUNK_EXT_MAX 256       /* bytes of extensions per chunk */
#define H1_TRAILER_MAX (8 * 1024)  /* bytes of all trailer lines */
#define H1_TRAILER_FIELDS 64

enum chunk_event {
	CHUNK_MORE,    /* all n bytes were consumed, more are needed */
	CHUNK_DATA,    /* *data, *len point into buf: body bytes; call again with the rest */
	CHUNK_TRAILER, /* one trailer line is complete in d->line (name and value in d->name, d->value) */
	CHUNK_END,     /* the body is complete */
	CHUNK_BAD
};

/* Decoder of the chunked coding. Strict for both sides (a bad chunk in a reply cuts the client):
 * hexadecimal size of 1..16 digits, CRLF line ends, extensions bounded and dropped. Replies may end lines
 * by a bare LF only when `lenient` is set (it is never set today). */
struct chunk_decoder {
	uint64_t left;       /* bytes left of the current chunk */
	uint32_t ext;        /* extension bytes seen in this chunk */
	uint32_t trailer;    /* trailer bytes seen */
	uint16_t line_len;   /* bytes collected in line */
	uint8_t state, digits;
	uint8_t trailers;    /* trailer lines seen, at most H1_TRAILER_FIELDS */
	bool lenient;
	char *line;          /* the trailer line being collected: H1_TRAILER_MAX bytes of the arena, taken at the
	                        first trailer byte, NULL until then (most bodies have none) */
	struct str name, value; /* of the last CHUNK_TRAILER, inside line */
};

void chunk_init(struct chunk_decoder *d);
/* Consumes bytes of buf; `*used` says how many. Trailer lines are gathered in memory taken from `a` on first
 * need. On CHUNK_DATA `*data`/`*len` are set. Call in a loop until MORE, END or BAD.
 * Sizes up to 2^63 - 1. A trailer's name and value stay valid until the next call. Trailers of unwanted kinds are
 * reported too: ask trailer_allowed(). */
enum chunk_event chunk_decode(struct chunk_decoder *d, const char *buf, size_t n, size_t *used,
			      const char **data, size_t *len, struct arena *a);

/* "1f4\r\n" into dst (at least 20 bytes); returns its length. len > 0. */
size_t chunk_header(char *dst, uint64_t len);

/* May this field stand in a trailer section that we forward? Not framing, routing, authentication, or
 * hop-by-hop fields (RFC 9110 section 6.5.1). */
bool trailer_allowed(struct str name);

/* --- names of hosts --------------------------------------------------------------------------------- */

/* Splits "host[:port]", "[v6]:port"; host without brackets and lower-casing left to the caller. Port 0 when none is
 * given. false when malformed: empty host (allowed only for an empty authority by the caller), userinfo, bad port (0
 * included), bytes that no host has, a bracket that holds no IPv6 address. `_` is legal. */
bool authority_split(struct str authority, struct str *host, uint16_t *port);

/* Normalises an origin-form path for routing and forwarding (DESIGN section 9): decodes unreserved percent codes,
 * upper-cases the others, removes dot segments, merges nothing else; the query is copied as it is. Result in `*ret` is the
 * input itself when nothing changes (the common case, one pass), else in the arena. "*" stays "*". false with
 * REASON_BAD_PATH semantics: no leading slash, climbs above the root, encoded slash/backslash/NUL, raw backslash,
 * bad percent code, a dot segment with parameters ("..;x", which some servers read as ".."), control bytes; and when
 * the arena has no room. */
bool path_normalise(struct str path, struct arena *a, struct str *ret);

#endif
