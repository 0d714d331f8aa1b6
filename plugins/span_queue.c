#include "span_queue.h"

#include "base/mem.h"

struct entry { /* before each span: its key, its bytes, rounded up to the next entry */
	uint32_t n;
	uint16_t key_n;
	uint16_t group; /* of the batch that is being made */
};

static size_t entry_size(const struct entry *e)
{
	return (sizeof(*e) + e->key_n + e->n + sizeof(*e) - 1) / sizeof(*e) * sizeof(*e);
}

static struct entry *entry_at(const struct span_queue *q, size_t at)
{
	return (struct entry *)(void *)(q->mem + at);
}

/* --- the memory ---------------------------------------------------------------------------------------------------------------- */

bool span_queue_init(struct span_queue *q, const struct span_format *format, size_t size, struct err *err)
{
	*q = (struct span_queue){ .format = format };
	q->size = (size > SPAN_QUEUE_MIN ? size : SPAN_QUEUE_MIN) / sizeof(struct entry) * sizeof(struct entry);
	q->mem = mem_alloc(q->size);
	q->scratch = mem_alloc(SPAN_BYTES_MAX);
	return (q->mem && q->scratch) || err_set(err, "no memory for the queue of spans");
}

void span_queue_release(struct span_queue *q)
{
	mem_free(q->mem);
	mem_free(q->scratch);
	mem_free(q->batch);
	mem_free(q->kept);
	*q = (struct span_queue){ .size = 0 };
}

/* From the start again when nothing waits: pages further up are not touched while little is queued. */
static void rewind_empty(struct span_queue *q)
{
	if (q->waiting)
		return;
	q->from = q->to = 0;
	q->turned = false;
}

/* A place of n bytes in one piece, or NULL. */
static struct entry *place(struct span_queue *q, size_t n)
{
	rewind_empty(q);
	if (!q->turned && q->size - q->to < n) {
		q->end = q->to;
		q->to = 0;
		q->turned = true;
	}
	return q->turned && q->from - q->to < n ? NULL : entry_at(q, q->to);
}

static void pop(struct span_queue *q)
{
	size_t n = entry_size(entry_at(q, q->from));

	q->from += n;
	q->bytes -= n;
	q->waiting--;
	if (q->turned && q->from == q->end) {
		q->from = 0;
		q->turned = false;
	}
}

/* Where the next span may be written at once: there is room for the longest one, without a turn. */
static struct entry *ample(struct span_queue *q)
{
	rewind_empty(q);
	size_t until = q->turned ? q->from : q->size;
	return until - q->to >= sizeof(struct entry) + SPAN_BYTES_MAX + sizeof(struct entry) ? entry_at(q, q->to) : NULL;
}

static void add(struct span_queue *q, const struct entry *head)
{
	q->to += entry_size(head);
	q->bytes += entry_size(head);
	q->waiting++;
}

void span_queue_add(struct span_queue *q, const struct span *s)
{
	const struct span_format *f = q->format;
	struct str service = s->local.service.n ? s->local.service : STR("unknown_service");
	struct entry *e = ample(q);
	char *to = e ? (char *)(e + 1) : q->scratch;
	size_t key_n = f->by_service ? (size_t)(span_put_json(to, service) - to) : 0;
	size_t n = f->write(s, to + key_n);
	struct entry head = { .n = (uint32_t)n, .key_n = (uint16_t)key_n };

	q->counts.produced++;
	if (n == 0) {
		q->counts.dropped_refused++;
		return;
	}
	if (!e) {
		while (!(e = place(q, entry_size(&head)))) {
			pop(q);
			q->counts.dropped_full++;
		}
		memcpy(e + 1, to, key_n + n);
	}
	*e = head;
	add(q, &head);
}

/* --- a batch -------------------------------------------------------------------------------------------------------------------- */

struct groups {
	struct str key[SPAN_GROUPS_MAX];
	unsigned n;
};

struct walk { /* from the oldest on */
	size_t at;
	uint64_t left;
	bool turned;
};

static struct entry *next(const struct span_queue *q, struct walk *w)
{
	if (w->left == 0)
		return NULL;
	if (w->turned && w->at == q->end) {
		w->at = 0;
		w->turned = false;
	}
	struct entry *e = entry_at(q, w->at);
	w->at += entry_size(e);
	w->left--;
	return e;
}

