/* Signals, the child, and the drain: what drain.c decides is done here. */
#include "attach/process.h"

#include "base/mem.h"

#include <signal.h>
#include <unistd.h>

extern char **environ;

#define CHILD_ENV_MAX (8u << 20)

/* --- carrying out the steps ------------------------------------------------------------------------------------ */

/* Every worker gets the step by mail; the beat behind it in the same box tells when it was read. */
static void drain_workers(struct process *p, enum drain_step step)
{
	struct crew *a = &p->crew;
	for (unsigned w = 0; w < a->n_workers; w++) {
		bool told = worker_drain(a->workers[w], step);
		p->deaf = p->deaf || !told;
		if (!told)
			log_write(&p->sidecar.log, LEVEL_ERROR, "process",
				"a worker could not be told to drain: memory is short",
				LOG_FIELDS(log_u64("worker", w)));
		beat_send(&p->acks[w * PROCESS_DRAIN_STEPS + step], worker_loop(a->workers[w]),
			loop_touch(p->loop));
	}
}

static bool workers_have_read(const struct process *p)
{
	for (unsigned i = 0; i < p->crew.n_workers * PROCESS_DRAIN_STEPS; i++) {
		if (beat_waits(&p->acks[i]))
			return false;
	}
	return true;
}

static struct drain_input observe(struct process *p)
{
	struct drain_input in = {
		.now = loop_touch(p->loop),
		.signals = p->stop_signals,
		.skip_lame_duck = p->from_terminal,
		.child_ended = p->child.ended,
	};
	p->stop_signals = 0;
	in.busy += p->sidecar.withdrawing; /* registries are given two seconds to know */
	for (unsigned w = 0; w < p->crew.n_workers; w++) {
		in.busy += worker_busy(p->crew.workers[w]);
		in.busy_inbound += worker_busy_inbound(p->crew.workers[w]);
	}
	if (!workers_have_read(p)) { /* counts of a worker that has not stopped accepting say nothing yet */
		in.busy++;
		in.busy_inbound++;
	} else if (p->drain.phase >= DRAIN_PHASE_INBOUND && !p->deaf) {
		ports_close_inbound(&p->sidecar.ports, p->sidecar.spec);
	}
	return in;
}

static void say_step(struct process *p, const struct drain_input *in)
{
	log_write(&p->sidecar.log, LEVEL_INFO, "process", "draining",
		LOG_FIELDS(log_text("step", drain_phase_word(p->drain.phase)), log_text("why", p->drain.why),
			log_u64("in_flight", in->busy), log_u64("in_flight_inbound", in->busy_inbound)));
}

static void carry_out(struct process *p, unsigned todo)
{
	if (todo & (DRAIN_DO_ANNOUNCE | DRAIN_DO_STOP_INBOUND))
		announcing_withdraw(&p->sidecar); /* so that callers go elsewhere while this one still answers */
	if (todo & DRAIN_DO_ANNOUNCE)
		agent_note(&p->sidecar.agent, CHANGE_DRAIN, STR(""), STR(""), "it drains and leaves: %s", p->drain.why);
	if (todo & DRAIN_DO_ANNOUNCE)
		drain_workers(p, DRAIN_ANNOUNCE);
	if (todo & DRAIN_DO_STOP_INBOUND)
		drain_workers(p, DRAIN_INBOUND);
	if (todo & DRAIN_DO_SIGNAL_CHILD)
		child_signal(&p->child, p->stop_signal);
	if (todo & DRAIN_DO_STOP_ALL)
		drain_workers(p, DRAIN_ALL);
	if (todo & DRAIN_DO_KILL_CHILD) {
		log_write(&p->sidecar.log, LEVEL_WARN, "process", "the child did not end in time and is killed",
			LOG_FIELDS(log_i64("pid", p->child.pid)));
		child_signal(&p->child, SIGKILL);
	}
	if (todo & DRAIN_DO_LEAVE)
		loop_stop(p->loop);
}

static void advance(void *arg)
{
	struct process *p = arg;
	struct drain_input in = observe(p);
	unsigned todo = drain_step(&p->drain, &in);
	if (p->drain.phase != DRAIN_PHASE_SERVING) {
		p->sidecar.agent.phase = AGENT_DRAINING; /* /ready fails before anything else happens */
		p->sidecar.agent.phase_detail = drain_phase_word(p->drain.phase);
	}
	if (todo)
		say_step(p, &in);
	carry_out(p, todo);
	if (drain_waits(&p->drain))
		timer_set(p->loop, &p->drain_timer, loop_touch(p->loop) + DRAIN_TICK);
}

/* --- signals ----------------------------------------------------------------------------------------------------- */

static void on_stop(void *arg, int signo)
{
	struct process *p = arg;
	if (p->drain.phase == DRAIN_PHASE_SERVING && p->stop_signals == 0) {
		p->from_terminal = signo == SIGINT && isatty(STDERR_FILENO);
		/* After a Ctrl-C the child has its SIGINT from the terminal already. */
		p->stop_signal = signo == SIGINT && !child_shares_terminal() ? SIGINT : SIGTERM;
	}
	p->stop_signals++;
	advance(p);
}

static void on_forward(void *arg, int signo)
{
	struct process *p = arg;
	child_signal(&p->child, signo);
}

