/* A container's record becomes a sidecar; its end ends it. */
#include "attach/node.h"

#include "base/mem.h"
#include "control/ask.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#define DNS_OF_ENGINE "127.0.0.11" /* in every namespace of a network of its own; shared knowledge "docker-swarm", section 5 */
#define END_WAIT (3 * USEC_SEC)    /* for registries to be told, and workers to let go */
#define AGAIN_FIRST (5 * USEC_SEC)  /* after a sidecar failed, for what may pass; then twice as long each time */
#define AGAIN_MOST (60 * USEC_SEC)

/* --- sockets from the keeper ----------------------------------------------------------------------------------------- */

static void on_refill(void *arg, struct netspace *ns, enum netspace_kind kind, unsigned n)
{
	struct node_sidecar *s = arg;
	struct wire_record r = { .op = WIRE_REFILL, .container = s->number, .kind = kind, .n = n };
	(void)ns;
	(void)wire_send(WIRE_RECORDS_FD, &r, NULL, 0, true);
}

/* There are as many listeners of one address as workers, asked for in a row: which number has this one? */
static uint32_t index_of(struct node_sidecar *s, const struct addr *a)
{
	s->asked_n = s->asked.len && addr_eq(&s->asked, a) ? s->asked_n + 1 : 0;
	s->asked = *a;
	return s->asked_n;
}

static void on_unlisten(void *arg, struct netspace *ns, const struct addr *a)
{
	struct node_sidecar *s = arg;
	struct wire_record r = { .op = WIRE_UNLISTEN, .container = s->number };

	(void)ns;
	wire_put_addr(&r, a);
	(void)wire_send(WIRE_RECORDS_FD, &r, NULL, 0, true);
	s->asked.len = 0;
}

/* An answer that came too late for its question is dropped. */
static bool receive_answer(uint32_t serial, struct wire_record *r, int *fds, size_t *n)
{
	while (wire_receive(WIRE_CALLS_FD, r, fds, n, true) == 1) {
		if (r->kind == serial)
			return true;
		while (*n)
			close(fds[--*n]);
	}
	return false;
}

static int on_listen(void *arg, struct netspace *ns, const struct addr *a, struct err *err)
{
	struct node_sidecar *s = arg;
	struct wire_record r = { .op = WIRE_LISTEN, .container = s->number, .kind = ++s->node->calls, .n = index_of(s, a) }, answer;
	int fds[WIRE_FDS_MAX];
	size_t n = 0;

	(void)ns;
	wire_put_addr(&r, a);
	if (!wire_send(WIRE_CALLS_FD, &r, NULL, 0, true) || !receive_answer(r.kind, &answer, fds, &n)) {
		int error = errno;
		err_set(err, "the keeper does not answer: %s", strerror(error));
		errno = error;
		return -1;
	}
	while (n > 1)
		close(fds[--n]);
	if (n == 1 && !answer.error)
		return fds[0];
	if (n)
		close(fds[0]);
	err_set(err, "%s", answer.why);
	errno = answer.error;
	return -1;
}

static const struct netspace_ops keeper_ops = { .refill = on_refill, .listen = on_listen, .unlisten = on_unlisten };

/* --- life ---------------------------------------------------------------------------------------------------------------- */

struct node_sidecar *node_find(struct node *n, uint32_t number)
{
	LIST_EACH(it, tmp, &n->sidecars) {
		struct node_sidecar *s = LIST_OWNER(it, struct node_sidecar, link);
		if (s->number == number && (!s->ending || s->anew))
			return s;
	}
	return NULL;
}

/* The keeper holds it already: we answer `outrider health` in there. */
static int claimed(struct node_sidecar *s, struct err *err)
{
	struct addr name;
	return addr_parse(STR(ASK_SOCKET), &name, err) ? netspace_listen(s->ns, &name, err) : -1;
}

static bool start(struct node_sidecar *s, struct err *err)
{
	struct sidecar *sc = &s->sidecar;

	s->ns = netspace_new(s->node->loop, DNS_OF_ENGINE, &keeper_ops, s);
	if (!s->ns)
		return err_set(err, "out of memory");
	sc->crew = &s->node->crew;
	sc->loop = s->node->loop;
	sc->ns = s->ns;
	sc->identity = str_of(s->identity);
	sc->own = s->own;
	sc->n_own = s->n_own;
	netspace_share(s->ns, s->node->answers, s->shares);
	netspace_begin(s->ns);
	sc->claim = claimed(s, err);
	if (sc->claim < 0)
		return false;
	if (!node_options(s, err)) {
		s->hopeless = true;
		return false;
	}
	if (!reloading_now(sc, err) || !serving_start(sc, err))
		return false;
	sc->agent.phase = AGENT_READY;
	return true;
}

