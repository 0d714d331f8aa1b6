#include "attach/node.h"

#include "attach/child.h"
#include "attach/claim.h"
#include "attach/privileges.h"
#include "attach/seccomp.h"
#include "base/mem.h"
#include "control/ask.h"
#include "control/commands.h"
#include "control/logs.h"
#include "control/ui/ui.h"
#include "net/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK (20 * USEC_MS)       /* while something ends */
#define STOP_MS_MAX 3600000u      /* of outrider.stop-timeout */
#define LET_GO_SPARE (200 * USEC_MS) /* before the keeper ends all */
#define REST_EVERY (60 * USEC_SEC) /* stocks shrink */

/* --- what the keeper says -------------------------------------------------------------------------------------------- */

static void take_container(struct node *n, const struct wire_record *r, int *fds, size_t *n_fds)
{
	struct err err = { "" };

	if (*n_fds != 1)
		return;
	*n_fds = 0;
	struct str bytes = wire_read_bytes(fds[0], CONTAINER_BYTES_MAX * 2, &err);
	if (!bytes.p) {
		log_write(&n->log, LEVEL_ERROR, "node", "a container gets no sidecar", LOG_FIELDS(log_text("why", err.text)));
		return;
	}
	node_container(n, r->container, bytes);
	mem_wipe_free((char *)(uintptr_t)bytes.p, bytes.n); /* its variables may be secrets */
}

static void take_near(struct node *n, int *fds, size_t *n_fds)
{
	struct err err = { "" };

	if (*n_fds != 1)
		return;
	*n_fds = 0;
	struct str bytes = wire_read_bytes(fds[0], NEAR_TEXT_MAX, &err);
	bool good = bytes.p && near_replace(&n->crew.near, bytes);
	mem_free((char *)(uintptr_t)bytes.p);
	if (!good)
		log_write(&n->log, LEVEL_WARN, "node", "not all instances of this node count as near", LOG_FIELDS(log_text("why",
			err.text[0] ? err.text : "they are too many, or memory is short")));
	LIST_EACH(it, tmp, &n->sidecars) {
		struct node_sidecar *s = LIST_OWNER(it, struct node_sidecar, link);
		if (s->serving && !s->ending)
			discovering_near(&s->sidecar);
	}
}

static void take_sockets(struct node *n, const struct wire_record *r, int *fds, size_t *n_fds)
{
	struct node_sidecar *s = node_find(n, r->container);

	if (!s || !s->ns || r->kind >= NETSPACE_KINDS)
		return;
	while (*n_fds)
		netspace_put(s->ns, r->kind, fds[--*n_fds]);
}

static void listen_on_network(struct node *n, const struct wire_record *r)
{
	struct err err = { "" };
	struct addr a;

	if (n->on_network || options_is_set(n->options, OPT_ADMIN) || !wire_get_addr(r, &a))
		return;
	n->on_network = true;
	addr_set_port(&a, 4191);
	int fd = socket_listen(NULL, &a, &err);
	if (fd < 0 || !admin_listen(&n->own.admin, fd, &err))
		log_write(&n->log, LEVEL_WARN, "node", "the agent's admin port is not open on its network",
			LOG_FIELDS(log_text("why", err.text)));
}

static void take_node(struct node *n, const struct wire_record *r)
{
	snprintf(n->name, sizeof(n->name), "%s", r->why);
	logs_name_host(n->logs, n->name);
	n->own.agent.node = str_of(n->name);
	if (r->addr_len)
		listen_on_network(n, r);
}

static void begin_drain(struct node *n, bool successor, uint32_t left_ms, struct str logs_until)
{
	if (successor)
		node_logs_until(n, logs_until);
	if (left_ms) {
		n->gone_by = loop_touch(n->loop) + left_ms * (usec)USEC_MS - LET_GO_SPARE;
		n->let_go_from = n->gone_by - left_ms * (usec)USEC_MS / 3;
	}
	if (n->phase >= (successor ? NODE_RELIEVED : NODE_DRAINING))
		return;
	bool relieved = n->phase == NODE_RELIEVED;
	n->phase = successor ? NODE_RELIEVED : NODE_DRAINING;
	n->own.agent.phase = AGENT_DRAINING;
	agent_note(&n->own.agent, CHANGE_DRAIN, STR(""), STR(""), "the agent drains%s", successor ? ": its successor takes over" : "");
	log_write(&n->log, LEVEL_INFO, "node", "draining",
		LOG_FIELDS(log_bool("successor", successor || relieved), log_u64("sidecars", n->n_sidecars)));
	LIST_EACH(it, tmp, &n->sidecars) {
		struct node_sidecar *s = LIST_OWNER(it, struct node_sidecar, link);
		if (!successor && !relieved && s->serving && !s->ending) /* a successor renews what is registered */
			announcing_withdraw(&s->sidecar);
		s->sidecar.agent.phase = AGENT_DRAINING;
	}
	for (unsigned w = 0; w < n->crew.n_workers; w++)
		if (!worker_drain(n->crew.workers[w], successor ? DRAIN_RELIEVED : DRAIN_ALL))
			log_write(&n->log, LEVEL_ERROR, "node", "a worker could not be told to drain: memory is short", NULL);
	n->drained_at = loop_touch(n->loop);
	timer_set(n->loop, &n->tick, n->drained_at + TICK);
}

