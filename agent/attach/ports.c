#include "attach/ports.h"

#include "base/mem.h"
#include "net/netspace.h"
#include "net/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool ports_error_is_absence(int error)
{
	return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

static int *slot(struct ports *p, unsigned worker, uint32_t listener)
{
	return &p->fds[(size_t)worker * p->n_listeners + listener];
}

/* Another listener of the same kind that every machine has. */
static bool has_stand_in(const struct spec_sidecar *spec, uint32_t at)
{
	const struct spec_listener *l = &spec->listeners[at];
	for (uint32_t i = 0; i < spec->n_listeners && l->addr.sa.sa_family == AF_INET6; i++) {
		const struct spec_listener *o = &spec->listeners[i];
		if (o->kind == l->kind && o->upstream == l->upstream && o->addr.sa.sa_family == AF_INET)
			return true;
	}
	return false;
}

static bool open_listener(struct ports *p, const struct spec_listener *l, uint32_t at, struct err *err)
{
	struct addr *a = &p->bound[at];
	*a = l->addr;
	if (!socket_listen_check(p->ns, a, err))
		return false;
	for (unsigned w = 0; w < p->n_workers; w++) {
		int fd = w > 0 && a->sa.sa_family == AF_UNIX ? fcntl(*slot(p, 0, at), F_DUPFD_CLOEXEC, 3)
							     : socket_listen(p->ns, a, err);
		if (fd < 0) {
			int error = errno;
			if (a->sa.sa_family == AF_UNIX && w > 0)
				err_set(err, "cannot share %s among workers: %s", l->text, strerror(error));
			errno = error;
			return false;
		}
		*slot(p, w, at) = fd;
		if (w == 0 && addr_port(a) == 0 && a->sa.sa_family != AF_UNIX)
			(void)socket_local(
				fd, a); /* the other workers share the port that the kernel chose */
	}
	return true;
}

static bool has_fd(const struct ports *p, int fd)
{
	for (size_t i = 0; p->fds && i < (size_t)p->n_workers * p->n_listeners; i++) {
		if (p->fds[i] == fd)
			return true;
	}
	return false;
}

/* Takes over the descriptors of the same address, once. */
static bool take_over(struct ports *p, uint32_t at, const struct spec_listener *l, const struct ports *had,
	const struct spec_sidecar *had_spec)
{
	for (uint32_t i = 0; i < had->n_listeners && i < had_spec->n_listeners; i++) {
		int fd = had->fds[i];
		if (fd < 0 || !addr_eq(&had_spec->listeners[i].addr, &l->addr) || has_fd(p, fd))
			continue;
		p->bound[at] = had->bound[i];
		for (unsigned w = 0; w < p->n_workers; w++)
			*slot(p, w, at) = had->fds[(size_t)w * had->n_listeners + i];
		return true;
	}
	return false;
}

void ports_forget(struct ports *p, const struct ports *heir)
{
	for (size_t i = 0; p->fds && i < (size_t)p->n_workers * p->n_listeners; i++) {
		if (p->fds[i] >= 0 && has_fd(heir, p->fds[i]))
			p->fds[i] = -1;
	}
}

static bool ports_alloc(struct ports *p, const struct spec_sidecar *spec, const struct ports *had, struct err *err)
{
	unsigned n_workers = had->n_workers;
	size_t n = (size_t)n_workers * spec->n_listeners;
	*p = (struct ports){ .n_workers = n_workers, .ns = had->ns, .n_listeners = spec->n_listeners };
	p->fds = mem_zarray(n + 1, sizeof(*p->fds));
	p->bound = mem_zarray(spec->n_listeners + 1u, sizeof(*p->bound));
	for (size_t i = 0; p->fds && i < n; i++)
		p->fds[i] = -1;
	if (p->fds && p->bound)
		return true;
	ports_close(p);
	return err_set(err, "out of memory");
}

bool ports_open(struct ports *p, struct netspace *ns, const struct spec_sidecar *spec, unsigned n_workers, struct log *log,
	struct err *err)
{
	struct ports had = { .n_workers = n_workers, .ns = ns };
	return ports_follow(p, spec, &had, spec, log, err);
}

bool ports_follow(struct ports *p, const struct spec_sidecar *spec, const struct ports *had,
	const struct spec_sidecar *had_spec, struct log *log, struct err *err)
{
	if (!ports_alloc(p, spec, had, err))
		return false;
	for (uint32_t i = 0; i < spec->n_listeners; i++) {
		if (take_over(p, i, &spec->listeners[i], had, had_spec))
			continue;
		if (open_listener(p, &spec->listeners[i], i, err))
			continue;
		if (!ports_error_is_absence(errno) || !has_stand_in(spec, i)) {
			ports_forget(p, had);
			ports_give_up(p);
			return false;
		}
		/* Containers without IPv6 are the rule. */
		log_write(log, p->ns ? LEVEL_DEBUG : LEVEL_WARN, "process", "an address that this machine lacks is left out",
			LOG_FIELDS(log_text("address", spec->listeners[i].text),
				log_text("why", err ? err->text : NULL)));
	}
	return true;
}

void ports_close_inbound(struct ports *p, const struct spec_sidecar *spec)
{
	for (uint32_t i = 0; i < p->n_listeners && i < spec->n_listeners; i++) {
		if (spec->listeners[i].kind != LISTEN_INBOUND && spec->listeners[i].kind != LISTEN_EDGE)
			continue;
		for (unsigned w = 0; w < p->n_workers; w++) {
			if (*slot(p, w, i) >= 0)
				close(*slot(p, w, i));
			*slot(p, w, i) = -1;
		}
	}
}

void ports_close(struct ports *p)
{
	for (size_t i = 0; p->fds && i < (size_t)p->n_workers * p->n_listeners; i++) {
		if (p->fds[i] >= 0)
			close(p->fds[i]);
	}
	mem_free(p->fds);
	mem_free(p->bound);
	*p = (struct ports){ 0 };
}

void ports_give_up(struct ports *p)
{
	for (uint32_t i = 0; p->ns && p->fds && i < p->n_listeners; i++)
		if (*slot(p, 0, i) >= 0)
			netspace_unlisten(p->ns, &p->bound[i]);
	ports_close(p);
}