static void say_serving(struct node_sidecar *s)
{
	char took[32];

	s->serving = true;
	s->served = clock_wall();
	s->sidecar.view.proxy = node_proxy(s); /* its listeners are known now */
	agent_note(&s->sidecar.agent, CHANGE_SIDECAR_UP, STR(""), str_of(s->task), "the sidecar of %s serves", s->task);
	snprintf(took, sizeof(took), "%.1f", (double)(clock_now() - s->since) / USEC_MS);
	log_write(&s->sidecar.log, LEVEL_INFO, "node", "a sidecar serves",
		LOG_FIELDS(log_text("stack", s->stack), log_text("container", s->container.name.p), log_text("took_ms", took)));
}

static void say_failed(struct node_sidecar *s)
{
	log_write(&s->sidecar.log, LEVEL_ERROR, "node", "a container gets no sidecar",
		LOG_FIELDS(log_text("why", s->why.text)));
	agent_note(&s->node->own.agent, CHANGE_SIDECAR_DOWN, STR(""), str_of(s->task), "%s gets no sidecar: %s", s->task, s->why.text);
}

static void set_up(struct node_sidecar *s)
{
	struct node *n = s->node;

	sidecar_init(&s->sidecar, COMMAND_SIDECAR);
	s->sidecar.log.hub = n->logs;
	s->sidecar.agent.command = "node";
	s->sidecar.agent.version = n->version;
	s->sidecar.view.name = node_sidecar_name(s);
	s->sidecar.who = (struct telemetry_who){ .stack = str_of(s->stack), .slot = str_of(s->slot), .node = str_of(n->name) };
	s->sidecar.log.service = s->service;
	s->sidecar.log.task = s->task;
}

static struct node_sidecar *make(struct node *n, uint32_t number, struct str packed, struct err *err)
{
	struct node_sidecar *s = mem_zalloc(sizeof(*s));

	if (!s) {
		err_set(err, "out of memory");
		return NULL;
	}
	if (!container_unpack(&s->container, packed, err)) {
		mem_free(s);
		return NULL;
	}
	s->node = n;
	s->number = number;
	s->since = clock_now();
	text_init(&s->problems, 16 * 1024);
	node_identify(s);
	node_name_networks(s, &s->container);
	s->shares = node_networks(&s->container);
	set_up(s);
	list_append(&n->sidecars, &s->link);
	n->n_sidecars++;
	return s;
}

/* It joined or left a network, or started after we were there. Its variables and labels never change. */
static void renew(struct node_sidecar *s, struct str packed)
{
	struct container c = { .id = STR("") };
	struct err err;

	if (!container_unpack(&c, packed, &err))
		return;
	s->shares = node_networks(&c);
	if (s->ns)
		netspace_share(s->ns, s->node->answers, s->shares);
	node_name_networks(s, &c);
	if (node_own_addresses(s, &c) && s->serving) {
		s->sidecar.n_own = s->n_own;
		discovering_respec(&s->sidecar);
	}
	container_release(&c);
}

/* What it said before is not said again. */
static void begin(struct node_sidecar *s)
{
	struct err err = { "" };
	struct timer *again = &s->node->again_timer;

	if (start(s, &err)) {
		s->why.text[0] = '\0';
		say_serving(s);
		return;
	}
	bool said = strcmp(s->why.text, err.text) == 0;
	s->why = err;
	if (!said)
		say_failed(s);
	s->pause = !s->pause ? AGAIN_FIRST : 2 * s->pause < AGAIN_MOST ? 2 * s->pause : AGAIN_MOST;
	s->next = clock_now() + s->pause;
	if (!s->hopeless && (!timer_armed(again) || s->next < again->deadline))
		timer_set(s->node->loop, again, s->next);
}

void node_container(struct node *n, uint32_t number, struct str packed)
{
	struct err err = { "" };
	struct wire_record r = { .op = WIRE_SERVING, .container = number };
	struct node_sidecar *s = node_find(n, number);

	if (s) {
		renew(s, packed);
	} else if ((s = make(n, number, packed, &err))) {
		begin(s);
	} else {
		log_write(&n->log, LEVEL_ERROR, "node", "a container gets no sidecar", LOG_FIELDS(log_text("why", err.text)));
		return;
	}
	(void)wire_send(WIRE_RECORDS_FD, &r, NULL, 0, true);
}

void node_stopping(struct node *n, uint32_t number)
{
	struct node_sidecar *s = node_find(n, number);

	if (!s || !s->serving || s->stopping)
		return;
	s->stopping = true;
	agent_note(&s->sidecar.agent, CHANGE_DRAIN, STR(""), str_of(s->task), "%s was told to stop, its sidecar drains", s->task);
	s->sidecar.agent.phase = AGENT_DRAINING;
	if (s->sidecar.discovery)
		announcing_withdraw(&s->sidecar);
	for (unsigned w = 0; s->sidecar.spec && w < n->crew.n_workers; w++)
		(void)worker_sidecar_leaves(n->crew.workers[w], s->sidecar.spec->slot); /* without memory: its end tells them */
}

