/* The instances of one service as they stand in Redis: pairs of id and value, in one piece of memory.
 * Thread: its owner's; pure. */
#ifndef OUTRIDER_PLUGINS_REDIS_MEMBERS_H
#define OUTRIDER_PLUGINS_REDIS_MEMBERS_H

#include "base/text.h"

#define REDIS_MEMBERS_BYTES_MAX (32u << 20) /* of one service */

struct redis_member {
	uint32_t at, id_n, value_n; /* in bytes: the id, then the value */
};

struct redis_members { /* all zero but for bytes.max is empty: redis_members_init() */
	struct text bytes;
	struct redis_member *at; /* owned */
	size_t n, cap;
	uint64_t sum; /* of ids and values, in whatever order: equal sets have equal sums */
};

void redis_members_init(struct redis_members *m);
void redis_members_release(struct redis_members *m); /* empty again; twice harmless */
/* Copies both. false: no memory, or too much of it. Does not look whether the id is there. */
bool redis_members_add(struct redis_members *m, struct str id, struct str value) MUST_CHECK;
size_t redis_members_find(const struct redis_members *m, struct str id); /* its place; SIZE_MAX: it is not there */
void redis_members_remove(struct redis_members *m, size_t i);            /* the others keep their order; its bytes stay taken */
void redis_members_move_last(struct redis_members *m, size_t to);        /* the last one stands there now, before what stood there */
struct str redis_members_id(const struct redis_members *m, size_t i);
struct str redis_members_value(const struct redis_members *m, size_t i);
/* Adds to `now` what stood in `before` and is missing, but for the ids in `withdrawn`. false: no memory; now is whole. */
bool redis_members_keep(struct redis_members *now, const struct redis_members *before,
			const struct redis_members *withdrawn) MUST_CHECK;

#endif
