/* What shows only when all options are read: which services and routes are named, and what excludes each other. */
#include "control/options_impl.h"

#include "base/mem.h"
#include "control/option_value.h"

#include <stdlib.h>

#define MACHINE_LISTENERS (4 * OPTION_LISTEN_MAX)
#define NAMED_MAX (OPTIONS_KEYS_MAX + OPTIONS_LIST_MAX)

/* --- services --------------------------------------------------------------------------------------------------------- */

struct names { /* a growing set of names, in the arena `judged` */
	struct table seen;
	struct str *at;
	size_t n;
};

static struct str lower(struct arena *a, struct str s)
{
	char *p = arena_z(a, s);

	for (size_t i = 0; p && i < s.n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] + 32);
	return str_make(p, p ? s.n : 0);
}

static bool add_name(struct options *o, struct names *set, struct str name)
{
	char buf[OPTIONS_KEY_MAX];

	if (name.n > sizeof(buf))
		return true;
	memcpy(buf, name.p, name.n);
	for (size_t i = 0; i < name.n; i++)
		if (buf[i] >= 'A' && buf[i] <= 'Z')
			buf[i] = (char)(buf[i] + 32);
	if (table_get(&set->seen, str_make(buf, name.n)))
		return true;
	struct str kept = arena_str(&o->judged, str_make(buf, name.n));
	return kept.p && table_put(&set->seen, kept, (void *)(uintptr_t)kept.p) != NULL;
}

static int by_name(const void *x, const void *y)
{
	const struct str *a = x, *b = y;
	int c = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);
	return c ? c : (a->n > b->n) - (a->n < b->n);
}

static bool sort_names(struct options *o, struct names *set)
{
	size_t at = 0;
	struct str key;

	set->at = arena_alloc(&o->judged, (set->seen.n + 1) * sizeof(*set->at));
	if (!set->at)
		return false;
	while (table_next(&set->seen, &at, &key))
		set->at[set->n++] = key;
	qsort(set->at, set->n, sizeof(*set->at), by_name);
	return true;
}

/* What the cell is about: a route, though the option may be an upstream's. */
static bool of_route(const struct option_cell *c, struct str *name)
{
	bool marked = c->subject.n && c->subject.p[0] == OPTIONS_ROUTE_MARK;

	*name = marked ? str_make(c->subject.p + 1, c->subject.n - 1) : c->subject;
	return marked || option_row(c->id)->scope == SCOPE_ROUTE;
}

/* Names that stand exactly somewhere: in keys of properties and flags, in outrider.upstreams, in routes, as fallbacks. */
static bool exact_names(struct options *o, struct names *services, struct names *routes)
{
	for (const struct option_cell *c = o->first; c; c = c->next) {
		struct str name;
		bool route = of_route(c, &name);
		if (c->subject.n == 0 || c->folded || (!route && str_eq(c->subject, STR(OPTIONS_DEFAULT_SUBJECT))))
			continue;
		if (!add_name(o, route ? routes : services, name))
			return false;
	}
	for (const struct option_cell *c = o->first; c; c = c->next)
		if ((c->id == OPT_ROUTE_UPSTREAM || c->id == OPT_FALLBACK_UPSTREAM) && c->top && !str_ieq(c->top->value, STR("off")) && !add_name(o, services, c->top->value))
			return false;
	struct str rest = options_text(o, OPT_UPSTREAMS);
	struct upstream_pin pin;
	while (upstream_pin_next(&rest, &pin, NULL) > 0)
		if (!add_name(o, services, pin.service))
			return false;
	return true;
}

static bool any_folded(const struct options *o, bool routes)
{
	struct str name;

	for (const struct option_cell *c = o->first; c; c = c->next)
		if (c->folded && of_route(c, &name) == routes)
			return true;
	return false;
}

