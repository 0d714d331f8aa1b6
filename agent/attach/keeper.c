#include "attach/keeper.h"

#include "attach/child.h"
#include "attach/privileges.h"
#include "attach/seccomp.h"
#include "control/commands.h"
#include "control/option_value.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define STOP_SPARE (500 * USEC_MS) /* of the stop time, for the proxy's own end */

/* --- engine ---------------------------------------------------------------------------------------------------------- */

static bool on_container(void *arg, const struct container *c)
{
	neighbours_see(arg, c);
	return wards_see(arg, c);
}

static void on_unread(void *arg, struct str id, const char *why)
{
	wards_unread(arg, id, why);
}

static void on_joined(void *arg)
{
	early_look(arg);
}

static void on_stopping(void *arg, struct str id)
{
	wards_stopping(arg, id);
}

static void on_gone(void *arg, struct str id)
{
	neighbours_gone(arg, id);
	wards_gone(arg, id);
}

static void on_listed(void *arg)
{
	struct keeper *k = arg;
	k->listed = true;
	k->logs_since = clock_wall() * 1000;
	early_begin(k);
	handover_look(k);
	logs_look_all(k);
	neighbours_tell(k);
	facts_tell(k);
	if (!k->engine_version[0])
		log_write(&k->log, LEVEL_WARN, "keeper", "this node has no name: the engine refuses GETs of /info", NULL);
	log_write(&k->log, LEVEL_INFO, "keeper", "the engine's containers are known",
		LOG_FIELDS(log_text("node", k->node), log_text("engine", k->engine_version)));
}

static void on_info(void *arg, const struct engine_info *i)
{
	struct keeper *k = arg;
	(void)str_copy(i->node, k->node, sizeof(k->node));
	(void)str_copy(i->node_id, k->node_id, sizeof(k->node_id));
	(void)str_copy(i->version, k->engine_version, sizeof(k->engine_version));
	k->swarm = i->swarm;
	k->manager = i->manager;
	k->api = i->api;
	proxy_tell_node(k);
}

static void on_trouble(void *arg, const char *why)
{
	struct keeper *k = arg;
	snprintf(k->trouble, sizeof(k->trouble), "%s", why);
	facts_tell(k);
	if (why[0])
		log_write(&k->log, LEVEL_ERROR, "keeper", "the container engine is in trouble, what is known of containers stays",
			LOG_FIELDS(log_text("why", why)));
	else
		log_write(&k->log, LEVEL_INFO, "keeper", "the container engine is well again", NULL);
}

/* --- the stop -------------------------------------------------------------------------------------------------------- */

/* Without a successor it serves until the last container has ended, which swarm stops at the same time (a node is drained), or until
 * its own time is up; then what is in flight finishes. */
void keeper_look_at_stop(struct keeper *k)
{
	if (!k->stopping)
		return;
	usec now = loop_touch(k->loop);
	bool ended = !k->proxy.pid && (k->proxy.told != PROXY_SERVES || k->handed || wards_served(k) == 0); /* else another is started */
	if (ended || now >= k->deadline) {
		loop_stop(k->loop);
		return;
	}
	bool late = now + STOP_SPARE >= k->deadline;
	if (wards_served(k) == 0 || k->handed || late)
		proxy_stop(k, false);
	timer_set(k->loop, &k->stop_timer, k->proxy.told == PROXY_DRAINS ? k->deadline : k->deadline - STOP_SPARE);
}

static void on_stop_timer(void *arg)
{
	keeper_look_at_stop(arg);
}

static void on_stop(void *arg, int signo)
{
	struct keeper *k = arg;
	bool again = k->stopping;

	k->stopping = true;
	if (!again) {
		k->deadline = loop_touch(k->loop) + options_duration(k->options, OPT_STOP_TIMEOUT);
		log_write(&k->log, LEVEL_INFO, "keeper", "stopping",
			LOG_FIELDS(log_i64("signal", signo), log_u64("containers", wards_served(k))));
	} else { /* who asks twice has no patience */
		proxy_stop(k, false);
		k->deadline = loop_touch(k->loop) + STOP_SPARE;
	}
	keeper_look_at_stop(k);
}

static void on_child(void *arg, int signo)
{
	(void)signo;
	proxy_ended(arg);
}

/* Files of log records are the proxy's. */
static void on_reopen(void *arg, int signo)
{
	struct keeper *k = arg;
	struct wire_record r = { .op = WIRE_REOPEN };

	(void)signo;
	(void)proxy_send(k, &r, NULL, 0);
}

/* --- life ------------------------------------------------------------------------------------------------------------- */

static bool watch_signals(struct keeper *k, struct err *err)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	(void)sigaction(SIGPIPE, &ignore, NULL);
	if (sigwatch_on(&k->on_term, k->loop, SIGTERM, on_stop, k) && sigwatch_on(&k->on_int, k->loop, SIGINT, on_stop, k) &&
		sigwatch_on(&k->on_child, k->loop, SIGCHLD, on_child, k) && sigwatch_on(&k->on_usr1, k->loop, SIGUSR1, on_reopen, k))
		return true;
	return err_set(err, "signals cannot be watched: memory or descriptors are short");
}

