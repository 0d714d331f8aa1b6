#include "attach/netns.h"

#include "net/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <unistd.h>

#define NSFS_MAGIC_NUMBER 0x6e736673 /* of linux/magic.h */

static void come_back(const struct netns_home *h)
{
	if (setns(h->own, CLONE_NEWNET) != 0)
		abort(); /* in a stranger's namespace: nothing that follows would be where it should */
}

bool netns_begin(struct netns_home *h, const char *folder, struct err *err)
{
	*h = (struct netns_home){ .own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), .folder = -1, .path = folder };
	if (h->own < 0)
		return err_set(err, "/proc/self/ns/net cannot be opened: %s", strerror(errno));
	if (setns(h->own, CLONE_NEWNET) != 0)
		return err_set(err, "network namespaces cannot be entered: %s; the agent's service needs cap_add: [SYS_ADMIN]", strerror(errno));
	h->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->folder < 0)
		return err_set(err, "%s cannot be opened: %s; mount it into the agent's container (type: bind, propagation: rslave)", folder,
			strerror(errno));
	return true;
}

/* "36 35 98:0 / /var/run/docker/netns rw,noatime master:1 - tmpfs …": proc(5). false: it is another mount's line. */
static bool read_mount(char *line, const char *point, bool *follows)
{
	struct str rest = str_of(line), word;

	for (int i = 0; i < 5; i++)
		if (!str_next(&rest, ' ', &word))
			return false;
	if (!str_eq(word, str_of(point)))
		return false;
	*follows = false;
	while (str_next(&rest, ' ', &word) && !str_eq(word, STR("-")))
		*follows = *follows || str_starts(word, STR("shared:")) || str_starts(word, STR("master:"));
	return true;
}

bool netns_follows(const struct netns_home *h)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool follows = true; /* no mount of its own: a folder of this mount namespace, as when the agent runs outside of a container */
	char line[4096];

	while (f && fgets(line, sizeof(line), f))
		(void)read_mount(line, h->path, &follows); /* of several the last one covers the others */
	if (f)
		fclose(f);
	return follows;
}

void netns_end(struct netns_home *h)
{
	if (h->own >= 0)
		close(h->own);
	if (h->folder >= 0)
		close(h->folder);
	h->own = h->folder = -1;
}

int netns_open(struct netns_home *h, const char *name, struct err *err)
{
	struct statfs fs;
	int fd = openat(h->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0) {
		err_set(err, "its namespace %s/%s cannot be opened: %s", h->path, name, strerror(errno));
	} else if (fstatfs(fd, &fs) != 0 || (uint64_t)fs.f_type != NSFS_MAGIC_NUMBER) {
		err_set(err, "%s/%s is no namespace here: mount the folder with propagation rslave, so that what the engine mounts there "
			     "later is seen", h->path, name);
		close(fd);
		fd = -1;
	}
	return fd;
}

static int make(enum netspace_kind kind)
{
	static const struct {
		int family, type, protocol;
	} kinds[NETSPACE_KINDS] = {
		[NETSPACE_TCP4] = { AF_INET, SOCK_STREAM, 0 },
		[NETSPACE_TCP6] = { AF_INET6, SOCK_STREAM, 0 },
		[NETSPACE_UDP4] = { AF_INET, SOCK_DGRAM, 0 },
		[NETSPACE_UDP6] = { AF_INET6, SOCK_DGRAM, 0 },
		[NETSPACE_UNIX] = { AF_UNIX, SOCK_STREAM, 0 },
		[NETSPACE_DIAG] = { AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG },
	};
	int flags = SOCK_CLOEXEC | (kind == NETSPACE_DIAG ? 0 : SOCK_NONBLOCK);
	return socket(kinds[kind].family, kinds[kind].type | flags, kinds[kind].protocol);
}

size_t netns_sockets(const struct netns_home *h, int ns, enum netspace_kind kind, int *fds, size_t n)
{
	size_t made = 0;
	int error = 0;

	if (kind >= NETSPACE_KINDS || setns(ns, CLONE_NEWNET) != 0)
		return 0;
	while (made < n && (fds[made] = make(kind)) >= 0)
		made++;
	error = errno;
	come_back(h);
	errno = error;
	return made;
}

int netns_listen(const struct netns_home *h, int ns, const struct addr *a, bool first, struct err *err)
{
	if (setns(ns, CLONE_NEWNET) != 0) {
		err_set(err, "its namespace cannot be entered: %s", strerror(errno));
		return -1;
	}
	int fd = !first || socket_listen_check(NULL, a, err) ? socket_listen(NULL, a, err) : -1;
	int error = errno;
	come_back(h);
	errno = error;
	return fd;
}
