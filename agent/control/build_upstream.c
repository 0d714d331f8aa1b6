/* Upstreams: parts of their own, shared between successive specs while they say the same. */
#include "control/build_int.h"

#include "base/list.h"
#include "base/mem.h"
#include "control/option_value.h"

#include <stdio.h>

struct made { /* what control keeps with an upstream, beside what workers read */
	struct slots *slots;
	uint64_t stamp; /* of the newest options that are known to say the same; 0: of none */
	bool listed;    /* the options list its endpoints */
	struct spec_upstream u;
};

#define ENDPOINT_ROOM (sizeof(struct spec_endpoint) + 160) /* with its text and its place in the balance, in most cases */
#define BALANCE_ROOM 640u

uint8_t build_mode(const struct options *o, struct str name)
{
	enum mode own = (enum mode)options_u64(o, OPT_MODE);
	uint64_t m = name.n ? options_of_u64(o, name, OPT_UPSTREAM_MODE) : MODE_OFF + 1;
	return (uint8_t)(m > MODE_OFF ? own : m); /* inherit is the last word */
}

static uint32_t count_items(struct str list)
{
	struct str item;
	uint32_t n = 0;

	while (option_item_next(&list, &item))
		n++;
	return n;
}

static bool has_endpoint(const struct spec_upstream *u, const struct addr *a)
{
	for (uint32_t i = 0; i < u->n_endpoints; i++)
		if (addr_eq(&u->endpoints[i].addr, a))
			return true;
	return false;
}

/* Does an agent stand there? */
static enum endpoint_agent agent_at(const struct addr *a, const struct registry_endpoint *info)
{
	if (info && endpoint_meta(info, STR("outrider")).p)
		return ENDPOINT_AGENT;
	if (a->sa.sa_family == AF_UNIX)
		return ENDPOINT_PLAIN;
	return addr_port(a) == 0 || addr_port(a) == AGENT_PORT ? ENDPOINT_MAYBE : ENDPOINT_PLAIN;
}

static bool add_endpoints(struct spec_upstream *u, struct str list, uint32_t n, struct slots *slots)
{
	struct str item;
	struct addr a;
	char text[ADDR_TEXT_MAX];

	if (n == 0)
		return true;
	u->endpoints = arena_zalloc(&u->arena, n * sizeof(*u->endpoints));
	if (!u->endpoints)
		return false;
	while (option_item_next(&list, &item)) {
		if (!option_address(item, &a, NULL))
			continue;
		addr_unmap(&a);
		if (has_endpoint(u, &a)) /* one address is one instance */
			continue;
		addr_text(&a, text);
		struct slot slot = slots_endpoint(slots, u->slot, str_of(text));
		if (slot.number == SLOT_NONE)
			return false;
		struct spec_endpoint *e = &u->endpoints[u->n_endpoints++];
		*e = (struct spec_endpoint){ .slot = slot.number, .generation = slot.generation, .addr = a };
		e->agent = (uint8_t)agent_at(&a, NULL);
		e->text = arena_z(&u->arena, str_of(text));
		if (!e->text)
			return false;
	}
	return true;
}

/* The former endpoint of that address: sets are sorted, so both are walked side by side. */
static const struct spec_endpoint *former_endpoint(
	const struct spec_upstream *old, uint32_t *at, const struct addr *a)
{
	while (old && old->told && *at < old->n_endpoints) {
		int c = endpoint_compare(&old->endpoints[*at].addr, a);
		if (c > 0)
			break;
		(*at)++;
		if (c == 0)
			return &old->endpoints[*at - 1];
	}
	return NULL;
}

/* What a registry told. The set stays with the upstream, so its texts need no copies. */
static bool add_told(struct spec_upstream *u, struct endpoint_set *set, const struct spec_upstream *old,
	struct slots *slots)
{
	char text[ADDR_TEXT_MAX];
	uint32_t at = 0;

	u->endpoints = arena_zalloc(&u->arena, set->n * sizeof(*u->endpoints));
	if (!u->endpoints)
		return false;
	for (size_t i = 0; i < set->n; i++) {
		const struct spec_endpoint *had = former_endpoint(old, &at, &set->at[i].addr);
		struct spec_endpoint *e = &u->endpoints[i];
		e->addr = set->at[i].addr;
		e->info = &set->at[i];
		e->agent = (uint8_t)agent_at(&e->addr, e->info);
		if (!had && addr_port(&e->addr))
			addr_text(&e->addr, text);
		else if (!had)
			addr_ip_text(&e->addr, text);
		e->text = arena_z(&u->arena, str_of(had ? had->text : text));
		struct slot slot = had ? slots_endpoint_again(slots, had->slot)
				       : slots_endpoint(slots, u->slot, str_of(text));
		if (slot.number == SLOT_NONE)
			return false;
		e->slot = slot.number;
		e->generation = slot.generation;
		u->n_endpoints++;
		if (!e->text)
			return false;
	}
	set->refs++;
	u->told = set;
	u->source = set->source;
	return true;
}

