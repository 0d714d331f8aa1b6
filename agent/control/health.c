#include "control/health.h"

#include "base/mem.h"
#include "control/health_probe.h"
#include "control/option_value.h"

#include <stdio.h>

#define SOON (20 * USEC_MS) /* to wait for one of HEALTH_AT_ONCE to end */
#define WHY_MAX 200u

struct rule { /* of an upstream */
	struct list link;
	uint32_t upstream; /* slot */
	bool wanted;       /* by the spec that is followed */
	bool told;         /* that some of its endpoints cannot be checked */
	uint16_t
		direct; /* the service's own port, where an address came without one; 0: only who calls it says so */
	struct health_rule is;
};

enum way {
	TO_AGENT,
	DIRECT
}; /* to an address without a port, as calls go: to its agent, or where none stands to the service */

struct check { /* of an endpoint */
	struct list link;
	struct health *of;
	struct rule *rule;
	uint32_t slot, generation;
	struct addr addr;
	struct balance_cell *cell; /* of the slot */
	struct balance_tally *tally;
	struct timer timer; /* the next run */
	struct health_probe probe;
	bool running, ran, wanted;
	uint8_t way;             /* enum way */
	bool turned, settled;    /* the other way was tried in this run; one of them passed once */
	unsigned passed, failed; /* in a row */
	char why[WHY_MAX];
};

struct health {
	struct health_config cfg;
	struct list rules, checks;
	struct check **by_slot; /* owned; NULL: not checked */
	size_t n_slots;
	struct resolver *resolver; /* owned, as the fetcher: made when a path is first asked for */
	struct fetcher *fetcher;
	struct rng rng;
	unsigned running;
};

/* --- results ------------------------------------------------------------------------------------------------------------------ */

/* The cell has the say: who enables an endpoint by hand clears it there. */
static bool is_held(const struct check *c)
{
	return cell_word(c->cell) & BALANCE_HOLD_CHECK;
}

static void hold(struct check *c, bool on)
{
	outlier_hold(c->cell, c->tally, BALANCE_HOLD_CHECK, on, true, loop_now(c->of->cfg.loop));
}

static void judge(struct check *c, const char *why)
{
	bool good = why[0] == '\0', first = !c->ran;

	c->ran = true;
	c->passed = good ? c->passed + 1 : 0;
	c->failed = good ? 0 : c->failed + 1;
	snprintf(c->why, sizeof(c->why), "%s", why);
	if (is_held(c) && good && (first || c->passed >= c->rule->is.rise))
		hold(c, false);
	else if (!is_held(c) && c->failed >= c->rule->is.fall)
		hold(c, true);
}

static void plan(struct check *c)
{
	struct health *h = c->of;
	usec interval = c->rule->is.interval;

	timer_set(h->cfg.loop, &c->timer,
		loop_touch(h->cfg.loop) + interval - interval / 10 +
			rng_below(&h->rng, (uint32_t)(interval / 5) + 1));
}

/* --- runs ----------------------------------------------------------------------------------------------------------------------- */

static struct fetcher *fetcher_of(struct health *h)
{
	struct err err;

	if (!h->resolver)
		h->resolver = resolver_new(h->cfg.loop, h->cfg.ns, &err);
	if (h->resolver && !h->fetcher)
		h->fetcher = fetcher_new(h->cfg.loop, h->resolver, h->cfg.ns, &err);
	return h->fetcher;
}

/* An address without a port leads to two places. */
static bool has_way(const struct addr *a)
{
	return a->sa.sa_family != AF_UNIX && addr_port(a) == 0;
}

static struct addr place_of(const struct check *c)
{
	struct addr a = c->addr;

	if (has_way(&a))
		addr_set_port(&a, c->way == TO_AGENT ? AGENT_PORT : c->rule->direct);
	return a;
}

static void run(struct check *c)
{
	struct addr to = place_of(c);

	health_probe_run(&c->probe, c->rule->is.http ? fetcher_of(c->of) : NULL, &to, &c->rule->is);
}

/* Nobody knows yet, or any more, which way leads to the service: a check fails when both do. */
static bool turns(struct check *c)
{
	if (!has_way(&c->addr) || c->rule->is.port || c->turned || (c->settled && !is_held(c)))
		return false;
	c->turned = true;
	c->way = c->way == TO_AGENT ? DIRECT : TO_AGENT;
	return true;
}

static void on_done(void *arg, const char *why)
{
	struct check *c = arg;

	if (why[0] && turns(c)) {
		run(c);
		return;
	}
	c->settled = c->settled || !why[0];
	c->running = false;
	c->of->running--;
	judge(c, why);
	plan(c);
}

