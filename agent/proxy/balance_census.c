/* The census: how many endpoints are available, per set and tier, when a state changed. It decides on panic and on the
 * share of traffic that nearer tiers keep. */
#include "proxy/balance_int.h"

#define OVERPROVISION                                                                                        \
	140u            /* a tier keeps all of its traffic down to 100 / 1.4 percent available, as in Envoy */
#define EACH_NSEC 1000u /* a census of n endpoints is at most every n µs: 1 % of a worker while states flap */

struct heads { /* of one set, per tier */
	uint32_t pickable[BALANCE_TIERS], available[BALANCE_TIERS];
};

/* Shares of the tiers in thousandths. Near ones first, each as much as its health allows; what is left over when none is
 * healthy enough is divided as they have it. In panic nobody is healthy: by number. */
static void tier_shares(const struct heads *h, bool panic, uint32_t share[BALANCE_TIERS])
{
	uint32_t left = 1000;

	for (unsigned t = 0; t < BALANCE_TIERS; t++) {
		if (panic) {
			share[t] = h->pickable[t];
			continue;
		}
		uint64_t health = h->pickable[t]
					  ? (uint64_t)h->available[t] * 10 * OVERPROVISION / h->pickable[t]
					  : 0;
		share[t] = health < left ? (uint32_t)health : left;
		left -= share[t];
	}
}

static void cut_tiers(const struct heads *h, bool panic, uint64_t cut[BALANCE_TIERS])
{
	uint32_t share[BALANCE_TIERS];
	uint64_t sum = 0, so_far = 0;

	tier_shares(h, panic, share);
	for (unsigned t = 0; t < BALANCE_TIERS; t++)
		sum += share[t];
	for (unsigned t = 0; t < BALANCE_TIERS; t++) {
		so_far += share[t];
		cut[t] = sum ? (so_far << 32) / sum : 0; /* 0: nobody in this set */
	}
}

void balance_count(const struct balance_spec *s, struct balance_census *ret)
{
	balance_recount(s, ret, 0, 0);
}

void balance_recount(const struct balance_spec *s, struct balance_census *c, uint64_t version, usec now)
{
	struct heads heads[BALANCE_SETS_MAX] = { 0 };

	c->serial = s->serial;
	c->version = version;
	c->again = now + (usec)s->n * EACH_NSEC / 1000;
	c->available = c->pickable = c->due_index = 0;
	c->due = USEC_NEVER;
	for (uint32_t i = 0; i < s->n; i++) {
		uint64_t word = cell_word(s->cells[i]);
		struct balance_place at = s->places[i];
		if (word & BALANCE_HARD)
			continue;
		heads[at.set].pickable[at.tier]++;
		c->pickable++;
		heads[at.set].available[at.tier] += outlier_available(word);
		c->available += outlier_available(word);
		if (outlier_state(word) != OUTLIER_IN && (word & BALANCE_HOLDS) == 0 &&
			outlier_until(word) < c->due) {
			c->due = outlier_until(word);
			c->due_index = i;
		}
	}
	c->panic = (uint64_t)c->available * 100 < (uint64_t)c->pickable * s->panic;
	for (uint32_t i = 0; i < s->n_sets; i++)
		cut_tiers(&heads[i], c->panic, c->cut[i]);
}
