/* Options and endpoints to the balancer's part of an upstream: policy, subsets by metadata, tiers by place. */
#include "control/build_int.h"

#include "base/mem.h"
#include "control/met.h"
#include "control/option_balance.h"

#include <unistd.h>

#define HOST_NAME_BYTES 256

/* --- options ----------------------------------------------------------------------------------------------------- */

/* Values were judged when they were read. */
static bool read_hash(struct spec_upstream *u, struct str text)
{
	enum hash_kind kind;
	struct str name;
	struct err ignored;

	if (!option_hash(text, &kind, &name, &ignored))
		name = STR("");
	u->hash_kind = (uint8_t)kind;
	u->hash_name = arena_str(&u->arena, name);
	return u->hash_name.p != NULL;
}

static void fill_outlier(struct outlier_policy *p, const struct options *o, struct str name)
{
	p->consecutive = (uint32_t)options_of_u64(o, name, OPT_EJECT_CONSECUTIVE);
	p->max_percent = (uint32_t)options_of_u64(o, name, OPT_EJECT_MAX);
	p->base = options_of_duration(o, name, OPT_EJECT_TIME);
	p->max = options_of_duration(o, name, OPT_EJECT_TIME_MAX);
	p->min_hosts = (uint32_t)options_of_u64(o, name, OPT_EJECT_MIN_HOSTS);
	p->interval = options_of_duration(o, name, OPT_EJECT_INTERVAL);
	p->min_volume = p->interval ? (uint32_t)options_of_u64(o, name, OPT_EJECT_MIN_VOLUME) : 0;
}

bool build_balance_options(struct spec_upstream *u, const struct options *o, struct str name)
{
	struct balance_options defaults = BALANCE_DEFAULTS, *b = &u->balancing;

	*b = (struct balance_options){ 0 };
	b->decay = options_of_duration(o, name, OPT_BALANCE_DECAY);
	b->slow_start = options_of_duration(o, name, OPT_BALANCE_SLOW_START);
	b->policy = (enum balance_policy)options_of_u64(o, name, OPT_BALANCE);
	b->panic = (uint8_t)options_of_u64(o, name, OPT_BALANCE_PANIC);
	b->spill = (uint16_t)options_of_u64(o, name, OPT_BALANCE_SPILL);
	b->bound = (uint16_t)options_of_u64(o, name, OPT_BALANCE_BOUND);
	b->n_sets = 1;
	b->outlier.stdev_permille = defaults.outlier.stdev_permille;
	b->outlier.gap_permille = defaults.outlier.gap_permille;
	b->outlier.lease = defaults.outlier.lease;
	b->outlier.observe = u->mode == MODE_OBSERVE;
	fill_outlier(&b->outlier, o, name);
	u->locality = options_of_bool(o, name, OPT_BALANCE_LOCALITY);
	u->cookie = arena_str(&u->arena, options_of_text(o, name, OPT_BALANCE_COOKIE));
	u->subset = arena_str(&u->arena, options_of_text(o, name, OPT_SUBSET));
	return read_hash(u, options_of_text(o, name, OPT_BALANCE_HASH)) && u->cookie.p && u->subset.p;
}

/* --- subsets -------------------------------------------------------------------------------------------------------- */

/* The first subset that the endpoint belongs to; what belongs to none is in the last one. */
static uint8_t subset_of(
	const struct option_subset *at, uint32_t n, const struct registry_endpoint *e, struct str hello)
{
	for (uint32_t i = 0; i < n; i++)
		if ((e && str_eq(endpoint_meta(e, at[i].key), at[i].value)) ||
			str_eq(met_value(hello, at[i].key), at[i].value))
			return (uint8_t)i;
	return (uint8_t)n;
}

/* --- places ----------------------------------------------------------------------------------------------------------- */

struct place { /* where this agent is */
	struct str node, zone;
	char host[HOST_NAME_BYTES];
};

static void find_place(struct place *p, const struct options *o)
{
	p->node = options_text(o, OPT_NODE);
	p->zone = options_text(o, OPT_ZONE);
	if (p->node.n == 0 && gethostname(p->host, sizeof(p->host) - 1) == 0)
		p->node = str_of(p->host);
}

/* By what its registry says, else by what its agent said; where there is no agent that could, by what the node's knows of its containers. */
static uint8_t tier_of(const struct place *p, const struct registry_endpoint *e, struct str hello, bool silent, enum near_place near)
{
	struct str node = e && e->node.n ? e->node : met_value(hello, STR("node"));
	struct str zone = e && e->zone.n ? e->zone : met_value(hello, STR("zone"));
	bool unknown = !node.n && !zone.n;

	/* Unknown places count as the nearest that they can be: who is never called never says hello. */
	if (near == NEAR_HERE || str_eq(node, p->node) || (unknown && !(silent && near == NEAR_ELSEWHERE)))
		return BALANCE_SAME_NODE;
	if (p->zone.n && (str_eq(zone, p->zone) || unknown))
		return BALANCE_SAME_ZONE;
	return BALANCE_ELSEWHERE;
}

