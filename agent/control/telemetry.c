#include "control/telemetry.h"

#include "base/mem.h"
#include "base/ring.h"
#include "control/log.h"
#include "control/option_mask.h"
#include "control/nearest.h"
#include "control/options.h"
#include "control/spans.h"
#include "net/timer.h"
#include "proxy/worker.h"

#define SLICE (4 * USEC_MS)  /* of one callback */
#define LOOK_EVERY 32u       /* records between two looks at the clock */
#define FLUSH_TIME USEC_SEC
#define TROUBLE_MAX 512u

struct exporting {
	struct telemetry *owner;
	const struct exporter_ops *ops;
	struct exporter *exporter;
	struct text name, trouble;
};

struct telemetry {
	struct telemetry_config cfg;
	struct worker *const *workers;
	unsigned n_workers;
	struct timer timer;
	struct telemetry_consumer consumers[TELEMETRY_CONSUMERS_MAX];
	unsigned n_consumers;
	struct resolver *resolver;
	struct exporting exporters[TELEMETRY_EXPORTERS_MAX];
	unsigned n_exporters;
	unsigned flushing; /* exporters that have not said done */
	struct span_set set;
};

/* --- records --------------------------------------------------------------------------------------------------------------- */

static void export(struct telemetry *t, const struct telemetry_who *who, const struct record *r)
{
	if (!t->n_exporters || !(r->why & RECORD_TRACED))
		return;
	spans_of(who, r, &t->set);
	for (unsigned i = 0; i < t->n_exporters; i++)
		t->exporters[i].ops->put(t->exporters[i].exporter, t->set.at, t->set.n);
}

static void give(struct telemetry *t, const struct record *r, uint32_t n)
{
	struct telemetry_who who = { .seat = 0 };

	if (!t->cfg.who(t->cfg.arg, r->slot, &who))
		return;
	export(t, &who, r);
	for (unsigned i = 0; i < t->n_consumers; i++)
		t->consumers[i].record(t->consumers[i].arg, &who, r, n);
}

/* How many; *all is false when there are more than fit before `until`. */
static unsigned drain_worker(struct telemetry *t, struct worker *w, usec until, bool *all)
{
	struct ring *ring = worker_ring(w);
	unsigned seen = 0;
	uint32_t n;

	for (const void *r; (r = ring_peek(ring, &n)) != NULL; ring_pop(ring)) {
		if (++seen % LOOK_EVERY == 0 && clock_now() >= until) {
			*all = false;
			break;
		}
		give(t, r, n);
	}
	return seen;
}

/* A worker that saw "control was told" just before it was read here says nothing of its record, which may still have been on its way to
 * memory. So who found something looks once more; a fence of the worker's for each record would cost more. */
static void on_time(void *arg)
{
	struct telemetry *t = arg;
	usec until = clock_now() + SLICE;
	unsigned found = 0;
	bool all = true;

	for (unsigned i = 0; i < t->n_workers; i++) {
		worker_ring_read(t->workers[i]);
		found += drain_worker(t, t->workers[i], until, &all);
	}
	if (found)
		timer_set(t->cfg.loop, &t->timer, loop_touch(t->cfg.loop) + (all ? TELEMETRY_EVERY : TELEMETRY_EVERY / 4));
}

void telemetry_recorded(struct telemetry *t, unsigned worker)
{
	if (worker < t->n_workers && !timer_armed(&t->timer))
		timer_set(t->cfg.loop, &t->timer, loop_touch(t->cfg.loop) + TELEMETRY_EVERY);
}

void telemetry_drain(struct telemetry *t)
{
	bool all;

	for (unsigned i = 0; i < t->n_workers; i++)
		(void)drain_worker(t, t->workers[i], UINT64_MAX, &all);
}

bool telemetry_consume(struct telemetry *t, const struct telemetry_consumer *c)
{
	if (t->n_consumers == TELEMETRY_CONSUMERS_MAX)
		return false;
	t->consumers[t->n_consumers++] = *c;
	return true;
}

/* --- exporters --------------------------------------------------------------------------------------------------------------- */

