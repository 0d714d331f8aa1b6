#include "redis_known.h"

#include "base/mem.h"
#include "redis_registry.h"
#include "redis_value.h"

#include <stdlib.h>

struct parsed {
	struct redis_member member;
	struct registry_endpoint endpoint; /* addr.len 0: not readable */
};

void redis_known_init(struct redis_known *k, struct redis_members *m)
{
	*k = (struct redis_known){ .members = *m };
	redis_members_init(m);
	arena_init(&k->texts, REDIS_TEXTS_MAX, NULL, 0);
}

void redis_known_release(struct redis_known *k)
{
	struct redis_members none;

	redis_members_release(&k->members);
	arena_release(&k->texts);
	mem_free(k->at);
	redis_members_init(&none);
	redis_known_init(k, &none);
}

/* --- one instance --------------------------------------------------------------------------------------------------------- */

/* "<owner> <JSON>", or the JSON alone, which others than agents may write. */
static struct str json_of(struct str value)
{
	size_t space = str_find(value, ' ');

	if (space != REDIS_OWNER)
		return value;
	return str_make(value.p + space + 1, value.n - space - 1);
}

static bool keep(struct arena *a, struct str *s)
{
	*s = arena_str(a, s->n ? *s : STR(""));
	return s->p != NULL;
}

/* The texts of e stand in what it was parsed from: into the arena with them. */
static bool keep_texts(struct arena *a, struct registry_endpoint *e)
{
	struct registry_meta *meta = e->n_meta ? arena_alloc(a, e->n_meta * sizeof(*meta)) : NULL;

	if (e->n_meta && !meta)
		return false;
	for (size_t i = 0; i < e->n_meta; i++) {
		meta[i] = e->meta[i];
		if (!keep(a, &meta[i].key) || !keep(a, &meta[i].value))
			return false;
	}
	e->meta = meta;
	return keep(a, &e->instance) && keep(a, &e->node) && keep(a, &e->zone);
}

/* ret->addr.len is 0 when it makes no sense. false: no memory. */
static bool read_one(struct redis_known *k, struct str id, struct str value, struct registry_endpoint *ret)
{
	struct redis_value v = { .tree = NULL };
	struct err err;
	bool good = true;

	*ret = (struct registry_endpoint){ .weight = 0 };
	if (redis_value_read(json_of(value), &v, ret, &err)) {
		ret->instance = id;
		good = keep_texts(&k->texts, ret);
	} else
		ret->addr.len = 0;
	redis_value_release(&v);
	return good;
}

/* --- order ---------------------------------------------------------------------------------------------------------------- */

static int compare_ip(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return a->sa.sa_family < b->sa.sa_family ? -1 : 1;
	if (a->sa.sa_family == AF_INET)
		return memcmp(&a->in.sin_addr, &b->in.sin_addr, sizeof(a->in.sin_addr));
	return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr));
}

/* As control sorts: by family, address and port. */
static int compare(const struct addr *a, const struct addr *b)
{
	int c = compare_ip(a, b);

	return c ? c : (addr_port(a) > addr_port(b)) - (addr_port(a) < addr_port(b));
}

/* Of one address, the one that was read first comes first, and counts. */
static int by_address(const void *x, const void *y)
{
	const struct parsed *a = x, *b = y;

	if (!a->endpoint.addr.len || !b->endpoint.addr.len)
		return !a->endpoint.addr.len - !b->endpoint.addr.len;
	int c = compare(&a->endpoint.addr, &b->endpoint.addr);
	return c ? c : (a->member.at > b->member.at) - (a->member.at < b->member.at);
}

/* Where an endpoint of that address goes: behind its equals. */
static size_t place(const struct redis_known *k, const struct addr *addr)
{
	size_t from = 0, to = k->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (compare(&k->at[middle].addr, addr) <= 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* --- all ------------------------------------------------------------------------------------------------------------------ */

bool redis_known_parse(struct redis_known *k)
{
	struct redis_members *m = &k->members;
	struct parsed *all = mem_zarray(m->n + 1, sizeof(*all));
	bool good = all != NULL;

	k->cap = m->n + 16; /* some more may come */
	k->at = mem_zarray(k->cap, sizeof(*k->at));
	good = good && k->at;
	for (size_t i = 0; i < m->n && good; i++) {
		all[i].member = m->at[i];
		good = read_one(k, redis_members_id(m, i), redis_members_value(m, i), &all[i].endpoint);
	}
	if (good)
		qsort(all, m->n, sizeof(*all), by_address);
	for (size_t i = 0; i < m->n && good; i++) {
		m->at[i] = all[i].member;
		if (all[i].endpoint.addr.len)
			k->at[k->n++] = all[i].endpoint;
	}
	mem_free(all);
	return good;
}

/* --- a change ------------------------------------------------------------------------------------------------------------- */

static bool has_room(struct redis_known *k)
{
	if (k->n < k->cap)
		return true;
	size_t cap = 2 * k->cap;
	struct registry_endpoint *more = mem_resize(k->at, cap * sizeof(*more));
	if (!more)
		return false;
	k->at = more;
	k->cap = cap;
	return true;
}

static void take_out(struct redis_known *k, size_t i)
{
	k->stale += redis_members_id(&k->members, i).n + redis_members_value(&k->members, i).n;
	redis_members_remove(&k->members, i);
	if (i >= k->n)
		return;
	k->stale += sizeof(struct registry_meta) * k->at[i].n_meta;
	k->n--;
	memmove(k->at + i, k->at + i + 1, (k->n - i) * sizeof(*k->at));
}

static enum redis_change put_in(struct redis_known *k, size_t old, struct str id, struct str value)
{
	struct registry_endpoint e;

	if (!has_room(k) || !read_one(k, id, value, &e) || !redis_members_add(&k->members, id, value))
		return REDIS_UNABLE;
	if (old != SIZE_MAX)
		take_out(k, old);
	if (!e.addr.len)
		return REDIS_CHANGED; /* it stands behind the readable ones */
	size_t to = place(k, &e.addr);
	redis_members_move_last(&k->members, to);
	memmove(k->at + to + 1, k->at + to, (k->n - to) * sizeof(*k->at));
	k->at[to] = e;
	k->n++;
	return REDIS_CHANGED;
}

enum redis_change redis_known_put(struct redis_known *k, struct str id, const struct str *value)
{
	size_t old = redis_members_find(&k->members, id);

	if (!value) {
		if (old == SIZE_MAX)
			return REDIS_SAME;
		take_out(k, old);
		return REDIS_CHANGED;
	}
	if (old != SIZE_MAX && str_eq(redis_members_value(&k->members, old), *value))
		return REDIS_SAME;
	if (old == SIZE_MAX && k->members.n >= REGISTRY_ENDPOINTS_MAX)
		return REDIS_UNABLE; /* a whole reading says which are passed over */
	return put_in(k, old, id, *value);
}
