/* What serves: spec, ports, workers, admin port; made in this order, taken down in reverse. */
#include "attach/process.h"

#include "base/mem.h"
#include "net/sockets.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define LISTENERS_TEXT_MAX 4096

/* --- spec ------------------------------------------------------------------------------------------------------ */

static void on_released(void *arg, unsigned worker, struct spec_sidecar *spec)
{
	(void)worker;
	spec_drop(arg, spec);
}

static bool make_spec(struct process *p, struct err *err)
{
	p->slots = slots_new(err);
	if (!p->slots)
		return false;
	if (!minding_start(p, err))
		return false;
	struct build_request q = discovering_request(p, reload_options(p->reload));
	q.stamp = p->stamp = slots_serial(p->slots);
	p->sidecar.spec = build_spec(&q, err);
	p->agent.sidecars = &p->sidecar;
	p->agent.n_sidecars = p->sidecar.spec != NULL;
	if (p->sidecar.spec)
		minding_follow(p, reload_options(p->reload), p->sidecar.spec);
	return p->sidecar.spec != NULL;
}

/* --- workers --------------------------------------------------------------------------------------------------- */

static bool start_worker(struct process *p, unsigned index, struct err *err)
{
	struct worker_config cfg = {
		.index = index,
		.buffers_max = (size_t)options_u64(p->options, OPT_LIMIT_BUFFERS),
		.max_sidecars = SLOTS_SIDECARS_MAX,
		.max_upstreams = SLOTS_UPSTREAMS_MAX,
		.max_endpoints = SLOTS_ENDPOINTS_MAX,
		.control = p->loop,
		.released = on_released,
		.wanted = discovery_asks(p->discovery) ? discovering_wanted : NULL,
		.met = discovering_met,
		.arg = p,
	};
	struct worker *w = worker_new(&cfg, err);
	if (!w)
		return false;
	struct spec_sidecar *spec = p->sidecar.spec;
	if (!spec_hold(p, spec) || !worker_set_sidecar(w, spec, ports_of_worker(&p->ports, index))) {
		worker_free(w);
		return err_set(err, "out of memory for worker %u", index);
	}
	if (!worker_start(w, err)) {
		worker_free(w); /* with the mail that held the spec */
		return false;
	}
	p->agent.workers[p->agent.n_workers++] = w;
	return true;
}

static void on_beat_timer(void *arg)
{
	struct process *p = arg;
	usec now = loop_touch(p->loop);
	for (unsigned w = 0; w < p->agent.n_workers; w++)
		beat_send(&p->agent.beats[w], worker_loop(p->agent.workers[w]), now);
	timer_set(p->loop, &p->beat_timer, now + BEAT_EVERY);
}

static bool start_workers(struct process *p, struct err *err)
{
	p->agent.workers = mem_zarray(p->set.workers, sizeof(*p->agent.workers));
	p->agent.beats = mem_zarray(p->set.workers, sizeof(*p->agent.beats));
	if (!p->agent.workers || !p->agent.beats)
		return err_set(err, "out of memory");
	for (unsigned i = 0; i < p->set.workers; i++) {
		beat_init(&p->agent.beats[i]);
		if (!start_worker(p, i, err))
			return false;
	}
	timer_init(&p->beat_timer, on_beat_timer, p);
	on_beat_timer(p);
	return true;
}

/* --- admin port ------------------------------------------------------------------------------------------------ */

static bool listen_admin(struct process *p, const struct addr *a, bool optional, struct err *err)
{
	char text[ADDR_TEXT_MAX];
	int fd = socket_listen_check(NULL, a, err) ? socket_listen(NULL, a, err) : -1;
	if (fd >= 0) {
		struct addr bound;
		if (p->admin_text.n)
			text_char(&p->admin_text, ',');
		addr_text(socket_local(fd, &bound) ? &bound : a, text);
		text_addz(&p->admin_text, text);
		return admin_listen(&p->admin, fd, err);
	}
	if (!optional || !ports_error_is_absence(errno))
		return false;
	addr_text(a, text);
	log_write(&p->log, LEVEL_WARN, "process", "an address that this machine lacks is left out",
		LOG_FIELDS(log_text("address", text), log_text("why", err->text)));
	return true;
}

