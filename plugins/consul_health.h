/* The answer of `GET /v1/health/service/<name>`: instances with their checks. Facts: shared knowledge "consul", section 3. Pure;
 * any thread.
 *
 * An instance is up when no check of it or of its node is critical; a warning counts Weights.Warning, else Weights.Passing.
 * Consul's usual weight 1 is our 100. Its address is Service.Address, else the node's; who has neither as an IP, or no port, is
 * passed over. The zone is Meta.zone, else the node's Meta.zone; other Meta and the tags (as tag.<name>=1) are metadata.
 * Bounds: CONSUL_BODY_MAX bytes, CONSUL_NODES_MAX values, REGISTRY_ENDPOINTS_MAX instances. */
#ifndef OUTRIDER_PLUGINS_CONSUL_HEALTH_H
#define OUTRIDER_PLUGINS_CONSUL_HEALTH_H

#include "file_endpoints.h"

#define CONSUL_BODY_MAX (16u << 20)
#define CONSUL_NODES_MAX (1u << 20)

/* Adds to f (file_endpoints_init()), all under the name `service`, and sorts. false: err. */
bool consul_health_read(struct file_endpoints *f, struct str body, struct str service, struct err *err) MUST_CHECK;
/* Meta of the one service of `GET /v1/agent/service/<id>`: has it this value? */
bool consul_has_meta(struct str body, const char *key, const char *value);

#endif
