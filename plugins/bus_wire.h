/* The way from librabbitmq to a broker: librabbitmq blocks, resolves by itself and would bring its own TLS, so it is given one
 * end of a pair of sockets, and the loop does the rest.
 *
 *     thread: librabbitmq  <── pair of sockets ──>  wire on the loop  <── struct stream, plain or TLS ──>  broker
 *
 * Names go through net/resolve, sockets come from the namespace stated, certificates are judged by net/tls, and what the broker
 * sends is looked at by bus_guard before librabbitmq reads it. A full side stops the reading of the other; at most
 * 2 × BUS_WIRE_CHUNK bytes and what the kernel holds lie in between. Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_BUS_WIRE_H
#define OUTRIDER_PLUGINS_BUS_WIRE_H

#include "base/clock.h"
#include "bus_address.h"
#include "bus_guard.h"
#include "net/resolve.h"
#include "net/timer.h"
#include "net/tls.h"

#define BUS_OPEN_TIME (10 * USEC_SEC) /* name, connection and TLS */
#define BUS_WIRE_CHUNK 16384u

struct bus_wire_events {
	/* The way stands. fd: the end for librabbitmq, the callee's to close; non-blocking. */
	void (*on_up)(void *arg, int fd);
	/* It could not be made, or is no more; the other end of fd reads what came, then the end. why: "" when the broker just
	 * closed the connection, which is best explained by what it said before. The wire may be opened again after a bus_wire_close(). */
	void (*on_down)(void *arg, const char *why);
};

struct bus_wire_side { /* one of the two streams, and what was read from it and waits for the other */
	struct bus_wire *wire;
	struct stream stream;
	size_t n, sent;
	char bytes[BUS_WIRE_CHUNK];
};

struct bus_wire {
	struct loop *loop;
	struct netspace *ns;
	struct resolver *resolver;
	struct tls_client *tls;       /* borrowed; for addresses that are secure */
	const struct bus_address *to; /* borrowed */
	const struct bus_wire_events *events;
	void *arg;

	enum {
		BUS_WIRE_OFF,
		BUS_WIRE_RESOLVING,
		BUS_WIRE_CONNECTING,
		BUS_WIRE_SHAKING,
		BUS_WIRE_UP,
		BUS_WIRE_ENDED
	} state;
	unsigned turn; /* which of the addresses of a name */
	struct resolve_query *query;
	struct timer timer;
	struct bus_guard guard;
	struct bus_wire_side net, own;
};

void bus_wire_init(struct bus_wire *w, struct loop *loop, struct netspace *ns, struct resolver *resolver,
	const struct bus_wire_events *events, void *arg);
/* turn: counts the tries, so that all addresses of a name have theirs. */
void bus_wire_open(struct bus_wire *w, const struct bus_address *to, unsigned turn);
void bus_wire_ready(struct bus_wire *w); /* the connection is set up: the broker may send any amount */
/* The other end reads the end of the stream, whatever the broker does; what it writes still arrives by bus_wire_close(). */
void bus_wire_stop(struct bus_wire *w);
void bus_wire_close(
	struct bus_wire *w); /* idempotent; sends at once what was written last, as far as that can be */

#endif
