#include "docker_tasks.h"

#include "base/mem.h"
#include "base/table.h"
#include "http/bounded_json.h"

#include <ctype.h>

#define LABEL_OURS "com.docker."
#define STACK_LABEL "com.docker.stack.namespace"
#define SERVICES_MAX 16384u
#define NODES_MAX 4096u

struct service {
	struct str name, alias; /* lower case; alias: as in its stack file, empty when another has it */
	struct registry_meta meta[REGISTRY_META_MAX];
	size_t n_meta;
};

struct reading {
	struct file_endpoints *f;
	const struct docker_lists *lists;
	struct table services, names, nodes; /* by id: struct service; by any name: struct service; by id: texts of cJSON */
	struct err *err;
};

/* --- small things ------------------------------------------------------------------------------------------------------------- */

static const cJSON *at(const cJSON *j, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(j, key);
}

static const cJSON *deep(const cJSON *j, const char *a, const char *b)
{
	return at(at(j, a), b);
}

static struct str text(const cJSON *j)
{
	return cJSON_IsString(j) ? str_of(j->valuestring) : STR("");
}

static bool no_memory(struct reading *r)
{
	return err_set(r->err, "no memory, or more services and tasks than an agent takes");
}

/* A copy in the arena, in lower case if it is a name. false: no memory. */
static bool keep(struct reading *r, struct str s, bool lower, struct str *ret)
{
	char *copy = arena_bytes(&r->f->arena, s.n + 1);

	if (!copy)
		return no_memory(r);
	for (size_t i = 0; i < s.n; i++)
		copy[i] = lower ? (char)tolower((unsigned char)s.p[i]) : s.p[i];
	copy[s.n] = '\0';
	*ret = str_make(copy, s.n);
	return true;
}

static bool is_text(const cJSON *j)
{
	return cJSON_IsString(j) && j->string;
}

static bool add_meta(struct reading *r, struct service *s, struct str key, struct str value)
{
	if (!value.n || s->n_meta == REGISTRY_META_MAX - 1) /* one is left for the slot */
		return true;
	struct registry_meta *m = &s->meta[s->n_meta++];
	return keep(r, key, false, &m->key) && keep(r, value, false, &m->value);
}

/* --- services ------------------------------------------------------------------------------------------------------------------ */

/* "quotes" of "shop_quotes" in stack shop. */
static struct str short_name(struct str name, struct str stack)
{
	if (!stack.n || name.n <= stack.n + 1 || !str_starts(name, stack) || name.p[stack.n] != '_')
		return STR("");
	return str_make(name.p + stack.n + 1, name.n - stack.n - 1);
}

static bool read_service(struct reading *r, const cJSON *j)
{
	struct str id = text(at(j, "ID")), name = text(deep(j, "Spec", "Name"));
	const cJSON *labels = deep(j, "Spec", "Labels");
	struct str stack = text(at(labels, STACK_LABEL));

	if (!id.n || !name.n || name.n > 255)
		return true;
	struct service *s = arena_zalloc(&r->f->arena, sizeof(*s));
	if (!s)
		return no_memory(r);
	if (!keep(r, name, true, &s->name) || !keep(r, short_name(name, stack), true, &s->alias) || !keep(r, id, false, &id) ||
	    !add_meta(r, s, STR("stack"), stack) || !add_meta(r, s, STR("update"), text(deep(j, "UpdateStatus", "State"))))
		return false;
	for (const cJSON *l = cJSON_IsObject(labels) ? labels->child : NULL; l; l = l->next)
		if (is_text(l) && !str_starts(str_of(l->string), STR(LABEL_OURS)) &&
		    !add_meta(r, s, str_of(l->string), text(l)))
			return false;
	return table_put(&r->services, id, s) || no_memory(r);
}

/* A short name that two services have, or that is another's full name, is nobody's. */
static bool name_services(struct reading *r)
{
	struct service *s, *other;
	size_t i = 0;

	while ((s = table_next(&r->services, &i, NULL)))
		if (!table_put(&r->names, s->name, s))
			return no_memory(r);
	for (i = 0; (s = table_next(&r->services, &i, NULL));) {
		if (!s->alias.n)
			continue;
		other = table_get(&r->names, s->alias);
		if (other) {
			if (str_eq(other->alias, s->alias))
				other->alias = STR("");
			s->alias = STR("");
		} else if (!table_put(&r->names, s->alias, s))
			return no_memory(r);
	}
	return true;
}

/* --- tasks --------------------------------------------------------------------------------------------------------------------- */

static bool read_address(const cJSON *attachment, struct addr *ret)
{
	struct str s = text(cJSON_GetArrayItem(at(attachment, "Addresses"), 0));
	size_t slash = str_find(s, '/');

	if (slash != SIZE_MAX)
		s.n = slash;
	return addr_parse_ip(s, 0, ret) && !addr_is_any(ret);
}

