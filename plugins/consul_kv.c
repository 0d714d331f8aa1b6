#include "consul_kv.h"

#include "base/mem.h"

#include <stdio.h>

#define PROFILE_DEFAULT "default"

/* --- JSON ------------------------------------------------------------------------------------------------------------ */

struct bounds {
	size_t at, nodes;
	unsigned depth;
};

/* To the closing quote. A NUL would end a text that cJSON hands out. */
static bool pass_string(struct bounds *b, struct str s, struct err *err)
{
	for (b->at++; b->at < s.n && s.p[b->at] != '"'; b->at++) {
		if (s.p[b->at] == '\0' || str_starts(str_make(s.p + b->at, s.n - b->at), STR("\\u0000")))
			return err_set(err, "byte %zu: a NUL", b->at);
		b->at += s.p[b->at] == '\\';
	}
	return b->at < s.n || err_set(err, "it ends in the middle of a text: the answer was cut");
}

static bool within_bounds(struct str s, struct err *err)
{
	struct bounds b = { 0 };

	for (; b.at < s.n; b.at++) {
		char c = s.p[b.at];
		if (c == '"' && !pass_string(&b, s, err))
			return false;
		if (c == '\0')
			return err_set(err, "byte %zu: a NUL", b.at);
		if ((c == '{' || c == '[') && ++b.depth > CONSUL_DEPTH_MAX)
			return err_set(err, "byte %zu: more than %u levels", b.at, CONSUL_DEPTH_MAX);
		if ((c == '}' || c == ']') && b.depth)
			b.depth--;
		if ((c == '{' || c == '[' || c == ',') && ++b.nodes > CONSUL_NODES_MAX)
			return err_set(err, "byte %zu: more than %u values", b.at, CONSUL_NODES_MAX);
	}
	return true;
}

cJSON *consul_json(struct str body, struct err *err)
{
	const char *end = NULL;

	if (body.n == 0 || !within_bounds(body, err)) {
		if (body.n == 0)
			(void)err_set(err, "the answer is empty");
		return NULL;
	}
	cJSON *root = cJSON_ParseWithLengthOpts(body.p, body.n, &end, false);
	if (!root) {
		(void)err_set(err, "about byte %zu: it is no JSON, or memory is short",
			end ? (size_t)(end - body.p) : 0);
		return NULL;
	}
	if (str_trim(str_make(end, body.n - (size_t)(end - body.p))).n == 0)
		return root;
	(void)err_set(err, "byte %zu: something stands behind the JSON", (size_t)(end - body.p));
	consul_json_free(root);
	return NULL;
}

static void wipe(cJSON *at)
{
	for (; at; at = at->next) {
		if (at->valuestring)
			explicit_bzero(at->valuestring, strlen(at->valuestring));
		wipe(at->child);
	}
}

void consul_json_free(cJSON *root)
{
	wipe(root);
	cJSON_Delete(root);
}

/* --- base64 ------------------------------------------------------------------------------------------------------------ */

static int sextet(char c)
{
	return c >= 'A' && c <= 'Z'   ? c - 'A'
	       : c >= 'a' && c <= 'z' ? c - 'a' + 26
	       : c >= '0' && c <= '9' ? c - '0' + 52
	       : c == '+'             ? 62
	       : c == '/'             ? 63
				      : -1;
}

bool consul_base64(struct str s, char *ret, size_t *ret_n)
{
	size_t pad = 0, n = 0;

	while (pad < 2 && pad < s.n && s.p[s.n - 1 - pad] == '=')
		pad++;
	if (s.n % 4 != 0)
		return false;
	for (size_t i = 0; i < s.n; i += 4) {
		uint32_t v = 0;
		for (size_t k = i; k < i + 4; k++) {
			int six = k >= s.n - pad ? 0 : sextet(s.p[k]);
			if (six < 0)
				return false;
			v = v << 6 | (uint32_t)six;
		}
		ret[n++] = (char)(v >> 16 & 0xff);
		ret[n++] = (char)(v >> 8 & 0xff);
		ret[n++] = (char)(v & 0xff);
	}
	*ret_n = n - pad;
	return true;
}

