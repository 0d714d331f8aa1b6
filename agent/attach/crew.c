#include "attach/crew.h"

#include "attach/sidecar.h"
#include "base/mem.h"
#include "control/build.h"
#include "control/option_buckets.h"
#include "control/ui/ui.h"

/* --- references that workers hold ------------------------------------------------------------------------------ */

struct spec_hold {
	struct list link;
	struct spec_sidecar *spec;
	unsigned n;
};

static struct spec_hold *find_hold(struct crew *c, const struct spec_sidecar *spec)
{
	LIST_EACH(it, tmp, &c->specs) {
		struct spec_hold *h = LIST_OWNER(it, struct spec_hold, link);
		if (h->spec == spec)
			return h;
	}
	return NULL;
}

bool crew_hold(struct crew *c, struct spec_sidecar *spec)
{
	struct spec_hold *h = find_hold(c, spec);
	if (!h) {
		h = mem_zalloc(sizeof(*h));
		if (!h)
			return false;
		h->spec = spec;
		list_push(&c->specs, &h->link);
	}
	h->n++;
	spec->refs++;
	return true;
}

void crew_drop(struct crew *c, struct spec_sidecar *spec)
{
	struct spec_hold *h = find_hold(c, spec);
	if (!h)
		return;
	build_unref(spec);
	if (--h->n > 0)
		return;
	list_remove(&h->link);
	mem_free(h);
}

bool crew_holds(const struct crew *c, uint32_t slot)
{
	LIST_EACH(it, tmp, &c->specs)
		if (LIST_OWNER(it, struct spec_hold, link)->spec->slot == slot)
			return true;
	return false;
}

static void drop_all(struct crew *c)
{
	while (!list_empty(&c->specs))
		crew_drop(c, LIST_OWNER(c->specs.next, struct spec_hold, link)->spec);
}

/* --- what workers say ---------------------------------------------------------------------------------------------- */

static struct sidecar *of_slot(const struct crew *c, uint32_t slot)
{
	return slot < SLOTS_SIDECARS_MAX ? c->sidecars[slot] : NULL;
}

static void on_released(void *arg, unsigned worker, struct spec_sidecar *spec)
{
	(void)worker;
	crew_drop(arg, spec);
}

static void on_wanted(void *arg, unsigned worker, uint32_t slot, struct str name)
{
	struct sidecar *sc = of_slot(arg, slot);
	(void)worker;
	if (sc)
		discovering_wanted(sc, name);
}

static void on_met(void *arg, uint32_t slot, const struct addr *endpoint, struct str hello)
{
	struct sidecar *sc = of_slot(arg, slot);
	if (sc)
		discovering_met(sc, endpoint, hello);
}

/* Its callers leave while they can still be told: of a container that has ended the network goes next. Elsewhere the network stays,
 * and a handler that comes back finds its callers. */
static void on_handler_left(void *arg, uint32_t slot)
{
	struct crew *c = arg;
	struct sidecar *sc = of_slot(c, slot);

	if (!sc || !sc->ns || !sc->handler || !handler_is_gone(sc->handler))
		return;
	for (unsigned w = 0; w < c->n_workers; w++)
		(void)worker_rest_sidecar(c->workers[w], slot); /* without memory: they find out by themselves */
}

static void on_circuit(void *arg, uint32_t slot, struct str upstream, enum breaker_change how)
{
	static const struct {
		enum log_level level;
		const char *message;
	} rows[] = {
		[BREAKER_OPENED] = { LEVEL_WARN, "the circuit of an upstream opened: its calls fail, and are refused for a while" },
		[BREAKER_REOPENED] = { LEVEL_INFO, "the circuit of an upstream stays open: its probe failed" },
		[BREAKER_HALF_OPENED] = { LEVEL_INFO, "the circuit of an upstream is half open: a call probes it" },
		[BREAKER_CLOSED_AGAIN] = { LEVEL_INFO, "the circuit of an upstream closed: its probe succeeded" },
	};
	struct sidecar *sc = of_slot(arg, slot);
	char name[256];

	if (!sc || how == BREAKER_UNCHANGED || !str_copy(upstream, name, sizeof(name)))
		return;
	log_write(&sc->log, rows[how].level, "circuit", rows[how].message, LOG_FIELDS(log_text("upstream", name)));
	agent_note(&sc->agent, CHANGE_CIRCUIT, upstream, STR(""), "%s", rows[how].message);
}

