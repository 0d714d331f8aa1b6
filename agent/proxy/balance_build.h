/* Endpoints and options to a balance_spec: control's half of load balancing.
 *
 *     struct balance_options o = BALANCE_DEFAULTS;           then what the options say
 *     struct balance_member m[n] = { { .text = "10.0.0.5:8080", .weight = 100, … }, … };
 *     ok = balance_build(&arena, &o, m, n, tally, ret);
 *
 * Everything lies in the arena (that of spec_upstream): 40 to 60 bytes per endpoint, with a ring 8 bytes per point more
 * (BALANCE_POINTS of them per usual weight). Cells and tally are only pointed to; they outlive the spec. Cost: O(n), but
 * for the sorting of identities; 10,000 endpoints take some 3 ms, with a ring 8 ms. Thread: control. */
#ifndef OUTRIDER_PROXY_BALANCE_BUILD_H
#define OUTRIDER_PROXY_BALANCE_BUILD_H

#include "base/arena.h"
#include "proxy/balance.h"

#define BALANCE_ENDPOINTS_MAX 16384u /* of one upstream (REGISTRY_ENDPOINTS_MAX) */
#define BALANCE_WEIGHT_MAX 10000u

/* Points of an endpoint of the usual weight on a ring. With 64 the shares of endpoints differ by an eighth (one standard
 * deviation). Large upstreams get fewer, the first of the same ones, to stay within 1 KiB per endpoint and 10 ms. */
#define BALANCE_POINTS 64u
#define BALANCE_POINTS_FEW 16u
#define BALANCE_POINTS_MOST 16u   /* times the usual: on a ring, weights above 1,600 count as that */
#define BALANCE_POINTS_TURN 2048u /* endpoints from which on BALANCE_POINTS_FEW holds */

struct balance_member {
	struct str text; /* "10.0.0.5:8080": its identity on rings and in cookies; only read */
	uint32_t slot;   /* of the workers' stats */
	uint32_t weight; /* 1 to 10,000, 100 is usual; clamped */
	uint8_t tier;    /* enum balance_tier, as seen from this sidecar */
	uint8_t set;     /* below n_sets */
	bool down; /* held down for as long as the spec stands (BALANCE_HARD): in no group, so that picks need not pass it */
	struct balance_cell *cell;
};

struct balance_options {
	enum balance_policy policy;
	uint64_t serial; /* unique in the process, at least 1 */
	usec decay, slow_start;
	uint8_t panic;         /* percent */
	uint16_t spill, bound; /* percent */
	uint32_t n_sets;       /* 1 to BALANCE_SETS_MAX */
	uint32_t share
		[BALANCE_SETS_MAX]; /* of 10,000; ignored for the last set, which gets the rest. E.g. { 500 }: 5 % */
	struct outlier_policy outlier;
};

#define BALANCE_DEFAULTS                                                                                     \
	{                                                                                                    \
		.policy = BALANCE_PEAK_EWMA, .serial = 1, .decay = 10 * USEC_SEC,                            \
		.slow_start = 10 * USEC_SEC, .panic = 50, .spill = 400, .n_sets = 1,                         \
		.outlier = OUTLIER_DEFAULTS                                                                  \
	}

/* Do both build the same? The serial does not count. */
bool balance_options_same(const struct balance_options *a, const struct balance_options *b);

/* false: no memory, more than BALANCE_ENDPOINTS_MAX, or a set or tier out of range. Members may come in any order; indices
 * are theirs. */
bool balance_build(struct arena *a, const struct balance_options *o, const struct balance_member *m,
	uint32_t n, struct balance_tally *tally, struct balance_spec *ret);

/* "peak-ewma", "least-request", "round-robin", "random", "ring-hash". */
const char *balance_policy_name(enum balance_policy p);

#endif
