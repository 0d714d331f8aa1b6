/* `log:` writes each span as one line of Zipkin's v2 JSON (zipkin_json.h) to stderr, where the agent's own log goes, `log:stdout` to stdout.
 *
 * A reader may be slow, or dead for ever: lines are written by a thread, a batch at a time; meanwhile the others wait in the queue, which drops
 * the oldest. Lines are written in pieces of PIPE_BUF bytes at most, each ending with a line, so that those of others never lie in
 * between (but for a span longer than that). Thread: the loop's. */
#include "base/mem.h"
#include "net/task.h"
#include "net/timer.h"
#include "span_queue.h"
#include "zipkin_json.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#define EVERY (100 * USEC_MS) /* somebody looks on */
#define QUEUE_SIZE (1024u * 1024u)
#define FLUSH_TIME USEC_SEC

struct writing { /* a batch on its way; the thread's, until done */
	struct task task;
	struct exporter *of;
	int fd;
	char *lines; /* owned */
	size_t n, written;
	int error; /* errno; 0: all is written */
};

struct exporter {
	struct loop *loop;
	struct exporter_events events;
	void *arg;
	int fd;
	struct span_queue queue;
	struct writing *writing;
	struct timer timer, patience; /* the next batch; the end of a flush */
	void (*done)(void *arg);
	void *done_arg;
	struct err told;
};

static const struct span_format format = { .write = zipkin_json_span, .close = { "\n", 1 }, .between = { "\n", 1 } };

/* --- the thread ------------------------------------------------------------------------------------------------------------------------ */

/* As many whole lines as one write carries unbroken; the first one at least. */
static size_t piece(struct str s)
{
	size_t n = str_rfind(str_make(s.p, s.n < PIPE_BUF ? s.n : PIPE_BUF), '\n');

	return (n == SIZE_MAX ? str_find(s, '\n') : n) + 1;
}

/* Whoever shares stderr with us may have made it non-blocking. 0: once more. */
static int wait_for(int fd, int error)
{
	if (error == EAGAIN)
		(void)poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
	return error == EINTR || error == EAGAIN ? 0 : error;
}

static void run(struct task *t)
{
	struct writing *w = LIST_OWNER(t, struct writing, task);

	while (w->written < w->n && !w->error) {
		size_t left = piece(str_make(w->lines + w->written, w->n - w->written));
		while (left && !w->error) {
			ssize_t n = write(w->fd, w->lines + w->written, left);
			if (n < 0) {
				w->error = wait_for(w->fd, errno);
				continue;
			}
			w->written += (size_t)n;
			left -= (size_t)n;
		}
	}
}

static void drop(struct task *t)
{
	struct writing *w = LIST_OWNER(t, struct writing, task);

	mem_free(w->lines);
	mem_free(w);
}

/* --- the loop --------------------------------------------------------------------------------------------------------------------------- */

static void tell(struct exporter *e, const char *why)
{
	if (strcmp(e->told.text, why) == 0)
		return;
	err_set(&e->told, "%s", why);
	e->events.on_trouble(e->arg, e->told.text);
}

static bool is_idle(const struct exporter *e)
{
	return !e->queue.batch && e->queue.waiting == 0;
}

static void schedule(struct exporter *e)
{
	usec now = loop_now(e->loop), when = e->done || span_queue_has_batch(&e->queue) ? now : now + EVERY;

	if (e->done && is_idle(e))
		timer_set(e->loop, &e->patience, now);
	if (!e->writing && !is_idle(e) && (!timer_armed(&e->timer) || when < e->timer.deadline))
		timer_set(e->loop, &e->timer, when);
}

static uint64_t lines_of(struct str s)
{
	uint64_t n = 0;

	for (size_t at; (at = str_find(s, '\n')) != SIZE_MAX; n++)
		s = str_make(s.p + at + 1, s.n - at - 1);
	return n;
}

static void done(struct task *t)
{
	struct writing *w = LIST_OWNER(t, struct writing, task);
	struct exporter *e = w->of;
	struct err why = { "" };

	e->writing = NULL;
	if (w->error)
		err_set(&why, "spans cannot be written to the log: %s", strerror(w->error));
	span_queue_settle(&e->queue, 0, lines_of(str_make(w->lines + w->written, w->n - w->written)));
	drop(t);
	tell(e, why.text);
	schedule(e);
}

/* The batch's bytes go to the thread: it may outlive us. */
static bool start(struct exporter *e)
{
	struct span_queue *q = &e->queue;
	struct writing *w = mem_zalloc(sizeof(*w));

	if (!w)
		return false;
	w->task = (struct task){ .run = run, .done = done, .drop = drop };
	w->of = e;
	w->fd = e->fd;
	w->n = q->batch_n;
	w->lines = mem_dup(q->batch, q->batch_n);
	if (w->lines && task_start(e->loop, &w->task)) {
		e->writing = w;
		return true;
	}
	drop(&w->task);
	return false;
}

static void on_timer(void *arg)
{
	struct exporter *e = arg;

	if (e->writing)
		return;
	if (!e->queue.batch && !span_queue_take(&e->queue)) { /* no memory, or nothing there */
		schedule(e);
	} else if (!start(e)) {
		span_queue_settle(&e->queue, 0, UINT64_MAX);
		tell(e, "spans cannot be written to the log: memory or threads are short");
		schedule(e);
	}
}

static void on_patience(void *arg)
{
	struct exporter *e = arg;
	void (*fn)(void *arg) = e->done;

	e->done = NULL;
	if (fn)
		fn(e->done_arg);
}

/* --- the plug-in ------------------------------------------------------------------------------------------------------------------------- */

static void log_put(struct exporter *e, const struct span *spans, size_t n)
{
	for (size_t i = 0; i < n; i++)
		span_queue_add(&e->queue, &spans[i]);
	schedule(e);
}

static struct exporter_counts log_counts(const struct exporter *e)
{
	return span_queue_counts(&e->queue);
}

static void log_flush(struct exporter *e, void (*fn)(void *arg), void *arg)
{
	e->done = fn;
	e->done_arg = arg;
	timer_set(e->loop, &e->patience, loop_touch(e->loop) + FLUSH_TIME);
	schedule(e);
}

static void log_close(struct exporter *e)
{
	if (!e)
		return;
	if (e->writing)
		task_leave(&e->writing->task, 0);
	timer_clear(&e->timer);
	timer_clear(&e->patience);
	span_queue_release(&e->queue);
	mem_free(e);
}

static struct exporter *log_open(const struct exporter_config *c, const struct exporter_events *events, void *arg, struct err *err)
{
	bool out = str_eq(c->address, STR("stdout"));
	struct exporter *e = NULL;

	if (c->address.n && !out && !str_eq(c->address, STR("stderr")))
		err_set(err, "what it takes is log: (stderr) or log:stdout");
	else if (!(e = mem_zalloc(sizeof(*e))))
		err_set(err, "no memory");
	if (!e)
		return NULL;
	e->loop = c->loop;
	e->events = *events;
	e->arg = arg;
	e->fd = out ? STDOUT_FILENO : STDERR_FILENO;
	timer_init(&e->timer, on_timer, e);
	timer_init(&e->patience, on_patience, e);
	if (span_queue_init(&e->queue, &format, QUEUE_SIZE, err))
		return e;
	log_close(e);
	return NULL;
}

extern const struct exporter_ops exporter_log;
const struct exporter_ops exporter_log = {
	.name = "log",
	.help = "log: (each span a line of JSON on stderr), or log:stdout",
	.open = log_open,
	.put = log_put,
	.counts = log_counts,
	.flush = log_flush,
	.close = log_close,
};
