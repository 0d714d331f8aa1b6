/* What /explain and /upstreams say of a pick. */
#include "proxy/balance_int.h"

const char *balance_why_name(enum balance_why w)
{
	static const char *const names[BALANCE_WHYS] = {
		[BALANCE_BY_POLICY] = "policy",
		[BALANCE_BY_STICKY] = "sticky",
		[BALANCE_BY_HASH] = "hash",
		[BALANCE_BY_PROBE] = "probe",
		[BALANCE_BY_SPILL] = "spill",
		[BALANCE_BY_SCAN] = "scan",
		[BALANCE_BY_AGAIN] = "again",
		[BALANCE_NO_ENDPOINTS] = "no-endpoints",
		[BALANCE_NONE_AVAILABLE] = "none-available",
	};
	return w < BALANCE_WHYS ? names[w] : "?";
}

const char *balance_excluded_name(enum balance_excluded e)
{
	static const char *const names[BALANCE_EXCLUSIONS] = {
		[BALANCE_CANDIDATE] = "candidate",
		[BALANCE_IN_PANIC] = "panic",
		[BALANCE_PROBES] = "probe-due",
		[BALANCE_DOWN_REGISTRY] = "down-by-registry",
		[BALANCE_DOWN_CHECK] = "down-by-check",
		[BALANCE_DRAINED] = "drained",
		[BALANCE_GONE] = "gone",
		[BALANCE_EJECTED] = "ejected",
		[BALANCE_TRIAL] = "on-trial",
		[BALANCE_TRIED] = "tried",
	};
	return e < BALANCE_EXCLUSIONS ? names[e] : "?";
}

/* What stands against it, the firmest first. */
static enum balance_excluded against(uint64_t word, usec now)
{
	static const struct {
		unsigned hold;
		enum balance_excluded says;
	} holds[] = {
		{ BALANCE_HOLD_GONE, BALANCE_GONE },
		{ BALANCE_HOLD_DRAINED, BALANCE_DRAINED },
		{ BALANCE_HOLD_REGISTRY, BALANCE_DOWN_REGISTRY },
		{ BALANCE_HOLD_CHECK, BALANCE_DOWN_CHECK },
	};

	for (size_t i = 0; i < sizeof(holds) / sizeof(holds[0]); i++)
		if (word & holds[i].hold)
			return holds[i].says;
	if (outlier_due(word, now))
		return BALANCE_PROBES;
	if (outlier_state(word) == OUTLIER_OUT)
		return BALANCE_EJECTED;
	return outlier_state(word) == OUTLIER_TRIAL ? BALANCE_TRIAL : BALANCE_CANDIDATE;
}

static bool is_tried(const struct balance_request *q, uint32_t index)
{
	for (unsigned k = 0; q && k < q->n_tried; k++)
		if (q->tried[k] == index)
			return true;
	return false;
}

void balance_explain(const struct balance_spec *s, const struct balance_part *p,
	const struct balance_census *census, const struct balance_request *q, uint32_t index, usec now,
	struct balance_candidate *ret)
{
	const struct balance_stat *st = balance_stat_of(s, p, index);
	uint64_t word = cell_word(s->cells[index]);

	*ret = (struct balance_candidate){
		.set = s->places[index].set,
		.tier = s->places[index].tier,
		.excluded = (uint8_t)against(word, now),
		.warm = (uint8_t)(balance_warmth(s, s->cells[index], now) * 100.0f + 0.5f),
		.weight = balance_weight(s, index),
		.in_flight = STAT_GET(st, in_flight),
		.cost = balance_cost(s, p, st, now),
		.ghost = balance_ghost(s, p, st, now),
		.score = balance_score(s, p, index, now),
		.until = outlier_until(word),
	};
	if (is_tried(q, index))
		ret->excluded = BALANCE_TRIED;
	else if (ret->excluded != BALANCE_CANDIDATE && census->panic && (word & BALANCE_HARD) == 0)
		ret->excluded = BALANCE_IN_PANIC;
}
