/* Gives a hand-made upstream of a test its balancer: round robin over its endpoints, nobody is ever put aside. */
#ifndef OUTRIDER_TESTS_BALANCED_H
#define OUTRIDER_TESTS_BALANCED_H

#include "base/arena.h"
#include "proxy/spec.h"

#include <check.h>

#define BALANCED_MAX 8

struct balanced { /* keep it as long as the upstream; balanced_release() at the end */
	struct arena arena;
	struct balance_cell cells[BALANCED_MAX];
	struct balance_tally tally;
};

static inline void balanced_make(struct balanced *b, struct spec_upstream *u, uint64_t serial)
{
	struct balance_options o = BALANCE_DEFAULTS;
	struct balance_member m[BALANCED_MAX] = { 0 };
	o.policy = BALANCE_ROUND_ROBIN;
	o.serial = serial;
	o.outlier.consecutive = 0;
	ck_assert_uint_le(u->n_endpoints, BALANCED_MAX);
	memset(b, 0, sizeof(*b));
	arena_init(&b->arena, 1u << 20, NULL, 0);
	for (uint32_t i = 0; i < u->n_endpoints; i++) {
		m[i].text = str_of(u->endpoints[i].text ? u->endpoints[i].text : "");
		m[i].slot = u->endpoints[i].slot;
		m[i].weight = 100;
		m[i].tier = BALANCE_ELSEWHERE;
		m[i].cell = &b->cells[i];
	}
	ck_assert(balance_build(&b->arena, &o, m, u->n_endpoints, &b->tally, &u->balance));
}

static inline void balanced_release(struct balanced *b)
{
	arena_release(&b->arena);
}

#endif
