/* Load balancing: which endpoint of an upstream gets the next attempt. Pure: time and randomness are arguments, nothing
 * is allocated, nothing is locked, and no pick looks at all endpoints while some are healthy.
 *
 *     balance_spec   immutable, built by control per change (balance_build.h): policy, weights, sets, tiers, ring
 *     balance_cell   shared atomics per endpoint (outlier.h): state word; outlives specs
 *     balance_stat   the worker's own, per endpoint slot: latency, in-flight, ghost load
 *     balance_part   the worker's own, per upstream: census of what is available, turns, mean latency
 *
 *     struct balance_ticket t = balance_pick(spec, part, &request, now, rng);
 *     if (t.index == BALANCE_NONE) …                        t.why says why
 *     balance_start(spec, part, t, now);
 *     … connect, send, wait …
 *     verdict = balance_end(spec, part, t, outcome, latency, now, rng);
 *
 * Every started attempt is ended exactly once with the spec that it was picked from. In-flight counts are per worker:
 * that costs no locked instruction and no cache line that travels between cores, and a worker sees its own share of the
 * load just as each of the many agents that call the same service sees only its own.
 *
 * How a pick goes: sticky endpoint, else ring, else: a set by share (canary), in it a tier by health (locality), in it
 * endpoints by policy; when what was drawn is not available, again; after some draws the neighbours of a random place,
 * then the other tiers and sets. The first request that meets an ejected endpoint whose time is over takes the lease and
 * is the one real request that decides (t.probe); a turn later any request does, unless it belongs elsewhere by cookie or
 * hash.
 *
 * Peak-EWMA is the algorithm of Finagle and linkerd: an endpoint's cost is its mean latency that rises at once to a peak
 * and sinks with a time constant; of two random endpoints the one with the lower cost × (in flight + 1) wins. Ours
 * differs in three points. When both are bad (twice what is typical), up to three more are drawn. While an endpoint is not asked, the cost of a slow one sinks to the mean of the upstream
 * and not to zero, so that silence makes nobody fast. And failures do not touch the cost, for they may be fast:
 * each adds a *ghost load*, as many pretended requests as three times what an average endpoint has in flight, which fades
 * with the same time constant and halves with each success. It counts in least request, too.
 *
 * Thread: spec any, part and stat their worker's; fields that are atomic may be read by control (/upstreams). */
#ifndef OUTRIDER_PROXY_BALANCE_H
#define OUTRIDER_PROXY_BALANCE_H

#include "proxy/outlier.h"

#define BALANCE_NONE UINT32_MAX
#define BALANCE_TIERS 3u /* same node, same zone, elsewhere */
#define BALANCE_SETS_MAX 8u
#define BALANCE_TRIED_MAX 8u
#define BALANCE_SHARES 10000u /* shares of sets are in hundredths of a percent */

enum balance_policy {
	BALANCE_PEAK_EWMA,
	BALANCE_LEAST_REQUEST,
	BALANCE_ROUND_ROBIN,
	BALANCE_RANDOM,
	BALANCE_RING_HASH,
	BALANCE_POLICIES
};

enum balance_tier { BALANCE_SAME_NODE, BALANCE_SAME_ZONE, BALANCE_ELSEWHERE };

/* Endpoints of one set in one tier. With unequal weights also their cumulative sums and a guide table (Chen and Asau):
 * guide[j] is where the search for a number in the j-th n-th of the range begins, so a weighted draw costs O(1). */
struct balance_group {
	uint32_t n;
	uint32_t total;          /* sum of weights */
	const uint32_t *members; /* indices of endpoints */
	const uint32_t *cum;     /* NULL: all weights are equal */
	const uint32_t *guide;
};

struct balance_point {
	uint32_t hash;
	uint32_t index;
};

/* Points sorted by hash; start[hash >> shift] is the first of that stretch. */
struct balance_ring {
	uint32_t n;
	uint8_t shift;
	const struct balance_point *points;
	const uint32_t *start;
};

struct balance_set {
	uint32_t share;     /* of BALANCE_SHARES */
	uint64_t share_end; /* sum of shares so far, scaled to 2^32 */
	struct balance_group tiers[BALANCE_TIERS];
	struct balance_ring ring; /* RING_HASH: over all tiers, since agents elsewhere must agree */
};

struct balance_place {
	uint8_t set, tier;
};

struct balance_spec {
	uint64_t serial; /* unique in the process, at least 1: parts that know another count anew */
	uint8_t policy;  /* enum balance_policy */
	uint8_t panic; /* percent available below which ejection and checks are ignored; 0 = never. Default 50 */
	uint16_t
		spill; /* a near endpoint is full at that percent of the next tier's load; 0 = never. Default 400 */
	uint16_t
		bound; /* ring: percent of the mean in flight that one may have, e.g. 125; 0 = off (default) */
	uint32_t n, n_sets;
	usec decay;      /* time constant of cost and ghost load; default 10 s */
	usec slow_start; /* a new endpoint's share grows for so long; 0 = off. Default 10 s */
	struct balance_set *sets;
	struct balance_tally *tally;        /* shared */
	struct balance_cell *const *cells;  /* shared, by index */
	const uint32_t *slots;              /* of stats, by index */
	const uint16_t *weights;            /* by index; NULL: all equal */
	const struct balance_place *places; /* by index */
	const uint64_t *ids;                /* balance_id() of its address, by index */
	const uint32_t *by_id;              /* indices sorted by it */
	struct outlier_policy outlier;
};

