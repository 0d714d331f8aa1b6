/* An exporter before a scripted collector, its time driven by the test; at every turn nothing is lost without being counted. */
#ifndef OUTRIDER_TESTS_EXPORTER_SCENE_H
#define OUTRIDER_TESTS_EXPORTER_SCENE_H

#include "fetch_scene.h"
#include "plugin.h"

extern const struct exporter_ops exporter_zipkin, exporter_otlp, exporter_log;

struct exporter_scene {
	struct scene net;
	const struct exporter_ops *ops;
	struct exporter *exporter;
	char trouble[512];
	unsigned troubles, done;
	const char *settings[16]; /* name, value, …, NULL */
};

static inline struct str scene_setting(const void *of, const char *plugin, const char *name)
{
	const struct exporter_scene *s = of;

	(void)plugin;
	for (size_t i = 0; s->settings[i]; i += 2)
		if (strcmp(s->settings[i], name) == 0)
			return str_of(s->settings[i + 1]);
	return (struct str){ NULL, 0 };
}

static inline void scene_trouble(void *arg, const char *why)
{
	struct exporter_scene *s = arg;

	s->troubles++;
	str_copy(str_of(why), s->trouble, sizeof(s->trouble));
}

static inline void scene_done(void *arg)
{
	struct exporter_scene *s = arg;

	s->done++;
}

static inline struct exporter_counts scene_counts(struct exporter_scene *s)
{
	struct exporter_counts c = s->ops->counts(s->exporter);

	ck_assert_uint_eq(c.produced, c.sent + c.queued + c.dropped_full + c.dropped_refused + c.dropped_failed);
	return c;
}

static inline bool exporter_try(struct exporter_scene *s, const struct exporter_ops *ops, const char *address, struct err *err)
{
	static const struct exporter_events events = { scene_trouble };
	struct exporter_config c = { .loop = s->net.loop, .resolver = s->net.resolver, .address = str_of(address), .settings = { scene_setting, s } };

	s->ops = ops;
	s->exporter = ops->open(&c, &events, s, err);
	return s->exporter != NULL;
}

/* format: an address with %u for the collector's port, which may stand there twice. */
static inline void exporter_open(struct exporter_scene *s, const struct exporter_ops *ops, const char *format)
{
	struct err err = { "" };
	struct text t;

	text_init(&t, 4096);
	for (const char *at = format, *hole; at; at = hole ? hole + 2 : NULL) {
		hole = strstr(at, "%u");
		text_add(&t, hole ? str_make(at, (size_t)(hole - at)) : str_of(at));
		if (hole)
			text_u64(&t, s->net.port);
	}
	ck_assert_msg(exporter_try(s, ops, text_z(&t), &err), "%s", err.text);
	text_release(&t);
}

static inline void exporter_shut(struct exporter_scene *s)
{
	s->ops->close(s->exporter);
	scene_close(&s->net);
}

static inline void exporter_put(struct exporter_scene *s, unsigned n)
{
	struct span span = { .trace_lo = 1, .id = 1, .name = STR("get"), .started = 1754000000000000, .duration = 5, .local.service = STR("orders") };

	while (n--) {
		s->ops->put(s->exporter, &span, 1);
		span.id++;
	}
	(void)scene_counts(s);
}

/* Until nothing is queued, or 10 s are over: from the time on when the first batch is due, each 20 ms of ours are 70 of the exporter's. */
static inline struct exporter_counts exporter_drain(struct exporter_scene *s)
{
	usec end = clock_now() + 10 * USEC_SEC, skip = clock_now();

	loop_skip(s->net.loop, USEC_SEC);
	while (scene_counts(s).queued && clock_now() < end) {
		loop_turn(s->net.loop, false);
		if (clock_now() > skip) {
			loop_skip(s->net.loop, 50 * USEC_MS);
			skip = clock_now() + 20 * USEC_MS;
		}
	}
	return scene_counts(s);
}

#endif
