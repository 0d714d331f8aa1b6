/* What one instance says of itself in Redis, as JSON:
 *
 *     {"address":"10.0.1.7:8080","node":"n1","zone":"z1","weight":100,"state":"up","metadata":{"outrider":"1"}}
 *
 * Only address must be there. Others may write such values too, so all of it is checked. Thread: pure, any. */
#ifndef OUTRIDER_PLUGINS_REDIS_VALUE_H
#define OUTRIDER_PLUGINS_REDIS_VALUE_H

#include "base/text.h"
#include "plugin.h"

#define REDIS_INSTANCE_MAX 8192u /* bytes of one value */

struct cJSON;

struct redis_value {
	struct cJSON *tree; /* owned: the texts of the endpoint stand in it */
	struct registry_meta meta[REGISTRY_META_MAX];
};

/* Adds the value of `self` at address `at`; t->failed tells of short memory. */
void redis_value_write(struct text *t, const struct registry_instance *self, const struct addr *at);
/* false: no such value, or no memory; v holds nothing then. ret->instance is not touched. */
bool redis_value_read(struct str json, struct redis_value *v, struct registry_endpoint *ret, struct err *err) MUST_CHECK;
void redis_value_release(struct redis_value *v); /* on a zeroed one, and twice, harmless */

#endif
