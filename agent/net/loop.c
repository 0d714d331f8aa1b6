#include "net/loop_int.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- life -------------------------------------------------------------------------------------------- */

static struct event_base *base_new(void)
{
	struct event_config *cfg = event_config_new();
	if (!cfg)
		return NULL;
	struct event_base *base = NULL;
	if (event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK) == 0 &&
	    event_config_set_flag(cfg, EVENT_BASE_FLAG_IGNORE_ENV) == 0)
		base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (base && event_base_priority_init(base, TURN_CLASSES) != 0) {
		event_base_free(base);
		base = NULL;
	}
	return base;
}

static struct mail *in_order_of_posting(struct mail *newest)
{
	struct mail *oldest = NULL;
	while (newest) {
		struct mail *next = newest->next;
		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

static void on_wake(void *arg, short what)
{
	(void)what;
	struct loop *l = arg;
	uint64_t count;
	/* Reading comes first: whoever posts into the box after it was emptied below writes again. */
	ssize_t n = read(l->wake_fd, &count, sizeof(count));
	(void)n;
	struct mail *m = atomic_exchange_explicit(&l->box, NULL, memory_order_acquire);
	for (m = in_order_of_posting(m); m;) {
		struct mail *next = m->next;
		m->fn(m);
		m = next;
	}
}

struct loop *loop_new(struct err *err)
{
	struct loop *l = mem_zalloc(sizeof(*l));
	if (!l) {
		err_set(err, "event loop: out of memory");
		return NULL;
	}
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	l->base = base_new();
	if (l->wake_fd < 0 || !l->base) {
		err_set(err, "event loop: %s", errno ? strerror(errno) : "out of memory");
		loop_free(l);
		return NULL;
	}
	atomic_init(&l->box, NULL);
	atomic_init(&l->stopped, false);
	atomic_init(&l->turns, 0);
	loop_timers_init(l);
	watch_init(&l->wake, l, l->wake_fd, EV_READ, on_wake, l);
	if (!watch_on(&l->wake)) {
		err_set(err, "event loop: the kernel refused to watch a descriptor");
		loop_free(l);
		return NULL;
	}
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	watch_off(&l->wake);
	if (l->base) {
		loop_timers_release(l);
		event_base_free(l->base);
	}
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	mem_free(l);
}

/* --- turning ------------------------------------------------------------------------------------------- */

void loop_turn(struct loop *l, bool block)
{
	l->now_is_fresh = false;
	l->n_in_turn = l->n_later = 0;
	event_base_loop(l->base, EVLOOP_ONCE | (block && !l->again ? 0 : EVLOOP_NONBLOCK));
	l->again = false;
	if (l->on_turn)
		l->on_turn(l->on_turn_arg);
	/* Only this thread writes it, so no locked instruction. */
	uint_fast64_t turns = atomic_load_explicit(&l->turns, memory_order_relaxed);
	atomic_store_explicit(&l->turns, turns + 1, memory_order_relaxed);
}

void loop_run(struct loop *l)
{
	while (!atomic_load_explicit(&l->stopped, memory_order_acquire))
		loop_turn(l, true);
}

static void wake(struct loop *l)
{
	uint64_t one = 1;
	/* EAGAIN means that the counter is full: then the loop is awake anyhow. */
	ssize_t n = write(l->wake_fd, &one, sizeof(one));
	(void)n;
}

void loop_stop(struct loop *l)
{
	atomic_store_explicit(&l->stopped, true, memory_order_release);
	int saved = errno;
	wake(l);
	errno = saved;
}

usec loop_now(const struct loop *l)
{
	/* Reading the clock on first use spares turns that need no time the call. The const of the contract
	 * is about what the caller sees; loops themselves are never const objects. */
	return l->now_is_fresh ? l->now : loop_touch((struct loop *)(uintptr_t)l);
}

usec loop_touch(struct loop *l)
{
	l->now = clock_now() + l->skew;
	l->now_is_fresh = true;
	return l->now;
}

uint64_t loop_turns(const struct loop *l)
{
	return atomic_load_explicit(&l->turns, memory_order_relaxed);
}

void loop_count(struct loop *l, enum loop_count what)
{
	atomic_store_explicit(&l->counts[what], atomic_load_explicit(&l->counts[what], memory_order_relaxed) + 1, memory_order_relaxed);
}

uint64_t loop_counted(const struct loop *l, enum loop_count what)
{
	return atomic_load_explicit(&l->counts[what], memory_order_relaxed);
}

void loop_on_turn(struct loop *l, void (*fn)(void *arg), void *arg)
{
	l->on_turn = fn;
	l->on_turn_arg = arg;
}

void loop_again(struct loop *l)
{
	l->again = true;
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

/* --- mail ------------------------------------------------------------------------------------------------ */

void loop_post(struct loop *l, struct mail *m)
{
	struct mail *old = atomic_load_explicit(&l->box, memory_order_relaxed);
	do {
		m->next = old;
	} while (!atomic_compare_exchange_weak_explicit(&l->box, &old, m, memory_order_release,
							memory_order_relaxed));
	if (!old)
		wake(l);
}

/* The exchange is an acquire: what was written before a ring that found it in the box is seen by what fn does. */
static void on_bell(struct mail *m)
{
	struct bell *b = LIST_OWNER(m, struct bell, mail);

	(void)atomic_exchange_explicit(&b->in_box, false, memory_order_acq_rel);
	b->fn(b);
}

void bell_init(struct bell *b, void (*fn)(struct bell *b))
{
	b->mail.fn = on_bell;
	b->fn = fn;
	atomic_init(&b->in_box, false);
}

void bell_ring(struct loop *l, struct bell *b)
{
	if (!atomic_exchange_explicit(&b->in_box, true, memory_order_acq_rel))
		loop_post(l, &b->mail);
}

/* --- whose turn it is ---------------------------------------------------------------------------------------- */

#define PARTY_WINDOW 256  /* events: some 5 ms of a worker that has no time left */
#define PARTY_SHARE 64    /* of them, and whoever had more comes later */
#define LATER_WINDOWS 8   /* for so long; two who flood would else take a window each by turns */
#define TURN_MAX 64       /* events of a turn while several have some */
#define SHARED_WINDOWS 64 /* that long after the last event of another party a loop counts as shared */

void party_init(struct party *p, struct loop *l)
{
	*p = (struct party){ .loop = l };
}

static void next_window(struct loop *l)
{
	l->window++;
	l->n_in_window = 0;
}

/* An event of p. Is anybody else there? */
static bool party_counts(struct party *p)
{
	struct loop *l = p->loop;

	if (l->latest != p) {
		l->shared_until = l->latest ? l->window + SHARED_WINDOWS : 0;
		l->latest = p;
	}
	if (p->window != l->window) {
		if (p->n > PARTY_SHARE)
			p->later_until = p->window + 1 + LATER_WINDOWS;
		p->window = l->window;
		p->n = 0;
	}
	p->n++;
	if (++l->n_in_window == PARTY_WINDOW)
		next_window(l);
	return l->window < l->shared_until;
}

/* The turn of a busy party ends early: the next one asks the kernel first who else is ready. And no turn lasts for as long as
 * the first have events: time and the end of a turn must come. */
static bool is_enough(struct loop *l, bool shared, bool later)
{
	return shared && (++l->n_in_turn >= TURN_MAX || (later && ++l->n_later >= PARTY_BATCH));
}

static void take_turn(struct watch *w)
{
	struct party *p = w->party;
	struct loop *l = p->loop;
	bool shared = party_counts(p), later = shared && l->window < p->later_until;
	int class = later ? TURN_LATER : TURN_FIRST;

	if (event_get_priority(&w->ev) != class)
		event_priority_set(&w->ev, class);
	if (is_enough(l, shared, later))
		event_base_loopbreak(l->base);
}

bool party_floods(const struct party *p)
{
	const struct loop *l = p->loop;
	return l->window < l->shared_until && l->window < p->later_until;
}

bool party_goes_on(struct party *p)
{
	struct loop *l = p->loop;
	bool shared = party_counts(p);

	if (!is_enough(l, shared, shared && l->window < p->later_until))
		return true;
	event_base_loopbreak(l->base);
	return false;
}

/* --- readiness --------------------------------------------------------------------------------------------- */

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	struct watch *w = arg;
	if (w->party)
		take_turn(w);
	w->fn(w->arg, what);
}

void watch_init(struct watch *w, struct loop *l, int fd, short events, void (*fn)(void *, short), void *arg)
{
	w->fn = fn;
	w->arg = arg;
	w->party = NULL;
	w->on = false;
	event_assign(&w->ev, l->base, fd, (short)(events | EV_PERSIST), on_event, w);
	event_priority_set(&w->ev, TURN_FIRST); /* libevent's own choice is the middle */
}

bool watch_on(struct watch *w)
{
	if (!w->on)
		w->on = event_add(&w->ev, NULL) == 0;
	return w->on;
}

void watch_off(struct watch *w)
{
	if (w->on)
		event_del(&w->ev);
	w->on = false;
}

/* --- signals ------------------------------------------------------------------------------------------------- */

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
	(void)what;
	struct sigwatch *s = arg;
	s->fn(s->arg, signo);
}

bool sigwatch_on(struct sigwatch *s, struct loop *l, int signo, void (*fn)(void *, int), void *arg)
{
	s->fn = fn;
	s->arg = arg;
	return evsignal_assign(&s->ev, l->base, signo, on_signal, s) == 0 && event_priority_set(&s->ev, TURN_FIRST) == 0 && event_add(&s->ev, NULL) == 0;
}

void sigwatch_off(struct sigwatch *s)
{
	if (s->fn)
		event_del(&s->ev);
	s->fn = NULL;
}
