/* Containers: attached when they run and want a sidecar, ended when they are gone. */
#include "attach/keeper.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define AGAIN_EVERY (500 * USEC_MS) /* and the first pause of a container that was left alone */
#define AGAIN_MOST (8 * USEC_SEC)
#define OWN_NETWORK "outrider" /* DESIGN section 2 */
#define CLAIM_NAME "unix:@outrider" /* who holds it is the agent of that namespace (claim.h) */

struct ward *wards_find(struct keeper *k, uint32_t number)
{
	LIST_EACH(it, tmp, &k->wards) {
		struct ward *w = LIST_OWNER(it, struct ward, link);
		if (w->number == number && !w->left)
			return w;
	}
	return NULL;
}

struct ward *wards_find_id(struct keeper *k, struct str id)
{
	LIST_EACH(it, tmp, &k->wards) {
		struct ward *w = LIST_OWNER(it, struct ward, link);
		if (str_eq(str_of(w->id), id))
			return w;
	}
	return NULL;
}

size_t wards_served(const struct keeper *k)
{
	size_t n = 0;
	LIST_EACH(it, tmp, &k->wards)
		n += !LIST_OWNER(it, struct ward, link)->left;
	return n;
}

/* --- listeners ----------------------------------------------------------------------------------------------------- */

bool wards_keep(struct ward *w, const struct addr *a, uint32_t index, int fd)
{
	struct kept *e = w->n_kept < KEPT_MAX ? mem_zalloc(sizeof(*e)) : NULL;
	if (!e) {
		close(fd);
		return false;
	}
	e->addr = *a;
	e->index = index;
	e->fd = fd;
	list_append(&w->kept, &e->link);
	w->n_kept++;
	return true;
}

static void unkeep(struct ward *w, struct kept *e)
{
	close(e->fd);
	list_remove(&e->link);
	mem_free(e);
	w->n_kept--;
}

void wards_unlisten(struct ward *w, const struct addr *a)
{
	LIST_EACH(it, tmp, &w->kept) {
		struct kept *e = LIST_OWNER(it, struct kept, link);
		if (addr_eq(&e->addr, a))
			unkeep(w, e);
	}
}

/* A name in the file system would be one of ours, and made with our rights. */
static bool is_allowed(const struct addr *a)
{
	if (a->sa.sa_family == AF_UNIX)
		return a->len > offsetof(struct sockaddr_un, sun_path) && a->un.sun_path[0] == '\0';
	return addr_port(a) != 0;
}

