/* Pick. See balance.h for how it goes; /explain is balance_explain.c. */
#include "proxy/balance_int.h"

#define DRAWS 6   /* for one candidate, before the neighbours are looked at */
#define CHOICES 5 /* candidates at most, when the first two are bad */
#define WALK 128  /* ring points passed, before a pick by draws */
#define SPILL_FLOOR                                                                                          \
	3.0f /* load of a near endpoint from which on it may be full: an idle agent never goes far */
#define GOLDEN 0x9e3779b9u /* 2^32 / golden ratio: multiples of it spread evenly */

struct chooser { /* one pick under way */
	const struct balance_spec *s;
	struct balance_part *p;
	const struct balance_request *q;
	usec now;
	struct rng *r;
	uint16_t epoch; /* of the lease, when `probe` */
	bool probe;
	bool last;  /* the request failed elsewhere: what is put aside is better than no answer */
	bool again; /* endpoints tried already are taken, too */
	uint8_t why;
};

void balance_part_init(struct balance_part *p, struct balance_stat *stats, struct rng *r)
{
	*p = (struct balance_part){ .stats = stats };
	for (unsigned i = 0; i < BALANCE_SETS_MAX; i++)
		for (unsigned t = 0; t < BALANCE_TIERS; t++)
			p->turn[i][t] = (uint32_t)rng_next(r); /* workers and agents do not begin in step */
}

/* --- may it be taken? --------------------------------------------------------------------------------------------- */

static bool was_tried(const struct balance_request *q, uint32_t i)
{
	for (unsigned k = 0; k < q->n_tried; k++)
		if (q->tried[k] == i)
			return true;
	return false;
}

/* A probe lease may be taken on the way; then c->probe is set, and this endpoint it must be. */
static bool takes(struct chooser *c, uint32_t i)
{
	struct balance_cell *cell = c->s->cells[i];
	uint64_t word = cell_word(cell);

	if (c->q->n_tried && !c->again && was_tried(c->q, i))
		return false;
	if (__builtin_expect(outlier_available(word), 1))
		return true;
	if (word & BALANCE_HARD)
		return false;
	if (outlier_due(word, c->now) && outlier_probe(cell, &c->s->outlier, c->now, &c->epoch)) {
		c->probe = true;
		return true;
	}
	return c->last || c->p->census.panic;
}

/* Slow start thins what is drawn: a new endpoint refuses most draws at first, then fewer. */
static bool warm_enough(struct chooser *c, uint32_t i)
{
	if (c->s->slow_start == 0 || c->probe)
		return true;
	float warm = balance_warmth(c->s, c->s->cells[i], c->now);
	return warm >= 1.0f || (float)rng_unit(c->r) < warm;
}

/* --- one candidate ------------------------------------------------------------------------------------------------ */

/* The member for a number of 32 random (or evenly spread) bits, by weight. */
static uint32_t member(const struct balance_group *g, uint32_t bits)
{
	uint32_t at = (uint32_t)(((uint64_t)bits * g->n) >> 32);

	if (!g->cum)
		return g->members[at];
	uint32_t x = (uint32_t)(((uint64_t)bits * g->total) >> 32);
	for (at = g->guide[at]; g->cum[at] <= x; at++)
		;
	return g->members[at];
}

/* Whose turn it is. With weights, multiples of the golden ratio: each endpoint comes at one of at most three distances
 * (the three-gap theorem), as often as its weight says. */
static uint32_t in_turn(const struct balance_group *g, uint32_t *turn)
{
	uint32_t now = (*turn)++;

	return g->cum ? member(g, now * GOLDEN) : g->members[now % g->n];
}

/* One that may be taken, or BALANCE_NONE. turn: round robin; NULL: random. */
static uint32_t draw(struct chooser *c, const struct balance_group *g, uint32_t *turn, uint32_t not_this)
{
	uint64_t bits = 0;

	for (unsigned k = 0; k < DRAWS; k++) {
		if (!turn && k % 2 == 0)
			bits = rng_next(c->r);
		uint32_t i = turn ? in_turn(g, turn) : member(g, (uint32_t)bits);
		bits >>= 32;
		if (i == not_this && g->n == 2)
			i = g->members[g->members[0] == i]; /* the other one */
		if (i != not_this && takes(c, i) && warm_enough(c, i))
			return i;
	}
	return BALANCE_NONE;
}

/* The first one from a random place that may be taken; slow start is no reason to have nobody. */
static uint32_t scan(struct chooser *c, const struct balance_group *g)
{
	uint32_t from = g->n ? rng_below(c->r, g->n) : 0;

	for (uint32_t k = 0; k < g->n; k++) {
		uint32_t at = from + k < g->n ? from + k : from + k - g->n;
		if (takes(c, g->members[at]))
			return g->members[at];
	}
	return BALANCE_NONE;
}

/* --- the policies ------------------------------------------------------------------------------------------------- */

/* What an endpoint scores that is as fast and as loaded as the mean. */
static float typical(const struct chooser *c)
{
	uint32_t n = c->p->census.available ? c->p->census.available : 1;
	float load = 1.0f + (float)c->p->in_flight / (float)n;

	return c->s->policy == BALANCE_PEAK_EWMA ? load * STAT_GET(c->p, mean) : load;
}

