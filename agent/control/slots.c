#include "control/slots.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/table.h"

#include <string.h>

#define KEY_MAX 320
#define FIRST_CAP 64u

struct entry {     /* one number */
	char *key; /* owned; NULL: never given */
	uint32_t key_n, uses, generation;
	uint32_t owner;        /* number of the upstream, of the sidecar */
	uint32_t older, newer; /* neighbours among those that rest; SLOT_NONE: the end */
};

struct kind {
	struct table table; /* key to number + 1, as a pointer */
	struct entry *at;
	uint32_t n, cap, max;    /* given so far; room; the limit */
	uint32_t may_rest;       /* when others are still free */
	uint32_t oldest, newest; /* of those that rest */
	uint32_t resting;
};

struct slots {
	struct kind sidecars, upstreams, endpoints;
	void *memory; /* of cells and tallies; untouched pages cost nothing */
	struct balance_cell *cells;
	struct balance_tally *tallies;
	struct circuit *circuits;
	struct trace_cell *traces;
	struct crowd *crowds;
	struct replies *replies;
	uint64_t serial;
};

/* --- cells --------------------------------------------------------------------------------------------------------- */

static bool make_cells(struct slots *s)
{
	size_t tallies = SLOTS_UPSTREAMS_MAX * sizeof(struct balance_tally);
	size_t circuits = SLOTS_UPSTREAMS_MAX * sizeof(struct circuit);
	size_t traces = SLOTS_SIDECARS_MAX * sizeof(struct trace_cell),
	       crowds = SLOTS_SIDECARS_MAX * sizeof(struct crowd);
	size_t replies = SLOTS_SIDECARS_MAX * sizeof(struct replies);
	s->memory = mem_zalloc(SLOTS_ENDPOINTS_MAX * sizeof(struct balance_cell) + tallies + circuits +
			       traces + crowds + replies + _Alignof(struct balance_cell));
	if (!s->memory)
		return false;
	uintptr_t at = ((uintptr_t)s->memory + _Alignof(struct balance_cell) - 1) &
		       ~(uintptr_t)(_Alignof(struct balance_cell) - 1);
	s->tallies = (struct balance_tally *)at;
	s->circuits = (struct circuit *)(at + tallies);
	s->traces = (struct trace_cell *)(at + tallies + circuits);
	s->crowds = (struct crowd *)(at + tallies + circuits + traces);
	s->replies = (struct replies *)(at + tallies + circuits + traces + crowds);
	s->cells = (struct balance_cell *)(at + tallies + circuits + traces + crowds + replies);
	return true;
}

struct balance_cell *slots_cell(struct slots *s, uint32_t endpoint)
{
	return &s->cells[endpoint];
}

struct balance_tally *slots_tally(struct slots *s, uint32_t upstream)
{
	return &s->tallies[upstream];
}

struct crowd *slots_crowd(struct slots *s, uint32_t sidecar)
{
	return &s->crowds[sidecar];
}

struct replies *slots_replies(struct slots *s, uint32_t sidecar)
{
	return &s->replies[sidecar];
}

struct trace_cell *slots_trace(struct slots *s, uint32_t sidecar)
{
	return &s->traces[sidecar];
}

struct circuit *slots_circuit(struct slots *s, uint32_t upstream)
{
	return &s->circuits[upstream];
}

uint64_t slots_serial(struct slots *s)
{
	return ++s->serial;
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

static void kind_init(struct kind *k, uint32_t max, uint32_t may_rest, uint64_t seed)
{
	/* One more than there are numbers: a new key stands there before the old key of its number goes. */
	table_init(&k->table, (size_t)max + 1, seed);
	k->max = max;
	k->may_rest = may_rest;
	k->oldest = k->newest = SLOT_NONE;
}

static void kind_release(struct kind *k)
{
	for (uint32_t i = 0; i < k->n; i++)
		mem_free(k->at[i].key);
	mem_free(k->at);
	table_release(&k->table);
}

struct slots *slots_new(struct err *err)
{
	struct rng r;
	struct slots *s = mem_zalloc(sizeof(*s));
	if (!s || !make_cells(s)) {
		mem_free(s);
		err_set(err, "out of memory");
		return NULL;
	}
	rng_seed_os(&r);
	kind_init(&s->sidecars, SLOTS_SIDECARS_MAX, SLOTS_SIDECARS_RESTING, rng_next(&r));
	kind_init(&s->upstreams, SLOTS_UPSTREAMS_MAX, SLOTS_UPSTREAMS_RESTING, rng_next(&r));
	kind_init(&s->endpoints, SLOTS_ENDPOINTS_MAX, SLOTS_ENDPOINTS_RESTING, rng_next(&r));
	return s;
}

void slots_free(struct slots *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->sidecars.n; i++)
		replies_clear(&s->replies[i]);
	kind_release(&s->sidecars);
	kind_release(&s->upstreams);
	kind_release(&s->endpoints);
	mem_free(s->memory);
	mem_free(s);
}

/* --- resting ------------------------------------------------------------------------------------------------------- */

static void rest(struct kind *k, uint32_t i)
{
	struct entry *e = &k->at[i];
	e->older = k->newest;
	e->newer = SLOT_NONE;
	if (k->newest != SLOT_NONE)
		k->at[k->newest].newer = i;
	else
		k->oldest = i;
	k->newest = i;
	k->resting++;
}

