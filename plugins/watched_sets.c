#include "watched_sets.h"

#include "base/mem.h"

struct watched_set {
	char *service; /* owned */
	bool said, gone;
	uint64_t sum;
};

static void set_free(struct watched_set *w)
{
	if (w)
		mem_free(w->service);
	mem_free(w);
}

void watched_sets_init(struct watched_sets *s, const struct registry_events *events, void *arg, uint64_t seed)
{
	*s = (struct watched_sets){ .events = *events, .arg = arg };
	table_init(&s->table, REGISTRY_SERVICES_MAX, seed);
}

void watched_sets_release(struct watched_sets *s)
{
	size_t at = 0;

	for (struct watched_set *w; (w = table_next(&s->table, &at, NULL));)
		set_free(w);
	table_release(&s->table);
}

bool watched_sets_add(struct watched_sets *s, struct str service)
{
	struct watched_set *w = table_get(&s->table, service);

	if (!w) {
		w = mem_zalloc(sizeof(*w));
		if (!w)
			return false;
		w->service = mem_dup(service.p, service.n);
		if (!w->service || !table_put(&s->table, str_of(w->service), w)) {
			set_free(w);
			return false;
		}
	}
	w->said = w->gone = false;
	return true;
}

void watched_sets_remove(struct watched_sets *s, struct str service)
{
	set_free(table_remove(&s->table, service));
}

static bool tell_one(struct watched_sets *s, struct watched_set *w, const struct file_endpoints *now)
{
	size_t from, to;

	if (!file_endpoints_find(now, str_of(w->service), &from, &to)) {
		w->said = false;
		if (!w->gone)
			s->events.on_gone(s->arg, str_of(w->service));
		return w->gone = true;
	}
	uint64_t sum = file_endpoints_sum(now, from, to);
	w->gone = false;
	if (w->said && w->sum == sum)
		return true;
	struct registry_endpoint *at = mem_zarray(to - from, sizeof(*at));
	if (!at)
		return false;
	for (size_t i = from; i < to; i++)
		at[i - from] = now->at[i].endpoint;
	w->said = true;
	w->sum = sum;
	s->events.on_endpoints(s->arg, str_of(w->service), at, to - from);
	mem_free(at);
	return true;
}

bool watched_sets_tell(struct watched_sets *s, const struct file_endpoints *now)
{
	size_t at = 0;
	bool good = true;

	for (struct watched_set *w; (w = table_next(&s->table, &at, NULL));)
		good = tell_one(s, w, now) && good;
	return good;
}
