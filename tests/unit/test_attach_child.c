/* The child of exec: environment, exit statuses, what it finds. */
#include "attach/child.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *find(char *const *env, const char *name)
{
	for (; *env; env++) {
		if (strncmp(*env, name, strlen(name)) == 0 && (*env)[strlen(name)] == '=')
			return *env + strlen(name) + 1;
	}
	return NULL;
}

static size_t count(char *const *env)
{
	size_t n = 0;
	while (env[n])
		n++;
	return n;
}

START_TEST(environment_is_left_alone)
{
	struct arena a;
	arena_init(&a, 65536, NULL, 0);
	char *base[] = { "A=1", "http_proxy=http://corp:3128", "OUTRIDER_PORT=1", NULL };
	char **env = child_environment(&a, base, &(struct child_env){ 0 });
	ck_assert_ptr_nonnull(env);
	ck_assert_uint_eq(count(env), 3);
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_eq(env[i], base[i]);
	arena_release(&a);
}
END_TEST

START_TEST(environment_gets_the_proxy)
{
	struct arena a;
	arena_init(&a, 65536, NULL, 0);
	char *base[] = { "http_proxy=x", "HTTP_PROXY=y", "NO_PROXY=.corp", "OUTRIDER_ADMIN_TOKEN=s", "Z=1",
		"https_proxy=z", NULL };
	struct child_env change = { .proxy = "127.0.0.1:4140", .unset = { "OUTRIDER_ADMIN_TOKEN" } };
	char **env = child_environment(&a, base, &change);
	ck_assert_ptr_nonnull(env);
	ck_assert_str_eq(find(env, "http_proxy"), "http://127.0.0.1:4140");
	ck_assert_str_eq(find(env, "HTTP_PROXY"), "http://127.0.0.1:4140");
	ck_assert_str_eq(find(env, "no_proxy"), "localhost,127.0.0.1,::1,.corp");
	ck_assert_str_eq(find(env, "NO_PROXY"), "localhost,127.0.0.1,::1,.corp");
	ck_assert_str_eq(find(env, "https_proxy"), "z");
	ck_assert_ptr_null(find(env, "OUTRIDER_ADMIN_TOKEN"));
	ck_assert_uint_eq(count(env), 6);

	char *bare[] = { NULL };
	env = child_environment(&a, bare, &change);
	ck_assert_ptr_null(find(env, "HTTP_PROXY")); /* CGI: it would be a request's field */
	ck_assert_str_eq(find(env, "no_proxy"), "localhost,127.0.0.1,::1");
	arena_release(&a);
}
END_TEST

START_TEST(environment_without_memory)
{
	char *base[] = { "A=1", "B=2", NULL };
	struct child_env change = { .proxy = "127.0.0.1:4140" };
	for (size_t max = 0; max < 200; max += 8) {
		struct arena a;
		arena_init(&a, max, NULL, 0);
		char **env = child_environment(&a, base, &change);
		ck_assert(!env || find(env, "no_proxy"));
		arena_release(&a);
	}
}
END_TEST

START_TEST(statuses)
{
	ck_assert_int_eq(child_exit_status(7 << 8), 7);
	ck_assert_int_eq(child_exit_status(SIGTERM), 143);
	ck_assert_int_eq(child_exit_status(SIGSEGV | 0x80), 139);
	ck_assert_int_eq(child_exec_status(ENOENT), 127);
	ck_assert_int_eq(child_exec_status(EACCES), 126);
	ck_assert_int_eq(child_exec_status(ENOEXEC), 126);
}
END_TEST

static int run_to_end(struct child *c)
{
	for (int i = 0; i < 2000 && !child_reap(c); i++)
		poll(NULL, 0, 5);
	ck_assert(c->ended);
	return c->status;
}

static int run(char *const *argv)
{
	extern char **environ;
	struct child c;
	struct child_limits l = { .raised = false };
	struct err err;
	ck_assert_msg(child_start(&c, argv, environ, &l, NULL, &err), "%s", err.text);
	return run_to_end(&c);
}

