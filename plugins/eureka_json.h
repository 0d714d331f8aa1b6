/* The JSON of Eureka, both ways. Facts: shared knowledge "eureka", sections 2 and 3. Pure; any thread.
 *
 * Read with what servers of all ages send: an object where a list of one was meant, numbers and flags as texts or not, port "$"
 * with "@enabled", the "@class" of an empty map, overriddenStatus in both spellings (the server's `status` already minds it).
 * An instance that lacks what it takes to call it counts (the hash needs it) but is not routable.
 * Bounds: EUREKA_BODY_MAX bytes, EUREKA_NODES_MAX values, EUREKA_INSTANCES_MAX instances, REGISTRY_META_MAX pairs of metadata. */
#ifndef OUTRIDER_PLUGINS_EUREKA_JSON_H
#define OUTRIDER_PLUGINS_EUREKA_JSON_H

#include "eureka_apps.h"

#define EUREKA_BODY_MAX (16u << 20)
#define EUREKA_NODES_MAX (1u << 20)

/* false: err; ret is empty then. */
bool eureka_read(struct str body, struct eureka_answer *ret, struct err *err) MUST_CHECK;
/* The metadata entry of the one instance of `GET /apps/{APP}/{id}`: has it this value? */
bool eureka_has_meta(struct str body, const char *key, const char *value);
/* {"instance":{…}} as POST /apps/{APP} takes it. `at`: the address with port; lease in µs; owner: metadata "outrider.owner"; now:
 * wall time in µs. t->failed tells of short memory. */
void eureka_write(struct text *t, const struct registry_instance *self, const struct addr *at, usec lease, const char *owner,
		  usec now);
/* "UP", "DOWN", "STARTING" of an enum registry_state. */
const char *eureka_status_word(uint8_t state);

#endif
