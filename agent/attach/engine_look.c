/* Single containers: which are known, which are to be asked for. */
#include "attach/engine_int.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define FAILS_MOST 5u                /* asks for a container without an answer, */
#define FAILS_PAUSE (100 * USEC_MS) /* that long after the first, then twice as long each time */

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
	k->told = k->wanted = k->runs = k->joined = false;
	k->said = 0;
	k->starting = 0;
	if (k->asked)
		return; /* its answer forgets it */
	table_remove(&e->by_id, str_of(k->id));
	list_remove(&k->link);
	mem_free(k);
	e->n--;
}

/* One of which nothing can be taken is its own matter: the next list asks again, and who is not listed any more has ended. */
static void PRINTF_LIKE(3, 4) set_unread(struct engine *e, struct known *k, const char *fmt, ...)
{
	char why[sizeof(struct err) + 160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	k->unread = true;
	if (!k->unread_said)
		e->cfg.unread(e->cfg.arg, str_of(k->id), why);
	k->unread_said = true;
}

/* Whether it or the engine is to blame cannot be told yet. If it is the engine, the list will say so. */
static void on_no_answer(struct engine *e, struct known *k, const struct engine_reply *r)
{
	char why[128];

	if (r->status)
		snprintf(why, sizeof(why), "it answers %d", r->status);
	else
		snprintf(why, sizeof(why), "%s", r->why);
	k->fails = r->hopeless ? FAILS_MOST : k->fails + (k->fails < FAILS_MOST);
	if (k->fails < FAILS_MOST) {
		k->wanted = true;
		k->until = loop_touch(e->cfg.loop) + (FAILS_PAUSE << (k->fails - 1));
	} else {
		set_unread(e, k, "the engine does not tell about it: %s; `docker inspect` of it may show why", why);
	}
}

/* A container as the engine told of it: on it goes when it says something new. */
static void tell(struct engine *e, struct known *k, struct str body)
{
	struct container c;
	struct err err = { "" };
	uint64_t hash = 0;

	if (!container_read(&c, body, &err)) {
		set_unread(e, k, "what the engine says of it cannot be taken: %s; shorten its labels, variables, or the output of its health check",
			err.text);
		return;
	}
	k->unread = false;
	k->fails = 0;
	k->runs = c.state == CONTAINER_RUNNING || c.state == CONTAINER_PAUSED;
	if (c.state != CONTAINER_CREATED) {
		k->starting = 0;
		k->joined = false;
	}
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
		k->told = true;
		k->said = e->cfg.container(e->cfg.arg, &c) ? hash : 0;
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
	bool answered = r->status && r->status < 500; /* beyond it is trouble with this container: its layers are broken, say */
	e->refused = answered && r->status != 404 && r->status != 200;
	if (r->status == 404) /* removed meanwhile */
		engine_forget(e, k);
	else if (r->status == 200)
		tell(e, k, r->body);
	else if (answered)
		engine_trouble(e, "the engine answers %d to /containers/ID/json: let GETs of it through", r->status);
	else
		on_no_answer(e, k, r);
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

/* Not while the engine is away: the first list that comes then asks for all. */
void engine_look_on(struct engine *e)
{
	usec now = loop_touch(e->cfg.loop), next = 0;
	size_t free_one = 0;

	if (e->troubled && !e->good)
		return;
	LIST_EACH(it, tmp, &e->all) {
		struct known *k = LIST_OWNER(it, struct known, link);
		if (!k->wanted || k->asked)
			continue;
		if (now < k->until) {
			next = next && next < k->until ? next : k->until;
			continue;
		}
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
	if (next)
		timer_set(e->cfg.loop, &e->look_timer, next);
	if (e->counted && !e->listed)
		tell_listed(e);
}

void engine_want(struct engine *e, struct known *k)
{
	k->wanted = true;
	engine_look_on(e);
}

static void on_look_timer(void *arg)
{
	engine_look_on(arg);
}

void engine_looks_init(struct engine *e)
{
	timer_init(&e->look_timer, on_look_timer, e);
	list_init(&e->all);
	table_init(&e->by_id, ENGINE_CONTAINERS_MAX, rng_next(&e->rng));
	for (size_t i = 0; i < ENGINE_ASKS; i++) {
		e->looks[i].of = e;
		engine_ask_init(&e->looks[i].ask, e->cfg.loop, &e->cfg.to, on_look, &e->looks[i]);
	}
}

void engine_looks_stop(struct engine *e)
{
	timer_clear(&e->look_timer);
	for (size_t i = 0; i < ENGINE_ASKS; i++)
		engine_ask_stop(&e->looks[i].ask);
	LIST_EACH(it, tmp, &e->all) {
		struct known *k = LIST_OWNER(it, struct known, link);
		list_remove(it);
		mem_free(k);
	}
	table_release(&e->by_id);
}
