#include "attach/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENV_MAX_BYTES (4u << 20) /* the kernel's own limit is near */
#define PATHS_MAX_BYTES (64u << 10)
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void child_limits_raise(struct child_limits *l)
{
	*l = (struct child_limits){ 0 };
	if (getrlimit(RLIMIT_NOFILE, &l->files) != 0 || l->files.rlim_cur >= l->files.rlim_max)
		return;
	struct rlimit want = { .rlim_cur = l->files.rlim_max, .rlim_max = l->files.rlim_max };
	l->raised = setrlimit(RLIMIT_NOFILE, &want) == 0;
}

/* --- environment --------------------------------------------------------------------------------------------- */

static bool is_var(const char *entry, const char *name)
{
	size_t n = strlen(name);
	return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

static const char *env_get(char *const *env, const char *name)
{
	for (; env && *env; env++) {
		if (is_var(*env, name))
			return *env + strlen(name) + 1;
	}
	return NULL;
}

static bool has_var(char *const *env, struct str name)
{
	for (; env && *env; env++) {
		if (strncmp(*env, name.p, name.n) == 0 && (*env)[name.n] == '=')
			return true;
	}
	return false;
}

static bool is_replaced(const char *entry, const struct child_env *env)
{
	static const char *const proxy_names[] = { "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY" };
	for (size_t i = 0; env->proxy && i < sizeof(proxy_names) / sizeof(proxy_names[0]); i++) {
		if (is_var(entry, proxy_names[i]))
			return true;
	}
	for (size_t i = 0; i < sizeof(env->unset) / sizeof(env->unset[0]) && env->unset[i]; i++) {
		if (is_var(entry, env->unset[i]))
			return true;
	}
	return false;
}

/* Some programs read only the lower case, some prefer the upper: both say the same. HTTP_PROXY is set only where
 * it was set before, since CGI programs take it for a request's field. */
static bool add_proxy(struct arena *a, char *const *base, const char *proxy, char **out, size_t *n)
{
	const char *had = env_get(base, "no_proxy");
	if (!had)
		had = env_get(base, "NO_PROXY");
	const char *comma = had && *had ? "," : "";
	char *lower = arena_fmt(a, "http_proxy=http://%s", proxy);
	char *no = arena_fmt(a, "no_proxy=localhost,127.0.0.1,::1%s%s", comma, had ? had : "");
	char *no_upper = arena_fmt(a, "NO_PROXY=localhost,127.0.0.1,::1%s%s", comma, had ? had : "");
	if (!lower || !no || !no_upper)
		return false;
	out[(*n)++] = lower;
	out[(*n)++] = no;
	out[(*n)++] = no_upper;
	if (!env_get(base, "HTTP_PROXY"))
		return true;
	char *upper = arena_fmt(a, "HTTP_PROXY=http://%s", proxy);
	out[(*n)++] = upper;
	return upper != NULL;
}

char **child_environment(struct arena *a, char *const *base, const struct child_env *env)
{
	size_t count = 0, more = 0, n = 0;
	while (base && base[count])
		count++;
	while (env->add && env->add[more])
		more++;
	char **out = arena_alloc(a, (count + more + 5) * sizeof(*out));
	if (!out)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		if (!is_replaced(base[i], env))
			out[n++] = base[i];
	}
	if (env->proxy && !add_proxy(a, base, env->proxy, out, &n))
		return NULL;
	for (size_t i = 0; i < more; i++) {
		const char *equals = strchr(env->add[i], '=');
		if (equals && !has_var(base, str_make(env->add[i], (size_t)(equals - env->add[i]))))
			out[n++] = env->add[i];
	}
	out[n] = NULL;
	return out;
}

/* --- start --------------------------------------------------------------------------------------------------- */

/* The files to try for `command`, NULL-terminated: itself when it has a '/', else one per folder of PATH. Made before
 * fork(): the child of a process with threads may not allocate. */
static char **candidates(struct arena *a, const char *command, char *const *envp)
{
	const char *path = env_get(envp, "PATH");
	struct str rest = str_of(path ? path : DEFAULT_PATH), dir;
	size_t max = 2;
	for (size_t i = 0; i < rest.n; i++)
		max += rest.p[i] == ':';
	char **out = arena_zalloc(a, (max + 1) * sizeof(*out));
	if (!out)
		return NULL;
	if (strchr(command, '/')) {
		out[0] = arena_z(a, str_of(command));
		return out[0] ? out : NULL;
	}
	for (size_t n = 0; n < max && str_next(&rest, ':', &dir);) {
		out[n] = arena_fmt(a, "%.*s/%s", STR_ARG(dir.n ? dir : STR(".")), command);
		if (!out[n++])
			return NULL;
	}
	return out;
}

