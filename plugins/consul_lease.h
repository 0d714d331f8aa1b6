/* The own instances at a Consul agent: registered with a TTL check, reported three times per TTL, registered again when it forgot them,
 * deregistered. Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_CONSUL_LEASE_H
#define OUTRIDER_PLUGINS_CONSUL_LEASE_H

#include "base/list.h"
#include "base/rng.h"
#include "consul_watch.h"

struct consul_leases {
	struct loop *loop;
	struct consul_servers *servers; /* borrowed: a fetcher of its own */
	usec lease;
	struct rng rng;
	unsigned server; /* of servers: where the instances are registered */
	char owner[17];
	char local[64];  /* the own address of connections to the server; "" until one was made */
	struct list all; /* of struct consul_lease */
	void (*said)(void *arg, const char *why); /* "" when all went well */
	void *arg;
};

void consul_leases_init(struct consul_leases *s, struct loop *loop, struct consul_servers *servers, usec lease);
void consul_leases_release(struct consul_leases *s); /* those that wait for a withdrawal hear done() */
/* As registry_ops.announce and withdraw. */
bool consul_leases_announce(struct consul_leases *s, const struct registry_instance *self) MUST_CHECK;
void consul_leases_withdraw(struct consul_leases *s, struct str id, void (*done)(void *arg), void *arg);

#endif
