/* Commands over one connection to Redis, each with its own reply: sends a few at a time, in order, and knows whose reply comes.
 *
 *     call->send(call)          queues its command by redis_link_send()
 *     call->reply(call, v, n)   what Redis said; may ask again
 *
 * When the connection is lost, calls under way are forgotten: their owners ask again when it stands. A call is embedded in what
 * it is of; redis_calls_leave() before that is freed. Thread: the link's loop. */
#ifndef OUTRIDER_PLUGINS_REDIS_CALLS_H
#define OUTRIDER_PLUGINS_REDIS_CALLS_H

#include "base/list.h"
#include "redis_link.h"

#define REDIS_FLIGHTS_MAX 16u /* commands whose reply is awaited; the others wait here */

struct redis_call {
	struct list link; /* waits to be sent; init by redis_call_init() */
	bool flying;      /* its reply is awaited */
	bool (*send)(struct redis_call *c); /* false: not now; it is sent when the link is ready again */
	void (*reply)(struct redis_call *c, const struct resp_value *v, size_t n);
};

struct redis_calls {
	struct redis_link *link;                       /* borrowed */
	struct list waiting;
	struct redis_call *flights[REDIS_FLIGHTS_MAX]; /* NULL: nobody wants that reply any more */
	unsigned first, flying;
};

void redis_calls_init(struct redis_calls *s, struct redis_link *link);
void redis_call_init(struct redis_call *c, bool (*send)(struct redis_call *),
		     void (*reply)(struct redis_call *, const struct resp_value *, size_t));

/* Sends the call as soon as it is its turn, `first` before those that wait. One that waits, or flies, is not asked twice. */
void redis_calls_ask(struct redis_calls *s, struct redis_call *c, bool first);
/* For redis_link_events.on_reply. false: nobody asked for that; drop the connection. */
bool redis_calls_reply(struct redis_calls *s, const struct resp_value *v, size_t n);
void redis_calls_lost(struct redis_calls *s); /* for on_down: nothing is under way any more, nothing waits */
/* The call is neither sent nor answered any more. Twice, and of one never asked, harmless. */
void redis_calls_leave(struct redis_calls *s, struct redis_call *c);

#endif
