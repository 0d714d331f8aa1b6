/* The own instances at Eureka: registered, renewed three times per lease, registered again when the server forgot them (404),
 * cancelled. Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_EUREKA_LEASE_H
#define OUTRIDER_PLUGINS_EUREKA_LEASE_H

#include "base/list.h"
#include "base/rng.h"
#include "eureka_ask.h"

struct eureka_leases {
	struct loop *loop;
	struct eureka_asker *asker; /* borrowed */
	usec lease;
	struct rng rng;
	char owner[17];
	char local[64];  /* the own address of connections to the server; "" until one was made */
	struct list all; /* of struct eureka_lease */
	void (*said)(void *arg, const char *why); /* "" when all went well */
	void *arg;
};

void eureka_leases_init(struct eureka_leases *s, struct loop *loop, struct eureka_asker *asker, usec lease);
void eureka_leases_release(struct eureka_leases *s); /* those that wait for a withdrawal hear done() */
/* As registry_ops.announce and withdraw. */
bool eureka_leases_announce(struct eureka_leases *s, const struct registry_instance *self) MUST_CHECK;
void eureka_leases_withdraw(struct eureka_leases *s, struct str id, void (*done)(void *arg), void *arg);

#endif
