#include "file_endpoints.h"

#include "base/mem.h"
#include "config_nodes.h"
#include "file_plain.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MEMORY_MAX (64u << 20)
#define WEIGHT_MAX 10000u

struct part { /* of a file: what instances read from here on have in common */
	struct file_endpoints *f;
	struct yaml_file *y;
	struct str service;
	struct registry_endpoint common;
	struct err *err;
};

void file_endpoints_init(struct file_endpoints *f)
{
	*f = (struct file_endpoints){ .n = 0 };
	arena_init(&f->arena, MEMORY_MAX, NULL, 0);
}

void file_endpoints_release(struct file_endpoints *f)
{
	arena_release(&f->arena);
	mem_free(f->at);
	file_endpoints_init(f);
}

/* --- small things -------------------------------------------------------------------------------------------------------- */

static bool fail(const struct part *p, uint32_t item, const char *why)
{
	return err_set(p->err, "%s:%u: %s", p->y->name, p->y->at[item].line, why);
}

static const struct yaml_item *content(const struct part *p, uint32_t item)
{
	return yaml_content(p->y, item);
}

static bool is_scalar(const struct part *p, uint32_t item)
{
	return content(p, item)->kind == YAML_SCALAR;
}

/* Names of services are compared in lower case. false: none, too long, or no memory. */
bool file_endpoints_name(struct file_endpoints *f, struct str s, struct str *ret)
{
	char *copy = s.n && s.n <= 255 && !memchr(s.p, '\0', s.n) ? arena_bytes(&f->arena, s.n) : NULL;

	if (!copy)
		return false;
	for (size_t i = 0; i < s.n; i++)
		copy[i] = (char)tolower((unsigned char)s.p[i]);
	*ret = str_make(copy, s.n);
	return true;
}

static struct str kept(struct file_endpoints *f, struct str s)
{
	return s.n ? arena_str(&f->arena, s) : str_make("", 0);
}

bool file_endpoints_add(struct file_endpoints *f, struct str service, const struct registry_endpoint *e)
{
	if (f->n >= FILE_ENDPOINTS_MAX)
		return false;
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 64;
		struct file_entry *more = mem_resize(f->at, cap * sizeof(*more));
		if (!more)
			return false;
		f->at = more;
		f->cap = cap;
	}
	f->at[f->n++] = (struct file_entry){ service, *e };
	return true;
}

static bool add(struct part *p, uint32_t item, const struct registry_endpoint *e)
{
	return file_endpoints_add(p->f, p->service, e) ||
	       fail(p, item,
		       p->f->n >= FILE_ENDPOINTS_MAX ? "more instances than an agent takes" : "no memory");
}

/* --- what is said of an instance ----------------------------------------------------------------------------------------- */

static bool set_address(struct registry_endpoint *e, struct str value)
{
	if (!addr_parse(value, &e->addr, NULL) && !addr_parse_ip(value, 0, &e->addr))
		return false;
	addr_unmap(&e->addr);
	return e->addr.sa.sa_family != AF_UNIX && !addr_is_any(&e->addr);
}

static bool set_weight(struct registry_endpoint *e, struct str value)
{
	uint64_t weight;

	if (!str_u64(value, &weight) || weight < 1 || weight > WEIGHT_MAX)
		return false;
	e->weight = (uint32_t)weight;
	return true;
}

static bool set_state(struct registry_endpoint *e, struct str value)
{
	e->state = str_ieq(value, STR("up")) ? REGISTRY_UP : REGISTRY_DOWN;
	return str_ieq(value, STR("up")) || str_ieq(value, STR("down"));
}

static const struct {
	struct str key;
	const char *expected;
	bool (*set)(struct registry_endpoint *e, struct str value);
} judged[] = {
	{ { "address", 7 }, "an address is IP:port, such as 10.0.0.1:8080; for names there is registry dns",
		set_address },
	{ { "weight", 6 }, "a weight is a number from 1 to 10000", set_weight },
	{ { "state", 5 }, "a state is up or down", set_state },
};

/* 1: taken, 0: it is none of these, -1: it makes no sense. */
static int set_text(struct file_endpoints *f, struct registry_endpoint *e, struct str key, struct str value)
{
	struct str *to = str_eq(key, STR("node"))       ? &e->node
			 : str_eq(key, STR("zone"))     ? &e->zone
			 : str_eq(key, STR("instance")) ? &e->instance
							: NULL;
	if (!to)
		return 0;
	*to = kept(f, value);
	return to->n || !value.n ? 1 : -1;
}

bool file_endpoints_set(
	struct file_endpoints *f, struct registry_endpoint *e, struct str key, struct str value)
{
	for (size_t i = 0; i < sizeof(judged) / sizeof(judged[0]); i++)
		if (str_eq(key, judged[i].key))
			return judged[i].set(e, value);
	return set_text(f, e, key, value) > 0;
}

