#include "eureka_apps.h"

#include "base/mem.h"

#include <stdio.h>

struct eureka_app {
	struct list instances;
	char *name; /* owned */
};

void eureka_answer_release(struct eureka_answer *a)
{
	for (size_t i = 0; i < a->n; i++)
		mem_free(a->at[i]);
	mem_free(a->at);
	*a = (struct eureka_answer){ .n = 0 };
}

void eureka_apps_init(struct eureka_apps *a, uint64_t seed)
{
	table_init(&a->instances, EUREKA_INSTANCES_MAX, seed);
	table_init(&a->apps, EUREKA_INSTANCES_MAX, seed + 1);
}

static void app_free(struct eureka_app *app)
{
	if (app)
		mem_free(app->name);
	mem_free(app);
}

void eureka_apps_release(struct eureka_apps *a)
{
	size_t at = 0;

	for (struct eureka_instance *i; (i = table_next(&a->instances, &at, NULL));)
		mem_free(i);
	at = 0;
	for (struct eureka_app *app; (app = table_next(&a->apps, &at, NULL));)
		app_free(app);
	table_release(&a->instances);
	table_release(&a->apps);
}

/* --- changes --------------------------------------------------------------------------------------------------------------- */

static struct eureka_app *app_of(struct eureka_apps *a, struct str name)
{
	struct eureka_app *app = table_get(&a->apps, name);

	if (app)
		return app;
	app = mem_zalloc(sizeof(*app));
	if (!app)
		return NULL;
	list_init(&app->instances);
	app->name = mem_dup(name.p, name.n);
	if (app->name && table_put(&a->apps, str_of(app->name), app))
		return app;
	app_free(app);
	return NULL;
}

static void drop(struct eureka_apps *a, struct str key)
{
	struct eureka_instance *i = table_remove(&a->instances, key);

	if (!i)
		return;
	list_remove(&i->link);
	struct eureka_app *app = table_get(&a->apps, i->app);
	if (app && list_empty(&app->instances)) {
		(void)table_remove(&a->apps, i->app);
		app_free(app);
	}
	mem_free(i);
}

static bool put(struct eureka_apps *a, struct eureka_instance *i)
{
	drop(a, i->key);
	struct eureka_app *app = app_of(a, i->app);
	if (!app || !table_put(&a->instances, i->key, i))
		return false;
	list_append(&app->instances, &i->link);
	return true;
}

bool eureka_apps_apply(struct eureka_apps *a, struct eureka_answer *delta)
{
	for (size_t k = 0; k < delta->n; k++) {
		struct eureka_instance *i = delta->at[k];
		if (i->deleted) {
			drop(a, i->key);
			continue;
		}
		if (!put(a, i))
			return false;
		delta->at[k] = NULL;
	}
	return true;
}

/* What stands in `old` alone goes over. */
static bool keep_lost(struct eureka_apps *a, struct eureka_apps *old)
{
	size_t at = 0;
	struct eureka_answer lost = { .n = 0 };
	bool good = true;

	lost.at = mem_zarray(old->instances.n + 1, sizeof(struct eureka_instance *));
	if (!lost.at)
		return false;
	for (struct eureka_instance *i; (i = table_next(&old->instances, &at, NULL));)
		if (!table_get(&a->instances, i->key))
			lost.at[lost.n++] = i;
	for (size_t k = 0; k < lost.n && good; k++) {
		struct eureka_instance *i = lost.at[k];
		(void)table_remove(&old->instances, i->key);
		list_remove(&i->link);
		i->kept = true;
		good = put(a, i);
		if (!good)
			mem_free(i);
	}
	mem_free(lost.at);
	return good;
}

bool eureka_apps_replace(struct eureka_apps *a, struct eureka_answer *full, bool keep)
{
	struct eureka_apps now;

	eureka_apps_init(&now, a->instances.seed);
	bool good = eureka_apps_apply(&now, full) && (!keep || keep_lost(&now, a));
	struct eureka_apps *gone = good ? a : &now, old = *gone;
	if (good)
		*a = now;
	eureka_apps_release(&old);
	return good;
}

void eureka_apps_forget(struct eureka_apps *a)
{
	struct str *keys = mem_zarray(a->instances.n + 1, sizeof(*keys)); /* the table must not change while it is walked */
	size_t at = 0, n = 0;

	if (!keys)
		return; /* the next full answer does it */
	for (const struct eureka_instance *i; (i = table_next(&a->instances, &at, NULL));)
		if (i->kept)
			keys[n++] = i->key;
	while (n-- > 0)
		drop(a, keys[n]);
	mem_free(keys);
}

/* --- questions -------------------------------------------------------------------------------------------------------------- */

void eureka_apps_hash(const struct eureka_apps *a, char ret[256])
{
	static const char *const names[] = { "DOWN", "OUT_OF_SERVICE", "STARTING", "UNKNOWN", "UP" };
	size_t count[EUREKA_STATUSES] = { 0 }, at = 0, n = 0;

	for (const struct eureka_instance *i; (i = table_next(&a->instances, &at, NULL));)
		if (!i->kept)
			count[i->status]++;
	ret[0] = '\0';
	for (size_t s = 0; s < EUREKA_STATUSES; s++)
		if (count[s])
			n += (size_t)snprintf(ret + n, 256 - n, "%s_%zu_", names[s], count[s]);
}

static bool has_vip(const struct eureka_instance *i, struct str service)
{
	struct str rest = i->vips, one;

	while (str_next(&rest, ',', &one))
		if (str_eq(one, service))
			return true;
	return false;
}

struct finding {
	struct registry_endpoint *at;
	size_t n, cap;
};

static bool take(struct finding *f, const struct eureka_instance *i)
{
	if (!i->routable || f->n == REGISTRY_ENDPOINTS_MAX)
		return true;
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 16;
		struct registry_endpoint *more = mem_resize(f->at, cap * sizeof(*more));
		if (!more)
			return false;
		f->at = more;
		f->cap = cap;
	}
	f->at[f->n++] = i->endpoint;
	return true;
}

bool eureka_apps_find(const struct eureka_apps *a, struct str service, struct registry_endpoint **ret, size_t *n)
{
	struct eureka_app *app = table_get(&a->apps, service);
	struct finding f = { .n = 0 };
	bool good = true;
	size_t at = 0;

	if (app)
		LIST_EACH(it, tmp, &app->instances)
			good = good && take(&f, LIST_OWNER(it, struct eureka_instance, link));
	else
		for (const struct eureka_instance *i; good && (i = table_next(&a->instances, &at, NULL));)
			good = !has_vip(i, service) || take(&f, i);
	if (!good || f.n == 0) {
		mem_free(f.at);
		f = (struct finding){ .n = 0 };
	}
	*ret = f.at;
	*n = f.n;
	return good;
}

uint64_t eureka_sum(const struct registry_endpoint *at, size_t n)
{
	uint64_t sum = n;

	for (size_t i = 0; i < n; i++) {
		const struct registry_endpoint *e = &at[i];
		char text[ADDR_TEXT_MAX];
		addr_text(&e->addr, text);
		uint64_t one = str_hash(str_of(text), e->weight * 4u + e->state);
		one = str_hash(e->instance, str_hash(e->node, str_hash(e->zone, one)));
		for (size_t k = 0; k < e->n_meta; k++)
			one += str_hash(e->meta[k].value, str_hash(e->meta[k].key, one & 0xff));
		sum += one;
	}
	return sum;
}
