#include "control/line_writer.h"

#include "base/mem.h"
#include "net/task.h"
#include "net/timer.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#define GATHER (20 * USEC_MS)

struct batch {
	struct task task;
	struct line_writer *owner; /* the loop's thread only */
	struct text text;
	int fd;
};

struct line_writer {
	struct loop *loop;
	int fd;
	struct text waiting;
	struct batch *batch; /* owned, until it is left to its thread */
	bool writing, stopped;
	struct timer timer;
	struct line_writer_counts counts;
};

/* --- the thread -------------------------------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		} else if (done < 0 && errno == EAGAIN) { /* somebody made it non-blocking for all who share it */
			struct pollfd q = { .fd = fd, .events = POLLOUT };
			(void)poll(&q, 1, 1000);
		} else if (done == 0 || errno != EINTR) {
			return false;
		}
	}
	return true;
}

/* Whole lines, as many as a pipe takes without another writer's in between. */
static size_t piece_of(struct str s)
{
	if (s.n <= PIPE_BUF)
		return s.n;
	size_t end = str_rfind(str_make(s.p, PIPE_BUF), '\n');
	if (end == SIZE_MAX)
		end = str_find(s, '\n');
	return end == SIZE_MAX ? s.n : end + 1;
}

static void run(struct task *t)
{
	struct batch *b = LIST_OWNER(t, struct batch, task);
	struct str rest = text_str(&b->text);

	while (rest.n) {
		size_t n = piece_of(rest);
		if (!write_all(b->fd, rest.p, n))
			return;
		rest = str_make(rest.p + n, rest.n - n);
	}
}

static void drop(struct task *t)
{
	struct batch *b = LIST_OWNER(t, struct batch, task);

	text_release(&b->text);
	mem_free(b);
}

/* --- the loop ----------------------------------------------------------------------------------------------------------- */

static void done(struct task *t);

static void swap(struct line_writer *w)
{
	struct text t = w->batch->text;

	w->batch->text = w->waiting;
	w->waiting = t;
}

static void start(struct line_writer *w)
{
	if (!w->waiting.n)
		return;
	text_clear(&w->batch->text);
	swap(w);
	w->batch->task = (struct task){ .run = run, .done = done, .drop = drop };
	w->writing = task_start(w->loop, &w->batch->task);
	if (!w->writing)
		swap(w); /* no thread now: the next line tries again */
}

static void done(struct task *t)
{
	struct line_writer *w = LIST_OWNER(t, struct batch, task)->owner;

	w->writing = false;
	if (w->waiting.n && !timer_armed(&w->timer))
		start(w);
}

static void on_time(void *arg)
{
	struct line_writer *w = arg;

	if (!w->writing)
		start(w);
}

struct line_writer *line_writer_new(struct loop *l, int fd)
{
	struct line_writer *w = mem_zalloc(sizeof(*w));
	struct batch *b = mem_zalloc(sizeof(*b));

	if (!w || !b) {
		mem_free(w);
		mem_free(b);
		return NULL;
	}
	*w = (struct line_writer){ .loop = l, .fd = fd, .batch = b };
	b->owner = w;
	b->fd = fd;
	text_init(&w->waiting, LINE_WRITER_MAX);
	text_init(&b->text, LINE_WRITER_MAX);
	timer_init(&w->timer, on_time, w);
	return w;
}

void line_writer_put(void *writer, struct str line)
{
	struct line_writer *w = writer;

	if (w->stopped || line.n + 1 > LINE_WRITER_MAX - w->waiting.n) {
		w->counts.lost++;
		return;
	}
	size_t before = w->waiting.n;
	text_add(&w->waiting, line);
	text_char(&w->waiting, '\n');
	if (w->waiting.failed) { /* no memory: not half a line */
		w->waiting.n = before;
		w->waiting.failed = false;
		w->counts.lost++;
		return;
	}
	w->counts.lines++;
	if (!w->writing && !timer_armed(&w->timer))
		timer_set(w->loop, &w->timer, loop_now(w->loop) + GATHER);
}

void line_writer_stop(struct line_writer *w, usec patience)
{
	if (!w || w->stopped)
		return;
	w->stopped = true;
	timer_clear(&w->timer);
	if (w->writing) { /* the one under way, then what has gathered since */
		struct batch *next = mem_zalloc(sizeof(*next));
		task_leave(&w->batch->task, patience);
		w->batch = next;
		w->writing = false;
		if (next) {
			*next = (struct batch){ .owner = w, .fd = w->fd };
			text_init(&next->text, LINE_WRITER_MAX);
		}
	}
	if (w->batch) {
		start(w);
		if (w->writing)
			task_leave(&w->batch->task, patience);
		else
			drop(&w->batch->task);
	}
	w->batch = NULL;
	text_release(&w->waiting);
}

void line_writer_free(struct line_writer *w)
{
	line_writer_stop(w, 0);
	mem_free(w);
}

struct line_writer_counts line_writer_counts(const struct line_writer *w)
{
	return w->counts;
}
