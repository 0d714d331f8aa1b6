/* Messages that wait for a receiver, in order, bounded by bytes: the newest finds no room; the last eighth is for the agent's own records, so that
 * a flood of others does not leave out what the agent says of it. Each has a number of its own.
 * produced = sent + dropped + queued. Memory comes with each message and goes with it. Thread: its owner's. */
#ifndef OUTRIDER_PLUGINS_LOG_QUEUE_H
#define OUTRIDER_PLUGINS_LOG_QUEUE_H

#include "base/list.h"
#include "plugin.h"

struct log_message {
	struct list link;
	uint64_t number;
	uint32_t n;
	char bytes[];
};

struct log_queue {
	struct list list;
	size_t bytes, max; /* with what each message costs */
	uint64_t numbers;
	struct sink_counts counts; /* queued included */
};

/* Bytes that one more may have, of max of which `used` are taken. Alone it may have all, else what is long would never find room. */
static inline size_t log_queue_room(size_t max, size_t used, bool own)
{
	size_t most = own || !used ? max : max - max / 8;

	return most > used ? most - used : 0;
}

void log_queue_init(struct log_queue *q, size_t max);
void log_queue_release(struct log_queue *q);
/* own: of the agent's own log. false: there is no room, or no memory: counted as dropped. */
bool log_queue_put(struct log_queue *q, struct str bytes, bool own);
struct log_message *log_queue_first(const struct log_queue *q); /* NULL: it is empty */
void log_queue_sent(struct log_queue *q); /* the first one goes */
void log_queue_long(struct log_queue *q); /* the same, for the receiver cannot take it */

#endif
