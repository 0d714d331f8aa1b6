#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* accept4 */
#endif
#include "net/listen.h"

#include <errno.h>

#define PAUSE_MS 50

/* What accept(2) reports of a connection that is already gone, or of the network under it: the next one may be fine. */
static bool concerns_one_connection(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPERM: /* refused by a firewall rule */
	case EPROTO:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

/* Out of descriptors or memory: the waiting connection keeps the listener readable, so asking on would spin. */
static void pause_accepting(struct listener *l)
{
	struct timeval tv = { .tv_usec = PAUSE_MS * 1000 };
	l->failures++;
	if (event_add(&l->retry, &tv) != 0)
		return;
	l->paused = true;
	watch_off(&l->rd);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct listener *l = arg;
	l->paused = false;
	if (!watch_on(&l->rd))
		pause_accepting(l);
}

void listener_hold(struct listener *l, bool hold)
{
	if (l->held == hold)
		return;
	l->held = hold;
	if (hold)
		listener_stop(l);
	else if (!watch_on(&l->rd))
		pause_accepting(l);
}

/* Whoever accepts serves what came with the connection: a batch of them may be a millisecond that nobody else has. */
static bool goes_on(const struct listener *l)
{
	return !l->rd.party || party_goes_on(l->rd.party);
}

static void accept_up_to(struct listener *l, int most, bool fair)
{
	for (int i = 0; i < most && l->rd.on; i++) {
		struct addr peer = { .len = sizeof(struct sockaddr_un) };
		int fd = accept4(l->fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			addr_unmap(&peer);
			l->on_accept(l->arg, fd, &peer);
			if (fair && !goes_on(l))
				return;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} else if (!concerns_one_connection(errno)) {
			pause_accepting(l);
		}
	}
}

static void on_readable(void *arg, short what)
{
	(void)what;
	accept_up_to(arg, LISTEN_BATCH, true);
}

void listener_accept_waiting(struct listener *l)
{
	accept_up_to(l, LISTEN_QUEUE_MAX, false);
}

bool listener_start(struct listener *l, struct loop *loop, int fd,
		    void (*on_accept)(void *, int, const struct addr *), void *arg)
{
	*l = (struct listener){ .loop = loop, .fd = fd, .on_accept = on_accept, .arg = arg };
	evtimer_assign(&l->retry, loop_base(loop), on_retry, l);
	watch_init(&l->rd, loop, fd, EV_READ, on_readable, l);
	return watch_on(&l->rd);
}

void listener_stop(struct listener *l)
{
	watch_off(&l->rd);
	if (l->paused)
		event_del(&l->retry);
	l->paused = false;
}
