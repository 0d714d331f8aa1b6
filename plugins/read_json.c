#include "read_json.h"

#include "base/mem.h"
#include "base/text.h"
#include "http/bounded_json.h"

#include <cjson/cJSON.h>

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
	static const struct json_limits limits = { CONFIG_FILE_MAX, JSON_NODES_MAX, CONFIG_DEPTH_MAX };

	return bounded_json_parse(body, &limits, err);
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
