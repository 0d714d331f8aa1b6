#include "consul_health.h"

#include "base/mem.h"
#include "http/bounded_json.h"

#define WEIGHT_UNIT 100u
#define WEIGHT_MAX 10000u
#define OWNER_KEY "outrider-owner"

struct reading {
	struct file_endpoints *f;
	struct str service;
	struct err *err;
};

static const cJSON *at(const cJSON *j, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(j, key);
}

static struct str text(const cJSON *j)
{
	return cJSON_IsString(j) ? str_of(j->valuestring) : STR("");
}

static bool no_memory(struct reading *r)
{
	return err_set(r->err, "no memory, or more than %u instances", REGISTRY_ENDPOINTS_MAX);
}

static bool keep(struct reading *r, struct str s, struct str *ret)
{
	*ret = arena_str(&r->f->arena, s.p ? s : STR(""));
	return ret->p || no_memory(r);
}

static bool read_address(const cJSON *j, struct addr *ret)
{
	const cJSON *service = at(j, "Service");
	struct str ip = text(at(service, "Address"));
	uint64_t port;

	if (!ip.n)
		ip = text(at(at(j, "Node"), "Address"));
	if (!str_u64(text(at(service, "Port")), &port) || port == 0 || port > 65535 || !addr_parse_ip(ip, (uint16_t)port, ret))
		return false;
	addr_unmap(ret);
	return !addr_is_any(ret);
}

/* The worst of all checks: its own and the node's. */
static void read_state(const cJSON *j, struct registry_endpoint *e)
{
	const cJSON *checks = at(j, "Checks"), *weights = at(at(j, "Service"), "Weights");
	bool warning = false;
	uint64_t weight;

	e->state = REGISTRY_UP;
	for (const cJSON *c = cJSON_IsArray(checks) ? checks->child : NULL; c; c = c->next) {
		struct str status = text(at(c, "Status"));
		if (str_eq(status, STR("critical")) || str_eq(status, STR("maintenance")))
			e->state = REGISTRY_DOWN;
		warning = warning || str_eq(status, STR("warning"));
	}
	e->weight = WEIGHT_UNIT;
	if (!str_u64(text(at(weights, warning ? "Warning" : "Passing")), &weight))
		return;
	if (weight == 0)
		e->state = REGISTRY_DOWN;
	else
		e->weight = weight < WEIGHT_MAX / WEIGHT_UNIT ? (uint32_t)weight * WEIGHT_UNIT : WEIGHT_MAX;
}

static bool read_meta(struct reading *r, const cJSON *j, struct registry_endpoint *e)
{
	const cJSON *meta = at(at(j, "Service"), "Meta"), *tags = at(at(j, "Service"), "Tags");
	struct registry_meta *m = arena_zalloc(&r->f->arena, REGISTRY_META_MAX * sizeof(*m));

	if (!m)
		return no_memory(r);
	e->meta = m;
	for (const cJSON *i = cJSON_IsObject(meta) ? meta->child : NULL; i && e->n_meta < REGISTRY_META_MAX; i = i->next) {
		if (!cJSON_IsString(i) || str_eq(str_of(i->string), STR(OWNER_KEY)))
			continue;
		struct registry_meta *to = &m[e->n_meta++];
		if (!keep(r, str_of(i->string), &to->key) || !keep(r, text(i), &to->value))
			return false;
		if (str_eq(to->key, STR("zone")))
			e->zone = to->value;
	}
	for (const cJSON *i = cJSON_IsArray(tags) ? tags->child : NULL; i && e->n_meta < REGISTRY_META_MAX; i = i->next) {
		struct registry_meta *to = &m[e->n_meta];
		to->key.p = cJSON_IsString(i) ? arena_fmt(&r->f->arena, "tag.%s", i->valuestring) : NULL;
		if (!cJSON_IsString(i))
			continue;
		if (!to->key.p)
			return no_memory(r);
		to->key.n = strlen(to->key.p);
		to->value = STR("1");
		e->n_meta++;
	}
	return true;
}

static bool add(struct reading *r, const struct registry_endpoint *e)
{
	struct file_endpoints *f = r->f;

	if (f->n >= REGISTRY_ENDPOINTS_MAX)
		return no_memory(r);
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 64;
		struct file_entry *more = mem_resize(f->at, cap * sizeof(*more));
		if (!more)
			return no_memory(r);
		f->at = more;
		f->cap = cap;
	}
	f->at[f->n++] = (struct file_entry){ r->service, *e };
	return true;
}

static bool read_one(struct reading *r, const cJSON *j)
{
	struct registry_endpoint e = { .zone = STR("") };

	if (!read_address(j, &e.addr))
		return true;
	if (!keep(r, text(at(at(j, "Service"), "ID")), &e.instance) || !keep(r, text(at(at(j, "Node"), "Node")), &e.node) ||
	    !keep(r, text(at(at(at(j, "Node"), "Meta"), "zone")), &e.zone) || !read_meta(r, j, &e))
		return false;
	for (size_t i = 0; i < e.n_meta; i++)
		if (str_eq(e.meta[i].key, STR("node"))) /* an agent's own word counts more than the node of its Consul */
			e.node = e.meta[i].value;
	read_state(j, &e);
	return add(r, &e);
}

bool consul_health_read(struct file_endpoints *f, struct str body, struct str service, struct err *err)
{
	static const struct json_limits limits = { CONSUL_BODY_MAX, CONSUL_NODES_MAX, 32 };
	struct reading r = { .f = f, .err = err };
	cJSON *root = bounded_json_parse(body, &limits, err);
	bool good = root && keep(&r, service, &r.service);

	if (good && !cJSON_IsArray(root))
		good = err_set(err, "it is no list of instances: is this the address of a Consul agent?");
	for (const cJSON *j = good ? root->child : NULL; j && good; j = j->next)
		good = read_one(&r, j);
	cJSON_Delete(root);
	if (good)
		file_endpoints_sort(f);
	return good;
}

bool consul_has_meta(struct str body, const char *key, const char *value)
{
	static const struct json_limits limits = { 1u << 20, 65536, 32 };
	struct err err;
	cJSON *root = bounded_json_parse(body, &limits, &err);
	bool has = str_eq(text(at(at(root, "Meta"), key)), str_of(value));

	cJSON_Delete(root);
	return has;
}
