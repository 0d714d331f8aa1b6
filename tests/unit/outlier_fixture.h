/* Attempts, ejections and probes on one fleet, for the tests of outlier detection. */
#ifndef OUTLIER_FIXTURE_H
#define OUTLIER_FIXTURE_H

#include "balance_fixture.h"

static struct fleet f;

static inline struct balance_ticket ticket(uint32_t i)
{
	return (struct balance_ticket){ .index = i, .epoch = outlier_epoch(cell_word(&f.cells[i])) };
}

static inline enum outlier_verdict attempt(uint32_t i, enum balance_outcome o)
{
	struct balance_ticket t = ticket(i);

	balance_start(&f.spec, &f.part, t, f.now);
	f.now += USEC_MS;
	return fleet_end(&f, t, o, USEC_MS);
}

/* Until something happens; how many it took. */
static inline unsigned flunk(uint32_t i, enum outlier_verdict *v)
{
	unsigned k = 0;

	do
		*v = attempt(i, BALANCE_FAILED);
	while (++k < 100 && *v == OUTLIER_NOTHING);
	return k;
}

static inline void eject(uint32_t i)
{
	enum outlier_verdict v;

	flunk(i, &v);
	ck_assert_int_eq(v, OUTLIER_EJECTED);
}

/* Penalty that endpoint i has to serve from now on, in seconds. */
static inline double sentence(uint32_t i)
{
	return (double)(outlier_until(cell_word(&f.cells[i])) - f.now) / 1e6;
}

/* Goes to when endpoint i is due and picks until it is probed. */
static inline struct balance_ticket probe(uint32_t i)
{
	f.now = outlier_until(cell_word(&f.cells[i]));
	for (int k = 0; k < 10000; k++) {
		struct balance_ticket t = fleet_pick(&f, &NOBODY);
		if (!t.probe)
			continue;
		ck_assert_uint_eq(t.index, i);
		ck_assert_int_eq(t.why, BALANCE_BY_PROBE);
		balance_start(&f.spec, &f.part, t, f.now);
		return t;
	}
	ck_abort_msg("nobody probed");
}

#endif
