/* One connection to Redis that is kept up: names, connect, TLS, AUTH, SELECT, then commands and replies in order; it comes
 * back by itself after any loss, with growing jittered pauses. It never blocks and logs nothing: the owner is told.
 *
 * Every wait has an end: REDIS_OPEN_TIME until the connection is ready, REDIS_REPLY_TIME for the oldest reply owed; a
 * silent connection is asked PING every REDIS_PING_EVERY, so that a stopped server or a cut cable is noticed.
 * Thread: its loop's. */
#ifndef OUTRIDER_PLUGINS_REDIS_LINK_H
#define OUTRIDER_PLUGINS_REDIS_LINK_H

#include "base/rng.h"
#include "net/resolve.h"
#include "net/timer.h"
#include "net/tls.h"
#include "resp.h"

#define REDIS_OPEN_TIME (5 * USEC_SEC)
#define REDIS_REPLY_TIME (5 * USEC_SEC)
#define REDIS_PING_EVERY (10 * USEC_SEC)
#define REDIS_PAUSE_FIRST (100 * USEC_MS) /* before the second try; doubles */
#define REDIS_PAUSE_MAX (5 * USEC_SEC)
#define REDIS_OUTPUT_MAX (64u * 1024u) /* bytes of commands not sent yet */
#define REDIS_PORT 6379u

/* "redis:6379", "redis:6379/2", "//user:password@redis:6379", "redis" ; slices of the text that was parsed, but for the
 * credentials, which are percent-decoded copies. */
struct redis_address {
	struct str host;
	uint16_t port;
	unsigned db;
	char user[128], password[512]; /* "" = none; a password without a user is for `default` */
};
/* err never shows the password. */
bool redis_address_parse(struct str text, struct redis_address *ret, struct err *err) MUST_CHECK;

struct redis_link_events {
	void (*on_ready)(
		void *arg); /* logged in: commands may be sent; those of an earlier connection are gone */
	/* One reply, also what a subscription pushes. values: valid during the call. */
	void (*on_reply)(void *arg, const struct resp_value *values, size_t n);
	/* The connection was lost, or could not be made; tries = how many in a row. Another try is under way. */
	void (*on_down)(void *arg, const char *why, unsigned tries);
};

enum redis_link_state {
	REDIS_IDLE,
	REDIS_WAITING,
	REDIS_RESOLVING,
	REDIS_CONNECTING,
	REDIS_SHAKING,
	REDIS_GREETING,
	REDIS_READY
};

struct redis_link {
	struct loop *loop;
	struct netspace *ns;
	struct resolver *resolver;      /* borrowed */
	struct tls_client *tls;         /* borrowed; NULL: plain */
	const struct redis_address *to; /* borrowed */
	const struct redis_link_events *events;
	void *arg;

	enum redis_link_state state;
	struct resolve_query *query;
	struct stream stream;
	struct timer timer; /* end of the pause, of the opening, of the wait for a reply; next PING */
	struct rng rng;
	struct resp *resp;
	struct text out;
	size_t sent;       /* of out */
	unsigned owed;     /* replies */
	unsigned greeting; /* replies of AUTH and SELECT still awaited */
	unsigned tries;    /* since redis_link_fine() */
};

struct redis_link_config {
	struct loop *loop;
	struct netspace *ns;
	struct resolver *resolver;
	struct tls_client *tls;
	const struct redis_address *to;
};

/* Does not connect yet. false: no memory. */
bool redis_link_init(struct redis_link *l, const struct redis_link_config *config,
	const struct redis_link_events *events, void *arg, const struct resp_limits *limits,
	struct err *err) MUST_CHECK;
void redis_link_open(struct redis_link *l); /* on the next turn, and keeps it open */
/* Queues a command of a ready connection. false: too much is queued, or no memory; the connection is then lost by itself. */
bool redis_link_send(struct redis_link *l, const struct str *argv, size_t argc);
/* Drops the connection for a reason of the owner's (a reply that makes no sense), as if it had been lost. */
void redis_link_drop(struct redis_link *l, const char *why);
/* All went well: the next loss begins with a short pause again. Only the owner can tell; being ready is not enough. */
void redis_link_fine(struct redis_link *l);
void redis_link_release(
	struct redis_link *l); /* on a zeroed one, and twice, harmless; not inside its callbacks */

#endif
