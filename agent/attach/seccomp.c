#include "attach/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RULES_MAX 400u

/* The numbers of another architecture's calls mean other calls: who uses them is not us. 0: not known for this machine. */
#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define FOREIGN_BIT 0x40000000u /* x32 */
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#define FOREIGN_BIT 0u
#else
#define ARCH 0u
#define FOREIGN_BIT 0u
#endif

/* Those that a request needs stand first: kernels before 5.11 ask the list each time. What newer machines lack stands below. */
static const int common[] = {
	/* of a request */
	__NR_read, __NR_write, __NR_readv, __NR_writev, __NR_epoll_pwait, __NR_epoll_ctl, __NR_accept4, __NR_connect, __NR_close,
	__NR_recvmsg, __NR_sendmsg, __NR_futex,
	/* descriptors */
	__NR_pread64, __NR_pwrite64, __NR_fcntl, __NR_ioctl, __NR_dup, __NR_dup3, __NR_pipe2, __NR_lseek, __NR_splice, __NR_sendfile,
	__NR_eventfd2, __NR_memfd_create, __NR_epoll_create1, __NR_ppoll, __NR_pselect6, __NR_timerfd_create, __NR_timerfd_settime,
	__NR_timerfd_gettime,
	/* files */
	__NR_openat, __NR_fstat, __NR_statx, __NR_statfs, __NR_fstatfs, __NR_faccessat, __NR_readlinkat, __NR_getdents64, __NR_getcwd,
	__NR_inotify_init1, __NR_inotify_add_watch, __NR_inotify_rm_watch, __NR_renameat2, __NR_unlinkat, __NR_mkdirat, __NR_ftruncate,
	__NR_fallocate, __NR_fsync, __NR_fdatasync, __NR_fchmod, __NR_fchmodat, __NR_flock, __NR_umask,
	/* sockets */
	__NR_socket, __NR_socketpair, __NR_bind, __NR_listen, __NR_accept, __NR_getsockname, __NR_getpeername, __NR_setsockopt,
	__NR_getsockopt, __NR_sendto, __NR_recvfrom, __NR_sendmmsg, __NR_recvmmsg, __NR_shutdown,
	/* memory, threads, signals */
	__NR_mmap, __NR_munmap, __NR_mprotect, __NR_mremap, __NR_madvise, __NR_brk, __NR_set_robust_list, __NR_get_robust_list,
	__NR_membarrier, __NR_sched_yield, __NR_sched_getaffinity, __NR_set_tid_address, __NR_gettid, __NR_exit, __NR_exit_group,
	__NR_rt_sigaction, __NR_rt_sigprocmask, __NR_rt_sigreturn, __NR_rt_sigtimedwait, __NR_sigaltstack, __NR_tgkill,
	__NR_restart_syscall, __NR_prctl,
	/* who, when, how much */
	__NR_getpid, __NR_getppid, __NR_getuid, __NR_geteuid, __NR_getgid, __NR_getegid, __NR_getresuid, __NR_getresgid, __NR_getgroups,
	__NR_capget, __NR_uname, __NR_sysinfo, __NR_getrandom, __NR_getrusage, __NR_prlimit64, __NR_clock_gettime, __NR_clock_getres,
	__NR_clock_nanosleep, __NR_nanosleep, __NR_gettimeofday,
};

