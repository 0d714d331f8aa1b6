/* A stream: bytes both ways over a connected descriptor, plain, or TLS behind the same calls (net/tls.h).
 *
 * Embedded by value in its connection object (no allocation). One persistent read watch for its whole life; a
 * write watch only after a short write. Results: > 0 bytes, 0 = nothing now (EAGAIN), or one of the negatives.
 * The owner gets two callbacks, on its loop's thread: readable (also at end of stream or error: the next read
 * tells) and writable (also when a connect ends: ask stream_connect_result()). A callback may close its own
 * stream; the memory must live until the end of the turn (graveyard). */
#ifndef OUTRIDER_NET_STREAM_H
#define OUTRIDER_NET_STREAM_H

#include "net/addr.h"
#include "net/loop.h"
#include "net/sockets.h"

#include <sys/uio.h>

enum {
	STREAM_EOF = -1,   /* clean end: the peer sent FIN (TLS: close_notify) */
	STREAM_ERROR = -2, /* reset or worse: stream_errno() */
	STREAM_CUT = -3    /* TLS only: FIN without close_notify */
};

enum stream_close {
	STREAM_CLOSE,      /* orderly: FIN after what is queued in the kernel */
	STREAM_CLOSE_RESET /* RST at once: what the peer has not seen is visibly lost */
};

struct stream;
struct tls;

struct stream_ops { /* the variation point: plain, TLS */
	ssize_t (*read)(struct stream *s, void *buf, size_t n);
	ssize_t (*writev)(struct stream *s, const struct iovec *iov, int n);
	void (*shutdown)(struct stream *s); /* no more bytes from us */
	size_t (*pending)(const struct stream *s); /* received bytes that no poll will announce */
	/* NULL for the plain kind: the owner's wish alone decides the watches, and nothing is to be released. */
	void (*want_read)(struct stream *s, bool on);
	void (*want_write)(struct stream *s, bool on);
	void (*release)(struct stream *s, enum stream_close how); /* before the descriptor goes; s->tls is NULL after it */
};

struct stream {
	const struct stream_ops *ops;
	struct loop *loop;
	struct watch rd, wr;
	void (*on_readable)(void *arg);
	void (*on_writable)(void *arg);
	void *arg;
	struct party *party; /* whose turn its events are (net/loop.h); set by the owner after stream_init(), may be NULL */
	struct tls *tls; /* the session above the descriptor; NULL: plain */
	int fd; /* -1: closed */
	int error; /* errno of the last STREAM_ERROR */
	bool connecting;
};

void stream_init(struct stream *s, struct loop *l, void (*on_readable)(void *), void (*on_writable)(void *), void *arg);
/* Takes the connected fd and starts reading. false (and fd closed) when the loop refuses. */
bool stream_open(struct stream *s, int fd);
/* Takes the connected fd without watching it: reading starts with stream_want_read(). For a fresh connection whose first
 * bytes are likely there already, and which may be over before a watch would have paid (epoll_ctl costs 0.3 µs). */
void stream_adopt(struct stream *s, int fd);
/* Starts a non-blocking connect from namespace ns. 0: under way, on_writable tells; 1: connected at once;
 * -1: failed, stream_errno(). Reading is started when connected. */
int stream_connect(struct stream *s, struct netspace *ns, const struct addr *a);
/* Inside on_writable while s->connecting: 1 connected (reading started), 0 still under way, -1 failed. */
int stream_connect_result(struct stream *s);
int stream_errno(const struct stream *s);

static inline ssize_t stream_read(struct stream *s, void *buf, size_t n)
{
	return s->ops->read(s, buf, n);
}
/* A short count means: the rest later; the caller then calls stream_want_write(s, true). */
static inline ssize_t stream_writev(struct stream *s, const struct iovec *iov, int n)
{
	return s->ops->writev(s, iov, n);
}
void stream_want_write(struct stream *s, bool on);
void stream_want_read(struct stream *s, bool on); /* back-pressure: off stops the read watch */
/* Received bytes that no readiness will announce (TLS): who stops reading before a 0 asks this and reads on by himself. */
static inline size_t stream_pending(const struct stream *s)
{
	return s->ops->pending(s);
}
/* Has the peer reset the connection? For a stream whose watches are off (a loop says nothing of it then): one poll(2). */
bool stream_broken(const struct stream *s);
void stream_shutdown(struct stream *s);
void stream_close(struct stream *s, enum stream_close how); /* idempotent */
static inline bool stream_is_open(const struct stream *s)
{
	return s->fd >= 0;
}
/* Gives the descriptor away and forgets it (tunnels by other means, hand-over). Of a TLS stream the session ends without
 * a word to the peer. */
int stream_take_fd(struct stream *s);

#endif