static void on_timer(void *arg)
{
	struct check *c = arg;
	struct health *h = c->of;

	if (h->running >= HEALTH_AT_ONCE) {
		timer_set(h->cfg.loop, &c->timer,
			loop_touch(h->cfg.loop) + SOON / 2 + rng_below(&h->rng, (uint32_t)SOON));
		return;
	}
	h->running++;
	c->running = true;
	c->turned = false;
	if (!c->settled || is_held(c))
		c->way = TO_AGENT;
	run(c);
}

static void stop(struct check *c)
{
	timer_clear(&c->timer);
	health_probe_end(&c->probe);
	c->of->running -= c->running;
	c->running = false;
}

static void check_free(struct check *c, bool release)
{
	stop(c);
	if (release && is_held(c))
		hold(c, false);
	c->of->by_slot[c->slot] = NULL;
	list_remove(&c->link);
	mem_free(c);
}

/* --- rules ---------------------------------------------------------------------------------------------------------------------- */

static bool read_rule(struct health_rule *r, const struct options *o, struct str name)
{
	struct str check = options_of_text(o, name, OPT_CHECK);

	*r = (struct health_rule){ .http = !str_ieq(check, STR("tcp")) };
	r->interval = options_of_duration(o, name, OPT_CHECK_INTERVAL);
	r->timeout = options_of_duration(o, name, OPT_CHECK_TIMEOUT);
	r->rise = (unsigned)options_of_u64(o, name, OPT_CHECK_RISE);
	r->fall = (unsigned)options_of_u64(o, name, OPT_CHECK_FALL);
	r->port = (uint16_t)options_of_u64(o, name, OPT_CHECK_PORT);
	r->starts_down = options_of_u64(o, name, OPT_CHECK_START) == 0;
	return str_copy(check, r->path, sizeof(r->path)) && str_copy(name, r->host, sizeof(r->host)) &&
	       str_copy(options_of_text(o, name, OPT_CHECK_BODY), r->body, sizeof(r->body)) &&
	       option_status_set(options_of_text(o, name, OPT_CHECK_STATUS), &r->passes);
}

static struct rule *rule_of(struct health *h, uint32_t upstream)
{
	LIST_EACH (it, tmp, &h->rules) {
		struct rule *r = LIST_OWNER(it, struct rule, link);
		if (r->upstream == upstream)
			return r;
	}
	return NULL;
}

/* As hello.c has it for calls: upstream.<s>.port, else the port of an address of its own that is pinned to it. 127.0.0.1:9001 is just a door. */
static uint16_t direct_port(const struct spec_sidecar *s, const struct spec_upstream *u)
{
	for (uint32_t i = 0; !u->port && i < s->n_listeners; i++) {
		const struct spec_listener *l = &s->listeners[i];
		if (l->kind == LISTEN_PINNED && l->upstream == u && l->addr.sa.sa_family == AF_INET &&
			ntohl(l->addr.in.sin_addr.s_addr) != INADDR_LOOPBACK)
			return addr_port(&l->addr);
	}
	return u->port;
}

/* The rule of an upstream that wants to be checked; NULL: it does not, or there is no memory (then *good is false). */
static struct rule *take_rule(
	struct health *h, const struct options *o, const struct spec_upstream *u, bool *good)
{
	struct str check = options_of_text(o, u->name, OPT_CHECK);
	struct health_rule is;

	if (check.n == 0 || str_ieq(check, STR("off")) || !read_rule(&is, o, u->name))
		return NULL;
	struct rule *r = rule_of(h, u->slot);
	if (!r) {
		r = mem_zalloc(sizeof(*r));
		if (!r) {
			*good = false;
			return NULL;
		}
		r->upstream = u->slot;
		list_append(&h->rules, &r->link);
	}
	r->is = is; /* a run under way is judged by the new one */
	r->wanted = true;
	return r;
}

/* --- following ------------------------------------------------------------------------------------------------------------------ */

static bool make_room(struct health *h, uint32_t slot)
{
	size_t n = h->n_slots ? h->n_slots : 64;

	if (slot < h->n_slots)
		return true;
	while (n <= slot)
		n *= 2;
	struct check **more = mem_resize(h->by_slot, n * sizeof(struct check *));
	if (!more)
		return false;
	for (size_t i = h->n_slots; i < n; i++)
		more[i] = NULL;
	h->by_slot = more;
	h->n_slots = n;
	return true;
}

