#include "net/netspace.h"

#include "base/mem.h"
#include "net/listening.h"

#include <errno.h>
#include <unistd.h>

struct stock {
	_Atomic int fds[NETSPACE_STOCK_MAX]; /* descriptor + 1; 0 = empty */
	_Atomic unsigned n;                  /* as many are there, or about to be */
	_Atomic unsigned missed;             /* takes that found nothing since the last refill */
	_Atomic unsigned taken;              /* since the last netspace_rest() */
	_Atomic bool low;                    /* control was told */
	struct mail mail;                    /* to control */
	struct netspace *of;
	unsigned target;                     /* control's: as many shall be there */
	unsigned asked;                      /* control's: on their way */
	usec asked_at;                       /* control's: when the last of these were asked for */
	uint8_t kind;
};

struct netspace {
	struct loop *control;
	const char *dns;
	struct answers *answers;
	uint64_t group;
	const struct netspace_ops *ops; /* NULL: cut */
	void *arg;
	_Atomic uint64_t dns_answered, dns_failed;
	_Atomic bool dns_fails;
	_Atomic unsigned refs; /* of control, specs, and mails under way */
	int diag;
	struct stock stocks[NETSPACE_DIAG];
};

/* At rest: calls over IPv4 and questions to DNS are what everybody makes. */
static const unsigned at_rest[NETSPACE_DIAG] = {
	[NETSPACE_TCP4] = 8, [NETSPACE_TCP6] = 1, [NETSPACE_UDP4] = 2, [NETSPACE_UDP6] = 0, [NETSPACE_UNIX] = 0
};

/* --- refilling: control's thread ------------------------------------------------------------------------------- */

static void refill(struct stock *s)
{
	usec now = loop_now(s->of->control);
	if (s->asked && now - s->asked_at > NETSPACE_LOST)
		s->asked = 0; /* a keeper that could make none, for want of descriptors, does not say so */
	unsigned there = atomic_load_explicit(&s->n, memory_order_relaxed) + s->asked;

	if (!s->of->ops || there >= s->target)
		return;
	unsigned n = s->target - there;
	s->asked += n;
	s->asked_at = now;
	s->of->ops->refill(s->of->arg, s->of, s->kind, n);
}

static void on_low(struct mail *m)
{
	struct stock *s = LIST_OWNER(m, struct stock, mail);
	struct netspace *ns = s->of;

	atomic_store_explicit(&s->low, false, memory_order_release);
	if (atomic_exchange_explicit(&s->missed, 0, memory_order_relaxed))
		s->target = s->target < NETSPACE_STOCK_MAX / 2 ? s->target * 2 + 4 : NETSPACE_STOCK_MAX;
	refill(s);
	netspace_unref(ns);
}

void netspace_begin(struct netspace *ns)
{
	for (unsigned k = 0; k < NETSPACE_DIAG; k++)
		refill(&ns->stocks[k]);
	if (ns->ops && ns->diag < 0)
		ns->ops->refill(ns->arg, ns, NETSPACE_DIAG, 1);
}

static void shrink(struct stock *s)
{
	if (atomic_exchange_explicit(&s->taken, 0, memory_order_relaxed) || s->target <= at_rest[s->kind])
		return;
	s->target = s->target / 2 > at_rest[s->kind] ? s->target / 2 : at_rest[s->kind];
	while (atomic_load_explicit(&s->n, memory_order_relaxed) > s->target) {
		int fd = netspace_take(s->of, s->kind);
		if (fd < 0)
			break;
		close(fd);
	}
	atomic_store_explicit(&s->taken, 0, memory_order_relaxed);
}

void netspace_rest(struct netspace *ns)
{
	for (unsigned k = 0; k < NETSPACE_DIAG; k++)
		shrink(&ns->stocks[k]);
}

void netspace_put(struct netspace *ns, enum netspace_kind kind, int fd)
{
	if (kind == NETSPACE_DIAG) {
		if (ns->diag >= 0)
			close(ns->diag);
		ns->diag = fd;
		listening_limit(fd);
		return;
	}
	struct stock *s = &ns->stocks[kind];
	if (s->asked)
		s->asked--;
	for (unsigned i = 0; i < NETSPACE_STOCK_MAX; i++) {
		int none = 0;
		if (!atomic_compare_exchange_strong_explicit(
			    &s->fds[i], &none, fd + 1, memory_order_release, memory_order_relaxed))
			continue;
		atomic_fetch_add_explicit(&s->n, 1, memory_order_relaxed);
		return;
	}
	close(fd);
}

/* --- taking: any thread ---------------------------------------------------------------------------------------- */

