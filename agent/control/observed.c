#include "control/observed.h"

#include "control/log.h"

static const struct {
	enum counter_id id;
	const char *word;
} rows[OBSERVED_KINDS] = {
	{ COUNTER_OBSERVED_SHORTED, "broken" },
	{ COUNTER_OBSERVED_REJECTED, "refused" },
	{ COUNTER_OBSERVED_SHED, "shed" },
	{ COUNTER_OBSERVED_RETRIES, "retried" },
	{ COUNTER_OBSERVED_EJECTIONS, "ejected" },
};

void observed_tick(struct observed *o)
{
	const struct agent *a = o->agent;
	uint64_t v[COUNTER_COUNT], reasons[REASON_COUNT], fresh[OBSERVED_KINDS];
	bool any = false;

	if (!a->n_sidecars || !a->sidecars[0].spec)
		return;
	agent_sum_counters(a, a->sidecars[0].spec->slot, v, reasons);
	for (unsigned i = 0; i < OBSERVED_KINDS; i++) {
		fresh[i] = v[rows[i].id] - o->told[i];
		o->told[i] = v[rows[i].id];
		any = any || fresh[i];
	}
	if (any)
		log_write(a->log, LEVEL_WARN, "resilience",
			"mode observe: calls were left alone that mode on would have treated so",
			LOG_FIELDS(log_u64(rows[0].word, fresh[0]), log_u64(rows[1].word, fresh[1]),
				log_u64(rows[2].word, fresh[2]), log_u64(rows[3].word, fresh[3]),
				log_u64(rows[4].word, fresh[4])));
}

static void on_timer(void *arg)
{
	struct observed *o = arg;

	observed_tick(o);
	timer_set(o->agent->loop, &o->timer,
		timer_shared(loop_touch(o->agent->loop) + OBSERVED_EVERY, OBSERVED_EVERY));
}

void observed_start(struct observed *o, const struct agent *agent)
{
	*o = (struct observed){ .agent = agent };
	timer_init(&o->timer, on_timer, o);
	timer_set(agent->loop, &o->timer,
		timer_shared(loop_touch(agent->loop) + OBSERVED_EVERY, OBSERVED_EVERY));
}

void observed_stop(struct observed *o)
{
	if (o->agent)
		timer_clear(&o->timer);
}