static bool read_meta(struct part *p, uint32_t map, struct registry_endpoint *e, bool labels);

static bool read_key(struct part *p, uint32_t key, uint32_t value, struct registry_endpoint *e)
{
	struct str k = content(p, key)->text;

	if (str_eq(k, STR("meta")) || str_eq(k, STR("metadata")))
		return read_meta(p, value, e, false);
	if (!is_scalar(p, value))
		return fail(p, value, "a text is expected here");
	struct str v = content(p, value)->text;
	for (size_t i = 0; i < sizeof(judged) / sizeof(judged[0]); i++)
		if (str_eq(k, judged[i].key))
			return judged[i].set(e, v) || fail(p, value, judged[i].expected);
	int taken = set_text(p->f, e, k, v);
	if (taken < 0)
		return fail(p, value, "no memory");
	return taken || fail(p, key, "expected address, instance, node, zone, weight, state or meta");
}

/* Labels of Prometheus: those that are ours say what they say, the rest is metadata. */
static bool read_label(struct part *p, uint32_t value, struct registry_endpoint *e, struct str k, bool *taken)
{
	struct str v = content(p, value)->text;
	int text = set_text(p->f, e, k, v);

	*taken = text != 0 || str_starts(k, STR("__")) || str_eq(k, STR("service")) || str_eq(k, STR("job"));
	if (text < 0)
		return fail(p, value, "no memory");
	if (!str_eq(k, STR("weight")))
		return true;
	*taken = true;
	return set_weight(e, v) || fail(p, value, "a weight is a number from 1 to 10000");
}

static bool read_meta(struct part *p, uint32_t map, struct registry_endpoint *e, bool labels)
{
	struct registry_meta *meta = arena_zalloc(&p->f->arena, REGISTRY_META_MAX * sizeof(*meta));
	bool taken = false;

	if (!meta)
		return fail(p, map, "no memory");
	if (content(p, map)->kind != YAML_MAP)
		return fail(p, map, "names with values are expected here");
	e->n_meta = 0;
	for (uint32_t k = content(p, map)->first; k != YAML_NONE;) {
		uint32_t v = p->y->at[k].next;
		if (!is_scalar(p, k) || !is_scalar(p, v))
			return fail(p, k, "a name and a text are expected here");
		if (labels && !read_label(p, v, e, content(p, k)->text, &taken))
			return false;
		if (!taken) {
			if (e->n_meta == REGISTRY_META_MAX)
				return fail(p, k, "more metadata than an instance may have");
			meta[e->n_meta++] = (struct registry_meta){ kept(p->f, content(p, k)->text),
				kept(p->f, content(p, v)->text) };
		}
		k = p->y->at[v].next;
	}
	e->meta = meta;
	return true;
}

static bool read_instance(struct part *p, uint32_t item)
{
	struct registry_endpoint e = p->common;

	if (is_scalar(p, item)) {
		if (!set_address(&e, content(p, item)->text))
			return fail(p, item, judged[0].expected);
		return add(p, item, &e);
	}
	if (content(p, item)->kind != YAML_MAP)
		return fail(p, item, "an address, or what is said of an instance, is expected here");
	for (uint32_t k = content(p, item)->first; k != YAML_NONE;) {
		uint32_t v = p->y->at[k].next;
		if (!is_scalar(p, k) || !read_key(p, k, v, &e))
			return !is_scalar(p, k) ? fail(p, k, "a name is expected here") : false;
		k = p->y->at[v].next;
	}
	return e.addr.len ? add(p, item, &e) : fail(p, item, "the instance has no address");
}

static bool read_list(struct part *p, uint32_t list)
{
	const struct yaml_item *l = content(p, list);

	if (l->kind == YAML_SCALAR && l->plain && !l->text.n)
		return true; /* a service without instances */
	if (l->kind != YAML_LIST)
		return fail(p, list, "a list of instances is expected here");
	for (uint32_t i = l->first; i != YAML_NONE; i = p->y->at[i].next)
		if (!read_instance(p, i))
			return false;
	return true;
}

/* --- the two shapes of a file --------------------------------------------------------------------------------------------- */

static uint32_t value_of(const struct part *p, uint32_t map, struct str key)
{
	for (uint32_t k = content(p, map)->first; k != YAML_NONE;) {
		uint32_t v = p->y->at[k].next;
		if (is_scalar(p, k) && str_eq(content(p, k)->text, key))
			return v;
		k = p->y->at[v].next;
	}
	return YAML_NONE;
}

