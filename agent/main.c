/* outrider: the table of commands, and what each says of itself. */
#include "attach/keeper.h"
#include "attach/node.h"
#include "attach/process.h"
#include "control/check.h"
#include "control/commands.h"
#include "control/completion.h"
#include "control/help_tables.h"
#include "control/nearest.h"
#include "control/top.h"

#include <stdio.h>
#include <string.h>

#ifndef OUTRIDER_VERSION /* the Makefile gives it */
#define OUTRIDER_VERSION "unknown"
#endif

struct command_row {
	const char *name;
	int (*fn)(int argc, char **argv); /* argv: what stands behind the name */
	const char *sentence, *usage;
	const char *help; /* what it does, options, example, exit statuses */
};

static int run_sidecar(int argc, char **argv)
{
	return process_main(PROCESS_SIDECAR, OUTRIDER_VERSION, argc, argv);
}

static int run_exec(int argc, char **argv)
{
	return process_main(PROCESS_EXEC, OUTRIDER_VERSION, argc, argv);
}

static int run_edge(int argc, char **argv)
{
	return process_main(PROCESS_EDGE, OUTRIDER_VERSION, argc, argv);
}

static int run_node(int argc, char **argv)
{
	return keeper_main(OUTRIDER_VERSION, argc, argv);
}

static int run_version(int argc, char **argv)
{
	(void)argv;
	if (argc > 0) {
		fprintf(stderr, "outrider version takes no arguments\n");
		return EXIT_USAGE;
	}
	puts("outrider " OUTRIDER_VERSION);
	return EXIT_OK;
}

static int run_help(int argc, char **argv);

#define SERVING_STATUS                                                                                       \
	"Exit status: 0 left on a signal, 1 could not serve (a port is taken ...), 2 options are wrong.\n"
#define OPTION_FORMS                                                                                         \
	"An option is written --name=value, or OUTRIDER_NAME=value in the environment; all: outrider help "  \
	"options\n"