/* 32 bytes. All zero is an endpoint never used; zero it when a slot gets another address. */
struct balance_stat {
	_Atomic usec updated; /* of cost and ghost */
	_Atomic float cost;   /* µs; 0: unknown */
	_Atomic float ghost;  /* pretended requests */
	_Atomic uint32_t in_flight;
	_Atomic uint32_t ok, failed; /* for outlier_sweep(): differences count, they wrap */
	_Atomic uint32_t bad; /* bad answers in a row, each to a request that began after the one before: balance_score.c */
};

struct balance_census { /* what was available when last counted */
	uint64_t serial, version;
	usec again;         /* not counted anew before, however often words change */
	uint32_t available; /* in, nothing holds them */
	uint32_t pickable;  /* the same and those that panic would take */
	uint32_t due_index; /* the ejected endpoint (or lost probe) whose time is over first */
	usec due;           /* when; USEC_NEVER: none */
	bool panic;
	/* By health: a 32-bit draw below cut[set][tier] goes to that tier. */
	uint64_t cut[BALANCE_SETS_MAX][BALANCE_TIERS];
};

struct balance_part {
	struct balance_stat *stats; /* by slot; the worker's table */
	uint32_t in_flight;         /* of the whole upstream */
	_Atomic float mean;         /* µs of good replies; 0: unknown */
	_Atomic float gap;          /* µs between two attempts in the mean */
	usec last;                  /* attempt begun */
	uint32_t turn[BALANCE_SETS_MAX][BALANCE_TIERS];
	struct balance_census census;
};

struct balance_request {
	/* Of the header, cookie, query or client address, well mixed: balance_id() does it. For the ring; and with any policy a
	 * key always meets the same set (canary). */
	uint64_t hash;
	uint64_t sticky; /* balance_id() that the cookie wants; 0: none */
	bool has_hash;
	uint8_t n_tried;                   /* at most BALANCE_TRIED_MAX */
	uint32_t tried[BALANCE_TRIED_MAX]; /* indices: only picked when nothing else is left */
};

enum balance_why {
	BALANCE_BY_POLICY,
	BALANCE_BY_STICKY,
	BALANCE_BY_HASH,
	BALANCE_BY_PROBE, /* ejected, and this request decides whether it comes back */
	BALANCE_BY_SPILL, /* the nearer tier is full */
	BALANCE_BY_SCAN, /* draws met nobody: the next one that is available, here or in another tier or set */
	BALANCE_BY_AGAIN, /* tried already, but nothing else is left */
	BALANCE_NO_ENDPOINTS,
	BALANCE_NONE_AVAILABLE, /* all down, drained or ejected, and panic does not help */
	BALANCE_WHYS
};
const char *balance_why_name(enum balance_why w); /* "policy", "sticky", … */

struct balance_ticket {
	uint32_t index; /* BALANCE_NONE: nobody */
	uint16_t epoch; /* of its word */
	uint8_t why;    /* enum balance_why */
	bool probe;
};

/* stats: the worker's table, zeroed, with room for every slot. Turns begin anywhere. */
void balance_part_init(struct balance_part *p, struct balance_stat *stats, struct rng *r);

struct balance_ticket balance_pick(const struct balance_spec *s, struct balance_part *p,
	const struct balance_request *q, usec now, struct rng *r);
/* Would a pick find an endpoint that was not tried yet? After a failure also those count that are put aside or fail their
 * checks, when nobody else is left: they may well be back, and the alternative is an error. */
bool balance_has_other(
	const struct balance_spec *s, const struct balance_part *p, const struct balance_request *q);

void balance_start(const struct balance_spec *s, struct balance_part *p, struct balance_ticket t, usec now);
/* latency: from the start of the attempt to the response's head or the failure. The verdict is what ejection made of it. */
enum outlier_verdict balance_end(const struct balance_spec *s, struct balance_part *p,
	struct balance_ticket t, enum balance_outcome outcome, usec latency, usec now, struct rng *r);

/* The identity of an endpoint for rings and sticky cookies: of its address as text, the same on every agent. Part of
 * what agents agree on: never change it. Not 0. */
uint64_t balance_id(const char *text, size_t n);
/* Index of the endpoint with that identity, or BALANCE_NONE. */
uint32_t balance_find(const struct balance_spec *s, uint64_t id);

/* --- /explain ---------------------------------------------------------------------------------------------------- */
enum balance_excluded {
	BALANCE_CANDIDATE,
	BALANCE_IN_PANIC, /* not available, but panic takes it */
	BALANCE_PROBES,   /* ejected, its time is over: the next request that comes past probes it */
	BALANCE_DOWN_REGISTRY,
	BALANCE_DOWN_CHECK,
	BALANCE_DRAINED,
	BALANCE_GONE,
	BALANCE_EJECTED,
	BALANCE_TRIAL, /* a probe is under way */
	BALANCE_TRIED,
	BALANCE_EXCLUSIONS
};
const char *balance_excluded_name(enum balance_excluded e);

struct balance_candidate {
	uint8_t set, tier;
	uint8_t excluded; /* enum balance_excluded */
	uint8_t warm;     /* slow start: percent of its usual share */
	uint32_t weight;
	uint32_t in_flight;
	float cost; /* µs as it counts now */
	float ghost;
	float score; /* what two candidates are compared by: less is better */
	usec until;  /* EJECTED: until when */
};
/* Counts what is available, O(n): once, then balance_explain() for each endpoint. */
void balance_count(const struct balance_spec *s, struct balance_census *ret);
/* What a pick would see of endpoint `index`; q may be NULL. Any thread: on another than the worker's the figures are a
 * moment's. */
void balance_explain(const struct balance_spec *s, const struct balance_part *p,
	const struct balance_census *census, const struct balance_request *q, uint32_t index, usec now,
	struct balance_candidate *ret);

#endif