/* The subject of an env name means the one name that folds to it; if there is none, itself. Two are a collision. */
static bool resolve_env(struct options *o, struct names *set, bool routes)
{
	struct table folded;
	size_t at = 0;
	struct str name;
	bool ok = true;
	static const char two = 0;

	if (!any_folded(o, routes))
		return true;
	table_init(&folded, NAMED_MAX, set->seen.seed);
	while (ok && table_next(&set->seen, &at, &name)) {
		char *p = arena_bytes(&o->judged, name.n);
		if (!(ok = p != NULL))
			break;
		struct str f = key_fold(name, p);
		void *mark = table_get(&folded, f) ? (void *)(uintptr_t)&two : (void *)(uintptr_t)name.p;
		ok = table_put(&folded, f, mark) != NULL;
	}
	for (const struct option_cell *c = o->first; ok && c; c = c->next) {
		struct str subject;
		if (of_route(c, &subject) != routes || !c->folded)
			continue;
		const void *mark = table_get(&folded, subject);
		if (!mark)
			ok = add_name(o, set, subject);
		else if (mark == &two)
			ok = options_note_entry(o, c->id, c->subject, c->top,
						"two names differ only in '-', '_' and '.', and this may mean either; "
						"use a flag or property, which spells the name out");
	}
	table_release(&folded);
	return ok;
}

static size_t service_index(const struct options *o, struct str name)
{
	const struct str *at = bsearch(&name, o->services, o->n_services, sizeof(name), by_name);
	return at ? (size_t)(at - o->services) : SIZE_MAX;
}

static bool keep_pins(struct options *o)
{
	struct str rest = options_text(o, OPT_UPSTREAMS), count = rest;
	struct upstream_pin pin;
	size_t n = 0;

	while (upstream_pin_next(&count, &pin, NULL) > 0)
		n++;
	o->pins = arena_zalloc(&o->judged, (n + 1) * sizeof(*o->pins));
	if (!o->pins)
		return false;
	while (upstream_pin_next(&rest, &pin, NULL) > 0) {
		pin.service = lower(&o->judged, pin.service);
		if (!pin.service.p)
			return false;
		addr_unmap(&pin.addr);
		o->pins[o->n_pins].pin = pin;
		o->pins[o->n_pins++].service = service_index(o, pin.service);
	}
	return true;
}

static bool find_names(struct options *o)
{
	struct names services = { .n = 0 }, routes = { .n = 0 };

	table_init(&services.seen, NAMED_MAX, (uintptr_t)o);
	table_init(&routes.seen, NAMED_MAX, (uintptr_t)o);
	bool ok = exact_names(o, &services, &routes) && resolve_env(o, &services, false) &&
		  resolve_env(o, &routes, true) && sort_names(o, &services) && sort_names(o, &routes);
	table_release(&services.seen);
	table_release(&routes.seen);
	if (!ok)
		return false;
	o->services = services.at;
	o->n_services = services.n;
	o->routes = routes.at;
	o->n_routes = routes.n;
	return keep_pins(o);
}

/* --- addresses that exclude each other ---------------------------------------------------------------------------------- */

struct place { /* where the agent listens */
	enum option_id id;
	struct addr addr;
};

struct places {
	struct place at[MACHINE_LISTENERS];
	size_t n;
};

static void add_places(struct places *p, const struct options *o, enum option_id id)
{
	struct str rest = options_text(o, id), item;

	if (str_ieq(rest, STR("off")))
		return;
	while (p->n < MACHINE_LISTENERS && option_item_next(&rest, &item))
		if (option_address(item, &p->at[p->n].addr, NULL)) {
			addr_unmap(&p->at[p->n].addr);
			p->at[p->n++].id = id;
		}
}

/* Can only one of the two be bound? A wildcard and any address of its family on one port exclude each other. */
static bool excludes(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family == AF_UNIX || b->sa.sa_family == AF_UNIX)
		return addr_eq(a, b);
	if (addr_port(a) != addr_port(b) || addr_port(a) == 0)
		return false;
	return addr_eq(a, b) || (a->sa.sa_family == b->sa.sa_family && (addr_is_any(a) || addr_is_any(b)));
}

static bool note(struct options *o, enum option_id id, const char *why)
{
	return options_note_entry(o, id, STR(""), options_entry(o, id, STR("")), why);
}