void build_drop_keyed(struct spec_upstream *u, struct slots *slots)
{
	for (unsigned i = 0; u->keyed_slots && i < CIRCUIT_KEYS; i++)
		slots_upstream_unuse(slots, u->keyed_slots[i]);
	u->keyed_slots = NULL;
}

/* Nobody uses it any more: neither control nor a worker. */
static void upstream_free(struct spec_upstream *u)
{
	struct made *m = LIST_OWNER(u, struct made, u);

	endpoint_set_unref(u->told);
	for (uint32_t i = 0; i < u->n_endpoints; i++)
		slots_endpoint_unuse(m->slots, u->endpoints[i].slot);
	build_drop_keyed(u, m->slots);
	slots_upstream_unuse(m->slots, u->slot);
	arena_release(&u->arena);
	mem_free(m);
}

void build_upstream_unref(struct spec_upstream *u)
{
	if (u && --u->refs == 0)
		upstream_free(u);
}

static bool same_balancing(const struct spec_upstream *a, const struct spec_upstream *b)
{
	return balance_options_same(&a->balancing, &b->balancing) &&
	       a->hash_kind == b->hash_kind && str_eq(a->hash_name, b->hash_name) &&
	       str_eq(a->cookie, b->cookie) && str_eq(a->subset, b->subset) && a->locality == b->locality &&
	       a->met == b->met;
}

static bool same(const struct spec_upstream *a, const struct spec_upstream *b)
{
	if (a->slot != b->slot || a->generation != b->generation || !str_eq(a->name, b->name) ||
		a->kind != b->kind || a->mode != b->mode || a->port != b->port || a->called != b->called ||
		!addr_eq(&a->handler, &b->handler) || !build_policy_same(a, b) || a->circuit != b->circuit || !a->keyed != !b->keyed ||
		a->n_endpoints != b->n_endpoints || a->told != b->told || !same_balancing(a, b))
		return false;
	for (uint32_t i = 0; i < a->n_endpoints; i++)
		if (a->endpoints[i].slot != b->endpoints[i].slot ||
			a->endpoints[i].generation != b->endpoints[i].generation ||
			!addr_eq(&a->endpoints[i].addr, &b->endpoints[i].addr))
			return false;
	return true;
}

static struct spec_upstream *find_previous(const struct spec_sidecar *p, const struct build_upstream *want)
{
	struct spec_upstream *fixed[] = { p->handler, p->local, p->external };

	if (want->kind == UPSTREAM_SERVICE)
		return spec_find_upstream(p, want->name);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (fixed[i] && fixed[i]->kind == want->kind)
			return fixed[i];
	return NULL;
}

/* Is it known, without looking, that it would be made the same again? */
static bool is_fresh(struct spec_upstream *old, const struct build_request *q)
{
	const struct made *m = LIST_OWNER(old, struct made, u);

	if (!q->stamp || m->stamp != q->stamp)
		return false;
	return old->kind != UPSTREAM_SERVICE ||
	       (old->met == q->met && (m->listed || old->told == discovery_set(q->discovery, old->name)));
}

/* Struct, name and endpoints lie in one piece of memory. */
static struct spec_upstream *upstream_alloc(
	struct slots *slots, const struct build_upstream *want, uint32_t endpoints)
{
	size_t room = want->name.n + BALANCE_ROOM + endpoints * ENDPOINT_ROOM;
	struct made *m = mem_zalloc(sizeof(*m) + room);

	if (!m)
		return NULL;
	m->slots = slots;
	struct spec_upstream *u = &m->u;
	u->slot = SLOT_NONE;
	arena_init(&u->arena, BUILD_MEMORY_MAX, m + 1, room);
	u->refs = 1;
	u->kind = (uint8_t)want->kind;
	u->port = want->port;
	u->called = want->called;
	u->handler = want->handler;
	u->name = arena_str(&u->arena, want->name);
	if (u->name.p)
		return u;
	upstream_free(u);
	return NULL;
}

/* A service may well be called "local": those that are none have a slash before their name there. */
static struct slot slot_of(
	const struct build_request *q, uint32_t sidecar_slot, const struct spec_upstream *u)
{
	char key[64];

	if (u->kind == UPSTREAM_SERVICE)
		return slots_upstream(q->slots, sidecar_slot, u->name);
	int n = snprintf(key, sizeof(key), "/%.*s", STR_ARG(u->name));
	return slots_upstream(q->slots, sidecar_slot, str_make(key, (size_t)n));
}

