#include "eureka_json.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "http/bounded_json.h"

#include <ctype.h>
#include <stdio.h>

#define WEIGHT_USUAL 100u
#define WEIGHT_MAX 10000u
#define TEXT_MAX 1024u
#define OWNER_KEY "outrider.owner"

/* --- reading ---------------------------------------------------------------------------------------------------------------- */

static const cJSON *member(const cJSON *of, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(of, key);
}

static struct str text_of(const cJSON *item)
{
	struct str s = cJSON_IsString(item) ? str_of(item->valuestring) : STR("");

	return s.n <= TEXT_MAX ? s : STR("");
}

static struct str text_at(const cJSON *of, const char *key)
{
	return text_of(member(of, key));
}

static uint8_t status_of(struct str s)
{
	static const char *const names[] = { "DOWN", "OUT_OF_SERVICE", "STARTING", "UNKNOWN", "UP" };

	for (unsigned i = 0; i < EUREKA_STATUSES; i++)
		if (str_ieq(s, str_of(names[i])))
			return (uint8_t)i;
	return EUREKA_UNKNOWN;
}

static bool is_false(const cJSON *flag)
{
	return cJSON_IsFalse(flag) || (cJSON_IsString(flag) && str_ieq(text_of(flag), STR("false")));
}

/* The plain port, at the IP that it names or, as some clients write it, in place of the host's name. */
static bool read_address(const cJSON *j, struct addr *ret)
{
	const cJSON *port = member(j, "port");
	uint64_t n;

	if (!str_u64(text_at(port, "$"), &n) || n == 0 || n > 65535 || is_false(member(port, "@enabled")))
		return false;
	if (!addr_parse_ip(text_at(j, "ipAddr"), (uint16_t)n, ret) && !addr_parse_ip(text_at(j, "hostName"), (uint16_t)n, ret))
		return false;
	addr_unmap(ret);
	return !addr_is_any(ret);
}

static bool is_our_own(struct str key)
{
	return str_eq(key, STR("@class")) || str_eq(key, STR(OWNER_KEY));
}

static size_t meta_size(const cJSON *meta, size_t *pairs)
{
	size_t n = 0;

	*pairs = 0;
	for (const cJSON *i = cJSON_IsObject(meta) ? meta->child : NULL; i && *pairs < REGISTRY_META_MAX; i = i->next) {
		if (!cJSON_IsString(i) || is_our_own(str_of(i->string)))
			continue;
		n += strlen(i->string) + text_of(i).n;
		++*pairs;
	}
	return n;
}

static struct str put(char **to, struct str s, bool lower)
{
	char *at = *to;

	for (size_t i = 0; i < s.n; i++)
		at[i] = lower ? (char)tolower((unsigned char)s.p[i]) : s.p[i];
	*to += s.n;
	return str_make(at, s.n);
}

static void fill_meta(struct eureka_instance *i, const cJSON *meta, size_t pairs, char **to)
{
	size_t k = 0;
	uint64_t weight;

	for (const cJSON *m = cJSON_IsObject(meta) ? meta->child : NULL; m && k < pairs; m = m->next) {
		if (!cJSON_IsString(m) || is_our_own(str_of(m->string)))
			continue;
		struct str key = put(to, str_of(m->string), false), value = put(to, text_of(m), false);
		i->meta[k++] = (struct registry_meta){ key, value };
		if (str_eq(key, STR("zone")))
			i->endpoint.zone = value;
		else if (str_eq(key, STR("node")))
			i->endpoint.node = value;
		else if (str_eq(key, STR("weight")) && str_u64(value, &weight) && weight >= 1 && weight <= WEIGHT_MAX)
			i->endpoint.weight = (uint32_t)weight;
	}
	i->endpoint.meta = i->meta;
	i->endpoint.n_meta = k;
}

/* NULL: no memory, or it has no name or id. */
static struct eureka_instance *read_instance(const cJSON *j, struct str app)
{
	struct str id = text_at(j, "instanceId"), vips = text_at(j, "vipAddress"), own = text_at(j, "app");
	const cJSON *meta = member(j, "metadata");
	size_t pairs;