/* Calls that not every machine, or not every version of the kernel's headers, has. */
static const int older[] = {
#ifdef __NR_access
	__NR_access,
#endif
#ifdef __NR_arch_prctl
	__NR_arch_prctl,
#endif
#ifdef __NR_chmod
	__NR_chmod,
#endif
#ifdef __NR_close_range
	__NR_close_range,
#endif
#ifdef __NR_dup2
	__NR_dup2,
#endif
#ifdef __NR_epoll_pwait2
	__NR_epoll_pwait2,
#endif
#ifdef __NR_epoll_wait
	__NR_epoll_wait,
#endif
#ifdef __NR_faccessat2
	__NR_faccessat2,
#endif
#ifdef __NR_getrlimit
	__NR_getrlimit,
#endif
#ifdef __NR_lstat
	__NR_lstat,
#endif
#ifdef __NR_mkdir
	__NR_mkdir,
#endif
#ifdef __NR_newfstatat
	__NR_newfstatat,
#endif
#ifdef __NR_open
	__NR_open,
#endif
#ifdef __NR_poll
	__NR_poll,
#endif
#ifdef __NR_readlink
	__NR_readlink,
#endif
#ifdef __NR_rename
	__NR_rename,
#endif
#ifdef __NR_renameat
	__NR_renameat,
#endif
#ifdef __NR_rseq
	__NR_rseq,
#endif
#ifdef __NR_select
	__NR_select,
#endif
#ifdef __NR_setrlimit
	__NR_setrlimit,
#endif
#ifdef __NR_stat
	__NR_stat,
#endif
#ifdef __NR_time
	__NR_time,
#endif
#ifdef __NR_unlink
	__NR_unlink,
#endif
};

static const int keepers[] = {
	__NR_setns, __NR_execve, __NR_wait4, __NR_waitid, __NR_kill, __NR_setuid, __NR_setgid, __NR_setgroups, __NR_setresuid,
	__NR_setresgid, __NR_seccomp, __NR_capset,
#ifdef __NR_fork
	__NR_fork, __NR_vfork,
#endif
};

struct program {
	struct sock_filter at[RULES_MAX];
	unsigned short n;
	bool full;
};

static void add(struct program *p, uint16_t code, uint8_t yes, uint8_t no, uint32_t k)
{
	if (p->n == RULES_MAX)
		p->full = true;
	else
		p->at[p->n++] = (struct sock_filter){ code, yes, no, k };
}

static void add_return(struct program *p, uint32_t what)
{
	add(p, BPF_RET | BPF_K, 0, 0, what);
}

static void load(struct program *p, size_t offset)
{
	add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void allow(struct program *p, const int *numbers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)numbers[i]);
		add_return(p, SECCOMP_RET_ALLOW);
	}
}

static void begin(struct program *p)
{
	load(p, offsetof(struct seccomp_data, arch));
	add(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ARCH);
	add_return(p, SECCOMP_RET_KILL_PROCESS);
	load(p, offsetof(struct seccomp_data, nr));
	if (FOREIGN_BIT) {
		add(p, BPF_JMP | BPF_JGE | BPF_K, 0, 1, FOREIGN_BIT);
		add_return(p, SECCOMP_RET_KILL_PROCESS);
	}
}

/* Threads, and no namespace of its own. clone3() has its flags in memory, where a filter cannot see them: glibc goes back to clone().
 * The flags that count are in the lower half of the first argument, which comes first on these machines. */
static void end(struct program *p, bool processes)
{
	uint32_t mask = processes ? CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID : CLONE_THREAD;

	add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, __NR_clone);
	load(p, offsetof(struct seccomp_data, args));
	add(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, mask);
	add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, processes ? 0 : CLONE_THREAD);
	add_return(p, SECCOMP_RET_ALLOW);
	add_return(p, SECCOMP_RET_ERRNO | ENOSYS);
}

bool seccomp_confine(enum seccomp_half half, struct err *err)
{
	struct program p = { .n = 0 };
	bool keeper = half == SECCOMP_KEEPER;

	begin(&p);
	allow(&p, common, sizeof(common) / sizeof(common[0]));
	allow(&p, older, sizeof(older) / sizeof(older[0]));
	if (keeper)
		allow(&p, keepers, sizeof(keepers) / sizeof(keepers[0]));
	end(&p, keeper);
	const struct sock_fprog prog = { p.n, p.at };
	if (!ARCH || p.full)
		return err_set(err, "system calls are not filtered by the agent itself: their numbers on this machine are not known to it");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) != 0)
		return err_set(err, "system calls are not filtered by the agent itself: %s", strerror(errno));
	return true;
}
