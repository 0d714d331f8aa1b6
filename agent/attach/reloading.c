/* A change of options while serving: a new spec, its ports, and the way of the old ones back.
 *
 *     apply: build spec, in slices ─> open new ports ─> worker_set_sidecar to each ─> a mail behind it ─> all have read it: close
 *                                                     │                                        ports that nobody has now
 *                                                     └─ old spec: released() when its last exchange ended */
#include "attach/sidecar.h"

#include "control/handler.h"

#include "base/mem.h"
#include "control/commands.h"

#include <stdio.h>

/* --- closing ports that no worker has any more ------------------------------------------------------------------- */

struct change_mail { /* goes to a worker behind its new spec, and comes back */
	struct mail m;
	struct spec_change *change;
};

struct spec_change {
	struct list link;
	struct sidecar *of;
	struct ports old; /* what the new ones did not take over */
	unsigned waiting;
	struct change_mail at[];
};

static void change_free(struct spec_change *c)
{
	list_remove(&c->link);
	ports_give_up(&c->old);
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
	loop_post(c->of->loop, m);
}

static struct spec_change *change_new(struct sidecar *sc)
{
	struct spec_change *c = mem_zalloc(sizeof(*c) + sc->crew->n_workers * sizeof(c->at[0]));
	if (!c)
		return NULL;
	c->of = sc;
	list_init(&c->link);
	return c;
}

static void change_send(struct spec_change *c)
{
	struct sidecar *sc = c->of;
	list_append(&sc->changes, &c->link);
	c->waiting = sc->crew->n_workers;
	for (unsigned w = 0; w < sc->crew->n_workers; w++) {
		c->at[w] = (struct change_mail){ .m = { .fn = on_worker }, .change = c };
		loop_post(worker_loop(sc->crew->workers[w]), &c->at[w].m);
	}
}

/* --- publishing -------------------------------------------------------------------------------------------------- */

static bool tell_worker(struct sidecar *sc, unsigned w, struct spec_sidecar *spec, const struct ports *ports)
{
	if (!crew_hold(sc->crew, spec))
		return false;
	if (worker_set_sidecar(sc->crew->workers[w], spec, ports_of_worker(ports, w)))
		return true;
	crew_drop(sc->crew, spec);
	return false;
}

/* All workers or none: those that were told already are told the old one again. */
bool reloading_tell(struct sidecar *sc, struct spec_sidecar *spec, const struct ports *ports, struct err *err)
{
	for (unsigned w = 0; w < sc->crew->n_workers; w++) {
		if (tell_worker(sc, w, spec, ports))
			continue;
		while (w-- > 0) {
			if (sc->spec != spec && !tell_worker(sc, w, sc->spec, &sc->ports))
				log_write(&sc->log, LEVEL_ERROR, "config",
					"a worker keeps options that were refused: memory is short",
					LOG_FIELDS(log_u64("worker", w)));
		}
		return err_set(err, "memory is short");
	}
	return true;
}

static bool publish(struct sidecar *sc, struct spec_sidecar *spec, struct err *err)
{
	struct ports ports;
	struct spec_change *c = change_new(sc);
	if (!c)
		return err_set(err, "memory is short");
	if (!ports_follow(&ports, spec, &sc->ports, sc->spec, &sc->log, err)) {
		mem_free(c);
		return err_prefix(err, "a listener of the new options cannot be opened");
	}
	bool told = reloading_tell(sc, spec, &ports, err);
	c->old = told ? sc->ports : ports;
	if (told)
		sc->ports = ports;
	ports_forget(&c->old, &sc->ports);
	change_send(c);
	return told;
}

/* --- making ------------------------------------------------------------------------------------------------------- */

bool reloading_applies(const struct sidecar *sc)
{
	return sc->making.build && sc->making.options != reload_options(sc->reload);
}

void reloading_give_up(struct sidecar *sc)
{
	build_cancel(sc->making.build);
	sc->making = (struct making){ .build = NULL };
}

/* What is discovered from now on may be in it or not, so it is wanted once more then. */
static bool begin_making(struct sidecar *sc, const struct options *o, struct err *err)
{
	struct build_request q = discovering_request(sc, o);

	reloading_give_up(sc);
	q.stamp = o == reload_options(sc->reload) ? sc->stamp : slots_serial(sc->crew->slots);
	sc->making = (struct making){ build_begin(&q, err), o, q.stamp };
	sc->respec_wanted = false;
	return sc->making.build != NULL;
}

