#include "net/answers.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/table.h"

#include <stdio.h>

#define KEY_BYTES 320

struct kept {
	char key[KEY_BYTES];
	usec at;
	usec asked; /* when the question went out that is not answered yet; 0: none is out */
	bool known; /* there is an answer */
	enum lookup_end end;
	size_t n;
	struct addr *addrs; /* owned */
};

struct answers {
	struct table table; /* struct kept by key */
	usec swept;
};

struct answers *answers_new(struct err *err)
{
	struct answers *a = mem_zalloc(sizeof(*a));
	struct rng rng;

	if (!a) {
		err_set(err, "out of memory");
		return NULL;
	}
	rng_seed_os(&rng);
	table_init(&a->table, ANSWERS_MAX, rng_next(&rng));
	return a;
}

static void drop(struct answers *a, struct kept *k)
{
	(void)table_remove(&a->table, str_of(k->key));
	mem_free(k->addrs);
	mem_free(k);
}

/* Those older than ANSWERS_KEPT; now USEC_NEVER: all. */
static void sweep(struct answers *a, usec now)
{
	struct kept *k;
	size_t at = 0;

	while ((k = table_next(&a->table, &at, NULL))) {
		if (now != USEC_NEVER && now - (k->known ? k->at : k->asked) < ANSWERS_KEPT)
			continue;
		drop(a, k);
		at = 0; /* the table has changed */
	}
	a->swept = now;
}

void answers_free(struct answers *a)
{
	if (!a)
		return;
	sweep(a, USEC_NEVER);
	table_release(&a->table);
	mem_free(a);
}

static bool key_of(char key[KEY_BYTES], uint64_t group, const char *question)
{
	return snprintf(key, KEY_BYTES, "%016llx %s", (unsigned long long)group, question) < KEY_BYTES;
}

bool answers_get(struct answers *a, uint64_t group, const char *question, usec now, usec max_age, struct answer *ret)
{
	char key[KEY_BYTES];
	struct kept *k = key_of(key, group, question) ? table_get(&a->table, str_of(key)) : NULL;

	if (!k || !k->known || now - k->at > max_age)
		return false;
	*ret = (struct answer){ k->end, k->addrs, k->n };
	return true;
}

static struct kept *keep(struct answers *a, const char *key)
{
	struct kept *k = table_get(&a->table, str_of(key));

	if (k)
		return k;
	k = mem_zalloc(sizeof(*k));
	if (!k)
		return NULL;
	memcpy(k->key, key, sizeof(k->key));
	if (table_put(&a->table, str_of(k->key), k))
		return k;
	mem_free(k);
	return NULL;
}

bool answers_claim(struct answers *a, uint64_t group, const char *question, usec now)
{
	char key[KEY_BYTES];
	struct kept *k;

	if (now - a->swept > ANSWERS_KEPT)
		sweep(a, now);
	k = key_of(key, group, question) ? keep(a, key) : NULL;
	if (k && k->asked && now - k->asked < ANSWERS_CLAIM)
		return false;
	if (k)
		k->asked = now;
	return true; /* also without memory: then everybody asks */
}

void answers_waive(struct answers *a, uint64_t group, const char *question)
{
	char key[KEY_BYTES];
	struct kept *k = key_of(key, group, question) ? table_get(&a->table, str_of(key)) : NULL;

	if (k)
		k->asked = 0;
}

void answers_put(struct answers *a, uint64_t group, const char *question, usec now, const struct answer *answer)
{
	char key[KEY_BYTES] = "";
	struct kept *k = NULL;
	struct addr *copy = mem_zarray(answer->n + 1, sizeof(*copy));

	if (now - a->swept > ANSWERS_KEPT)
		sweep(a, now);
	if (copy && key_of(key, group, question))
		k = keep(a, key);
	if (!k) {
		mem_free(copy);
		return;
	}
	if (answer->n)
		memcpy(copy, answer->addrs, answer->n * sizeof(*copy));
	mem_free(k->addrs);
	k->addrs = copy;
	k->n = answer->n;
	k->end = answer->end;
	k->known = true;
	k->asked = 0;
	k->at = now;
}