static unsigned group_of(const struct groups *g, struct str key)
{
	unsigned i = 0;

	while (i < g->n && !str_eq(g->key[i], key))
		i++;
	return i;
}

/* Which of the oldest spans go together: their number, the bytes they take, and each one's group in its entry. */
static uint64_t choose(const struct span_queue *q, struct groups *g, size_t *bytes)
{
	const struct span_format *f = q->format;
	struct walk w = { q->from, q->waiting, q->turned };
	uint64_t n = 0;

	*bytes = f->open.n + f->close.n;
	for (struct entry *e; (e = next(q, &w)); n++) {
		struct str key = str_make((const char *)(e + 1), e->key_n);
		unsigned group = group_of(g, key);
		size_t more = e->n + f->between.n;
		if (group == g->n)
			more += f->group_open.n + key.n + f->group_mid.n + f->group_close.n + f->between.n;
		if (group == SPAN_GROUPS_MAX || *bytes + more > SPAN_BATCH_MAX)
			break;
		if (group == g->n)
			g->key[g->n++] = key;
		e->group = (uint16_t)group;
		*bytes += more;
	}
	return n;
}

static char *put(char *p, struct str s)
{
	if (s.n)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

static char *put_group(const struct span_queue *q, char *p, uint64_t n, const struct groups *g, unsigned group)
{
	const struct span_format *f = q->format;
	struct walk w = { q->from, n, q->turned };
	bool first = true;

	p = put(put(put(p, f->group_open), g->key[group]), f->group_mid);
	for (struct entry *e; (e = next(q, &w));) {
		if (e->group != group)
			continue;
		if (!first)
			p = put(p, f->between);
		first = false;
		p = put(p, str_make((const char *)(e + 1) + e->key_n, e->n));
	}
	return put(p, f->group_close);
}

/* Large batches follow one another: the memory of each would be mapped and cleared anew. */
static bool make_batch(struct span_queue *q, size_t n)
{
	bool large = n >= SPAN_BATCH_MAX / 2;

	if (!large) {
		mem_free(q->kept);
		q->kept = NULL;
	}
	q->batch_size = large ? SPAN_BATCH_MAX : n;
	q->batch = q->kept ? q->kept : mem_alloc(q->batch_size);
	q->kept = NULL;
	return q->batch != NULL;
}

static void end_batch(struct span_queue *q)
{
	if (q->batch_size == SPAN_BATCH_MAX && !q->kept)
		q->kept = q->batch;
	else
		mem_free(q->batch);
	q->batch = NULL;
	q->batch_n = q->batch_size = 0;
}

void span_queue_packed(struct span_queue *q, char *bytes, size_t n)
{
	end_batch(q);
	q->batch = bytes;
	q->batch_n = n;
}

bool span_queue_take(struct span_queue *q)
{
	const struct span_format *f = q->format;
	struct groups g = { .n = 0 };
	size_t bytes;

	if (q->batch || q->waiting == 0)
		return false;
	uint64_t n = choose(q, &g, &bytes);
	if (!make_batch(q, bytes))
		return false;
	char *p = put(q->batch, f->open);
	for (unsigned i = 0; i < g.n; i++) {
		if (i)
			p = put(p, f->between);
		p = put_group(q, p, n, &g, i);
	}
	p = put(p, f->close);
	q->batch_n = (size_t)(p - q->batch);
	q->batch_spans = n;
	for (uint64_t i = 0; i < n; i++)
		pop(q);
	return true;
}

void span_queue_settle(struct span_queue *q, uint64_t refused, uint64_t failed)
{
	refused = refused < q->batch_spans ? refused : q->batch_spans;
	failed = failed < q->batch_spans - refused ? failed : q->batch_spans - refused;
	q->counts.dropped_refused += refused;
	q->counts.dropped_failed += failed;
	q->counts.sent += q->batch_spans - refused - failed;
	end_batch(q);
	q->batch_spans = 0;
}

struct exporter_counts span_queue_counts(const struct span_queue *q)
{
	struct exporter_counts c = q->counts;

	c.queued = q->waiting + q->batch_spans;
	return c;
}
