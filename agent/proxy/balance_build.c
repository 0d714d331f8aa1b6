#include "proxy/balance_build.h"

#include "base/mem.h"

#include <stdlib.h>

const char *balance_policy_name(enum balance_policy p)
{
	static const char *const names[BALANCE_POLICIES] = { "peak-ewma", "least-request", "round-robin",
		"random", "ring-hash" };
	return p < BALANCE_POLICIES ? names[p] : "?";
}

static bool same_outlier(const struct outlier_policy *a, const struct outlier_policy *b)
{
	return a->consecutive == b->consecutive && a->max_percent == b->max_percent &&
	       a->min_hosts == b->min_hosts && a->min_volume == b->min_volume &&
	       a->stdev_permille == b->stdev_permille && a->gap_permille == b->gap_permille &&
	       a->base == b->base && a->max == b->max && a->lease == b->lease && a->observe == b->observe &&
	       a->interval == b->interval;
}

bool balance_options_same(const struct balance_options *a, const struct balance_options *b)
{
	for (uint32_t i = 0; i < BALANCE_SETS_MAX; i++)
		if (a->share[i] != b->share[i])
			return false;
	return a->policy == b->policy && a->decay == b->decay && a->slow_start == b->slow_start &&
	       a->panic == b->panic && a->spill == b->spill && a->bound == b->bound &&
	       a->n_sets == b->n_sets && same_outlier(&a->outlier, &b->outlier);
}

/* --- identity ----------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* FNV-1a, then mixed: it alone leaves the high bits of similar addresses alike. */
uint64_t balance_id(const char *text, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
	h = mix(h);
	return h ? h : 1;
}

struct keyed { /* an endpoint on its way to by_id */
	uint64_t id;
	uint32_t index;
};

static int by_id(const void *x, const void *y)
{
	const struct keyed *a = x, *b = y;

	return a->id != b->id ? (a->id > b->id) - (a->id < b->id)
			      : (a->index > b->index) - (a->index < b->index);
}

#define KEYED_MANY 64u /* with fewer, the counters of the passes take longer than qsort does */

/* Sorts by the highest 33 bits, 11 at a time, a tenth of what qsort takes; returns where the result is, `at` or `spare`. Identities
 * are hashes, so that all is sorted with that but for one build of 10,000 endpoints in some hundred; then qsort does the rest. */