static bool start_admin(struct process *p, struct err *err)
{
	struct str list = p->set.admin, piece;
	text_init(&p->admin_text, LISTENERS_TEXT_MAX);
	if (!admin_start(&p->admin, &p->agent, &p->set.guard, err))
		return false;
	int claim = p->claim;
	p->claim = -1; /* the admin port owns it from here */
	if (claim >= 0 && !admin_listen(&p->admin, claim, err))
		return false;
	while (!str_ieq(p->set.admin, STR("off")) && str_next(&list, ',', &piece)) {
		struct addr a;
		if (!addr_parse(piece, &a, err) || !listen_admin(p, &a, p->admin_text.n > 0, err))
			return err_prefix(err, "admin port");
	}
	return true;
}

/* --- together -------------------------------------------------------------------------------------------------- */

bool serving_start(struct process *p, struct err *err)
{
	p->agent.loop = p->loop;
	p->agent.log = &p->log;
	p->agent.reload = p->reload;
	p->agent.phase = AGENT_STARTING;
	p->agent.started = clock_wall();
	/* The admin port first: whoever asks while the rest starts is told so, and a second agent with the same
	 * options fails before it shares a port of the first. */
	return discovering_start(p, err) && make_spec(p, err) && start_admin(p, err) &&
	       ports_open(&p->ports, p->sidecar.spec, p->set.workers, &p->log, err) &&
	       start_workers(p, err) && announcing_start(p, err);
}

static void listeners_text(const struct process *p, bool edge_or_in, struct text *t)
{
	const struct spec_sidecar *s = p->sidecar.spec;
	char addr[ADDR_TEXT_MAX];
	for (uint32_t i = 0; i < s->n_listeners; i++) {
		bool in = s->listeners[i].kind == LISTEN_INBOUND || s->listeners[i].kind == LISTEN_EDGE;
		if (in != edge_or_in || p->ports.fds[i] < 0)
			continue;
		if (t->n)
			text_char(t, ',');
		if (s->listeners[i].kind == LISTEN_PINNED || s->listeners[i].kind == LISTEN_PINNED_TCP) {
			text_add(t, s->listeners[i].upstream->name);
			text_char(t, '@');
		}
		addr_text(&p->ports.bound[i], addr);
		text_addz(t, addr);
	}
}

void serving_announce(struct process *p)
{
	struct text in, out;
	text_init(&in, LISTENERS_TEXT_MAX);
	text_init(&out, LISTENERS_TEXT_MAX);
	listeners_text(p, true, &in);
	listeners_text(p, false, &out);
	const struct str service = p->sidecar.spec->service;
	char name[256];
	str_copy(service, name, sizeof(name));
	log_write(&p->log, LEVEL_INFO, "process", "serving",
		LOG_FIELDS(log_text("command", p->agent.command), log_text("version", p->agent.version),
			log_text("service", name), log_text("inbound", text_z(&in)),
			log_text("outbound", text_z(&out)), log_text("admin", text_z(&p->admin_text)),
			log_u64("workers", p->agent.n_workers), log_i64("pid", getpid())));
	text_release(&in);
	text_release(&out);
}

void serving_stop(struct process *p)
{
	for (unsigned w = 0; w < p->agent.n_workers; w++)
		worker_stop(p->agent.workers[w]);
	for (unsigned w = 0; w < p->agent.n_workers; w++)
		worker_join(p->agent.workers[w]);
	/* Mail of the workers to control: released specs, lists of connections. */
	for (int i = 0; p->loop && p->agent.n_workers && i < 2; i++)
		loop_turn(p->loop, false);
	if (p->beat_timer.fn)
		timer_clear(&p->beat_timer);
	admin_stop(&p->admin);
	for (unsigned w = 0; w < p->agent.n_workers; w++)
		worker_free(p->agent.workers[w]);
	p->agent.n_workers = 0;
	mem_free(p->agent.workers);
	mem_free(p->agent.beats);
	ports_close(&p->ports);
	spec_drop_all(p);
	reloading_give_up(p);
	build_unref(p->sidecar.spec);
	p->sidecar.spec = NULL;
	announcing_stop(p);
	minding_stop(p);
	discovering_stop(p);
	slots_free(p->slots);
	text_release(&p->admin_text);
	if (p->claim >= 0)
		close(p->claim);
	p->claim = -1;
}

bool serving_proxy_address(const struct process *p, char dst[ADDR_TEXT_MAX])
{
	const struct spec_sidecar *s = p->sidecar.spec;
	for (uint32_t i = 0; i < s->n_listeners; i++) {
		if (s->listeners[i].kind != LISTEN_OUTBOUND || p->ports.fds[i] < 0)
			continue;
		struct addr a = p->ports.bound[i];
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