	if (!id.n) /* of old servers */
		id = text_at(j, "hostName");
	if (own.n)
		app = own;
	if (!id.n || !app.n)
		return NULL;
	size_t n = 2 * (app.n + id.n) + 1 + vips.n + meta_size(meta, &pairs);
	struct eureka_instance *i = mem_zalloc(sizeof(*i) + pairs * sizeof(i->meta[0]) + n + 1);
	if (!i)
		return NULL;
	char *to = (char *)&i->meta[pairs];
	list_init(&i->link);
	struct str key_app = put(&to, app, true);
	to[0] = '/';
	to++;
	i->endpoint.instance = put(&to, id, false);
	i->key = str_make(key_app.p, app.n + 1 + id.n);
	i->app = str_make(key_app.p, app.n);
	i->vips = put(&to, vips, true);
	i->status = status_of(text_at(j, "status"));
	i->deleted = str_eq(text_at(j, "actionType"), STR("DELETED"));
	i->routable = read_address(j, &i->endpoint.addr);
	i->endpoint.state = i->status == EUREKA_UP	   ? REGISTRY_UP :
			    i->status == EUREKA_STARTING ? REGISTRY_STARTING :
							   REGISTRY_DOWN;
	i->endpoint.weight = WEIGHT_USUAL;
	i->endpoint.node = i->endpoint.zone = STR("");
	fill_meta(i, meta, pairs, &to);
	return i;
}

static bool add(struct eureka_answer *a, struct eureka_instance *i, struct err *err)
{
	if (a->n == a->cap) {
		size_t cap = a->cap ? 2 * a->cap : 64;
		struct eureka_instance **more = a->n < EUREKA_INSTANCES_MAX ? mem_resize(a->at, cap * sizeof(struct eureka_instance *)) : NULL;
		if (!more) {
			mem_free(i);
			return err_set(err, "more than %u instances, or memory is short", EUREKA_INSTANCES_MAX);
		}
		a->at = more;
		a->cap = cap;
	}
	a->at[a->n++] = i;
	return true;
}

/* A list, or what stands where a list of one was meant. */
static const cJSON *first_of(const cJSON *item)
{
	return cJSON_IsArray(item) ? item->child : cJSON_IsObject(item) ? item : NULL;
}

static const cJSON *next_of(const cJSON *list, const cJSON *item)
{
	return cJSON_IsArray(list) ? item->next : NULL;
}

static bool read_app(const cJSON *app, struct eureka_answer *ret, struct err *err)
{
	const cJSON *list = member(app, "instance");
	struct str name = text_at(app, "name");

	for (const cJSON *j = first_of(list); j; j = next_of(list, j)) {
		struct eureka_instance *i = read_instance(j, name);
		if (i && !add(ret, i, err))
			return false;
	}
	return true;
}

bool eureka_read(struct str body, struct eureka_answer *ret, struct err *err)
{
	static const struct json_limits limits = { EUREKA_BODY_MAX, EUREKA_NODES_MAX, 32 };
	cJSON *root = bounded_json_parse(body, &limits, err);
	const cJSON *all = member(root, "applications"), *apps = member(all, "application");
	bool good = root != NULL;

	*ret = (struct eureka_answer){ .n = 0 };
	if (good && !cJSON_IsObject(all))
		good = err_set(err, "it holds no \"applications\": is this the address of a Eureka server?");
	ret->has_hash = cJSON_IsString(member(all, "apps__hashcode")) &&
			str_copy(text_at(all, "apps__hashcode"), ret->hash, sizeof(ret->hash));
	for (const cJSON *app = good ? first_of(apps) : NULL; app && good; app = next_of(apps, app))
		good = read_app(app, ret, err);
	cJSON_Delete(root);
	if (!good)
		eureka_answer_release(ret);
	return good;
}

bool eureka_has_meta(struct str body, const char *key, const char *value)
{
	static const struct json_limits limits = { 1u << 20, 65536, 32 };
	struct err err;
	cJSON *root = bounded_json_parse(body, &limits, &err);
	bool has = str_eq(text_at(member(member(root, "instance"), "metadata"), key), str_of(value));

	cJSON_Delete(root);
	return has;
}

