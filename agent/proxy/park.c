#include "proxy/park.h"

#include "base/mem.h"
#include "proxy/client.h"

struct wname { /* a name that somebody waits for, or that is no service */
	struct list link;    /* wsidecar.names, most recently used first */
	struct list waiting; /* struct exchange.parked */
	usec unknown_until;
	usec asked;          /* when control was told that we wait; 0: not since the last spec */
	struct str name;     /* lower case; bytes follow */
	char bytes[PARK_NAME_BYTES];
};

bool park_may_be_service(struct str host)
{
	if (host.n == 0 || host.n > PARK_NAME_BYTES || str_ieq(host, STR("localhost")))
		return false;
	for (size_t i = 0; i < host.n; i++) {
		char c = host.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
	}
	return true;
}

/* --- names ---------------------------------------------------------------------------------------------------------- */

static bool forget_one(struct wsidecar *sc)
{
	for (struct list *it = sc->names.prev; it != &sc->names; it = it->prev) {
		struct wname *n = LIST_OWNER(it, struct wname, link);
		if (!list_empty(&n->waiting))
			continue;
		list_remove(&n->link);
		sc->n_names--;
		mem_free(n);
		return true;
	}
	return false;
}

static struct wname *find_name(struct wsidecar *sc, struct str name)
{
	LIST_EACH(it, tmp, &sc->names) {
		struct wname *n = LIST_OWNER(it, struct wname, link);
		if (str_ieq(n->name, name))
			return n;
	}
	return NULL;
}

static struct wname *take_name(struct wsidecar *sc, struct str name)
{
	struct wname *n = find_name(sc, name);

	if (!n && (sc->n_names < PARK_NAMES_MAX || forget_one(sc)) && name.n <= PARK_NAME_BYTES) {
		n = mem_zalloc(sizeof(*n));
		if (!n)
			return NULL;
		for (size_t i = 0; i < name.n; i++)
			n->bytes[i] = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] + 32) : name.p[i];
		n->name = str_make(n->bytes, name.n);
		list_init(&n->waiting);
		sc->n_names++;
	} else if (n) {
		list_remove(&n->link);
	}
	if (n)
		list_push(&sc->names, &n->link);
	return n;
}

/* --- telling control -------------------------------------------------------------------------------------------------- */

struct want_mail {
	struct mail m;
	struct worker *w;
	uint32_t sidecar;
	size_t n;
	char name[PARK_NAME_BYTES];
};

static void on_wanted(struct mail *m)
{
	struct want_mail *q = LIST_OWNER(m, struct want_mail, m);

	q->w->cfg.wanted(q->w->cfg.arg, q->w->cfg.index, q->sidecar, str_make(q->name, q->n));
	mem_free(q);
}

static bool ask(struct wsidecar *sc, struct wname *n, usec now)
{
	struct worker *w = sc->w;

	if (n->asked && now < n->asked + PARK_ASKED_TIME)
		return true;
	struct want_mail *q = w->cfg.wanted ? mem_zalloc(sizeof(*q)) : NULL;
	if (!q)
		return false;
	q->m.fn = on_wanted;
	q->w = w;
	q->sidecar = sc->slot;
	q->n = n->name.n;
	memcpy(q->name, n->bytes, n->name.n);
	loop_post(w->cfg.control, &q->m);
	n->asked = now;
	return true;
}

/* --- waiting ------------------------------------------------------------------------------------------------------------ */

static void on_limit(void *arg)
{
	struct exchange *x = arg;

	park_leave(x);
	x->park_over = true;
	exchange_run(x);
}

enum park_result park(struct exchange *x, struct str name, usec limit, bool patient)
{
	struct wsidecar *sc = x->sc;
	usec now = loop_now(x->w->loop);
	struct wname *n;

	if (x->park_over || limit == 0)
		return PARK_NO;
	if (sc->n_parked >= PARK_REQUESTS_MAX || !(n = take_name(sc, name)))
		return PARK_FULL;
	if (n->unknown_until > now && !patient)
		return PARK_NO;
	if (!ask(sc, n, now))
		return PARK_FULL;
	if (!x->park_until)
		x->park_until = now + limit;
	if (!x->was_parked)
		count(sc, COUNTER_PARKED);
	x->is_parked = x->was_parked = true;
	x->park_patient = patient;
	sc->n_parked++;
	list_append(&n->waiting, &x->parked);
	timer_init(&x->wait_timer, on_limit, x);
	timer_set(x->w->loop, &x->wait_timer, x->park_until);
	return PARK_WAIT;
}

void park_leave(struct exchange *x)
{
	if (!x->is_parked)
		return;
	x->is_parked = false;
	x->sc->n_parked--;
	list_remove(&x->parked);
	timer_clear(&x->wait_timer);
}

void exchange_renew(struct exchange *x)
{
	struct wspec *old = x->wspec;

	if (x->admitted)
		count_sub(&x->wup->c.active, 1);
	x->admitted = false;
	x->primary = NULL;
	x->upstream = NULL; /* its circuit, by identity of the upstream, is most likely that of the new spec, too: x stays entered */
	x->wup = NULL;
	x->renewed = true;
	x->wspec = wspec_use(x->sc);
	wspec_unuse(old);
	x->step = STEP_ROUTE;
	exchange_run(x);
}

static void run_anew(struct exchange *x)
{
	park_leave(x);
	exchange_renew(x);
}

static void move_all(struct list *to, struct list *from)
{
	while (!list_empty(from)) {
		struct list *it = from->next;
		list_remove(it);
		list_append(to, it);
	}
}

/* Running one may park it again, or make others leave: so they were taken out before the first one runs. */
static void run_all(struct list *taken)
{
	while (!list_empty(taken))
		run_anew(LIST_OWNER(taken->next, struct exchange, parked));
}

void park_resume(struct wsidecar *sc)
{
	struct list taken;

	list_init(&taken);
	LIST_EACH(it, tmp, &sc->names) {
		struct wname *n = LIST_OWNER(it, struct wname, link);
		n->asked = 0;
		move_all(&taken, &n->waiting);
	}
	run_all(&taken);
}

void park_unknown(struct wsidecar *sc, struct str name)
{
	struct wname *n = find_name(sc, name);
	struct list taken;

	if (!n)
		return;
	list_init(&taken);
	n->unknown_until = loop_now(sc->w->loop) + PARK_UNKNOWN_TIME;
	LIST_EACH(it, tmp, &n->waiting) {
		if (LIST_OWNER(it, struct exchange, parked)->park_patient)
			continue; /* it would only park again, and control answer again */
		list_remove(it);
		list_append(&taken, it);
	}
	run_all(&taken);
}

void park_free(struct wsidecar *sc)
{
	while (!list_empty(&sc->names)) {
		struct wname *n = LIST_OWNER(sc->names.next, struct wname, link);
		list_remove(&n->link);
		mem_free(n);
	}
}
