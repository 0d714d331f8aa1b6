/* What a swarm manager answers to three lists, put together: services, their running tasks, and the names of nodes. Pure; any
 * thread. Facts: shared knowledge "docker-swarm", sections 1 and 4.
 *
 * An endpoint is a task that runs and shall run, at its address in a network that this agent stands in, else in the first that is
 * not the ingress network; its port is not known. A service is known by its name ("shop_quotes"), and by the name in its stack file
 * ("quotes") when no other service has that one. Metadata: stack, slot, update (state of a rolling update) and the labels of the
 * service but for com.docker.*.
 * Bounds: DOCKER_BODY_MAX bytes and DOCKER_NODES_MAX values of each list, FILE_ENDPOINTS_MAX endpoints. */
#ifndef OUTRIDER_PLUGINS_DOCKER_TASKS_H
#define OUTRIDER_PLUGINS_DOCKER_TASKS_H

#include "file_endpoints.h"

#define DOCKER_BODY_MAX (32u << 20)
#define DOCKER_NODES_MAX (1u << 20)

struct docker_lists { /* bodies of the answers */
	struct str services, tasks, nodes; /* nodes may be empty: then nodes are known by their ids */
	const struct cidr *networks;       /* those of this agent's own addresses */
	size_t n_networks;
};

/* Adds to f (file_endpoints_init()) and sorts it. false: err. */
bool docker_read(struct file_endpoints *f, const struct docker_lists *lists, struct err *err) MUST_CHECK;

#endif