static void on_overload(void *arg, unsigned worker, enum overload_step step)
{
	struct crew *c = arg;
	const struct overload_view v = worker_overload(c->workers[worker]);

	log_write(c->log, step ? LEVEL_WARN : LEVEL_INFO, "overload",
		step ? "close to the limits of this process: see the step in docs/resilience.md" : "far enough from the limits again",
		LOG_FIELDS(log_text("step", overload_word(step)), log_u64("worker", worker), log_u64("descriptors_percent", v.descriptors),
			log_u64("buffers_percent", v.buffers), log_u64("memory_percent", c->memory_percent)));
}

void crew_seat(struct crew *c, uint32_t slot, struct sidecar *sc)
{
	c->changes++;
	if (c->telemetry)
		telemetry_drain(c->telemetry); /* what is recorded is of who stood there */
	if (sc && !sc->agent.seat)
		sc->log.seat = sc->agent.seat = ++c->seats;
	if (slot < SLOTS_SIDECARS_MAX)
		c->sidecars[slot] = sc;
}

/* --- telemetry ------------------------------------------------------------------------------------------------------ */

static void on_recorded(void *arg, unsigned worker)
{
	struct crew *c = arg;

	telemetry_recorded(c->telemetry, worker);
}

static bool who(void *arg, uint32_t slot, struct telemetry_who *ret)
{
	const struct sidecar *sc = of_slot(arg, slot);

	if (!sc || !sc->spec)
		return false;
	*ret = sc->who;
	ret->service = sc->spec->service;
	ret->seat = sc->agent.seat;
	ret->spec = sc->spec;
	return true;
}

static void keep_record(void *arg, const struct telemetry_who *w, const struct record *r, uint32_t n)
{
	struct crew *c = arg;

	flight_put(c->flight, w, r, n, loop_now(c->loop));
}

static void put_record(void *arg, const struct log_record *r)
{
	logs_put(arg, r);
}

static bool start_consumers(struct crew *c, const struct crew_config *config, struct err *err)
{
	size_t size = (size_t)options_u64(config->options, OPT_FLIGHT_SIZE);

	c->flight = size ? flight_new(size, clock_now(), err) : NULL;
	c->access = access_log_new(put_record, c->logs, err);
	c->tap = tap_new(c->loop, &c->tapped, err);
	if ((size && !c->flight) || !c->access || !c->tap)
		return err->text[0] ? false : err_set(err, "out of memory");
	const struct telemetry_consumer all[] = { { access_log_record, c->access }, { tap_record, c->tap }, { keep_record, c } };
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if ((all[i].record != keep_record || c->flight) && !telemetry_consume(c->telemetry, &all[i]))
			return err_set(err, "too many consumers of records");
	return true;
}

