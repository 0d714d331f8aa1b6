/* Listeners go from keeper to keeper at an upgrade (DESIGN section 2, "Upgrade"): never closed, so that no caller is refused.
 *
 *     old keeper                                   new keeper (another container of the same service, on the same node)
 *     listens at outrider.run/keeper.sock   <────  connects, TAKE
 *     LISTENER (container, address; fd) …   ────>  keeps them for when it sees those containers
 *     ALL; later ones as they are made      ────>
 *                                           <────  READY: each container that it listed is served
 *     its proxy stops accepting, drains            listens there from now on
 *
 * One that does not read is not waited for twice (WIRE_WAIT_S): it is left, and serves a container when that is free.
 * Both must be root (SO_PEERCRED). A successor that goes away after READY, while nobody stopped us, leaves all to us again. */
#include "attach/keeper.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_SPARE(all) ((all) / 8 > 64 ? (all) / 8 : 64) /* descriptors that are not for what is inherited: namespaces, logs, the proxy's, the engine's */

#define LINES_MAX 8u

struct inherited { /* a listener of a container that we have not seen yet */
	struct list link;
	char id[CONTAINER_ID_LENGTH + 1];
	struct addr addr;
	uint32_t index;
	int fd;
};

struct handover {
	struct keeper *k;
	struct addr at;                  /* outrider.run/keeper.sock */
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	int listening, predecessor, successor;
	struct watch on_listening, on_predecessor, on_successor;
	struct list inherited;
	size_t n_inherited, n_most, n_lost; /* at most; that could not be kept */
	bool ready; /* we told the predecessor, or there is none */
	int lines[LINES_MAX]; /* to agents before the predecessor, held for them alone (pass_lines_on()) */
	size_t n_lines;
};