static bool name_group(struct part *p, uint32_t labels, struct str base)
{
	static const char *const keys[] = { "service", "job" };
	struct str name = base;

	for (size_t i = 2; i-- > 0 && labels != YAML_NONE;) {
		uint32_t v = value_of(p, labels, str_of(keys[i]));
		if (v != YAML_NONE && is_scalar(p, v) && content(p, v)->text.n)
			name = content(p, v)->text;
	}
	return file_endpoints_name(p->f, name, &p->service);
}

/* One group of file_sd: its targets, and labels that all of them have. */
static bool read_group(struct part *p, uint32_t group, struct str base)
{
	if (content(p, group)->kind != YAML_MAP)
		return fail(p, group, "a group with targets is expected here, as in file_sd of Prometheus");
	uint32_t labels = value_of(p, group, STR("labels")), targets = value_of(p, group, STR("targets"));
	p->common = (struct registry_endpoint)FILE_ENDPOINT_USUAL;
	if (labels != YAML_NONE && !read_meta(p, labels, &p->common, true))
		return false;
	if (!name_group(p, labels, base))
		return fail(p, group, "the service's name is too long, or memory is short");
	return targets == YAML_NONE || read_list(p, targets);
}

static bool read_service(struct part *p, uint32_t key, uint32_t value)
{
	if (!is_scalar(p, key) || !file_endpoints_name(p->f, content(p, key)->text, &p->service))
		return fail(p, key, "the name of a service is expected here");
	p->common = (struct registry_endpoint)FILE_ENDPOINT_USUAL;
	return read_list(p, value);
}

static bool read_root(struct part *p, uint32_t root, struct str base)
{
	const struct yaml_item *r = content(p, root);

	if (r->kind == YAML_SCALAR)
		return (r->plain && !r->text.n) ||
		       fail(p, root, "services with lists of instances are expected here");
	for (uint32_t i = r->first; i != YAML_NONE;) {
		if (r->kind == YAML_LIST) {
			if (!read_group(p, i, base))
				return false;
		} else {
			uint32_t value = p->y->at[i].next;
			if (!read_service(p, i, value))
				return false;
			i = value;
		}
		i = p->y->at[i].next;
	}
	return true;
}

bool file_endpoints_parse(
	struct file_endpoints *f, struct str text, const char *name, struct str base, struct err *err)
{
	struct yaml_file y;
	struct part p = { .f = f, .y = &y, .err = err };
	bool good = true;
	uint32_t root;

	err->text[0] = '\0';
	size_t before = f->n;
	if (file_plain_read(f, text))
		return true;
	f->n = before;
	if (!yaml_file_open(&y, text, name, err))
		return false;
	while (good && yaml_file_next(&y, &root, err))
		good = root == YAML_NONE || read_root(&p, root, base);
	yaml_file_close(&y);
	return good && err->text[0] == '\0';
}

/* --- files ---------------------------------------------------------------------------------------------------------------- */

static bool is_list(struct str name)
{
	return str_ends(name, STR(".json")) || str_ends(name, STR(".yml")) || str_ends(name, STR(".yaml"));
}

static bool read_one(struct file_endpoints *f, const char *path, struct err *err)
{
	struct str base = str_of(path);
	size_t slash = str_rfind(base, '/'), n;
	char *mem;
	int found = config_read_file(path, path, &mem, &n, err);

	if (found <= 0)
		return found < 0 ? false : err_set(err, "%s: there is no such file", path);
	if (slash != SIZE_MAX)
		base = str_make(base.p + slash + 1, base.n - slash - 1);
	size_t dot = str_rfind(base, '.');
	if (dot != SIZE_MAX && dot > 0)
		base.n = dot;
	bool good = file_endpoints_parse(f, str_make(mem, n), path, base, err);
	mem_wipe_free(mem, n);
	return good;
}

static bool read_directory(struct file_endpoints *f, const char *dir, struct err *err)
{
	DIR *d = opendir(dir);
	unsigned files = 0;
	bool good = true;

	if (!d)
		return err_set(err, "%s: %s", dir, strerror(errno));
	for (struct dirent *e; good && (e = readdir(d));) {
		char path[PATH_MAX];
		if (e->d_name[0] == '.' || !is_list(str_of(e->d_name)))
			continue;
		int n = snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (n < 0 || (size_t)n >= sizeof(path) || ++files > FILE_ENDPOINTS_FILES)
			good = err_set(
				err, "%s: more than %u files, or a path too long", dir, FILE_ENDPOINTS_FILES);
		else
			good = read_one(f, path, err);
	}
	closedir(d);
	return good;
}

bool file_endpoints_read(struct file_endpoints *f, const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set(err, "%s: %s", path, strerror(errno));
	bool good = S_ISDIR(st.st_mode) ? read_directory(f, path, err) : read_one(f, path, err);
	if (good)
		file_endpoints_sort(f);
	return good;
}
