#include "log_queue.h"

#include "base/mem.h"

void log_queue_init(struct log_queue *q, size_t max)
{
	*q = (struct log_queue){ .max = max };
	list_init(&q->list);
}

static void pop(struct log_queue *q)
{
	struct log_message *m = log_queue_first(q);

	list_remove(&m->link);
	q->bytes -= m->n + sizeof(*m);
	q->counts.queued--;
	mem_free(m);
}

void log_queue_release(struct log_queue *q)
{
	while (log_queue_first(q))
		pop(q);
}

bool log_queue_put(struct log_queue *q, struct str bytes, bool own)
{
	size_t cost = bytes.n + sizeof(struct log_message), room = log_queue_room(q->max, q->bytes, own);
	struct log_message *m = NULL;

	q->counts.produced++;
	if (cost > q->max || bytes.n > UINT32_MAX) {
		q->counts.dropped_long++;
		return false;
	}
	if (cost <= room)
		m = mem_alloc(cost);
	if (!m) {
		q->counts.dropped_full++;
		return false;
	}
	m->number = q->numbers++;
	m->n = (uint32_t)bytes.n;
	memcpy(m->bytes, bytes.p, bytes.n);
	list_append(&q->list, &m->link);
	q->bytes += cost;
	q->counts.queued++;
	return true;
}

struct log_message *log_queue_first(const struct log_queue *q)
{
	return list_empty(&q->list) ? NULL : LIST_OWNER(q->list.next, struct log_message, link);
}

void log_queue_sent(struct log_queue *q)
{
	q->counts.sent++;
	pop(q);
}

void log_queue_long(struct log_queue *q)
{
	q->counts.dropped_long++;
	pop(q);
}
