#include "line_writer.h"

#include "base/mem.h"
#include "log_queue.h"
#include "net/task.h"
#include "net/timer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#define GATHER (20 * USEC_MS)
#define KEPT (64u * 1024u) /* memory of a batch that is not given back */
#define FILE_PIECE (64u * 1024u)

struct batch { /* the thread's while it writes */
	struct task task;
	struct line_writer *owner; /* the loop's thread only */
	struct text text;
	uint64_t lines, written;
	char *path; /* owned; NULL: fd is borrowed */
	int fd;     /* of a file: owned, -1 when it is to be opened */
	int error;  /* errno; 0: all is written */
	size_t piece; /* bytes at a time; 0: not known yet */
	bool reopen, torn; /* a line was written in part */
};

struct line_writer {
	struct loop *loop;
	size_t max; /* bytes */
	struct text waiting;
	uint64_t waiting_lines;
	struct batch *batch; /* owned, until it is left to its thread */
	bool writing, stopped, reopen;
	struct timer timer, patience;
	void (*done)(void *arg);
	void *done_arg;
	void (*trouble)(void *arg, const char *why);
	void *trouble_arg;
	int told; /* errno */
	struct sink_counts counts;
};

/* --- the thread -------------------------------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *p, size_t n, bool *torn)
{
	bool begun = false;

	while (n) {
		ssize_t done = write(fd, p, n);
		if (done > 0) {
			begun = true;
			p += done;
			n -= (size_t)done;
		} else if (done < 0 && errno == EAGAIN) { /* somebody made it non-blocking for all who share it */
			struct pollfd q = { .fd = fd, .events = POLLOUT };
			(void)poll(&q, 1, 1000);
		} else if (done == 0 || errno != EINTR) {
			*torn = *torn || begun;
			return false;
		}
	}
	return true;
}

/* As much as is written without another writer's bytes in between: a file takes any write as one (the kernel locks its place). */
static size_t piece_max(int fd)
{
	struct stat s;

	return fstat(fd, &s) == 0 && S_ISREG(s.st_mode) ? FILE_PIECE : PIPE_BUF;
}

/* Whole lines. */
static size_t piece_of(struct str s, size_t max)
{
	if (s.n <= max)
		return s.n;
	size_t end = str_rfind(str_make(s.p, max), '\n');
	if (end == SIZE_MAX)
		end = str_find(s, '\n');
	return end == SIZE_MAX ? s.n : end + 1;
}

static uint64_t lines_of(struct str s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '\n';
	return n;
}