static void hear(struct node *n, const struct wire_record *r, int *fds, size_t *n_fds)
{
	switch (r->op) {
	case WIRE_NODE:
		take_node(n, r);
		break;
	case WIRE_CONTAINER:
		take_container(n, r, fds, n_fds);
		break;
	case WIRE_SOCKETS:
		take_sockets(n, r, fds, n_fds);
		break;
	case WIRE_NEAR:
		take_near(n, fds, n_fds);
		break;
	case WIRE_FACT:
		node_fact(n, r);
		break;
	case WIRE_LOG:
		node_log(n, r, fds, n_fds);
		break;
	case WIRE_STOPPING:
		node_stopping(n, r->container);
		break;
	case WIRE_ENDED:
		node_ended(n, r->container);
		break;
	case WIRE_REOPEN:
		logs_reopen(n->logs);
		break;
	case WIRE_STOP:
		begin_drain(n, r->n != 0, r->kind <= STOP_MS_MAX ? r->kind : 0, str_of(r->why));
		break;
	default:
		break;
	}
}

static void on_records(void *arg, short what)
{
	struct node *n = arg;
	struct wire_record r;
	int fds[WIRE_FDS_MAX], got;
	size_t n_fds;

	(void)what;
	while ((got = wire_receive(WIRE_RECORDS_FD, &r, fds, &n_fds, false)) > 0) {
		hear(n, &r, fds, &n_fds);
		while (n_fds)
			close(fds[--n_fds]);
	}
	if (got < 0)
		return;
	watch_off(&n->on_records); /* the keeper is gone: its container ends with it */
	n->stopped = true;
	loop_stop(n->loop);
}

/* --- turns ------------------------------------------------------------------------------------------------------------- */

static uint64_t busy(const struct node *n)
{
	uint64_t sum = 0;
	for (unsigned w = 0; w < n->crew.n_workers; w++)
		sum += worker_busy(n->crew.workers[w]);
	return sum;
}

/* Of all sidecars together. */
static uint64_t counted(const struct node *n, enum counter_id id)
{
	uint64_t v[COUNTER_COUNT], reasons[REASON_COUNT], sum = 0;

	for (uint32_t i = 0; i < n->own.agent.n_sidecars; i++) {
		agent_sum_counters(&n->own.agent, n->views[i].spec->slot, v, reasons);
		sum += v[id];
	}
	return sum;
}

/* Admin pages of the node show every sidecar that serves; a spec may be another one after each turn. */
static void gather_views(struct node *n)
{
	struct agent *a = &n->own.agent;

	if (n->gathered == n->crew.changes)
		return;
	n->gathered = n->crew.changes;
	a->n_sidecars = 0;
	LIST_EACH(it, tmp, &n->sidecars) {
		struct node_sidecar *s = LIST_OWNER(it, struct node_sidecar, link);
		if (s->sidecar.spec && !s->ending && a->n_sidecars < SLOTS_SIDECARS_MAX)
			n->views[a->n_sidecars++] = s->sidecar.view;
	}
}

static void on_turn(void *arg)
{
	struct node *n = arg;
	gather_views(n); /* also while others are reaped, which turns the loop: who ends is in no view when it is freed */
	if (!n->reaping)
		node_reap(n);
}

/* Whoever comes back comes to the successor: not all at the same moment. */
static void let_go(struct node *n, usec now)
{
	uint64_t under_way = busy(n);

	if (!n->gone_by || now < n->let_go_from || !under_way)
		return;
	if (!n->to_let_go)
		n->to_let_go = under_way;
	double rest = now < n->gone_by ? (double)(n->gone_by - now) / (double)(n->gone_by - n->let_go_from) : 0;
	uint64_t may_stay = (uint64_t)(rest * (double)n->to_let_go);
	for (unsigned w = 0; under_way > may_stay && w < n->crew.n_workers; w++) {
		uint64_t here = worker_busy(n->crew.workers[w]), end = under_way - may_stay < here ? under_way - may_stay : here;
		if (end && worker_let_go(n->crew.workers[w], (uint32_t)end))
			under_way -= end;
	}
}

