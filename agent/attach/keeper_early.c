/* Attached before the container's first instruction. The engine answers nothing about a container while it starts it, but
 *
 *     create ──> network connect (an event, of that container) ──> a name in the folder of namespaces ──> its process runs, start
 *                                                              50 ms and more                       50 ms and more
 *
 * so that of one container which has joined a network and does not run yet, and one namespace that nobody has, the one is the
 * other's. Are there several, be it that the others want no sidecar or have not joined yet, nothing is guessed: the answer to
 * /containers/ID/json settles it some milliseconds after the start, as it confirms each of these (seen on engine 20.10). */
#include "attach/keeper.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#define PAUSE (2 * USEC_MS)       /* between a name and what is mounted there */
#define PATIENCE (300 * USEC_MS)
#define NAME_LENGTH 12 /* of what the engine calls a container's namespace; its other ones have a dash or an underscore */

struct used { /* a namespace that is somebody's, or was: the engine removes the names of dead ones after a minute only */
	struct list link;
	char name[NAME_LENGTH + 1];
	bool there;
};

static bool is_sandbox(const char *name)
{
	return strlen(name) == NAME_LENGTH && strspn(name, "0123456789abcdef") == NAME_LENGTH;
}

static struct used *find(struct keeper *k, const char *name)
{
	LIST_EACH(it, tmp, &k->used) {
		struct used *u = LIST_OWNER(it, struct used, link);
		if (strcmp(u->name, name) == 0)
			return u;
	}
	return NULL;
}

void early_use(struct keeper *k, const char *name)
{
	struct used *u;

	if (!is_sandbox(name) || find(k, name) || !(u = mem_zalloc(sizeof(*u))))
		return;
	snprintf(u->name, sizeof(u->name), "%s", name);
	list_append(&k->used, &u->link);
}

static void drop(struct used *u)
{
	list_remove(&u->link);
	mem_free(u);
}

static DIR *open_folder(const struct keeper *k)
{
	int fd = openat(k->home.folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

/* How many namespaces nobody has; one of their names. Forgets those that are gone. */
static size_t strangers(struct keeper *k, char ret[NAME_LENGTH + 1])
{
	DIR *d = open_folder(k);
	size_t n = 0;

	LIST_EACH(it, tmp, &k->used)
		LIST_OWNER(it, struct used, link)->there = !d;
	for (struct dirent *e; d && (e = readdir(d));) {
		struct used *u = is_sandbox(e->d_name) ? find(k, e->d_name) : NULL;
		if (u)
			u->there = true;
		else if (is_sandbox(e->d_name) && n++ == 0)
			memcpy(ret, e->d_name, NAME_LENGTH + 1);
	}
	if (d)
		closedir(d);
	LIST_EACH(it, tmp, &k->used)
		if (!LIST_OWNER(it, struct used, link)->there)
			drop(LIST_OWNER(it, struct used, link));
	return n;
}

/* The one that starts, when it waits for a sidecar. */
static struct ward *sole_starting(struct keeper *k)
{
	struct str id = engine_starting(k->engine);
	struct ward *w = id.n ? wards_find_id(k, id) : NULL;

	return w && w->pending ? w : NULL;
}

static bool is_mounted(struct keeper *k, const char *name)
{
	struct err err;
	int fd = netns_open(&k->home, name, &err);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void early_look(struct keeper *k)
{
	struct ward *w = k->listed && !k->handed ? sole_starting(k) : NULL;
	char name[NAME_LENGTH + 1];

	if (!w || strangers(k, name) != 1)
		return;
	usec now = loop_touch(k->loop);
	if (is_mounted(k, name)) {
		snprintf(w->sandbox, sizeof(w->sandbox), "%s", name);
		wards_attach(k, w);
	} else if (now < k->early_until) {
		timer_set(k->loop, &k->early_timer, now + PAUSE);
	}
}

static void on_timer(void *arg)
{
	early_look(arg);
}

static void on_names(void *arg, short what)
{
	struct keeper *k = arg;
	char buf[4096];

	(void)what;
	while (read(k->names_fd, buf, sizeof(buf)) > 0)
		;
	k->early_until = loop_touch(k->loop) + PATIENCE;
	early_look(k);
}

void early_begin(struct keeper *k)
{
	int fd = k->names_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	DIR *d = open_folder(k);

	timer_init(&k->early_timer, on_timer, k);
	for (struct dirent *e; d && (e = readdir(d));)
		early_use(k, e->d_name);
	if (d)
		closedir(d);
	watch_init(&k->on_names, k->loop, fd, EV_READ, on_names, k);
	if (fd >= 0 && inotify_add_watch(fd, k->home.path, IN_CREATE | IN_MOVED_TO) >= 0 && watch_on(&k->on_names))
		return;
	log_write(&k->log, LEVEL_WARN, "keeper", "containers are attached after their start, not before: the folder of namespaces is not watched",
		LOG_FIELDS(log_text("why", strerror(errno))));
}

void early_end(struct keeper *k)
{
	while (!list_empty(&k->used))
		drop(LIST_OWNER(k->used.next, struct used, link));
	if (!k->early_timer.fn)
		return;
	timer_clear(&k->early_timer);
	watch_off(&k->on_names);
	if (k->names_fd >= 0)
		close(k->names_fd);
}