/* --- cells ------------------------------------------------------------------------------------------------------------ */

#define FEW 32u /* endpoints; up to here looking through them is quicker than clearing a set */

struct slot_bits { /* a set of endpoint slots */
	uint64_t word[SLOTS_ENDPOINTS_MAX / 64];
};

static void bits_of(const struct spec_upstream *u, struct slot_bits *b)
{
	if (u->n_endpoints <= FEW)
		return;
	memset(b, 0, sizeof(*b));
	for (uint32_t i = 0; i < u->n_endpoints; i++)
		b->word[u->endpoints[i].slot / 64] |= (uint64_t)1 << (u->endpoints[i].slot % 64);
}

/* b: what bits_of(u) made. */
static bool lists_slot(const struct spec_upstream *u, const struct slot_bits *b, uint32_t slot)
{
	if (u->n_endpoints > FEW)
		return b->word[slot / 64] >> (slot % 64) & 1;
	for (uint32_t i = 0; i < u->n_endpoints; i++)
		if (u->endpoints[i].slot == slot)
			return true;
	return false;
}

/* Those that came among others get their share little by little. Those that left are not held: until the workers have the new
 * spec, and for a request that began before, they are as good as they were, and may be all that such a request can still try. */
static void tell_comings(const struct spec_upstream *u, const struct build_request *q,
	const struct spec_upstream *old, usec now)
{
	struct balance_tally *tally = slots_tally(q->slots, u->slot);
	struct slot_bits bits;

	bits_of(old, &bits);
	for (uint32_t i = 0; i < u->n_endpoints; i++) {
		struct balance_cell *c = slots_cell(q->slots, u->endpoints[i].slot);
		if (lists_slot(old, &bits, u->endpoints[i].slot))
			continue; /* also when a worker holds it, for another service's agent answered there */
		outlier_reset(c, tally, now);
		outlier_hold(c, tally, BALANCE_HOLD_GONE, true, false, now);
		outlier_hold(c, tally, BALANCE_HOLD_GONE, false, old->n_endpoints > 0, now);
	}
}

static bool is_down(const struct spec_endpoint *e)
{
	return e->info && e->info->state != REGISTRY_UP;
}

/* What the registry says of each. */
static void tell_cells(
	const struct spec_upstream *u, const struct build_request *q, const struct spec_upstream *old)
{
	struct balance_tally *tally = slots_tally(q->slots, u->slot);
	usec now = clock_now();

	if (old)
		tell_comings(u, q, old, now);
	for (uint32_t i = 0; i < u->n_endpoints; i++) {
		const struct spec_endpoint *e = &u->endpoints[i];
		struct balance_cell *c = slots_cell(q->slots, e->slot);
		outlier_hold(c, tally, BALANCE_HOLD_REGISTRY, is_down(e), true, now);
	}
}

bool build_balance(struct spec_upstream *u, const struct build_request *q, const struct spec_upstream *old)
{
	struct balance_options b = u->balancing;
	struct option_subset subsets[OPTION_SUBSETS_MAX];
	struct place here;
	struct err ignored;
	uint32_t n_subsets;
	struct balance_member *m = mem_zarray(u->n_endpoints + 1u, sizeof(*m));

	if (!m)
		return false;
	if (!option_subsets(u->subset, subsets, &n_subsets, &ignored))
		n_subsets = 0; /* it was judged when it was read */
	if (u->locality)
		find_place(&here, q->options);
	for (uint32_t i = 0; i < u->n_endpoints; i++) {
		const struct spec_endpoint *e = &u->endpoints[i];
		struct str hello = discovery_hello(q->discovery, &e->addr);
		m[i] = (struct balance_member){ .text = str_of(e->text),
			.slot = e->slot,
			.weight = e->info ? e->info->weight : 100,
			.tier = u->locality ? tier_of(&here, e->info, hello, e->agent == ENDPOINT_PLAIN || str_eq(hello, STR(HELLO_NONE)),
							near_where(q->near, &e->addr)) : (uint8_t)BALANCE_ELSEWHERE,
			.set = subset_of(subsets, n_subsets, e->info, hello),
			.down = is_down(e),
			.cell = slots_cell(q->slots, e->slot) };
	}
	b.n_sets = n_subsets + 1;
	for (uint32_t i = 0; i < n_subsets; i++)
		b.share[i] = subsets[i].share;
	b.serial = slots_serial(q->slots);
	bool ok = balance_build(
		&u->arena, &b, m, u->n_endpoints, slots_tally(q->slots, u->slot), &u->balance);
	mem_free(m);
	if (ok)
		tell_cells(u, q, old);
	return ok;
}
