/* Whose CPU time it was: what the workers used is shared out among the sidecars now and then, by what each carried meanwhile. An
 * estimate, since no request pays for a clock of its own. What a sidecar has it keeps, and takes along when it ends: who stays is
 * never charged for who left. Time in which nothing was carried is nobody's. */
#include "attach/crew.h"

#include "attach/sidecar.h"

#define UNIT_BYTES (16u * 1024) /* to be moved costs about as much as a small request; measured: docs/performance.md */

static uint64_t units_of(const struct crew *c, uint32_t slot)
{
	const struct agent all = { .n_workers = c->n_workers, .workers = c->workers };
	uint64_t v[COUNTER_COUNT], reasons[REASON_COUNT];

	agent_sum_counters(&all, slot, v, reasons);
	return v[COUNTER_REQUESTS] + v[COUNTER_CONNECTIONS] + (v[COUNTER_BYTES_IN] + v[COUNTER_BYTES_OUT]) / UNIT_BYTES;
}

/* Since the last time; of all together. */
static uint64_t look(struct crew *c)
{
	uint64_t sum = 0;

	for (uint32_t slot = 0; slot < SLOTS_SIDECARS_MAX; slot++) {
		if (!c->sidecars[slot])
			continue;
		struct agent_cost *cost = &c->sidecars[slot]->agent.cost;
		uint64_t units = units_of(c, slot);
		cost->due = units > cost->units ? units - cost->units : 0; /* workers drop their counts when it ends */
		cost->units = units;
		sum += cost->due;
	}
	return sum;
}

void crew_share_cpu(struct agent_process *p)
{
	struct crew *c = LIST_OWNER(p, struct crew, process);
	usec cpu = 0;

	for (unsigned w = 0; w < c->n_workers; w++)
		cpu += worker_cpu(c->workers[w]);
	usec used = cpu > c->cpu_seen ? cpu - c->cpu_seen : 0;
	c->cpu_seen = cpu;
	uint64_t all = look(c);
	if (!all)
		return;
	p->cpu_shared += used;
	for (uint32_t slot = 0; slot < SLOTS_SIDECARS_MAX; slot++)
		if (c->sidecars[slot]) {
			struct agent_cost *cost = &c->sidecars[slot]->agent.cost;
			cost->cpu += (usec)((double)used * (double)cost->due / (double)all);
		}
}
