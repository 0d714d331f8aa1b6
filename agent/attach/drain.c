#include "attach/drain.h"

#include <stddef.h>

void drain_init(struct drain *d, const struct drain_config *cfg)
{
	*d = (struct drain){ .cfg = *cfg, .until = USEC_NEVER, .deadline = USEC_NEVER };
}

const char *drain_phase_word(enum drain_phase p)
{
	static const char *const words[] = {
		[DRAIN_PHASE_SERVING] = "serving",
		[DRAIN_PHASE_LAME_DUCK] = "lame-duck",
		[DRAIN_PHASE_INBOUND] = "inbound",
		[DRAIN_PHASE_CHILD] = "child",
		[DRAIN_PHASE_ALL] = "all",
		[DRAIN_PHASE_LEFT] = "left",
	};
	return (unsigned)p < sizeof(words) / sizeof(words[0]) ? words[p] : "?";
}

static usec earlier(usec a, usec b)
{
	return a < b ? a : b;
}

static bool child_lives(const struct drain *d)
{
	return d->cfg.has_child && !d->child_ended;
}

/* --- entering a phase ---------------------------------------------------------------------------------------- */

static unsigned enter_left(struct drain *d)
{
	d->phase = DRAIN_PHASE_LEFT;
	return DRAIN_DO_LEAVE;
}

static unsigned enter_all(struct drain *d, usec until)
{
	d->phase = DRAIN_PHASE_ALL;
	d->until = earlier(until, d->deadline);
	return DRAIN_DO_STOP_ALL;
}

static unsigned enter_child(struct drain *d)
{
	if (!child_lives(d))
		return enter_all(d, USEC_NEVER);
	d->phase = DRAIN_PHASE_CHILD;
	d->until = d->deadline;
	return DRAIN_DO_SIGNAL_CHILD;
}

/* The end of waiting for others: a child that lives keeps its third. */
static usec last_call(const struct drain *d)
{
	return child_lives(d) ? d->deadline - d->cfg.stop_timeout / 3 : d->deadline;
}

static unsigned enter_inbound(struct drain *d)
{
	d->phase = DRAIN_PHASE_INBOUND;
	d->until = last_call(d);
	return DRAIN_DO_STOP_INBOUND;
}

static unsigned enter_lame_duck(struct drain *d, const struct drain_input *in)
{
	usec duck = in->skip_lame_duck ? 0 : d->cfg.lame_duck;
	d->phase = DRAIN_PHASE_LAME_DUCK;
	d->why = "signal";
	d->deadline = in->now + d->cfg.stop_timeout;
	d->until = earlier(in->now + duck, last_call(d));
	return DRAIN_DO_ANNOUNCE;
}

/* --- one step of each phase: 0 when there is nothing to do yet ----------------------------------------------- */

static unsigned step_serving(struct drain *d, const struct drain_input *in)
{
	if (d->cfg.has_child && d->child_ended) {
		d->why = "child ended";
		d->deadline = in->now + d->cfg.stop_timeout;
		return DRAIN_DO_ANNOUNCE | enter_all(d, in->now + DRAIN_AFTER_CHILD);
	}
	return d->signals ? enter_lame_duck(d, in) : 0;
}

/* A child that ends while we wait for others took its handler with it: go on to the end. */
static unsigned step_before_child(struct drain *d, const struct drain_input *in)
{
	if (d->cfg.has_child && d->child_ended)
		return enter_all(d, in->now + DRAIN_AFTER_CHILD);
	if (d->phase == DRAIN_PHASE_LAME_DUCK)
		return d->hurry || in->now >= d->until ? enter_inbound(d) : 0;
	return d->hurry || in->now >= d->until || in->busy_inbound == 0 ? enter_child(d) : 0;
}

static unsigned kill_child(struct drain *d, const struct drain_input *in)
{
	d->killed = true;
	d->until = in->now + DRAIN_AFTER_KILL;
	return DRAIN_DO_KILL_CHILD;
}

static unsigned step_child(struct drain *d, const struct drain_input *in)
{
	if (d->child_ended)
		return d->killed ? enter_left(d) : enter_all(d, USEC_NEVER);
	if (d->killed)
		return in->now >= d->until ? enter_left(d) : 0;
	return in->now >= d->until || d->signals >= 3 ? kill_child(d, in) : 0;
}

static unsigned step_once(struct drain *d, const struct drain_input *in)
{
	switch (d->phase) {
	case DRAIN_PHASE_SERVING:
		return step_serving(d, in);
	case DRAIN_PHASE_LAME_DUCK:
	case DRAIN_PHASE_INBOUND:
		return step_before_child(d, in);
	case DRAIN_PHASE_CHILD:
		return step_child(d, in);
	case DRAIN_PHASE_ALL:
		return d->hurry || in->now >= d->until || in->busy == 0 ? enter_left(d) : 0;
	case DRAIN_PHASE_LEFT:
		break;
	}
	return 0;
}

unsigned drain_step(struct drain *d, const struct drain_input *in)
{
	d->signals += in->signals;
	d->hurry = d->hurry || d->signals >= 2;
	d->child_ended = d->child_ended || in->child_ended;
	unsigned todo = 0;
	for (;;) {
		unsigned more = step_once(d, in);
		if (!more)
			return todo;
		/* What was just asked of the workers shows in their counts later: wait at least until then,
		 * but in a hurry. */
		todo |= more;
		if ((more & (DRAIN_DO_STOP_INBOUND | DRAIN_DO_STOP_ALL)) && !d->hurry)
			return todo;
	}
}
