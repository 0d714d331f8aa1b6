#include "control/commands.h"

#include "control/ask.h"
#include "control/plain.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <unistd.h>

#define STATUS_OK 0
#define STATUS_FAILED 1
#define STATUS_USAGE 2
#define PAGE_MAX (1u << 20)

extern char **environ;

/* --- options ------------------------------------------------------------------------------------------------- */

struct options *commands_read_options(int argc, char **argv, int *rest)
{
	struct err err = { "" };
	struct options *o = options_new();
	*rest = argc;
	if (o && options_add_env(o, environ, &err) && options_add_flags(o, argc, argv, rest, &err))
		return o;
	fprintf(stderr, "outrider: %s\n", err.text[0] ? err.text : "out of memory");
	options_free(o);
	return NULL;
}

bool commands_check_options(struct options *o, enum command cmd)
{
	struct err err = { "" };
	if (options_check(o, cmd, &err))
		return true;
	size_t n = options_problem_count(o), all = options_problem_total(o);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "outrider: %s\n", options_problem(o, i)->text);
	if (n == 0)
		fprintf(stderr, "outrider: %s\n", err.text[0] ? err.text : "out of memory");
	if (all > n)
		fprintf(stderr, "outrider: and %zu more\n", all - n);
	return false;
}

bool commands_take_word(int *argc, char **argv, const char *word)
{
	int n = 0;

	for (int i = 0; i < *argc; i++)
		if (strcmp(argv[i], word) != 0)
			argv[n++] = argv[i];
	bool found = n < *argc;
	*argc = n;
	return found;
}

static int refuse_argument(const char *command, const char *argument)
{
	fprintf(stderr, "outrider %s: unexpected argument \"%s\"; see: outrider %s --help\n", command,
		argument, command);
	return STATUS_USAGE;
}

/* --- asking an agent ------------------------------------------------------------------------------------------ */

/* The addresses of outrider.admin; those that are 0.0.0.0 or :: are asked at loopback. */
static bool ask_admin(const struct options *o, struct ask *q, struct text *body, int *status, struct err *err)
{
	struct str list = options_text(o, OPT_ADMIN), piece;
	if (str_ieq(list, STR("off")))
		return err_set(err, "the admin port is off (outrider.admin)");
	err_set(err, "outrider.admin is empty");
	while (str_next(&list, ',', &piece)) {
		struct addr a;
		if (!addr_parse(piece, &a, err))
			continue;
		if (addr_is_any(&a) && a.sa.sa_family == AF_INET)
			a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		else if (addr_is_any(&a))
			a.in6.sin6_addr = in6addr_loopback;
		q->to = &a;
		*status = ask(q, body, err);
		q->to = NULL;
		if (*status != 0)
			return true;
	}
	return false;
}

bool commands_ask(const struct options *o, struct ask *q, struct text *body, int *status, struct err *err)
{
	struct addr claim;
	struct err ignored;
	bool said = strcmp(options_origin(o, OPT_ADMIN), "flag") == 0;
	if (!said && addr_parse(STR(ASK_SOCKET), &claim, &ignored)) {
		q->to = &claim;
		*status = ask(q, body, &ignored);
		q->to = NULL;
		if (*status != 0)
			return true;
		text_clear(body);
	}
	return ask_admin(o, q, body, status, err);
}

/* Why an agent says that it is not well, or "" */
static void say_why(struct str body)
{
	cJSON *v = cJSON_ParseWithLength(body.p ? body.p : "", body.n);
	const cJSON *why = cJSON_GetObjectItemCaseSensitive(v, "why");
	const cJSON *cause = cJSON_GetObjectItemCaseSensitive(v, "cause");
	const cJSON *said = cJSON_IsString(why) ? why : cause;
	printf("unhealthy: %s\n", cJSON_IsString(said) ? said->valuestring : "the agent does not say why");
	cJSON_Delete(v);
}

int command_health(int argc, char **argv)
{
	int rest, status = 0;
	struct options *o = commands_read_options(argc, argv, &rest);
	if (!o)
		return STATUS_FAILED;
	/* Whoever runs health checks knows 0 and 1 only: what is wrong with the question is 1 too. */
	int ret = STATUS_OK;
	if (rest < argc || !commands_check_options(o, COMMAND_ANY)) {
		if (rest < argc)
			(void)refuse_argument("health", argv[rest]);
		options_free(o);
		return STATUS_FAILED;
	}
	struct err err = { "" };
	struct text body;
	text_init(&body, ASK_BODY_MAX);
	/* Two places may be asked one after the other: half the time for each. */
	struct ask q = { .method = "GET", .path = "/health", .limit = HEALTH_LIMIT / 2 };
	if (!commands_ask(o, &q, &body, &status, &err)) {
		printf("unhealthy: no agent answers: %s\n", err.text);
		ret = STATUS_FAILED;
	} else if (status == 200) {
		puts("healthy");
	} else {
		say_why(text_str(&body));
		ret = STATUS_FAILED;
	}
	text_release(&body);
	options_free(o);
	return ret;
}

void commands_sidecar_path(struct text *path, const char *service)
{
	text_addz(path, "/sidecars/");
	for (const char *p = service; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
			c == '.' || c == '_')
			text_char(path, (char)c);
		else
			text_fmt(path, "%%%02X", c);
	}
}

/* The path with its query, "/" before it when it lacks one. */
static bool get_path(const char *service, const char *arg, struct text *path)
{
	text_init(path, 4096);
	if (service)
		commands_sidecar_path(path, service);
	if (arg[0] != '/')
		text_char(path, '/');
	text_addz(path, arg);
	for (size_t i = 0; i < path->n; i++) {
		if ((unsigned char)path->p[i] <= ' ' || path->p[i] == 0x7f)
			return false;
	}
	return !path->failed;
}

