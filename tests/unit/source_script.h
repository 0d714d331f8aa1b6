/* A source plug-in that says what the test says: "far" (over the network), "near" (local), "tick" (a trigger). */
#ifndef OUTRIDER_TESTS_SOURCE_SCRIPT_H
#define OUTRIDER_TESTS_SOURCE_SCRIPT_H

#include "base/mem.h"
#include "plugin.h"

#include <check.h>
#include <stdio.h>

#define SCRIPTS_MAX 32

struct source {
	struct source_events events;
	void *arg;
	char address[256], service[64], profiles[64];
	unsigned refreshed;
};

static struct source *scripts[SCRIPTS_MAX]; /* in the order of opening */
static unsigned n_scripts, n_open;

static struct source *script_open(
	const struct source_config *c, const struct source_events *events, void *arg, struct err *err)
{
	struct source *s = mem_zalloc(sizeof(*s));
	if (!s || str_eq(c->address, STR("bad"))) {
		err_set(err, s ? "that address makes no sense" : "out of memory");
		mem_free(s);
		return NULL;
	}
	s->events = *events;
	s->arg = arg;
	(void)str_copy(c->address, s->address, sizeof(s->address));
	(void)str_copy(c->service, s->service, sizeof(s->service));
	(void)str_copy(c->profiles, s->profiles, sizeof(s->profiles));
	if (str_eq(c->address, STR("early")))
		events->on_trouble(arg, "in trouble from the first");
	scripts[n_scripts++ % SCRIPTS_MAX] = s;
	n_open++;
	return s;
}

static void script_refresh(struct source *s)
{
	s->refreshed++;
}

static void script_close(struct source *s)
{
	if (s)
		n_open--;
	mem_free(s);
}

static const struct source_ops script_far = { .name = "far",
	.help = "far:ANY",
	.open = script_open,
	.refresh = script_refresh,
	.close = script_close };
static const struct source_ops script_near = { .name = "near",
	.help = "near:ANY",
	.open = script_open,
	.refresh = script_refresh,
	.close = script_close,
	.local = true };
static const struct source_ops script_tick = { .name = "tick",
	.help = "tick:ANY",
	.open = script_open,
	.refresh = script_refresh,
	.close = script_close,
	.trigger = true };
static const struct source_ops *const script_plugins[] = { &script_far, &script_near, &script_tick, NULL };

static inline void script_reset(void)
{
	n_scripts = n_open = 0;
}

/* Lines "key=value" of one set, said by the i-th source. */
static inline void script_say(unsigned i, const char *lines)
{
	struct source_property at[64];
	struct str rest = str_of(lines), line;
	char origin[64][32];
	size_t n = 0;

	while (lines[0] && str_next(&rest, '\n', &line)) {
		size_t eq = str_find(line, '=');
		ck_assert(eq != SIZE_MAX && n < 64);
		snprintf(origin[n], sizeof(origin[n]), "script:%zu", n + 1);
		at[n] = (struct source_property){ str_make(line.p, eq),
			str_make(line.p + eq + 1, line.n - eq - 1), str_of(origin[n]), 1 };
		n++;
	}
	scripts[i]->events.on_values(scripts[i]->arg, at, n);
}

static inline void script_trouble(unsigned i, const char *why)
{
	scripts[i]->events.on_trouble(scripts[i]->arg, why);
}

#endif
