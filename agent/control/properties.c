#include "control/properties.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>

/* --- life ---------------------------------------------------------------------------------------------------------- */

void properties_init(struct properties *p, uint64_t seed)
{
	*p = (struct properties){ .n = 0 };
	arena_init(&p->arena, PROPERTIES_MEMORY_MAX, NULL, 0);
	table_init(&p->index, PROPERTIES_MAX, seed);
	table_init(&p->lists, PROPERTIES_MAX, seed);
}

void properties_release(struct properties *p)
{
	for (size_t i = 0; i < p->n; i++) { /* the arena's bytes, which nobody else holds any more */
		explicit_bzero((void *)(uintptr_t)p->at[i].raw.p, p->at[i].raw.n);
		explicit_bzero((void *)(uintptr_t)p->at[i].value.p, p->at[i].value.n);
	}
	mem_free(p->at);
	if (p->index.max) {
		table_release(&p->index);
		table_release(&p->lists);
		arena_release(&p->arena);
	}
	*p = (struct properties){ .n = 0 };
}

/* --- merging ------------------------------------------------------------------------------------------------------- */

struct str properties_list_root(struct str key)
{
	size_t at = str_find(key, '[');
	return at == SIZE_MAX ? str_make(NULL, 0) : str_make(key.p, at);
}

void properties_begin_set(struct properties *p)
{
	p->set++;
}

static bool no_room(struct err *err)
{
	return err_set(err, "out of memory, or more than %u properties or %u bytes", PROPERTIES_MAX,
		       PROPERTIES_MEMORY_MAX);
}

/* Does the list that `key` belongs to come from this set? A list that nobody had becomes this set's. -1: no memory. */
static int owns_list(struct properties *p, struct str kept)
{
	struct str root = properties_list_root(kept);
	if (!root.p)
		return 1;
	const void *owner = table_get(&p->lists, root);
	if (owner)
		return (uintptr_t)owner == (uintptr_t)p->set + 1;
	return table_put(&p->lists, root, (void *)((uintptr_t)p->set + 1)) ? 1 : -1;
}

static struct property *next_place(struct properties *p)
{
	if (p->n < p->cap)
		return &p->at[p->n];
	size_t cap = p->cap ? p->cap * 2 : 64;
	struct property *at = mem_resize(p->at, cap * sizeof(*at));
	if (!at)
		return NULL;
	p->at = at;
	p->cap = cap;
	return &at[p->n];
}

bool properties_add(struct properties *p, uint32_t source, struct str key, struct str value, struct str origin,
		    struct err *err)
{
	if (key.n > PROPERTIES_KEY_MAX || value.n > PROPERTIES_VALUE_MAX)
		return err_set(err, "%.*s: the key or its value is too long", (int)(key.n < 80 ? key.n : 80), key.p);
	if (key.n == 0 || table_get(&p->index, key))
		return true;
	struct str kept = arena_str(&p->arena, key);
	struct property *at = next_place(p);
	if (!kept.p || !at)
		return no_room(err);
	int owned = owns_list(p, kept);
	if (owned <= 0)
		return owned == 0 || no_room(err);
	struct str raw = arena_str(&p->arena, value.p ? value : STR(""));
	const char *before = p->n ? p->at[p->n - 1].origin : "";
	const char *from = str_eq(str_of(before), origin) ? before : arena_z(&p->arena, origin);
	if (!raw.p || !from || !table_put(&p->index, kept, (void *)((uintptr_t)p->n + 1)))
		return no_room(err);
	*at = (struct property){ .key = kept, .raw = raw, .value = raw, .origin = from, .source = source };
	p->n++;
	return true;
}

const struct property *properties_find(const struct properties *p, struct str key)
{
	const void *at = table_get(&p->index, key);
	return at ? &p->at[(uintptr_t)at - 1] : NULL;
}

/* --- placeholders -------------------------------------------------------------------------------------------------- */

struct expansion {
	const struct properties *p;
	char *const *env;
	struct text *out;
	unsigned steps; /* left */
	size_t work;    /* bytes that may still be looked at */
};

static bool expand(struct expansion *x, struct str s, unsigned depth, struct err *err);

/* The index of the '}' that ends the placeholder whose inside begins at `from`; SIZE_MAX: there is none. */
static size_t end_of(struct str s, size_t from)
{
	unsigned open = 1;
	for (size_t i = from; i < s.n; i++) {
		if (s.p[i] == '$' && i + 1 < s.n && s.p[i + 1] == '{') {
			open++;
			i++;
		} else if (s.p[i] == '}' && --open == 0) {
			return i;
		}
	}
	return SIZE_MAX;
}

/* The ':' that parts key and default, outside nested placeholders. */
static size_t default_of(struct str inside)
{
	unsigned open = 0;
	for (size_t i = 0; i < inside.n; i++) {
		if (inside.p[i] == '$' && i + 1 < inside.n && inside.p[i + 1] == '{')
			open++;
		else if (inside.p[i] == '}' && open)
			open--;
		else if (inside.p[i] == ':' && !open)
			return i;
	}
	return SIZE_MAX;
}