/* --- writing ---------------------------------------------------------------------------------------------------------------- */

const char *eureka_status_word(uint8_t state)
{
	return state == REGISTRY_UP ? "UP" : state == REGISTRY_STARTING ? "STARTING" : "DOWN";
}

static void put_port(struct json *j, const char *key, uint16_t port, bool enabled)
{
	json_key(j, key);
	json_object(j);
	json_put_u64(j, "$", port);
	json_put_str(j, "@enabled", str_of(enabled ? "true" : "false"));
	json_end(j);
}

static void put_metadata(struct json *j, const struct registry_instance *self, const char *owner)
{
	json_key(j, "metadata");
	json_object(j);
	json_put_str(j, OWNER_KEY, str_of(owner));
	if (self->node.n)
		json_put_str(j, "node", self->node);
	if (self->zone.n)
		json_put_str(j, "zone", self->zone);
	for (size_t i = 0; i < self->n_meta; i++) {
		if (str_eq(self->meta[i].key, STR("node")) || str_eq(self->meta[i].key, STR("zone")))
			continue;
		json_keyn(j, self->meta[i].key);
		json_str(j, self->meta[i].value);
	}
	json_end(j);
}

static void put_case(struct json *j, const char *key, struct str s, bool upper)
{
	char copy[256];
	size_t n = s.n < sizeof(copy) ? s.n : sizeof(copy);

	for (size_t i = 0; i < n; i++)
		copy[i] = (char)(upper ? toupper((unsigned char)s.p[i]) : tolower((unsigned char)s.p[i]));
	json_put_str(j, key, str_make(copy, n));
}

static void put_urls(struct json *j, const struct registry_instance *self, const char *ip, uint16_t port)
{
	char home[ADDR_TEXT_MAX + 32];

	snprintf(home, sizeof(home), strchr(ip, ':') ? "http://[%s]:%u/" : "http://%s:%u/", ip, port);
	json_put_str(j, "homePageUrl", str_of(home));
	json_put_str(j, "statusPageUrl", self->status_url.n ? self->status_url : str_of(home));
	json_put_str(j, "healthCheckUrl", self->health_url.n ? self->health_url : str_of(home));
}

void eureka_write(struct text *t, const struct registry_instance *self, const struct addr *at, usec lease, const char *owner,
		  usec now)
{
	uint64_t duration = lease / USEC_SEC ? lease / USEC_SEC : 1;
	char ip[ADDR_TEXT_MAX], ms[24];
	struct json j = json_begin(t);

	addr_ip_text(at, ip);
	snprintf(ms, sizeof(ms), "%llu", (unsigned long long)(now / USEC_MS));
	json_object(&j);
	json_key(&j, "instance");
	json_object(&j);
	json_put_str(&j, "instanceId", self->id);
	json_put_str(&j, "hostName", str_of(ip));
	put_case(&j, "app", self->service, true);
	json_put_str(&j, "ipAddr", str_of(ip));
	json_put_str(&j, "status", str_of(eureka_status_word(self->state)));
	json_put_str(&j, "overriddenStatus", STR("UNKNOWN"));
	put_port(&j, "port", addr_port(at), true);
	put_port(&j, "securePort", 443, false);
	json_put_u64(&j, "countryId", 1);
	json_key(&j, "dataCenterInfo");
	json_object(&j);
	json_put_str(&j, "@class", STR("com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"));
	json_put_str(&j, "name", STR("MyOwn"));
	json_end(&j);
	json_key(&j, "leaseInfo");
	json_object(&j);
	json_put_u64(&j, "renewalIntervalInSecs", duration / 3 ? duration / 3 : 1);
	json_put_u64(&j, "durationInSecs", duration);
	json_end(&j);
	put_metadata(&j, self, owner);
	put_urls(&j, self, ip, addr_port(at));
	put_case(&j, "vipAddress", self->service, false);
	put_case(&j, "secureVipAddress", self->service, false);
	json_put_str(&j, "lastUpdatedTimestamp", str_of(ms));
	json_put_str(&j, "lastDirtyTimestamp", str_of(ms));
	json_end(&j);
	json_end(&j);
}
