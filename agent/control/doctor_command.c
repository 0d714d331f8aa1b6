/* `outrider doctor`: /doctor of the agent here, a line for each finding and below it what is to be done. */
#include "control/ask.h"
#include "control/commands.h"
#include "control/style.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <unistd.h>

#define STATUS_OK 0
#define STATUS_FAILED 1
#define STATUS_USAGE 2
#define STATE_COLUMNS 4u
#define NAME_COLUMNS_MAX 40u
#define GAP 2u

static const char *member(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	return cJSON_IsString(v) ? v->valuestring : "";
}

static unsigned widest(const cJSON *lines, const char *key, const struct style *s)
{
	const cJSON *line;
	unsigned most = 0;

	cJSON_ArrayForEach(line, lines)
	{
		unsigned n = style_columns(s, str_of(member(line, key)));
		if (n > most)
			most = n;
	}
	return most < NAME_COLUMNS_MAX ? most : NAME_COLUMNS_MAX;
}

static void add_finding(struct text *t, const struct style *s, const cJSON *line, unsigned check, unsigned of)
{
	const char *state = member(line, "state"), *remedy = member(line, "remedy"),
		   *docs = member(line, "docs");
	unsigned indent = STATE_COLUMNS + check + of + 3 * GAP;
	char what[1024];

	style_cell(t, s, str_of(state), STATE_COLUMNS + GAP, STYLE_LEFT, style_word(str_of(state)));
	style_cell(t, s, str_of(member(line, "check")), check, STYLE_LEFT, PAINT_BOLD);
	style_blanks(t, GAP);
	style_cell(t, s, str_of(member(line, "of")), of, STYLE_LEFT, PAINT_NONE);
	style_blanks(t, GAP);
	style_wrap(t, s, str_of(member(line, "says")), indent, PAINT_NONE);
	text_char(t, '\n');
	if (!remedy[0])
		return;
	snprintf(what, sizeof(what), "-> %s%s%s", remedy, docs[0] ? "; docs/" : "", docs);
	style_blanks(t, indent);
	style_wrap(t, s, str_of(what), indent + 3, PAINT_WARN);
	text_char(t, '\n');
}

/* *good: no line says fail. false: it is no diagnosis. */
static bool add_doctor(struct text *t, const struct style *s, const cJSON *root, bool *good)
{
	const cJSON *lines = cJSON_GetObjectItemCaseSensitive(root, "lines"), *line;
	unsigned n[3] = { 0 };

	if (!cJSON_IsArray(lines))
		return false;
	unsigned check = widest(lines, "check", s), of = widest(lines, "of", s);
	cJSON_ArrayForEach(line, lines)
	{
		const char *state = member(line, "state");
		n[strcmp(state, "fail") == 0 ? 2 : strcmp(state, "warn") == 0]++;
		add_finding(t, s, line, check, of);
	}
	text_fmt(t, "%u ok, %u warn, %u fail\n", n[0], n[1], n[2]);
	*good = n[2] == 0;
	return true;
}

static int show(struct str body, int status, bool json)
{
	const struct style s = style_of(STDOUT_FILENO);
	cJSON *root = cJSON_ParseWithLength(body.p ? body.p : "", body.n);
	bool good = false;
	struct text t;

	text_init(&t, 2 * ASK_BODY_MAX);
	bool read = status == 200 && add_doctor(&t, &s, root, &good);
	if (json)
		fwrite(body.p, 1, body.n, stdout);
	else if (read)
		fwrite(text_z(&t), 1, t.n, stdout);
	else
		fprintf(stderr, "outrider doctor: the agent's answer, status %d, is no diagnosis\n", status);
	text_release(&t);
	cJSON_Delete(root);
	return good && fflush(stdout) == 0 ? STATUS_OK : STATUS_FAILED;
}

int command_doctor(int argc, char **argv)
{
	bool json = commands_take_word(&argc, argv, "--json");
	int rest, status = 0, ret = STATUS_FAILED;
	struct options *o = commands_read_options(argc, argv, &rest);
	struct err err = { "" };
	struct text body, path;

	if (!o)
		return STATUS_FAILED;
	text_init(&body, ASK_BODY_MAX);
	text_init(&path, 512);
	const char *service = commands_service_flag(argc, argv);
	if (service)
		commands_sidecar_path(&path, service);
	text_addz(&path, "/doctor");
	struct ask q = { .method = "GET", .path = text_z(&path), .limit = GET_LIMIT };
	if (rest < argc) {
		fprintf(stderr, "outrider doctor: unexpected argument \"%s\"; see: outrider doctor --help\n",
			argv[rest]);
		ret = STATUS_USAGE;
	} else if (path.failed) {
		fprintf(stderr, "outrider doctor: the name of --service is too long\n");
		ret = STATUS_USAGE;
	} else if (!commands_check_options(o, COMMAND_ANY)) {
		ret = STATUS_USAGE;
	} else if (!commands_ask(o, &q, &body, &status, &err)) {
		fprintf(stderr, "outrider doctor: no agent answers: %s\n", err.text);
	} else {
		ret = show(text_str(&body), status, json);
	}
	text_release(&path);
	text_release(&body);
	options_free(o);
	return ret;
}
