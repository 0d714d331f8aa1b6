/* A change of options while serving: a new spec, its ports, and the way of the old ones back.
 *
 *     apply: build spec, in slices ─> open new ports ─> worker_set_sidecar to each ─> a mail behind it ─> all have read it: close
 *                                                     │                                        ports that nobody has now
 *                                                     └─ old spec: released() when its last exchange ended */
#include "attach/process.h"

#include "control/handler.h"

#include "base/mem.h"
#include "control/commands.h"

#include <stdio.h>

extern char **environ;

/* --- references that workers hold ------------------------------------------------------------------------------ */

struct spec_hold {
	struct list link;
	struct spec_sidecar *spec;
	unsigned n;
};

static struct spec_hold *find_hold(struct process *p, const struct spec_sidecar *spec)
{
	LIST_EACH(it, tmp, &p->specs) {
		struct spec_hold *h = LIST_OWNER(it, struct spec_hold, link);
		if (h->spec == spec)
			return h;
	}
	return NULL;
}

bool spec_hold(struct process *p, struct spec_sidecar *spec)
{
	struct spec_hold *h = find_hold(p, spec);
	if (!h) {
		h = mem_zalloc(sizeof(*h));
		if (!h)
			return false;
		h->spec = spec;
		list_push(&p->specs, &h->link);
	}
	h->n++;
	spec->refs++;
	return true;
}

void spec_drop(struct process *p, struct spec_sidecar *spec)
{
	struct spec_hold *h = find_hold(p, spec);
	if (!h)
		return;
	build_unref(spec);
	if (--h->n > 0)
		return;
	list_remove(&h->link);
	mem_free(h);
}

void spec_drop_all(struct process *p)
{
	while (!list_empty(&p->specs)) {
		struct spec_hold *h = LIST_OWNER(p->specs.next, struct spec_hold, link);
		spec_drop(p, h->spec);
	}
}

/* --- closing ports that no worker has any more ------------------------------------------------------------------- */

struct change_mail { /* goes to a worker behind its new spec, and comes back */
	struct mail m;
	struct spec_change *change;
};

struct spec_change {
	struct list link;
	struct process *p;
	struct ports old; /* what the new ones did not take over */
	unsigned waiting;
	struct change_mail at[];
};

static void change_free(struct spec_change *c)
{
	list_remove(&c->link);
	ports_close(&c->old);
	mem_free(c);
}

static void on_came_back(struct mail *m)
{
	struct spec_change *c = LIST_OWNER(m, struct change_mail, m)->change;
	if (--c->waiting == 0)
		change_free(c);
}

static void on_worker(struct mail *m) /* a worker's thread */
{
	struct spec_change *c = LIST_OWNER(m, struct change_mail, m)->change;
	m->fn = on_came_back;
	loop_post(c->p->loop, m);
}

static struct spec_change *change_new(struct process *p)
{
	struct spec_change *c = mem_zalloc(sizeof(*c) + p->agent.n_workers * sizeof(c->at[0]));
	if (!c)
		return NULL;
	c->p = p;
	list_init(&c->link);
	return c;
}

static void change_send(struct spec_change *c)
{
	struct process *p = c->p;
	list_append(&p->changes, &c->link);
	c->waiting = p->agent.n_workers;
	for (unsigned w = 0; w < p->agent.n_workers; w++) {
		c->at[w] = (struct change_mail){ .m = { .fn = on_worker }, .change = c };
		loop_post(worker_loop(p->agent.workers[w]), &c->at[w].m);
	}
}

/* --- publishing -------------------------------------------------------------------------------------------------- */

static bool tell_worker(struct process *p, unsigned w, struct spec_sidecar *spec, const struct ports *ports)
{
	if (!spec_hold(p, spec))
		return false;
	if (worker_set_sidecar(p->agent.workers[w], spec, ports_of_worker(ports, w)))
		return true;
	spec_drop(p, spec);
	return false;
}

/* All workers or none: those that were told already are told the old one again. */
static bool tell_workers(struct process *p, struct spec_sidecar *spec, const struct ports *ports, struct err *err)
{
	for (unsigned w = 0; w < p->agent.n_workers; w++) {
		if (tell_worker(p, w, spec, ports))
			continue;
		while (w-- > 0) {
			if (!tell_worker(p, w, p->sidecar.spec, &p->ports))
				log_write(&p->log, LEVEL_ERROR, "config",
					"a worker keeps options that were refused: memory is short",
					LOG_FIELDS(log_u64("worker", w)));
		}
		return err_set(err, "memory is short");
	}
	return true;
}