static bool begin(struct health *h, struct rule *r, const struct spec_endpoint *e)
{
	struct check *c = mem_zalloc(sizeof(*c));
	usec spread = r->is.interval < USEC_SEC ? r->is.interval : USEC_SEC;

	if (!c)
		return false;
	c->of = h;
	c->rule = r;
	c->slot = e->slot;
	c->generation = e->generation;
	c->addr = e->addr;
	c->cell = slots_cell(h->cfg.slots, e->slot);
	c->tally = slots_tally(h->cfg.slots, r->upstream);
	c->wanted = true;
	timer_init(&c->timer, on_timer, c);
	health_probe_init(&c->probe, h->cfg.loop, h->cfg.ns, on_done, c);
	list_append(&h->checks, &c->link);
	h->by_slot[e->slot] = c;
	if (r->is.starts_down)
		hold(c, true);
	timer_set(h->cfg.loop, &c->timer,
		loop_touch(h->cfg.loop) + (e->slot % 16 ? rng_below(&h->rng, (uint32_t)spread) : 0));
	return true;
}

/* Why an endpoint cannot be checked; NULL: it can. */
static const char *obstacle(const struct rule *r, const struct spec_endpoint *e)
{
	if (e->addr.sa.sa_family == AF_UNIX)
		return r->is.http ? "a Unix socket can only be checked by check=tcp" : NULL;
	if (addr_port(&e->addr) || r->is.port || r->direct)
		return NULL;
	return "its registry tells addresses without ports: set outrider.upstream.<service>.port, or "
	       "check.port";
}

static bool follow_endpoint(struct health *h, struct rule *r, const struct spec_endpoint *e)
{
	const char *why = obstacle(r, e);

	if (why) {
		if (!r->told && h->cfg.unable)
			h->cfg.unable(h->cfg.arg, r->is.host, why);
		r->told = true;
		return true;
	}
	if (!make_room(h, e->slot))
		return false;
	struct check *c = h->by_slot[e->slot];
	if (c && c->generation != e->generation) { /* the slot is somebody else's now, with a cell as new */
		check_free(c, false);
		c = NULL;
	}
	if (!c)
		return begin(h, r, e);
	c->wanted = true;
	c->rule = r;
	return true;
}

/* Who left: its cell is made new with its slot, and a hold that stayed would keep it from coming back. */
static void end_unwanted(struct health *h)
{
	LIST_EACH (it, tmp, &h->checks) {
		struct check *c = LIST_OWNER(it, struct check, link);
		if (!c->wanted)
			check_free(c, true);
	}
	LIST_EACH (it, tmp, &h->rules) {
		struct rule *r = LIST_OWNER(it, struct rule, link);
		if (r->wanted)
			continue;
		list_remove(&r->link);
		mem_free(r);
	}
}

bool health_follow(struct health *h, const struct options *o, const struct spec_sidecar *spec)
{
	bool good = true;

	LIST_EACH (it, tmp, &h->checks)
		LIST_OWNER(it, struct check, link)->wanted = false;
	LIST_EACH (it, tmp, &h->rules)
		LIST_OWNER(it, struct rule, link)->wanted = false;
	for (uint32_t i = 0; i < spec->n_upstreams; i++) {
		const struct spec_upstream *u = spec->upstreams[i];
		struct rule *r = u->kind == UPSTREAM_SERVICE && u->n_endpoints ? take_rule(h, o, u, &good)
									       : NULL;
		if (r)
			r->direct = direct_port(spec, u);
		for (uint32_t k = 0; r && k < u->n_endpoints; k++)
			good = follow_endpoint(h, r, &u->endpoints[k]) && good;
	}
	end_unwanted(h);
	return good;
}

const char *health_why(const struct health *h, uint32_t slot)
{
	const struct check *c = h && slot < h->n_slots ? h->by_slot[slot] : NULL;

	if (!c)
		return NULL;
	return c->ran ? c->why : "its first check has not passed yet";
}

/* --- life ----------------------------------------------------------------------------------------------------------------------- */

struct health *health_new(const struct health_config *config, struct err *err)
{
	struct health *h = mem_zalloc(sizeof(*h));

	if (!h) {
		err_set(err, "out of memory");
		return NULL;
	}
	h->cfg = *config;
	list_init(&h->rules);
	list_init(&h->checks);
	rng_seed_os(&h->rng);
	return h;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	LIST_EACH (it, tmp, &h->checks)
		check_free(LIST_OWNER(it, struct check, link), false);
	LIST_EACH (it, tmp, &h->rules)
		mem_free(LIST_OWNER(it, struct rule, link));
	fetcher_free(h->fetcher);
	if (h->resolver)
		resolver_free(h->resolver);
	mem_free(h->by_slot);
	mem_free(h);
}