/* --- names ------------------------------------------------------------------------------------------------------------- */

static bool needs_no_code(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-._~/", c));
}

static bool add_encoded(struct str s, char *ret, size_t *at, size_t cap)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (*at + 4 > cap)
			return false;
		if (needs_no_code(s.p[i])) {
			ret[(*at)++] = s.p[i];
		} else {
			ret[(*at)++] = '%';
			ret[(*at)++] = hex[c >> 4];
			ret[(*at)++] = hex[c & 15];
		}
	}
	return true;
}

/* "config/" of "/config/"; nothing of "". */
static struct str bare_prefix(struct str prefix)
{
	while (prefix.n && prefix.p[0] == '/')
		prefix = str_make(prefix.p + 1, prefix.n - 1);
	while (prefix.n && prefix.p[prefix.n - 1] == '/')
		prefix.n--;
	return prefix;
}

bool consul_kv_path(struct str prefix, struct str name, char *ret, size_t cap)
{
	size_t at = 0;

	prefix = bare_prefix(prefix);
	if (!add_encoded(STR("/v1/kv/"), ret, &at, cap) || !add_encoded(prefix, ret, &at, cap) ||
		!add_encoded(prefix.n ? STR("/") : STR(""), ret, &at, cap) ||
		!add_encoded(name, ret, &at, cap))
		return false;
	ret[at] = '\0';
	return true;
}

/* --- keys --------------------------------------------------------------------------------------------------------------- */

#define RANKS_MAX (SOURCE_PROFILES_MAX + 1u)

struct reading {
	struct config_props *p;
	const struct consul_names *of;
	struct str prefix;
	struct str profiles[RANKS_MAX]; /* the strongest first; the last is none */
	uint32_t n_profiles;
	struct err *err;
};

static void rank_profiles(struct reading *r)
{
	struct str rest = r->of->profiles, one, list[SOURCE_PROFILES_MAX];
	size_t n = 0;

	while (str_next(&rest, ',', &one))
		if (one.n && n < SOURCE_PROFILES_MAX)
			list[n++] = one;
	if (n == 0)
		list[n++] = STR(PROFILE_DEFAULT);
	while (n > 0)
		r->profiles[r->n_profiles++] = list[--n];
	r->profiles[r->n_profiles++] = STR("");
}

static bool take(struct str *s, struct str prefix)
{
	if (!str_starts(*s, prefix))
		return false;
	*s = str_make(s->p + prefix.n, s->n - prefix.n);
	return true;
}

/* The rank of the key's folder, and what stands below it; false: it is none of ours. */
static bool place_of(const struct reading *r, struct str key, uint32_t *rank, struct str *below)
{
	if ((r->prefix.n && (!take(&key, r->prefix) || !take(&key, STR("/")))) || !take(&key, r->of->name))
		return false;
	for (uint32_t i = 0; i < r->n_profiles; i++) {
		struct str rest = key, profile = r->profiles[i];
		if ((profile.n == 0 || (take(&rest, STR(",")) && take(&rest, profile))) &&
			take(&rest, STR("/"))) {
			*rank = i;
			*below = rest;
			return rest.p && rest.n > 0 && rest.p[rest.n - 1] != '/';
		}
	}
	return false;
}

static bool no_memory(struct reading *r)
{
	return err_set(r->err, "out of memory, or the values pass %u bytes", CONFIG_MEMORY_MAX);
}

static struct source_property *next_place(struct reading *r)
{
	struct config_props *p = r->p;

