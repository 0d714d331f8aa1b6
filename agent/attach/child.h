/* The child of `outrider exec`: started, signalled, reaped.
 *
 * What the child finds is what it would find without the agent: default signal mask and dispositions, the
 * limits that the agent was started with (the agent raises its own number of open files), descriptors 0, 1, 2
 * and no others. It stays in the agent's process group and session, so that it is in the foreground of a
 * terminal, and Ctrl-C and Ctrl-Z reach it as usual; so the agent sends no second SIGINT there, but SIGTERM when
 * its drain comes to the child.
 * When the agent dies without a word (SIGKILL, a crash) the kernel sends the child SIGTERM: a service without
 * its agent would serve unseen, and a restarted agent would start a second one beside it.
 * The agent is the subreaper of the child's orphans, so none becomes a zombie, PID 1 or not.
 * Thread: control's. */
#ifndef OUTRIDER_ATTACH_CHILD_H
#define OUTRIDER_ATTACH_CHILD_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

enum { /* exit statuses as shells use them */
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNAL_BASE = 128
};

struct child_limits {
	struct rlimit files; /* RLIMIT_NOFILE as it was at start */
	bool raised;
};

struct child_env {
	const char *proxy;    /* "127.0.0.1:4140": set http_proxy and no_proxy; NULL: leave them */
	const char *unset[4]; /* names that the child shall not see, NULL-terminated */
	char *const *add;     /* "NAME=value", NULL-terminated or NULL; what `base` has already stays */
};

struct child {
	pid_t pid; /* 0: not started, or reaped */
	bool ended;
	int status; /* exit status to return once it ended: 0..255 */
	int signal; /* that ended it, or 0 */
};

/* Raises the soft limit of open files to the hard one and remembers the former. */
void child_limits_raise(struct child_limits *l);

/* The environment for the child: `base` changed by `env`, in the arena. NULL: out of memory. */
char **child_environment(struct arena *a, char *const *base, const struct child_env *env) MUST_CHECK;

/* Starts argv[0] (looked for in PATH of envp when it has no '/'). out: what becomes its stdout and stderr, -1 or NULL: ours; they stay the
 * caller's. false: it could not be executed; err names the
 * command and the remedy, c->status is 126 or 127, nothing runs. */
bool child_start(struct child *c, char *const *argv, char *const *envp, const struct child_limits *l,
	const int out[2], struct err *err) MUST_CHECK;
/* Sends a signal; does nothing when the child ended. */
void child_signal(const struct child *c, int signo);
/* Reaps every process that ended; call it on SIGCHLD. true when the child itself is among them. */
bool child_reap(struct child *c);

/* What a shell would return: the status, or 128 + the signal's number. */
int child_exit_status(int wait_status);
/* 127 when there is no such file, 126 when it is there but cannot be executed. */
int child_exec_status(int error);
/* True while agent and child are in the foreground of a terminal: a Ctrl-C there reaches both. */
bool child_shares_terminal(void);

#endif
