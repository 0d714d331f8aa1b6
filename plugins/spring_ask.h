/* One question to a Spring Cloud Config Server, and what its refusals mean to a person. Pure but for spring_ask().
 *
 *     GET {url}/{application}/{profiles}[/{label}]      Accept: application/json
 *
 * A `/` in a name is written `(_)` (a `%2F` gives a 400). The v2 media type, which the Spring client asks for, is not asked
 * for: it makes an object of each value. */
#ifndef OUTRIDER_PLUGINS_SPRING_ASK_H
#define OUTRIDER_PLUGINS_SPRING_ASK_H

#include "http_url.h"
#include "net/fetch.h"

#define SPRING_STATE_MAX 4096u /* bytes of X-Config-State */

struct spring_asker { /* what all questions of a source have in common; texts owned by the source */
	struct fetcher *fetcher;
	const char *application, *profiles;
	const char *user, *password; /* of the options; NULL: none */
	const char *token, *ca;      /* NULL: none, the system's */
	const char *labels;          /* the option as written, for messages; NULL: none */
	usec timeout;
};

/* The path of a question, on `t` (whose `failed` tells). label may be empty. */
void spring_path(struct text *t, const char *application, const char *profiles, struct str label);
/* NULL and err: it cannot be asked now. state: as the server said it last time, or NULL. */
struct fetch *spring_ask(const struct spring_asker *a, const struct http_url *at, struct str label,
	const char *state, fetch_cb cb, void *arg, struct err *err) MUST_CHECK;
/* May the body be read as an answer? false: err is a sentence with the peer, what came and the remedy. */
bool spring_accept(const struct spring_asker *a, const struct http_url *at, const struct fetch_reply *reply,
	struct err *err) MUST_CHECK;
/* How long to wait after the n-th failed round in a row (n from 1), the last pause having been `last`: while nothing is known
 * yet as Spring's own client does it (1 s, times 1.1 up to 2 s, six rounds), then half as long again each time; never above
 * the poll interval. */
usec spring_pause(usec last, unsigned n, bool known, usec poll);

#endif
