/* Discovery of a serving process: which services are asked for, and the way of a changed set to the workers.
 *
 *     options name upstreams, workers call names ──> discovery_want()
 *     a set changed ──> on the next turns: reloading_publish() with the options in force
 *     nobody knows the name ──> worker_unknown() of each worker */
#include "attach/sidecar.h"

#include "base/mem.h"
#include "control/ui/rollout.h"

#include <stdlib.h>

#define CALLED_MAX 1024u /* services that no option names */
#define CALLS_EVERY USEC_SEC
#define FORGET_AFTER 4u /* times registry-idle without a call */
#define RESPEC_GAP (2 * USEC_MS) /* between two slices or specs, so that a storm of changes leaves time for workers on our core */
#define HELLO_GAP (100 * USEC_MS)

struct called {
	size_t n;
	struct str names[CALLED_MAX]; /* sorted; owned */
	struct calls { /* what each upstream had when it was looked at last */
		uint32_t slot;
		uint64_t requests;
	} *seen;
	size_t n_seen;
	uint64_t met; /* hellos of agents so far: what they say changes how is balanced */
	usec last; /* spec built */
	struct timer gap;
};

/* --- called names ---------------------------------------------------------------------------------------------------- */

static int compare(struct str a, struct str b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
	return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Where the name stands, or would. */
static size_t place_of(const struct called *c, struct str name)
{
	size_t low = 0, high = c->n;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (compare(c->names[mid], name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool add_called(struct called *c, struct str name)
{
	size_t at = place_of(c, name);
	if (at < c->n && str_eq(c->names[at], name))
		return true;
	char *p = c->n < CALLED_MAX ? mem_dup(name.p, name.n) : NULL;
	if (!p)
		return false;
	memmove(&c->names[at + 1], &c->names[at], (c->n - at) * sizeof(c->names[0]));
	c->names[at] = str_make(p, name.n);
	c->n++;
	return true;
}

static void remove_called(struct called *c, size_t i)
{
	mem_free((char *)(uintptr_t)c->names[i].p);
	memmove(&c->names[i], &c->names[i + 1], (c->n - i - 1) * sizeof(c->names[0]));
	c->n--;
}

static bool is_named(const struct options *o, struct str name)
{
	for (size_t i = 0; i < options_service_count(o); i++)
		if (str_eq(options_service(o, i), name))
			return true;
	return false;
}

/* --- to the workers --------------------------------------------------------------------------------------------------- */

static void post_respec(struct sidecar *sc)
{
	if (sc->respec_posted)
		return;
	sc->respec_posted = true;
	loop_post(sc->loop, &sc->respec);
}

void discovering_again(struct sidecar *sc)
{
	if (sc->respec_wanted)
		post_respec(sc);
}

static void want_respec(struct sidecar *sc)
{
	sc->respec_wanted = true;
	post_respec(sc);
}

/* One slice. */
void discovering_respec(struct sidecar *sc)
{
	want_respec(sc);
}

static void respec(struct sidecar *sc)
{
	struct err err = { "" };

	sc->called->last = loop_touch(sc->loop);
	if (!sc->spec || sc->stopped)
		return;
	if (reloading_applies(sc) || (!sc->respec_wanted && !sc->making.build))
		return; /* new options take with them what is discovered, and ask again when more is wanted then */
	enum build_state state = reloading_publish(sc, reload_options(sc->reload), clock_now() + RELOAD_SLICE, &err);
	if (state == BUILD_FAILED)
		log_write(&sc->log, LEVEL_ERROR, "discovery", "instances cannot be taken into use",
			LOG_FIELDS(log_text("why", err.text)));
	if (state == BUILD_MORE)
		post_respec(sc);
	else
		discovering_again(sc);
}

static void on_gap_over(void *arg)
{
	respec(arg);
}

static void on_respec(struct mail *m)
{
	struct sidecar *sc = LIST_OWNER(m, struct sidecar, respec);
	usec now = loop_touch(sc->loop), next = sc->called->last + RESPEC_GAP;
	sc->respec_posted = false;
	if (next <= now)
		respec(sc);
	else
		timer_set(sc->loop, &sc->called->gap, next);
}

static void on_changed(void *arg, struct str service)
{
	struct sidecar *sc = arg;
	const struct endpoint_set *set = discovery_set(sc->discovery, service);
	if (set && !is_named(reload_options(sc->reload), service) && !add_called(sc->called, service))
		log_write(&sc->log, LEVEL_WARN, "discovery", "more services are called than are taken, or memory is short", NULL);
	want_respec(sc);
}

static void balance_anew(struct sidecar *sc)
{
	sc->called->met++;
	sc->respec_wanted = true;
	if (!timer_armed(&sc->called->gap)) /* every upstream is made anew for it, and it is not urgent */
		timer_set(sc->loop, &sc->called->gap, loop_touch(sc->loop) + HELLO_GAP);
}

void discovering_near(struct sidecar *sc)
{
	const struct spec_sidecar *spec = sc->spec;

	for (uint32_t i = 0; sc->called && spec && i < spec->n_upstreams; i++) {
		const struct spec_upstream *u = spec->upstreams[i];
		for (uint32_t e = 0; u->locality && e < u->n_endpoints; e++)
			if (near_changed(&sc->crew->near, &u->endpoints[e].addr)) {
				balance_anew(sc);
				return;
			}
	}
}

void discovering_met(struct sidecar *sc, const struct addr *endpoint, struct str hello)
{
	struct str before = discovery_hello(sc->discovery, endpoint);
	bool none = str_eq(hello, STR(HELLO_NONE));

	if (str_eq(before, hello) || (none && before.n) || !discovery_met(sc->discovery, endpoint, hello))
		return;
	if (!none || near_where(&sc->crew->near, endpoint) == NEAR_ELSEWHERE) /* else nothing is different for it */
		balance_anew(sc);
}

static void on_replaced(void *arg, struct str service, const struct endpoint_set *was, const struct endpoint_set *is)
{
	struct sidecar *sc = arg;
	char subject[ADDR_TEXT_MAX];
	struct text t;

	text_init(&t, CHANGE_TEXT_MAX);
	if (rollout_says(was, is, &t, subject))
		agent_note(&sc->agent, CHANGE_ROLLOUT, service, str_of(subject), "%.*s: %s", (int)(service.n < 128 ? service.n : 128), service.p,
			text_z(&t));
	text_release(&t);
}

static void on_unknown(void *arg, struct str service)
{
	struct sidecar *sc = arg;
	for (unsigned w = 0; sc->spec && w < sc->crew->n_workers; w++)
		if (!worker_unknown(sc->crew->workers[w], sc->spec->slot, service))
			return; /* memory is short: requests wait to the end of endpoint-wait */
}

static void on_trouble(void *arg, const char *registry, const char *why)
{
	struct sidecar *sc = arg;
	agent_note(&sc->agent, CHANGE_REGISTRY, STR(""), str_of(registry), "registry %s %s%.200s", registry, why[0] ? "is in trouble, its last instances stay: " : "is well again",
		why);
	if (why[0])
		log_write(&sc->log, LEVEL_WARN, "discovery", "a registry is in trouble, its last instances stay",
			LOG_FIELDS(log_text("registry", registry), log_text("why", why)));
	else
		log_write(&sc->log, LEVEL_INFO, "discovery", "a registry is well again", LOG_FIELDS(log_text("registry", registry)));
}

/* --- asking ------------------------------------------------------------------------------------------------------------- */

static void want(struct sidecar *sc, const struct options *o, struct str name, bool called)
{
	struct str list = is_named(o, name) ? options_of_text(o, name, OPT_UPSTREAM_REGISTRY) : STR("");
	if (!discovery_want(sc->discovery, name, list, called))
		log_write(&sc->log, LEVEL_WARN, "discovery", "a service cannot be asked for: memory is short, or there are too many",
			NULL);
}

void discovering_wanted(struct sidecar *sc, struct str name)
{
	if (discovery_asks(sc->discovery))
		want(sc, reload_options(sc->reload), name, true);
}

void discovering_names(struct sidecar *sc, const struct options *o)
{
	if (!discovery_asks(sc->discovery))
		return;
	for (size_t i = 0; i < options_service_count(o); i++)
		if (!options_of_text(o, options_service(o, i), OPT_UPSTREAM_ENDPOINTS).n)
			want(sc, o, options_service(o, i), false);
}

/* Was it called since it was looked at last? */
static bool was_called(struct called *c, uint32_t slot, uint64_t requests)
{
	for (size_t i = 0; i < c->n_seen; i++) {
		if (c->seen[i].slot != slot)
			continue;
		bool more = c->seen[i].requests != requests;
		c->seen[i].requests = requests;
		return more;
	}
	struct calls *at = mem_resize(c->seen, (c->n_seen + 1) * sizeof(*at));
	if (!at)
		return true;
	c->seen = at;
	at[c->n_seen++] = (struct calls){ slot, requests };
	return requests > 0;
}

/* Stacks come and go under new names for years: who was not called for long leaves, and with it its upstream. A spec that is being
 * made borrows the names: later. */
static void forget_uncalled(struct sidecar *sc)
{
	struct called *c = sc->called;
	usec age = FORGET_AFTER * options_duration(sc->options, OPT_REGISTRY_IDLE), now = loop_touch(sc->loop);

	for (size_t i = sc->making.build ? 0 : c->n; i-- > 0;) {
		if (discovery_wanted_at(sc->discovery, c->names[i]) + age > now || is_named(reload_options(sc->reload), c->names[i]))
			continue;
		discovery_drop(sc->discovery, c->names[i]);
		remove_called(c, i);
		want_respec(sc);
	}
}

/* What is called, or is still at work (a tunnel), is asked for again when it had been given up; what is not, discovery gives up by itself. */
static void on_calls_timer(void *arg)
{
	struct sidecar *sc = arg;
	const struct spec_sidecar *s = sc->spec;
	for (uint32_t i = 0; s && i < s->n_upstreams; i++) {
		struct upstream_sum sum;
		agent_sum_upstream(&sc->agent, s->upstreams[i]->slot, &sum);
		if (was_called(sc->called, s->upstreams[i]->slot, sum.requests) || sum.active)
			want(sc, reload_options(sc->reload), s->upstreams[i]->name, true);
	}
	forget_uncalled(sc);
	timer_set(sc->loop, &sc->calls_timer, timer_shared(loop_touch(sc->loop) + CALLS_EVERY, CALLS_EVERY));
}

/* --- life ---------------------------------------------------------------------------------------------------------------- */

struct build_request discovering_request(struct sidecar *sc, const struct options *o)
{
	return (struct build_request){
		.options = o,
		.command = sc->command,
		.slots = sc->crew->slots,
		.ns = sc->ns,
		.identity = sc->identity,
		.stack = sc->who.stack,
		.slot = sc->who.slot,
		.own = sc->own,
		.n_own = sc->n_own,
		.previous = sc->spec,
		.near = &sc->crew->near,
		.discovery = sc->discovery,
		.called = sc->called->names,
		.n_called = sc->called->n,
		.met = sc->called->met,
	};
}

bool discovering_start(struct sidecar *sc, struct err *err)
{
	struct discovery_config c = {
		.loop = sc->loop,
		.ns = sc->ns,
		.options = sc->options,
		.changed = on_changed,
		.replaced = on_replaced,
		.unknown = on_unknown,
		.trouble = on_trouble,
		.arg = sc,
	};
	sc->called = mem_zalloc(sizeof(*sc->called));
	if (!sc->called)
		return err_set(err, "out of memory");
	sc->respec.fn = on_respec;
	timer_init(&sc->called->gap, on_gap_over, sc);
	timer_init(&sc->calls_timer, on_calls_timer, sc);
	sc->discovery = discovery_open(&c, err);
	sc->agent.discovery = sc->discovery;
	if (!sc->discovery)
		return false;
	if (discovery_asks(sc->discovery)) {
		discovering_names(sc, reload_options(sc->reload));
		on_calls_timer(sc);
	}
	return true;
}

void discovering_stop(struct sidecar *sc)
{
	if (!sc->called)
		return;
	timer_clear(&sc->calls_timer);
	timer_clear(&sc->called->gap);
	discovery_close(sc->discovery);
	sc->discovery = NULL;
	if (sc->respec_posted) /* it lies in the loop's box: there is no spec any more, so it does nothing */
		loop_turn(sc->loop, false);
	for (size_t i = 0; i < sc->called->n; i++)
		mem_free((char *)(uintptr_t)sc->called->names[i].p);
	mem_free(sc->called->seen);
	mem_free(sc->called);
	sc->called = NULL;
}