/* The better one of two random ones; only when both are bad, some more: with one endpoint in four slow, one pair in sixteen
 * is a slow one, and the 99th percentile would be theirs alone. */
static uint32_t of_two(struct chooser *c, const struct balance_group *g)
{
	uint32_t a = draw(c, g, NULL, BALANCE_NONE);

	if (a == BALANCE_NONE || c->probe || g->n == 1)
		return a;
	float best = balance_score(c->s, c->p, a, c->now), bad = 2.0f * typical(c);
	for (unsigned k = 1; k < 2 || (k < CHOICES && best > bad); k++) {
		uint32_t b = draw(c, g, NULL, a);
		if (b == BALANCE_NONE || c->probe)
			return c->probe ? b : a;
		float score = balance_score(c->s, c->p, b, c->now);
		if (score < best) {
			best = score;
			a = b;
		}
	}
	return a;
}

static uint32_t in_group(struct chooser *c, unsigned set, unsigned tier)
{
	const struct balance_group *g = &c->s->sets[set].tiers[tier];
	uint32_t i;

	if (g->n == 0)
		return BALANCE_NONE;
	c->why = BALANCE_BY_POLICY;
	switch (c->s->policy) {
	case BALANCE_ROUND_ROBIN:
		i = draw(c, g, &c->p->turn[set][tier], BALANCE_NONE);
		break;
	case BALANCE_RANDOM:
		i = draw(c, g, NULL, BALANCE_NONE);
		break;
	default: /* a ring without a hash, too */
		i = of_two(c, g);
		break;
	}
	if (i != BALANCE_NONE)
		return i;
	c->why = BALANCE_BY_SCAN;
	return scan(c, g);
}

/* --- ring --------------------------------------------------------------------------------------------------------- */

static uint32_t ring_at(const struct balance_ring *ring, uint32_t hash)
{
	uint32_t at = ring->start[(uint64_t)hash >> ring->shift];

	while (at < ring->n && ring->points[at].hash < hash)
		at++;
	return at < ring->n ? at : 0;
}

/* Bounded loads (Mirrokni, Thorup, Zadimoghaddam): has it more than its part of what is in flight? */
static bool is_full(const struct chooser *c, uint32_t i)
{
	const struct balance_spec *s = c->s;
	uint32_t n = c->p->census.available ? c->p->census.available : 1;

	if (s->bound == 0)
		return false;
	uint64_t most = ((uint64_t)(c->p->in_flight + 1) * s->bound + 100u * n - 1) /
			(100u * n); /* rounded up */
	return STAT_GET(balance_stat_of(s, c->p, i), in_flight) + 1 > most;
}

static uint32_t on_ring(struct chooser *c, const struct balance_ring *ring, uint64_t hash)
{
	if (ring->n == 0)
		return BALANCE_NONE;
	uint32_t at = ring_at(ring, (uint32_t)(hash >> 32)), last = BALANCE_NONE;
	for (unsigned k = 0; k < WALK; k++) {
		uint32_t i = ring->points[at].index;
		if (i != last && !is_full(c, i) && takes(c, i))
			return i;
		last = i;
		if (++at == ring->n)
			at = 0;
	}
	return BALANCE_NONE;
}

/* --- sets and tiers ----------------------------------------------------------------------------------------------- */

static bool peopled(const struct chooser *c, unsigned set)
{
	return c->p->census.cut[set][BALANCE_TIERS - 1] != 0;
}

/* By share, or the next one that has somebody. A key always meets the same set: it takes part in a canary or not. */
static unsigned choose_set(struct chooser *c)
{
	unsigned set = 0;

	if (c->s->n_sets == 1)
		return 0;
	uint32_t bits = c->q->has_hash ? (uint32_t)(c->q->hash * GOLDEN) : (uint32_t)(rng_next(c->r) >> 32);
	while (set + 1 < c->s->n_sets && bits >= c->s->sets[set].share_end)
		set++;
	for (unsigned k = 0; k < c->s->n_sets; k++, set = (set + 1) % c->s->n_sets)
		if (peopled(c, set))
			break;
	return set;
}

static unsigned choose_tier(struct chooser *c, unsigned set)
{
	const uint64_t *cut = c->p->census.cut[set];
	unsigned tier = 0;

	while (tier + 1 < BALANCE_TIERS && cut[tier] == 0)
		tier++;
	if (cut[tier] >> 32)
		return tier; /* it keeps all */
	uint32_t bits = (uint32_t)(rng_next(c->r) >> 32);
	while (tier + 1 < BALANCE_TIERS && bits >= cut[tier])
		tier++;
	return tier;
}

