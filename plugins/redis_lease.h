/* The own instances in Redis: registered, renewed three times per lease, withdrawn. What is lost with the server's data is
 * registered anew by the next renewal. Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_REDIS_LEASE_H
#define OUTRIDER_PLUGINS_REDIS_LEASE_H

#include "plugin.h"
#include "redis_calls.h"
#include "redis_registry.h"

struct redis_leases {
	struct loop *loop;
	struct redis_calls *calls; /* borrowed */
	usec lease;
	struct rng rng;
	char owner[REDIS_OWNER + 1];
	struct list all; /* of struct redis_lease */
	void (*said)(void *arg, struct str service, const struct resp_value *v); /* each reply, for trouble */
	void *arg;
};

void redis_leases_init(struct redis_leases *s, struct loop *loop, struct redis_calls *calls, usec lease);
void redis_leases_release(struct redis_leases *s); /* those that wait for a withdrawal hear done() */
/* As registry_ops.announce and withdraw. */
bool redis_leases_announce(struct redis_leases *s, const struct registry_instance *self) MUST_CHECK;
void redis_leases_withdraw(struct redis_leases *s, struct str id, void (*done)(void *arg), void *arg);
void redis_leases_ready(struct redis_leases *s); /* the connection stands (again): says all of them */

#endif