static void shut(int *fd, struct watch *w)
{
	watch_off(w);
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool is_root(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == geteuid();
}

static void set_wait(int fd)
{
	struct timeval wait = { .tv_sec = WIRE_WAIT_S };
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
}

/* --- the old one gives -------------------------------------------------------------------------------------------------- */

static bool give(struct handover *h, const struct ward *w, const struct kept *e)
{
	struct wire_record r = { .op = WIRE_LISTENER, .n = e->index };

	wire_put_addr(&r, &e->addr);
	snprintf(r.why, sizeof(r.why), "%s", w->id);
	return wire_send(h->successor, &r, &e->fd, 1, true);
}

static void leave_successor(struct handover *h)
{
	log_write(&h->k->log, LEVEL_WARN, "keeper", "a successor takes no listeners: this agent serves on, and callers will be refused for a moment when it ends",
		LOG_FIELDS(log_text("why", errno == EAGAIN ? "it does not read" : strerror(errno))));
	shut(&h->successor, &h->on_successor);
}

static void give_all(struct handover *h)
{
	struct wire_record all = { .op = WIRE_ALL };
	size_t n = 0;
	bool good = true;

	LIST_EACH(it, tmp, &h->k->wards) {
		struct ward *w = LIST_OWNER(it, struct ward, link);
		LIST_EACH(kt, ktmp, &w->kept) {
			good = good && give(h, w, LIST_OWNER(kt, struct kept, link));
			n += good;
		}
	}
	if (!good || !wire_send(h->successor, &all, NULL, 0, true)) {
		leave_successor(h);
		return;
	}
	log_write(&h->k->log, LEVEL_INFO, "keeper", "listeners are handed to a successor", LOG_FIELDS(log_u64("listeners", n)));
}

void handover_kept(struct keeper *k, const struct ward *w, const struct kept *e)
{
	if (k->handover && k->handover->successor >= 0 && !give(k->handover, w, e))
		leave_successor(k->handover);
}

static void successor_left(struct handover *h)
{
	struct keeper *k = h->k;

	shut(&h->successor, &h->on_successor);
	if (!k->handed || k->stopping)
		return;
	log_write(&k->log, LEVEL_WARN, "keeper", "the successor went away: this agent serves again", NULL);
	k->handed = false;
	k->logs_until = 0;
	handover_listen(k);
	proxy_resume(k);
	engine_again(k->engine);
}

static bool is_gone(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void add_line(struct handover *h, int fd)
{
	if (h->n_lines == LINES_MAX) {
		close(fd);
		return;
	}
	h->lines[h->n_lines++] = fd;
}

/* Swarm may keep agents that were relieved, when one update follows another, and end those in the middle. Each serves again when the
 * line to it breaks, so our successor holds the lines of all before us beside us: they break when nobody after them is left. */
static void pass_lines_on(struct handover *h)
{
	struct wire_record r = { .op = WIRE_LINE };

	if (h->predecessor >= 0)
		(void)wire_send(h->successor, &r, &h->predecessor, 1, true);
	for (size_t i = 0; i < h->n_lines; i++)
		if (!is_gone(h->lines[i]))
			(void)wire_send(h->successor, &r, &h->lines[i], 1, true);
}

/* Its lines are all that are written from the moment that it names; an older program names none. */
static void successor_is_ready(struct handover *h, struct str since)
{
	struct keeper *k = h->k;

	if (!str_u64(since, &k->logs_until))
		k->logs_until = clock_wall() * 1000;

	log_write(&k->log, LEVEL_INFO, "keeper", "a successor serves; what is in flight here finishes", NULL);
	k->handed = true;
	pass_lines_on(h);
	shut(&h->listening, &h->on_listening);
	proxy_stop(k, true);
	keeper_look_at_stop(k); /* swarm may have told us to end before that */
}

static void on_successor(void *arg, short what)
{
	struct handover *h = arg;
	struct wire_record r;
	int fds[WIRE_FDS_MAX], got;
	size_t n;

	(void)what;
	while (h->successor >= 0 && (got = wire_receive(h->successor, &r, fds, &n, false)) != 0) {
		if (got < 0)
			return;
		while (n)
			close(fds[--n]);
		if (r.op == WIRE_TAKE)
			give_all(h);
		else if (r.op == WIRE_READY)
			successor_is_ready(h, str_of(r.why));
	}
	successor_left(h);
}

static void on_listening(void *arg, short what)
{
	struct handover *h = arg;
	int fd = accept4(h->listening, NULL, NULL, SOCK_CLOEXEC);

	(void)what;
	if (fd < 0)
		return;
	if (h->successor >= 0 || !is_root(fd)) {
		close(fd);
		return;
	}
	set_wait(fd);
	h->successor = fd;
	watch_init(&h->on_successor, h->k->loop, fd, EV_READ, on_successor, h);
	if (!watch_on(&h->on_successor))
		shut(&h->successor, &h->on_successor);
}

/* Beside, then renamed over: there is always somebody to be found at the place. */
static bool bind_at(int fd, const struct addr *at)
{
	struct addr beside = *at;
	char *name = beside.un.sun_path;
	size_t n = strlen(name);

	if (n + 5 >= sizeof(beside.un.sun_path))
		return false;
	snprintf(name + n, sizeof(beside.un.sun_path) - n, ".new");
	beside.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 5);
	(void)unlink(name);
	return bind(fd, &beside.sa, beside.len) == 0 && chmod(name, 0600) == 0 && listen(fd, 8) == 0 &&
	       rename(name, at->un.sun_path) == 0;
}

static void listen_at(struct handover *h)
{
	struct keeper *k = h->k;

	h->listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	watch_init(&h->on_listening, k->loop, h->listening, EV_READ, on_listening, h);
	if (h->listening >= 0 && bind_at(h->listening, &h->at) && watch_on(&h->on_listening))
		return;
	log_write(&k->log, LEVEL_WARN, "keeper", "a successor will find nobody to take listeners from: an upgrade will refuse callers for a moment",
		LOG_FIELDS(log_text("folder", h->folder), log_text("why", strerror(errno)),
			log_text("remedy", "mount a volume of driver local there, or say outrider.run=off")));
	shut(&h->listening, &h->on_listening);
}

void handover_listen(struct keeper *k)
{
	if (!k->handover || k->handover->listening >= 0)
		return;
	listen_at(k->handover);
	facts_tell(k); /* whether that is possible is known only now */
}

/* --- the new one takes ---------------------------------------------------------------------------------------------------- */

static void say_lost(struct handover *h)
{
	if (h->n_lost++ == 0)
		log_write(&h->k->log, LEVEL_ERROR, "keeper", "listeners of a predecessor are lost, whose callers will be refused for a moment",
			LOG_FIELDS(log_text("why", "descriptors or memory are short"), log_u64("kept", h->n_inherited),
				log_text("remedy", "docker service update --ulimit-add nofile=65536 outrider_agent")));
}

static void inherit(struct handover *h, const struct wire_record *r, int fd)
{
	struct addr a;
	struct inherited *e = NULL;
	bool good = wire_get_addr(r, &a) && strlen(r->why) == CONTAINER_ID_LENGTH;

	if (good && wards_inherit(h->k, r->why, &a, r->n, fd))
		return;
	if (good && h->n_inherited < h->n_most)
		e = mem_zalloc(sizeof(*e));
	if (!e) {
		close(fd);
		if (good)
			say_lost(h);
		return;
	}
	(void)str_copy(str_of(r->why), e->id, sizeof(e->id));
	e->addr = a;
	e->index = r->n;
	e->fd = fd;
	list_append(&h->inherited, &e->link);
	h->n_inherited++;
}

static void forget_inherited(struct handover *h, struct inherited *e)
{
	list_remove(&e->link);
	mem_free(e);
	h->n_inherited--;
}

void handover_take(struct keeper *k, struct ward *w)
{
	struct handover *h = k->handover;

	if (!h)
		return;
	LIST_EACH(it, tmp, &h->inherited) {
		struct inherited *e = LIST_OWNER(it, struct inherited, link);
		if (strcmp(e->id, w->id) != 0)
			continue;
		(void)wards_keep(w, &e->addr, e->index, e->fd);
		forget_inherited(h, e);
	}
}

static void drop_inherited(struct handover *h)
{
	while (!list_empty(&h->inherited)) {
		struct inherited *e = LIST_OWNER(h->inherited.next, struct inherited, link);
		close(e->fd);
		forget_inherited(h, e);
	}
}

/* What came: 1, end of all: 2, nothing (yet): 0, the predecessor is gone: -1. */
static int take_one(struct handover *h, bool wait)
{
	struct wire_record r;
	int fds[WIRE_FDS_MAX];
	size_t n;
	int got = wire_receive(h->predecessor, &r, fds, &n, wait);

	if (got <= 0)
		return got == 0 ? -1 : 0;
	if (r.op == WIRE_LISTENER && n == 1) {
		inherit(h, &r, fds[0]);
		n = 0;
	} else if (r.op == WIRE_LINE && n == 1) {
		add_line(h, fds[0]);
		n = 0;
	} else if (r.op == WIRE_LISTENER && n == 0) { /* it was cut off: we may open no more */
		say_lost(h);
	}
	while (n)
		close(fds[--n]);
	return r.op == WIRE_ALL ? 2 : 1;
}

static void on_predecessor(void *arg, short what)
{
	struct handover *h = arg;
	int got;

	(void)what;
	while ((got = take_one(h, false)) > 0)
		;
	if (got == 0)
		return;
	shut(&h->predecessor, &h->on_predecessor);
	handover_look(h->k);
}

static void take_all(struct handover *h)
{
	struct wire_record take = { .op = WIRE_TAKE };
	int got = -1;

	if (wire_send(h->predecessor, &take, NULL, 0, true))
		while ((got = take_one(h, true)) == 1)
			;
	watch_init(&h->on_predecessor, h->k->loop, h->predecessor, EV_READ, on_predecessor, h);
	if (got == 2 && watch_on(&h->on_predecessor)) {
		log_write(&h->k->log, LEVEL_INFO, "keeper", "listeners are taken over from a predecessor",
			LOG_FIELDS(log_u64("listeners", h->n_inherited)));
		return;
	}
	log_write(&h->k->log, LEVEL_WARN, "keeper", "a predecessor gives no listeners: it does not answer", NULL);
	shut(&h->predecessor, &h->on_predecessor);
}

void handover_look(struct keeper *k)
{
	struct handover *h = k->handover;
	struct wire_record ready = { .op = WIRE_READY };

	if (!h || h->ready || !k->listed || !wards_settled(k))
		return;
	h->ready = true;
	k->logs_since = clock_wall() * 1000;
	snprintf(ready.why, sizeof(ready.why), "%llu", (unsigned long long)k->logs_since);
	drop_inherited(h);
	if (h->predecessor >= 0)
		(void)wire_send(h->predecessor, &ready, NULL, 0, true);
	handover_listen(k);
	logs_look_all(k);
}

bool handover_is_over(const struct keeper *k)
{
	return k->listed && (!k->handover || k->handover->ready);
}

/* --- life ------------------------------------------------------------------------------------------------------------------- */

bool handover_begin(struct keeper *k, struct str folder, struct err *err)
{
	struct handover *h;
	struct rlimit files = { .rlim_cur = 1024 };
	char path[512];

	if (str_ieq(folder, STR("off")))
		return true;
	h = k->handover = mem_zalloc(sizeof(*h));
	if (!h)
		return err_set(err, "out of memory");
	h->k = k;
	h->listening = h->predecessor = h->successor = -1;
	list_init(&h->inherited);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	h->n_most = files.rlim_cur > 128 ? (size_t)(files.rlim_cur - FILES_SPARE(files.rlim_cur)) : 64;
	snprintf(path, sizeof(path), "unix:%.*s/keeper.sock", STR_ARG(folder));
	if (!addr_parse(str_of(path), &h->at, err) || !str_copy(folder, h->folder, sizeof(h->folder)))
		return err_prefix(err, "outrider.run");
	h->predecessor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (h->predecessor >= 0)
		set_wait(h->predecessor);
	if (h->predecessor >= 0 && connect(h->predecessor, &h->at.sa, h->at.len) == 0 && is_root(h->predecessor))
		take_all(h);
	else
		shut(&h->predecessor, &h->on_predecessor); /* there is none */
	return true;
}

const char *handover_trouble(const struct keeper *k)
{
	if (!k->handover)
		return "outrider.run=off: at an upgrade callers are refused for a moment";
	return k->handover->listening >= 0 || k->handed || !k->handover->ready ? NULL : "its folder cannot be used; the log says why";
}

void handover_end(struct keeper *k)
{
	struct handover *h = k->handover;

	if (!h)
		return;
	drop_inherited(h);
	shut(&h->listening, &h->on_listening);
	shut(&h->predecessor, &h->on_predecessor);
	shut(&h->successor, &h->on_successor);
	while (h->n_lines)
		close(h->lines[--h->n_lines]);
	mem_free(h);
	k->handover = NULL;
}
