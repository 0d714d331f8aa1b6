#include "control/endpoint_state.h"

static const struct {
	unsigned hold;
	const char *state, *why;
} holds[] = { /* the weightiest first */
	{ BALANCE_HOLD_GONE, "gone", "its registry lists it no more, or another service's agent answered there" },
	{ BALANCE_HOLD_DRAINED, "drained", "by hand" },
	{ BALANCE_HOLD_REGISTRY, "down", "its registry says so" },
	{ BALANCE_HOLD_CHECK, "unhealthy", "its health check fails, or has not passed yet" },
};

static const char *ejected_why(const struct balance_cell *c)
{
	static const char *const words[] = {
		[OUTLIER_NEVER] = "",
		[OUTLIER_CONSECUTIVE] = "outrider.eject.consecutive failures in a row",
		[OUTLIER_SUCCESS_RATE] = "a success rate far below the others'",
		[OUTLIER_PROBE_FAILED] = "the request that tried it again failed",
	};
	uint32_t why = atomic_load_explicit(&c->why, memory_order_relaxed);
	return why < sizeof(words) / sizeof(words[0]) ? words[why] : "";
}

struct endpoint_state endpoint_state(const struct balance_cell *c)
{
	uint64_t word = cell_word(c);

	for (size_t i = 0; i < sizeof(holds) / sizeof(holds[0]); i++)
		if (word & holds[i].hold)
			return (struct endpoint_state){ holds[i].state, holds[i].why };
	if (outlier_state(word) == OUTLIER_IN)
		return (struct endpoint_state){ "up", NULL };
	return (struct endpoint_state){ outlier_state(word) == OUTLIER_OUT ? "ejected" : "on-trial", ejected_why(c) };
}
