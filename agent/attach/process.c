#include "attach/process.h"

#include "attach/claim.h"
#include "control/ask.h"
#include "control/commands.h"

#include <stdio.h>
#include <unistd.h>

static const struct {
	const char *word;
	enum command options_for;
} kinds[] = {
	[PROCESS_SIDECAR] = { "sidecar", COMMAND_SIDECAR },
	[PROCESS_EXEC] = { "exec", COMMAND_EXEC },
	[PROCESS_EDGE] = { "edge", COMMAND_EDGE },
};

enum command process_options_for(enum process_kind kind)
{
	return kinds[kind].options_for;
}

/* --- options --------------------------------------------------------------------------------------------------- */

static void read_settings(struct process *p)
{
	const struct options *o = p->options;
	p->set = (struct process_settings){
		.lame_duck = options_duration(o, OPT_LAME_DUCK),
		.stop_timeout = options_duration(o, OPT_STOP_TIMEOUT),
		.workers = options_workers(o),
		.proxy_env = options_bool(o, OPT_EXEC_PROXY_ENV),
		.admin = options_text(o, OPT_ADMIN),
		.guard = { .token = options_text(o, OPT_ADMIN_TOKEN),
			.hosts = options_text(o, OPT_ADMIN_HOSTS) },
		.log_level = (enum log_level)options_u64(o, OPT_LOG_LEVEL),
	};
	p->log.level = p->set.log_level;
}

/* What stands behind the flags: exec needs a command there, the others nothing. */
static bool take_command(struct process *p, int argc, char **argv, int rest)
{
	const char *word = kinds[p->kind].word;
	if (p->kind == PROCESS_EXEC) {
		p->command = argv + rest;
		if (rest < argc)
			return true;
		fprintf(stderr,
			"outrider exec: no command to run; write: outrider exec [--option=value]... -- "
			"COMMAND [ARGUMENT]...\n");
		return false;
	}
	if (rest >= argc)
		return true;
	fprintf(stderr,
		"outrider %s: unexpected argument \"%s\"; options are written --name=value, see: outrider %s "
		"--help\n",
		word, argv[rest], word);
	return false;
}

static int read_options(struct process *p, int argc, char **argv)
{
	int rest;
	p->options = commands_read_options(argc, argv, &rest);
	if (!p->options)
		return EXIT_FAILED;
	/* What is missing here may stand in a source; the whole is judged when those have been read. */
	bool sources = options_text(p->options, OPT_CONFIG).n > 0;
	bool good = commands_check_options(p->options, sources ? COMMAND_ANY : kinds[p->kind].options_for);
	p->argc = argc;
	p->argv = argv;
	if (!take_command(p, argc, argv, rest) || !good)
		return EXIT_USAGE;
	read_settings(p);
	return EXIT_OK;
}

/* --- life ------------------------------------------------------------------------------------------------------ */

static int fail(struct process *p, int status, const struct err *err)
{
	log_write(&p->log, LEVEL_ERROR, "process", "cannot serve", LOG_FIELDS(log_text("why", err->text)));
	return status;
}

/* As PID 1 the agent is alone in its container: another agent that holds the namespace serves it already. */
static bool claim(struct process *p, struct err *err)
{
	struct addr name;
	if (p->kind != PROCESS_EXEC || getpid() != 1)
		return true;
	if (!addr_parse(STR(ASK_SOCKET), &name, err))
		return false;
	p->claim = claim_namespace(&name, err);
	return p->claim >= 0;
}

static int serve(struct process *p)
{
	struct err err = { "" };
	child_limits_raise(&p->limits);
	p->loop = loop_new(&err);
	int status = EXIT_FAILED;
	if (!p->loop || !leaving_prepare(p, &err) || !claim(p, &err) || !reloading_first(p, &status, &err) ||
		!serving_start(p, &err))
		return fail(p, status, &err);
	if (p->kind == PROCESS_EXEC && !leaving_start_child(p, &err))
		return fail(p, p->child.status, &err);
	if (p->kind == PROCESS_EXEC)
		child_config_watch(p);
	if (p->drain.phase == DRAIN_PHASE_SERVING)
		p->agent.phase = AGENT_READY;
	serving_announce(p);
	loop_run(p->loop);
	status = leaving_status(p);
	log_write(&p->log, LEVEL_INFO, "process", "left",
		LOG_FIELDS(log_text("why", p->drain.why), log_i64("status", status)));
	return status;
}

int process_main(enum process_kind kind, const char *version, int argc, char **argv)
{
	struct process p = { .kind = kind, .claim = -1 };
	list_init(&p.specs);
	list_init(&p.changes);
	log_init(&p.log, STDERR_FILENO, LEVEL_INFO);
	p.agent.command = kinds[kind].word;
	p.agent.version = version;
	int status = read_options(&p, argc, argv);
	if (status == EXIT_OK)
		status = serve(&p);
	serving_stop(&p);
	leaving_release(&p);
	reloading_release(&p);
	loop_free(p.loop);
	options_free(p.options);
	return status;
}
