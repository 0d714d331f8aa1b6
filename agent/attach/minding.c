/* What control does for endpoints while requests run: active checks and the comparison of success rates, with their log.
 *
 *     a spec is built ──> minding_follow() ──> health.c checks who is new ──> the workers get the spec */
#include "attach/sidecar.h"

#include "control/health.h"
#include "control/outliers.h"

static const char *why_of(const void *of, uint32_t slot)
{
	return health_why(of, slot);
}

static void on_unable(void *arg, const char *upstream, const char *why)
{
	struct sidecar *sc = arg;

	log_write(&sc->log, LEVEL_WARN, "balance", "instances are not checked",
		LOG_FIELDS(log_text("upstream", upstream), log_text("why", why)));
}

bool minding_start(struct sidecar *sc, struct err *err)
{
	struct health_config c = {
		.loop = sc->loop, .ns = sc->ns, .slots = sc->crew->slots, .unable = on_unable, .arg = sc
	};

	sc->health = health_new(&c, err);
	sc->agent.health = sc->health;
	sc->outliers = sc->health ? outliers_new(&sc->agent, err) : NULL;
	if (!sc->outliers)
		return false;
	outliers_ask(sc->outliers, why_of, sc->health);
	observed_start(&sc->observed, &sc->agent);
	return true;
}

void minding_follow(struct sidecar *sc, const struct options *o, const struct spec_sidecar *spec)
{
	if (!health_follow(sc->health, o, spec))
		log_write(&sc->log, LEVEL_WARN, "balance", "some instances are not checked: memory is short",
			NULL);
}

void minding_stop(struct sidecar *sc)
{
	observed_stop(&sc->observed);
	outliers_free(sc->outliers);
	health_free(sc->health);
	sc->agent.health = NULL;
	sc->outliers = NULL;
	sc->health = NULL;
}