int wards_listen(struct keeper *k, struct ward *w, const struct addr *a, uint32_t index, struct err *err)
{
	bool first = true;

	LIST_EACH(it, tmp, &w->kept) {
		struct kept *e = LIST_OWNER(it, struct kept, link);
		if (!addr_eq(&e->addr, a))
			continue;
		if (e->index == index)
			return e->fd;
		first = false;
	}
	if (!is_allowed(a)) {
		err_set(err, "an agent of a node listens on ports of containers only");
		errno = EINVAL;
		return -1;
	}
	int fd = netns_listen(&k->home, w->ns, a, first, err);
	if (fd < 0)
		return -1;
	if (!wards_keep(w, a, index, fd)) {
		err_set(err, "the container has %u listeners already, or memory is short", KEPT_MAX);
		errno = ENOMEM;
		return -1;
	}
	handover_kept(k, w, LIST_OWNER(w->kept.prev, struct kept, link));
	return fd;
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

static void say_left(struct keeper *k, struct ward *w, const char *why)
{
	w->left = true;
	log_write(&k->log, LEVEL_WARN, "keeper", "a container is left alone",
		LOG_FIELDS(log_text("container", w->name), log_text("id", w->id), log_text("why", why)));
}

static void ward_free(struct keeper *k, struct ward *w)
{
	while (!list_empty(&w->kept))
		unkeep(w, LIST_OWNER(w->kept.next, struct kept, link));
	logs_leave(k, w);
	if (w->ns >= 0)
		close(w->ns);
	list_remove(&w->link);
	k->n_wards--;
	mem_free(w->packed);
	mem_free(w);
}

static struct ward *ward_new(struct keeper *k, const struct container *c)
{
	struct ward *w = k->n_wards < 4 * WARDS_MAX ? mem_zalloc(sizeof(*w)) : NULL;
	if (!w)
		return NULL;
	w->ns = -1;
	w->number = ++k->numbers;
	w->since = loop_touch(k->loop);
	list_init(&w->kept);
	(void)str_copy(c->id, w->id, sizeof(w->id));
	(void)str_copy(c->name, w->name, sizeof(w->name));
	(void)str_copy(c->sandbox, w->sandbox, sizeof(w->sandbox));
	list_append(&k->wards, &w->link);
	k->n_wards++;
	return w;
}

static bool pack(struct ward *w, const struct container *c)
{
	struct text t;
	text_init(&t, CONTAINER_BYTES_MAX * 2);
	container_pack(c, &t);
	size_t n = t.n;
	char *p = text_detach(&t);
	if (!p)
		return false;
	mem_free(w->packed);
	w->packed = p;
	w->n_packed = n;
	return true;
}

static bool claim(struct keeper *k, struct ward *w, struct err *err)
{
	struct addr name;
	if (!addr_parse(STR(CLAIM_NAME), &name, err))
		return false;
	if (wards_listen(k, w, &name, 0, err) >= 0)
		return true;
	w->taken = errno == EADDRINUSE; /* what else may be short says itself */
	if (w->taken)
		err_set(err, "another agent serves it already: it holds @outrider in the container's network namespace");
	return false;
}

void wards_tell(struct keeper *k, struct ward *w)
{
	struct wire_record r = { .op = WIRE_CONTAINER, .container = w->number };
	int fd = wire_bytes_fd(str_make(w->packed, w->n_packed));

	w->settled = false;
	w->told = fd >= 0 && proxy_send(k, &r, &fd, 1); /* a proxy that cannot be told is started anew, and told all */
	if (fd >= 0)
		close(fd);
	else
		timer_set(k->loop, &k->again_timer, loop_touch(k->loop) + AGAIN_EVERY);
}

static struct ward *ward_of(struct keeper *k, const struct container *c)
{
	struct ward *w = ward_new(k, c);

	if (w && pack(w, c)) {
		logs_choose(k, w, c);
		return w;
	}
	log_write(&k->log, LEVEL_ERROR, "keeper", "a container gets no sidecar: memory is short, or there are too many", NULL);
	if (w)
		ward_free(k, w);
	return NULL;
}

/* Whatever refuses it may pass: the other agent leaves (a predecessor that handed nothing over, or one that somebody started by hand),
 * descriptors are free again, another container ends. Only what is taken is asked for at an even pace. */
static bool attach(struct keeper *k, struct ward *w, struct err *err)
{
	bool good = false;

	w->left = w->again = w->taken = false;
	handover_take(k, w);
	if (w->ns < 0)
		w->ns = netns_open(&k->home, w->sandbox, err);
	if (w->ns >= 0 && wards_served(k) > WARDS_MAX)
		err_set(err, "the node's agent serves %u containers already", WARDS_MAX);
	else if (w->ns >= 0)
		good = claim(k, w, err);
	if (good) {
		wards_tell(k, w);
		return true;
	}
	usec now = loop_touch(k->loop);
	w->left = w->again = true;
	w->pause = w->taken || !w->pause ? AGAIN_EVERY : 2 * w->pause < AGAIN_MOST ? 2 * w->pause : AGAIN_MOST;
	w->next = now + w->pause;
	timer_set(k->loop, &k->again_timer, now + AGAIN_EVERY);
	return false;
}

void wards_attach(struct keeper *k, struct ward *w)
{
	struct err err = { "" };

	w->pending = false;
	early_use(k, w->sandbox);
	if (!attach(k, w, &err))
		say_left(k, w, err.text);
}

void wards_try_again(void *arg)
{
	struct keeper *k = arg;
	usec now = loop_touch(k->loop);
	bool more = false;

	LIST_EACH(it, tmp, &k->wards) {
		struct ward *w = LIST_OWNER(it, struct ward, link);
		struct err err;
		if (w->again && now >= w->next && !k->handed)
			(void)attach(k, w, &err);
		else if (!w->left && !w->told && k->proxy.pid)
			wards_tell(k, w);
		more = more || w->again;
	}
	if (more)
		timer_set(k->loop, &k->again_timer, now + AGAIN_EVERY);
}

bool wards_settled(const struct keeper *k)
{
	LIST_EACH(it, tmp, &k->wards) {
		const struct ward *w = LIST_OWNER(it, struct ward, link);
		if (!w->left && !w->settled)
			return false;
	}
	return true;
}

/* A container that the predecessor attached after it gave us all: it was left alone, for the name was taken. */
bool wards_inherit(struct keeper *k, const char *id, const struct addr *a, uint32_t index, int fd)
{
	struct ward *w = wards_find_id(k, str_of(id));

	if (!w || w->ns < 0)
		return false;
	if (wards_keep(w, a, index, fd) && w->left && a->sa.sa_family == AF_UNIX) {
		w->left = w->taken = w->again = false;
		wards_tell(k, w);
	}
	return true;
}

static void end(struct keeper *k, struct ward *w)
{
	struct wire_record r = { .op = WIRE_ENDED, .container = w->number };

	if (w->told)
		(void)proxy_send(k, &r, NULL, 0);
	ward_free(k, w);
	facts_tell_files(k);
	keeper_look_at_stop(k);
}

/* A container is called by the first letters of its id, unless it was named otherwise: then nobody is told where our admin port is. */
bool wards_is_own(const struct container *c)
{
	char host[256] = "";

	return gethostname(host, sizeof(host) - 1) == 0 && strlen(host) >= 12 && str_starts(c->id, str_of(host));
}

static void learn_own_address(struct keeper *k, const struct container *c)
{
	for (size_t i = 0; i < c->n_networks && !k->own.len; i++)
		if (str_eq(c->networks[i].name, STR(OWN_NETWORK)) && addr_parse_ip(c->networks[i].address, 0, &k->own))
			proxy_tell_node(k);
}

static bool see(struct keeper *k, const struct container *c)
{
	struct ward *w = wards_find_id(k, c->id);
	const char *why;

	char name[sizeof(w->sandbox)];

	if (!k->own.len && wards_is_own(c))
		learn_own_address(k, c);
	if (str_copy(c->sandbox, name, sizeof(name)))
		early_use(k, name);
	if (w && w->pending && c->state != CONTAINER_CREATED) {
		ward_free(k, w);
		w = NULL;
	}
	if (w && c->sandbox.n && !str_eq(str_of(w->sandbox), c->sandbox)) { /* it was started anew: its old namespace is gone */
		end(k, w);
		w = NULL;
	}
	if (w && w->refused && container_opts_in(c, &k->rule, &why)) { /* it joined a network that is listed */
		ward_free(k, w);
		w = NULL;
	}
	if (w && !w->refused && pack(w, c) && w->told)
		wards_tell(k, w); /* it joined or left a network, or has another name */
	if (w && !w->left)
		logs_choose(k, w, c);
	if (w || k->handed || c->state == CONTAINER_ENDED) /* handed: it is the successor's */
		return true;
	if (container_opts_in(c, &k->rule, &why)) {
		if (!c->sandbox.n && c->state != CONTAINER_CREATED)
			return true;
		w = ward_of(k, c);
		if (w && c->state == CONTAINER_CREATED)
			w->left = w->pending = true;
		else if (w)
			wards_attach(k, w);
		return w != NULL;
	}
	if (why && (w = ward_new(k, c))) {
		w->refused = true;
		say_left(k, w, why);
	}
	return true;
}

/* Its namespace has an owner now, or it waits for one: another that starts may be known by that. */
bool wards_see(struct keeper *k, const struct container *c)
{
	bool good = see(k, c);

	early_look(k);
	return good;
}

/* Whether it wanted a sidecar is not known, either. */
void wards_unread(struct keeper *k, struct str id, const char *why)
{
	const struct ward *w = wards_find_id(k, id);
	bool served = w && !w->left;
	char text[CONTAINER_ID_LENGTH + 1];

	(void)str_copy(id, text, sizeof(text));
	log_write(&k->log, LEVEL_WARN, "keeper",
		served ? "what is known of a container stays as it is" : "a container is left alone",
		LOG_FIELDS(log_text("container", w ? w->name : ""), log_text("id", text), log_text("why", why)));
}

void wards_stopping(struct keeper *k, struct str id)
{
	struct ward *w = wards_find_id(k, id);
	struct wire_record r = { .op = WIRE_STOPPING, .container = w ? w->number : 0 };

	if (w && w->told)
		(void)proxy_send(k, &r, NULL, 0);
}

void wards_gone(struct keeper *k, struct str id)
{
	struct ward *w = wards_find_id(k, id);
	if (w)
		end(k, w);
}

void wards_end_all(struct keeper *k)
{
	while (!list_empty(&k->wards))
		ward_free(k, LIST_OWNER(k->wards.next, struct ward, link));
}
