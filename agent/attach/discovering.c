/* Discovery of a serving process: which services are asked for, and the way of a changed set to the workers.
 *
 *     options name upstreams, workers call names ──> discovery_want()
 *     a set changed ──> on the next turns: reloading_publish() with the options in force
 *     nobody knows the name ──> worker_unknown() of each worker */
#include "attach/process.h"

#include "base/mem.h"

#include <stdlib.h>

#define CALLED_MAX 1024u /* services that no option names */
#define CALLS_EVERY USEC_SEC
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

static bool is_named(const struct options *o, struct str name)
{
	for (size_t i = 0; i < options_service_count(o); i++)
		if (str_eq(options_service(o, i), name))
			return true;
	return false;
}

/* --- to the workers --------------------------------------------------------------------------------------------------- */

static void post_respec(struct process *p)
{
	if (p->respec_posted)
		return;
	p->respec_posted = true;
	loop_post(p->loop, &p->respec);
}

void discovering_again(struct process *p)
{
	if (p->respec_wanted)
		post_respec(p);
}

static void want_respec(struct process *p)
{
	p->respec_wanted = true;
	post_respec(p);
}

/* One slice. */
static void respec(struct process *p)
{
	struct err err = { "" };

	p->called->last = loop_touch(p->loop);
	if (!p->sidecar.spec || p->agent.n_workers == 0 || p->drain.phase == DRAIN_PHASE_LEFT)
		return;
	if (reloading_applies(p) || (!p->respec_wanted && !p->making.build))
		return; /* new options take with them what is discovered, and ask again when more is wanted then */
	enum build_state state = reloading_publish(p, reload_options(p->reload), clock_now() + RELOAD_SLICE, &err);
	if (state == BUILD_FAILED)
		log_write(&p->log, LEVEL_ERROR, "discovery", "instances cannot be taken into use",
			LOG_FIELDS(log_text("why", err.text)));
	if (state == BUILD_MORE)
		post_respec(p);
	else
		discovering_again(p);
}

static void on_gap_over(void *arg)
{
	respec(arg);
}

static void on_respec(struct mail *m)
{
	struct process *p = LIST_OWNER(m, struct process, respec);
	usec now = loop_touch(p->loop), next = p->called->last + RESPEC_GAP;
	p->respec_posted = false;
	if (next <= now)
		respec(p);
	else
		timer_set(p->loop, &p->called->gap, next);
}

static void on_changed(void *arg, struct str service)
{
	struct process *p = arg;
	const struct endpoint_set *set = discovery_set(p->discovery, service);
	if (set && !is_named(reload_options(p->reload), service) && !add_called(p->called, service))
		log_write(&p->log, LEVEL_WARN, "discovery", "more services are called than are taken, or memory is short", NULL);
	want_respec(p);
}

void discovering_met(void *arg, const struct addr *endpoint, struct str hello)
{
	struct process *p = arg;
	struct str before = discovery_hello(p->discovery, endpoint);
	if (str_eq(before, hello) || !discovery_met(p->discovery, endpoint, hello))
		return;
	p->called->met++;
	p->respec_wanted = true;
	if (!timer_armed(&p->called->gap)) /* every upstream is made anew for it, and it is not urgent */
		timer_set(p->loop, &p->called->gap, loop_touch(p->loop) + HELLO_GAP);
}

static void on_unknown(void *arg, struct str service)
{
	struct process *p = arg;
	for (unsigned w = 0; p->sidecar.spec && w < p->agent.n_workers; w++)
		if (!worker_unknown(p->agent.workers[w], p->sidecar.spec->slot, service))
			return; /* memory is short: requests wait to the end of endpoint-wait */
}

static void on_trouble(void *arg, const char *registry, const char *why)
{
	struct process *p = arg;
	if (why[0])
		log_write(&p->log, LEVEL_WARN, "discovery", "a registry is in trouble, its last instances stay",
			LOG_FIELDS(log_text("registry", registry), log_text("why", why)));
	else
		log_write(&p->log, LEVEL_INFO, "discovery", "a registry is well again", LOG_FIELDS(log_text("registry", registry)));
}

/* --- asking ------------------------------------------------------------------------------------------------------------- */

static void want(struct process *p, const struct options *o, struct str name, bool called)
{
	struct str list = is_named(o, name) ? options_of_text(o, name, OPT_UPSTREAM_REGISTRY) : STR("");
	if (!discovery_want(p->discovery, name, list, called))
		log_write(&p->log, LEVEL_WARN, "discovery", "a service cannot be asked for: memory is short, or there are too many",
			NULL);
}

void discovering_wanted(void *arg, unsigned worker, uint32_t sidecar, struct str name)
{
	struct process *p = arg;
	(void)worker;
	(void)sidecar;
	want(p, reload_options(p->reload), name, true);
}

void discovering_names(struct process *p, const struct options *o)
{
	if (!discovery_asks(p->discovery))
		return;
	for (size_t i = 0; i < options_service_count(o); i++)
		if (!options_of_text(o, options_service(o, i), OPT_UPSTREAM_ENDPOINTS).n)
			want(p, o, options_service(o, i), false);
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

/* What is called is asked for again when it had been given up; what is not called, discovery gives up by itself. */
static void on_calls_timer(void *arg)
{
	struct process *p = arg;
	const struct spec_sidecar *s = p->sidecar.spec;
	for (uint32_t i = 0; s && i < s->n_upstreams; i++) {
		struct upstream_sum sum;
		agent_sum_upstream(&p->agent, s->upstreams[i]->slot, &sum);
		if (was_called(p->called, s->upstreams[i]->slot, sum.requests))
			want(p, reload_options(p->reload), s->upstreams[i]->name, true);
	}
	timer_set(p->loop, &p->calls_timer, loop_touch(p->loop) + CALLS_EVERY);
}

/* --- life ---------------------------------------------------------------------------------------------------------------- */

struct build_request discovering_request(struct process *p, const struct options *o)
{
	return (struct build_request){
		.options = o,
		.command = process_options_for(p->kind),
		.slots = p->slots,
		.previous = p->sidecar.spec,
		.discovery = p->discovery,
		.called = p->called->names,
		.n_called = p->called->n,
		.met = p->called->met,
	};
}

bool discovering_start(struct process *p, struct err *err)
{
	struct discovery_config c = {
		.loop = p->loop,
		.options = p->options,
		.changed = on_changed,
		.unknown = on_unknown,
		.trouble = on_trouble,
		.arg = p,
	};
	p->called = mem_zalloc(sizeof(*p->called));
	if (!p->called)
		return err_set(err, "out of memory");
	p->respec.fn = on_respec;
	timer_init(&p->called->gap, on_gap_over, p);
	timer_init(&p->calls_timer, on_calls_timer, p);
	p->discovery = discovery_open(&c, err);
	p->agent.discovery = p->discovery;
	if (!p->discovery)
		return false;
	if (discovery_asks(p->discovery)) {
		discovering_names(p, reload_options(p->reload));
		on_calls_timer(p);
	}
	return true;
}

void discovering_stop(struct process *p)
{
	if (!p->called)
		return;
	timer_clear(&p->calls_timer);
	timer_clear(&p->called->gap);
	discovery_close(p->discovery);
	p->discovery = NULL;
	if (p->respec_posted) /* it lies in the loop's box: there is no spec any more, so it does nothing */
		loop_turn(p->loop, false);
	for (size_t i = 0; i < p->called->n; i++)
		mem_free((char *)(uintptr_t)p->called->names[i].p);
	mem_free(p->called->seen);
	mem_free(p->called);
	p->called = NULL;
}
