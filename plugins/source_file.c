/* `file:DIR`: a directory laid out as a Spring config repository (config_files.h), watched.
 *
 *     inotify, poll, refresh ──> FILE_SETTLE ──> a thread reads and parses ──> mail ──> on_values, if they differ
 *
 * Watched are the directory and its parent, so that a rename onto the directory, or of the symlink that it is, is seen; a
 * symlink in it that is swapped (`..data` of mounted config maps) is a rename there. What no watch sees (a file changed
 * behind a symlink, a network volume) the poll finds. Reading and parsing sit on a thread of their own: both may take long.
 * A broken file keeps the last good values, and says where it is broken. */
#include "config_files.h"

#include "base/mem.h"
#include "net/task.h"
#include "net/timer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SETTLE (20 * USEC_MS)      /* editors and syncs change several files in a row */
#define FILE_PATIENCE (10 * USEC_SEC)   /* with one reading, until it is called trouble */
#define FILE_SETTLE_MAX (200 * USEC_MS) /* but for ever they do not put it off */
#define WATCHED                                                                                              \
	(IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB |      \
		IN_ONLYDIR)

struct reading { /* one run of the thread; owns copies of all that it needs */
	struct task task;
	struct source *owner;
	char *dir, *service, *profiles;
	int fd;     /* inotify, of its own: looking up a path may hang as reading may; -1: none */
	int parent; /* watch of the parent directory */
	struct config_props props;
	struct err err;
	bool ok;
};

struct source {
	struct loop *loop;
	struct source_events events;
	void *arg;
	char dir[PATH_MAX];
	char *service, *profiles; /* owned */
	usec poll;
	int fd;     /* inotify; -1: only the poll */
	int parent; /* as the last reading said */
	bool open;  /* file_open() has returned: callbacks may be called */
	usec began; /* reading */
	struct watch watch;
	struct timer timer;
	usec first_event; /* of those that wait; 0: none */
	struct reading *reading;
	bool again; /* something changed while it reads */
	bool said;
	uint64_t sum; /* of the values that were said */
	struct err trouble;
};

/* --- values -------------------------------------------------------------------------------------------------------- */

static void set_trouble(struct source *s, const char *why)
{
	if (strcmp(s->trouble.text, why) == 0)
		return;
	err_set(&s->trouble, "%s", why);
	s->events.on_trouble(s->arg, s->trouble.text);
}

static uint64_t sum_of(const struct config_props *p)
{
	uint64_t sum = p->n;
	for (size_t i = 0; i < p->n; i++) {
		sum = str_hash(p->at[i].key, sum);
		sum = str_hash(p->at[i].value, sum + p->at[i].set);
	}
	return sum;
}

static void begin_reading(struct source *s);

static void reading_free(struct reading *r)
{
	config_props_release(&r->props);
	if (r->fd >= 0)
		close(r->fd);
	mem_free(r->dir);
	mem_free(r->service);
	mem_free(r->profiles);
	mem_free(r);
}

static void take(struct source *s, struct reading *r)
{
	if (!r->ok) {
		set_trouble(s, r->err.text);
		return;
	}
	set_trouble(s, "");
	uint64_t sum = sum_of(&r->props);
	if (s->said && sum == s->sum)
		return;
	s->said = true;
	s->sum = sum;
	s->events.on_values(s->arg, r->props.at, r->props.n);
}

static void read_done(struct task *t)
{
	struct reading *r = LIST_OWNER(t, struct reading, task);
	struct source *s = r->owner;

	s->reading = NULL;
	s->parent = r->parent;
	take(s, r);
	if (s->again)
		begin_reading(s);
	else if (!s->first_event)
		timer_set(s->loop, &s->timer, loop_touch(s->loop) + s->poll);
	reading_free(r);
}

/* Adding a watch that is there already changes nothing; the directory may be another one under the same name. */
static void watch_paths(struct reading *r)
{
	char parent[PATH_MAX];
	char *slash;

	if (r->fd < 0 || !str_copy(str_of(r->dir), parent, sizeof(parent)))
		return;
	(void)inotify_add_watch(r->fd, r->dir, WATCHED | IN_DELETE_SELF | IN_MOVE_SELF);
	slash = strrchr(parent, '/');
	if (!slash)
		str_copy(STR("."), parent, sizeof(parent));
	else if (slash == parent)
		parent[1] = '\0';
	else
		*slash = '\0';
	r->parent = inotify_add_watch(
		r->fd, parent, WATCHED & ~(uint32_t)(IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB));
}