static void know(struct spec_upstream *u, const struct build_request *q, bool listed)
{
	struct made *m = LIST_OWNER(u, struct made, u);

	m->stamp = q->stamp;
	m->listed = listed;
}

/* A circuit for each SOAP action: which action has which is settled by its hash, so it stays over reloads. */
bool build_keyed(struct spec_upstream *u, const struct build_request *q, uint32_t sidecar_slot, struct str subject)
{
	if (options_of_u64(q->options, subject, OPT_BREAKER_BY) == 0)
		return true;
	struct circuit **at = arena_zalloc(&u->arena, CIRCUIT_KEYS * sizeof(*at));
	uint32_t *slots = arena_alloc(&u->arena, CIRCUIT_KEYS * sizeof(*slots));
	char key[2 * OPTIONS_KEY_MAX + 16];
	bool ok = at && slots;

	for (unsigned i = 0; ok && i < CIRCUIT_KEYS; i++)
		slots[i] = SLOT_NONE;
	u->keyed_slots = slots;
	for (unsigned i = 0; ok && i < CIRCUIT_KEYS; i++) {
		int n = snprintf(key, sizeof(key), "#%u/%.*s", i, STR_ARG(subject));
		slots[i] = n < 0 || (size_t)n >= sizeof(key) ? SLOT_NONE : slots_upstream(q->slots, sidecar_slot, str_make(key, (size_t)n)).number;
		ok = slots[i] != SLOT_NONE;
		at[i] = ok ? slots_circuit(q->slots, slots[i]) : NULL;
	}
	u->keyed = at;
	return ok;
}

/* Options and slot; endpoints and balance are still missing. */
static bool fill_rules(struct spec_upstream *u, const struct build_request *q, uint32_t sidecar_slot)
{
	bool service = u->kind == UPSTREAM_SERVICE;
	/* The handler, localhost and egress are no services: for them holds what `default` says. */
	struct str subject = service ? u->name : STR(OPTIONS_DEFAULT_SUBJECT);

	if (service && u->port == 0)
		u->port = (uint16_t)options_of_u64(q->options, u->name, OPT_UPSTREAM_PORT);
	u->mode = build_mode(q->options, u->kind == UPSTREAM_HANDLER ? STR("") : subject);
	u->met = service ? q->met : 0;
	if (!build_policy(u, q->options, subject) || !build_balance_options(u, q->options, subject))
		return false;
	struct slot slot = slot_of(q, sidecar_slot, u);
	u->slot = slot.number;
	u->generation = slot.generation;
	if (u->slot == SLOT_NONE)
		return false;
	if (service || (u->kind == UPSTREAM_HANDLER && bulkhead_on(&u->policy.bulkhead)))
		u->circuit = slots_circuit(q->slots, u->slot);
	return !service || build_keyed(u, q, sidecar_slot, u->name);
}

/* With its endpoints, but without what is balanced by. */
static struct spec_upstream *make(const struct build_request *q, uint32_t sidecar_slot, const struct build_upstream *want,
	const struct spec_upstream *old)
{
	bool service = want->kind == UPSTREAM_SERVICE;
	struct str list = service ? options_of_text(q->options, want->name, OPT_UPSTREAM_ENDPOINTS) : STR("");
	uint32_t n = count_items(list);
	const struct endpoint_set *set = service && n == 0 ? discovery_set(q->discovery, want->name) : NULL;
	struct spec_upstream *u = upstream_alloc(q->slots, want, n ? n : set ? (uint32_t)set->n : 0);

	if (!u)
		return NULL;
	bool ok = fill_rules(u, q, sidecar_slot);
	if (ok && set)
		ok = add_told(u, (struct endpoint_set *)(uintptr_t)set, old, q->slots);
	else if (ok)
		ok = add_endpoints(u, list, n, q->slots);
	if (!ok) {
		upstream_free(u);
		return NULL;
	}
	know(u, q, n > 0);
	return u;
}

struct spec_upstream *build_upstream(
	const struct build_request *q, uint32_t sidecar_slot, const struct build_upstream *want)
{
	struct spec_upstream *old = q->previous ? find_previous(q->previous, want) : NULL;
	bool fresh = old && is_fresh(old, q);
	struct spec_upstream *u = fresh ? old : make(q, sidecar_slot, want, old);

	if (!u)
		return NULL;
	if (!fresh && old && same(old, u)) {
		know(old, q, LIST_OWNER(u, struct made, u)->listed);
		upstream_free(u);
		fresh = true;
	}
	if (fresh) {
		old->refs++;
		return old;
	}
	if (build_balance(u, q, old))
		return u;
	upstream_free(u);
	return NULL;
}