static const struct keyed *sort_keyed(struct keyed *at, struct keyed *spare, uint32_t n)
{
	struct keyed *from = at, *to = spare, *swap;
	bool sorted = n >= KEYED_MANY;

	for (unsigned shift = 31; sorted && shift < 64; shift += 11) {
		uint32_t count[2049] = { 0 };
		for (uint32_t i = 0; i < n; i++)
			count[(from[i].id >> shift & 2047) + 1]++;
		for (uint32_t k = 1; k < 2049; k++)
			count[k] += count[k - 1];
		for (uint32_t i = 0; i < n; i++)
			to[count[from[i].id >> shift & 2047]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	for (uint32_t i = 1; i < n && sorted; i++)
		sorted = by_id(&from[i - 1], &from[i]) <= 0;
	if (!sorted)
		qsort(from, n, sizeof(*from), by_id);
	return from;
}

static bool put_ids(struct arena *a, const struct balance_member *m, uint32_t n, struct balance_spec *s)
{
	uint64_t *ids = arena_alloc(a, (n + 1) * sizeof(*ids));
	uint32_t *order = arena_alloc(a, (n + 1) * sizeof(*order));
	struct keyed *k = mem_alloc(2 * ((size_t)n + 1) * sizeof(*k));

	if (ids && order && k) {
		for (uint32_t i = 0; i < n; i++) {
			ids[i] = balance_id(m[i].text.p, m[i].text.n);
			k[i] = (struct keyed){ ids[i], i };
		}
		const struct keyed *sorted = sort_keyed(k, k + n, n);
		for (uint32_t i = 0; i < n; i++)
			order[i] = sorted[i].index;
	}
	bool ok = k != NULL;
	mem_free(k);
	s->ids = ids;
	s->by_id = order;
	return ok && ids && order;
}

/* --- per endpoint ------------------------------------------------------------------------------------------------- */

static uint32_t clamp_weight(uint32_t w)
{
	return w < 1 ? 1 : w > BALANCE_WEIGHT_MAX ? BALANCE_WEIGHT_MAX : w;
}

static bool put_endpoints(struct arena *a, const struct balance_member *m, uint32_t n, struct balance_spec *s)
{
	struct balance_cell **cells = arena_alloc(a, (n + 1) * sizeof(*cells));
	uint32_t *slots = arena_alloc(a, (n + 1) * sizeof(*slots));
	uint16_t *weights = arena_alloc(a, (n + 1) * sizeof(*weights));
	struct balance_place *places = arena_alloc(a, (n + 1) * sizeof(*places));
	bool equal = true;

	if (!cells || !slots || !weights || !places)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (m[i].set >= s->n_sets || m[i].tier >= BALANCE_TIERS || !m[i].cell)
			return false;
		cells[i] = m[i].cell;
		slots[i] = m[i].slot;
		weights[i] = (uint16_t)clamp_weight(m[i].weight);
		places[i] = (struct balance_place){ m[i].set, m[i].tier };
		equal = equal && weights[i] == weights[0];
	}
	s->cells = cells;
	s->slots = slots;
	s->places = places;
	s->weights = equal ? NULL : weights; /* what is equal everywhere needs no weighing */
	return true;
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

static bool put_weights(struct arena *a, const struct balance_spec *s, struct balance_group *g)
{
	uint32_t *cum = arena_alloc(a, (g->n + 1) * sizeof(*cum)),
		 *guide = arena_alloc(a, (g->n + 1) * sizeof(*guide));
	uint32_t sum = 0, at = 0;

	if (!cum || !guide)
		return false;
	for (uint32_t i = 0; i < g->n; i++)
		cum[i] = sum += s->weights[g->members[i]]; /* at most 16,384 × 10,000 */
	g->total = sum;
	for (uint32_t j = 0; j < g->n; j++) {
		/* The least draw that falls into stretch j, and the number that it makes: as member() computes both. */
		uint64_t bits = (((uint64_t)j << 32) + g->n - 1) / g->n;
		while (cum[at] <= (uint32_t)((bits * sum) >> 32))
			at++;
		guide[j] = at;
	}
	g->cum = cum;
	g->guide = guide;
	return true;
}

/* Counts, then fills one array that all groups share. Those that are held down for as long as this spec stands are in none, so
 * that no pick has to pass them. */
static bool put_groups(struct arena *a, const struct balance_member *m, struct balance_spec *s)
{
	uint32_t *members = arena_alloc(a, (s->n + 1) * sizeof(*members)), at = 0;

	if (!members)
		return false;
	for (uint32_t i = 0; i < s->n; i++)
		s->sets[s->places[i].set].tiers[s->places[i].tier].n += !m[i].down;
	for (uint32_t k = 0; k < s->n_sets * BALANCE_TIERS; k++) {
		struct balance_group *g = &s->sets[k / BALANCE_TIERS].tiers[k % BALANCE_TIERS];
		g->members = members + at;
		at += g->n;
		g->n = 0;
	}
	for (uint32_t i = 0; i < s->n; i++) {
		struct balance_group *g = &s->sets[s->places[i].set].tiers[s->places[i].tier];
		if (!m[i].down)
			members[(uint32_t)(g->members - members) + g->n++] = i;
	}
	for (uint32_t k = 0; s->weights && k < s->n_sets * BALANCE_TIERS; k++) {
		struct balance_group *g = &s->sets[k / BALANCE_TIERS].tiers[k % BALANCE_TIERS];
		if (g->n && !put_weights(a, s, g))
			return false;
	}
	return true;
}

static void put_shares(const struct balance_options *o, struct balance_spec *s)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < s->n_sets; i++) {
		uint32_t left = BALANCE_SHARES - sum;
		s->sets[i].share = i + 1 == s->n_sets || o->share[i] > left ? left : o->share[i];
		sum += s->sets[i].share;
		s->sets[i].share_end = ((uint64_t)sum << 32) / BALANCE_SHARES;
	}
}

/* --- rings -------------------------------------------------------------------------------------------------------- */