static void begin_end(struct node_sidecar *s)
{
	struct sidecar *sc = &s->sidecar;

	crew_share_cpu(&s->node->crew.process); /* workers drop what they counted of it */
	s->ending = true;
	s->node->n_ending++;
	s->node->crew.changes++;
	sc->stopped = true; /* no other spec comes from now on */
	s->until = clock_now() + END_WAIT;
	if (sc->discovery && sc->spec)
		announcing_withdraw(sc);
	sc->agent.phase = AGENT_DRAINING;
	for (unsigned w = 0; sc->spec && w < s->node->crew.n_workers; w++)
		s->deaf = !worker_drop_sidecar(s->node->crew.workers[w], sc->spec->slot) || s->deaf;
}

void node_ended(struct node *n, uint32_t number)
{
	struct node_sidecar *s = node_find(n, number);

	if (!s)
		return;
	log_write(&s->sidecar.log, LEVEL_INFO, "node", "a container has ended", NULL);
	agent_note(&s->sidecar.agent, CHANGE_SIDECAR_DOWN, STR(""), str_of(s->task), "%s has ended", s->task);
	if (!s->ending)
		begin_end(s);
	s->anew = false;
	timer_set(n->loop, &n->tick, 0);
}

void node_relieved(struct node *n)
{
	LIST_EACH(it, tmp, &n->sidecars) {
		struct node_sidecar *s = LIST_OWNER(it, struct node_sidecar, link);
		if (s->ending)
			continue;
		s->sidecar.withdrawn = true;
		begin_end(s);
	}
	timer_set(n->loop, &n->tick, 0);
}

/* The application holds one of our ports, the keeper was late, memory was short: all that may pass. It ends as any other, so that workers have
 * nothing of it, and begins again (node_reap()). */
void node_try_again(void *arg)
{
	struct node *n = arg;
	usec now = clock_now(), next = USEC_NEVER;

	LIST_EACH(it, tmp, &n->sidecars) {
		struct node_sidecar *s = LIST_OWNER(it, struct node_sidecar, link);
		if (s->serving || s->ending || s->hopeless || n->phase != NODE_SERVING)
			continue;
		if (now < s->next) {
			next = s->next < next ? s->next : next;
			continue;
		}
		s->anew = true;
		begin_end(s);
		timer_set(n->loop, &n->tick, 0);
	}
	if (next != USEC_NEVER)
		timer_set(n->loop, &n->again_timer, next);
}

/* --- the end --------------------------------------------------------------------------------------------------------------- */

static void stop(struct node_sidecar *s)
{
	serving_stop(&s->sidecar);
	sidecar_release(&s->sidecar);
	if (s->ns)
		netspace_cut(s->ns);
	netspace_unref(s->ns);
	s->ns = NULL;
}

static void begin_anew(struct node_sidecar *s)
{
	const struct app_counts *output = s->sidecar.agent.output; /* what its container writes is read on */

	s->node->n_ending--;
	s->ending = s->anew = false;
	s->asked.len = 0;
	set_up(s);
	s->sidecar.agent.output = output;
	begin(s);
}

/* It is stopped. */
static void forget(struct node_sidecar *s)
{
	node_log_leave(s);
	container_release(&s->container);
	text_release(&s->problems);
	list_remove(&s->link);
	s->node->n_sidecars--;
	s->node->n_ending -= s->ending;
	mem_free(s);
}

/* Workers have nothing of it any more, and no mail is under way to it. */
static bool is_over(struct node_sidecar *s)
{
	struct sidecar *sc = &s->sidecar;

	for (unsigned w = 0; s->deaf && w < s->node->crew.n_workers; w++)
		if (!worker_drop_sidecar(s->node->crew.workers[w], sc->spec->slot))
			return false;
	s->deaf = false;
	if (sc->spec && crew_holds(&s->node->crew, sc->spec->slot))
		return false;
	if (!list_empty(&sc->changes))
		return false;
	return !sc->withdrawing || clock_now() >= s->until;
}

void node_reap(struct node *n)
{
	if (n->reaping || !n->n_ending)
		return;
	n->reaping = true;
	bool again = true, ended = false;
	while (again) { /* ending one turns the loop, in which others may begin or end */
		again = false;
		LIST_EACH(it, tmp, &n->sidecars) {
			struct node_sidecar *s = LIST_OWNER(it, struct node_sidecar, link);
			if (!s->ending || !is_over(s))
				continue;
			if (!s->anew)
				node_log_leave(s);
			stop(s);
			if (s->anew) /* still: its container may have ended meanwhile */
				begin_anew(s);
			else
				forget(s);
			again = ended = true;
			break;
		}
	}
	n->reaping = false;
	if (ended)
		(void)malloc_trim(0); /* a node may have had many containers, and has few now */
}

void node_end_all(struct node *n)
{
	n->reaping = true;
	while (!list_empty(&n->sidecars)) {
		struct node_sidecar *s = LIST_OWNER(n->sidecars.next, struct node_sidecar, link);
		node_log_leave(s);
		stop(s);
		forget(s);
	}
}