static bool put_in_force(struct sidecar *sc, struct err *err)
{
	struct making m = sc->making;
	struct spec_sidecar *spec = build_take(m.build);

	sc->making = (struct making){ .build = NULL };
	minding_follow(sc, m.options, spec);
	if (!publish(sc, spec, err)) {
		minding_follow(sc, reload_options(sc->reload), sc->spec);
		build_unref(spec);
		return false;
	}
	build_unref(sc->spec);
	sc->spec = sc->view.spec = spec;
	sc->crew->changes++;
	sc->stamp = m.stamp;
	return true;
}

enum build_state reloading_publish(struct sidecar *sc, const struct options *o, usec until, struct err *err)
{
	if ((!sc->making.build || sc->making.options != o) && !begin_making(sc, o, err))
		return BUILD_FAILED;
	enum build_state state = build_step(sc->making.build, until, err);
	if (state == BUILD_FAILED)
		reloading_give_up(sc);
	else if (state == BUILD_DONE && !put_in_force(sc, err))
		state = BUILD_FAILED;
	return state;
}

static enum reload_apply on_apply(void *arg, const struct options *o, usec until, struct err *err)
{
	struct sidecar *sc = arg;
	bool begins = sc->making.options != o;

	if (!sc->spec || sidecar_leaves(sc)) {
		reloading_give_up(sc);
		err_set(err, "the agent is starting or leaving");
		return APPLY_FAILED;
	}
	if (begins)
		discovering_names(sc, o);
	enum build_state state = reloading_publish(sc, o, until, err);
	if (state == BUILD_MORE)
		return APPLY_MORE;
	/* It may have taken the place of a spec with what is discovered, which was half made. */
	sc->respec_wanted = sc->respec_wanted || state == BUILD_FAILED;
	discovering_again(sc);
	if (state == BUILD_DONE && sc->handler && sc->command != COMMAND_EDGE)
		handler_options(sc->handler, o);
	return state == BUILD_DONE ? APPLY_DONE : APPLY_FAILED;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static void on_ended(void *arg, bool refused)
{
	struct sidecar *sc = arg;
	struct str key, why;

	if (refused && reload_problem(sc->reload, &key, &why))
		agent_note(&sc->agent, CHANGE_CONFIG_REFUSED, STR(""), STR(""), "a change of the configuration was refused, the former stays: %.*s%s%.*s",
			(int)(key.n < 96 ? key.n : 96), key.n ? key.p : "", key.n ? ": " : "", (int)(why.n < 240 ? why.n : 240), why.n ? why.p : "");
	else if (!refused)
		agent_note(&sc->agent, CHANGE_CONFIG, STR(""), STR(""), "configuration %llu is in force%s%s",
			(unsigned long long)reload_stats(sc->reload).version, reload_changed(sc->reload)[0] ? "; changed: " : "",
			reload_changed(sc->reload));
}

static bool must_stop(void *arg)
{
	const struct sidecar *sc = arg;
	return sidecar_leaves(sc);
}

static bool open_reload(struct sidecar *sc, struct err *err)
{
	struct reload_config c = {
		.loop = sc->loop,
		.log = &sc->log,
		.start = sc->options,
		.command = sc->command,
		.argc = sc->argc,
		.argv = sc->argv,
		.environ_ = sc->environ_,
		.layers = sc->layers,
		.apply = on_apply,
		.ended = on_ended,
		.arg = sc,
	};
	sc->reload = reload_new(&c, err);
	return sc->reload != NULL;
}

bool reloading_first(struct sidecar *sc, bool *wrong, struct err *err)
{
	if (open_reload(sc, err) && reload_first(sc->reload, must_stop, sc, err))
		return true;
	*wrong = !sc->reload || reload_problems(sc->reload) > 0;
	return false;
}

bool reloading_now(struct sidecar *sc, struct err *err)
{
	return open_reload(sc, err) && reload_now(sc->reload, err);
}

void reloading_release(struct sidecar *sc)
{
	while (!list_empty(&sc->changes))
		change_free(LIST_OWNER(sc->changes.next, struct spec_change, link));
	reloading_give_up(sc);
	reload_free(sc->reload);
	sc->reload = NULL;
}
