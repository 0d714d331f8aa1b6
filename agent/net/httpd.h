/* A small HTTP/1 server (RFC 9112) for the admin port, over net/stream, on the control loop. Never for traffic.
 *
 * Bounded: head of a request 16 KiB and 64 fields, body 64 KiB (by Content-Length alone), 64 connections per
 * listener (beyond that an idle one makes room, else 503), output of a slow reader HTTPD_OUTPUT_MAX, a reply
 * HTTPD_REPLY_MAX, 30 s idle and 30 s for a request to arrive. Methods: GET HEAD POST PUT DELETE PATCH OPTIONS,
 * else 501; targets in origin form only. What is malformed gets its 4xx here and never reaches a handler.
 *
 * Handlers answer at once by httpd_reply(), or keep the request and answer later (httpd_reply() is valid until
 * httpd's on_gone callback says that the peer left). An answer ends the request: its slices are dead after it.
 * Thread: the loop's. */
#ifndef OUTRIDER_NET_HTTPD_H
#define OUTRIDER_NET_HTTPD_H

#include "base/text.h"
#include "net/addr.h"
#include "net/loop.h"

#define HTTPD_OUTPUT_MAX (1u << 20) /* queued bytes of a stream */
#define HTTPD_STREAM_SNDBUF (64u * 1024u) /* of a stream's socket: a reader that stops costs the kernel no more than twice that */
#define HTTPD_REPLY_MAX (4u << 20)  /* body of a reply; a longer one becomes 500 */

struct httpd;
struct httpd_request;

typedef void (*httpd_fn)(struct httpd_request *r, void *arg);

struct httpd *httpd_new(struct loop *l, httpd_fn fn, void *arg, struct err *err) MUST_CHECK;
void httpd_free(struct httpd *h); /* closes all; requests not answered yet are told by their on_gone; NULL is fine */
/* fd: listening, owned by httpd from now on. */
bool httpd_listen(struct httpd *h, int fd, struct err *err);

/* --- the request ----------------------------------------------------------------------------------------- */
const char *httpd_method(const struct httpd_request *r); /* "GET" … */
void httpd_path_cut(struct httpd_request *r, size_t n); /* its first n bytes; what is left begins with '/' */
struct str httpd_path(const struct httpd_request *r);    /* without query, percent-decoded */
/* Value of a query parameter, decoded; {NULL,0} when absent. Valid while the request lives. */
struct str httpd_query(struct httpd_request *r, const char *name);
struct str httpd_header(const struct httpd_request *r, const char *name); /* {NULL,0} when absent */
bool httpd_header_repeated(const struct httpd_request *r, const char *name);
struct str httpd_body(struct httpd_request *r);
const struct addr *httpd_peer(const struct httpd_request *r);
const struct addr *httpd_local(const struct httpd_request *r); /* the address it was accepted on */

/* --- the answer -------------------------------------------------------------------------------------------- */
void httpd_reply_header(struct httpd_request *r, const char *name, const char *value); /* before httpd_reply() */
/* type: "application/json", "text/plain; charset=utf-8" … ; body is copied; HEAD gets no body. Ends the request. */
void httpd_reply(struct httpd_request *r, int status, const char *type, struct str body);
/* For a handler that answers later: called when the peer leaves first (also by closing its half); r is dead after it.
 * fn may be NULL. Not called once the request was answered. */
void httpd_on_gone(struct httpd_request *r, void (*fn)(void *arg), void *arg);
/* Streaming (server-sent events): start, then chunks; false when the reader is too slow (more than HTTPD_OUTPUT_MAX queued)
 * or gone: then the stream has been ended and r is dead. */
void httpd_stream_begin(struct httpd_request *r, int status, const char *type);
bool httpd_stream_send(struct httpd_request *r, struct str piece) MUST_CHECK;
void httpd_stream_end(struct httpd_request *r);
/* Bytes that the reader has not taken yet, but for what the kernel holds (HTTPD_STREAM_SNDBUF): a sender that can leave events out does so then. */
size_t httpd_stream_backlog(const struct httpd_request *r);

#endif
