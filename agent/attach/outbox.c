#include "attach/outbox.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct letter {
	struct list link;
	struct wire_record record;
	size_t n;
	int fds[];
};

static void letter_free(struct outbox *o, struct letter *l)
{
	while (l->n)
		close(l->fds[--l->n]);
	list_remove(&l->link);
	mem_free(l);
	o->n--;
}

static bool fail(struct outbox *o, int error)
{
	o->failed(o->arg, error);
	return false;
}

static void on_stuck(void *arg)
{
	(void)fail(arg, EAGAIN);
}

/* What the reader takes now. false: failed. */
static bool flush(struct outbox *o)
{
	while (!list_empty(&o->waiting)) {
		struct letter *l = LIST_OWNER(o->waiting.next, struct letter, link);
		if (!wire_send(o->fd, &l->record, l->fds, l->n, false))
			return errno == EAGAIN || fail(o, errno);
		letter_free(o, l);
		timer_set(o->loop, &o->stuck, loop_touch(o->loop) + OUTBOX_STUCK);
	}
	timer_clear(&o->stuck);
	watch_off(&o->writable);
	return true;
}

static void on_writable(void *arg, short what)
{
	(void)what;
	(void)flush(arg);
}

static bool put(struct outbox *o, const struct wire_record *r, const int *fds, size_t n)
{
	struct letter *l = o->n < OUTBOX_MAX ? mem_alloc(sizeof(*l) + n * sizeof(int)) : NULL;

	if (!l)
		return fail(o, o->n < OUTBOX_MAX ? ENOMEM : EAGAIN);
	l->record = *r;
	l->n = 0;
	list_append(&o->waiting, &l->link);
	o->n++;
	for (size_t i = 0; i < n; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (fd < 0) {
			letter_free(o, l);
			return fail(o, ENOMEM);
		}
		l->fds[l->n++] = fd;
	}
	if (!timer_armed(&o->stuck))
		timer_set(o->loop, &o->stuck, loop_touch(o->loop) + OUTBOX_STUCK);
	return watch_on(&o->writable) || fail(o, ENOMEM);
}

void outbox_open(struct outbox *o, struct loop *loop, int fd, void (*failed)(void *arg, int error), void *arg)
{
	*o = (struct outbox){ .loop = loop, .fd = fd, .failed = failed, .arg = arg };
	list_init(&o->waiting);
	timer_init(&o->stuck, on_stuck, o);
	watch_init(&o->writable, loop, fd, EV_WRITE, on_writable, o);
}

bool outbox_send(struct outbox *o, const struct wire_record *r, const int *fds, size_t n)
{
	if (o->fd < 0)
		return false;
	if (!list_empty(&o->waiting))
		return put(o, r, fds, n);
	if (wire_send(o->fd, r, fds, n, false))
		return true;
	return errno == EAGAIN ? put(o, r, fds, n) : fail(o, errno);
}

void outbox_close(struct outbox *o)
{
	if (!o->loop)
		return;
	o->fd = -1;
	watch_off(&o->writable);
	timer_clear(&o->stuck);
	while (!list_empty(&o->waiting))
		letter_free(o, LIST_OWNER(o->waiting.next, struct letter, link));
}
