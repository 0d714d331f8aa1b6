#include "net/stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIECES_MAX 1024 /* the kernel takes no more at a time */

/* --- the plain kind ------------------------------------------------------------------------------------ */

static ssize_t failed(struct stream *s)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return 0;
	s->error = errno;
	return STREAM_ERROR;
}

/* recv(2) and send(2) without libc's wrappers: those are cancellation points, which costs four system calls of a request
 * some 500 instructions once a process has threads, and nobody is ever cancelled here. */
static ssize_t raw_recv(int fd, void *buf, size_t n)
{
	return syscall(SYS_recvfrom, fd, buf, n, 0, NULL, NULL);
}

static ssize_t raw_send(int fd, const void *buf, size_t n)
{
	return syscall(SYS_sendto, fd, buf, n, MSG_NOSIGNAL, NULL, 0);
}

static ssize_t plain_read(struct stream *s, void *buf, size_t n)
{
	if (n == 0)
		return 0;
	ssize_t got;
	do {
		got = raw_recv(s->fd, buf, n);
	} while (got < 0 && errno == EINTR);
	if (got > 0)
		return got;
	return got == 0 ? STREAM_EOF : failed(s);
}

static ssize_t plain_writev(struct stream *s, const struct iovec *iov, int n)
{
	ssize_t put;
	do {
		if (n == 1) { /* cheaper than sendmsg by the copying of the header */
			put = raw_send(s->fd, iov->iov_base, iov->iov_len);
		} else {
			struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov,
					    .msg_iovlen = (size_t)(n < PIECES_MAX ? n : PIECES_MAX) };
			put = sendmsg(s->fd, &m, MSG_NOSIGNAL);
		}
	} while (put < 0 && errno == EINTR);
	return put >= 0 ? put : failed(s);
}

static void plain_shutdown(struct stream *s)
{
	shutdown(s->fd, SHUT_WR);
}

static size_t plain_pending(const struct stream *s)
{
	(void)s;
	return 0;
}

static const struct stream_ops plain_ops = {
	.read = plain_read,
	.writev = plain_writev,
	.shutdown = plain_shutdown,
	.pending = plain_pending,
};

/* --- every kind ------------------------------------------------------------------------------------------ */

static void on_read_event(void *arg, short what)
{
	(void)what;
	struct stream *s = arg;
	s->on_readable(s->arg);
}

static void on_write_event(void *arg, short what)
{
	(void)what;
	struct stream *s = arg;
	s->on_writable(s->arg);
}

void stream_init(struct stream *s, struct loop *l, void (*on_readable)(void *), void (*on_writable)(void *), void *arg)
{
	*s = (struct stream){ .ops = &plain_ops,
			      .loop = l,
			      .on_readable = on_readable,
			      .on_writable = on_writable,
			      .arg = arg,
			      .fd = -1 };
}

static void attach(struct stream *s, int fd)
{
	s->fd = fd;
	s->error = 0;
	s->connecting = false;
	watch_init(&s->rd, s->loop, fd, EV_READ, on_read_event, s);
	watch_init(&s->wr, s->loop, fd, EV_WRITE, on_write_event, s);
	s->rd.party = s->wr.party = s->party;
}

static int fail_with(struct stream *s, int error)
{
	stream_close(s, STREAM_CLOSE);
	s->error = error;
	return -1;
}

void stream_adopt(struct stream *s, int fd)
{
	attach(s, fd);
}

bool stream_open(struct stream *s, int fd)
{
	stream_adopt(s, fd);
	return watch_on(&s->rd) || fail_with(s, ENOMEM) == 0;
}

int stream_connect(struct stream *s, struct netspace *ns, const struct addr *a)
{
	int fd = socket_make(ns, a->sa.sa_family, SOCK_STREAM);
	if (fd < 0) {
		s->error = errno;
		return -1;
	}
	if (a->sa.sa_family != AF_UNIX)
		socket_tune(fd, a);
	attach(s, fd);
	if (connect(fd, &a->sa, a->len) == 0)
		return watch_on(&s->rd) ? 1 : fail_with(s, ENOMEM);
	if (errno != EINPROGRESS && errno != EINTR) /* a Unix listener with a full queue says EAGAIN: failed */
		return fail_with(s, errno);
	s->connecting = true;
	return watch_on(&s->wr) ? 0 : fail_with(s, ENOMEM);
}

int stream_connect_result(struct stream *s)
{
	int error = 0;
	socklen_t len = sizeof(error);
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error == EINPROGRESS)
		return 0;
	if (error)
		return fail_with(s, error);
	s->connecting = false;
	/* In this order the descriptor never leaves the poll set. */
	if (!watch_on(&s->rd))
		return fail_with(s, ENOMEM);
	watch_off(&s->wr);
	return 1;
}

int stream_errno(const struct stream *s)
{
	return s->error;
}

void stream_want_write(struct stream *s, bool on)
{
	if (s->fd < 0)
		return;
	if (s->ops->want_write)
		s->ops->want_write(s, on);
	else if (on)
		(void)watch_on(&s->wr);
	else if (!s->connecting)
		watch_off(&s->wr);
}

void stream_want_read(struct stream *s, bool on)
{
	if (s->fd < 0)
		return;
	if (s->ops->want_read)
		s->ops->want_read(s, on);
	else if (on)
		(void)watch_on(&s->rd);
	else
		watch_off(&s->rd);
}

bool stream_broken(const struct stream *s)
{
	struct pollfd p = { .fd = s->fd };

	return s->fd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP | POLLNVAL));
}

void stream_shutdown(struct stream *s)
{
	if (s->fd >= 0)
		s->ops->shutdown(s);
}

static int detach(struct stream *s, enum stream_close how)
{
	int fd = s->fd;
	if (s->ops && s->ops->release) {
		s->ops->release(s, how);
		s->ops = &plain_ops;
	}
	watch_off(&s->rd);
	watch_off(&s->wr);
	s->fd = -1;
	s->connecting = false;
	return fd;
}

int stream_take_fd(struct stream *s)
{
	return detach(s, STREAM_CLOSE_RESET);
}

void stream_close(struct stream *s, enum stream_close how)
{
	int fd = detach(s, how);
	if (fd < 0)
		return;
	if (how == STREAM_CLOSE_RESET) {
		struct linger now = { .l_onoff = 1, .l_linger = 0 };
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	close(fd);
}
