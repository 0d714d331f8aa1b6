#include "attach/process.h"

#include "attach/claim.h"
#include "control/ask.h"
#include "control/commands.h"
#include "control/ui/ui.h"

#include <stdio.h>
#include <unistd.h>

extern char **environ;

static const struct {
	const char *word;
	enum command options_for;
} kinds[] = {
	[PROCESS_SIDECAR] = { "sidecar", COMMAND_SIDECAR },
	[PROCESS_EXEC] = { "exec", COMMAND_EXEC },
	[PROCESS_EDGE] = { "edge", COMMAND_EDGE },
};

/* --- options --------------------------------------------------------------------------------------------------- */

static void read_settings(struct process *p)
{
	const struct options *o = p->sidecar.options;
	p->set = (struct process_settings){
		.lame_duck = options_duration(o, OPT_LAME_DUCK),
		.stop_timeout = options_duration(o, OPT_STOP_TIMEOUT),
		.workers = options_workers(o),
		.proxy_env = options_bool(o, OPT_EXEC_PROXY_ENV),
	};
	p->sidecar.log.level = (enum log_level)options_u64(o, OPT_LOG_LEVEL);
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
	struct sidecar *sc = &p->sidecar;
	int rest;
	sc->options = commands_read_options(argc, argv, &rest);
	if (!sc->options)
		return EXIT_FAILED;
	/* What is missing here may stand in a source; the whole is judged when those have been read. */
	bool sources = options_text(sc->options, OPT_CONFIG).n > 0;
	bool good = commands_check_options(sc->options, sources ? COMMAND_ANY : sc->command);
	sc->argc = argc;
	sc->argv = argv;
	sc->environ_ = environ;
	if (!take_command(p, argc, argv, rest) || !good)
		return EXIT_USAGE;
	read_settings(p);
	return EXIT_OK;
}

/* --- life ------------------------------------------------------------------------------------------------------ */

static int fail(struct process *p, int status, const struct err *err)
{
	log_write(&p->sidecar.log, LEVEL_ERROR, "process", "cannot serve", LOG_FIELDS(log_text("why", err->text)));
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
	p->sidecar.claim = claim_namespace(&name, err);
	return p->sidecar.claim >= 0;
}

static bool open_logs(struct process *p, struct err *err)
{
	const struct options *o = p->sidecar.options;
	char node[256] = "";
	struct str name = options_text(o, OPT_NODE);

	(void)str_copy(name, node, sizeof(node));
	const struct logs_config c = { .loop = p->loop, .options = o, .identity = { .host = node, .version = p->sidecar.agent.version } };
	p->logs = p->sidecar.log.hub = logs_new(&c, err);
	return p->logs != NULL;
}

/* The sources are heard before there are workers: what they say decides how many. */
static bool start(struct process *p, int *status, struct err *err)
{
	struct sidecar *sc = &p->sidecar;
	bool wrong = false;

	child_limits_raise(&p->limits);
	p->loop = sc->loop = loop_new(err);
	if (!p->loop || !leaving_prepare(p, err))
		return false;
	if (!open_logs(p, err)) {
		*status = EXIT_USAGE;
		return false;
	}
	if (!claim(p, err))
		return false;
	if (!reloading_first(sc, &wrong, err)) {
		*status = wrong ? EXIT_USAGE : EXIT_FAILED;
		return false;
	}
	const struct crew_config c = {
		.loop = p->loop,
		.n_workers = p->set.workers,
		.log = &sc->log,
		.logs = p->logs,
		.options = reload_options(sc->reload),
		.buffers_max = (size_t)options_u64(sc->options, OPT_LIMIT_BUFFERS),
	};
	sc->crew = &p->crew;
	sc->agent.sees_swarm = true;
	if (!crew_start(&p->crew, &c, err) || !serving_start(sc, err))
		return false;
	ui_watch(p->crew.ui, &sc->agent);
	return true;
}

static int serve(struct process *p)
{
	struct sidecar *sc = &p->sidecar;
	struct err err = { "" };
	int status = EXIT_FAILED;
	if (!start(p, &status, &err))
		return fail(p, status, &err);
	if (p->kind == PROCESS_EXEC && !leaving_start_child(p, &err))
		return fail(p, p->child.status, &err);
	if (p->kind == PROCESS_EXEC)
		child_config_watch(p);
	if (!sidecar_leaves(sc))
		sc->agent.phase = AGENT_READY;
	serving_announce(sc);
	loop_run(p->loop);
	status = leaving_status(p);
	log_write(&sc->log, LEVEL_INFO, "process", "left",
		LOG_FIELDS(log_text("why", p->drain.why), log_i64("status", status)));
	return status;
}

int process_main(enum process_kind kind, const char *version, int argc, char **argv)
{
	struct process p = { .kind = kind };
	crew_init(&p.crew);
	sidecar_init(&p.sidecar, kinds[kind].options_for);
	p.sidecar.agent.command = kinds[kind].word;
	p.sidecar.agent.version = version;
	int status = read_options(&p, argc, argv);
	if (status == EXIT_OK)
		status = serve(&p);
	crew_halt(&p.crew);
	logs_flush(p.logs);
	serving_stop(&p.sidecar);
	crew_release(&p.crew);
	leaving_release(&p);
	sidecar_release(&p.sidecar);
	p.sidecar.log.hub = NULL;
	logs_free(p.logs);
	loop_free(p.loop);
	return status;
}
