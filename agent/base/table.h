/* A hash table from names to objects: open addressing, grows up to a stated maximum, never shrinks.
 *
 *     struct table t;
 *     table_init(&t, 10000, rng_next(&r));
 *     if (!table_put(&t, name, obj)) …no memory, or 10,000 names are there…
 *     obj = table_get(&t, name);
 *     table_release(&t);
 *
 * Keys are borrowed: their bytes must live, unchanged, as long as the entry (usually they stand in the
 * object itself or in the arena beside it). Values are the caller's, never NULL, never freed here.
 * Give a random seed where keys come from a network. Thread: its owner's; a table that no longer changes
 * may be read by all. */
#ifndef OUTRIDER_BASE_TABLE_H
#define OUTRIDER_BASE_TABLE_H

#include "base/err.h"
#include "base/str.h"

struct table_slot {
	struct str key;
	uint64_t hash;
	void *value; /* NULL: the slot is free */
};

struct table {
	struct table_slot *slots; /* owned; NULL while nothing was put */
	size_t cap;               /* slots, a power of two or 0 */
	size_t n, max;            /* entries; the limit */
	uint64_t seed;
};

void table_init(struct table *t, size_t max, uint64_t seed);
void table_release(struct table *t); /* empty again, as after table_init() */

void *table_get(const struct table *t, struct str key); /* NULL: not there */
/* Adds, or replaces key and value of an equal key. NULL when the maximum or memory is reached (t is
 * unchanged then), else `value`. */
void *table_put(struct table *t, struct str key, void *value) MUST_CHECK;
void *table_remove(struct table *t, struct str key); /* the value that stood there, or NULL */

/* Walks all entries in no useful order: begin with *at = 0; NULL at the end. key may be NULL. The table
 * must not change meanwhile. */
void *table_next(const struct table *t, size_t *at, struct str *key);

#endif
