#include "control/ask.h"

#include "net/sockets.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define HEAD_MAX (16u * 1024u)

/* Waits until fd is ready for `events` or the deadline passed. */
static bool await(int fd, short events, usec deadline, struct err *err)
{
	for (;;) {
		usec now = clock_now();
		if (now >= deadline)
			return err_set(err, "no answer in time");
		struct pollfd p = { .fd = fd, .events = events };
		int n = poll(&p, 1, (int)((deadline - now + USEC_MS - 1) / USEC_MS));
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return err_set(err, "cannot wait: %s", strerror(errno));
	}
}

static bool start_connect(int fd, const struct addr *to, usec deadline, struct err *err)
{
	if (connect(fd, &to->sa, to->len) == 0)
		return true;
	if (errno != EINPROGRESS)
		return err_set(err, "%s", strerror(errno));
	int error = 0;
	socklen_t len = sizeof(error);
	if (!await(fd, POLLOUT, deadline, err))
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
		return err_set(err, "%s", strerror(error ? error : errno));
	return true;
}

static bool send_all(int fd, struct str s, usec deadline, struct err *err)
{
	while (s.n > 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
		if (n > 0)
			s = str_make(s.p + n, s.n - (size_t)n);
		else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			if (!await(fd, POLLOUT, deadline, err))
				return false;
		} else
			return err_set(err, "cannot send: %s", strerror(errno));
	}
	return true;
}

static bool receive_all(int fd, struct text *t, usec deadline, struct err *err)
{
	char piece[8192];
	for (;;) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);
		if (n == 0)
			return true;
		if (n > 0) {
			text_add(t, str_make(piece, (size_t)n));
			if (t->failed)
				return err_set(err, "the answer is larger than %u bytes", ASK_BODY_MAX);
		} else if (errno == EAGAIN || errno == EINTR) {
			if (!await(fd, POLLIN, deadline, err))
				return false;
		} else {
			return err_set(err, "cannot receive: %s", strerror(errno));
		}
	}
}

static void write_request(struct text *t, const struct ask *q)
{
	char host[ADDR_TEXT_MAX] = "localhost";
	if (q->to->sa.sa_family != AF_UNIX)
		addr_text(q->to, host);
	text_fmt(t, "%s %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\nX-Outrider: 1\r\n", q->method,
		q->path, host);
	if (q->token)
		text_fmt(t, "Authorization: Bearer %s\r\n", q->token);
	text_addz(t, "\r\n");
}

/* "HTTP/1.x NNN …": the status, and *body begins after the empty line. 0: no HTTP. */
static int split_answer(struct str all, struct str *body)
{
	uint64_t status;
	if (all.n < 12 || !str_starts(all, STR("HTTP/1.")) || !str_u64(str_make(all.p + 9, 3), &status) ||
		status < 100)
		return 0;
	for (size_t i = 0; i + 4 <= all.n && i < HEAD_MAX; i++) {
		if (memcmp(all.p + i, "\r\n\r\n", 4) == 0) {
			*body = str_make(all.p + i + 4, all.n - i - 4);
			return (int)status;
		}
	}
	return 0;
}

static bool converse(int fd, const struct ask *q, struct text *answer, struct err *err)
{
	usec deadline = clock_now() + q->limit;
	struct text request;
	text_init(&request, HEAD_MAX);
	write_request(&request, q);
	bool ok = !request.failed || err_set(err, "the path is too long");
	ok = ok && start_connect(fd, q->to, deadline, err) &&
	     send_all(fd, text_str(&request), deadline, err) && receive_all(fd, answer, deadline, err);
	text_release(&request);
	return ok;
}

int ask(const struct ask *q, struct text *body, struct err *err)
{
	char where[ADDR_TEXT_MAX];
	addr_text(q->to, where);
	int fd = socket_make(NULL, q->to->sa.sa_family, SOCK_STREAM);
	if (fd < 0) {
		err_set(err, "%s: %s", where, strerror(errno));
		return 0;
	}
	struct text answer;
	struct str content;
	int status = 0;
	text_init(&answer, ASK_BODY_MAX + HEAD_MAX);
	if (!converse(fd, q, &answer, err))
		err_prefix(err, "%s", where);
	else if ((status = split_answer(text_str(&answer), &content)) == 0)
		err_set(err, "%s: the answer is no HTTP; is this an agent's admin port?", where);
	else
		text_add(body, content);
	text_release(&answer);
	close(fd);
	return status;
}
