#include "control/met.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/table.h"

struct said { /* one piece of memory: the address as key, then what was said */
	size_t key_n, n;
	char bytes[];
};

struct met {
	struct table table; /* address to struct said */
};

struct met *met_new(void)
{
	struct met *m = mem_zalloc(sizeof(*m));
	struct rng r;
	if (!m)
		return NULL;
	rng_seed_os(&r);
	table_init(&m->table, MET_MAX, rng_next(&r));
	return m;
}

void met_release(struct met *m)
{
	size_t at = 0;
	if (!m)
		return;
	for (void *s; (s = table_next(&m->table, &at, NULL));)
		mem_free(s);
	table_release(&m->table);
	mem_free(m);
}

bool met_put(struct met *m, const struct addr *a, struct str hello)
{
	char key[ADDR_TEXT_MAX];
	addr_text(a, key);
	size_t key_n = strlen(key);
	struct said *s = mem_alloc(sizeof(*s) + key_n + hello.n);

	if (!s)
		return false;
	s->key_n = key_n;
	s->n = hello.n;
	memcpy(s->bytes, key, key_n);
	if (hello.n)
		memcpy(s->bytes + key_n, hello.p, hello.n);
	mem_free(table_remove(&m->table, str_make(s->bytes, key_n)));
	if (table_put(&m->table, str_make(s->bytes, key_n), s))
		return true;
	mem_free(s);
	return false;
}

struct str met_get(const struct met *m, const struct addr *a)
{
	char key[ADDR_TEXT_MAX];
	if (m->table.n == 0)
		return str_make(NULL, 0);
	addr_text(a, key);
	const struct said *s = table_get(&m->table, str_of(key));
	return s ? str_make(s->bytes + s->key_n, s->n) : str_make(NULL, 0);
}

struct str met_value(struct str hello, struct str key)
{
	struct str pair;
	while (str_next(&hello, ';', &pair)) {
		size_t equals = str_find(pair, '=');
		if (equals != SIZE_MAX && str_eq(str_make(pair.p, equals), key))
			return str_make(pair.p + equals + 1, pair.n - equals - 1);
	}
	return str_make(NULL, 0);
}
