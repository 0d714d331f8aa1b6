/* `file:PATH` as registry: a file, or a directory of files, that lists instances (file_endpoints.h), watched.
 *
 *     inotify, poll, refresh ──> SETTLE ──> a thread reads and parses ──> what changed of what is watched is delivered
 *
 * Watched are the path and the directory in which it stands, so that a rename onto it is seen. What no watch sees (behind a
 * symlink, a network volume) the poll finds. A broken file keeps the last good instances and says where it is broken. Thread: the loop's. */
#include "base/mem.h"
#include "base/rng.h"
#include "net/task.h"
#include "net/timer.h"
#include "watched_sets.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <unistd.h>

#define POLL (5 * USEC_SEC)
#define SETTLE (20 * USEC_MS)      /* editors and syncs change several files in a row */
#define SETTLE_MAX (200 * USEC_MS) /* but for ever they do not put it off */
#define PATIENCE (10 * USEC_SEC)   /* with one reading, until it is called trouble */
#define WATCHED                                                                                                 \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB | IN_DELETE_SELF |      \
	 IN_MOVE_SELF)

struct reading { /* one run of the thread; owns copies of all that it needs */
	struct task task;
	struct registry *owner;
	char path[PATH_MAX];
	int fd; /* inotify, of its own: looking up a path may hang as reading may; -1: none */
	struct file_endpoints found;
	struct err err;
	bool good;
};

struct registry {
	struct loop *loop;
	struct registry_events events;
	void *arg;
	char path[PATH_MAX];
	usec poll;
	int fd; /* inotify; -1: only the poll */
	struct watch watch;
	struct timer timer, deliver; /* the next reading, or the end of patience; to those newly watched */
	usec began, first_event;
	struct reading *reading;
	struct file_endpoints now;
	bool known, again;
	struct rng rng;
	struct watched_sets sets;
	struct err trouble;
};

static void tell(struct registry *r, const char *why)
{
	if (strcmp(r->trouble.text, why) == 0)
		return;
	err_set(&r->trouble, "%s", why);
	r->events.on_trouble(r->arg, r->trouble.text);
}

/* --- delivering ----------------------------------------------------------------------------------------------------------- */

static void deliver_all(void *arg)
{
	struct registry *r = arg;

	if (r->known && !watched_sets_tell(&r->sets, &r->now))
		tell(r, "no memory for the instances");
}

/* --- reading -------------------------------------------------------------------------------------------------------------- */

static void begin_reading(struct registry *r);

static void plan(struct registry *r)
{
	timer_set(r->loop, &r->timer,
		  loop_touch(r->loop) + r->poll - r->poll / 10 + rng_below(&r->rng, (uint32_t)(r->poll / 5) + 1));
}

/* The path may have become another file or directory; adding what is there already changes nothing. */
static void watch_path(const struct reading *x)
{
	char parent[PATH_MAX];

	if (x->fd < 0)
		return;
	(void)inotify_add_watch(x->fd, x->path, WATCHED);
	memcpy(parent, x->path, sizeof(parent));
	char *slash = strrchr(parent, '/');
	if (slash && slash != parent)
		*slash = '\0';
	(void)inotify_add_watch(x->fd, slash ? slash == parent ? "/" : parent : ".", WATCHED | IN_ONLYDIR);
}

static void run(struct task *t)
{
	struct reading *x = LIST_OWNER(t, struct reading, task);

	watch_path(x); /* before it reads: what changes meanwhile is told */
	x->good = file_endpoints_read(&x->found, x->path, &x->err);
}

static void drop(struct task *t)
{
	struct reading *x = LIST_OWNER(t, struct reading, task);

	file_endpoints_release(&x->found);
	if (x->fd >= 0)
		close(x->fd);
	mem_free(x);
}

static void done(struct task *t)
{
	struct reading *x = LIST_OWNER(t, struct reading, task);
	struct registry *r = x->owner;

	r->reading = NULL;
	if (x->good) {
		tell(r, "");
		file_endpoints_release(&r->now);
		r->now = x->found;
		file_endpoints_init(&x->found);
		r->known = true;
		deliver_all(r);
	} else
		tell(r, x->err.text);
	drop(t);
	if (r->again)
		begin_reading(r);
	else if (!r->first_event)
		plan(r);
}