/* The successor serves, and nothing is under way here any more: sidecars end. The process stays until the keeper is told to end, for swarm
 * asks after the health of this task as long as it keeps it, which may be long when one update follows another: where nobody answers
 * it would kill the task, start another, and take the update for failed. */
static void rest(struct node *n)
{
	log_write(&n->log, LEVEL_INFO, "node", "nothing is under way any more, a successor serves: this agent waits to be ended", NULL);
	n->at_rest = true;
	node_relieved(n);
}

static void on_tick(void *arg)
{
	struct node *n = arg;
	usec now = loop_touch(n->loop);
	bool ending = n->phase == NODE_DRAINING || (n->phase == NODE_RELIEVED && !n->at_rest);

	LIST_EACH(it, tmp, &n->sidecars) {
		struct node_sidecar *s = LIST_OWNER(it, struct node_sidecar, link);
		ending = ending || s->ending;
		if (!s->ending && s->ns && now >= n->next_rest)
			netspace_rest(s->ns);
	}
	if (now >= n->next_rest)
		n->next_rest = now + REST_EVERY;
	let_go(n, now);
	bool quiet = n->phase != NODE_SERVING && now > n->drained_at + 2 * TICK && busy(n) == 0;
	if (quiet && n->phase == NODE_RELIEVED && !n->at_rest && counted(n, COUNTER_CONNECTIONS_OPEN) == 0)
		rest(n);
	if (quiet && n->phase == NODE_DRAINING) {
		struct wire_record r = { .op = WIRE_LEFT };
		log_write(&n->log, LEVEL_INFO, "node", "nothing is under way any more", LOG_FIELDS(log_u64("let_go", counted(n, COUNTER_LET_GO))));
		(void)wire_send(WIRE_RECORDS_FD, &r, NULL, 0, true);
		loop_stop(n->loop);
	}
	timer_set(n->loop, &n->tick, ending ? now + TICK : n->next_rest);
}

/* --- the own admin port -------------------------------------------------------------------------------------------------- */

static enum reload_apply keep_options(void *arg, const struct options *o, usec until, struct err *err)
{
	(void)arg;
	(void)o;
	(void)until;
	(void)err;
	return APPLY_DONE;
}

static bool listen_own(struct node *n, struct err *err)
{
	const struct str all = options_text(n->options, OPT_ADMIN);
	struct str list = all, piece;
	struct addr a;

	if (!addr_parse(STR(ASK_SOCKET), &a, err))
		return false;
	int fd = claim_namespace(&a, err);
	if (fd < 0)
		log_write(&n->log, LEVEL_WARN, "node", "`outrider health` asks the admin port only", LOG_FIELDS(log_text("why", err->text)));
	else if (!admin_listen(&n->own.admin, fd, err))
		return false;
	while (!str_ieq(all, STR("off")) && str_next(&list, ',', &piece)) {
		fd = addr_parse(piece, &a, err) && socket_listen_check(NULL, &a, err) ? socket_listen(NULL, &a, err) : -1;
		if (fd < 0 || !admin_listen(&n->own.admin, fd, err))
			return err_prefix(err, "admin port");
	}
	return true;
}

static bool open_own(struct node *n, struct err *err)
{
	struct sidecar *own = &n->own;
	const struct guard_policy guard = {
		.token = options_text(n->options, OPT_ADMIN_TOKEN),
		.hosts = options_text(n->options, OPT_ADMIN_HOSTS),
	};
	struct reload_config c = {
		.loop = n->loop,
		.log = &n->log,
		.start = n->options,
		.command = COMMAND_ANY,
		.argc = n->argc,
		.argv = n->argv,
		.environ_ = n->environ_,
		.apply = keep_options,
		.arg = n,
	};
	own->reload = reload_new(&c, err);
	own->agent = (struct agent){ .loop = n->loop, .log = &n->log, .reload = own->reload, .command = "node", .version = n->version,
		.phase = AGENT_READY, .started = clock_wall(), .sidecars = n->views, .n_workers = n->crew.n_workers,
		.workers = n->crew.workers, .beats = n->crew.beats, .process = &n->crew.process, .flight = n->crew.flight, .tap = n->crew.tap, .access = n->crew.access,
		.logs = n->logs, .put_sidecars = node_put_sidecars, .put_health = node_put_health, .examine = node_examine,
		.find_sidecar = node_find_sidecar, .each_sidecar = node_each_sidecar, .put_support = node_put_support, .put_arg = n, .node = str_of(n->name),
		.ui = n->crew.ui, .changes = ui_changes(n->crew.ui), .sees_swarm = true };
	ui_watch(n->crew.ui, &own->agent);
	return own->reload && reload_now(own->reload, err) && admin_start(&own->admin, &own->agent, &guard, err) && listen_own(n, err);
}

