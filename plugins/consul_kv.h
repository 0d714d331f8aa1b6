/* Consul's key-value store as configuration: answers in, properties out. Pure; thread: any.
 *
 * Layout, that of Spring Cloud Consul, below a prefix ("config"), the strongest first; of several profiles the last one named
 * is the strongest; without one it is `default`:
 *
 *     <prefix>/<service>,<profile>/     <prefix>/application,<profile>/
 *     <prefix>/<service>/               <prefix>/application/          service before application, whatever the profile
 *
 * Two reads see all of that, for `recurse` matches a prefix of names and not a folder: <prefix>/<service> and
 * <prefix>/application. So there are two open requests however many profiles there are, all folders of one name are read at
 * one moment, and only changes of keys that begin with the name wake a reader. A read of the whole prefix would bring every
 * service's keys to everybody and wake all at each change; it would also need a token for all of them.
 *
 * A key below a folder is a property, '/' in it a dot: <prefix>/application/db/url is db.url. Value: base64, null is empty.
 * Keys that end in '/' are folders and passed over. Source: Consul's HTTP API (kv), Spring Cloud Consul Config. */
#ifndef OUTRIDER_PLUGINS_CONSUL_KV_H
#define OUTRIDER_PLUGINS_CONSUL_KV_H

#include "config_files.h"

#include <cjson/cJSON.h>

#define CONSUL_BODY_MAX (8u << 20) /* bytes of one answer */
#define CONSUL_DEPTH_MAX 8u
#define CONSUL_NODES_MAX (1u << 19) /* values of one answer; some 100 bytes each while it is read */
#define CONSUL_PATH_MAX 1024u       /* bytes of prefix and name, percent-encoded */

/* The path of the read of `name`, percent-encoded: "/v1/kv/config/accountservice". false: it is too long. */
bool consul_kv_path(struct str prefix, struct str name, char *ret, size_t cap) MUST_CHECK;

struct consul_names { /* borrowed */
	struct str prefix, name, profiles;
	struct str server; /* for origins: "http://consul:8500" */
};

/* Adds what the answer to the read of `name` holds, strongest set first; sets are numbered from p->sets on. false: err says
 * what is wrong, with the key and never a value; what was added is to be thrown away. */
bool consul_kv_read(
	struct config_props *p, struct str body, const struct consul_names *of, struct err *err) MUST_CHECK;

/* Standard base64 with padding. false: it is none. ret: at least n / 4 * 3 bytes. */
bool consul_base64(struct str text, char *ret, size_t *ret_n) MUST_CHECK;

/* --- for every reader of Consul's JSON ------------------------------------------------------------------------------ */

/* cJSON, but not before depth and number of values are known to be within bounds, and without NULs. NULL and err. */
cJSON *consul_json(struct str body, struct err *err) MUST_CHECK;
void consul_json_free(cJSON *root); /* wipes: values may be secrets. NULL is fine */

#endif
