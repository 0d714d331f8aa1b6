#include "control/slots.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/table.h"

#include <stdio.h>

#define KEYS_MAX_BYTES (32u << 20)
#define KEY_MAX 320

struct kind {
	struct table table; /* key to slot + 1, as a pointer */
	uint32_t max;
};

struct slots {
	struct arena keys;
	struct kind sidecars, upstreams, endpoints;
	void *memory; /* of cells and tallies; untouched pages cost nothing */
	struct balance_cell *cells;
	struct balance_tally *tallies;
	uint64_t serial;
};

static bool make_cells(struct slots *s)
{
	size_t tallies = SLOTS_UPSTREAMS_MAX * sizeof(struct balance_tally);
	s->memory = mem_zalloc(SLOTS_ENDPOINTS_MAX * sizeof(struct balance_cell) + tallies + _Alignof(struct balance_cell));
	if (!s->memory)
		return false;
	uintptr_t at = ((uintptr_t)s->memory + _Alignof(struct balance_cell) - 1) & ~(uintptr_t)(_Alignof(struct balance_cell) - 1);
	s->tallies = (struct balance_tally *)at;
	s->cells = (struct balance_cell *)(at + tallies);
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

uint64_t slots_serial(struct slots *s)
{
	return ++s->serial;
}

static void kind_init(struct kind *k, uint32_t max, uint64_t seed)
{
	table_init(&k->table, max, seed);
	k->max = max;
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
	arena_init(&s->keys, KEYS_MAX_BYTES, NULL, 0);
	kind_init(&s->sidecars, SLOTS_SIDECARS_MAX, rng_next(&r));
	kind_init(&s->upstreams, SLOTS_UPSTREAMS_MAX, rng_next(&r));
	kind_init(&s->endpoints, SLOTS_ENDPOINTS_MAX, rng_next(&r));
	return s;
}

void slots_free(struct slots *s)
{
	if (!s)
		return;
	table_release(&s->sidecars.table);
	table_release(&s->upstreams.table);
	table_release(&s->endpoints.table);
	arena_release(&s->keys);
	mem_free(s->memory);
	mem_free(s);
}

static uint32_t find_or_give(struct slots *s, struct kind *k, struct str key)
{
	const void *had = table_get(&k->table, key);
	if (had)
		return (uint32_t)((uintptr_t)had - 1);
	size_t next = k->table.n;
	struct str kept = next < k->max ? arena_str(&s->keys, key) : str_make(NULL, 0);
	if (!kept.p || !table_put(&k->table, kept, (void *)(uintptr_t)(next + 1)))
		return SLOT_NONE;
	return (uint32_t)next;
}

uint32_t slots_sidecar(struct slots *s, struct str name)
{
	return find_or_give(s, &s->sidecars, name.n ? name : STR("-"));
}

/* "owner/name": the number is the owner's slot. */
static uint32_t find_owned(struct slots *s, struct kind *k, uint32_t owner, struct str name)
{
	char key[KEY_MAX];
	int n = snprintf(key, sizeof(key), "%u/%.*s", owner, STR_ARG(name));
	if (owner == SLOT_NONE || n < 0 || (size_t)n >= sizeof(key))
		return SLOT_NONE;
	return find_or_give(s, k, str_make(key, (size_t)n));
}

uint32_t slots_upstream(struct slots *s, uint32_t sidecar, struct str name)
{
	return find_owned(s, &s->upstreams, sidecar, name);
}

uint32_t slots_endpoint(struct slots *s, uint32_t upstream, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	addr_text(a, text);
	return find_owned(s, &s->endpoints, upstream, str_of(text));
}
