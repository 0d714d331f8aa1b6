/* Answers of DNS that many share: sidecars of one node whose containers stand on the same networks ask the engine's resolver the same
 * questions, and get the same answers. One asks; who asks next within `max_age` takes what it got.
 *
 * Owner: whoever has the sidecars; netspaces lend it (netspace_share()). Thread: control's. */
#ifndef OUTRIDER_NET_ANSWERS_H
#define OUTRIDER_NET_ANSWERS_H

#include "net/lookup.h"

#define ANSWERS_MAX 4096u               /* questions that are kept */
#define ANSWERS_KEPT (30 * USEC_SEC)    /* at most so long */
#define ANSWERS_CLAIM USEC_SEC          /* a question that is out for so long is asked by another, too */

struct answers;

struct answers *answers_new(struct err *err) MUST_CHECK;
void answers_free(struct answers *a); /* NULL is fine */

struct answer {
	enum lookup_end end; /* FOUND or NONE: failures are everybody's own */
	const struct addr *addrs; /* the store's, until the next answers_put() */
	size_t n;
};

/* What was answered to `question` of `group` since now - max_age (monotonic). false: nothing. */
bool answers_get(struct answers *a, uint64_t group, const char *question, usec now, usec max_age, struct answer *ret);
/* Who finds no answer claims the question before asking. false: another one of the group has just asked: its answer is soon here. */
bool answers_claim(struct answers *a, uint64_t group, const char *question, usec now);
/* It was asked in vain, or is asked no more: the next one may. */
void answers_waive(struct answers *a, uint64_t group, const char *question);
/* Keeps a copy and ends the claim; without memory it is not kept. */
void answers_put(struct answers *a, uint64_t group, const char *question, usec now, const struct answer *answer);

#endif
