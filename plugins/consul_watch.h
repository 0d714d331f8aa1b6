/* One blocking query of Consul that is kept up: asks, waits for a change, asks again; comes back by itself after any trouble.
 *
 *     consul_watch_start()                 asks at the next turn
 *     on_answer(status 200 or 404, body)   <── something may have changed (or the wait was over: "return is not change")
 *     consul_watch_taken(w, NULL)          ──> only now it asks again; with a reason: the answer made no sense, it backs off
 *
 * Rules (Consul's HTTP API, blocking queries): an index below 1 counts as 1; one that goes backwards makes
 * the next read a full one; without X-Consul-Index it polls. An answer before its wait was over takes a token of
 * CONSUL_BURST, which come back one in CONSUL_RATE; without one the next question waits for it.
 * With `every` it never blocks, but reads all of it once in that time: such queries hold no connection, and those of one
 * consul_servers with `at_once` take turns.
 * Failure: CONSUL_PAUSE_FIRST, doubling to CONSUL_PAUSE_MAX, half of it chance; then a full read of the next address.
 * Thread: the loop's. For sources and registries. */
#ifndef OUTRIDER_PLUGINS_CONSUL_WATCH_H
#define OUTRIDER_PLUGINS_CONSUL_WATCH_H

#include "base/rng.h"
#include "net/fetch.h"
#include "net/timer.h"
#include "plugin.h"

#define CONSUL_SERVERS_MAX 4u
#define CONSUL_URL_MAX 512u
#define CONSUL_BURST 2u
#define CONSUL_RATE (15 * USEC_SEC)
#define CONSUL_PAUSE_FIRST (1 * USEC_SEC)
#define CONSUL_PAUSE_MAX (60 * USEC_SEC)
#define CONSUL_READ_TIME                                                                                     \
	(20 * USEC_SEC) /* of an answer that need not wait; beyond the wait of one that does */
#define CONSUL_WAIT_MAX (600 * USEC_SEC) /* Consul's own */

/* --- pure ------------------------------------------------------------------------------------------------------------ */

/* The index to ask with next; 0: ask without one. header: of X-Consul-Index; *known false when it is absent or no number. */
uint64_t consul_next_index(uint64_t last, struct str header, bool *known);

struct consul_bucket {
	unsigned tokens;
	usec filled;    /* when the last one came */
	unsigned burst; /* 0: CONSUL_BURST */
	usec rate;      /* 0: CONSUL_RATE */
};
/* Takes a token; the time at which one is there: now, or later. */
usec consul_bucket_take(struct consul_bucket *b, usec now);

/* --- the servers ------------------------------------------------------------------------------------------------------- */

struct consul_servers { /* shared by watches, must outlive them */
	struct loop *loop;
	struct fetcher *fetcher;                      /* owned */
	char url[CONSUL_SERVERS_MAX][CONSUL_URL_MAX]; /* "http://consul:8500", without a slash at its end */
	unsigned n;
	char *token_line; /* "X-Consul-Token: …", owned; NULL: none */
	char *ca;         /* owned; NULL: the system's */
	unsigned at_once; /* set by the owner: questions under way at most; 0: as many as there are */
	unsigned busy;    /* are under way */
};

/* address: URLs by '|'; without a scheme http is meant, without a port 8500. Token and CA come from the settings of plug-in
 * consul. false: err; release it all the same. */
bool consul_servers_init(struct consul_servers *s, struct loop *loop, struct resolver *resolver,
	struct netspace *ns, struct str address, const struct plugin_settings *settings,
	struct err *err) MUST_CHECK;
void consul_servers_release(struct consul_servers *s); /* after its watches; on a zeroed one harmless */

/* --- the query ----------------------------------------------------------------------------------------------------------- */

struct consul_watch_events {
	/* body: of a 200, valid during the call; of a 404 empty. server: for origins. */
	void (*on_answer)(void *arg, int status, struct str body, const char *server);
	void (*on_trouble)(void *arg, const char *why); /* when it changes; "" = well again */
};

struct consul_watch {
	struct consul_servers *servers;
	const struct consul_watch_events *events;
	void *arg;
	const char *path;  /* borrowed: "/v1/kv/config/application" */
	const char *query; /* borrowed: "recurse=true", or NULL */
	usec wait, every; /* every: 0, or how often to read without blocking, give or take a tenth */
	size_t body_max;
	struct fetch *fetch;
	struct timer timer; /* the next question */
	struct rng rng;
	struct consul_bucket bucket;
	uint64_t index, answered; /* asked with; of the answer that the owner has not taken yet */
	usec asked;
	unsigned tries, server;
	bool waiting;   /* for consul_watch_taken() */
	bool hasty;     /* refresh meanwhile */
	bool indexless; /* the server says no index: poll */
	bool whole;     /* set by the owner: an answer from which ACLs took something away is trouble, not an answer */
	struct err told;
};

/* w->servers, path, query, wait, body_max, events, arg are set by the caller in a zeroed object. */
void consul_watch_start(struct consul_watch *w);
void consul_watch_taken(struct consul_watch *w, const char *why);
void consul_watch_refresh(struct consul_watch *w); /* a full read soon, unless one is under way */
void consul_watch_stop(struct consul_watch *w);    /* on a zeroed one harmless; not inside its callbacks */

#endif