static bool is_near(const struct docker_lists *l, const struct addr *a)
{
	for (size_t i = 0; i < l->n_networks; i++)
		if (cidr_has(&l->networks[i], a))
			return true;
	return false;
}

/* In a network of our own, else in the first one. false: in none. */
static bool choose_address(const struct reading *r, const cJSON *task, struct addr *ret)
{
	const cJSON *list = at(task, "NetworksAttachments");
	bool found = false;

	for (const cJSON *n = cJSON_IsArray(list) ? list->child : NULL; n; n = n->next) {
		const cJSON *spec = deep(n, "Network", "Spec");
		struct addr a;
		if (cJSON_IsTrue(at(spec, "Ingress")) || str_eq(text(at(spec, "Name")), STR("ingress")) || !read_address(n, &a))
			continue;
		if (is_near(r->lists, &a)) {
			*ret = a;
			return true;
		}
		if (!found)
			*ret = a;
		found = true;
	}
	return found;
}

static bool add(struct reading *r, struct str service, const struct registry_endpoint *e)
{
	struct file_endpoints *f = r->f;

	if (f->n >= FILE_ENDPOINTS_MAX)
		return no_memory(r);
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 64;
		struct file_entry *more = mem_resize(f->at, cap * sizeof(*more));
		if (!more)
			return no_memory(r);
		f->at = more;
		f->cap = cap;
	}
	f->at[f->n++] = (struct file_entry){ service, *e };
	return true;
}

/* The service's metadata, and the task's own. */
static bool fill_meta(struct reading *r, const struct service *s, const cJSON *task, struct registry_endpoint *e)
{
	struct str slot = text(at(task, "Slot"));
	struct registry_meta *meta = arena_alloc(&r->f->arena, (s->n_meta + 1) * sizeof(*meta));

	if (!meta)
		return no_memory(r);
	memcpy(meta, s->meta, s->n_meta * sizeof(*meta));
	e->meta = meta;
	e->n_meta = s->n_meta;
	if (slot.n && !str_eq(slot, STR("0"))) {
		meta[e->n_meta].key = STR("slot");
		return keep(r, slot, false, &meta[e->n_meta++].value);
	}
	return true;
}

static bool read_task(struct reading *r, const cJSON *j)
{
	const struct service *s = table_get(&r->services, text(at(j, "ServiceID")));
	struct registry_endpoint e = { .weight = 100, .zone = STR("") };

	if (!s || !str_eq(text(deep(j, "Status", "State")), STR("running")) || !str_eq(text(at(j, "DesiredState")), STR("running")) ||
	    !choose_address(r, j, &e.addr))
		return true;
	const char *node = table_get(&r->nodes, text(at(j, "NodeID")));
	if (!keep(r, text(at(j, "ID")), false, &e.instance) ||
	    !keep(r, node ? str_of(node) : text(at(j, "NodeID")), false, &e.node) || !fill_meta(r, s, j, &e) || !add(r, s->name, &e))
		return false;
	return !s->alias.n || add(r, s->alias, &e);
}

static bool read_node(struct reading *r, const cJSON *j)
{
	struct str id = text(at(j, "ID")), name = text(deep(j, "Description", "Hostname"));

	if (!id.n || !name.n)
		return true;
	return (keep(r, id, false, &id) && keep(r, name, false, &name) && table_put(&r->nodes, id, (void *)(uintptr_t)name.p)) ||
	       no_memory(r);
}

/* --- lists --------------------------------------------------------------------------------------------------------------------- */

static bool read_list(struct reading *r, struct str body, const char *what, bool (*one)(struct reading *, const cJSON *))
{
	static const struct json_limits limits = { DOCKER_BODY_MAX, DOCKER_NODES_MAX, 64 };
	cJSON *root = bounded_json_parse_foreign(body, &limits, r->err);
	bool good = root != NULL;

	if (good && !cJSON_IsArray(root))
		good = err_set(r->err, "it is no list");
	if (!good)
		err_prefix(r->err, "%s", what);
	for (const cJSON *j = good ? root->child : NULL; j && good; j = j->next)
		good = one(r, j);
	cJSON_Delete(root);
	return good;
}

bool docker_read(struct file_endpoints *f, const struct docker_lists *lists, struct err *err)
{
	struct reading r = { .f = f, .lists = lists, .err = err };

	table_init(&r.services, SERVICES_MAX, 1);
	table_init(&r.names, 2 * SERVICES_MAX, 2);
	table_init(&r.nodes, NODES_MAX, 3);
	bool good = (!lists->nodes.n || read_list(&r, lists->nodes, "the list of nodes", read_node)) &&
		    read_list(&r, lists->services, "the list of services", read_service) && name_services(&r) &&
		    read_list(&r, lists->tasks, "the list of tasks", read_task);
	if (good)
		file_endpoints_sort(f);
	table_release(&r.services);
	table_release(&r.names);
	table_release(&r.nodes);
	return good;
}
