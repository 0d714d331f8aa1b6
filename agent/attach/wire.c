#include "attach/wire.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

bool wire_pair(int ret[2], struct err *err)
{
	struct timeval wait = { .tv_sec = WIRE_WAIT_S };

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) != 0)
		return err_set(err, "a pair of sockets cannot be made: %s", strerror(errno));
	for (int i = 0; i < 2; i++) {
		(void)setsockopt(ret[i], SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
		(void)setsockopt(ret[i], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	}
	return true;
}

union rights {
	struct cmsghdr head;
	char room[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
};

bool wire_send(int fd, const struct wire_record *r, const int *fds, size_t n, bool wait)
{
	struct iovec iov = { (void *)(uintptr_t)r, sizeof(*r) };
	union rights u;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (n) {
		memset(&u, 0, sizeof(u));
		m.msg_control = u.room;
		m.msg_controllen = CMSG_SPACE(n * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	do {
		sent = sendmsg(fd, &m, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
	} while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)sizeof(*r);
}

static size_t take_rights(struct msghdr *m, int fds[WIRE_FDS_MAX])
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < k; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n < WIRE_FDS_MAX)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

int wire_receive(int fd, struct wire_record *r, int fds[WIRE_FDS_MAX], size_t *n, bool wait)
{
	struct iovec iov = { r, sizeof(*r) };
	union rights u;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.room, .msg_controllen = sizeof(u.room) };
	ssize_t got;

	*n = 0;
	do {
		got = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -1;
	if (got == 0)
		return 0;
	*n = take_rights(&m, fds);
	r->why[sizeof(r->why) - 1] = '\0';
	if (got == (ssize_t)sizeof(*r) && r->op && r->op < WIRE_OPS)
		return 1;
	while (*n)
		close(fds[--*n]);
	errno = EPROTO;
	return -1;
}

void wire_put_addr(struct wire_record *r, const struct addr *a)
{
	r->addr_len = a->len <= sizeof(r->addr) ? (uint32_t)a->len : 0;
	memcpy(&r->addr, &a->sa, r->addr_len);
}

bool wire_get_addr(const struct wire_record *r, struct addr *ret)
{
	*ret = (struct addr){ .len = r->addr_len };
	if (r->addr_len < sizeof(sa_family_t) || r->addr_len > sizeof(r->addr))
		return false;
	memcpy(&ret->sa, &r->addr, r->addr_len);
	switch (ret->sa.sa_family) {
	case AF_INET:
		return ret->len == sizeof(struct sockaddr_in);
	case AF_INET6:
		return ret->len == sizeof(struct sockaddr_in6);
	case AF_UNIX:
		return ret->len > sizeof(sa_family_t) + 1;
	default:
		return false;
	}
}

/* --- bytes ------------------------------------------------------------------------------------------------------- */

int wire_bytes_fd(struct str bytes)
{
	int fd = memfd_create("outrider", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	for (size_t at = 0; at < bytes.n;) {
		ssize_t n = write(fd, bytes.p + at, bytes.n - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			close(fd);
			return -1;
		}
		at += (size_t)n;
	}
	(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	return fd;
}

static bool read_all(int fd, char *p, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t got = pread(fd, p + at, n - at, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += (size_t)got;
	}
	return true;
}

struct str wire_read_bytes(int fd, size_t max, struct err *err)
{
	struct stat st;
	struct str ret = { NULL, 0 };

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > max) {
		err_set(err, "the bytes of a record are not there, or too many");
	} else {
		char *p = mem_alloc((size_t)st.st_size + 1);
		if (p && read_all(fd, p, (size_t)st.st_size)) {
			ret = str_make(p, (size_t)st.st_size);
		} else {
			mem_free(p);
			err_set(err, "the bytes of a record cannot be read, or memory is short");
		}
	}
	close(fd);
	return ret;
}