static void wake(struct kind *k, uint32_t i)
{
	struct entry *e = &k->at[i];
	if (e->older != SLOT_NONE)
		k->at[e->older].newer = e->newer;
	else
		k->oldest = e->newer;
	if (e->newer != SLOT_NONE)
		k->at[e->newer].older = e->older;
	else
		k->newest = e->older;
	k->resting--;
}

/* --- giving -------------------------------------------------------------------------------------------------------- */

static bool make_room(struct kind *k)
{
	if (k->n < k->cap)
		return true;
	uint32_t cap = k->cap ? k->cap * 2 : FIRST_CAP;
	cap = cap < k->max ? cap : k->max;
	struct entry *at = mem_resize(k->at, cap * sizeof(*at));
	if (!at)
		return false;
	k->at = at;
	k->cap = cap;
	return true;
}

/* The number that a new identity gets; it is not taken yet. */
static uint32_t choose(struct kind *k)
{
	if (k->resting && (k->resting > k->may_rest || k->n == k->max))
		return k->oldest;
	if (k->n < k->max && make_room(k))
		return k->n;
	return k->oldest;
}

static struct slot use(struct kind *k, uint32_t i)
{
	struct entry *e = &k->at[i];
	if (e->uses++ == 0)
		wake(k, i);
	return (struct slot){ i, e->generation };
}

static struct slot take(struct kind *k, struct str key)
{
	const void *had = table_get(&k->table, key);
	if (had)
		return use(k, (uint32_t)((uintptr_t)had - 1));
	uint32_t i = choose(k);
	char *kept = i == SLOT_NONE ? NULL : mem_dup(key.p, key.n);
	if (!kept || !table_put(&k->table, str_make(kept, key.n), (void *)((uintptr_t)i + 1))) {
		mem_free(kept);
		return (struct slot){ SLOT_NONE, 0 };
	}
	struct entry *e = &k->at[i];
	if (i == k->n) {
		*e = (struct entry){ .uses = 1 };
		k->n++;
	} else {
		table_remove(&k->table, str_make(e->key, e->key_n));
		mem_free(e->key);
		e->generation++;
		(void)use(k, i);
	}
	e->key = kept;
	e->key_n = (uint32_t)key.n;
	return (struct slot){ i, e->generation };
}

/* Was it the last use? */
static bool unuse(struct kind *k, uint32_t i)
{
	if (i >= k->n || !k->at[i].uses || --k->at[i].uses > 0)
		return false;
	rest(k, i);
	return true;
}

uint32_t slots_sidecar(struct slots *s, struct str name)
{
	return take(&s->sidecars, name.n ? name : STR("-")).number;
}

/* Thousands are made at a time, where snprintf() would be most of it. Returns the bytes. */
static size_t put_number(char *dst, uint32_t v)
{
	char digits[10];
	size_t n = 0;
	do
		digits[n++] = (char)('0' + v % 10);
	while (v /= 10);
	for (size_t i = 0; i < n; i++)
		dst[i] = digits[n - 1 - i];
	return n;
}

/* "owner.generation/name": the numbers are the owner's, so that a later owner of the number does not inherit. */
static struct slot take_owned(struct kind *k, const struct kind *owners, uint32_t owner, struct str name)
{
	char key[KEY_MAX];
	if (owner == SLOT_NONE || name.n > sizeof(key) - 22)
		return (struct slot){ SLOT_NONE, 0 };
	size_t n = put_number(key, owner);
	key[n++] = '.';
	n += put_number(key + n, owner < owners->n ? owners->at[owner].generation : 0);
	key[n++] = '/';
	memcpy(key + n, name.p, name.n);
	struct slot ret = take(k, str_make(key, n + name.n));
	if (ret.number != SLOT_NONE)
		k->at[ret.number].owner = owner;
	return ret;
}

struct slot slots_upstream(struct slots *s, uint32_t sidecar, struct str name)
{
	return take_owned(&s->upstreams, &s->sidecars, sidecar, name);
}

struct slot slots_endpoint(struct slots *s, uint32_t upstream, struct str address)
{
	return take_owned(&s->endpoints, &s->upstreams, upstream, address);
}

struct slot slots_endpoint_again(struct slots *s, uint32_t number)
{
	return use(&s->endpoints, number);
}

void slots_shrink_replies(struct slots *s, uint64_t max)
{
	for (uint32_t i = 0; i < s->sidecars.n; i++)
		if (atomic_load_explicit(&s->replies[i].bytes, memory_order_relaxed) > max)
			replies_shrink(&s->replies[i], max);
}

void slots_sidecar_unuse(struct slots *s, uint32_t number)
{
	if (unuse(&s->sidecars, number))
		replies_clear(&s->replies[number]);
}

void slots_upstream_unuse(struct slots *s, uint32_t number)
{
	if (unuse(&s->upstreams, number))
		circuit_reset(&s->circuits[number]);
}

void slots_endpoint_unuse(struct slots *s, uint32_t number)
{
	/* Now, while its upstream's tally still counts it: its ejection ends with its last user. */
	if (unuse(&s->endpoints, number))
		outlier_reset(&s->cells[number], &s->tallies[s->endpoints.at[number].owner], clock_now());
}

size_t slots_upstreams_used(const struct slots *s)
{
	return s->upstreams.n - s->upstreams.resting;
}

size_t slots_endpoints_used(const struct slots *s)
{
	return s->endpoints.n - s->endpoints.resting;
}
