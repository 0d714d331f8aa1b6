#include "read_json.h"

#include "base/mem.h"
#include "base/text.h"

#include <cjson/cJSON.h>

/* --- before parsing -------------------------------------------------------------------------------------------------- */

/* cJSON makes doubles of numbers, a tree of 80 bytes and more of each value, and calls itself for each level. So the text is
 * first copied: with numbers in quotes, which keeps their digits, and not at all when it has too many values or levels. */
struct scan {
	struct str in;
	size_t at; /* next byte of in */
	char *out; /* never longer than twice in: of two bytes at most one is a number */
	size_t n;
	size_t nodes;
	unsigned depth;
};

static bool is_number(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static void copy(struct scan *s, struct str piece)
{
	memcpy(s->out + s->n, piece.p, piece.n);
	s->n += piece.n;
}

static bool scan_string(struct scan *s, struct err *err)
{
	size_t from = s->at++;
	for (; s->at < s->in.n && s->in.p[s->at] != '"'; s->at++) {
		struct str rest = str_make(s->in.p + s->at, s->in.n - s->at);
		if (rest.p[0] == '\0' || str_starts(rest, STR("\\u0000")))
			return err_set(err, "byte %zu: a NUL", s->at);
		s->at += rest.p[0] == '\\';
	}
	if (s->at >= s->in.n)
		return err_set(err, "it ends in the middle of a text: the answer was cut");
	s->at++;
	copy(s, str_make(s->in.p + from, s->at - from));
	return true;
}

static size_t digits(struct str s, size_t *at)
{
	size_t from = *at;
	while (*at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9')
		++*at;
	return *at - from;
}

/* RFC 8259 section 6. */
static bool number_is_right(struct str s)
{
	size_t at = s.n && s.p[0] == '-', from = at;
	if (!digits(s, &at) || (s.p[from] == '0' && at - from > 1))
		return false;
	if (at < s.n && s.p[at] == '.' && (at++, !digits(s, &at)))
		return false;
	if (at < s.n && (s.p[at] | 32) == 'e') {
		at++;
		at += at < s.n && (s.p[at] == '+' || s.p[at] == '-');
		if (!digits(s, &at))
			return false;
	}
	return at == s.n;
}

static bool scan_number(struct scan *s, struct err *err)
{
	size_t from = s->at;
	while (s->at < s->in.n && is_number(s->in.p[s->at]))
		s->at++;
	struct str number = str_make(s->in.p + from, s->at - from);
	if (!number_is_right(number))
		return err_set(err, "byte %zu: no JSON value stands here", from);
	copy(s, STR("\""));
	copy(s, number);
	copy(s, STR("\""));
	return true;
}

static bool scan_one(struct scan *s, struct err *err)
{
	char c = s->in.p[s->at];

	if (c == '"')
		return scan_string(s, err);
	if (c == '-' || (c >= '0' && c <= '9'))
		return scan_number(s, err);
	if (c == '\0')
		return err_set(err, "byte %zu: a NUL", s->at);
	if (c == '{' || c == '[') {
		if (++s->depth > CONFIG_DEPTH_MAX)
			return err_set(err, "byte %zu: more than %u levels", s->at, CONFIG_DEPTH_MAX);
	} else if ((c == '}' || c == ']') && s->depth) {
		s->depth--;
	}
	if ((c == '{' || c == '[' || c == ',') && ++s->nodes > JSON_NODES_MAX)
		return err_set(err, "byte %zu: more than %u values", s->at, JSON_NODES_MAX);
	s->out[s->n++] = c;
	s->at++;
	return true;
}

/* Property values may be secrets; cJSON frees them as they are. */
static void wipe_tree(cJSON *at)
{
	for (; at; at = at->next) {
		if (at->valuestring)
			explicit_bzero(at->valuestring, strlen(at->valuestring));
		wipe_tree(at->child);
	}
}

static cJSON *parse(struct str body, struct err *err)
{
	struct scan s = { .in = body };
	const char *end = NULL;
	cJSON *root = NULL;
	bool ok = body.n <= CONFIG_FILE_MAX || err_set(err, "it is longer than %u bytes", CONFIG_FILE_MAX);

	if (!ok)
		return NULL;
	s.out = mem_alloc(2 * body.n + 3);
	if (!s.out) {
		err_set(err, "out of memory");
		return NULL;
	}
	while (ok && s.at < body.n)
		ok = scan_one(&s, err);
	if (ok) {
		s.out[s.n] = '\0';
		root = cJSON_ParseWithLengthOpts(s.out, s.n + 1, &end, true);
		if (!root)
			(void)err_set(err, "about byte %zu: it is no JSON, or memory is short",
				      end ? (size_t)(end - s.out) : 0);
	}
	mem_wipe_free(s.out, s.n);
	return root;
}

/* --- properties ------------------------------------------------------------------------------------------------------ */

struct filling {
	struct config_props *p;
	struct text key;
	struct str name, origin; /* of the property source */
	uint32_t set;
	struct err *err;
};

static bool no_memory(struct filling *f)
{
	return err_set(f->err, "out of memory, or the values pass %u bytes", CONFIG_MEMORY_MAX);
}

static struct source_property *next_place(struct filling *f)
{
	struct config_props *p = f->p;
	if (p->n == SOURCE_PROPERTIES_MAX) {
		(void)err_set(f->err, "more than %u properties", SOURCE_PROPERTIES_MAX);
		return NULL;
	}
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 64;
		void *more = mem_resize(p->at, cap * sizeof(*p->at));
		if (!more) {
			(void)no_memory(f);
			return NULL;
		}
		p->at = more;
		p->cap = cap;
	}
	return &p->at[p->n];
}

/* line: "1:14" of the second format, or NULL. */
static bool put(struct filling *f, struct str value, const char *line)
{
	struct source_property *to = next_place(f);
	struct arena *a = &f->p->arena;

	if (!to)
		return false;
	if (f->key.failed || !f->key.n)
		return err_set(f->err, "%.*s: a key is empty or longer than %u bytes, or memory is short", STR_ARG(f->name), JSON_KEY_MAX);
	struct str origin = f->origin;
	if (line)
		origin = str_of(arena_fmt(a, "%.*s:%.*s", STR_ARG(origin), (int)strcspn(line, ":"), line));
	*to = (struct source_property){
		.key = arena_str(a, text_str(&f->key)),
		.value = arena_str(a, value.n ? value : STR("")),
		.origin = origin,
		.set = f->set,
	};
	if (!to->key.p || !to->value.p || !to->origin.p)
		return no_memory(f);
	f->p->n++;
	return true;
}

static void back_to(struct text *key, size_t n)
{
	key->n = n;
	if (key->p)
		key->p[n] = '\0';
}

/* {"value":…} or {"value":…,"origin":…}: what the second format says of one value. */
static const cJSON *second_format(const cJSON *v, const char **line)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(v, "value");
	const cJSON *origin = cJSON_GetObjectItemCaseSensitive(v, "origin");
	const cJSON *first = v->child;

	if (!value || (first->next && (!origin || first->next->next)))
		return NULL;
	*line = cJSON_IsString(origin) && origin->valuestring[0] >= '0' && origin->valuestring[0] <= '9' ?
			origin->valuestring : NULL;
	return value;
}

