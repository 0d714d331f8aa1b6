/* `outrider why ID`: /why/ID of the agent here, or of all agents, made readable. */
#include "control/ask.h"
#include "control/commands.h"
#include "control/plain.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <unistd.h>

#define STATUS_FOUND 0
#define STATUS_NOT 1
#define STATUS_USAGE 2
#define PATH_MAX_BYTES 1024u

struct wish {
	bool json, swarm;
	const char *id;
	const char *service; /* what this sidecar of the node knows; NULL: all that the agent does */
};

/* Takes its own words out of argv and makes --agent what the option is called. */
static int take_words(int argc, char **argv, struct wish *w)
{
	static char admin[] = "--admin";
	int n = 0;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			w->json = true;
		else if (strcmp(argv[i], "--swarm") == 0)
			w->swarm = true;
		else
			argv[n++] = strcmp(argv[i], "--agent") == 0 ? admin : argv[i];
	}
	return n;
}

/* --agent=ADDRESS is longer than --admin=ADDRESS by nothing: five letters each. */
static void rename_agent(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strncmp(argv[i], "--agent=", 8) == 0)
			memcpy(argv[i], "--admin=", 8);
}

/* Percent codes for what no path may have; false: it has what no id has. */
static bool make_path(struct text *t, const struct wish *w)
{
	text_init(t, PATH_MAX_BYTES);
	if (w->service)
		commands_sidecar_path(t, w->service);
	text_addz(t, w->swarm ? "/swarm/why/" : "/why/");
	for (const char *p = w->id; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if (c <= 0x20 || c >= 0x7f)
			return false;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
		if (plain)
			text_char(t, (char)c);
		else
			text_fmt(t, "%%%02X", c);
	}
	return w->id[0] && !t->failed;
}

static bool print_one(struct str json)
{
	const struct style s = style_of(STDOUT_FILENO);
	struct text t;

	text_init(&t, ASK_BODY_MAX);
	bool good = plain_styled(&t, json, &s);
	if (good)
		fwrite(text_z(&t), 1, t.n, stdout);
	text_release(&t);
	return good;
}

static void print_heading(const char *agent)
{
	const struct style s = style_of(STDOUT_FILENO);
	struct text t;

	text_init(&t, PATH_MAX_BYTES);
	style_begin(&t, &s, PAINT_BOLD);
	text_addz(&t, "--- agent ");
	style_add(&t, &s, str_of(agent), PAINT_NONE);
	style_end(&t, &s, PAINT_BOLD);
	puts(text_z(&t));
	text_release(&t);
}

/* The answers of those that know something; of the others how many there were, and who did not answer. */
static bool print_swarm(const cJSON *root, bool json)
{
	const cJSON *agents = cJSON_GetObjectItemCaseSensitive(root, "agents"), *one;
	unsigned found = 0, silent = 0, all = 0;

	cJSON_ArrayForEach(one, agents)
	{
		const cJSON *name = cJSON_GetObjectItemCaseSensitive(one, "agent"), *status = cJSON_GetObjectItemCaseSensitive(one, "status");
		char *answer = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(one, "answer"));
		all++;
		silent += !cJSON_IsNumber(status);
		if (cJSON_IsNumber(status) && status->valuedouble == 200) {
			found++;
			if (!json) {
				print_heading(cJSON_IsString(name) ? name->valuestring : "?");
				(void)print_one(str_of(answer));
			}
		}
		cJSON_free(answer);
	}
	fprintf(stderr, "outrider why: of %u agents %u know it, %u did not answer\n", all, found, silent);
	return found > 0;
}

static int show(const struct wish *w, int status, struct str body)
{
	cJSON *root = cJSON_ParseWithLength(body.p ? body.p : "", body.n);
	bool found = status == 200 && root;

	if (w->json)
		printf("%.*s\n", STR_ARG(str_trim(body)));
	if (found && w->swarm)
		found = print_swarm(root, w->json);
	else if (!w->json && !print_one(body))
		fprintf(stderr, "outrider why: the agent's answer, status %d, cannot be read\n", status);
	cJSON_Delete(root);
	return found && fflush(stdout) == 0 ? STATUS_FOUND : STATUS_NOT;
}

static int why(const struct options *o, const struct wish *w)
{
	struct text path, body;
	struct err err = { "" };
	int status = 0, ret = STATUS_NOT;

	bool good = make_path(&path, w);
	text_init(&body, ASK_BODY_MAX);
	struct ask q = { .method = "GET", .path = text_z(&path), .limit = GET_LIMIT };
	if (!good) {
		fprintf(stderr, "outrider why: an id is visible ASCII without blanks, and not so long\n");
		ret = STATUS_USAGE;
	} else if (!commands_ask(o, &q, &body, &status, &err)) {
		fprintf(stderr, "outrider why: no agent answers: %s\n", err.text);
	} else {
		ret = show(w, status, text_str(&body));
	}
	text_release(&path);
	text_release(&body);
	return ret;
}

static int refuse(const char *what, const char *argument)
{
	fprintf(stderr, "outrider why: %s%s; see: outrider why --help\n", what, argument);
	return STATUS_USAGE;
}

int command_why(int argc, char **argv)
{
	struct wish w = { .id = NULL };
	struct err err = { "" };
	int rest, more = 0;

	argc = take_words(argc, argv, &w);
	rename_agent(argc, argv);
	struct options *o = commands_read_options(argc, argv, &rest);
	if (!o)
		return STATUS_NOT;
	w.id = rest < argc ? argv[rest] : NULL;
	w.service = commands_service_flag(argc, argv);
	int ret = STATUS_FOUND;
	/* Flags may stand behind the id too. */
	if (!w.id)
		ret = refuse("which request? Give its id", "");
	else if (!options_add_flags(o, argc - rest - 1, argv + rest + 1, &more, &err))
		ret = refuse(err.text, "");
	else if (rest + 1 + more < argc)
		ret = refuse("unexpected argument ", argv[rest + 1 + more]);
	else if (w.swarm && w.service)
		ret = refuse("--swarm asks all sidecars of all nodes: leave --service out, or --swarm", "");
	else if (!commands_check_options(o, COMMAND_ANY))
		ret = STATUS_USAGE;
	if (ret == STATUS_FOUND)
		ret = why(o, &w);
	options_free(o);
	return ret;
}