START_TEST(status_is_returned)
{
	ck_assert_int_eq(run((char *[]){ "sh", "-c", "exit 42", NULL }), 42);
	ck_assert_int_eq(run((char *[]){ "/bin/sh", "-c", "kill -9 $$", NULL }), 137);
	ck_assert_int_eq(run((char *[]){ "true", NULL }), 0);
}
END_TEST

START_TEST(what_cannot_run_is_said)
{
	extern char **environ;
	static const struct {
		const char *command;
		int status;
		const char *says;
	} rows[] = {
		{ "outrider-no-such-command", 127, "PATH" },
		{ "/no/such/file", 127, "no such file" },
		{ "/etc/passwd", 126, "chmod +x" },
		{ "/", 126, "permission denied" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct child c;
		struct child_limits l = { .raised = false };
		struct err err;
		char *argv[] = { (char *)rows[i].command, NULL };
		ck_assert(!child_start(&c, argv, environ, &l, NULL, &err));
		ck_assert_int_eq(c.status, rows[i].status);
		ck_assert_msg(strstr(err.text, rows[i].says) != NULL, "%s", err.text);
		ck_assert_int_eq(c.pid, 0);
		ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
	}
}
END_TEST

/* Masks, dispositions, descriptors and limits are those of a plain start. */
START_TEST(child_finds_defaults)
{
	extern char **environ;
	sigset_t block;
	sigemptyset(&block);
	sigaddset(&block, SIGUSR2);
	sigprocmask(SIG_BLOCK, &block, NULL);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(dup2(1, 9), 9);
	struct child_limits l;
	struct rlimit low = { 0 };
	getrlimit(RLIMIT_NOFILE, &low);
	low.rlim_cur = 64;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	child_limits_raise(&l);
	ck_assert(l.raised);
	struct child c;
	struct err err;
	char *argv[] = { "sh", "-c",
		"grep -q '^SigBlk:[[:space:]]*0*$' /proc/self/status || exit 11\n"
		"grep -q '^SigIgn:[[:space:]]*0*$' /proc/self/status || exit 12\n"
		"test ! -e /proc/$$/fd/9 || exit 13\n"
		"test ! -e /proc/$$/fd/3 || exit 14\n"
		"test $(ulimit -n) = 64 || exit 15\n",
		NULL };
	ck_assert_msg(child_start(&c, argv, environ, &l, NULL, &err), "%s", err.text);
	ck_assert_int_eq(run_to_end(&c), 0);
}
END_TEST

START_TEST(orphans_are_reaped)
{
	/* The shell leaves a process behind, which becomes ours and ends. */
	ck_assert_int_eq(run((char *[]){ "sh", "-c", "(exec sleep 0.05) & exit 3", NULL }), 3);
	struct child c = { 0 };
	int left = 0;
	for (int i = 0; i < 1000 && left == 0; i++) {
		poll(NULL, 0, 5);
		(void)child_reap(&c);
		left = waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
	}
	ck_assert(left);
}
END_TEST

START_TEST(signals_reach_the_child)
{
	extern char **environ;
	struct child c;
	struct child_limits l = { .raised = false };
	struct err err;
	char *argv[] = { "sleep", "60", NULL };
	ck_assert(child_start(&c, argv, environ, &l, NULL, &err));
	child_signal(&c, SIGTERM);
	ck_assert_int_eq(run_to_end(&c), 143);
	ck_assert_int_eq(c.signal, SIGTERM);
	child_signal(&c, SIGTERM); /* must not reach process 0, which is our group */
}
END_TEST

Suite *suite_attach_child(void)
{
	Suite *s = suite_create("attach_child");
	TCase *t = tcase_create("child");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, environment_is_left_alone);
	tcase_add_test(t, environment_gets_the_proxy);
	tcase_add_test(t, environment_without_memory);
	tcase_add_test(t, statuses);
	tcase_add_test(t, status_is_returned);
	tcase_add_test(t, what_cannot_run_is_said);
	tcase_add_test(t, child_finds_defaults);
	tcase_add_test(t, orphans_are_reaped);
	tcase_add_test(t, signals_reach_the_child);
	suite_add_tcase(s, t);
	return s;
}
