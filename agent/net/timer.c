#include "net/timer.h"

#include "net/loop_int.h"

/* Sees to it that wheel_ev fires at `when` or earlier. libevent counts from its coarse cached clock, so it may wake
 * some ms early; the wheel then fires nothing and on_wheel() arms the rest. */
static void arm(struct loop *l, usec when)
{
	if (when >= l->wheel_armed)
		return;
	usec now = loop_now(l);
	usec wait = when > now ? when - now : 0;
	struct timeval tv = { .tv_sec = (time_t)(wait / USEC_SEC),
			      .tv_usec = (suseconds_t)(wait % USEC_SEC) };
	if (event_add(&l->wheel_ev, &tv) == 0)
		l->wheel_armed = when;
}

static void on_wheel(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct loop *l = arg;
	/* Stays "armed for now" during the callbacks, so that each timer_set() in them costs no event_add(). */
	l->wheel_armed = 0;
	wheel_advance(&l->wheel, loop_now(l));
	l->wheel_armed = USEC_NEVER;
	usec next = wheel_next(&l->wheel);
	if (next != USEC_NEVER)
		arm(l, next);
}

void loop_skip(struct loop *l, usec d)
{
	l->skew += d;
	l->now_is_fresh = false;
	on_wheel(-1, 0, l);
}

void loop_timers_init(struct loop *l)
{
	wheel_init(&l->wheel, loop_now(l));
	l->wheel_armed = USEC_NEVER;
	evtimer_assign(&l->wheel_ev, l->base, on_wheel, l);
	event_priority_set(&l->wheel_ev, TURN_FIRST);
}

void loop_timers_release(struct loop *l)
{
	if (l->wheel_ev.ev_base) /* loop_new() may have failed before it was assigned */
		event_del(&l->wheel_ev);
}

void timer_init(struct timer *t, void (*fn)(void *arg), void *arg)
{
	list_init(&t->link);
	t->deadline = t->queued = USEC_NEVER;
	t->fn = fn;
	t->arg = arg;
}

void timer_set(struct loop *l, struct timer *t, usec deadline)
{
	if (deadline == USEC_NEVER) {
		timer_clear(t);
		return;
	}
	t->deadline = deadline;
	if (!list_empty(&t->link)) {
		if (deadline >= t->queued)
			return; /* lazily: when its slot comes it is queued anew */
		list_remove(&t->link);
	}
	usec now = loop_now(l);
	if (l->wheel_armed == USEC_NEVER)
		wheel_restart(&l->wheel, now);
	arm(l, wheel_add(&l->wheel, t, now));
}

void timer_clear(struct timer *t)
{
	list_remove(&t->link);
	t->deadline = USEC_NEVER;
}