/* As execvp() does: the next folder only when this one has no such file; EACCES is remembered. */
static int exec_candidates(char *const *files, char *const *argv, char *const *envp)
{
	int error = ENOENT;
	for (; *files; files++) {
		execve(*files, argv, envp);
		if (errno == EACCES)
			error = EACCES;
		else if (errno != ENOENT && errno != ENOTDIR)
			return errno;
	}
	return error;
}

static void default_signals(void)
{
	/* As the kernel takes it: libc refuses to touch signals 32 and 33, which some parents (make) leave ignored. */
	struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		unsigned long mask;
	} dfl = { .handler = SIG_DFL };
	for (int s = 1; s < NSIG; s++)
		(void)syscall(SYS_rt_sigaction, s, &dfl, NULL, sizeof(dfl.mask)); /* SIGKILL, SIGSTOP refuse: fine */
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child, after fork(): only functions that are safe there. Never returns. */
static _Noreturn void become(char *const *files, char *const *argv, char *const *envp,
	const struct child_limits *l, const int out[2], pid_t parent, int report)
{
	default_signals();
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) /* the agent died before the line above */
		_exit(EXIT_SIGNAL_BASE + SIGTERM);
	if (l->raised)
		(void)setrlimit(RLIMIT_NOFILE, &l->files);
	for (int i = 0; out && i < 2; i++)
		if (out[i] >= 0)
			(void)dup2(out[i], STDOUT_FILENO + i);
	if (report != 3) {
		(void)dup3(report, 3, O_CLOEXEC);
		report = 3;
	}
	(void)close_range(4, ~0u, 0);
	int error = exec_candidates(files, argv, envp);
	(void)!write(report, &error, sizeof(error));
	_exit(child_exec_status(error));
}

static const char *exec_remedy(int error, bool searched)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return searched ? "not found in PATH; give the full path, or correct PATH"
				: "no such file (or the interpreter that its first line or its ELF header "
				  "names is missing in this image)";
	case EACCES:
		return "permission denied; is it a file with the executable bit (chmod +x)?";
	case ENOEXEC:
		return "not in a format that this machine executes; a script needs #! in its first line, a "
		       "binary this CPU's architecture";
	default:
		return strerror(error);
	}
}

static bool explain(struct child *c, const char *command, int error, struct err *err)
{
	c->status = child_exec_status(error);
	return err_set(err, "cannot run %s: %s", command, exec_remedy(error, !strchr(command, '/')));
}

/* The error that execve() met, or 0 once the pipe closed by its success. */
static int read_report(int fd)
{
	int error = 0;
	ssize_t n;
	do {
		n = read(fd, &error, sizeof(error));
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(error) ? error : 0;
}

static bool fork_and_report(struct child *c, char *const *files, char *const *argv, char *const *envp,
	const struct child_limits *l, const int out[2], struct err *err)
{
	int report[2];
	if (pipe2(report, O_CLOEXEC) != 0)
		return explain(c, argv[0], errno, err);
	pid_t self = getpid(), pid;
	sigset_t all, former;
	sigfillset(&all);
	/* Blocked until the child has default dispositions: no handler of the agent may run in it. */
	pthread_sigmask(SIG_SETMASK, &all, &former);
	pid = fork();
	int error = errno;
	if (pid == 0)
		become(files, argv, envp, l, out, self, report[1]);
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	close(report[1]);
	if (pid > 0)
		error = read_report(report[0]);
	close(report[0]);
	if (pid > 0 && error)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	if (pid < 0 || error)
		return explain(c, argv[0], error, err);
	c->pid = pid;
	return true;
}

bool child_start(struct child *c, char *const *argv, char *const *envp, const struct child_limits *l, const int out[2],
	struct err *err)
{
	*c = (struct child){ 0 };
	struct arena a;
	arena_init(&a, PATHS_MAX_BYTES, NULL, 0);
	char **files = candidates(&a, argv[0], envp);
	bool ok = false;
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* refused only by kernels older than 3.4 */
	if (files)
		ok = fork_and_report(c, files, argv, envp, l, out, err);
	else
		explain(c, argv[0], ENOMEM, err);
	arena_release(&a);
	return ok;
}

/* --- life ---------------------------------------------------------------------------------------------------- */

void child_signal(const struct child *c, int signo)
{
	if (c->pid > 0)
		(void)kill(c->pid, signo);
}

bool child_reap(struct child *c)
{
	int status;
	pid_t pid;
	bool own = false;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != c->pid)
			continue; /* an orphan of the child */
		own = true;
		c->pid = 0;
		c->ended = true;
		c->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
		c->status = child_exit_status(status);
	}
	return own;
}

int child_exit_status(int wait_status)
{
	if (WIFSIGNALED(wait_status))
		return EXIT_SIGNAL_BASE + WTERMSIG(wait_status);
	return WEXITSTATUS(wait_status);
}

int child_exec_status(int error)
{
	return error == ENOENT || error == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

bool child_shares_terminal(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (isatty(fd) && tcgetpgrp(fd) == getpgrp())
			return true;
	}
	return false;
}
