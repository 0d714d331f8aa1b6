/* The filters of system calls, asked in a child that is then thrown away: raw calls, for what a library would make of them is not the matter. */
#include "attach/seccomp.h"

#include <check.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* errno of a call with arguments that do nothing: what is refused by the filter says ENOSYS. 0: it succeeded. */
static int ask(long number, long a)
{
	errno = 0;
	return syscall(number, a, 0, 0, 0, 0, 0) < 0 ? errno : 0;
}

/* 0: as it should be; else the number of what is not. */
static int look(enum seccomp_half half)
{
	struct err err;
	bool keeper = half == SECCOMP_KEEPER;
	const struct {
		long number, a;
		bool proxy, keeper;
	} rows[] = {
		{ SYS_getpid, 0, true, true },
		{ SYS_socket, -1, true, true },
		{ SYS_close, -1, true, true },
		{ SYS_futex, 0, true, true },
		{ SYS_setns, -1, false, true },
		{ SYS_adjtimex, 0, false, true }, /* /doctor asks it now and then */
		{ SYS_clock_adjtime, 0, false, true },
		{ SYS_execve, 0, false, true },
		{ SYS_clone, CLONE_NEWUSER, false, false },
		{ SYS_unshare, 0, false, false },
		{ SYS_ptrace, -1, false, false },
		{ SYS_mount, 0, false, false },
		{ SYS_bpf, -1, false, false },
		{ SYS_clone3, 0, false, false },
	};

	if (!seccomp_confine(half, &err))
		return 100;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if ((ask(rows[i].number, rows[i].a) != ENOSYS) != (keeper ? rows[i].keeper : rows[i].proxy))
			return (int)i + 1;
	return 0;
}

static int status_of(enum seccomp_half half)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(look(half));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

START_TEST(the_proxy_makes_no_process_and_enters_nothing)
{
	ck_assert_int_eq(status_of(SECCOMP_PROXY), 0);
}
END_TEST

START_TEST(the_keeper_enters_namespaces_and_makes_none)
{
	ck_assert_int_eq(status_of(SECCOMP_KEEPER), 0);
}
END_TEST

/* The proxy is started by the keeper, whose filter stands already: the two together are the narrower one. */
START_TEST(one_above_the_other)
{
	int status = 0;
	struct err err;
	pid_t pid = fork();

	if (pid == 0)
		_exit(seccomp_confine(SECCOMP_KEEPER, &err) ? look(SECCOMP_PROXY) : 100);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

/* A build with a sanitizer cannot be confined, and says so instead of breaking its runtime. */
START_TEST(a_sanitized_build_is_left_alone)
{
	struct err err = { "" };

	ck_assert(!seccomp_confine(SECCOMP_PROXY, &err) && err.text[0]);
	ck_assert_int_ne(ask(SYS_unshare, 0), ENOSYS);
}
END_TEST

Suite *suite_attach_seccomp(void);
Suite *suite_attach_seccomp(void)
{
	Suite *s = suite_create("attach_seccomp");
	TCase *t = tcase_create("attach_seccomp");
#ifndef SANITIZED
#define SANITIZED 0
#endif
	if (SANITIZED) {
		tcase_add_test(t, a_sanitized_build_is_left_alone);
	} else {
		tcase_add_test(t, the_proxy_makes_no_process_and_enters_nothing);
		tcase_add_test(t, the_keeper_enters_namespaces_and_makes_none);
		tcase_add_test(t, one_above_the_other);
	}
	suite_add_tcase(s, t);
	return s;
}