/* --- life ------------------------------------------------------------------------------------------------------------------- */

/* Containers of a node are many, and each has listeners, stocks and connections. */
static void raise_limits(struct node *n)
{
	struct child_limits limits;
	(void)n;
	child_limits_raise(&limits);
}

static void confine(struct node *n)
{
	struct err err = { "" };

	if (!seccomp_confine(SECCOMP_PROXY, &err))
		log_write(&n->log, LEVEL_WARN, "node", "without a filter of system calls", LOG_FIELDS(log_text("why", err.text)));
}

static bool keeper_is_there(void)
{
	int type = 0;
	socklen_t len = sizeof(type);
	return getsockopt(WIRE_RECORDS_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET &&
	       getsockopt(WIRE_CALLS_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET &&
	       fcntl(WIRE_RECORDS_FD, F_SETFD, FD_CLOEXEC) == 0 && fcntl(WIRE_CALLS_FD, F_SETFD, FD_CLOEXEC) == 0;
}

static bool open_logs(struct node *n, struct err *err)
{
	const struct logs_config c = { .loop = n->loop, .options = n->options, .identity = { .version = n->version } };

	n->logs = n->log.hub = n->own.log.hub = logs_new(&c, err);
	return n->logs != NULL;
}

static bool start(struct node *n, struct err *err)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct crew_config c = {
		.n_workers = options_workers(n->options),
		.log = &n->own.log,
		.options = n->options,
		.buffers_max = (size_t)options_u64(n->options, OPT_LIMIT_BUFFERS),
		.alone = true,
		.loop = n->loop = loop_new(err),
	};

	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigaction(SIGTERM, &ignore, NULL); /* the keeper tells; a signal to the whole group is not for us */
	(void)sigaction(SIGINT, &ignore, NULL);
	raise_limits(n);
	confine(n);
	n->answers = answers_new(err);
	if (!n->loop || !n->answers || !open_logs(n, err) || !node_logs_begin(n, err))
		return false;
	c.logs = n->logs;
	if (!node_own_options(n, err) || !crew_start(&n->crew, &c, err) || !open_own(n, err))
		return false;
	loop_on_turn(n->loop, on_turn, n);
	timer_init(&n->tick, on_tick, n);
	timer_init(&n->again_timer, node_try_again, n);
	on_tick(n);
	watch_init(&n->on_records, n->loop, WIRE_RECORDS_FD, EV_READ, on_records, n);
	return watch_on(&n->on_records) || err_set(err, "the kernel refused to watch the keeper's socket");
}

static void end(struct node *n)
{
	watch_off(&n->on_records);
	if (n->tick.fn) {
		timer_clear(&n->tick);
		timer_clear(&n->again_timer);
	}
	if (n->loop)
		loop_on_turn(n->loop, NULL, NULL);
	crew_halt(&n->crew);
	node_logs_end(n);
	logs_flush(n->logs);
	node_end_all(n);
	admin_stop(&n->own.admin);
	reload_free(n->own.reload);
	crew_release(&n->crew);
	answers_free(n->answers);
	n->log.hub = n->own.log.hub = NULL;
	logs_free(n->logs);
	loop_free(n->loop);
	options_free(n->options);
	mem_free(n->environ_);
	if (n->argv_owned)
		mem_free(n->argv);
}

int node_main(const char *version, int argc, char **argv)
{
	struct node n = { .version = version, .argc = argc, .argv = argv };
	struct err err = { "" };
	int rest;

	(void)prctl(PR_SET_NAME, "outrider-proxy", 0, 0, 0);
	if (!keeper_is_there()) {
		fprintf(stderr, "outrider node-proxy is a part of outrider node, which starts it; start that one\n");
		return EXIT_USAGE;
	}
	list_init(&n.sidecars);
	list_init(&n.logs_read);
	crew_init(&n.crew);
	sidecar_init(&n.own, COMMAND_ANY);
	log_init(&n.log, STDERR_FILENO, LEVEL_INFO);
	n.options = commands_read_options(argc, argv, &rest);
	if (!n.options || !commands_check_options(n.options, COMMAND_ANY)) {
		options_free(n.options);
		return EXIT_USAGE;
	}
	n.log.level = (enum log_level)options_u64(n.options, OPT_LOG_LEVEL);
	int status = EXIT_OK;
	if (start(&n, &err)) {
		loop_run(n.loop);
	} else {
		status = EXIT_FAILED;
		log_write(&n.log, LEVEL_ERROR, "node", "cannot serve", LOG_FIELDS(log_text("why", err.text)));
	}
	end(&n);
	return status;
}
