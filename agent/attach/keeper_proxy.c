/* The proxy process: started, heard, started again when it ends. */
#include "attach/keeper.h"

#include "attach/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUICK USEC_SEC           /* a proxy that ended sooner than that after its start */
#define QUICK_PAUSE (500 * USEC_MS) /* and did so some times in a row: not again at once */
#define QUICK_MOST 3u

extern char **environ;

bool proxy_send(struct keeper *k, const struct wire_record *r, const int *fds, size_t n)
{
	if (!k->proxy.pid)
		return false;
	return outbox_send(&k->proxy.outbox, r, fds, n);
}

/* It is stuck, or gone: SIGCHLD starts another, which is told all. */
static void on_outbox_failed(void *arg, int error)
{
	struct keeper *k = arg;

	if (error != EPIPE && error != ECONNRESET)
		log_write(&k->log, LEVEL_ERROR, "keeper", "the proxy does not read what it is told, and is started anew",
			LOG_FIELDS(log_text("why", strerror(error))));
	outbox_close(&k->proxy.outbox);
	proxy_end(k);
}

void proxy_tell_node(struct keeper *k)
{
	struct wire_record r = { .op = WIRE_NODE, .kind = k->swarm, .n = k->manager };
	snprintf(r.why, sizeof(r.why), "%.200s", k->node);
	if (k->own.len)
		wire_put_addr(&r, &k->own);
	(void)proxy_send(k, &r, NULL, 0);
}

/* --- what it asks for ------------------------------------------------------------------------------------------------ */

static void answer_listen(struct keeper *k, const struct wire_record *q)
{
	struct wire_record r = { .op = WIRE_LISTENER, .container = q->container, .kind = q->kind, .n = q->n };
	struct ward *w = wards_find(k, q->container);
	struct err err = { "" };
	struct addr a;
	int fd = -1;

	errno = ESRCH;
	if (!wire_get_addr(q, &a))
		errno = EINVAL;
	else if (w)
		fd = wards_listen(k, w, &a, q->n, &err);
	r.error = fd >= 0 ? 0 : errno;
	const char *why = err.text[0] ? err.text : fd >= 0 ? "" : "the container has ended";
	snprintf(r.why, sizeof(r.why), "%.*s", (int)sizeof(r.why) - 1, why);
	(void)wire_send(k->proxy.calls, &r, &fd, fd >= 0, false); /* one call at a time: there is room */
}

/* A namespace that has ended is no trouble, and no news. The proxy asks again (NETSPACE_LOST). */
static void say_short(struct keeper *k, int error)
{
	if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM)
		return;
	log_write(&k->log, LEVEL_ERROR, "keeper",
		"no sockets can be made for a container, whose calls wait for them; raise the limit of open files or of memory",
		LOG_FIELDS(log_text("why", strerror(error))));
}

static void refill(struct keeper *k, const struct wire_record *q)
{
	struct wire_record r = { .op = WIRE_SOCKETS, .container = q->container, .kind = q->kind };
	struct ward *w = wards_find(k, q->container);
	int fds[WIRE_FDS_MAX];
	size_t left = q->n <= NETSPACE_STOCK_MAX ? q->n : NETSPACE_STOCK_MAX;

	while (w && left) {
		size_t want = left < WIRE_FDS_MAX ? left : WIRE_FDS_MAX;
		size_t n = netns_sockets(&k->home, w->ns, q->kind, fds, want);
		if (n < want)
			say_short(k, errno);
		r.n = (uint32_t)n;
		bool ok = n && proxy_send(k, &r, fds, n);
		for (size_t i = 0; i < n; i++)
			close(fds[i]);
		if (!ok)
			return;
		left -= n;
	}
}

static void serving(struct keeper *k, const struct wire_record *q)
{
	struct ward *w = wards_find(k, q->container);
	if (w && !w->settled) {
		w->settled = true;
		facts_tell_files(k); /* its listeners are made */
	}
	handover_look(k);
	if (w)
		logs_look(k, w);
}

