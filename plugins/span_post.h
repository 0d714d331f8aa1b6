/* An exporter that posts batches of spans to a collector over HTTP: all of it but the bytes of a span and the meaning of an answer.
 *
 *     put ──> span_queue ──every second, or when a batch is full──> POST, one at a time ──┬─ taken: sent
 *                                                                                        ├─ again: the next address, after a pause; see below
 *                                                                                        ├─ refused: dropped_refused
 *                                                                                        └─ no answer: dropped_failed
 *
 * A batch is posted to each address once and then once more, but again only where that does no harm: nothing of the request had left, or the
 * answer says so. Pauses: SPAN_PAUSE_FIRST, doubling to SPAN_PAUSE_MAX, half of it chance; Retry-After in seconds is obeyed up to
 * SPAN_RETRY_AFTER_MAX. Meanwhile the queue fills up to its bound and drops the oldest. A second address is tried without a pause.
 *
 * Settings of the plug-in: username, password, token (Bearer), ca, gzip, queue. Credentials of a URL (user:password@) come before them, and are
 * never shown. Trouble names the URL, the answer and the collector's own words. Thread: the loop's. */
#ifndef OUTRIDER_PLUGINS_SPAN_POST_H
#define OUTRIDER_PLUGINS_SPAN_POST_H

#include "net/fetch.h"
#include "plugin.h"
#include "span_queue.h"

#define SPAN_SERVERS_MAX 8u
#define SPAN_EVERY USEC_SEC          /* the longest that a span waits for others */
#define SPAN_POST_TIME (5 * USEC_SEC) /* for one answer, connecting included */
#define SPAN_ANSWER_MAX 16384u       /* bytes of an answer */
#define SPAN_WORDS_MAX 200u          /* bytes of the collector's own words in a message */
#define SPAN_FLUSH_TIME USEC_SEC
#define SPAN_PAUSE_FIRST (500 * USEC_MS)
#define SPAN_PAUSE_MAX (30 * USEC_SEC)
#define SPAN_RETRY_AFTER_MAX (30 * USEC_SEC)
#define SPAN_QUEUE_SIZE (1024u * 1024u)

enum span_verdict { SPAN_TAKEN, SPAN_AGAIN, SPAN_REFUSED };

struct span_kind_of_peer { /* what a plug-in is, beside its bytes */
	const char *plugin;    /* "zipkin": its settings are outrider.zipkin.… */
	const char *path;      /* of an URL that has none */
	const char *ca_option; /* for messages */
	const char *form;      /* what an address looks like */
	struct span_format format;
	/* Of an answer with any status; rejected: how many spans of one that was taken the collector left out; words: its reason then, may
	 * stay empty. */
	enum span_verdict (*judge)(const struct fetch_reply *reply, uint64_t *rejected, struct err *words);
};

/* As exporter_ops, with what it is in front. */
struct exporter *span_post_open(const struct span_kind_of_peer *kind, const struct exporter_config *config, const struct exporter_events *events,
				void *arg, struct err *err);
void span_post_put(struct exporter *e, const struct span *spans, size_t n);
struct exporter_counts span_post_counts(const struct exporter *e);
void span_post_flush(struct exporter *e, void (*done)(void *arg), void *arg);
void span_post_close(struct exporter *e);

/* Pure. How long to wait after the n-th failure in a row (n from 1), chance from 0 to 1; and what Retry-After says, 0: nothing usable. */
usec span_post_pause(unsigned n, double chance);
usec span_post_retry_after(struct str field);

#endif