static bool publish(struct process *p, struct spec_sidecar *spec, struct err *err)
{
	struct ports ports;
	struct spec_change *c = change_new(p);
	if (!c)
		return err_set(err, "memory is short");
	if (!ports_follow(&ports, spec, &p->ports, p->sidecar.spec, &p->log, err)) {
		mem_free(c);
		return err_prefix(err, "a listener of the new options cannot be opened");
	}
	bool told = tell_workers(p, spec, &ports, err);
	c->old = told ? p->ports : ports;
	if (told)
		p->ports = ports;
	ports_forget(&c->old, &p->ports);
	change_send(c);
	return told;
}

/* --- making ------------------------------------------------------------------------------------------------------- */

bool reloading_applies(const struct process *p)
{
	return p->making.build && p->making.options != reload_options(p->reload);
}

void reloading_give_up(struct process *p)
{
	build_cancel(p->making.build);
	p->making = (struct making){ .build = NULL };
}

/* What is discovered from now on may be in it or not, so it is wanted once more then. */
static bool begin_making(struct process *p, const struct options *o, struct err *err)
{
	struct build_request q = discovering_request(p, o);

	reloading_give_up(p);
	q.stamp = o == reload_options(p->reload) ? p->stamp : slots_serial(p->slots);
	p->making = (struct making){ build_begin(&q, err), o, q.stamp };
	p->respec_wanted = false;
	return p->making.build != NULL;
}

static bool put_in_force(struct process *p, struct err *err)
{
	struct making m = p->making;
	struct spec_sidecar *spec = build_take(m.build);

	p->making = (struct making){ .build = NULL };
	minding_follow(p, m.options, spec);
	if (!publish(p, spec, err)) {
		minding_follow(p, reload_options(p->reload), p->sidecar.spec);
		build_unref(spec);
		return false;
	}
	build_unref(p->sidecar.spec);
	p->sidecar.spec = spec;
	p->stamp = m.stamp;
	return true;
}

enum build_state reloading_publish(struct process *p, const struct options *o, usec until, struct err *err)
{
	if ((!p->making.build || p->making.options != o) && !begin_making(p, o, err))
		return BUILD_FAILED;
	enum build_state state = build_step(p->making.build, until, err);
	if (state == BUILD_FAILED)
		reloading_give_up(p);
	else if (state == BUILD_DONE && !put_in_force(p, err))
		state = BUILD_FAILED;
	return state;
}

static enum reload_apply on_apply(void *arg, const struct options *o, usec until, struct err *err)
{
	struct process *p = arg;
	bool begins = p->making.options != o;

	if (!p->sidecar.spec || p->drain.phase != DRAIN_PHASE_SERVING) {
		reloading_give_up(p);
		err_set(err, "the agent is starting or leaving");
		return APPLY_FAILED;
	}
	if (begins)
		discovering_names(p, o);
	enum build_state state = reloading_publish(p, o, until, err);
	if (state == BUILD_MORE)
		return APPLY_MORE;
	/* It may have taken the place of a spec with what is discovered, which was half made. */
	p->respec_wanted = p->respec_wanted || state == BUILD_FAILED;
	discovering_again(p);
	if (state == BUILD_DONE && p->handler && p->kind != PROCESS_EDGE)
		handler_options(p->handler, o);
	return state == BUILD_DONE ? APPLY_DONE : APPLY_FAILED;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static bool must_stop(void *arg)
{
	const struct process *p = arg;
	return p->drain.phase != DRAIN_PHASE_SERVING;
}

bool reloading_first(struct process *p, int *status, struct err *err)
{
	struct reload_config c = {
		.loop = p->loop,
		.log = &p->log,
		.start = p->options,
		.command = process_options_for(p->kind),
		.argc = p->argc,
		.argv = p->argv,
		.environ_ = environ,
		.apply = on_apply,
		.arg = p,
	};
	p->reload = reload_new(&c, err);
	if (p->reload && reload_first(p->reload, must_stop, p, err))
		return true;
	if (!p->reload || reload_problems(p->reload))
		*status = EXIT_USAGE;
	return false;
}

void reloading_release(struct process *p)
{
	while (!list_empty(&p->changes))
		change_free(LIST_OWNER(p->changes.next, struct spec_change, link));
	reloading_give_up(p);
	reload_free(p->reload);
	p->reload = NULL;
}
