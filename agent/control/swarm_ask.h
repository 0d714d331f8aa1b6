/* Asks one page of every agent of outrider.agents, at once.
 *
 *     names ──lookup──> addresses (SWARM_AGENTS_MAX) ──fetch──> on_answer() for each, the failed ones with the cause ──> done()
 *
 * Replies are those of peers: bounded, and parsed as JSON before they are handed on. No ask lasts longer than its `total`.
 * Owner and thread: control. */
#ifndef OUTRIDER_CONTROL_SWARM_ASK_H
#define OUTRIDER_CONTROL_SWARM_ASK_H

#include "base/clock.h"
#include "base/list.h"
#include "http/bounded_json.h"
#include "net/addr.h"
#include "net/fetch.h"
#include "net/loop.h"

#define SWARM_AGENTS_MAX FETCH_MAX
#define SWARM_PAGE_MAX (512u * 1024u) /* bytes of one agent's page */

struct swarm; /* what asks share: a resolver and a fetcher, so SWARM_AGENTS_MAX requests at a time */
struct swarm_ask;

struct swarm_answer {      /* valid during the call */
	const char *agent; /* its address, or the name that was not found */
	int status;        /* 0: it failed, see why */
	struct str body;   /* JSON */
	const cJSON *tree; /* the same; numbers are texts (bounded_json.h) */
	const char *why;
};

struct swarm_counts {
	unsigned asked, failed, left_out;
};

struct swarm_question {
	struct str agents; /* comma list of outrider.agents; copied */
	const char *page;  /* "circuits?service=a", without '/'; copied */
	usec total;
	size_t page_max; /* bytes of a reply, at most SWARM_PAGE_MAX */
	void (*on_answer)(void *arg, const struct swarm_answer *a); /* perhaps within swarm_ask_start() */
	void (*done)(void *arg,
		const struct swarm_counts *c); /* the last call; the ask is gone then. On a later turn */
	void *arg;
};

struct swarm *swarm_new(struct loop *l, struct err *err) MUST_CHECK;
void swarm_free(struct swarm *s); /* asks end without a word; NULL is fine */
/* NULL and err: no memory. */
struct swarm_ask *swarm_ask_start(
	struct swarm *s, const struct swarm_question *q, struct err *err) MUST_CHECK;
void swarm_ask_cancel(struct swarm_ask *a); /* done() is not called; NULL is fine */
unsigned swarm_asks(const struct swarm *s); /* under way */

#endif
