#include "attach/engine_int.h"

#include "base/mem.h"
#include "http/bounded_json.h"

#include <stdarg.h>
#include <stdio.h>

#define PAUSE_FIRST (100 * USEC_MS)
#define PAUSE_MOST (5 * USEC_SEC)

static void ask(struct engine *e, const char *path)
{
	engine_ask_start(&e->ask, path);
}

static void again_in(struct engine *e, usec pause)
{
	timer_set(e->cfg.loop, &e->timer, loop_touch(e->cfg.loop) + pause - pause / 20 + rng_below(&e->rng, (uint32_t)(pause / 10)));
}

void engine_trouble(struct engine *e, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (!e->troubled)
		e->cfg.trouble(e->cfg.arg, why);
	e->troubled = true;
	e->good = 0;
	engine_events_close(e);
	again_in(e, e->pause);
	e->pause = e->pause * 2 < PAUSE_MOST ? e->pause * 2 : PAUSE_MOST;
}

/* --- the steps: ping, info, list ---------------------------------------------------------------------------------- */

/* "1.41" */
static unsigned minor_of(struct str version)
{
	uint64_t minor;
	if (!str_starts(version, STR("1.")) || !str_u64(str_make(version.p + 2, version.n - 2), &minor) || minor > 1000)
		return 0;
	return (unsigned)minor;
}

static void on_ping(struct engine *e, const struct engine_reply *r)
{
	unsigned most = minor_of(engine_field(r->head, "Api-Version"));

	if (r->status != 200) {
		engine_trouble(e, "the engine answers %d to /_ping: let GETs of it through", r->status);
		return;
	}
	if (most && most < ENGINE_API_MIN) {
		engine_trouble(e, "the engine speaks API 1.%u at most, 1.%u is needed (Docker 20.10 or newer)", most, ENGINE_API_MIN);
		return;
	}
	char path[64];
	e->api = !most || most > ENGINE_API_MAX ? ENGINE_API_MAX : most;
	snprintf(path, sizeof(path), "/v1.%u/info", e->api);
	ask(e, path);
}

static struct str text_of(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	return cJSON_IsString(v) ? str_of(v->valuestring) : STR("");
}

static void ask_list(struct engine *e)
{
	char path[64];

	engine_events_open(e); /* first, so that nothing happens unseen in between */
	if (!e->streaming)
		return;
	e->lists++;
	snprintf(path, sizeof(path), "/v1.%u/containers/json", e->api);
	ask(e, path);
}

static void on_info(struct engine *e, const struct engine_reply *r)
{
	static const struct json_limits limits = { 1u << 20, 65536, 32 };
	struct err err = { "" };
	cJSON *root = r->status == 200 ? bounded_json_parse_foreign(r->body, &limits, &err) : NULL;
	const cJSON *swarm = cJSON_GetObjectItemCaseSensitive(root, "Swarm");
	struct engine_info i = {
		.node = text_of(root, "Name"),
		.node_id = text_of(swarm, "NodeID"),
		.version = text_of(root, "ServerVersion"),
		.api = e->api,
		.swarm = str_eq(text_of(swarm, "LocalNodeState"), STR("active")),
		.manager = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(swarm, "ControlAvailable")),
	};

	if (root)
		e->cfg.info(e->cfg.arg, &i);
	cJSON_Delete(root);
	ask_list(e); /* without it the node has no name, and that is all */
}

static void forget_unlisted(struct engine *e)
{
	LIST_EACH(it, tmp, &e->all) {
		struct known *k = LIST_OWNER(it, struct known, link);
		if (k->listed >= e->lists || !k->told || k->asked)
			continue;
		if (k->unread)
			engine_forget(e, k);
		else
			engine_want(e, k); /* it says itself that it ended, or that there is none */
	}
}

static void on_list(struct engine *e, const struct engine_reply *r)
{
	static const struct json_limits limits = { ENGINE_BODY_MAX, 1u << 20, 32 };
	struct err err = { "" };
	cJSON *root = r->status == 200 ? bounded_json_parse_foreign(r->body, &limits, &err) : NULL;
	const cJSON *item;

	if (!cJSON_IsArray(root)) {
		cJSON_Delete(root);
		engine_trouble(e, "the engine answers %d to /containers/json%s%s", r->status, err.text[0] ? ": " : ": let GETs of it through",
			err.text);
		return;
	}
	e->good++;
	cJSON_ArrayForEach(item, root) {
		struct known *k = engine_know(e, text_of(item, "Id"));
		if (!k)
			continue;
		k->listed = e->lists;
		engine_want(e, k);
	}
	cJSON_Delete(root);
	forget_unlisted(e);
	e->counted = true;
	engine_look_up(e);
	engine_look_on(e);
	again_in(e, e->streaming ? ENGINE_LIST_EVERY : e->pause);
}

/* When a list came and events are sent; something between us and the engine may hold the head of its answer back until there is one. */
void engine_look_up(struct engine *e)
{
	if (!e->streaming || e->refused || !e->good || (!e->answered && e->good < 2))
		return;
	if (e->troubled)
		e->cfg.trouble(e->cfg.arg, "");
	e->troubled = false;
	e->pause = PAUSE_FIRST;
}

static void on_reply(void *arg, const struct engine_reply *r)
{
	struct engine *e = arg;

	if (!r->status) {
		char path[ADDR_TEXT_MAX];
		addr_text(&e->cfg.to, path);
		engine_trouble(e, "the engine cannot be asked at %s: %s; mount its socket there (volumes: /var/run/docker.sock), or name "
				  "another place by outrider.engine", path, r->why);
	} else if (strcmp(e->ask.path, "/_ping") == 0) {
		on_ping(e, r);
	} else if (str_ends(str_of(e->ask.path), STR("/info"))) {
		on_info(e, r);
	} else {
		on_list(e, r);
	}
}

/* Everything begins with the version: the engine may have been replaced by another. */
static void on_timer(void *arg)
{
	struct engine *e = arg;
	if (e->streaming && e->api)
		ask_list(e);
	else
		ask(e, "/_ping");
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

struct engine *engine_open(const struct engine_config *config, struct err *err)
{
	struct engine *e = mem_zalloc(sizeof(*e));

	if (!e) {
		err_set(err, "out of memory");
		return NULL;
	}
	e->cfg = *config;
	e->pause = PAUSE_FIRST;
	rng_seed_os(&e->rng);
	engine_looks_init(e);
	engine_ask_init(&e->ask, config->loop, &config->to, on_reply, e);
	timer_init(&e->timer, on_timer, e);
	timer_set(config->loop, &e->timer, 0);
	return e;
}

void engine_again(struct engine *e)
{
	LIST_EACH(it, tmp, &e->all) {
		struct known *k = LIST_OWNER(it, struct known, link);
		k->said = 0;
		k->wanted = true;
	}
	if (e->api)
		engine_look_on(e);
}

void engine_close(struct engine *e)
{
	if (!e)
		return;
	timer_clear(&e->timer);
	engine_ask_stop(&e->ask);
	engine_events_close(e);
	engine_looks_stop(e);
	mem_free(e);
}