static bool open_file(struct batch *b)
{
	if (!b->path || (b->fd >= 0 && !b->reopen))
		return true;
	if (b->fd >= 0) {
		close(b->fd);
		b->torn = false;
	}
	b->reopen = false;
	b->piece = 0;
	b->fd = open(b->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	return b->fd >= 0;
}

static void run(struct task *t)
{
	struct batch *b = LIST_OWNER(t, struct batch, task);
	struct str rest = text_str(&b->text);

	b->error = 0;
	b->written = 0;
	if (!open_file(b) || (b->torn && !write_all(b->fd, "\n", 1, &b->torn))) {
		b->error = errno ? errno : EIO;
		return;
	}
	b->torn = false;
	b->piece = b->piece ? b->piece : piece_max(b->fd);
	while (rest.n) {
		size_t n = piece_of(rest, b->piece);
		if (!write_all(b->fd, rest.p, n, &b->torn)) {
			b->error = errno ? errno : EIO;
			b->written = lines_of(str_make(b->text.p, b->text.n - rest.n));
			return;
		}
		rest = str_make(rest.p + n, rest.n - n);
	}
	b->written = b->lines;
}

static void drop(struct task *t)
{
	struct batch *b = LIST_OWNER(t, struct batch, task);

	if (b->path && b->fd >= 0)
		close(b->fd);
	mem_free(b->path);
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

static bool is_idle(const struct line_writer *w)
{
	return !w->writing && !w->waiting.n;
}

static void end_flush(void *arg)
{
	struct line_writer *w = arg;
	void (*fn)(void *arg) = w->done;

	w->done = NULL;
	timer_clear(&w->patience);
	if (fn)
		fn(w->done_arg);
}

static void start(struct line_writer *w)
{
	struct batch *b = w->batch;

	if (!w->waiting.n && !(w->reopen && b->path))
		return;
	text_clear(&b->text);
	swap(w);
	b->reopen = b->reopen || w->reopen;
	b->lines = w->waiting_lines;
	b->task = (struct task){ .run = run, .done = done, .drop = drop };
	w->writing = task_start(w->loop, &b->task);
	if (w->writing) {
		w->waiting_lines = 0;
		w->reopen = false;
	} else {
		swap(w); /* no thread now: the next line tries again */
	}
}

static void tell(struct line_writer *w, const struct batch *b)
{
	struct err why = { "" };

	if (w->told == b->error)
		return;
	w->told = b->error;
	if (b->error)
		err_set(&why, "%s: %s", b->path ? b->path : b->fd == STDOUT_FILENO ? "stdout" : "stderr", strerror(b->error));
	if (w->trouble)
		w->trouble(w->trouble_arg, why.text);
}

static void done(struct task *t)
{
	struct batch *b = LIST_OWNER(t, struct batch, task);
	struct line_writer *w = b->owner;

	w->writing = false;
	w->counts.sent += b->written;
	w->counts.dropped_failed += b->lines - b->written;
	if (b->text.cap > KEPT && b->text.n < b->text.cap / 8) /* many lines are followed by as many: it would be made anew each time */
		text_release(&b->text);
	tell(w, b);
	if ((w->waiting.n || w->reopen) && !timer_armed(&w->timer))
		start(w);
	if (w->done && is_idle(w))
		end_flush(w);
}

static void on_time(void *arg)
{
	struct line_writer *w = arg;

	if (!w->writing)
		start(w);
}

static struct batch *make_batch(struct line_writer *w, int fd, struct str path)
{
	struct batch *b = mem_zalloc(sizeof(*b));

	if (!b)
		return NULL;
	b->owner = w;
	b->fd = fd;
	text_init(&b->text, w->max);
	if (path.n && !(b->path = mem_dup(path.p, path.n))) {
		mem_free(b);
		return NULL;
	}
	return b;
}

static struct line_writer *make(struct loop *l, int fd, struct str path, size_t max)
{
	struct line_writer *w = mem_zalloc(sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct line_writer){ .loop = l, .max = max };
	w->batch = make_batch(w, fd, path);
	if (!w->batch) {
		mem_free(w);
		return NULL;
	}
	text_init(&w->waiting, max);
	timer_init(&w->timer, on_time, w);
	timer_init(&w->patience, end_flush, w);
	return w;
}

struct line_writer *line_writer_new(struct loop *l, int fd, size_t max)
{
	return make(l, fd, STR(""), max);
}

struct line_writer *line_writer_file(struct loop *l, struct str path, size_t max)
{
	return make(l, -1, path, max);
}

void line_writer_on_trouble(struct line_writer *w, void (*fn)(void *arg, const char *why), void *arg)
{
	w->trouble = fn;
	w->trouble_arg = arg;
}

/* false: it is counted. */
static bool take(struct line_writer *w, struct str line, bool own)
{
	size_t before = w->waiting.n;

	if (line.n + 1 > w->max) {
		w->counts.dropped_long++;
		return false;
	}
	if (w->stopped || line.n + 1 > log_queue_room(w->max, w->waiting.n, own)) {
		w->counts.dropped_full++;
		return false;
	}
	text_add(&w->waiting, line);
	text_char(&w->waiting, '\n');
	if (!w->waiting.failed)
		return true;
	w->waiting.n = before; /* no memory: not half a line */
	w->waiting.failed = false;
	w->counts.dropped_full++;
	return false;
}

void line_writer_put(struct line_writer *w, struct str line, bool own)
{
	w->counts.produced++;
	if (!take(w, line, own))
		return;
	w->waiting_lines++;
	if (w->writing)
		return;
	usec when = loop_now(w->loop) + (own ? 0 : GATHER);
	if (!timer_armed(&w->timer) || when < w->timer.deadline)
		timer_set(w->loop, &w->timer, when);
}

void line_writer_reopen(struct line_writer *w)
{
	w->reopen = true;
	if (!w->writing && !w->stopped && w->batch->path)
		start(w);
}

void line_writer_flush(struct line_writer *w, usec patience, void (*fn)(void *arg), void *arg)
{
	w->done = fn;
	w->done_arg = arg;
	timer_clear(&w->timer);
	if (!w->writing)
		start(w);
	timer_set(w->loop, &w->patience, is_idle(w) ? loop_now(w->loop) : loop_touch(w->loop) + patience);
}

/* Another one, for the one under way is its thread's. */
static void renew_batch(struct line_writer *w, usec patience)
{
	struct batch *now = w->batch;
	struct batch *next = make_batch(w, now->path ? -1 : now->fd, str_of(now->path));

	task_leave(&now->task, patience);
	w->batch = next;
	w->writing = false;
}

void line_writer_stop(struct line_writer *w, usec patience)
{
	if (!w || w->stopped)
		return;
	w->stopped = true;
	w->done = NULL;
	timer_clear(&w->timer);
	timer_clear(&w->patience);
	if (w->writing)
		renew_batch(w, patience);
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

struct sink_counts line_writer_counts(const struct line_writer *w)
{
	struct sink_counts c = w->counts;

	c.queued = c.produced - c.sent - c.dropped_full - c.dropped_failed - c.dropped_long;
	return c;
}
