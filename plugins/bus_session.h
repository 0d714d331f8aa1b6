/* One connection to RabbitMQ, on a thread of its own, as librabbitmq only blocks: logs in, makes its queue, hears events until
 * the connection ends.
 *
 *     topic exchange (durable) ── "#" ──> queue <exchange>.anonymous.<22 chars>, exclusive and auto-delete ──> events
 *
 * Each instance has its own queue, so each hears every event, and the broker forgets the queue with the connection. Events are
 * consumed without acknowledgement: what an exclusive queue still holds when its connection ends is lost either way, and the
 * flow control of the connection bounds what is under way. Bodies above BUS_BODY_MAX are passed over frame by frame.
 * Every wait is bounded: the handshake and each call by BUS_CALL_S, silence by two heartbeats.
 *
 * Ownership: fd goes to the session. Callbacks come on the loop's thread; after on_end, or bus_session_stop(), the session
 * frees itself. */
#ifndef OUTRIDER_PLUGINS_BUS_SESSION_H
#define OUTRIDER_PLUGINS_BUS_SESSION_H

#include "bus_address.h"
#include "bus_event.h"
#include "net/loop.h"

#define BUS_CALL_S 10
#define BUS_FAREWELL_S 1 /* for the answer to our close; none where the end of the stream is there already */
#define BUS_HEARTBEAT_S 10    /* asked of the broker; silence of twice that ends the connection */
#define BUS_EXCHANGE_MAX 220u /* so that the queue's name is a short string of AMQP */

struct bus_session;

struct bus_session_events {
	void (*on_ready)(void *arg);   /* listening */
	void (*on_refresh)(void *arg); /* an event for us, or several */
	void (*on_end)(void *arg, const char *why);
};

struct bus_session_config {
	struct loop *loop;
	const struct bus_address *to; /* vhost; borrowed while the session lives, as all here */
	const char *user, *password;
	const char *exchange;
	struct bus_id id;
};

/* fd: connected, non-blocking; also closed when it fails. NULL and err: no memory, no thread. */
struct bus_session *bus_session_start(const struct bus_session_config *config, int fd,
	const struct bus_session_events *events, void *arg, struct err *err) MUST_CHECK;
/* The far end of fd must read as ended by now: then the thread is done at once, and joined here. No callback after it. NULL is fine. */
void bus_session_stop(struct bus_session *s);

#endif
