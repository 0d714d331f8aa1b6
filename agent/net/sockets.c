#include "net/sockets.h"

#include "net/netspace.h"
#include "net/owner.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel lowers it to net.core.somaxconn */

/* Below swarm's 900 s, after which its load balancer forgets an idle connection. */
#define KEEPALIVE_IDLE_S 300
#define UNACKNOWLEDGED_MS 10000 /* five tries of TCP, and nothing came back */
#define KEEPALIVE_INTERVAL_S 30
#define KEEPALIVE_PROBES 5

static enum netspace_kind kind_of(int family, int type)
{
	bool udp = type == SOCK_DGRAM;
	if (family == AF_UNIX)
		return NETSPACE_UNIX;
	if (family == AF_INET6)
		return udp ? NETSPACE_UDP6 : NETSPACE_TCP6;
	return udp ? NETSPACE_UDP4 : NETSPACE_TCP4;
}

int socket_make(struct netspace *ns, int family, int type)
{
	if (ns)
		return netspace_take(ns, kind_of(family, type));
	return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

void socket_tune(int fd, const struct addr *a)
{
	if (addr_is_loopback(a)) /* nothing to be paced or measured there; a machine may run everything else on BBR */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	/* A connection without one of these still works: failures are ignored. */
	(void)set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	(void)set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	(void)set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	(void)set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	(void)set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
	if (!addr_is_loopback(a)) /* a peer whose network is gone says nothing: what it does not even acknowledge is lost */
		(void)set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS);
}

/* --- what went wrong, for a person ------------------------------------------------------------------------ */

static const char *remedy(int error)
{
	switch (error) {
	case EACCES:
		return "ports below 1024 and this path need a permission that the agent lacks; choose another";
	case EADDRNOTAVAIL:
		return "no interface here has this address (for IPv6: it may be disabled)";
	case EAFNOSUPPORT:
		return "this machine has no such address family (IPv6 is disabled); leave the address out";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files (ulimit -n)";
	case ENOENT:
	case ENOTDIR:
		return "the directory of the socket must exist";
	default:
		return NULL;
	}
}

static void explain(const struct addr *a, int error, struct err *err)
{
	char text[ADDR_TEXT_MAX], owner[OWNER_TEXT_MAX];
	addr_text(a, text);
	const char *hint = remedy(error);
	if (error == EADDRINUSE) {
		owner_of_listener(a, owner);
		err_set(err, "cannot listen on %s: address in use, %s listens there; stop it or choose another address", text,
			owner);
	} else if (hint) {
		err_set(err, "cannot listen on %s: %s; %s", text, strerror(error), hint);
	} else {
		err_set(err, "cannot listen on %s: %s", text, strerror(error));
	}
}

/* Closes fd (-1 is fine), fills err and leaves `error` in errno. Returns -1. */
static int refuse(int fd, const struct addr *a, int error, struct err *err)
{
	if (fd >= 0)
		close(fd);
	explain(a, error, err);
	errno = error;
	return -1;
}

/* --- listening -------------------------------------------------------------------------------------------- */

static bool unix_answers(struct netspace *ns, const struct addr *a)
{
	int fd = socket_make(ns, AF_UNIX, SOCK_STREAM);
	if (fd < 0)
		return true; /* not known: leave the path alone */
	bool dead = connect(fd, &a->sa, a->len) != 0 && errno == ECONNREFUSED;
	close(fd);
	return !dead;
}

static bool bind_unix(struct netspace *ns, int fd, const struct addr *a)
{
	bool is_path = a->len > offsetof(struct sockaddr_un, sun_path) && a->un.sun_path[0];
	struct stat st;
	if (is_path)
		(void)fchmod(fd, 0660); /* the mode that bind() gives the file, less the umask */
	if (bind(fd, &a->sa, a->len) != 0) {
		if (errno != EADDRINUSE || !is_path)
			return false;
		/* Never remove what is no socket, nor one at which somebody listens. */
		if (lstat(a->un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode) || unix_answers(ns, a)) {
			errno = EADDRINUSE;
			return false;
		}
		if (unlink(a->un.sun_path) != 0 || bind(fd, &a->sa, a->len) != 0)
			return false;
	}
	return !is_path || chmod(a->un.sun_path, 0660) == 0;
}

static bool bind_ip(int fd, const struct addr *a, bool shared)
{
	if (!set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1))
		return false;
	if (shared && !set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1))
		return false;
	if (a->sa.sa_family == AF_INET6 && !set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1))
		return false;
	return bind(fd, &a->sa, a->len) == 0;
}

int socket_listen(struct netspace *ns, const struct addr *a, struct err *err)
{
	if (ns)
		return netspace_listen(ns, a, err);
	int fd = socket_make(ns, a->sa.sa_family, SOCK_STREAM);
	if (fd < 0)
		return refuse(-1, a, errno, err);
	bool is_unix = a->sa.sa_family == AF_UNIX;
	if (!(is_unix ? bind_unix(ns, fd, a) : bind_ip(fd, a, true)))
		return refuse(fd, a, errno, err);
	if (!is_unix)
		socket_tune(fd, a); /* accepted connections inherit these: five calls less for each */
	if (listen(fd, BACKLOG) != 0)
		return refuse(fd, a, errno, err);
	return fd;
}

bool socket_listen_check(struct netspace *ns, const struct addr *a, struct err *err)
{
	if (ns || a->sa.sa_family == AF_UNIX || addr_port(a) == 0) /* a keeper looks itself */
		return true;
	int fd = socket_make(ns, a->sa.sa_family, SOCK_STREAM);
	if (fd < 0 || !bind_ip(fd, a, false)) {
		refuse(fd, a, errno, err);
		return false;
	}
	close(fd);
	return true;
}

/* --- names -------------------------------------------------------------------------------------------------- */

bool socket_local(int fd, struct addr *ret)
{
	*ret = (struct addr){ .len = sizeof(struct sockaddr_un) };
	if (getsockname(fd, &ret->sa, &ret->len) != 0) {
		ret->len = 0;
		return false;
	}
	addr_unmap(ret);
	return true;
}

bool socket_peer(int fd, struct addr *ret)
{
	*ret = (struct addr){ .len = sizeof(struct sockaddr_un) };
	if (getpeername(fd, &ret->sa, &ret->len) != 0) {
		ret->len = 0;
		return false;
	}
	addr_unmap(ret);
	return true;
}
