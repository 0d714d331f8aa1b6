#include "control/check.h"

#include "base/mem.h"
#include "control/commands.h"
#include "control/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATUS_OK 0
#define STATUS_FAILED 1
#define STATUS_USAGE 2
#define OUTPUT_MAX (64u << 20)
#define STACK_READ_MAX ((1u << 20) + 1) /* one byte more than stack_add() takes */

extern char **environ;

struct arguments {
	bool json, strict, online;
	enum command command;
	char **flags, **paths; /* owned arrays of borrowed texts */
	int n_flags, n_paths;
};

/* --- arguments ----------------------------------------------------------------------------------------------------- */

static bool take_switch(struct arguments *a, const char *arg)
{
	if (strcmp(arg, "--json") == 0)
		a->json = true;
	else if (strcmp(arg, "--strict") == 0)
		a->strict = true;
	else if (strcmp(arg, "--online") == 0)
		a->online = true;
	else
		return false;
	return true;
}

/* A first word names the command for which the options are meant; without it what holds for all is judged. */
static bool take_command(struct arguments *a, const char *word)
{
	static const char *const words[] = {
		[COMMAND_SIDECAR] = "sidecar",
		[COMMAND_EXEC] = "exec",
		[COMMAND_EDGE] = "edge",
	};
	for (unsigned i = COMMAND_SIDECAR; i <= COMMAND_EDGE; i++) {
		if (strcmp(word, words[i]) != 0)
			continue;
		a->command = (enum command)i;
		return true;
	}
	return false;
}

static int refuse(const char *argument, const char *why)
{
	fprintf(stderr, "outrider check: %s: %s; see: outrider check --help\n", argument, why);
	return STATUS_USAGE;
}

/* Flags and paths may stand in any order. What stands behind `--` is the command that exec would start. */
static int read_arguments(struct arguments *a, struct options *o, int argc, char **argv)
{
	struct err err = { "" };
	int n = 0, end = 0;

	for (; end < argc && strcmp(argv[end], "--") != 0; end++)
		if (!(end == 0 && take_command(a, argv[end])) && !take_switch(a, argv[end]))
			a->flags[n++] = argv[end];
	if (end < argc && a->command != COMMAND_EXEC)
		return refuse("--", "only exec has a command");
	for (int i = 0, used; i < n; i += used) {
		if (!options_add_flags(o, n - i, a->flags + i, &used, &err)) {
			fprintf(stderr, "outrider: %s\n", err.text);
			return STATUS_FAILED;
		}
		memmove(a->flags + a->n_flags, a->flags + i, (size_t)used * sizeof(*a->flags));
		a->n_flags += used;
		if (i + used == n)
			break;
		if (a->n_paths == (int)CHECK_PATHS_MAX)
			return refuse(a->flags[i + used], "more paths than are taken");
		a->paths[a->n_paths++] = a->flags[i + used++];
	}
	return STATUS_OK;
}

/* --- paths ----------------------------------------------------------------------------------------------------------- */

enum kind { KIND_DIRECTORY, KIND_STACK, KIND_NONE };

static enum kind kind_of(const char *path, struct err *err)
{
	struct stat st;

	if (strcmp(path, "-") == 0)
		return KIND_STACK;
	if (stat(path, &st) != 0) {
		err_set(err, "%s", strerror(errno));
		return KIND_NONE;
	}
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode)) {
		err_set(err, "neither a directory nor a file");
		return KIND_NONE;
	}
	return S_ISDIR(st.st_mode) ? KIND_DIRECTORY : KIND_STACK;
}

/* At most STACK_READ_MAX bytes; false: errno. */
static bool read_stack(const char *path, char *buf, size_t *ret)
{
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = 1;

	*ret = 0;
	while (fd >= 0 && got > 0 && *ret < STACK_READ_MAX) {
		got = read(fd, buf + *ret, STACK_READ_MAX - *ret);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			*ret += (size_t)got;
	}
	int error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return fd >= 0 && got >= 0;
}

static bool check_stacks(struct check *c, const struct arguments *a, const enum kind *kinds, struct err *err)
{
	struct stack *s = stack_new(&c->found, environ);
	char *buf = mem_alloc(STACK_READ_MAX);
	bool ok = (s && buf) || err_set(err, "out of memory");

	for (int i = 0; ok && i < a->n_paths; i++) {
		size_t n;
		if (kinds[i] != KIND_STACK)
			continue;
		const char *name = strcmp(a->paths[i], "-") == 0 ? "stdin" : a->paths[i];
		if (!read_stack(a->paths[i], buf, &n))
			ok = err_set(err, "%s: %s", name, strerror(errno));
		else
			ok = stack_add(s, name, str_make(buf, n)) || err_set(err, "out of memory");
	}
	if (ok)
		ok = stack_judge(s) || err_set(err, "out of memory");
	if (s)
		c->services += stack_services(s);
	mem_free(buf);
	stack_free(s);
	return ok;
}

