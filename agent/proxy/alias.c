#include "proxy/alias.h"

#include "base/mem.h"
#include "proxy/hello.h"
#include "proxy/steps.h"

#include <stdio.h>

struct aliases { /* of one sidecar, in one worker */
	unsigned next; /* the place that is used next */
	struct alias {
		usec until;
		bool mine;
		size_t n;
		char name[ALIAS_NAME_BYTES];
	} at[ALIASES_MAX];
};

static struct alias *find(struct wsidecar *sc, struct str name, usec now)
{
	for (unsigned i = 0; sc->aliases && i < ALIASES_MAX; i++) {
		struct alias *a = &sc->aliases->at[i];
		if (a->until > now && str_ieq(str_make(a->name, a->n), name))
			return a;
	}
	return NULL;
}

static void learn(struct wsidecar *sc, struct str name, bool mine, usec now)
{
	struct alias *a = find(sc, name, now);

	if (!sc->aliases)
		sc->aliases = mem_zalloc(sizeof(*sc->aliases));
	if (!sc->aliases)
		return; /* the next request asks again */
	if (!a)
		a = &sc->aliases->at[sc->aliases->next++ % ALIASES_MAX];
	a->mine = mine;
	a->until = now + (mine ? ALIAS_MINE_TIME : ALIAS_FOREIGN_TIME);
	a->n = name.n;
	memcpy(a->name, name.p, name.n);
}

/* The name that x's caller wants; it was checked when the question was asked. */
static void decide(struct exchange *x, bool mine)
{
	timer_clear(&x->wait_timer);
	x->is_delayed = false;
	learn(x->sc, hello_wanted(x), mine, loop_now(x->w->loop));
	exchange_run(x);
}

static void on_limit(void *arg)
{
	struct exchange *x = arg;

	if (x->a.query)
		resolve_cancel(x->a.query);
	x->a.query = NULL;
	decide(x, false);
}

static bool has_own(const struct exchange *x, const struct addr *addrs, size_t n)
{
	const struct spec_sidecar *s = exchange_spec(x);

	for (size_t i = 0; i < n; i++) {
		struct addr a = addrs[i];
		addr_set_port(&a, 0);
		for (uint32_t k = 0; k < s->n_own && !addr_is_loopback(&a); k++) {
			struct addr mine = s->own[k];
			addr_set_port(&mine, 0);
			if (addr_eq(&mine, &a))
				return true;
		}
	}
	return false;
}

static void on_name(void *arg, const struct addr *addrs, size_t n, const char *why)
{
	struct exchange *x = arg;

	(void)why;
	x->a.query = NULL;
	decide(x, has_own(x, addrs, n));
}

/* Of a virtual address the tasks stand beside it; elsewhere only the name itself is known. */
static void on_tasks(void *arg, const struct addr *addrs, size_t n, const char *why)
{
	struct exchange *x = arg;
	struct resolver *r = pick_resolver(x);

	(void)why;
	x->a.query = NULL;
	if (has_own(x, addrs, n)) {
		decide(x, true);
		return;
	}
	if (r)
		x->a.query = resolve(r, hello_wanted(x), 1, on_name, x);
	if (!x->a.query)
		decide(x, false);
}

static bool is_name(struct str name)
{
	if (!name.n || name.n >= ALIAS_NAME_BYTES - sizeof("tasks."))
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
			return false;
	}
	return true;
}

enum alias_verdict alias_of(struct exchange *x, struct str name)
{
	usec now = loop_now(x->w->loop);
	const struct alias *a = find(x->sc, name, now);
	char tasks[ALIAS_NAME_BYTES];

	if (a)
		return a->mine ? ALIAS_MINE : ALIAS_FOREIGN;
	struct resolver *r = is_name(name) ? pick_resolver(x) : NULL;
	if (!r)
		return ALIAS_FOREIGN;
	int n = snprintf(tasks, sizeof(tasks), "tasks.%.*s", STR_ARG(name));
	x->a.query = resolve(r, str_make(tasks, (size_t)n), 1, on_tasks, x);
	if (!x->a.query)
		return ALIAS_FOREIGN;
	x->is_delayed = true;
	timer_init(&x->wait_timer, on_limit, x);
	timer_set(x->w->loop, &x->wait_timer, now + ALIAS_WAIT);
	return ALIAS_ASKING;
}

void alias_free(struct wsidecar *sc)
{
	mem_free(sc->aliases);
	sc->aliases = NULL;
}
