#include "net/listening.h"

#include "net/netspace.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define TCP_LISTEN_STATE 10 /* of include/net/tcp_states.h */
#define ANSWER_BYTES (16 * 1024)
#define ANSWER_TIME_MS 200 /* the kernel answers at once; a sandbox might not */

struct question {
	struct nlmsghdr head;
	struct inet_diag_req_v2 req;
};

static bool ask(int fd, uint8_t family)
{
	struct question q = {
		.head = { .nlmsg_len = sizeof(q),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.req = { .sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1u << TCP_LISTEN_STATE },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	return sendto(fd, &q, sizeof(q), MSG_NOSIGNAL, (struct sockaddr *)&kernel, sizeof(kernel)) == (ssize_t)sizeof(q);
}

static void add(struct listening *l, const struct inet_diag_msg *m)
{
	if (l->n == LISTENING_MAX)
		return;
	struct addr *a = &l->at[l->n++];
	*a = (struct addr){ .len = 0 };
	if (m->idiag_family == AF_INET) {
		a->len = sizeof(a->in);
		a->in.sin_family = AF_INET;
		memcpy(&a->in.sin_addr, m->id.idiag_src, sizeof(a->in.sin_addr));
		a->in.sin_port = m->id.idiag_sport;
	} else {
		a->len = sizeof(a->in6);
		a->in6.sin6_family = AF_INET6;
		memcpy(&a->in6.sin6_addr, m->id.idiag_src, sizeof(a->in6.sin6_addr));
		a->in6.sin6_port = m->id.idiag_sport;
	}
}

/* 1: more will come, 0: that was all, -1: errno. */
static int take(struct listening *l, const char *buf, size_t n)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buf;

	for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);
			errno = h->nlmsg_len >= NLMSG_LENGTH(sizeof(*e)) ? -e->error : EPROTO;
			return -1;
		}
		if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
			add(l, NLMSG_DATA(h));
	}
	return 1;
}

static bool ask_family(int fd, uint8_t family, struct listening *l)
{
	char buf[ANSWER_BYTES] __attribute__((aligned(8)));
	int more = 1;

	if (!ask(fd, family))
		return false;
	while (more > 0) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		more = take(l, buf, (size_t)n);
	}
	return more == 0;
}

void listening_limit(int fd)
{
	struct timeval limit = { .tv_usec = ANSWER_TIME_MS * 1000 };

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* -1: there is none. A namespace keeps its own, others are closed after use. */
static int diag(struct netspace *ns)
{
	if (ns)
		return netspace_diag(ns);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd >= 0)
		listening_limit(fd);
	return fd;
}

bool listening_ask(struct netspace *ns, struct listening *ret)
{
	ret->n = 0;
	int fd = diag(ns);
	if (fd < 0)
		return false;
	bool ok = ask_family(fd, AF_INET, ret) && ask_family(fd, AF_INET6, ret);
	int error = errno;
	if (!ns)
		close(fd);
	errno = error;
	return ok;
}

/* --- one address -------------------------------------------------------------------------------------------------- */

static bool ask_one(int fd, const struct addr *a)
{
	struct question q = {
		.head = { .nlmsg_len = sizeof(q), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.req = { .sdiag_family = (uint8_t)a->sa.sa_family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u,
			.id = { .idiag_sport = htons(addr_port(a)), .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (a->sa.sa_family == AF_INET)
		memcpy(q.req.id.idiag_src, &a->in.sin_addr, sizeof(a->in.sin_addr));
	else
		memcpy(q.req.id.idiag_src, &a->in6.sin6_addr, sizeof(a->in6.sin6_addr));
	return sendto(fd, &q, sizeof(q), MSG_NOSIGNAL, (struct sockaddr *)&kernel, sizeof(kernel)) == (ssize_t)sizeof(q);
}

bool listening_at(struct netspace *ns, const struct addr *a)
{
	char buf[4096] __attribute__((aligned(8)));
	int fd = a->sa.sa_family == AF_UNIX ? -1 : diag(ns);
	ssize_t n = -1;

	if (fd < 0)
		return false;
	if (ask_one(fd, a))
		n = recv(fd, buf, sizeof(buf), 0);
	if (!ns)
		close(fd);
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buf;
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct inet_diag_msg)) || h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return false;
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	return m->idiag_state == TCP_LISTEN_STATE;
}

/* --- Unix sockets: lines of /proc/net/unix --------------------------------------------------------------------- */

#define UNIX_ACCEPTS "00010000" /* the flag of a listening socket */

/* "ffff…: 00000002 00000000 00010000 0001 01 21433 /path" or "… @name". */
static bool line_is(const char *line, const char *name)
{
	const char *at = strstr(line, UNIX_ACCEPTS);
	size_t n = strlen(line), k = strlen(name);
	if (n && line[n - 1] == '\n')
		n--;
	return at && n > k && line[n - k - 1] == ' ' && memcmp(line + n - k, name, k) == 0;
}

bool listening_unix(const struct addr *a)
{
	char text[ADDR_TEXT_MAX], line[512];
	FILE *f = fopen("/proc/net/unix", "re");
	bool found = f == NULL;

	addr_text(a, text);
	const char *name = strncmp(text, "unix:", 5) == 0 ? text + 5 : text;
	for (unsigned i = 0; !found && i < 65536 && fgets(line, sizeof(line), f); i++)
		found = line_is(line, name);
	if (f)
		fclose(f);
	return found;
}

static bool accepts(const struct addr *l, const struct addr *a)
{
	struct addr same = *l;

	if (addr_port(l) != addr_port(a))
		return false;
	if (addr_is_any(l)) /* :: takes IPv4, too, unless it was told not to */
		return l->sa.sa_family == AF_INET6 || a->sa.sa_family == AF_INET;
	addr_unmap(&same);
	return addr_eq(&same, a);
}

bool listening_has(const struct listening *l, const struct addr *a)
{
	for (size_t i = 0; i < l->n; i++)
		if (accepts(&l->at[i], a))
			return true;
	return false;
}