/* NAME as it stands, else my.key as MY_KEY. */
static const char *from_env(char *const *env, struct str key)
{
	for (; env && *env; env++) {
		struct str entry = str_of(*env); /* the key may have any bytes, NUL too */
		if (entry.n > key.n && entry.p[key.n] == '=' && str_starts(entry, key))
			return *env + key.n + 1;
	}
	return NULL;
}

static bool lookup(struct expansion *x, struct str key, unsigned depth, bool *found, struct err *err)
{
	const struct property *at = properties_find(x->p, key);
	const char *env = at ? NULL : from_env(x->env, key);
	*found = at || env;
	if (at)
		return expand(x, at->raw, depth + 1, err);
	text_addz(x->out, env ? env : "");
	return true;
}

/* So that no value costs more than some milliseconds. */
static bool spend(struct expansion *x, size_t n, struct err *err)
{
	if (x->out->failed || n > x->work)
		return err_set(err, "the resolved value is too long, or memory is short");
	x->work -= n;
	return true;
}

static bool placeholder(struct expansion *x, struct str inside, unsigned depth, struct err *err)
{
	size_t colon = default_of(inside);
	struct str name = colon == SIZE_MAX ? inside : str_make(inside.p, colon);
	struct text key, *out = x->out;
	bool found = false;

	if (depth >= PROPERTIES_DEPTH_MAX || x->steps == 0)
		return err_set(err, "placeholders refer to each other in a circle, or more than %u deep",
			       PROPERTIES_DEPTH_MAX);
	x->steps--;
	text_init(&key, PROPERTIES_KEY_MAX);
	x->out = &key; /* a key may hold placeholders too */
	bool ok = expand(x, name, depth + 1, err);
	x->out = out;
	if (ok)
		ok = lookup(x, text_str(&key), depth, &found, err);
	text_release(&key);
	if (!ok || found)
		return ok;
	if (colon != SIZE_MAX)
		return expand(x, str_make(inside.p + colon + 1, inside.n - colon - 1), depth + 1, err);
	text_addz(out, "${");
	text_add(out, inside);
	text_char(out, '}');
	return true;
}

static bool expand(struct expansion *x, struct str s, unsigned depth, struct err *err)
{
	size_t done = 0;
	bool closed = true; /* none of those before was left open */

	if (!spend(x, s.n, err))
		return false;
	for (size_t i = 0; i + 1 < s.n; i++) {
		if (s.p[i] != '$' || s.p[i + 1] != '{')
			continue;
		bool literal = i > done && s.p[i - 1] == '\\';
		size_t end = literal || !closed ? SIZE_MAX : end_of(s, i + 2);
		closed = closed && (literal || end != SIZE_MAX);
		text_add(x->out, str_make(s.p + done, i - done - literal));
		if (end == SIZE_MAX) { /* a literal one, or never closed: text */
			text_addz(x->out, "${");
			done = i + 2;
			i++;
			continue;
		}
		if (!placeholder(x, str_make(s.p + i + 2, end - i - 2), depth, err))
			return false;
		done = end + 1;
		i = end;
	}
	text_add(x->out, str_make(s.p + done, s.n - done));
	return !x->out->failed || err_set(err, "the resolved value is too long, or memory is short");
}

bool properties_expand(const struct properties *p, struct str text, char *const *environ_, struct text *out,
		       struct err *err)
{
	struct expansion x = { .p = p, .env = environ_, .out = out, .steps = PROPERTIES_STEPS_MAX,
			       .work = PROPERTIES_WORK_MAX };
	return expand(&x, text, 0, err);
}

static bool has_placeholder(struct str s)
{
	const char *at = s.n ? memchr(s.p, '$', s.n) : NULL;
	return at && memmem(at, s.n - (size_t)(at - s.p), "${", 2) != NULL;
}

bool properties_resolve(struct properties *p, size_t i, char *const *environ_, struct err *err)
{
	struct property *at = &p->at[i];
	struct text out;

	if (!has_placeholder(at->raw))
		return true;
	text_init(&out, PROPERTIES_VALUE_MAX);
	bool ok = properties_expand(p, at->raw, environ_, &out, err);
	struct str value = ok ? arena_str(&p->arena, out.n ? text_str(&out) : STR("")) : at->raw;
	if (ok && !value.p)
		ok = no_room(err);
	else
		at->value = value;
	if (out.p)
		explicit_bzero(out.p, out.n);
	text_release(&out);
	return ok || err_prefix(err, "%.*s", (int)(at->key.n < 80 ? at->key.n : 80), at->key.p);
}

void properties_hash(struct properties *p, size_t i)
{
	const struct property *at = &p->at[i];
	/* A sum, so that the order of sources and files does not matter. */
	p->hash += str_hash(at->value, str_hash(at->key, 1));
}