/* Names what is missing before anything else fails of it. */
static bool check_rights(struct err *err)
{
	static const struct {
		unsigned capability;
		const char *name, *lost;
	} needed[] = {
		{ CAP_SYS_ADMIN, "SYS_ADMIN", "containers' namespaces cannot be entered" },
		{ CAP_SETUID, "SETUID", "the proxy cannot give up root" },
		{ CAP_SETGID, "SETGID", "the proxy cannot give up root's groups" },
	};
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!privileges_has(needed[i].capability))
			return err_set(err, "capability %s is missing, without it %s; the agent's service needs cap_drop: [ALL], "
					    "cap_add: [SYS_ADMIN, SETUID, SETGID], and user root",
				needed[i].name, needed[i].lost);
	return true;
}

static bool open_engine(struct keeper *k, struct err *err)
{
	struct engine_config c = {
		.loop = k->loop,
		.container = on_container,
		.unread = on_unread,
		.joined = on_joined,
		.stopping = on_stopping,
		.gone = on_gone,
		.listed = on_listed,
		.info = on_info,
		.trouble = on_trouble,
		.arg = k,
	};
	char text[ADDR_TEXT_MAX];
	snprintf(text, sizeof(text), "unix:%.*s", STR_ARG(options_text(k->options, OPT_ENGINE)));
	if (!addr_parse(str_of(text), &c.to, err))
		return err_prefix(err, "outrider.engine");
	k->engine_at = c.to;
	k->engine = engine_open(&c, err);
	return k->engine != NULL;
}

/* Without a filter of its own it goes on: the engine's stands above. */
static bool confine(struct keeper *k)
{
	struct err err = { "" };

	if (!seccomp_confine(SECCOMP_KEEPER, &err))
		log_write(&k->log, LEVEL_WARN, "keeper", "without a filter of system calls", LOG_FIELDS(log_text("why", err.text)));
	return true;
}

static bool start(struct keeper *k, struct err *err)
{
	struct child_limits limits;

	k->loop = loop_new(err);
	child_limits_raise(&limits); /* listeners and stocks of many containers; the proxy has the same limit */
	timer_init(&k->stop_timer, on_stop_timer, k);
	timer_init(&k->again_timer, wards_try_again, k);
	neighbours_begin(k);
	if (k->loop)
		facts_begin(k);
	if (!k->loop || !check_rights(err) || !netns_begin(&k->home, options_text(k->options, OPT_NETNS).p, err))
		return false;
	facts_look(k);
	return privileges_no_new(err) && confine(k) && watch_signals(k, err) && handover_begin(k, options_text(k->options, OPT_RUN), err) &&
	       proxy_start(k, err) && open_engine(k, err);
}

/* Its sockets are the keeper's alone, and its addresses would be chosen among the agent's networks, not the container's. */
static bool names_docker(const struct options *o)
{
	struct str rest = options_text(o, OPT_REGISTRY), item;

	while (option_item_next(&rest, &item))
		if (str_eq(item, STR("docker")) || str_starts(item, STR("docker:")))
			return true;
	return false;
}

static int read_options(struct keeper *k)
{
	int rest;
	k->options = commands_read_options(k->argc, k->argv, &rest);
	if (!k->options)
		return 1;
	bool good = commands_check_options(k->options, COMMAND_ANY);
	if (rest < k->argc)
		fprintf(stderr, "outrider node: unexpected argument \"%s\"; options are written --name=value, see: outrider node --help\n",
			k->argv[rest]);
	if (good && names_docker(k->options)) {
		fprintf(stderr, "outrider node: outrider.registry=docker: is for an edge or a sidecar on a manager; a node's agent asks dns:, which knows the "
				"same instances: leave the option away, or set OUTRIDER_REGISTRY=dns:\n");
		good = false;
	}
	k->log.level = (enum log_level)options_u64(k->options, OPT_LOG_LEVEL);
	k->rule = (struct container_rule){ .all = options_u64(k->options, OPT_EXPOSE) == 1, .stacks = options_text(k->options, OPT_EXPOSE_STACKS),
		.networks = options_text(k->options, OPT_EXPOSE_NETWORKS) };
	return good && rest >= k->argc ? 0 : 2;
}

static void end(struct keeper *k)
{
	engine_close(k->engine);
	proxy_end(k);
	handover_end(k);
	if (k->proxy.timer.fn)
		timer_clear(&k->proxy.timer);
	if (k->stop_timer.fn) {
		timer_clear(&k->stop_timer);
		timer_clear(&k->again_timer);
	}
	facts_end(k);
	neighbours_end(k);
	wards_end_all(k);
	logs_proxy_ended(k);
	early_end(k);
	sigwatch_off(&k->on_term);
	sigwatch_off(&k->on_int);
	sigwatch_off(&k->on_child);
	sigwatch_off(&k->on_usr1);
	watch_off(&k->proxy.on_records);
	watch_off(&k->proxy.on_calls);
	outbox_close(&k->proxy.outbox);
	netns_end(&k->home);
	loop_free(k->loop);
	options_free(k->options);
}

int keeper_main(const char *version, int argc, char **argv)
{
	struct keeper k = { .version = version, .argc = argc, .argv = argv, .home = { .own = -1, .folder = -1 } };
	struct err err = { "" };

	list_init(&k.wards);
	list_init(&k.used);
	list_init(&k.neighbours);
	list_init(&k.logs);
	log_init(&k.log, STDERR_FILENO, LEVEL_INFO);
	int status = read_options(&k);
	if (status == 0 && !start(&k, &err)) {
		log_write(&k.log, LEVEL_ERROR, "keeper", "cannot serve", LOG_FIELDS(log_text("why", err.text)));
		status = 1;
	}
	if (status == 0) {
		loop_run(k.loop);
		log_write(&k.log, LEVEL_INFO, "keeper", "left", NULL);
	}
	end(&k);
	return status;
}