static void tell_low(struct stock *s)
{
	if (atomic_exchange_explicit(&s->low, true, memory_order_acquire))
		return;
	netspace_ref(s->of); /* until the mail is read */
	loop_post(s->of->control, &s->mail);
}

int netspace_take(struct netspace *ns, enum netspace_kind kind)
{
	struct stock *s = &ns->stocks[kind];

	atomic_store_explicit(&s->taken, 1, memory_order_relaxed);
	for (unsigned i = 0; i < NETSPACE_STOCK_MAX && atomic_load_explicit(&s->n, memory_order_relaxed); i++) {
		if (!atomic_load_explicit(&s->fds[i], memory_order_relaxed))
			continue;
		int fd = atomic_exchange_explicit(&s->fds[i], 0, memory_order_acquire) - 1;
		if (fd < 0)
			continue; /* another worker was quicker */
		if (atomic_fetch_sub_explicit(&s->n, 1, memory_order_relaxed) - 1 <= at_rest[kind] / 2)
			tell_low(s);
		return fd;
	}
	atomic_store_explicit(&s->missed, 1, memory_order_relaxed);
	tell_low(s);
	errno = ENOBUFS;
	return -1;
}

int netspace_diag(const struct netspace *ns)
{
	return ns->diag;
}

int netspace_listen(struct netspace *ns, const struct addr *a, struct err *err)
{
	if (ns->ops)
		return ns->ops->listen(ns->arg, ns, a, err);
	err_set(err, "the container has ended");
	errno = ESRCH;
	return -1;
}

void netspace_unlisten(struct netspace *ns, const struct addr *a)
{
	if (ns->ops)
		ns->ops->unlisten(ns->arg, ns, a);
}

void netspace_share(struct netspace *ns, struct answers *answers, uint64_t group)
{
	ns->answers = answers;
	ns->group = group;
}

struct answers *netspace_answers(const struct netspace *ns, uint64_t *group)
{
	*group = ns ? ns->group : 0;
	return ns ? ns->answers : NULL;
}

const char *netspace_dns(const struct netspace *ns)
{
	return ns->dns;
}

void netspace_dns_told(struct netspace *ns, bool answered)
{
	if (!ns)
		return;
	atomic_fetch_add_explicit(answered ? &ns->dns_answered : &ns->dns_failed, 1, memory_order_relaxed);
	atomic_store_explicit(&ns->dns_fails, !answered, memory_order_relaxed);
}

struct netspace_dns_view netspace_dns_view(const struct netspace *ns)
{
	return (struct netspace_dns_view){ .answered = atomic_load_explicit(&ns->dns_answered, memory_order_relaxed),
		.failed = atomic_load_explicit(&ns->dns_failed, memory_order_relaxed),
		.fails = atomic_load_explicit(&ns->dns_fails, memory_order_relaxed) };
}

unsigned netspace_stock(const struct netspace *ns, enum netspace_kind kind)
{
	return kind < NETSPACE_DIAG ? atomic_load_explicit(&ns->stocks[kind].n, memory_order_relaxed) : ns->diag >= 0;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

struct netspace *netspace_new(struct loop *control, const char *dns, const struct netspace_ops *ops, void *arg)
{
	struct netspace *ns = mem_zalloc(sizeof(*ns));

	if (!ns)
		return NULL;
	ns->control = control;
	ns->dns = dns;
	ns->ops = ops;
	ns->arg = arg;
	ns->diag = -1;
	atomic_init(&ns->refs, 1);
	for (unsigned k = 0; k < NETSPACE_DIAG; k++) {
		struct stock *s = &ns->stocks[k];
		s->of = ns;
		s->kind = (uint8_t)k;
		s->mail.fn = on_low;
		s->target = at_rest[k];
	}
	return ns;
}

struct netspace *netspace_ref(struct netspace *ns)
{
	if (ns)
		atomic_fetch_add_explicit(&ns->refs, 1, memory_order_relaxed);
	return ns;
}

void netspace_cut(struct netspace *ns)
{
	ns->ops = NULL;
}

void netspace_unref(struct netspace *ns)
{
	if (!ns || atomic_fetch_sub_explicit(&ns->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned k = 0; k < NETSPACE_DIAG; k++) {
		for (unsigned i = 0; i < NETSPACE_STOCK_MAX; i++) {
			int fd = atomic_load_explicit(&ns->stocks[k].fds[i], memory_order_relaxed) - 1;
			if (fd >= 0)
				close(fd);
		}
	}
	if (ns->diag >= 0)
		close(ns->diag);
	mem_free(ns);
}
