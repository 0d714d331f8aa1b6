/* The own instance in the eyes of others: is its handler up, and do registries know.
 *
 *     handler.c: listens? ──changed──> discovery_announce(state) ──> registries
 *     drain begins ──> state DOWN, then discovery_withdraw() */
#include "attach/sidecar.h"

#include "control/handler.h"
#include "control/option_value.h"

#include <stdio.h>
#include <unistd.h>

#define META_MAX 16u

struct announced { /* texts of a registry_instance */
	char host[256], id[640];
	struct registry_meta meta[META_MAX + 1];
	struct registry_instance self;
};

/* --- what is said ---------------------------------------------------------------------------------------------------- */

/* The inbound listener's port, at its own address or at "whatever the registry sees". */
static bool inbound_address(const struct sidecar *sc, struct addr *ret)
{
	const struct spec_sidecar *s = sc->spec;
	for (uint32_t i = 0; s && i < s->n_listeners; i++) {
		if (s->listeners[i].kind != LISTEN_INBOUND || i >= sc->ports.n_listeners || sc->ports.fds[i] < 0 ||
			sc->ports.bound[i].sa.sa_family == AF_UNIX)
			continue;
		*ret = sc->ports.bound[i];
		return true;
	}
	return false;
}

static bool own_address(const struct sidecar *sc, struct addr *ret)
{
	struct str said = options_text(sc->options, OPT_ADVERTISE);
	if (str_ieq(said, STR("off")))
		return false;
	if (said.n && !str_ieq(said, STR("auto")))
		return option_address(said, ret, NULL);
	return inbound_address(sc, ret);
}

static void put_meta(struct announced *a, const struct options *o)
{
	struct str list = options_text(o, OPT_META), item;
	a->meta[a->self.n_meta++] = (struct registry_meta){ STR("outrider"), STR("1") };
	while (a->self.n_meta <= META_MAX && option_item_next(&list, &item)) {
		size_t equals = str_find(item, '=');
		if (equals != SIZE_MAX && equals)
			a->meta[a->self.n_meta++] = (struct registry_meta){ str_make(item.p, equals),
				str_make(item.p + equals + 1, item.n - equals - 1) };
	}
	a->self.meta = a->meta;
}

static enum registry_state own_state(const struct sidecar *sc)
{
	if (sidecar_leaves(sc))
		return REGISTRY_DOWN;
	switch (handler_state(sc->handler)) {
	case HANDLER_UP:
		return REGISTRY_UP;
	case HANDLER_STARTING:
		return REGISTRY_STARTING;
	case HANDLER_NONE:
	case HANDLER_DOWN:
		break;
	}
	return REGISTRY_DOWN;
}

/* false: there is nothing to tell. */
static bool describe(const struct sidecar *sc, struct announced *a)
{
	const struct options *o = reload_options(sc->reload);
	struct str id = options_text(o, OPT_INSTANCE);

	*a = (struct announced){ .self = { .node = options_text(o, OPT_NODE), .zone = options_text(o, OPT_ZONE) } };
	if (!sc->spec || sc->spec->is_edge || handler_state(sc->handler) == HANDLER_NONE ||
		!own_address(sc, &a->self.addr))
		return false;
	a->self.service = sc->spec->service;
	if (gethostname(a->host, sizeof(a->host) - 1) != 0)
		a->host[0] = '\0';
	if (!a->self.node.n)
		a->self.node = str_of(a->host);
	if (!id.n) {
		snprintf(a->id, sizeof(a->id), "%s:%.*s:%u", a->host, STR_ARG(a->self.service), addr_port(&a->self.addr));
		id = str_of(a->id);
	}
	a->self.id = id;
	a->self.state = (uint8_t)own_state(sc);
	a->self.health_url = a->self.status_url = STR("");
	put_meta(a, o);
	return true;
}

/* --- telling ------------------------------------------------------------------------------------------------------------ */

void announcing_tell(struct sidecar *sc)
{
	struct announced a;
	if (!sc->handler || !sc->discovery || sc->withdrawn || !discovery_asks(sc->discovery) || !describe(sc, &a))
		return;
	if (!discovery_announce(sc->discovery, &a.self))
		log_write(&sc->log, LEVEL_WARN, "discovery", "a registry cannot be told of this instance: memory is short", NULL);
	sc->announced = true;
}

static void on_handler(void *arg)
{
	struct sidecar *sc = arg;
	enum handler_state s = handler_state(sc->handler);
	if (s == HANDLER_DOWN)
		agent_note(&sc->agent, CHANGE_HANDLER, STR(""), STR(""), "its handler takes no requests: %s", handler_why(sc->handler));
	else if (s == HANDLER_UP)
		agent_note(&sc->agent, CHANGE_HANDLER, STR(""), STR(""), "its handler takes requests");
	if (s == HANDLER_DOWN)
		log_write(&sc->log, LEVEL_WARN, "handler", "the service's own handler takes no requests",
			LOG_FIELDS(log_text("why", handler_why(sc->handler))));
	else if (s == HANDLER_UP)
		log_write(&sc->log, LEVEL_INFO, "handler", "the service's own handler takes requests", NULL);
	announcing_tell(sc);
}

static void on_withdrawn(void *arg)
{
	struct sidecar *sc = arg;
	sc->withdrawing = false;
}

void announcing_withdraw(struct sidecar *sc)
{
	struct announced a;
	if (!sc->announced || sc->withdrawn || !describe(sc, &a))
		return;
	sc->withdrawn = sc->withdrawing = true;
	discovery_withdraw(sc->discovery, a.self.id, on_withdrawn, sc);
}

/* --- life ----------------------------------------------------------------------------------------------------------------- */

bool announcing_start(struct sidecar *sc, struct err *err)
{
	struct handler_config c = { .loop = sc->loop, .ns = sc->ns, .changed = on_handler, .arg = sc };
	sc->handler = handler_new(&c, err);
	if (!sc->handler)
		return false;
	sc->agent.handler = sc->handler;
	if (sc->command != COMMAND_EDGE)
		handler_options(sc->handler, reload_options(sc->reload));
	announcing_tell(sc);
	return true;
}

void announcing_stop(struct sidecar *sc)
{
	handler_free(sc->handler);
	sc->handler = NULL;
	sc->agent.handler = NULL;
}