static void read_run(struct task *t) /* the thread */
{
	struct reading *r = LIST_OWNER(t, struct reading, task);
	watch_paths(r); /* first: what changes while it reads is told */
	r->ok = config_read_directory(&r->props, r->dir, str_of(r->service), str_of(r->profiles), &r->err);
}

static void read_drop(struct task *t)
{
	reading_free(LIST_OWNER(t, struct reading, task));
}

static struct reading *reading_new(struct source *s)
{
	struct reading *r = mem_zalloc(sizeof(*r));
	if (!r)
		return NULL;
	r->task = (struct task){ .run = read_run, .done = read_done, .drop = read_drop };
	r->owner = s;
	r->parent = -1;
	r->fd = s->fd < 0 ? -1 : fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	config_props_init(&r->props);
	r->dir = mem_dup(s->dir, strlen(s->dir));
	r->service = mem_dup(s->service, strlen(s->service));
	r->profiles = mem_dup(s->profiles, strlen(s->profiles));
	if (r->dir && r->service && r->profiles)
		return r;
	reading_free(r);
	return NULL;
}

static void begin_reading(struct source *s)
{
	struct reading *r = reading_new(s);

	s->again = false;
	s->first_event = 0;
	s->began = loop_touch(s->loop);
	timer_set(s->loop, &s->timer, s->began + FILE_PATIENCE);
	if (r && task_start(s->loop, &r->task)) {
		s->reading = r;
		return;
	}
	if (r)
		reading_free(r);
	timer_set(s->loop, &s->timer, s->began + (s->open ? USEC_SEC : 10 * USEC_MS));
	if (s->open)
		set_trouble(s, "the directory cannot be read now: memory or threads are short");
}

/* --- watching ------------------------------------------------------------------------------------------------------- */

static void on_timer(void *arg)
{
	struct source *s = arg;

	if (!s->reading) {
		begin_reading(s);
		return;
	}
	s->again = s->again || s->first_event;
	s->first_event = 0;
	if (loop_touch(s->loop) < s->began + FILE_PATIENCE)
		timer_set(s->loop, &s->timer, s->began + FILE_PATIENCE);
	else
		set_trouble(s,
			"the directory is being read for more than 10 seconds: does its file system answer?");
}

static void changed(struct source *s)
{
	usec now = loop_touch(s->loop);
	if (!s->first_event)
		s->first_event = now;
	usec due = now + FILE_SETTLE, latest = s->first_event + FILE_SETTLE_MAX;
	timer_set(s->loop, &s->timer, due < latest ? due : latest);
}

enum concern { NOTHING, WRITING, CHANGE };

/* In the parent only what happens to our directory counts. A file that is being written is waited for: its end is told
 * (but not of one that is linked there). */
static enum concern concern_of(const struct source *s, const struct inotify_event *e)
{
	const char *slash = strrchr(s->dir, '/');
	char path[PATH_MAX + NAME_MAX + 2];
	struct stat st;

	if (e->mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF))
		return CHANGE;
	if (e->wd == s->parent)
		return e->len && strcmp(e->name, slash ? slash + 1 : s->dir) == 0 ? CHANGE : NOTHING;
	if (e->mask & IN_MODIFY)
		return WRITING;
	if (!(e->mask & IN_CREATE))
		return CHANGE;
	snprintf(path, sizeof(path), "%s/%s", s->dir, e->len ? e->name : "");
	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 ? WRITING : CHANGE;
}

static void on_readable(void *arg, short what)
{
	struct source *s = arg;
	char buf[16 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool any = false;
	(void)what;
	ssize_t n = read(s->fd, buf, sizeof(buf));
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const struct inotify_event *)(const void *)(buf + at);
		enum concern c = concern_of(s, e);
		any = any || c == CHANGE || (c == WRITING && s->first_event);
		at += (ssize_t)sizeof(*e) + (ssize_t)e->len;
	}
	if (any)
		changed(s);
}

/* --- the plug-in ------------------------------------------------------------------------------------------------------ */

static void file_close(struct source *s)
{
	if (!s)
		return;
	if (s->reading) /* it may hang in a file system: nobody waits for it */
		task_leave(&s->reading->task, 0);
	watch_off(&s->watch);
	if (s->fd >= 0)
		close(s->fd);
	if (s->timer.fn)
		timer_clear(&s->timer);
	mem_free(s->service);
	mem_free(s->profiles);
	mem_free(s);
}

