/* `redis:HOST:PORT` and `rediss:HOST:PORT` (over TLS): properties in hashes of Redis, live by messages and keyspace events.
 *
 *     redis_link (the connection) ──> redis_config (which hashes, when to read) ──> here: what control understands
 *
 * Origin of a property: "redis:HOST:PORT/outrider:config:accountservice". What a user sees of it is docs/config-redis.md. */
#include "redis_config.h"

#include "base/mem.h"
#include "plugin.h"

#include <stdio.h>

#define ORIGIN_MAX (TLS_NAME_MAX + 400) /* scheme, host, port, hash */

struct source {
	struct source_events events;
	void *arg;
	const char *scheme;
	struct redis_config *config;
};

/* --- what control hears --------------------------------------------------------------------------------------------- */

/* "redis:[::1]:6379"; `what` follows it. */
static void place(const struct source *s, struct str what, char *ret, size_t cap)
{
	const struct redis_address *a = redis_config_server(s->config);
	bool bare = str_find(a->host, ':') != SIZE_MAX;

	snprintf(ret, cap, "%s:%s%.*s%s:%u%.*s", s->scheme, bare ? "[" : "", STR_ARG(a->host),
		bare ? "]" : "", a->port, STR_ARG(what));
}

static void say_values(struct source *s, struct source_property *to, char (*origins)[ORIGIN_MAX],
	const struct redis_field *from, size_t n)
{
	char *origin = NULL;
	size_t hashes = 0;

	for (size_t i = 0; i < n; i++) {
		if (i == 0 || from[i].rank != from[i - 1].rank) { /* one text for a whole hash */
			char name[ORIGIN_MAX];
			snprintf(name, sizeof(name), "/%.*s", STR_ARG(from[i].hash));
			origin = origins[hashes++];
			place(s, str_of(name), origin, ORIGIN_MAX);
		}
		to[i] = (struct source_property){ .key = from[i].key,
			.value = from[i].value,
			.origin = str_of(origin),
			.set = from[i].rank };
	}
	s->events.on_values(s->arg, to, n);
}

static void on_values(void *arg, const struct redis_field *fields, size_t n)
{
	struct source *s = arg;
	struct source_property *to = mem_zarray(n ? n : 1, sizeof(*to));
	char(*origins)[ORIGIN_MAX] = mem_zarray(2u * (REDIS_PROFILES_MAX + 1u), ORIGIN_MAX);

	if (to && origins)
		say_values(s, to, origins, fields, n);
	else
		s->events.on_trouble(s->arg, "out of memory; the former values stay");
	mem_free(to);
	mem_free(origins);
}

static void on_trouble(void *arg, const char *why)
{
	struct source *s = arg;
	char where[ORIGIN_MAX];
	struct err err;

	if (why[0] == '\0') {
		s->events.on_trouble(s->arg, why);
		return;
	}
	place(s, STR(""), where, sizeof(where));
	err_set(&err, "%s: %s", where, why);
	s->events.on_trouble(s->arg, err.text);
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

static void redis_close(struct source *s)
{
	if (!s)
		return;
	redis_config_free(s->config);
	mem_free(s);
}

static bool set_up(struct source *s, const struct source_config *c, bool secure, struct err *err)
{
	static const struct redis_config_events events = { on_values, on_trouble };
	struct str ca = plugin_setting(&c->settings, "redis", "ca");
	char *ca_file = ca.n ? mem_dup(ca.p, ca.n) : NULL;

	if (ca.n && !ca_file)
		return err_set(err, "out of memory");
	s->config = redis_config_new(
		&(struct redis_config_options){
			.loop = c->loop,
			.ns = c->ns,
			.resolver = c->resolver,
			.address = c->address,
			.secure = secure,
			.ca = ca_file,
			.username = plugin_setting(&c->settings, "redis", "username"),
			.password = plugin_setting(&c->settings, "redis", "password"),
			.service = c->service,
			.profiles = c->profiles,
			.poll = c->poll,
		},
		&events, s, err);
	mem_free(ca_file);
	return s->config != NULL;
}

static struct source *open_as(const char *scheme, const struct source_config *c,
	const struct source_events *events, void *arg, struct err *err)
{
	struct source *s = mem_zalloc(sizeof(*s));

	if (!s) {
		err_set(err, "out of memory");
		return NULL;
	}
	s->events = *events;
	s->arg = arg;
	s->scheme = scheme;
	if (set_up(s, c, str_eq(str_of(scheme), STR("rediss")), err))
		return s;
	redis_close(s);
	return NULL;
}

static struct source *redis_open(
	const struct source_config *c, const struct source_events *events, void *arg, struct err *err)
{
	return open_as("redis", c, events, arg, err);
}

static struct source *rediss_open(
	const struct source_config *c, const struct source_events *events, void *arg, struct err *err)
{
	return open_as("rediss", c, events, arg, err);
}

static void redis_refresh(struct source *s)
{
	redis_config_refresh(s->config);
}

extern const struct source_ops source_redis, source_rediss;
const struct source_ops source_redis = {
	.name = "redis",
	.help = "redis:HOST:PORT[/DATABASE], hashes outrider:config:<service>[:<profile>]; several servers "
		"by |",
	.open = redis_open,
	.refresh = redis_refresh,
	.close = redis_close,
};
const struct source_ops source_rediss = {
	.name = "rediss",
	.help = "rediss:HOST:PORT[/DATABASE], as redis, over TLS",
	.open = rediss_open,
	.refresh = redis_refresh,
	.close = redis_close,
};