/* Whether a page is made readable: not for programs, and not when a form was asked for. */
static bool is_for_people(const struct style *s, const char *arg, bool json)
{
	return s->terminal && !json && !strstr(arg, "format=");
}

/* As it came when a program reads it. A terminal gets what it cannot mistake for orders: the readable form of JSON, else lines. */
static void print_page(struct str body, const struct style *s, bool readable)
{
	struct text t;
	struct str line;

	text_init(&t, 4 * ASK_BODY_MAX);
	if (!s->terminal) {
		fwrite(body.p, 1, body.n, stdout);
	} else if (readable && plain_styled(&t, body, s)) {
		fwrite(text_z(&t), 1, t.n, stdout);
	} else {
		text_clear(&t);
		while (body.n) {
			size_t at = str_find(body, '\n');
			line = str_make(body.p, at == SIZE_MAX ? body.n : at);
			body = str_make(body.p + line.n, body.n - line.n);
			style_add(&t, s, line, PAINT_NONE);
			if (body.n) {
				text_char(&t, '\n');
				body = str_make(body.p + 1, body.n - 1);
			}
		}
		fwrite(text_z(&t), 1, t.n, stdout);
	}
	text_release(&t);
}

const char *commands_service_flag(int argc, char **argv)
{
	static const char flag[] = "--service";
	size_t n = sizeof(flag) - 1;

	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], flag, n) == 0 && argv[i][n] == '=')
			return argv[i] + n + 1;
		if (strcmp(argv[i], flag) == 0 && i + 1 < argc)
			return argv[i + 1];
	}
	return NULL;
}

static int get(const struct options *o, const char *service, const char *arg, bool json)
{
	const struct style style = style_of(STDOUT_FILENO);
	struct text path, body;
	struct err err = { "" };
	int status = 0, ret = STATUS_FAILED;
	text_init(&body, ASK_BODY_MAX);
	bool ok = get_path(service, arg, &path);
	struct ask q = { .method = "GET", .path = text_z(&path), .limit = GET_LIMIT };
	if (!ok) {
		fprintf(stderr, "outrider get: the path has bytes that no path may have, or is too long\n");
		ret = STATUS_USAGE;
	} else if (!commands_ask(o, &q, &body, &status, &err)) {
		fprintf(stderr, "outrider get: no agent answers: %s\n", err.text);
	} else {
		print_page(text_str(&body), &style, is_for_people(&style, arg, json));
		ret = status < 400 && fflush(stdout) == 0 ? STATUS_OK : STATUS_FAILED;
		if (status >= 400)
			fprintf(stderr, "outrider get: the agent answered with status %d\n", status);
	}
	text_release(&path);
	text_release(&body);
	return ret;
}

int command_get(int argc, char **argv)
{
	int rest, more;
	bool json = commands_take_word(&argc, argv, "--json");
	struct options *o = commands_read_options(argc, argv, &rest);
	if (!o)
		return STATUS_FAILED;
	struct err err = { "" };
	const char *path = rest < argc ? argv[rest] : NULL;
	int ret = STATUS_OK;
	/* Flags may stand behind the path too. */
	if (path && !options_add_flags(o, argc - rest - 1, argv + rest + 1, &more, &err)) {
		fprintf(stderr, "outrider get: %s\n", err.text);
		ret = STATUS_FAILED;
	} else if (path && rest + 1 + more < argc) {
		ret = refuse_argument("get", argv[rest + 1 + more]);
	} else if (!commands_check_options(o, COMMAND_ANY)) {
		ret = STATUS_USAGE;
	}
	if (ret == STATUS_OK)
		ret = get(o, commands_service_flag(argc, argv), path ? path : "/", json);
	options_free(o);
	return ret;
}

/* --- looking at options ---------------------------------------------------------------------------------------- */

/* Takes the words json, text, properties out of argv (they are no options) and returns the new count. */
static int take_format(int argc, char **argv, enum options_format *format)
{
	static const struct {
		const char *flag;
		enum options_format format;
	} words[] = { { "--json", OPTIONS_JSON }, { "--text", OPTIONS_TEXT },
		{ "--properties", OPTIONS_PROPERTIES } };
	int n = 0;
	for (int i = 0; i < argc; i++) {
		bool taken = false;
		for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
			if (strcmp(argv[i], words[k].flag) == 0) {
				*format = words[k].format;
				taken = true;
			}
		}
		if (!taken)
			argv[n++] = argv[i];
	}
	return n;
}

int command_config(int argc, char **argv)
{
	enum options_format format = OPTIONS_TEXT;
	int rest;
	argc = take_format(argc, argv, &format);
	struct options *o = commands_read_options(argc, argv, &rest);
	if (!o)
		return STATUS_FAILED;
	if (rest < argc) {
		options_free(o);
		return refuse_argument("config", argv[rest]);
	}
	int ret = commands_check_options(o, COMMAND_ANY) ? STATUS_OK : STATUS_USAGE;
	struct text t;
	text_init(&t, PAGE_MAX);
	options_print(o, &t, format);
	if (t.failed) {
		fprintf(stderr, "outrider config: out of memory, or more than %u bytes\n", PAGE_MAX);
		ret = STATUS_FAILED;
	} else {
		fwrite(text_z(&t), 1, t.n, stdout);
	}
	text_release(&t);
	options_free(o);
	return ret;
}
