/* Log streams of containers, that the keeper passes as pipes: read, and brought to the hub (control/app_output.h).
 *
 * The keeper is told every LOG_TOLD how far each came, and when one was read to its end: then it opens the next behind that. A stream outlives
 * its sidecar by what it still holds. */
#include "attach/node.h"

#include "base/json.h"
#include "base/mem.h"
#include "control/doctor.h"

#include <stdio.h>
#include <unistd.h>

#define LOG_TOLD USEC_SEC /* also in keeper_logs.c's words: what is read twice after an end of this process */
#define NS_OF_SEC 1000000000u

struct node_log {
	struct list link;
	struct node *node;
	struct node_sidecar *sidecar; /* NULL: its container has ended */
	uint32_t number;
	struct app_stream *stream; /* owned; NULL: none now */
	struct app_counts counts;
	uint64_t told; /* ns since 1970 */
};

static void tell(struct node_log *l, bool ended)
{
	uint64_t at = l->stream ? app_stream_stamp(l->stream) : l->told;
	struct wire_record r = { .op = WIRE_LOG_AT,
		.container = l->number,
		.kind = (uint32_t)(at / NS_OF_SEC),
		.n = (uint32_t)(at % NS_OF_SEC),
		.error = ended };

	if (at == l->told && !ended)
		return;
	l->told = at;
	(void)wire_send(WIRE_RECORDS_FD, &r, NULL, 0, true);
}

static void close_stream(struct node_log *l)
{
	app_stream_close(l->stream);
	l->stream = NULL;
}

static void log_free(struct node_log *l)
{
	close_stream(l);
	list_remove(&l->link);
	if (l->sidecar) {
		l->sidecar->sidecar.agent.output = NULL;
		l->sidecar->log = NULL;
	}
	mem_free(l);
}

static void on_ended(void *arg, bool broken)
{
	struct node_log *l = arg;

	if (broken)
		log_write(&l->node->log, LEVEL_WARN, "node",
			"the engine's log stream of a container is no such stream, it is opened anew",
			LOG_FIELDS(log_u64("container", l->number)));
	tell(l, true);
	if (l->sidecar)
		close_stream(l);
	else
		log_free(l);
}

static void on_trouble(void *arg, struct str why)
{
	struct node_log *l = arg;
	char text[200];

	(void)str_copy(why, text, sizeof(text));
	log_write(l->sidecar ? &l->sidecar->sidecar.log : &l->node->log, LEVEL_WARN, "node",
		"the engine has trouble with the log of a container", LOG_FIELDS(log_text("why", text)));
}

static void on_timer(void *arg)
{
	struct node *n = arg;
	bool open = false;

	LIST_EACH (it, tmp, &n->logs_read) {
		struct node_log *l = LIST_OWNER(it, struct node_log, link);
		if (l->stream)
			tell(l, false);
		open = open || l->stream;
	}
	if (open)
		timer_set(n->loop, &n->logs_timer, loop_now(n->loop) + LOG_TOLD);
}

static struct node_log *log_of(struct node *n, struct node_sidecar *s)
{
	struct node_log *l = s->log ? s->log : mem_zalloc(sizeof(*l));

	if (!l || s->log)
		return l;
	*l = (struct node_log){ .node = n, .sidecar = s, .number = s->number };
	list_append(&n->logs_read, &l->link);
	s->log = l;
	s->sidecar.agent.output = &l->counts;
	return l;
}

static void open_stream(struct node *n, struct node_sidecar *s, int fd, bool terminal)
{
	const struct options *o = s->sidecar.options ? s->sidecar.options : n->options;
	struct node_log *l = log_of(n, s);

	if (!l) {
		close(fd);
		return;
	}
	const struct app_stream_config c = {
		.kind = terminal ? APP_KIND_TERMINAL : APP_KIND_FRAMES,
		.whose = { .seat = s->sidecar.agent.seat,
			.service = str_of(s->service),
			.task = str_of(s->task),
			.stack = str_of(s->stack),
			.slot = str_of(s->slot),
			.node = str_of(n->name) },
		.line_max = (size_t)options_u64(o, OPT_APP_LOG_LINE_MAX),
		.rate = options_u64(o, OPT_APP_LOG_RATE),
		.colours = options_bool(o, OPT_APP_LOG_COLOURS),
		.after = l->told,
		.counts = &l->counts,
		.ended = on_ended,
		.trouble = on_trouble,
		.arg = l,
	};
	close_stream(l);
	l->stream = app_stream_open(n->output, fd, &c);
	if (l->stream && n->logs_until)
		app_stream_until(l->stream, n->logs_until);
	if (!l->stream)
		tell(l, true); /* memory is short: another try */
	else if (!timer_armed(&n->logs_timer))
		timer_set(n->loop, &n->logs_timer, loop_now(n->loop) + LOG_TOLD);
}

void node_log(struct node *n, const struct wire_record *r, int *fds, size_t *n_fds)
{
	struct node_sidecar *s = node_find(n, r->container);

	if (!s)
		return;
	if (*n_fds == 1) {
		*n_fds = 0;
		open_stream(n, s, fds[0], r->kind != 0);
		return;
	}
	if (r->why[0] && strcmp(s->output.says, r->why) != 0)
		log_write(&s->sidecar.log, r->n == DOCTOR_OK ? LEVEL_INFO : LEVEL_WARN, "node",
			"what a container writes is not read", LOG_FIELDS(log_text("why", r->why)));
	s->output.level = r->n;
	snprintf(s->output.says, sizeof(s->output.says), "%s", r->why);
}

void node_logs_until(struct node *n, struct str ns)
{
	if (!str_u64(ns, &n->logs_until))
		return;
	LIST_EACH (it, tmp, &n->logs_read) {
		struct node_log *l = LIST_OWNER(it, struct node_log, link);
		if (l->stream)
			app_stream_until(l->stream, n->logs_until);
	}
}

void node_log_leave(struct node_sidecar *s)
{
	struct node_log *l = s->log;

	if (!l)
		return;
	s->log = NULL;
	l->sidecar = NULL;
	if (!l->stream)
		log_free(l);
}

bool node_logs_begin(struct node *n, struct err *err)
{
	timer_init(&n->logs_timer, on_timer, n);
	n->output = app_output_new(n->loop, n->logs, err);
	return n->output != NULL;
}

void node_logs_end(struct node *n)
{
	while (!list_empty(&n->logs_read))
		log_free(LIST_OWNER(n->logs_read.next, struct node_log, link));
	if (n->logs_timer.fn)
		timer_clear(&n->logs_timer);
	app_output_free(n->output);
	n->output = NULL;
}

void node_put_output(struct json *j, const struct node_sidecar *s)
{
	bool open = s->log && s->log->stream;

	json_key(j, "output");
	json_object(j);
	json_key(j, "state");
	json_strz(j, open ? "followed" : s->output.says[0] ? "not followed" : s->log ? "opened soon" : "off");
	if (s->output.says[0] && !open) {
		json_key(j, "why");
		json_strz(j, s->output.says);
	}
	if (s->log)
		app_counts_put(j, &s->log->counts);
	json_end(j);
}
