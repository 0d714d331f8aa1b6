#include "control/outliers.h"

#include "base/mem.h"
#include "control/endpoint_state.h"
#include "net/timer.h"

#include <stdio.h>

struct seen { /* an endpoint, by its slot */
	uint32_t generation;
	uint32_t ok, failed; /* when the interval began, over all workers; they wrap */
	uint16_t epoch;      /* at that time */
	uint8_t times;       /* ejected, when it was logged last */
	bool used, known;    /* anything of the below; ok, failed and epoch */
	const char *word; /* logged last; NULL: never */
};

struct upstream { /* by its slot */
	usec next;        /* sweep; 0: not begun */
	usec again;       /* when endpoints where another service answered are called again; 0: there are none */
	uint64_t version; /* of its tally, when the log was looked at */
};

struct outliers {
	const struct agent *agent;
	struct timer timer;
	struct rng rng;
	struct seen *seen; /* owned */
	struct upstream *upstreams;
	struct outlier_host *hosts; /* owned: of one sweep */
	size_t n_seen, n_upstreams, n_hosts;
	const char *(*ask)(const void *of, uint32_t slot);
	const void *of;
	unsigned lines, unsaid; /* of this tick */
};

/* --- tables that grow ------------------------------------------------------------------------------------------------------- */

/* Grows to hold index i; what is new is zero. NULL: no memory. */
static void *grown(void *at, size_t *n, size_t i, size_t size)
{
	size_t want = *n ? *n : 64;

	if (i < *n)
		return at;
	while (want <= i)
		want *= 2;
	char *more = mem_resize(at, want * size);
	if (!more)
		return NULL;
	memset(more + *n * size, 0, (want - *n) * size);
	*n = want;
	return more;
}

static struct seen *seen_of(struct outliers *o, const struct spec_endpoint *e)
{
	struct seen *all = grown(o->seen, &o->n_seen, e->slot, sizeof(*all));

	if (!all)
		return NULL;
	o->seen = all;
	struct seen *s = &all[e->slot];
	if (!s->used || s->generation != e->generation)
		*s = (struct seen){ .generation = e->generation, .used = true };
	return s;
}

static struct upstream *upstream_of(struct outliers *o, uint32_t slot)
{
	struct upstream *all = grown(o->upstreams, &o->n_upstreams, slot, sizeof(*all));

	if (!all)
		return NULL;
	o->upstreams = all;
	return &all[slot];
}

/* --- comparing -------------------------------------------------------------------------------------------------------------- */

static void count(const struct agent *a, uint32_t slot, uint32_t *ok, uint32_t *failed)
{
	*ok = *failed = 0;
	for (unsigned w = 0; w < a->n_workers; w++) {
		const struct balance_stat *b = worker_balance_stat(a->workers[w], slot);
		if (!b)
			continue;
		*ok += atomic_load_explicit(&b->ok, memory_order_relaxed);
		*failed += atomic_load_explicit(&b->failed, memory_order_relaxed);
	}
}

/* Takes the counts of the interval that ends, and begins the next. */
static bool measure(struct outliers *o, const struct spec_endpoint *e, struct balance_cell *c, struct outlier_host *h)
{
	struct seen *s = seen_of(o, e);
	uint32_t ok, failed;

	if (!s)
		return false;
	count(o->agent, e->slot, &ok, &failed);
	*h = (struct outlier_host){ .cell = c, .epoch = s->known ? s->epoch : outlier_epoch(cell_word(c)) };
	if (s->known) {
		h->ok = ok - s->ok;
		h->failed = failed - s->failed;
	}
	s->known = true;
	s->ok = ok;
	s->failed = failed;
	s->epoch = outlier_epoch(cell_word(c));
	return true;
}

static void say_observed(struct outliers *o, const struct spec_upstream *u, const struct spec_endpoint *e)
{
	char name[256];

	if (o->lines++ >= OUTLIERS_LINES)
		return;
	snprintf(name, sizeof(name), "%.*s", STR_ARG(u->name));
	log_write(o->agent->log, LEVEL_WARN, "balance", "mode observe: an endpoint would have been put aside for its success rate",
		  LOG_FIELDS(log_text("upstream", name), log_text("endpoint", e->text)));
}

static void sweep(struct outliers *o, const struct spec_upstream *u, usec now)
{
	const struct balance_spec *b = &u->balance;
	uint32_t n = b->n < u->n_endpoints ? b->n : u->n_endpoints;
	struct outlier_host *hosts = grown(o->hosts, &o->n_hosts, n, sizeof(*hosts));

	if (!hosts)
		return; /* the next one */
	o->hosts = hosts;
	for (uint32_t i = 0; i < n; i++)
		if (!measure(o, &u->endpoints[i], b->cells[i], &hosts[i]))
			return;
	(void)outlier_sweep(&b->outlier, b->tally, hosts, n, now, &o->rng);
	for (uint32_t i = 0; b->outlier.observe && i < n; i++)
		if (hosts[i].verdict == OUTLIER_WOULD_EJECT)
			say_observed(o, u, &u->endpoints[i]);
}

/* --- telling ---------------------------------------------------------------------------------------------------------------- */