static bool start_telemetry(struct crew *c, const struct crew_config *config, struct err *err)
{
	const struct telemetry_config t = { .loop = c->loop, .log = c->log, .who = who, .arg = c };

	c->process.telemetry = c->telemetry = telemetry_new(&t, err);
	return c->telemetry && start_consumers(c, config, err) && telemetry_export(c->telemetry, config->options, err);
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

static bool start_worker(struct crew *c, const struct crew_config *config, struct err *err)
{
	struct worker_config cfg = {
		.index = c->n_workers,
		.buffers_max = crew_buffers(c, config),
		.max_sidecars = SLOTS_SIDECARS_MAX,
		.max_upstreams = SLOTS_UPSTREAMS_MAX,
		.max_endpoints = SLOTS_ENDPOINTS_MAX,
		.control = c->loop,
		.released = on_released,
		.wanted = on_wanted,
		.met = on_met,
		.handler_left = on_handler_left,
		.circuit_changed = on_circuit,
		.recorded = on_recorded,
		.ring = (size_t)options_u64(config->options, OPT_TRACE_RING),
		.tapped = &c->tapped,
		.overloaded = on_overload,
		.grew = crew_look_at_memory,
		.bounds = c->process.bounds,
		.memory_percent = &c->memory_percent,
		.arg = c,
	};
	struct worker *w = worker_new(&cfg, err);
	if (!w)
		return false;
	if (!worker_start(w, err)) {
		worker_free(w);
		return false;
	}
	c->workers[c->n_workers++] = w;
	return true;
}

#define SHARE_EVERY (10 * USEC_SEC) /* CPU time among sidecars, also while nobody asks */

static void on_beat_timer(void *arg)
{
	struct crew *c = arg;
	usec now = loop_touch(c->loop);
	for (unsigned w = 0; w < c->n_workers; w++)
		beat_send(&c->beats[w], worker_loop(c->workers[w]), now);
	c->process.lag = c->beat_due && now > c->beat_due ? now - c->beat_due : 0;
	c->beat_due = now + BEAT_EVERY;
	ui_beat(c->ui, now);
	if (now >= c->next_share) {
		c->next_share = now + SHARE_EVERY;
		crew_share_cpu(&c->process);
	}
	timer_set(c->loop, &c->beat_timer, c->beat_due);
}

void crew_init(struct crew *c)
{
	*c = (struct crew){ .memory = { .current = -1, .stat = -1, .statm = -1 } };
	list_init(&c->specs);
}

bool crew_start(struct crew *c, const struct crew_config *config, struct err *err)
{
	c->loop = config->loop;
	c->log = config->log;
	c->logs = config->logs;
	memory_load_open(&c->memory, NULL, config->alone);
	c->slots = slots_new(err);
	if (!c->slots)
		return false;
	c->workers = mem_zarray(config->n_workers, sizeof(*c->workers));
	c->beats = mem_zarray(config->n_workers, sizeof(*c->beats));
	if (!c->workers || !c->beats)
		return err_set(err, "out of memory");
	c->process.share_cpu = crew_share_cpu;
	c->process.series_max = (uint32_t)options_u64(config->options, OPT_METRICS_SERIES_MAX);
	c->process.series_idle = options_duration(config->options, OPT_METRICS_IDLE);
	if (!option_buckets(options_text(config->options, OPT_METRICS_BUCKETS), &c->process.bounds))
		return err_set(err, "metrics.buckets was never checked");
	if (!start_telemetry(c, config, err))
		return false;
	for (unsigned i = 0; i < config->n_workers; i++) {
		beat_init(&c->beats[i]);
		if (!start_worker(c, config, err))
			return false;
	}
	telemetry_start(c->telemetry, c->workers, c->n_workers);
	c->ui = ui_new(c->loop, err);
	if (!c->ui)
		return false;
	timer_init(&c->beat_timer, on_beat_timer, c);
	on_beat_timer(c);
	crew_watch_memory(c);
	return true;
}

void crew_halt(struct crew *c)
{
	for (unsigned w = 0; w < c->n_workers; w++)
		worker_stop(c->workers[w]);
	for (unsigned w = 0; w < c->n_workers; w++)
		worker_join(c->workers[w]);
	crew_leave_memory(c);
	/* Mail of the workers to control: released specs, lists of connections. */
	for (int i = 0; c->n_workers && i < 2; i++)
		loop_turn(c->loop, false);
	if (c->telemetry)
		telemetry_flush(c->telemetry);
	if (c->beat_timer.fn)
		timer_clear(&c->beat_timer);
}

void crew_release(struct crew *c)
{
	for (unsigned w = 0; w < c->n_workers; w++)
		worker_free(c->workers[w]);
	c->n_workers = 0;
	telemetry_free(c->telemetry);
	flight_free(c->flight);
	access_log_free(c->access);
	tap_free(c->tap);
	ui_free(c->ui);
	mem_free(c->workers);
	mem_free(c->beats);
	memory_load_close(&c->memory);
	drop_all(c); /* the workers are gone: they say nothing of the specs they had */
	slots_free(c->slots);
	near_release(&c->near);
	crew_init(c);
}
