#include "attach/claim.h"

#include "net/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define OWNER_MAX 64

static void process_name(pid_t pid, char dst[OWNER_MAX])
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, dst, OWNER_MAX - 1);
	if (fd >= 0)
		close(fd);
	dst[n > 0 ? n - 1 : 0] = '\0'; /* without its line end */
}

/* Who listens there, by the credentials that the kernel keeps of the listening side. */
static bool ask_owner(const struct addr *name, struct ucred *ret)
{
	int fd = socket_make(NULL, AF_UNIX, SOCK_STREAM);
	if (fd < 0)
		return false;
	socklen_t len = sizeof(*ret);
	bool known = connect(fd, &name->sa, name->len) == 0 &&
		     getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret, &len) == 0;
	close(fd);
	return known;
}

static void explain_taken(const struct addr *name, struct err *err)
{
	char text[ADDR_TEXT_MAX], comm[OWNER_MAX] = "";
	struct ucred who;
	addr_text(name, text);
	const char *remedy =
		"one agent serves a container; remove the other, or opt this container out of it "
		"(label outrider.enable=false)";
	if (!ask_owner(name, &who)) {
		err_set(err, "%s is taken in this network namespace by another agent: %s", text, remedy);
		return;
	}
	if (who.pid > 0) /* 0: a process that this namespace of process ids does not show */
		process_name(who.pid, comm);
	if (comm[0])
		err_set(err, "%s is taken in this network namespace by process %d (%s) of user %u: %s", text,
			(int)who.pid, comm, (unsigned)who.uid, remedy);
	else
		err_set(err,
			"%s is taken in this network namespace by a process outside this container (user "
			"%u), "
			"probably the node's agent: %s",
			text, (unsigned)who.uid, remedy);
}

int claim_namespace(const struct addr *name, struct err *err)
{
	int fd = socket_listen(NULL, name, err);
	if (fd < 0 && errno == EADDRINUSE)
		explain_taken(name, err);
	return fd;
}
