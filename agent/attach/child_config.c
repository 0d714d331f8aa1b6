/* The child of `exec` and the service's own properties: what it is started with, and what a change does to it. */
#include "attach/process.h"

#include "control/app_env.h"

#include <signal.h>

extern char **environ;

/* Words of outrider.on-change, in the order of the table. */
enum { ON_CHANGE_NOTHING, ON_CHANGE_RESTART, ON_CHANGE_SIGNAL };
static const int signals[] = { SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGQUIT, SIGTERM };

static uint64_t own_hash(const struct properties *p)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < p->n; i++)
		if (app_owns(p->at[i].key))
			sum += str_hash(p->at[i].value, str_hash(p->at[i].key, 1));
	return sum;
}

static bool render(struct process *p, struct err *err)
{
	struct str spec = options_text(p->sidecar.options, OPT_APP_TEMPLATE);
	return !spec.n || app_template_write(reload_properties(p->sidecar.reload), spec, environ, err);
}

char **child_config_prepare(struct process *p, struct arena *a, struct err *err)
{
	const struct properties *props = reload_properties(p->sidecar.reload);
	struct str selection = options_text(p->sidecar.options, OPT_APP_ENV);

	if (selection.n && !str_eq(selection, STR("all")) && !str_starts(selection, STR("prefix:"))) {
		err_set(err, "outrider.app-env=%.*s: expected all, or prefix: and the beginning of keys, as prefix:app.",
			STR_ARG(selection));
		return NULL;
	}
	if (!render(p, err))
		return NULL;
	p->child_hash = own_hash(props);
	char **ret = app_environment(a, props, selection);
	if (!ret)
		err_set(err, "out of memory, or the properties for the child are more than it can be given");
	return ret;
}

/* --- a change --------------------------------------------------------------------------------------------------- */

static void on_kill(void *arg)
{
	struct process *p = arg;
	if (!p->child_restarts)
		return;
	log_write(&p->sidecar.log, LEVEL_WARN, "config", "the child did not end in time and is killed",
		LOG_FIELDS(log_i64("pid", p->child.pid)));
	child_signal(&p->child, SIGKILL);
}

static void restart(struct process *p)
{
	if (p->child_restarts) /* it starts with the newest anyhow */
		return;
	p->child_restarts = true;
	log_write(&p->sidecar.log, LEVEL_INFO, "config", "the child is started again: its properties have changed", NULL);
	child_signal(&p->child, SIGTERM);
	timer_set(p->loop, &p->child_kill, loop_touch(p->loop) + p->set.stop_timeout);
}

static void on_change(void *arg)
{
	struct process *p = arg;
	uint64_t what = options_u64(p->sidecar.options, OPT_ON_CHANGE);
	uint64_t hash = own_hash(reload_properties(p->sidecar.reload));
	struct err err = { "" };

	if (hash == p->child_hash || p->drain.phase != DRAIN_PHASE_SERVING || p->child.ended)
		return;
	p->child_hash = hash;
	if (!render(p, &err))
		log_write(&p->sidecar.log, LEVEL_ERROR, "config", "the template cannot be written, the former file stays",
			LOG_FIELDS(log_text("why", err.text)));
	if (what == ON_CHANGE_RESTART)
		restart(p);
	else if (what >= ON_CHANGE_SIGNAL && what - ON_CHANGE_SIGNAL < sizeof(signals) / sizeof(signals[0]))
		child_signal(&p->child, signals[what - ON_CHANGE_SIGNAL]);
}

bool child_config_again(struct process *p)
{
	struct err err = { "" };
	bool wanted = p->child_restarts;

	p->child_restarts = false;
	timer_clear(&p->child_kill);
	if (!wanted || p->drain.phase != DRAIN_PHASE_SERVING)
		return false;
	struct child ended = p->child;
	p->child = (struct child){ .pid = 0 };
	if (leaving_start_child(p, &err))
		return true;
	log_write(&p->sidecar.log, LEVEL_ERROR, "config", "the child cannot be started again",
		LOG_FIELDS(log_text("why", err.text)));
	ended.status = p->child.status;
	p->child = ended;
	return false;
}

void child_config_init(struct process *p)
{
	timer_init(&p->child_kill, on_kill, p);
}

void child_config_watch(struct process *p)
{
	p->child_watch = (struct reload_watch){ .fn = on_change, .arg = p };
	reload_watch(p->sidecar.reload, &p->child_watch);
}

void child_config_release(struct process *p)
{
	reload_unwatch(&p->child_watch);
	if (p->child_kill.fn)
		timer_clear(&p->child_kill);
}