static void hear(struct keeper *k, const struct wire_record *q)
{
	struct ward *w;
	struct addr a;

	switch (q->op) {
	case WIRE_REFILL:
		refill(k, q);
		break;
	case WIRE_SERVING:
		serving(k, q);
		break;
	case WIRE_UNLISTEN:
		w = k->handed ? NULL : wards_find(k, q->container); /* handed: they are the successor's, and ours again should it go away */
		if (w && wire_get_addr(q, &a))
			wards_unlisten(w, &a);
		break;
	case WIRE_LOG_AT:
		w = wards_find(k, q->container);
		if (w)
			logs_read(k, w, q);
		break;
	default:
		break; /* LEFT: its end tells the same */
	}
}

static void on_socket(struct keeper *k, bool calls)
{
	struct wire_record q;
	int fds[WIRE_FDS_MAX];
	size_t n;
	int got;

	while (k->proxy.pid && (got = wire_receive(calls ? k->proxy.calls : k->proxy.records, &q, fds, &n, false)) != 0) {
		if (got < 0)
			return;
		while (n) /* it has nothing to give */
			close(fds[--n]);
		if (calls && q.op == WIRE_LISTEN)
			answer_listen(k, &q);
		else if (!calls)
			hear(k, &q);
	}
	watch_off(calls ? &k->proxy.on_calls : &k->proxy.on_records); /* it ended: SIGCHLD says so */
}

static void on_records(void *arg, short what)
{
	(void)what;
	on_socket(arg, false);
}