static const struct exporter_ops *find_ops(struct str item, struct str *address, struct err *err)
{
	size_t colon = str_find(item, ':');
	struct str name = str_make(item.p, colon == SIZE_MAX ? item.n : colon);
	const char *near = NULL;

	*address = colon == SIZE_MAX ? STR("") : str_make(item.p + colon + 1, item.n - colon - 1);
	for (size_t i = 0; plugin_exporters[i]; i++) {
		if (str_eq(name, str_of(plugin_exporters[i]->name)))
			return plugin_exporters[i];
		if (nearest_is_near(name, str_of(plugin_exporters[i]->name)))
			near = plugin_exporters[i]->name;
	}
	err_set(err, "outrider.trace: there is no exporter \"%.*s\"%s%s%s", STR_ARG(name), near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return NULL;
}

static void on_trouble(void *arg, const char *why)
{
	struct exporting *e = arg;

	text_clear(&e->trouble);
	text_addz(&e->trouble, why);
	log_write(e->owner->cfg.log, why[0] ? LEVEL_WARN : LEVEL_INFO, "trace", why[0] ? "spans cannot be delivered" : "spans are delivered again",
		LOG_FIELDS(log_text("exporter", text_z(&e->name)), log_text("why", why)));
}

static bool open_one(struct telemetry *t, const struct options *o, struct str item, struct err *err)
{
	static const struct exporter_events events = { on_trouble };
	struct exporter_config c = { .loop = t->cfg.loop, .settings = { options_setting, o } };

	if (t->n_exporters == TELEMETRY_EXPORTERS_MAX)
		return err_set(err, "outrider.trace: more than %u exporters", TELEMETRY_EXPORTERS_MAX);
	struct exporting *e = &t->exporters[t->n_exporters];
	e->owner = t;
	e->ops = find_ops(item, &c.address, err);
	if (!e->ops)
		return false;
	if (!t->resolver && !(t->resolver = resolver_new(t->cfg.loop, NULL, err)))
		return false;
	c.resolver = t->resolver;
	text_init(&e->name, 512);
	text_init(&e->trouble, TROUBLE_MAX);
	mask_address(&e->name, item);
	e->exporter = e->ops->open(&c, &events, e, err);
	if (e->exporter) {
		t->n_exporters++;
		return true;
	}
	err_prefix(err, "outrider.trace: %s", text_z(&e->name));
	text_release(&e->name);
	text_release(&e->trouble);
	return false;
}

bool telemetry_export(struct telemetry *t, const struct options *o, struct err *err)
{
	struct str list = options_text(o, OPT_TRACE), item;

	if (str_ieq(list, STR("off")))
		return true;
	while (str_next(&list, ',', &item))
		if (item.n && !open_one(t, o, item, err))
			return false;
	return true;
}

bool telemetry_exporter(const struct telemetry *t, unsigned i, struct telemetry_exporter *ret)
{
	if (i >= t->n_exporters)
		return false;
	const struct exporting *e = &t->exporters[i];
	*ret = (struct telemetry_exporter){ .name = text_z(&e->name), .trouble = text_z(&e->trouble),
					    .counts = e->ops->counts(e->exporter) };
	return true;
}

struct telemetry_counts telemetry_counts(const struct telemetry *t)
{
	struct telemetry_counts c = { 0, 0 };

	for (unsigned i = 0; i < t->n_workers; i++) {
		const struct ring *r = worker_ring(t->workers[i]);
		c.written += atomic_load_explicit(&r->written, memory_order_relaxed);
		c.dropped += atomic_load_explicit(&r->dropped, memory_order_relaxed);
	}
	return c;
}

/* --- life ---------------------------------------------------------------------------------------------------------------------- */

struct telemetry *telemetry_new(const struct telemetry_config *config, struct err *err)
{
	struct telemetry *t = mem_zalloc(sizeof(*t));

	if (!t) {
		err_set(err, "out of memory");
		return NULL;
	}
	t->cfg = *config;
	timer_init(&t->timer, on_time, t);
	return t;
}

void telemetry_start(struct telemetry *t, struct worker *const *workers, unsigned n)
{
	t->workers = workers;
	t->n_workers = n;
}

static void on_flushed(void *arg)
{
	struct telemetry *t = arg;

	t->flushing--;
}

static void on_wake(void *arg)
{
	(void)arg; /* the turn ends */
}

void telemetry_flush(struct telemetry *t)
{
	struct timer wake;
	usec until = clock_now() + FLUSH_TIME;

	telemetry_drain(t);
	t->flushing = t->n_exporters;
	for (unsigned i = 0; i < t->n_exporters; i++)
		t->exporters[i].ops->flush(t->exporters[i].exporter, on_flushed, t);
	timer_init(&wake, on_wake, NULL);
	timer_set(t->cfg.loop, &wake, until);
	while (t->flushing && clock_now() < until && timer_armed(&wake))
		loop_turn(t->cfg.loop, true);
	timer_clear(&wake);
}

void telemetry_free(struct telemetry *t)
{
	if (!t)
		return;
	timer_clear(&t->timer);
	for (unsigned i = 0; i < t->n_exporters; i++) {
		struct exporting *e = &t->exporters[i];
		e->ops->close(e->exporter);
		text_release(&e->name);
		text_release(&e->trouble);
	}
	if (t->resolver)
		resolver_free(t->resolver);
	mem_free(t);
}
