/* Asking Eureka servers: one of several at a time, the next when it fails, with what all questions have in common.
 * Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_EUREKA_ASK_H
#define OUTRIDER_PLUGINS_EUREKA_ASK_H

#include "http_url.h"
#include "net/fetch.h"
#include "plugin.h"

#define EUREKA_SERVERS_MAX 8u
#define EUREKA_TIMEOUT (8 * USEC_SEC)

struct eureka_asker {
	struct fetcher *fetcher; /* owned */
	struct http_url servers[EUREKA_SERVERS_MAX];
	size_t n, current;
	char *user, *password, *ca; /* owned; NULL: none */
};

/* "http://eureka:8761/eureka|http://other:8761/eureka". false: err; eureka_asker_release() it all the same. */
bool eureka_asker_init(struct eureka_asker *a, const struct registry_config *c, struct err *err) MUST_CHECK;
void eureka_asker_release(struct eureka_asker *a); /* cancels nothing of others: their fetches end with the fetcher */

/* One question to the current server. method: "GET", "POST" with a body, "PUT", "DELETE"; path: "/apps". NULL: err. */
struct fetch *eureka_ask(struct eureka_asker *a, const char *method, const char *path, struct str body, usec total, fetch_cb cb,
			 void *arg, struct err *err) MUST_CHECK;
/* Is it the answer to build on: 200 or 204? Else err says why in words for the one who runs it; 404 too. */
bool eureka_accept(const struct eureka_asker *a, size_t server, const struct fetch_reply *reply, struct err *err);
/* Does the server itself fail, so that another may do better? */
bool eureka_is_down(const struct fetch_reply *reply);
/* That server failed (eureka_asker.current when it was asked): the next one is current, unless another question has found out before. */
void eureka_next(struct eureka_asker *a, size_t failed);

#endif
