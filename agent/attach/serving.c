/* A sidecar begins and ends: discovery, spec, admin port, ports; made in this order, taken down in reverse. */
#include "attach/sidecar.h"

#include "base/mem.h"
#include "control/ui/ui.h"
#include "net/sockets.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define LISTENERS_TEXT_MAX 4096

/* --- spec ------------------------------------------------------------------------------------------------------ */

static bool make_spec(struct sidecar *sc, struct err *err)
{
	if (!minding_start(sc, err))
		return false;
	struct build_request q = discovering_request(sc, reload_options(sc->reload));
	q.stamp = sc->stamp = slots_serial(sc->crew->slots);
	sc->spec = sc->view.spec = build_spec(&q, err);
	if (!sc->spec)
		return false;
	sc->agent.sidecars = &sc->view;
	sc->agent.n_sidecars = 1;
	crew_seat(sc->crew, sc->spec->slot, sc);
	if (sc->spec->hello_left)
		log_write(&sc->log, LEVEL_WARN, "discovery", "metadata find no room in what other agents are told; they are left out",
			LOG_FIELDS(log_u64("left_out", sc->spec->hello_left), log_u64("bytes", HELLO_MAX),
				log_text("remedy", "shorten OUTRIDER_META; registries are told all of it")));
	minding_follow(sc, reload_options(sc->reload), sc->spec);
	return true;
}

/* --- admin port ------------------------------------------------------------------------------------------------ */

static bool listen_admin(struct sidecar *sc, const struct addr *a, bool optional, struct err *err)
{
	char text[ADDR_TEXT_MAX];
	int fd = socket_listen_check(sc->ns, a, err) ? socket_listen(sc->ns, a, err) : -1;
	if (fd >= 0) {
		struct addr bound;
		if (sc->admin_text.n)
			text_char(&sc->admin_text, ',');
		addr_text(socket_local(fd, &bound) ? &bound : a, text);
		text_addz(&sc->admin_text, text);
		return admin_listen(&sc->admin, fd, err);
	}
	if (!optional || !ports_error_is_absence(errno))
		return false;
	addr_text(a, text);
	log_write(&sc->log, LEVEL_WARN, "process", "an address that this machine lacks is left out",
		LOG_FIELDS(log_text("address", text), log_text("why", err->text)));
	return true;
}

static bool start_admin(struct sidecar *sc, struct err *err)
{
	const struct str all = options_text(sc->options, OPT_ADMIN);
	struct str list = all, piece;
	text_init(&sc->admin_text, LISTENERS_TEXT_MAX);
	const struct guard_policy guard = {
		.token = options_text(sc->options, OPT_ADMIN_TOKEN),
		.hosts = options_text(sc->options, OPT_ADMIN_HOSTS),
	};
	if (!admin_start(&sc->admin, &sc->agent, &guard, err))
		return false;
	int claim = sc->claim;
	sc->claim = -1; /* the admin port owns it from here */
	if (claim >= 0 && !admin_listen(&sc->admin, claim, err))
		return false;
	while (!str_ieq(all, STR("off")) && str_next(&list, ',', &piece)) {
		struct addr a;
		if (!addr_parse(piece, &a, err) || !listen_admin(sc, &a, sc->admin_text.n > 0, err))
			return err_prefix(err, "admin port");
	}
	return true;
}

/* --- together -------------------------------------------------------------------------------------------------- */

void sidecar_init(struct sidecar *sc, enum command command)
{
	*sc = (struct sidecar){ .command = command, .claim = -1 };
	list_init(&sc->changes);
	log_init(&sc->log, STDERR_FILENO, LEVEL_INFO);
}

static void fill_agent(struct sidecar *sc)
{
	struct agent *a = &sc->agent;
	a->loop = sc->loop;
	a->log = &sc->log;
	a->reload = sc->reload;
	a->started = clock_wall();
	a->workers = sc->crew->workers;
	a->beats = sc->crew->beats;
	a->n_workers = sc->crew->n_workers;
	a->flight = sc->crew->flight;
	a->tap = sc->crew->tap;
	a->access = sc->crew->access;
	a->logs = sc->crew->logs;
	a->process = &sc->crew->process;
	a->ui = sc->crew->ui;
	a->changes = ui_changes(a->ui);
	a->node = sc->who.node.n ? sc->who.node : options_text(sc->options, OPT_NODE);
	sc->view.agent = a;
	sc->view.who = &sc->who;
	if (!sc->who.node.n) /* a host's name may be a container's: only what somebody said is a node */
		sc->who.node = options_text(sc->options, OPT_NODE);
}