static void on_calls(void *arg, short what)
{
	(void)what;
	on_socket(arg, true);
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

static _Noreturn void be_proxy(struct keeper *k, int records, int calls, char **argv)
{
	const char *step = "";
	sigset_t none;

	(void)k;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* First away from 3 and 4, then there: one may stand where the other shall. */
	records = fcntl(records, F_DUPFD_CLOEXEC, 10);
	calls = fcntl(calls, F_DUPFD_CLOEXEC, 10);
	if (dup2(records, WIRE_RECORDS_FD) < 0 || dup2(calls, WIRE_CALLS_FD) < 0)
		_exit(70);
	(void)close_range(WIRE_CALLS_FD + 1, ~0u, 0);
	int error = privileges_drop(&step);
	if (error) {
		dprintf(STDERR_FILENO, "{\"level\":\"error\",\"subsystem\":\"keeper\",\"message\":\"the proxy cannot give up its privileges\","
				       "\"why\":\"%s: %s\"}\n", step, strerror(error));
		_exit(71);
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	execve("/proc/self/exe", argv, environ);
	dprintf(STDERR_FILENO, "{\"level\":\"error\",\"subsystem\":\"keeper\",\"message\":\"the proxy cannot be started\",\"why\":\"%s\"}\n",
		strerror(errno));
	_exit(72);
}

static void tell_all(struct keeper *k)
{
	proxy_tell_node(k);
	neighbours_tell(k); /* before the containers, whose upstreams are built with it */
	facts_tell(k);
	LIST_EACH(it, tmp, &k->wards) {
		struct ward *w = LIST_OWNER(it, struct ward, link);
		if (!w->left)
			wards_tell(k, w);
	}
}

/* argv of the proxy: "outrider", its word, and the flags that we were given. Lives until the exec. */
static char **proxy_argv(struct keeper *k)
{
	static char program[] = "outrider", word[] = "node-proxy";
	char **argv = calloc((size_t)k->argc + 3, sizeof(*argv));

	if (!argv)
		return NULL;
	argv[0] = program;
	argv[1] = word;
	for (int i = 0; i < k->argc; i++)
		argv[2 + i] = k->argv[i];
	return argv;
}

static void adopt(struct keeper *k, pid_t pid, int records, int calls)
{
	struct proxy *p = &k->proxy;
	p->pid = pid;
	p->records = records;
	p->calls = calls;
	p->started = loop_touch(k->loop);
	p->told = PROXY_SERVES;
	outbox_open(&p->outbox, k->loop, records, on_outbox_failed, k);
	watch_init(&p->on_records, k->loop, records, EV_READ, on_records, k);
	watch_init(&p->on_calls, k->loop, calls, EV_READ, on_calls, k);
	if (!watch_on(&p->on_records) || !watch_on(&p->on_calls))
		proxy_end(k);
	else
		tell_all(k);
}

bool proxy_start(struct keeper *k, struct err *err)
{
	int records[2], calls[2];

	if (!wire_pair(records, err))
		return false;
	if (!wire_pair(calls, err)) {
		close(records[0]);
		close(records[1]);
		return false;
	}
	char **argv = proxy_argv(k);
	pid_t pid = argv ? fork() : -1;
	if (pid == 0)
		be_proxy(k, records[1], calls[1], argv);
	int error = errno;
	free(argv);
	close(records[1]);
	close(calls[1]);
	if (pid > 0) {
		adopt(k, pid, records[0], calls[0]);
		return true;
	}
	close(records[0]);
	close(calls[0]);
	return err_set(err, "the proxy cannot be started: %s", strerror(error));
}

static void forget(struct keeper *k)
{
	struct proxy *p = &k->proxy;
	watch_off(&p->on_records);
	watch_off(&p->on_calls);
	outbox_close(&p->outbox);
	close(p->records);
	close(p->calls);
	p->pid = 0;
	logs_proxy_ended(k);
	LIST_EACH(it, tmp, &k->wards) {
		struct ward *w = LIST_OWNER(it, struct ward, link);
		w->told = w->settled = false;
	}
}

/* Also while a stop without a successor waits for the containers: their listeners are open, callers wait there. */
static void start_again(void *arg)
{
	struct keeper *k = arg;
	struct err err = { "" };

	if (k->proxy.pid)
		return;
	if ((k->stopping && (k->handed || wards_served(k) == 0)) || proxy_start(k, &err)) {
		keeper_look_at_stop(k); /* that is all, or it may have to be told at once */
		return;
	}
	log_write(&k->log, LEVEL_ERROR, "keeper", "no proxy", LOG_FIELDS(log_text("why", err.text)));
	timer_set(k->loop, &k->proxy.timer, loop_touch(k->loop) + QUICK_PAUSE);
}

void proxy_ended(struct keeper *k)
{
	struct proxy *p = &k->proxy;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != p->pid)
			continue;
		bool wanted = p->told != PROXY_SERVES, replaced = p->replaced;
		usec now = loop_touch(k->loop);
		p->quick = now - p->started < QUICK && !replaced ? p->quick + 1 : 0;
		p->replaced = false;
		forget(k);
		if (wanted) {
			keeper_look_at_stop(k);
			continue;
		}
		if (!replaced)
			log_write(&k->log, LEVEL_ERROR, "keeper", "the proxy ended and is started anew",
				LOG_FIELDS(log_i64("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
					log_i64("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0)));
		if (!p->timer.fn)
			timer_init(&p->timer, start_again, k);
		if (p->quick > QUICK_MOST)
			timer_set(k->loop, &p->timer, now + QUICK_PAUSE);
		else
			start_again(k);
	}
}

void proxy_stop(struct keeper *k, bool successor)
{
	struct wire_record r = { .op = WIRE_STOP, .n = successor };
	usec now = loop_touch(k->loop);
	unsigned to = successor ? PROXY_RELIEVED : PROXY_DRAINS;
	if (k->proxy.told >= to)
		return;
	k->proxy.told = to;
	if (successor && k->logs_until)
		snprintf(r.why, sizeof(r.why), "%llu", (unsigned long long)k->logs_until);
	if (k->stopping && k->deadline > now)
		r.kind = (uint32_t)((k->deadline - now) / USEC_MS);
	(void)proxy_send(k, &r, NULL, 0);
}

void proxy_resume(struct keeper *k)
{
	if (k->proxy.pid) {
		k->proxy.told = PROXY_SERVES; /* its end starts another */
		k->proxy.replaced = true;
		proxy_end(k);
	} else {
		start_again(k);
	}
}

/* Without CAP_KILL root may not signal another user's process: it ends when its socket does, and dies with us. */
void proxy_end(struct keeper *k)
{
	if (!k->proxy.pid)
		return;
	(void)shutdown(k->proxy.records, SHUT_RDWR);
	(void)shutdown(k->proxy.calls, SHUT_RDWR);
	(void)kill(k->proxy.pid, SIGKILL);
}
