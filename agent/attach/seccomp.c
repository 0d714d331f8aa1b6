#include "attach/seccomp.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>

#ifndef SANITIZED
#define SANITIZED 0 /* the Makefile's builds with a sanitizer say 1 */
#endif

/* By name, for not every machine has each: those it lacks are left out. */
static const char *const common[] = {
	/* descriptors */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "close", "close_range", "fcntl", "ioctl", "dup", "dup2", "dup3", "pipe2",
	"lseek", "splice", "sendfile", "eventfd2", "memfd_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
	"poll", "ppoll", "select", "pselect6", "timerfd_create", "timerfd_settime", "timerfd_gettime",
	/* files */
	"open", "openat", "stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2", "readlink",
	"readlinkat", "getdents64", "getcwd", "inotify_init1", "inotify_add_watch", "inotify_rm_watch", "rename", "renameat", "renameat2",
	"unlink", "unlinkat", "mkdir", "mkdirat", "ftruncate", "fallocate", "fsync", "fdatasync", "fchmod", "chmod", "fchmodat", "flock", "umask",
	/* sockets */
	"socket", "socketpair", "bind", "connect", "listen", "accept", "accept4", "getsockname", "getpeername", "setsockopt", "getsockopt",
	"sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown",
	/* memory, threads, signals */
	"mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "futex", "set_robust_list", "get_robust_list", "rseq", "membarrier",
	"sched_yield", "sched_getaffinity", "set_tid_address", "gettid", "exit", "exit_group", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
	"rt_sigtimedwait", "sigaltstack", "tgkill", "restart_syscall", "arch_prctl", "prctl",
	/* who, when, how much */
	"getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "capget", "uname", "sysinfo",
	"getrandom", "getrusage", "getrlimit", "setrlimit", "prlimit64", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep",
	"gettimeofday", "time",
};

static const char *const keepers[] = { "setns", "fork", "vfork", "execve", "wait4", "waitid", "kill", "setuid", "setgid", "setgroups",
	"setresuid", "setresgid", "seccomp", "capset", "adjtimex", "clock_adjtime" /* without SYS_TIME they only read */ };

static bool allow(scmp_filter_ctx f, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);
		if (number == __NR_SCMP_ERROR || number < 0)
			continue;
		int error = seccomp_rule_add(f, SCMP_ACT_ALLOW, number, 0);
		if (error) {
			errno = -error;
			return false;
		}
	}
	return true;
}

/* Threads, and no namespace of its own. clone3() has its flags in memory, where a filter cannot see them: glibc goes back to clone(). */
static bool allow_threads(scmp_filter_ctx f, bool processes)
{
	int error = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		processes ? SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID, 0) :
			    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	errno = -error;
	return error == 0;
}

bool seccomp_confine(enum seccomp_half half, struct err *err)
{
	if (SANITIZED) /* its runtime stops threads from another process to look for leaks, and does more that no agent does */
		return err_set(err, "a build with a sanitizer needs what the filter refuses");

	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	bool keeper = half == SECCOMP_KEEPER;
	int error = ENOMEM;

	if (f) {
		error = EINVAL;
		if (allow(f, common, sizeof(common) / sizeof(common[0])) &&
			(!keeper || allow(f, keepers, sizeof(keepers) / sizeof(keepers[0]))) && allow_threads(f, keeper))
			error = -seccomp_load(f);
		seccomp_release(f);
	}
	if (error)
		return err_set(err, "system calls are not filtered by the agent itself: %s", strerror(error));
	return true;
}