bool serving_start(struct sidecar *sc, struct err *err)
{
	fill_agent(sc);
	/* The admin port first: whoever asks while the rest starts is told so, and a second agent with the same
	 * options fails before it shares a port of the first. */
	return discovering_start(sc, err) && make_spec(sc, err) && start_admin(sc, err) &&
	       ports_open(&sc->ports, sc->ns, sc->spec, sc->crew->n_workers, &sc->log, err) &&
	       reloading_tell(sc, sc->spec, &sc->ports, err) && announcing_start(sc, err);
}

static void listeners_text(const struct sidecar *sc, bool edge_or_in, struct text *t)
{
	const struct spec_sidecar *s = sc->spec;
	char addr[ADDR_TEXT_MAX];
	for (uint32_t i = 0; i < s->n_listeners; i++) {
		bool in = s->listeners[i].kind == LISTEN_INBOUND || s->listeners[i].kind == LISTEN_EDGE;
		if (in != edge_or_in || sc->ports.fds[i] < 0)
			continue;
		if (t->n)
			text_char(t, ',');
		if (s->listeners[i].kind == LISTEN_PINNED || s->listeners[i].kind == LISTEN_PINNED_TCP) {
			text_add(t, s->listeners[i].upstream->name);
			text_char(t, '@');
		}
		addr_text(&sc->ports.bound[i], addr);
		text_addz(t, addr);
	}
}

void serving_announce(struct sidecar *sc)
{
	struct text in, out;
	text_init(&in, LISTENERS_TEXT_MAX);
	text_init(&out, LISTENERS_TEXT_MAX);
	listeners_text(sc, true, &in);
	listeners_text(sc, false, &out);
	const struct str service = sc->spec->service;
	char name[256];
	str_copy(service, name, sizeof(name));
	agent_note(&sc->agent, CHANGE_SIDECAR_UP, STR(""), STR(""), "%s serves, version %s", sc->agent.command, sc->agent.version);
	log_write(&sc->log, LEVEL_INFO, "process", "serving",
		LOG_FIELDS(log_text("command", sc->agent.command), log_text("version", sc->agent.version),
			log_text("service", name), log_text("inbound", text_z(&in)),
			log_text("outbound", text_z(&out)), log_text("admin", text_z(&sc->admin_text)),
			log_u64("workers", sc->agent.n_workers), log_i64("pid", getpid())));
	text_release(&in);
	text_release(&out);
}

void serving_stop(struct sidecar *sc)
{
	sc->stopped = true;
	admin_stop(&sc->admin);
	ports_close(&sc->ports);
	reloading_give_up(sc);
	if (sc->spec) {
		crew_seat(sc->crew, sc->spec->slot, NULL);
		slots_sidecar_unuse(sc->crew->slots, sc->spec->slot);
	}
	build_unref(sc->spec);
	sc->spec = sc->view.spec = NULL;
	sc->agent.n_sidecars = 0;
	announcing_stop(sc);
	minding_stop(sc);
	discovering_stop(sc);
	text_release(&sc->admin_text);
	if (sc->claim >= 0)
		close(sc->claim);
	sc->claim = -1;
}

void sidecar_release(struct sidecar *sc)
{
	reloading_release(sc);
	sc->who.node = STR("");
	options_free(sc->options);
	sc->options = NULL;
}

bool serving_proxy_address(const struct sidecar *sc, char dst[ADDR_TEXT_MAX])
{
	const struct spec_sidecar *s = sc->spec;
	for (uint32_t i = 0; i < s->n_listeners; i++) {
		if (s->listeners[i].kind != LISTEN_OUTBOUND || sc->ports.fds[i] < 0)
			continue;
		struct addr a = sc->ports.bound[i];
		if (a.sa.sa_family == AF_UNIX)
			continue; /* no proxy variable can say that */
		if (addr_is_any(&a) && a.sa.sa_family == AF_INET)
			a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		else if (addr_is_any(&a))
			a.in6.sin6_addr = in6addr_loopback;
		addr_text(&a, dst);
		return true;
	}
	return false;
}