static struct source *file_open(
	const struct source_config *c, const struct source_events *events, void *arg, struct err *err)
{
	struct str dir = str_trim(c->address);
	struct source *s = mem_zalloc(sizeof(*s));

	if (!s) {
		err_set(err, "out of memory");
		return NULL;
	}
	s->fd = -1;
	s->loop = c->loop;
	s->events = *events;
	s->arg = arg;
	s->poll = c->poll ? c->poll : 30 * USEC_SEC;
	timer_init(&s->timer, on_timer, s);
	while (dir.n > 1 && dir.p[dir.n - 1] == '/')
		dir.n--;
	s->service = mem_dup(c->service.p ? c->service.p : "", c->service.n);
	s->profiles = mem_dup(c->profiles.p ? c->profiles.p : "", c->profiles.n);
	if (!dir.n || !str_copy(dir, s->dir, sizeof(s->dir)) || !s->service || !s->profiles) {
		err_set(err, "expected file:DIRECTORY, such as file:/etc/outrider");
		file_close(s);
		return NULL;
	}
	s->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (s->fd >= 0) {
		watch_init(&s->watch, s->loop, s->fd, EV_READ, on_readable, s);
		(void)watch_on(&s->watch);
	}
	begin_reading(s);
	s->open = true;
	return s;
}

static void file_refresh(struct source *s)
{
	if (s->reading)
		s->again = true;
	else
		begin_reading(s);
}

/* --- outrider check ----------------------------------------------------------------------------------------------------- */

struct listing { /* names of files without their end */
	char names[1024][NAME_MAX + 1];
	size_t n;
};

static bool has_name(const struct listing *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->names[i], name) == 0)
			return true;
	return false;
}

static void list_directory(struct listing *l, const char *dir)
{
	static const char *const ends[] = { ".properties", ".yml", ".yaml", ".json" };
	DIR *d = opendir(dir);
	const struct dirent *e;

	while (d && l->n < 1024 && (e = readdir(d))) {
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
			struct str name = str_of(e->d_name);
			if (name.p[0] == '.' || !str_ends(name, str_of(ends[i])))
				continue;
			name.n -= strlen(ends[i]);
			if (name.n && str_copy(name, l->names[l->n], sizeof(l->names[0])) &&
				!has_name(l, l->names[l->n]))
				l->n++;
			break;
		}
	}
	if (d)
		closedir(d);
}

/* quotes-service-test is profile test of quotes-service when that has a file of its own; the longest such counts. */
static size_t service_of(const struct listing *l, const char *name)
{
	char base[NAME_MAX + 1];
	for (size_t n = strlen(name); n-- > 1;) {
		if (name[n] != '-')
			continue;
		str_copy(str_make(name, n), base, sizeof(base));
		if (has_name(l, base) || strcmp(base, "application") == 0)
			return n;
	}
	return strlen(name);
}

static bool file_check(struct str address, void (*say)(void *arg, const char *problem),
	void (*service)(void *arg, struct str service, struct str profile), void *arg)
{
	char dir[PATH_MAX];
	struct listing *l = mem_zalloc(sizeof(*l));

	if (!l || !str_copy(str_trim(address), dir, sizeof(dir)) || access(dir, R_OK | X_OK) < 0) {
		struct err err;
		err_set(&err, "%s: %s", l ? dir : "", l ? strerror(errno) : "out of memory");
		say(arg, err.text);
		mem_free(l);
		return false;
	}
	list_directory(l, dir);
	for (size_t i = 0; i < l->n; i++) {
		struct str name = str_of(l->names[i]);
		size_t n = service_of(l, l->names[i]);
		struct str who = str_make(name.p, n);
		struct str profile = n < name.n ? str_make(name.p + n + 1, name.n - n - 1) : STR("");
		if (!str_eq(who, STR("application"))) {
			service(arg, who, profile);
			continue;
		}
		for (size_t k = 0; profile.n && k < l->n; k++) /* a profile of all: every service has it */
			if (service_of(l, l->names[k]) == strlen(l->names[k]) &&
				strcmp(l->names[k], "application") != 0)
				service(arg, str_of(l->names[k]), profile);
		service(arg, STR("application"), profile);
	}
	mem_free(l);
	return true;
}

extern const struct source_ops source_file;
const struct source_ops source_file = {
	.name = "file",
	.help = "file:DIRECTORY, laid out as a Spring config repository: application.yml, <service>.yml, "
		"<service>-<profile>.yml",
	.open = file_open,
	.refresh = file_refresh,
	.close = file_close,
	.check = file_check,
	.local = true,
};