static bool note_clash(struct options *o, enum option_id id, const struct addr *a, const char *with)
{
	char text[ADDR_TEXT_MAX];
	struct err why;

	addr_text(a, text);
	err_set(&why, "%s is also an address of outrider.%s (or of all addresses with that port); choose another",
		text, with);
	return note(o, id, why.text);
}

static bool check_places(struct options *o, const struct places *p)
{
	for (size_t i = 0; i < p->n; i++)
		for (size_t k = i + 1; k < p->n; k++) {
			if (!excludes(&p->at[i].addr, &p->at[k].addr))
				continue;
			/* The one that was set is at fault, not the default. */
			size_t bad = options_is_set(o, p->at[k].id) ? k : i, other = bad == k ? i : k;
			if (!note_clash(o, p->at[bad].id, &p->at[bad].addr, option_row(p->at[other].id)->name))
				return false;
		}
	return true;
}

static bool note_handler_pin(struct options *o, const struct upstream_pin *pin)
{
	struct err why;
	char text[ADDR_TEXT_MAX];

	addr_text(&pin->addr, text);
	err_set(&why,
		"%.*s is pinned at %s, the port of outrider.port: a handler on all addresses and a listener on "
		"127.x exclude each other. Wiring 2: pin another port (%.*s:9001) and call "
		"http://127.0.0.1:9001; wiring 3: set http_proxy to the outbound listener",
		STR_ARG(pin->service), text, STR_ARG(pin->service));
	return note(o, OPT_UPSTREAMS, why.text);
}

/* Would the handler and that address exclude each other? A bare port stands for every address. */
static bool handler_excludes(uint16_t port, const struct addr *handler, const struct addr *a)
{
	if (handler->len)
		return excludes(handler, a);
	return a->sa.sa_family != AF_UNIX && addr_port(a) == port;
}

static bool check_handler(struct options *o, const struct places *p)
{
	struct addr handler;
	uint16_t port;

	if (!option_handler(options_text(o, OPT_PORT), &port, &handler, NULL))
		return true;
	for (size_t i = 0; i < o->n_pins; i++)
		if (handler_excludes(port, &handler, &o->pins[i].pin.addr) &&
		    !note_handler_pin(o, &o->pins[i].pin))
			return false;
	for (size_t i = 0; i < p->n; i++)
		if (handler_excludes(port, &handler, &p->at[i].addr) &&
		    !note_clash(o, OPT_PORT, &p->at[i].addr, option_row(p->at[i].id)->name))
			return false;
	return true;
}

static bool check_pins(struct options *o, const struct places *p)
{
	struct table seen;
	bool ok = true;
	char text[ADDR_TEXT_MAX];

	table_init(&seen, OPTIONS_LIST_MAX, (uintptr_t)o);
	for (size_t i = 0; ok && i < o->n_pins; i++) {
		struct option_pin *pin = &o->pins[i];
		addr_text(&pin->pin.addr, text);
		struct str key = arena_str(&o->judged, str_of(text));
		struct err why;
		if (!key.p) {
			ok = false;
		} else if (table_get(&seen, key)) {
			err_set(&why, "%s is pinned twice; every pinned upstream needs an address of its own", text);
			ok = note(o, OPT_UPSTREAMS, why.text);
		} else {
			ok = table_put(&seen, key, pin) != NULL;
		}
		for (size_t k = 0; ok && k < p->n; k++)
			if (excludes(&p->at[k].addr, &pin->pin.addr))
				ok = note_clash(o, OPT_UPSTREAMS, &pin->pin.addr, option_row(p->at[k].id)->name);
	}
	table_release(&seen);
	return ok;
}

/* One upstream has one port: two pins of a service may not say different ones. */
static bool check_upstream_ports(struct options *o)
{
	uint16_t *ports = arena_zalloc(&o->judged, (o->n_services + 1) * sizeof(*ports));

	if (!ports)
		return false;
	for (size_t i = 0; i < o->n_pins; i++) {
		const struct option_pin *pin = &o->pins[i];
		uint16_t want = pin->pin.upstream_port;
		if (!want || pin->service >= o->n_services)
			continue;
		uint16_t had = ports[pin->service];
		ports[pin->service] = want;
		if (!had || had == want)
			continue;
		struct err why;
		err_set(&why, "%.*s stands there with two upstream ports, %u and %u; an upstream has one",
			STR_ARG(pin->pin.service), had, want);
		if (!note(o, OPT_UPSTREAMS, why.text))
			return false;
	}
	return true;
}

