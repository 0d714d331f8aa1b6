/* The answer of a Spring Cloud Config Server, `GET /{application}/{profiles}[/{label}]` as application/json: bytes in,
 * properties out. Pure.
 *
 *     {"name":"orders","profiles":["test"],"label":"main","version":"9f1c","state":null,
 *      "propertySources":[{"name":"https://git/cfg/orders-test.yml","source":{"server.port":9090,"hosts[0]":"a"}}, …]}
 *
 * Each property source is a set; the first is the strongest, as the server orders them. Values become texts: a number keeps
 * the digits that were sent (no double in between), null is an empty text. Of the second format of that server
 * ("a":{"value":1,"origin":"1:14"}) the value counts; other objects and arrays are flattened to a.b and a[0].
 * Fields that nobody knows are passed over. An origin is "spring:<name of the property source>", credentials in it masked.
 * `{cipher}…` and `invalid.…` are handed on: control refuses them by key and origin, whatever source they come from.
 *
 * Bounds: CONFIG_FILE_MAX bytes, CONFIG_DEPTH_MAX levels, JSON_NODES_MAX values (some 100 bytes each while it is read),
 * SOURCE_PROPERTIES_MAX properties. Thread: any; some 1 µs a property, so large ones belong on a helper thread. */
#ifndef OUTRIDER_PLUGINS_READ_JSON_H
#define OUTRIDER_PLUGINS_READ_JSON_H

#include "config_files.h"

#define JSON_NODES_MAX (4u * SOURCE_PROPERTIES_MAX)
#define JSON_KEY_MAX 1024u

struct spring_answer { /* texts in the arena of the properties; empty when the server said null or nothing */
	struct str label, version;
	struct str state; /* to be sent back as X-Config-State */
	size_t sources;   /* property sources; 0 also for an application that the server does not know */
};

/* Adds to p (config_props_init()). false: err says what is wrong and never shows a value; what was added before is to be
 * thrown away. */
bool read_spring_json(struct config_props *p, struct str body, struct spring_answer *ret, struct err *err) MUST_CHECK;

#endif