static bool flatten(struct filling *f, const cJSON *v, const char *line);

static bool flatten_children(struct filling *f, const cJSON *v)
{
	size_t n = f->key.n, i = 0;
	if (!v->child)
		return put(f, STR(""), NULL);
	for (const cJSON *c = v->child; c; c = c->next, i++) {
		if (cJSON_IsArray(v))
			text_fmt(&f->key, "[%zu]", i);
		else
			text_fmt(&f->key, ".%s", c->string);
		if (!flatten(f, c, NULL))
			return false;
		back_to(&f->key, n);
	}
	return true;
}

static bool flatten(struct filling *f, const cJSON *v, const char *line)
{
	if (cJSON_IsObject(v) || cJSON_IsArray(v))
		return flatten_children(f, v);
	if (cJSON_IsBool(v))
		return put(f, cJSON_IsTrue(v) ? STR("true") : STR("false"), line);
	return put(f, str_of(v->valuestring), line); /* null has none */
}

static struct str text_of(struct arena *a, const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	return cJSON_IsString(v) ? arena_str(a, str_of(v->valuestring)) : STR("");
}

/* "https://user:password@git/cfg" */
static struct str origin_of(struct arena *a, struct str name)
{
	const char *slashes = name.n ? memmem(name.p, name.n, "://", 3) : NULL;
	size_t from = slashes ? (size_t)(slashes - name.p) + 3 : name.n;
	struct str authority = str_make(name.p + from, name.n - from);
	size_t slash = str_find(authority, '/');
	if (slash != SIZE_MAX)
		authority.n = slash;
	size_t at = str_rfind(authority, '@');
	size_t rest = at == SIZE_MAX ? from : from + at;
	return str_of(arena_fmt(a, "spring:%.*s%s%.*s", (int)from, name.p, at == SIZE_MAX ? "" : "***",
				(int)(name.n - rest), name.p + rest));
}

static bool read_source(struct filling *f, const cJSON *one)
{
	const cJSON *source = cJSON_GetObjectItemCaseSensitive(one, "source");
	size_t i = f->p->sets;

	if (!cJSON_IsObject(source))
		return err_set(f->err, "property source %zu has no object \"source\"", i);
	f->name = text_of(&f->p->arena, one, "name");
	if (!f->name.p)
		return no_memory(f);
	f->origin = origin_of(&f->p->arena, f->name);
	if (!f->origin.p)
		return no_memory(f);
	f->name = f->origin; /* for messages */
	f->set = f->p->sets++;
	for (const cJSON *v = source->child; v; v = v->next) {
		const char *line = NULL;
		const cJSON *value = cJSON_IsObject(v) && v->child ? second_format(v, &line) : NULL;
		text_clear(&f->key);
		text_addz(&f->key, v->string);
		if (!flatten(f, value ? value : v, line))
			return false;
	}
	return true;
}

static bool read_answer(struct filling *f, const cJSON *root, struct spring_answer *ret)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "propertySources");
	struct arena *a = &f->p->arena;

	if (!cJSON_IsObject(root) || !cJSON_IsArray(list))
		return err_set(f->err, "it has no list \"propertySources\": is this the address of a config server?");
	*ret = (struct spring_answer){
		.label = text_of(a, root, "label"),
		.version = text_of(a, root, "version"),
		.state = text_of(a, root, "state"),
	};
	if (!ret->label.p || !ret->version.p || !ret->state.p)
		return no_memory(f);
	for (const cJSON *one = list->child; one; one = one->next, ret->sources++)
		if (!read_source(f, one))
			return false;
	return true;
}

bool read_spring_json(struct config_props *p, struct str body, struct spring_answer *ret, struct err *err)
{
	struct filling f = { .p = p, .err = err };
	cJSON *root = parse(body, err);

	if (!root)
		return false;
	text_init(&f.key, JSON_KEY_MAX);
	bool ok = read_answer(&f, root, ret);
	text_release(&f.key);
	wipe_tree(root);
	cJSON_Delete(root);
	return ok;
}
