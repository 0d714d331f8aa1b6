/* Single containers: which are known, which are to be asked for. */
#include "attach/engine_int.h"

#include "base/mem.h"

#include <stdio.h>

static bool is_id(struct str id)
{
	for (size_t i = 0; i < id.n; i++)
		if (!((id.p[i] >= '0' && id.p[i] <= '9') || (id.p[i] >= 'a' && id.p[i] <= 'f')))
			return false;
	return id.n == CONTAINER_ID_LENGTH;
}

struct known *engine_know(struct engine *e, struct str id)
{
	struct known *k = is_id(id) ? table_get(&e->by_id, id) : NULL;

	if (k || !is_id(id) || e->n >= ENGINE_CONTAINERS_MAX)
		return k;
	k = mem_zalloc(sizeof(*k));
	if (!k)
		return NULL;
	(void)str_copy(id, k->id, sizeof(k->id));
	if (!table_put(&e->by_id, str_of(k->id), k)) {
		mem_free(k);
		return NULL;
	}
	list_append(&e->all, &k->link);
	e->n++;
	return k;
}

void engine_forget(struct engine *e, struct known *k)
{
	if (k->told)
		e->cfg.gone(e->cfg.arg, str_of(k->id));
	k->told = k->wanted = false;
	k->said = 0;
	if (k->asked)
		return; /* its answer forgets it */
	table_remove(&e->by_id, str_of(k->id));
	list_remove(&k->link);
	mem_free(k);
	e->n--;
}

/* One that says something strange of itself is its own matter: the next list asks again, and who is not listed any more has ended. */
static void set_unread(struct engine *e, struct known *k, const char *why)
{
	k->unread = true;
	if (!k->unread_said)
		e->cfg.unread(e->cfg.arg, str_of(k->id), why);
	k->unread_said = true;
}

/* A container as the engine told of it: on it goes when it says something new. */
static void tell(struct engine *e, struct known *k, struct str body)
{
	struct container c;
	struct err err = { "" };
	uint64_t hash = 0;

	if (!container_read(&c, body, &err)) {
		set_unread(e, k, err.text);
		return;
	}
	k->unread = false;
	struct text t;
	text_init(&t, CONTAINER_BYTES_MAX * 2);
	container_pack(&c, &t);
	hash = str_hash(text_str(&t), 1) | 1;
	text_release(&t);
	if (c.state == CONTAINER_ENDED && k->told) {
		k->told = false;
		k->said = 0;
		e->cfg.gone(e->cfg.arg, str_of(k->id));
	} else if (c.state != CONTAINER_ENDED && hash != k->said) {
		k->said = hash;
		k->told = true;
		e->cfg.container(e->cfg.arg, &c);
	}
	container_release(&c);
}

static void on_look(void *arg, const struct engine_reply *r)
{
	struct look *l = arg;
	struct engine *e = l->of;
	struct known *k = l->k;

	l->k = NULL;
	k->asked = false;
	e->refused = r->status && r->status != 404 && r->status != 200;
	if (r->status == 404) /* removed meanwhile */
		engine_forget(e, k);
	else if (r->status == 200)
		tell(e, k, r->body);
	else if (r->status)
		engine_trouble(e, "the engine answers %d to /containers/ID/json: let GETs of it through", r->status);
	else
		k->wanted = true;
	engine_look_up(e);
	engine_look_on(e);
}

/* The first list is worked through when each that it had was looked at. One that is only being made may take its time. */
static void tell_listed(struct engine *e)
{
	LIST_EACH(it, tmp, &e->all) {
		const struct known *k = LIST_OWNER(it, struct known, link);
		if (k->listed && (k->wanted || k->asked))
			return;
	}
	e->listed = true;
	e->cfg.listed(e->cfg.arg);
}

void engine_look_on(struct engine *e)
{
	size_t free_one = 0;

	LIST_EACH(it, tmp, &e->all) {
		struct known *k = LIST_OWNER(it, struct known, link);
		if (!k->wanted || k->asked)
			continue;
		while (free_one < ENGINE_ASKS && e->looks[free_one].k)
			free_one++;
		if (free_one == ENGINE_ASKS)
			return;
		char path[ENGINE_PATH_MAX];
		struct look *l = &e->looks[free_one];
		l->k = k;
		k->wanted = false;
		k->asked = true;
		snprintf(path, sizeof(path), "/v1.%u/containers/%s/json", e->api, k->id);
		engine_ask_start(&l->ask, path);
	}
	if (e->counted && !e->listed)
		tell_listed(e);
}

void engine_want(struct engine *e, struct known *k)
{
	k->wanted = true;
	engine_look_on(e);
}

void engine_looks_init(struct engine *e)
{
	list_init(&e->all);
	table_init(&e->by_id, ENGINE_CONTAINERS_MAX, rng_next(&e->rng));
	for (size_t i = 0; i < ENGINE_ASKS; i++) {
		e->looks[i].of = e;
		engine_ask_init(&e->looks[i].ask, e->cfg.loop, &e->cfg.to, on_look, &e->looks[i]);
	}
}

void engine_looks_stop(struct engine *e)
{
	for (size_t i = 0; i < ENGINE_ASKS; i++)
		engine_ask_stop(&e->looks[i].ask);
	LIST_EACH(it, tmp, &e->all) {
		struct known *k = LIST_OWNER(it, struct known, link);
		list_remove(it);
		mem_free(k);
	}
	table_release(&e->by_id);
}