static void begin_reading(struct registry *r)
{
	struct reading *x = mem_zalloc(sizeof(*x));

	r->again = false;
	r->first_event = 0;
	r->began = loop_touch(r->loop);
	timer_set(r->loop, &r->timer, r->began + PATIENCE);
	if (x) {
		x->task = (struct task){ .run = run, .done = done, .drop = drop };
		x->owner = r;
		x->fd = r->fd < 0 ? -1 : fcntl(r->fd, F_DUPFD_CLOEXEC, 0);
		memcpy(x->path, r->path, sizeof(x->path));
		file_endpoints_init(&x->found);
		if (task_start(r->loop, &x->task)) {
			r->reading = x;
			return;
		}
		drop(&x->task);
	}
	timer_set(r->loop, &r->timer, r->began + USEC_SEC);
}

static void on_timer(void *arg)
{
	struct registry *r = arg;

	if (!r->reading) {
		begin_reading(r);
		return;
	}
	r->again = r->again || r->first_event;
	r->first_event = 0;
	if (loop_touch(r->loop) < r->began + PATIENCE)
		timer_set(r->loop, &r->timer, r->began + PATIENCE);
	else
		tell(r, "it is being read for more than 10 seconds: does its file system answer?");
}

/* A file that is renamed onto ours is whole: nothing is to be waited for. */
static bool is_our_own(const struct registry *r, const char *name)
{
	const char *slash = strrchr(r->path, '/');

	return strcmp(name, slash ? slash + 1 : r->path) == 0;
}

static void on_readable(void *arg, short what)
{
	struct registry *r = arg;
	char buf[16 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
	usec now = loop_touch(r->loop);
	bool renamed = false;
	ssize_t n = read(r->fd, buf, sizeof(buf));

	(void)what;
	if (n <= 0)
		return;
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const struct inotify_event *)(const void *)(buf + at);
		renamed = renamed || ((e->mask & IN_MOVED_TO) && e->len && is_our_own(r, e->name));
		at += (ssize_t)sizeof(*e) + (ssize_t)e->len;
	}
	if (!r->first_event)
		r->first_event = now;
	usec due = renamed ? now : now + SETTLE, latest = r->first_event + SETTLE_MAX;
	timer_set(r->loop, &r->timer, due < latest ? due : latest);
}

/* --- ops ------------------------------------------------------------------------------------------------------------------ */

static bool file_watch(struct registry *r, struct str service)
{
	timer_set(r->loop, &r->deliver, loop_touch(r->loop)); /* not inside watch() */
	return watched_sets_add(&r->sets, service);
}

static void file_unwatch(struct registry *r, struct str service)
{
	watched_sets_remove(&r->sets, service);
}

static void file_refresh(struct registry *r)
{
	if (r->reading)
		r->again = true;
	else
		begin_reading(r);
}

static void file_close(struct registry *r)
{
	if (!r)
		return;
	if (r->reading) /* it may hang in a file system: nobody waits for it */
		task_leave(&r->reading->task, 0);
	watch_off(&r->watch);
	if (r->fd >= 0)
		close(r->fd);
	timer_clear(&r->timer);
	timer_clear(&r->deliver);
	watched_sets_release(&r->sets);
	file_endpoints_release(&r->now);
	mem_free(r);
}

static struct registry *file_open(const struct registry_config *c, const struct registry_events *events, void *arg, struct err *err)
{
	struct str path = str_trim(c->address);
	struct registry *r = mem_zalloc(sizeof(*r));

	if (!r) {
		err_set(err, "no memory");
		return NULL;
	}
	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	r->loop = c->loop;
	r->events = *events;
	r->arg = arg;
	r->poll = c->poll ? c->poll : POLL;
	rng_seed_os(&r->rng);
	timer_init(&r->timer, on_timer, r);
	timer_init(&r->deliver, deliver_all, r);
	watched_sets_init(&r->sets, events, arg, rng_next(&r->rng));
	file_endpoints_init(&r->now);
	r->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (!path.n || !str_copy(path, r->path, sizeof(r->path))) {
		err_set(err, "expected file:PATH, such as file:/etc/outrider/services.yml");
		file_close(r);
		return NULL;
	}
	if (r->fd >= 0) {
		watch_init(&r->watch, r->loop, r->fd, EV_READ, on_readable, r);
		(void)watch_on(&r->watch);
	}
	timer_set(r->loop, &r->timer, loop_touch(r->loop));
	return r;
}

extern const struct registry_ops registry_file;
const struct registry_ops registry_file = {
	.name = "file",
	.help = "file:PATH: a file or directory that lists instances, YAML, JSON or file_sd of Prometheus; watched",
	.open = file_open,
	.watch = file_watch,
	.unwatch = file_unwatch,
	.refresh = file_refresh,
	.close = file_close,
	.names = true,
};
