#include "base/table.h"

#include "base/mem.h"

#define FIRST_CAP 16u

void table_init(struct table *t, size_t max, uint64_t seed)
{
	*t = (struct table){ .max = max, .seed = seed };
}

void table_release(struct table *t)
{
	mem_free(t->slots);
	table_init(t, t->max, t->seed);
}

/* The slot that holds key, or the free one where it would go. At least one slot is always free. */
static size_t probe(const struct table *t, struct str key, uint64_t hash)
{
	size_t i = hash & (t->cap - 1);

	while (t->slots[i].value && (t->slots[i].hash != hash || !str_eq(t->slots[i].key, key)))
		i = (i + 1) & (t->cap - 1);
	return i;
}

void *table_get(const struct table *t, struct str key)
{
	if (t->n == 0)
		return NULL;
	return t->slots[probe(t, key, str_hash(key, t->seed))].value;
}

/* Keeps the table at most three quarters full once one more entry is in. */
static bool make_room(struct table *t)
{
	if ((t->n + 1) * 4 <= t->cap * 3)
		return true;

	struct table bigger = *t;
	bigger.cap = t->cap ? t->cap * 2 : FIRST_CAP;
	bigger.slots = mem_zarray(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (size_t i = 0; i < t->cap; i++) {
		struct table_slot *s = &t->slots[i];
		if (s->value)
			bigger.slots[probe(&bigger, s->key, s->hash)] = *s;
	}
	mem_free(t->slots);
	*t = bigger;
	return true;
}

void *table_put(struct table *t, struct str key, void *value)
{
	uint64_t hash = str_hash(key, t->seed);

	if (!value)
		return NULL;
	if (t->n) {
		struct table_slot *s = &t->slots[probe(t, key, hash)];
		if (s->value) {
			s->key = key;
			return s->value = value;
		}
	}
	if (t->n >= t->max || !make_room(t))
		return NULL;
	t->slots[probe(t, key, hash)] = (struct table_slot){ key, hash, value };
	t->n++;
	return value;
}

/* Closes the gap at `hole` by moving back what was pushed over it, so that no tombstones are needed. */
static void close_gap(struct table *t, size_t hole)
{
	size_t mask = t->cap - 1;

	for (size_t i = (hole + 1) & mask; t->slots[i].value; i = (i + 1) & mask) {
		size_t home = t->slots[i].hash & mask;
		if (((i - home) & mask) < ((i - hole) & mask))
			continue; /* its home lies behind the hole: it may stay */
		t->slots[hole] = t->slots[i];
		hole = i;
	}
	t->slots[hole] = (struct table_slot){ 0 };
}

void *table_remove(struct table *t, struct str key)
{
	if (t->n == 0)
		return NULL;
	size_t i = probe(t, key, str_hash(key, t->seed));
	void *value = t->slots[i].value;
	if (value) {
		close_gap(t, i);
		t->n--;
	}
	return value;
}

void *table_next(const struct table *t, size_t *at, struct str *key)
{
	while (*at < t->cap) {
		const struct table_slot *s = &t->slots[(*at)++];
		if (!s->value)
			continue;
		if (key)
			*key = s->key;
		return s->value;
	}
	return NULL;
}