static const struct command_row commands[] = {
	{ "sidecar", run_sidecar, "serve beside a process that already runs",
		"outrider sidecar [--option=value]...",
		"Carries the requests of one service in and out: callers reach its handler through the "
		"inbound port\n"
		"(4143), its own calls leave through the outbound proxy (4140) or through pinned upstreams.\n"
		"SIGTERM drains: readiness fails, inbound goes on for lame-duck, what is in flight "
		"finishes.\n\n"
		"Options needed first:\n"
		"  --service=NAME          what other services call it\n"
		"  --port=PORT             where its handler listens\n"
		"  --upstreams=LIST        whom it calls: quotes-service@127.0.4.1:8080,image:9002\n"
		"  --inbound=ADDRESSES     default 0.0.0.0:4143\n"
		"  --admin=ADDRESS         default 127.0.0.1:4191\n" OPTION_FORMS "\n"
		"Example:\n"
		"  outrider sidecar --service=accountservice --port=6767 "
		"--upstreams=quotes-service@127.0.4.1:8080 \\\n"
		"      --upstream.quotes-service.endpoints=10.0.0.5:4143,10.0.0.6:4143\n\n" SERVING_STATUS },
	{ "exec", run_exec, "serve, and run the service as a child (entry point of an image)",
		"outrider exec [--option=value]... -- COMMAND [ARGUMENT]...",
		"As sidecar, and starts COMMAND once the ports are open. Signals are passed on, orphans "
		"reaped. On SIGTERM\n"
		"the child is told last: after lame-duck and after the requests in flight, while its own "
		"calls still work.\n"
		"It is told when a third of stop-timeout is left at the latest, and killed when that time is "
		"up.\n"
		"The child keeps the terminal, the limits and the environment (but OUTRIDER_ADMIN_TOKEN) "
		"that the agent got.\n\n"
		"Options needed first:\n"
		"  --service=NAME          what other services call it\n"
		"  --port=PORT             where the child listens\n"
		"  --upstreams=LIST        whom it calls\n"
		"  --exec.proxy-env        set http_proxy and no_proxy for the child\n"
		"  --stop-timeout=9s       from SIGTERM to the end of all; below "
		"stop_grace_period\n" OPTION_FORMS "\n"
		"Example (the last lines of a Dockerfile):\n"
		"  ENV OUTRIDER_SERVICE=accountservice OUTRIDER_PORT=6767\n"
		"  ENTRYPOINT [\"/outrider\", \"exec\", \"--\", \"/accountservice\"]\n\n"
		"Exit status: the child's; 128 + N when signal N ended it; 127 no such command, 126 it "
		"cannot be executed;\n"
		"1 could not serve, 2 options are wrong.\n" },
	{ "edge", run_edge, "route public requests to services", "outrider edge [--option=value]...",
		"Listens for the public and routes by host and path prefix; drops what callers claim about "
		"themselves.\n\n"
		"Options needed first:\n"
		"  --listen=ADDRESSES              default 0.0.0.0:8080\n"
		"  --route.NAME.prefix=/PATH       which requests take this route\n"
		"  --route.NAME.upstream=SERVICE   where they go\n"
		"  --route.NAME.strip              without the prefix\n"
		"  --upstream.SERVICE.endpoints=   its instances\n" OPTION_FORMS "\n"
		"Example:\n"
		"  outrider edge --route.accounts.prefix=/accounts --route.accounts.upstream=accountservice "
		"\\\n"
		"      --upstream.accountservice.endpoints=10.0.0.5:4143\n\n" SERVING_STATUS },
	{ "node", run_node, "be the sidecar of every container of this node that asks for it (a swarm global service)",
		"outrider node [--option=value]...",
		"Finds the containers of this node by the engine's socket and serves each that opts in, inside its own "
		"network\n"
		"namespace: as `outrider sidecar` beside it would, with the container's OUTRIDER_ variables and labels as its\n"
		"options. A container opts in by OUTRIDER_PORT in its environment, by label outrider.port, or for its own calls\n"
		"only by outrider.enable=true; outrider.enable=false opts out. Two processes: a keeper with the rights, and a\n"
		"proxy without any.\n\n"
		"Options needed first:\n"
		"  --expose=all                    serve every container that does not opt out\n"
		"  --engine=/var/run/docker.sock   the engine's socket\n"
		"  --netns=/var/run/docker/netns   where it keeps network namespaces\n"
		"  --stop-timeout=9s               from SIGTERM to the end, while containers still need it\n" OPTION_FORMS "\n"
		"Example: deploy/outrider.yml, by docker stack deploy -c outrider.yml outrider\n\n" SERVING_STATUS },
	{ "health", command_health, "ask the agent here whether it is well (health check without a shell)",
		"outrider health [--admin=ADDRESS]",
		"Asks the agent of this container through the socket @outrider, where there is none at "
		"outrider.admin;\n"
		"with --admin only there. Answers within two seconds and prints why when the agent is not "
		"well. It says nothing\n"
		"of the service or its upstreams: restarting an agent would not help them.\n\n"
		"Options: --admin=ADDRESS  default 127.0.0.1:4191\n\n"
		"Example (compose file):\n"
		"  healthcheck: { test: [\"CMD\", \"/outrider\", \"health\"], interval: 5s }\n\n"
		"Exit status: 0 well, 1 not, or no agent answers.\n" },
	{ "check", command_check, "judge options, configuration and stack files without serving",
		"outrider check [sidecar|exec|edge] [--json] [--strict] [--online] [--option=value]...\n"
		"                      [DIRECTORY | STACK.yml | -]...",
		"Without a path: environment and flags as the named command would read them (without one what "
		"holds for all),\n"
		"and the local sources of outrider.config, for the service and profile named there.\n"
		"DIRECTORY: a config repository, for every service and profile in it.\n"
		"STACK.yml: swarm stack files, judged together; - is standard input. Give the agent's too.\n"
		"Each finding has file, line, cause and remedy. Nothing is asked over the network.\n\n"
		"Options:\n"
		"  --json     one object on stdout\n"
		"  --strict   warnings count as errors\n"
		"  --online   ask the remote sources of outrider.config too, for at most "
		"config-wait\n" OPTION_FORMS "\n"
		"Examples:\n"
		"  OUTRIDER_WORKERS=many outrider check sidecar --service=image --port=7777\n"
		"  outrider check config/\n"
		"  outrider check outrider.yml shop.yml\n\n"
		"Exit status: 0 good, 1 files have errors, 2 environment or flags are wrong.\n" },
	{ "config", command_config, "print effective options with their origin",
		"outrider config [--json|--text|--properties] [--option=value]...",
		"Shows what a serving command would run with here: value, where it comes from, default. "
		"Secrets print as ***.\n"
		"What a running agent has: outrider get /config\n\n"
		"Options:\n"
		"  --text         for people (the default)\n"
		"  --json         for programs\n"
		"  --properties   a file that sets the same\n\n"
		"Example:\n"
		"  outrider config | grep timeout\n\n"
		"Exit status: 0, or 2 when options are wrong.\n" },
	{ "get", command_get, "print a page of the running agent's admin port",
		"outrider get [PATH] [--json] [--service=NAME] [--admin=ADDRESS]",
		"PATH is one of those that \"outrider get /\" lists. On a terminal the readable form, else "
		"JSON.\n\n"
		"Options: --json           as the agent says it, on a terminal too\n"
		"         --admin=ADDRESS  default 127.0.0.1:4191\n"
		"         --service=NAME   on a node: of that sidecar (service, service.stack, task, container)\n\n"
		"Examples:\n"
		"  outrider get /upstreams\n"
		"  outrider get /stats --service=quotes-service\n"
		"  outrider get '/stats?format=text' | grep requests\n\n"
		"Exit status: 0, or 1 when the agent answered with an error or not at all.\n" },
	{ "doctor", command_doctor, "say what is well and what is not, with the remedy",
		"outrider doctor [--json] [--service=NAME] [--admin=ADDRESS]",
		"Asks the agent here what it knows of itself: engine, rights, namespaces, hand-over and clock of a node; handler,\n"
		"options, wiring and registries of each sidecar. Nothing is changed, nobody else is asked. /doctor is the same.\n\n"
		"Options: --json           for programs\n"
		"         --admin=ADDRESS  default 127.0.0.1:4191\n"
		"         --service=NAME   on a node: of that sidecar (service, service.stack, task, container)\n\n"
		"Example:\n"
		"  docker exec $(docker ps -qf name=outrider_agent) /outrider doctor\n\n"
		"Exit status: 0, or 1 when a line says fail, or no agent answers.\n" },
	{ "why", command_why, "say what became of a request, whose fault it was, and which knob to turn",
		"outrider why ID [--swarm | --service=NAME] [--json] [--agent=ADDRESS]",
		"ID is a request's (X-Request-Id of request or reply) or a trace's. Shows of each exchange with that id the route, the\n"
		"upstream and its instances, every attempt with endpoint and outcome, what the time went on, whose fault it is, and\n"
		"what to do about it. Kept are failures, slow ones, sampled traces, and what the access log has drawn.\n\n"
		"Options: --swarm          ask every agent of outrider.agents, through the one here\n"
		"         --service=NAME   on a node: what that sidecar alone knows (service, service.stack, task, container)\n"
		"         --json           for programs\n"
		"         --agent=ADDRESS  the agent's admin port, as --admin; default 127.0.0.1:4191\n\n"
		"Example:\n"
		"  outrider why 463ac35c9f6413ad48485a3953bb6124 --swarm\n\n"
		"Exit status: 0 found, 1 not found (with how far back the recorder reaches) or no agent answers, 2 usage.\n" },
	{ "top", command_top, "show what is going on, in a terminal: services, upstreams, circuits, failures",
		"outrider top [--scope=SCOPE] [--view=VIEW] [--sort=COLUMN] [--interval=2s] [--once] [--json]\n"
		"                    [--service=NAME] [--admin=ADDRESS]",
		"Rates, errors, latencies, circuits and endpoints as the agent here knows them, looked at again every two seconds. On a terminal\n"
		"a screen with keys (? shows them); elsewhere, or with TERM=dumb, one page after the other. No colour with NO_COLOR.\n\n"
		"Options: --scope=sidecar|node|swarm   of which sidecars; default: the widest without asking other agents\n"
		"         --view=services|upstreams|circuits|failures\n"
		"         --sort=COLUMN                rate, errors, p50, p95, p99, active, ... as ? shows them\n"
		"         --interval=2s                200ms to 1h\n"
		"         --once                       one page, whole\n"
		"         --json                       for programs, with --once one object; numbers per second and in ms\n"
		"         --service=NAME               on a node: of that sidecar (service, service.stack, task, container)\n"
		"         --admin=ADDRESS              default 127.0.0.1:4191\n\n"
		"Examples:\n"
		"  docker exec -it $(docker ps -qf name=outrider_agent) /outrider top --scope=swarm\n"
		"  outrider top --once --json | jq '.upstreams[] | select(.healthy < .endpoints)'\n\n"
		"Exit status: 0 left by q or printed, 1 no agent answers, 2 usage, 128 + N ended by signal N.\n" },
	{ "version", run_version, "print the version", "outrider version",
		"Prints one line, \"outrider VERSION\".\n\nExample:\n  outrider version\n\nExit status: "
		"0.\n" },
	{ "help", run_help, "this page, one command's, or a whole table",
		"outrider help [COMMAND | options|reasons|metrics [--markdown]]\n"
		"outrider help --completion=bash|zsh|fish\n"
		"outrider help --man",
		"The tables are those from which the agent itself is built, so they are never out of "
		"date.\n\n"
		"Options:\n"
		"  --markdown             a table as docs/ has it\n"
		"  --completion=SHELL     a script that completes commands, options and values; in bash: source <(outrider help --completion=bash)\n"
		"  --man                  the manual, outrider(1)\n\n"
		"Examples:\n"
		"  outrider help exec\n"
		"  outrider help reasons\n"
		"  outrider help options --markdown\n\n"
		"Exit status: 0, or 2 when there is no such page.\n" },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* What follows each command, for completion: a run test compares it with the help above. */
static const struct {
	const char *name, *flags, *words;
	enum takes takes;
	bool files;
} grammar[COMMANDS] = {
	{ "sidecar", NULL, NULL, TAKES_OPTIONS, false },
	{ "exec", NULL, NULL, TAKES_OPTIONS, true },
	{ "edge", NULL, NULL, TAKES_OPTIONS, false },
	{ "node", NULL, NULL, TAKES_OPTIONS, false },
	{ "health", NULL, NULL, TAKES_ADMIN, false },
	{ "check", "--json --strict --online", "sidecar exec edge", TAKES_OPTIONS, true },
	{ "config", "--json --text --properties", NULL, TAKES_OPTIONS, false },
	{ "get", "--json", "@pages", TAKES_SIDECAR, false },
	{ "doctor", "--json", NULL, TAKES_SIDECAR, false },
	{ "why", "--swarm --json --agent=", NULL, TAKES_SIDECAR, false },
	{ "top",
		"--scope=sidecar|node|swarm --view=services|upstreams|circuits|failures "
		"--sort=name|rate|errors|p50|p95|p99|active|out|retries|open|healthy|cpu|instances|since|requests|rejected|age|status|took|attempts "
		"--interval= --once --json",
		NULL, TAKES_SIDECAR, false },
	{ "version", NULL, NULL, TAKES_NOTHING, false },
	{ "help", "--markdown --completion=bash|zsh|fish --man", "@commands options reasons metrics", TAKES_NOTHING, false },
};

static const struct command_row *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int print_command_help(const struct command_row *row)
{
	printf("outrider %s: %s\n\nUsage: %s\n\n%s", row->name, row->sentence, row->usage, row->help);
	return EXIT_OK;
}

static int print_overview(FILE *to)
{
	fputs("outrider: an agent beside each service that carries its requests\n\nUsage: outrider COMMAND "
	      "[--option=value]...\n\n",
		to);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-9s%s\n", commands[i].name, commands[i].sentence);
	fputs("\nMore: outrider COMMAND --help; outrider help options, reasons, metrics\n", to);
	return EXIT_OK;
}

/* --- help ------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	void (*print)(struct text *t, bool markdown);
} tables[] = {
	{ "options", options_help_text },
	{ "reasons", reasons_help_text },
	{ "metrics", metrics_help_text },
};

#define TABLES (sizeof(tables) / sizeof(tables[0]))
#define HELP_MAX (1u << 20)

static int print_table(size_t i, bool markdown)
{
	struct text t;
	text_init(&t, HELP_MAX);
	tables[i].print(&t, markdown);
	bool ok = !t.failed && fwrite(text_z(&t), 1, t.n, stdout) == t.n && fflush(stdout) == 0;
	text_release(&t);
	return ok ? EXIT_OK : EXIT_FAILED;
}

static void propose(const char *asked)
{
	const char *best = NULL;
	unsigned least = UINT32_MAX;
	for (size_t i = 0; i < COMMANDS; i++) {
		unsigned d = nearest_distance(str_of(asked), str_of(commands[i].name));
		if (d < least && nearest_is_near(str_of(asked), str_of(commands[i].name))) {
			least = d;
			best = commands[i].name;
		}
	}
	if (best)
		fprintf(stderr, "Did you mean: outrider %s\n", best);
	else
		print_overview(stderr);
}

/* --man, --completion=bash, --completion bash. -1: it is none of these. */
static int print_generated(int argc, char **argv)
{
	static const char flag[] = "--completion";
	struct help_command rows[COMMANDS];
	struct help_program p = { rows, COMMANDS, OUTRIDER_VERSION };
	const char *shell = argc == 2 && strcmp(argv[0], flag) == 0 ? argv[1] : NULL;
	struct text t;

	if (argc == 1 && strncmp(argv[0], flag, sizeof(flag) - 1) == 0 && argv[0][sizeof(flag) - 1] == '=')
		shell = argv[0] + sizeof(flag);
	if (!shell && (argc != 1 || strcmp(argv[0], "--man") != 0))
		return -1;
	for (size_t i = 0; i < COMMANDS; i++)
		rows[i] = (struct help_command){ commands[i].name, commands[i].sentence, commands[i].usage, commands[i].help, grammar[i].flags,
			grammar[i].words, grammar[i].takes, grammar[i].files };
	text_init(&t, HELP_MAX);
	bool known = true;
	if (shell)
		known = completion_script(&t, &p, str_of(shell));
	else
		manual_page(&t, &p);
	bool ok = known && !t.failed && fwrite(text_z(&t), 1, t.n, stdout) == t.n && fflush(stdout) == 0;
	text_release(&t);
	if (!known)
		fprintf(stderr, "outrider help: there is no completion for \"%s\"; bash, zsh and fish have one\n", shell);
	return ok ? EXIT_OK : known ? EXIT_FAILED : EXIT_USAGE;
}

static int run_help(int argc, char **argv)
{
	bool markdown = argc > 1 && strcmp(argv[1], "--markdown") == 0;
	if (argc == 0)
		return print_overview(stdout);
	int printed = print_generated(argc, argv);
	if (printed >= 0)
		return printed;
	for (size_t i = 0; i < TABLES; i++) {
		if (strcmp(argv[0], tables[i].name) == 0 && argc <= 1 + markdown)
			return print_table(i, markdown);
	}
	const struct command_row *row = find_command(argv[0]);
	if (row && argc == 1)
		return print_command_help(row);
	fprintf(stderr, "outrider help: there is no page \"%s\"\n", argv[argc == 1 ? 0 : argc - 1]);
	propose(argv[0]);
	return EXIT_USAGE;
}

/* --help among the flags; what stands behind `--` or behind the first word belongs to somebody else. */
static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_overview(stderr);
		return EXIT_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return print_overview(stdout);
	if (strcmp(name, "--version") == 0)
		name = "version";
	if (strcmp(name, "node-proxy") == 0) /* the other half of node, which starts it: no command for people */
		return node_main(OUTRIDER_VERSION, argc - 2, argv + 2);
	const struct command_row *row = find_command(name);
	if (!row) {
		fprintf(stderr, "outrider: there is no command \"%s\"\n", name);
		propose(name);
		return EXIT_USAGE;
	}
	if (asks_for_help(argc - 2, argv + 2))
		return print_command_help(row);
	return row->fn(argc - 2, argv + 2);
}