static void on_child(void *arg, int signo)
{
	(void)signo;
	struct process *p = arg;
	if (!child_reap(&p->child))
		return;
	if (child_config_again(p))
		return;
	log_write(&p->sidecar.log, p->child.status ? LEVEL_WARN : LEVEL_INFO, "process", "the child ended",
		LOG_FIELDS(log_i64("status", p->child.status), log_i64("signal", p->child.signal)));
	advance(p);
}

static void on_reopen(void *arg, int signo)
{
	struct process *p = arg;

	(void)signo;
	if (p->logs)
		logs_reopen(p->logs);
}

static void on_ignore(void *arg, int signo)
{
	(void)arg;
	(void)signo;
}

typedef void (*signal_fn)(void *arg, int signo);

/* What each signal does: with a child, and without. */
static const struct {
	int signo;
	signal_fn exec, alone;
} signal_table[PROCESS_SIGNALS] = {
	{ SIGTERM, on_stop, on_stop },
	{ SIGINT, on_stop, on_stop },
	{ SIGQUIT, on_forward, on_stop },
	{ SIGHUP, on_forward, on_stop },
	{ SIGUSR1, on_forward, on_reopen },
	{ SIGUSR2, on_forward, on_ignore },
	{ SIGWINCH, on_forward, on_ignore },
	{ SIGCONT, on_forward, on_ignore },
	{ SIGCHLD, on_child, on_ignore },
};

/* nohup(1) and shells ignore signals on purpose for what they start: that is left as it is, but for exec,
 * which passes them on. */
static bool is_ignored(int signo)
{
	struct sigaction now;
	return sigaction(signo, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

bool leaving_prepare(struct process *p, struct err *err)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	(void)sigaction(SIGPIPE, &ignore, NULL); /* a peer that left shows as EPIPE */
	bool exec = p->kind == PROCESS_EXEC;
	drain_init(&p->drain, &(struct drain_config){ p->set.lame_duck, p->set.stop_timeout, exec });
	timer_init(&p->drain_timer, advance, p);
	child_config_init(p);
	size_t n = (size_t)p->set.workers * PROCESS_DRAIN_STEPS;
	p->acks = mem_zarray(n, sizeof(*p->acks));
	if (!p->acks)
		return err_set(err, "out of memory");
	for (size_t i = 0; i < n; i++)
		beat_init(&p->acks[i]);
	for (unsigned i = 0; i < PROCESS_SIGNALS; i++) {
		signal_fn fn = exec ? signal_table[i].exec : signal_table[i].alone;
		if (!exec && signal_table[i].signo == SIGHUP && is_ignored(SIGHUP))
			continue;
		if (!sigwatch_on(&p->signals[i], p->loop, signal_table[i].signo, fn, p))
			return err_set(err, "cannot watch signal %d: memory or descriptors are short",
				signal_table[i].signo);
	}
	return true;
}

void leaving_release(struct process *p)
{
	for (unsigned i = 0; i < PROCESS_SIGNALS; i++)
		sigwatch_off(&p->signals[i]);
	if (p->drain_timer.fn)
		timer_clear(&p->drain_timer);
	child_config_release(p);
	mem_free(p->acks);
	p->acks = NULL;
}

/* --- the child --------------------------------------------------------------------------------------------------- */

static enum agent_proxy proxy_of(char *const *env)
{
	static const char *const names[] = { "http_proxy=", "HTTP_PROXY=" };

	for (; *env; env++)
		for (unsigned i = 0; i < 2; i++)
			if (str_starts(str_of(*env), str_of(names[i])) && (*env)[strlen(names[i])])
				return AGENT_PROXY_SET;
	return AGENT_PROXY_UNSET;
}

bool leaving_start_child(struct process *p, struct err *err)
{
	char proxy[ADDR_TEXT_MAX];
	/* The admin token is the agent's: a service that can be made to print its environment must not give it away. */
	struct child_env change = { .unset = { "OUTRIDER_ADMIN_TOKEN" } };
	if (p->set.proxy_env && serving_proxy_address(&p->sidecar, proxy))
		change.proxy = proxy;
	struct arena a;
	arena_init(&a, CHILD_ENV_MAX, NULL, 0);
	change.add = child_config_prepare(p, &a, err);
	char **env = change.add ? child_environment(&a, environ, &change) : NULL;
	if (env)
		p->sidecar.view.proxy = proxy_of(env);
	bool piped = env && child_output_prepare(p, err);
	bool ok = piped && child_start(&p->child, p->command, env, &p->limits, p->ends, err);
	if (piped)
		child_output_begin(p);
	if (change.add && !env)
		err_set(err, "out of memory");
	if (!piped)
		p->child.status = EXIT_FAILED;
	arena_release(&a);
	if (ok)
		log_write(&p->sidecar.log, LEVEL_INFO, "process", "the child runs",
			LOG_FIELDS(log_i64("pid", p->child.pid), log_text("command", p->command[0])));
	return ok;
}

int leaving_status(const struct process *p)
{
	if (p->kind != PROCESS_EXEC)
		return EXIT_OK;
	return p->child.ended ? p->child.status : EXIT_SIGNAL_BASE + SIGKILL;
}