static void say(struct outliers *o, const struct spec_upstream *u, uint32_t i, const char *was, struct endpoint_state state)
{
	const struct spec_endpoint *e = &u->endpoints[i];
	uint32_t times = outlier_times(cell_word(u->balance.cells[i]));
	const char *check = o->ask && strcmp(state.word, "unhealthy") == 0 ? o->ask(o->of, e->slot) : NULL;
	char name[256];

	if (o->lines++ >= OUTLIERS_LINES) {
		o->unsaid++;
		return;
	}
	snprintf(name, sizeof(name), "%.*s", STR_ARG(u->name));
	agent_note(o->agent, state.why ? CHANGE_EJECTED : CHANGE_READMITTED, u->name, str_of(e->text), "%s of %s is %s%s%s", e->text, name, state.word,
		state.why ? ": " : " again", check ? check : state.why ? state.why : "");
	log_write(o->agent->log, state.why ? LEVEL_WARN : LEVEL_INFO, "balance", "an endpoint changed its state",
		  LOG_FIELDS(log_text("upstream", name), log_text("endpoint", e->text), log_text("state", state.word),
			     log_text("was", was), log_text("why", check ? check : state.why ? state.why : ""),
			     log_u64("ejected_times", times)));
}

/* An endpoint on trial is still one that was put aside; put aside again, it is said again. */
static void tell(struct outliers *o, const struct spec_upstream *u, uint32_t i)
{
	const struct balance_cell *c = u->balance.cells[i];
	struct seen *s = seen_of(o, &u->endpoints[i]);
	struct endpoint_state state = endpoint_state(c);
	uint8_t times = (uint8_t)outlier_times(cell_word(c));

	if (!s)
		return;
	if (strcmp(state.word, "on-trial") == 0)
		state.word = "ejected";
	const char *was = s->word ? s->word : "up";
	if (strcmp(was, state.word) != 0 || (strcmp(state.word, "ejected") == 0 && times > s->times))
		say(o, u, i, was, state);
	s->word = state.word;
	s->times = times;
}

/* The registry lists them still: then the other owner has left again, or the service has a name that its agent did not know. */
static void call_again(const struct spec_upstream *u, usec now)
{
	const struct balance_spec *b = &u->balance;

	for (uint32_t i = 0; i < b->n && i < u->n_endpoints; i++)
		if (cell_word(b->cells[i]) & BALANCE_HOLD_GONE)
			outlier_hold(b->cells[i], b->tally, BALANCE_HOLD_GONE, false, false, now);
}

static void look(struct outliers *o, const struct spec_upstream *u, usec now)
{
	const struct balance_spec *b = &u->balance;
	struct upstream *at = u->kind == UPSTREAM_SERVICE && b->n ? upstream_of(o, u->slot) : NULL;

	if (!at)
		return;
	usec interval = b->outlier.interval;
	if (!interval)
		at->next = 0;
	else if (now >= at->next) {
		if (at->next)
			sweep(o, u, now);
		at->next = now + interval;
	}
	if (at->again && now >= at->again) {
		at->again = 0;
		call_again(u, now);
	}
	uint64_t version = atomic_load_explicit(&b->tally->version, memory_order_relaxed);
	if (version == at->version)
		return;
	at->version = version;
	bool any = false; /* what was planned for those stays, however often the upstream changes */
	for (uint32_t i = 0; i < b->n && i < u->n_endpoints; i++) {
		tell(o, u, i);
		any = any || (cell_word(b->cells[i]) & BALANCE_HOLD_GONE);
	}
	at->again = !any ? 0 : at->again ? at->again : now + OUTLIERS_AGAIN;
}

void outliers_tick(struct outliers *o, usec now)
{
	o->lines = o->unsaid = 0;
	for (uint32_t i = 0; i < o->agent->n_sidecars; i++) {
		const struct spec_sidecar *s = o->agent->sidecars[i].spec;
		for (uint32_t k = 0; s && k < s->n_upstreams; k++)
			look(o, s->upstreams[k], now);
	}
	if (o->unsaid)
		log_write(o->agent->log, LEVEL_WARN, "balance", "more endpoints changed their state: see /upstreams",
			  LOG_FIELDS(log_u64("endpoints", o->unsaid)));
}

/* --- life ------------------------------------------------------------------------------------------------------------------- */

/* With nothing to look at, it looks seldom; all sidecars of a node at once. */
static void set_timer(struct outliers *o, usec now)
{
	bool any = false;
	for (uint32_t i = 0; i < o->agent->n_sidecars; i++)
		any = any || (o->agent->sidecars[i].spec && o->agent->sidecars[i].spec->n_upstreams);
	timer_set(o->agent->loop, &o->timer, timer_shared(now + (any ? OUTLIERS_TICK : OUTLIERS_REST), OUTLIERS_TICK));
}

static void on_timer(void *arg)
{
	struct outliers *o = arg;
	usec now = loop_touch(o->agent->loop);

	outliers_tick(o, now);
	set_timer(o, now);
}

struct outliers *outliers_new(const struct agent *agent, struct err *err)
{
	struct outliers *o = mem_zalloc(sizeof(*o));

	if (!o) {
		err_set(err, "out of memory");
		return NULL;
	}
	o->agent = agent;
	rng_seed_os(&o->rng);
	timer_init(&o->timer, on_timer, o);
	set_timer(o, loop_touch(agent->loop));
	return o;
}

void outliers_free(struct outliers *o)
{
	if (!o)
		return;
	timer_clear(&o->timer);
	mem_free(o->seen);
	mem_free(o->upstreams);
	mem_free(o->hosts);
	mem_free(o);
}

void outliers_ask(struct outliers *o, const char *(*why)(const void *of, uint32_t slot), const void *of)
{
	o->ask = why;
	o->of = of;
}