	if (p->n == SOURCE_PROPERTIES_MAX) {
		(void)err_set(r->err, "more than %u properties", SOURCE_PROPERTIES_MAX);
		return NULL;
	}
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 64;
		void *more = mem_resize(p->at, cap * sizeof(*p->at));
		if (!more) {
			(void)no_memory(r);
			return NULL;
		}
		p->at = more;
		p->cap = cap;
	}
	return &p->at[p->n];
}

static bool decode(struct reading *r, const cJSON *value, const char *key, struct str *ret)
{
	size_t n;

	*ret = STR("");
	if (cJSON_IsNull(value))
		return true;
	if (!cJSON_IsString(value))
		return err_set(r->err, "key %.200s has a value that is neither text nor null", key);
	struct str text = str_of(value->valuestring);
	char *to = arena_bytes(&r->p->arena, text.n / 4 * 3 + 3);
	if (!to)
		return no_memory(r);
	if (!consul_base64(text, to, &n))
		return err_set(r->err, "the value of key %.200s is no base64", key);
	*ret = str_make(to, n);
	return memchr(to, '\0', n) == NULL ||
	       err_set(r->err, "the value of key %.200s is no text: it holds a NUL", key);
}

static bool add(struct reading *r, const char *key, struct str below, uint32_t rank, const cJSON *value)
{
	struct source_property *to = next_place(r);
	struct arena *a = &r->p->arena;
	char *name = to ? arena_z(a, below) : NULL;

	if (!to)
		return false;
	*to = (struct source_property){ .set = r->p->sets + rank };
	to->origin = str_of(arena_fmt(a, "consul:%.*s/%s", STR_ARG(r->of->server), key));
	if (!name || !to->origin.p)
		return no_memory(r);
	for (size_t i = 0; i < below.n; i++)
		if (name[i] == '/')
			name[i] = '.';
	to->key = str_make(name, below.n);
	if (!decode(r, value, key, &to->value))
		return false;
	r->p->n++;
	return true;
}

struct entry { /* a key of ours */
	const char *key;
	const cJSON *value;
	struct str below;
	uint32_t rank;
};

/* The keys that are ours into *list; SIZE_MAX: wrong. */
static size_t find_ours(struct reading *r, const cJSON *root, struct entry *list)
{
	size_t n = 0, i = 0;

	for (const cJSON *one = root->child; one; one = one->next, i++) {
		const cJSON *key = cJSON_GetObjectItemCaseSensitive(one, "Key");
		struct entry *e = &list[n];
		e->value = cJSON_GetObjectItemCaseSensitive(one, "Value");
		if (!cJSON_IsString(key) || !e->value) {
			(void)err_set(r->err, "entry %zu has no Key and Value", i);
			return SIZE_MAX;
		}
		e->key = key->valuestring;
		n += place_of(r, str_of(e->key), &e->rank, &e->below);
	}
	return n;
}

static bool read_all(struct reading *r, const cJSON *root)
{
	if (!cJSON_IsArray(root))
		return err_set(r->err, "it is no list of keys: is this the address of a Consul agent?");
	struct entry *list = mem_zarray((size_t)cJSON_GetArraySize(root) + 1, sizeof(*list));
	if (!list)
		return no_memory(r);
	size_t n = find_ours(r, root, list);
	bool ok = n != SIZE_MAX;
	/* Control wants sets in their order, and there are few. */
	for (uint32_t rank = 0; ok && rank < r->n_profiles; rank++)
		for (size_t i = 0; ok && i < n; i++)
			if (list[i].rank == rank)
				ok = add(r, list[i].key, list[i].below, rank, list[i].value);
	mem_free(list);
	return ok;
}

bool consul_kv_read(struct config_props *p, struct str body, const struct consul_names *of, struct err *err)
{
	struct reading r = { .p = p, .of = of, .prefix = bare_prefix(of->prefix), .err = err };
	cJSON *root = consul_json(body, err);

	if (!root)
		return false;
	rank_profiles(&r);
	bool ok = read_all(&r, root);
	p->sets += r.n_profiles;
	consul_json_free(root);
	return ok;
}