static int check_paths(struct check *c, const struct arguments *a, struct err *err)
{
	enum kind kinds[CHECK_PATHS_MAX];
	bool stacks = false, ok = true;

	for (int i = 0; i < a->n_paths; i++) {
		kinds[i] = kind_of(a->paths[i], err);
		if (kinds[i] == KIND_NONE)
			return refuse(a->paths[i], err->text);
		stacks = stacks || kinds[i] == KIND_STACK;
	}
	for (int i = 0; ok && i < a->n_paths; i++)
		if (kinds[i] == KIND_DIRECTORY)
			ok = check_directory(c, a->paths[i], err);
	if (ok && stacks)
		ok = check_stacks(c, a, kinds, err);
	return ok ? STATUS_OK : STATUS_FAILED;
}

/* --- saying ------------------------------------------------------------------------------------------------------------ */

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void print_summary(const struct check *c, const struct arguments *a, struct text *t)
{
	const size_t *n = c->found.count;
	size_t problems = n[SEVERITY_ERROR] + n[SEVERITY_WARN];

	if (a->n_paths == 0) {
		if (problems == 0)
			text_addz(t, "the options are good\n");
		return;
	}
	text_fmt(t, "%zu service%s, %zu profile%s, %zu problem%s", c->services, plural(c->services),
		c->profiles, plural(c->profiles), problems, plural(problems));
	if (problems)
		text_fmt(t, " (%zu error%s, %zu warning%s)", n[SEVERITY_ERROR], plural(n[SEVERITY_ERROR]),
			n[SEVERITY_WARN], plural(n[SEVERITY_WARN]));
	text_char(t, '\n');
}

static void print_json(const struct check *c, struct text *t)
{
	struct json j = json_begin(t);

	json_object(&j);
	json_key(&j, "services");
	json_u64(&j, c->services);
	json_key(&j, "profiles");
	json_u64(&j, c->profiles);
	findings_print_json(&c->found, &j);
	json_end(&j);
	text_char(t, '\n');
}

static bool print(struct check *c, const struct arguments *a, bool base_good)
{
	struct text t;

	text_init(&t, OUTPUT_MAX);
	findings_sort(&c->found);
	if (a->json) {
		print_json(c, &t);
	} else {
		findings_print(&c->found, &t);
		if (base_good || a->n_paths)
			print_summary(c, a, &t);
	}
	bool ok = !t.failed && !c->found.failed && fwrite(text_z(&t), 1, t.n, stdout) == t.n &&
		  fflush(stdout) == 0;
	if (!ok)
		fprintf(stderr, "outrider check: out of memory, or the output cannot be written\n");
	text_release(&t);
	return ok;
}

/* With --json what is wrong with environment and flags is told with all else. */
static bool check_base(struct check *c, const struct arguments *a, struct options *o)
{
	struct err err = { "" };

	if (!a->json)
		return commands_check_options(o, a->command);
	bool good = options_check(o, a->command, &err);
	for (size_t i = 0; i < options_problem_count(o); i++)
		findings_add(&c->found, &(struct finding){ .file = options_problem(o, i)->origin,
						.severity = SEVERITY_ERROR,
						.id = "option",
						.service = STR(""),
						.text = str_of(options_problem(o, i)->text),
						.remedy = STR("") });
	return good;
}

/* --- the command ---------------------------------------------------------------------------------------------------------- */

static bool needs_options(const struct arguments *a)
{
	struct err ignored;

	for (int i = 0; i < a->n_paths; i++)
		if (kind_of(a->paths[i], &ignored) == KIND_DIRECTORY)
			return true;
	return a->n_paths == 0 || a->n_flags > 0;
}

static int check(struct arguments *a, struct options *o)
{
	struct check c = { .command = a->command,
		.flags = a->flags,
		.n_flags = a->n_flags,
		.environ_ = environ,
		.base = o,
		.online = a->online };
	struct err err = { "" };
	int ret = STATUS_OK;

	findings_init(&c.found);
	/* A stack file has environments of its own: the one of this check only fills its variables. */
	bool good = !needs_options(a) || check_base(&c, a, o);
	if (a->n_paths)
		ret = check_paths(&c, a, &err);
	else if (good && !check_chain(&c, &err))
		ret = STATUS_FAILED;
	if (ret == STATUS_FAILED)
		fprintf(stderr, "outrider check: %s\n", err.text);
	if (ret == STATUS_OK && !print(&c, a, good))
		ret = STATUS_FAILED;
	if (ret == STATUS_OK &&
		(c.found.count[SEVERITY_ERROR] || (a->strict && c.found.count[SEVERITY_WARN])))
		ret = STATUS_FAILED;
	findings_release(&c.found);
	return good || ret == STATUS_USAGE ? ret : STATUS_USAGE;
}

int command_check(int argc, char **argv)
{
	struct err err = { "" };
	size_t room = (size_t)(argc > 0 ? argc : 0) + 1;
	struct arguments a = { .flags = mem_zarray(room, sizeof(char *)),
		.paths = mem_zarray(room, sizeof(char *)) };
	struct options *o = options_new();
	int ret = STATUS_FAILED;

	if (!o || !a.flags || !a.paths || !options_add_env(o, environ, &err))
		fprintf(stderr, "outrider: %s\n", err.text[0] ? err.text : "out of memory");
	else
		ret = read_arguments(&a, o, argc, argv);
	if (ret == STATUS_OK && o)
		ret = check(&a, o);
	options_free(o);
	mem_free(a.flags);
	mem_free(a.paths);
	return ret;
}