/* Is the near one so loaded that somebody of the next tier would do better by far? */
static uint32_t spill(struct chooser *c, unsigned set, unsigned tier, uint32_t near)
{
	const struct balance_spec *s = c->s;

	if (s->spill == 0 || near == BALANCE_NONE || c->probe)
		return near;
	if (balance_load(s, c->p, near, c->now) < SPILL_FLOOR)
		return near;
	do
		tier++;
	while (tier < BALANCE_TIERS && s->sets[set].tiers[tier].n == 0);
	if (tier >= BALANCE_TIERS)
		return near;
	uint32_t far = draw(c, &s->sets[set].tiers[tier], NULL, BALANCE_NONE);
	if (far == BALANCE_NONE ||
		(!c->probe && balance_score(s, c->p, far, c->now) * (float)s->spill / 100.0f >=
				      balance_score(s, c->p, near, c->now)))
		return near;
	c->why = BALANCE_BY_SPILL;
	return far;
}

/* Everywhere, the set that was meant first. */
static uint32_t anybody(struct chooser *c, unsigned set)
{
	c->why = c->again ? BALANCE_BY_AGAIN : BALANCE_BY_SCAN;
	for (unsigned k = 0; k < c->s->n_sets; k++, set = (set + 1) % c->s->n_sets)
		for (unsigned tier = 0; tier < BALANCE_TIERS; tier++) {
			uint32_t i = scan(c, &c->s->sets[set].tiers[tier]);
			if (i != BALANCE_NONE)
				return i;
		}
	return BALANCE_NONE;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static uint32_t stuck(struct chooser *c)
{
	uint32_t i = c->q->sticky ? balance_find(c->s, c->q->sticky) : BALANCE_NONE;

	if (i == BALANCE_NONE || !takes(c, i))
		return BALANCE_NONE;
	c->why = BALANCE_BY_STICKY;
	return i;
}

/* When an ejected endpoint is probed at the latest: draws had the time of one turn to meet it. Without waiting for that,
 * where endpoints are many and requests few, the ejected would get more requests than the others. */
static usec overdue(const struct chooser *c)
{
	float turn = STAT_GET(c->p, gap) * (float)c->s->n, most = (float)c->s->decay;

	return c->p->census.due + (usec)(turn < most ? turn : most);
}

/* An ejected endpoint whose time is over: also where its set or tier gets no traffic any more, this request decides. Not
 * one that belongs elsewhere by cookie or hash (a ring meets its ejected ones anyway). */
static uint32_t due(struct chooser *c)
{
	uint32_t i = c->p->census.due_index;

	if (c->now < c->p->census.due || c->now < overdue(c) || c->q->sticky ||
		(c->s->policy == BALANCE_RING_HASH && c->q->has_hash))
		return BALANCE_NONE;
	return takes(c, i) && c->probe ? i : BALANCE_NONE;
}

static uint32_t choose(struct chooser *c)
{
	uint32_t i = stuck(c);

	if (i == BALANCE_NONE)
		i = due(c);
	if (i != BALANCE_NONE)
		return i;
	unsigned set = choose_set(c);
	if (c->s->policy == BALANCE_RING_HASH && c->q->has_hash) {
		c->why = BALANCE_BY_HASH;
		i = on_ring(c, &c->s->sets[set].ring, c->q->hash);
	}
	if (i == BALANCE_NONE) {
		unsigned tier = choose_tier(c, set);
		i = spill(c, set, tier, in_group(c, set, tier));
	}
	if (i == BALANCE_NONE)
		i = anybody(c, set);
	if (i == BALANCE_NONE && c->q->n_tried) {
		c->last = true;
		i = anybody(c, set);
	}
	if (i == BALANCE_NONE && c->q->n_tried) {
		c->again = true;
		i = anybody(c, set);
	}
	return i;
}

struct balance_ticket balance_pick(const struct balance_spec *s, struct balance_part *p,
	const struct balance_request *q, usec now, struct rng *r)
{
	struct chooser c = { .s = s, .p = p, .q = q, .now = now, .r = r, .why = BALANCE_NO_ENDPOINTS };

	if (s->n == 0)
		return (struct balance_ticket){ .index = BALANCE_NONE, .why = c.why };
	balance_census_fresh(s, p, now);
	uint32_t i = choose(&c);
	if (i == BALANCE_NONE)
		return (struct balance_ticket){ .index = BALANCE_NONE, .why = BALANCE_NONE_AVAILABLE };
	return (struct balance_ticket){
		.index = i,
		.epoch = c.probe ? c.epoch : outlier_epoch(cell_word(s->cells[i])),
		.why = c.probe ? BALANCE_BY_PROBE : c.why,
		.probe = c.probe,
	};
}

bool balance_has_other(
	const struct balance_spec *s, const struct balance_part *p, const struct balance_request *q)
{
	(void)p;
	for (uint32_t i = 0; i < s->n; i++) { /* ends at the first, but where next to nobody is available */
		if (!was_tried(q, i) && (cell_word(s->cells[i]) & BALANCE_HARD) == 0)
			return true;
	}
	return false;
}

uint32_t balance_find(const struct balance_spec *s, uint64_t id)
{
	uint32_t from = 0, to = s->n;

	while (from < to) {
		uint32_t mid = from + (to - from) / 2, i = s->by_id[mid];
		if (s->ids[i] == id)
			return i;
		if (s->ids[i] < id)
			from = mid + 1;
		else
			to = mid;
	}
	return BALANCE_NONE;
}