/* --- what must be there --------------------------------------------------------------------------------------------------- */

static bool check_sidecar(struct options *o, enum command cmd)
{
	struct places p = { .n = 0 };
	bool handler = options_text(o, OPT_PORT).n > 0, named = options_text(o, OPT_SERVICE).n > 0;

	if (handler)
		add_places(&p, o, OPT_INBOUND);
	add_places(&p, o, OPT_OUTBOUND);
	add_places(&p, o, OPT_ADMIN);
	bool ok = check_places(o, &p) && check_pins(o, &p) && check_upstream_ports(o) && check_handler(o, &p);
	if (ok && handler && !named && cmd != COMMAND_ANY)
		ok = note(o, OPT_SERVICE,
			  "outrider.port is set, so the service needs a name: OUTRIDER_SERVICE=accountservice or "
			  "--service accountservice");
	if (ok && !handler && options_is_set(o, OPT_INBOUND) && !str_ieq(options_text(o, OPT_INBOUND), STR("off")) &&
	    cmd != COMMAND_ANY)
		ok = note(o, OPT_INBOUND,
			  "nothing can be done with inbound requests without outrider.port, the port of the service's "
			  "handler (OUTRIDER_PORT=6767), or turn inbound off");
	return ok;
}

static bool check_route(struct options *o, struct table *seen, struct str name)
{
	struct str host = options_of_text(o, name, OPT_ROUTE_HOST), prefix = options_of_text(o, name, OPT_ROUTE_PREFIX);
	struct err why;

	if (options_of_text(o, name, OPT_ROUTE_UPSTREAM).n == 0 &&
	    !options_note_entry(o, OPT_ROUTE_UPSTREAM, name, NULL,
				"a route needs the service to which it leads"))
		return false;
	while (prefix.n > 1 && prefix.p[prefix.n - 1] == '/')
		prefix.n--;
	struct str low = lower(&o->judged, host);
	char *key = low.p ? arena_fmt(&o->judged, "%s %.*s", low.p, STR_ARG(prefix)) : NULL;
	if (!key)
		return false;
	const char *other = table_get(seen, str_of(key));
	if (!other)
		return table_put(seen, str_of(key), (void *)(uintptr_t)name.p) != NULL;
	err_set(&why, "route %s has the same host and prefix; one of them would never be taken", other);
	return options_note_entry(o, OPT_ROUTE_PREFIX, name, options_entry(o, OPT_ROUTE_PREFIX, name), why.text);
}

static bool check_edge(struct options *o)
{
	struct places p = { .n = 0 };
	struct table seen;

	add_places(&p, o, OPT_LISTEN);
	add_places(&p, o, OPT_ADMIN);
	bool ok = check_places(o, &p);
	table_init(&seen, NAMED_MAX, (uintptr_t)o);
	for (size_t i = 0; ok && i < o->n_routes; i++)
		ok = check_route(o, &seen, o->routes[i]);
	table_release(&seen);
	return ok;
}

bool options_check(struct options *o, enum command cmd, struct err *err)
{
	o->n_problems = o->n_read;
	o->problems_total = o->read_total;
	o->n_services = o->n_routes = o->n_pins = 0;
	arena_reset(&o->judged);
	bool ok = find_names(o) && options_check_plugins(o) && (cmd == COMMAND_EDGE || check_sidecar(o, cmd)) &&
		  ((cmd != COMMAND_EDGE && cmd != COMMAND_ANY) || check_edge(o));
	if (!ok) {
		o->n_services = o->n_routes = o->n_pins = 0;
		return err_set(err, "out of memory while checking options");
	}
	if (o->problems_total == 0)
		return true;
	const char *first = o->n_problems ? o->problems[0].text : "an option is wrong";
	if (o->problems_total == 1)
		return err_set(err, "%s", first);
	return err_set(err, "%s (and %zu more)", first, o->problems_total - 1);
}
