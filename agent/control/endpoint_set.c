#include "control/endpoint_set.h"

#include "base/mem.h"

#include <stdlib.h>

#define TEXT_MAX 256u /* of an id, a node, a key or value of metadata; longer ones are cut */

static bool put(struct arena *a, struct str *to, struct str s)
{
	*to = arena_str(a, s.p ? str_make(s.p, s.n < TEXT_MAX ? s.n : TEXT_MAX) : STR(""));
	return to->p != NULL;
}

static bool copy_meta(struct arena *a, struct registry_endpoint *to, const struct registry_endpoint *from)
{
	size_t n = from->n_meta < REGISTRY_META_MAX ? from->n_meta : REGISTRY_META_MAX;
	struct registry_meta *meta = n ? arena_zalloc(a, n * sizeof(*meta)) : NULL;
	if (n && !meta)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!put(a, &meta[i].key, from->meta[i].key) || !put(a, &meta[i].value, from->meta[i].value))
			return false;
	to->meta = meta;
	to->n_meta = n;
	return true;
}

static bool copy_one(struct arena *a, struct registry_endpoint *to, const struct registry_endpoint *from)
{
	to->addr = from->addr;
	addr_unmap(&to->addr);
	to->weight = from->weight < 1 ? 1 : from->weight > 10000 ? 10000 : from->weight;
	to->state = from->state;
	return put(a, &to->instance, from->instance) && put(a, &to->node, from->node) &&
	       put(a, &to->zone, from->zone) && copy_meta(a, to, from);
}

static int compare_bytes(const void *a, size_t a_n, const void *b, size_t b_n)
{
	int c = memcmp(a, b, a_n < b_n ? a_n : b_n);
	return c ? c : (a_n > b_n) - (a_n < b_n);
}

/* A steady order: registries deliver theirs in any. */
int endpoint_compare(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return a->sa.sa_family < b->sa.sa_family ? -1 : 1;
	int c = 0;
	if (a->sa.sa_family == AF_INET)
		c = memcmp(&a->in.sin_addr, &b->in.sin_addr, sizeof(a->in.sin_addr));
	else if (a->sa.sa_family == AF_INET6)
		c = memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr));
	else
		return compare_bytes(&a->sa, a->len, &b->sa, b->len);
	return c ? c : (addr_port(a) > addr_port(b)) - (addr_port(a) < addr_port(b));
}

static int by_address(const void *x, const void *y)
{
	return endpoint_compare(
		&((const struct registry_endpoint *)x)->addr, &((const struct registry_endpoint *)y)->addr);
}

static void sort_unique(struct endpoint_set *s)
{
	size_t kept = 0, sorted = 1;
	while (sorted < s->n && by_address(&s->at[sorted - 1], &s->at[sorted]) <= 0)
		sorted++;
	if (sorted < s->n)
		qsort(s->at, s->n, sizeof(*s->at), by_address);
	for (size_t i = 0; i < s->n; i++)
		if (kept == 0 || by_address(&s->at[kept - 1], &s->at[i]) != 0)
			s->at[kept++] = s->at[i];
	s->n = kept;
}

struct endpoint_set *endpoint_set_new(const struct registry_endpoint *at, size_t n, const char *source)
{
	struct endpoint_set *s = n <= REGISTRY_ENDPOINTS_MAX ? mem_zalloc(sizeof(*s)) : NULL;
	if (!s)
		return NULL;
	s->refs = 1;
	s->source = source;
	s->since = clock_wall();
	arena_init(&s->arena, ENDPOINT_SET_MEMORY_MAX, NULL, 0);
	s->at = arena_zalloc(&s->arena, (n + 1) * sizeof(*s->at));
	bool ok = s->at != NULL;
	for (; ok && s->n < n; s->n++)
		ok = copy_one(&s->arena, &s->at[s->n], &at[s->n]);
	if (!ok) {
		endpoint_set_unref(s);
		return NULL;
	}
	sort_unique(s);
	return s;
}

void endpoint_set_unref(struct endpoint_set *s)
{
	if (!s || --s->refs > 0)
		return;
	arena_release(&s->arena);
	mem_free(s);
}

static bool same_meta(const struct registry_endpoint *a, const struct registry_endpoint *b)
{
	if (a->n_meta != b->n_meta)
		return false;
	for (size_t i = 0; i < a->n_meta; i++)
		if (!str_eq(a->meta[i].key, b->meta[i].key) || !str_eq(a->meta[i].value, b->meta[i].value))
			return false;
	return true;
}

bool endpoint_set_same(const struct endpoint_set *a, const struct endpoint_set *b)
{
	if (!a || !b)
		return a == b;
	if (a->n != b->n || a->source != b->source)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct registry_endpoint *x = &a->at[i], *y = &b->at[i];
		if (by_address(x, y) != 0 || x->weight != y->weight || x->state != y->state ||
			!str_eq(x->instance, y->instance) || !str_eq(x->node, y->node) ||
			!str_eq(x->zone, y->zone) || !same_meta(x, y))
			return false;
	}
	return true;
}

struct str endpoint_meta(const struct registry_endpoint *e, struct str key)
{
	for (size_t i = 0; i < e->n_meta; i++)
		if (str_eq(e->meta[i].key, key))
			return e->meta[i].value;
	return str_make(NULL, 0);
}
