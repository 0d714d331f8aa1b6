/* What control does for endpoints while requests run: active checks and the comparison of success rates, with their log.
 *
 *     a spec is built ──> minding_follow() ──> health.c checks who is new ──> the workers get the spec */
#include "attach/process.h"

#include "control/health.h"
#include "control/outliers.h"

static const char *why_of(const void *of, uint32_t slot)
{
	return health_why(of, slot);
}

bool minding_start(struct process *p, struct err *err)
{
	struct health_config c = { .loop = p->loop, .slots = p->slots };

	p->health = health_new(&c, err);
	p->agent.health = p->health;
	p->outliers = p->health ? outliers_new(&p->agent, err) : NULL;
	if (!p->outliers)
		return false;
	outliers_ask(p->outliers, why_of, p->health);
	return true;
}

void minding_follow(struct process *p, const struct options *o, const struct spec_sidecar *spec)
{
	if (!health_follow(p->health, o, spec))
		log_write(&p->log, LEVEL_WARN, "balance", "some instances are not checked: memory is short", NULL);
}

void minding_stop(struct process *p)
{
	outliers_free(p->outliers);
	health_free(p->health);
	p->agent.health = NULL;
	p->outliers = NULL;
	p->health = NULL;
}
