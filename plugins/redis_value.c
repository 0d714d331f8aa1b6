#include "redis_value.h"

#include "base/json.h"

#include <cjson/cJSON.h>

#define WEIGHT_USUAL 100u
#define WEIGHT_MAX 10000u

static const char *const states[] = { [REGISTRY_UP] = "up", [REGISTRY_DOWN] = "down", [REGISTRY_STARTING] = "starting" };

static void write_meta(struct json *j, const struct registry_instance *self)
{
	json_key(j, "metadata");
	json_object(j);
	json_key(j, "outrider"); /* an agent stands there */
	json_str(j, STR("1"));
	for (size_t i = 0; i < self->n_meta && i + 1 < REGISTRY_META_MAX; i++) {
		if (str_eq(self->meta[i].key, STR("outrider")))
			continue;
		json_keyn(j, self->meta[i].key);
		json_str(j, self->meta[i].value);
	}
	json_end(j);
}

void redis_value_write(struct text *t, const struct registry_instance *self, const struct addr *at)
{
	char address[ADDR_TEXT_MAX];
	struct json j = json_begin(t);

	addr_text(at, address);
	json_object(&j);
	json_key(&j, "address");
	json_str(&j, str_of(address));
	json_key(&j, "node");
	json_str(&j, self->node);
	json_key(&j, "zone");
	json_str(&j, self->zone);
	json_key(&j, "weight");
	json_u64(&j, WEIGHT_USUAL);
	json_key(&j, "state");
	json_strz(&j, self->state <= REGISTRY_STARTING ? states[self->state] : "down");
	write_meta(&j, self);
	json_end(&j);
}

static struct str text_at(const cJSON *tree, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(tree, key);
	return cJSON_IsString(item) ? str_of(item->valuestring) : STR("");
}

static uint8_t state_of(struct str said)
{
	for (uint8_t i = 0; said.n && i < sizeof(states) / sizeof(states[0]); i++)
		if (str_ieq(said, str_of(states[i])))
			return i;
	return said.n ? REGISTRY_DOWN : REGISTRY_UP; /* a word that is not known is no invitation */
}

static void read_meta(struct redis_value *v, struct registry_endpoint *ret)
{
	const cJSON *map = cJSON_GetObjectItemCaseSensitive(v->tree, "metadata");

	ret->meta = v->meta;
	ret->n_meta = 0;
	if (!cJSON_IsObject(map))
		return;
	for (const cJSON *i = map->child; i && ret->n_meta < REGISTRY_META_MAX; i = i->next)
		if (cJSON_IsString(i) && i->string)
			v->meta[ret->n_meta++] =
				(struct registry_meta){ str_of(i->string), str_of(i->valuestring) };
}

bool redis_value_read(struct str json, struct redis_value *v, struct registry_endpoint *ret, struct err *err)
{
	if (json.n > REDIS_INSTANCE_MAX)
		return err_set(err, "more than %u bytes", REDIS_INSTANCE_MAX);
	v->tree = cJSON_ParseWithLength(json.p, json.n);
	if (!cJSON_IsObject(v->tree)) {
		redis_value_release(v);
		return err_set(err, "it is no JSON object");
	}
	const cJSON *weight = cJSON_GetObjectItemCaseSensitive(v->tree, "weight");
	double w = cJSON_IsNumber(weight) ? weight->valuedouble : WEIGHT_USUAL;

	ret->weight = w >= 1 && w <= WEIGHT_MAX ? (uint32_t)w : WEIGHT_USUAL;
	ret->node = text_at(v->tree, "node");
	ret->zone = text_at(v->tree, "zone");
	ret->state = state_of(text_at(v->tree, "state"));
	read_meta(v, ret);
	if (!addr_parse(text_at(v->tree, "address"), &ret->addr, NULL) || ret->addr.sa.sa_family == AF_UNIX ||
		!addr_port(&ret->addr) || addr_is_any(&ret->addr)) {
		redis_value_release(v);
		return err_set(err, "its address is not IP:port");
	}
	addr_unmap(&ret->addr);
	return true;
}

void redis_value_release(struct redis_value *v)
{
	cJSON_Delete(v->tree);
	v->tree = NULL;
}