static uint32_t points_of(const struct balance_spec *s, uint32_t i)
{
	uint32_t usual = s->n > BALANCE_POINTS_TURN ? BALANCE_POINTS_FEW : BALANCE_POINTS;

	if (!s->weights)
		return usual;
	uint32_t k = (uint32_t)s->weights[i] * usual / 100;
	return k < 1 ? 1 : k > BALANCE_POINTS_MOST * usual ? BALANCE_POINTS_MOST * usual : k;
}

static uint32_t fill_points(const struct balance_spec *s, uint32_t set, struct balance_point *to)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < s->n;
		k++) { /* by identity: of points with one hash the order is everywhere the same */
		uint32_t i = s->by_id[k], count = s->places[i].set == set ? points_of(s, i) : 0;
		for (uint32_t j = 0; j < count; j++) {
			if (to)
				to[n] = (struct balance_point){
					(uint32_t)(mix(s->ids[i] + j * 0x9e3779b97f4a7c15u) >> 32), i
				};
			n++;
		}
	}
	return n;
}

/* Stable, by 11 bits at a time: a tenth of what qsort takes. `spare` has room for n, too. */
static void sort_points(struct balance_point *at, struct balance_point *spare, uint32_t n)
{
	struct balance_point *from = at, *to = spare, *swap;

	for (unsigned shift = 0; shift < 33; shift += 11) {
		uint32_t count[2049] = { 0 };
		for (uint32_t i = 0; i < n; i++)
			count[(from[i].hash >> shift & 2047) + 1]++;
		for (uint32_t k = 1; k < 2049; k++)
			count[k] += count[k - 1];
		for (uint32_t i = 0; i < n; i++)
			to[count[from[i].hash >> shift & 2047]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	memcpy(at, from, n * sizeof(*at)); /* an odd number of passes ended in spare */
}

/* Four points per stretch in the mean. */
static bool put_starts(struct arena *a, struct balance_ring *ring)
{
	uint32_t bits = 0, at = 0;

	while ((4ull << bits) < ring->n && bits < 24)
		bits++;
	uint32_t *start = arena_alloc(a, sizeof(*start) << bits);
	if (!start)
		return false;
	ring->shift = (uint8_t)(32 - bits);
	for (uint32_t k = 0; k < 1u << bits; k++) {
		while (at < ring->n && (uint64_t)ring->points[at].hash >> ring->shift < k)
			at++;
		start[k] = at;
	}
	ring->start = start;
	return true;
}

static bool put_ring(struct arena *a, const struct balance_spec *s, uint32_t set, struct balance_ring *ring)
{
	uint32_t n = fill_points(s, set, NULL);

	if (n == 0)
		return true;
	struct balance_point *points = arena_alloc(a, n * sizeof(*points)),
			     *spare = mem_alloc(n * sizeof(*spare));
	if (points && spare) {
		fill_points(s, set, points);
		sort_points(points, spare, n);
		ring->points = points;
		ring->n = n;
	}
	mem_free(spare);
	return ring->n && put_starts(a, ring);
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static void put_options(
	const struct balance_options *o, uint32_t n, struct balance_tally *tally, struct balance_spec *s)
{
	*s = (struct balance_spec){
		.serial = o->serial ? o->serial : 1,
		.policy = (uint8_t)o->policy,
		.panic = o->panic,
		.spill = o->spill,
		.bound = o->bound,
		.n = n,
		.n_sets = o->n_sets,
		.decay = o->decay,
		.slow_start = o->slow_start,
		.tally = tally,
		.outlier = o->outlier,
	};
}

bool balance_build(struct arena *a, const struct balance_options *o, const struct balance_member *m,
	uint32_t n, struct balance_tally *tally, struct balance_spec *ret)
{
	if (n > BALANCE_ENDPOINTS_MAX || o->n_sets < 1 || o->n_sets > BALANCE_SETS_MAX)
		return false;
	put_options(o, n, tally, ret);
	ret->sets = arena_zalloc(a, o->n_sets * sizeof(*ret->sets));
	if (!ret->sets || !put_endpoints(a, m, n, ret) || !put_ids(a, m, n, ret) || !put_groups(a, m, ret))
		return false;
	put_shares(o, ret);
	for (uint32_t i = 0; i < ret->n_sets && o->policy == BALANCE_RING_HASH; i++)
		if (!put_ring(a, ret, i, &ret->sets[i].ring))
			return false;
	return true;
}
