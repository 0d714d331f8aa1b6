/* The addresses of all containers of this node, told to the proxy for locality (control/near.h): also of those without a sidecar, which
 * say no hello. */
#include "attach/keeper.h"

#include "base/mem.h"
#include "control/near.h"

#include <unistd.h>

#define NEAR_GAP (100 * USEC_MS) /* containers start and end in crowds: told once */

struct neighbour {
	struct list link;
	char id[CONTAINER_ID_LENGTH + 1];
	size_t n;
	char *text; /* owned: an address a line */
};

static struct neighbour *find(struct keeper *k, struct str id)
{
	LIST_EACH(it, tmp, &k->neighbours) {
		struct neighbour *b = LIST_OWNER(it, struct neighbour, link);
		if (str_eq(str_of(b->id), id))
			return b;
	}
	return NULL;
}

static void forget(struct keeper *k, struct neighbour *b)
{
	list_remove(&b->link);
	mem_free(b->text);
	mem_free(b);
	timer_set(k->loop, &k->neighbours_timer, loop_touch(k->loop) + NEAR_GAP);
}

static void put_addresses(const struct container *c, struct text *t)
{
	for (size_t i = 0; i < c->n_networks; i++) {
		const struct str all[] = { c->networks[i].address, c->networks[i].address6 };
		for (size_t a = 0; a < 2; a++)
			if (all[a].n) {
				text_add(t, all[a]);
				text_char(t, '\n');
			}
	}
}

void neighbours_see(struct keeper *k, const struct container *c)
{
	struct neighbour *b = find(k, c->id);
	struct text t;

	text_init(&t, 16 * 1024); /* CONTAINER_NETWORKS_MAX networks */
	put_addresses(c, &t);
	bool same = b && str_eq(text_str(&t), str_make(b->text, b->n));
	if (!same && b)
		forget(k, b);
	if (same || t.failed || !t.n) { /* a made one has none yet */
		text_release(&t);
		return;
	}
	b = mem_zalloc(sizeof(*b));
	if (!b) {
		text_release(&t);
		return; /* it counts as elsewhere: its calls go, if not by the shortest way */
	}
	(void)str_copy(c->id, b->id, sizeof(b->id));
	b->n = t.n;
	b->text = text_detach(&t);
	list_append(&k->neighbours, &b->link);
	timer_set(k->loop, &k->neighbours_timer, loop_touch(k->loop) + NEAR_GAP);
}

void neighbours_gone(struct keeper *k, struct str id)
{
	struct neighbour *b = find(k, id);
	if (b)
		forget(k, b);
}

void neighbours_tell(struct keeper *k)
{
	struct wire_record r = { .op = WIRE_NEAR };
	struct text t;

	if (!k->listed || !k->proxy.pid)
		return; /* half of them would say that the others are elsewhere */
	text_init(&t, NEAR_TEXT_MAX);
	LIST_EACH(it, tmp, &k->neighbours) {
		const struct neighbour *b = LIST_OWNER(it, struct neighbour, link);
		text_add(&t, str_make(b->text, b->n));
	}
	int fd = t.failed ? -1 : wire_bytes_fd(text_str(&t));
	if (fd < 0 || !proxy_send(k, &r, &fd, 1))
		log_write(&k->log, LEVEL_WARN, "keeper", "the proxy is not told which addresses stand on this node: descriptors or memory are short", NULL);
	if (fd >= 0)
		close(fd);
	text_release(&t);
}

static void on_timer(void *arg)
{
	neighbours_tell(arg);
}

void neighbours_begin(struct keeper *k)
{
	timer_init(&k->neighbours_timer, on_timer, k);
}

void neighbours_end(struct keeper *k)
{
	while (!list_empty(&k->neighbours)) {
		struct neighbour *b = LIST_OWNER(k->neighbours.next, struct neighbour, link);
		list_remove(&b->link);
		mem_free(b->text);
		mem_free(b);
	}
	if (k->neighbours_timer.fn)
		timer_clear(&k->neighbours_timer);
}
