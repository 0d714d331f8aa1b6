#include "proxy/outq.h"

void outq_init(struct outq *q)
{
	q->kept = NULL;
	q->scratch = NULL;
	q->first = q->count = 0;
	q->bytes = 0;
	q->sent = 0;
}

/* --- what is kept for another attempt ------------------------------------------------------------------------ */

void outq_keep(struct outq *q, struct kept *k)
{
	q->kept = k;
}

static void drop_kept(struct kept *k)
{
	for (uint32_t i = 0; i < k->n; i++)
		block_unref(k->s[i].b);
	k->n = k->bytes = 0;
}

void outq_forget(struct outq *q)
{
	if (q->kept)
		drop_kept(q->kept);
	q->kept = NULL;
}

void outq_lose(struct outq *q)
{
	if (!q->kept)
		return;
	q->kept->lost = true;
	drop_kept(q->kept);
}

static void keep(struct outq *q, struct block *b, char *p, size_t n)
{
	struct kept *k = q->kept;

	if (!k || k->lost)
		return;
	struct piece *last = k->n ? &k->s[k->n - 1] : NULL;
	bool extends = last && last->b == b && last->p + last->n == p;
	if (k->bytes + n > k->max || (!extends && k->n == KEPT_PIECES)) {
		outq_lose(q);
		return;
	}
	k->bytes += (uint32_t)n;
	if (extends)
		last->n += (uint32_t)n;
	else
		k->s[k->n++] = (struct piece){ block_ref(b), p, (uint32_t)n };
}

bool outq_rewind(struct outq *q)
{
	struct kept *k = q->kept;

	if (!k || k->lost)
		return false;
	outq_clear(q);
	for (uint32_t i = 0; i < k->n; i++) {
		q->s[i] = (struct piece){ block_ref(k->s[i].b), k->s[i].p, k->s[i].n };
		q->bytes += k->s[i].n;
	}
	q->count = (uint8_t)k->n;
	return true;
}

void outq_clear(struct outq *q)
{
	for (unsigned i = 0; i < q->count; i++)
		block_unref(q->s[q->first + i].b);
	block_unref(q->scratch);
	q->scratch = NULL;
	q->first = q->count = 0;
	q->bytes = 0;
}

static struct piece *last_piece(struct outq *q)
{
	return q->count ? &q->s[q->first + q->count - 1] : NULL;
}

static bool push_span(struct outq *q, struct block *b, char *p, size_t n)
{
	if (q->count == OUTQ_PIECES)
		return false;
	if (q->first + q->count == OUTQ_PIECES) {
		memmove(q->s, q->s + q->first, q->count * sizeof(q->s[0]));
		q->first = 0;
	}
	q->s[q->first + q->count++] = (struct piece){ block_ref(b), p, (uint32_t)n };
	return true;
}

char *outq_reserve(struct outq *q, struct block_pool *pool, size_t n)
{
	if (q->scratch && block_room(q->scratch) >= n)
		return q->scratch->data + q->scratch->end;
	struct block *b = n <= BLOCK_SMALL_BYTES   ? block_get(pool, BLOCK_SMALL)
			  : n <= BLOCK_LARGE_BYTES ? block_get(pool, BLOCK_LARGE)
			  : n <= (1u << 20)        ? block_get_huge(pool, (uint32_t)n)
						   : NULL;
	if (!b)
		return NULL;
	if (q->count == OUTQ_PIECES) { /* no span left for another block */
		block_unref(b);
		return NULL;
	}
	block_unref(q->scratch);
	q->scratch = b;
	return b->data;
}

void outq_commit(struct outq *q, size_t n)
{
	struct block *b = q->scratch;
	char *p = b->data + b->end;
	struct piece *last = last_piece(q);

	b->end += (uint32_t)n;
	q->bytes += n;
	keep(q, b, p, n);
	if (last && last->b == b && last->p + last->n == p)
		last->n += (uint32_t)n;
	else
		(void)push_span(q, b, p, n); /* room was made sure of by outq_reserve() */
}

bool outq_copy(struct outq *q, struct block_pool *pool, const char *p, size_t n)
{
	while (n) {
		size_t part = n;
		if (q->scratch && block_room(q->scratch) && part > block_room(q->scratch) &&
		    q->count < OUTQ_PIECES)
			part = block_room(q->scratch);
		if (q->count == OUTQ_PIECES && !(q->scratch && block_room(q->scratch) >= part))
			return false;
		char *to = outq_reserve(q, pool, part);
		if (!to)
			return false;
		struct piece *last = last_piece(q);
		bool extends = last && last->b == q->scratch && last->p + last->n == to;
		if (!extends && q->count == OUTQ_PIECES)
			return false;
		memcpy(to, p, part);
		outq_commit(q, part);
		p += part;
		n -= part;
	}
	return true;
}

bool outq_add(struct outq *q, struct block_pool *pool, struct block *b, char *p, size_t n)
{
	if (n <= OUTQ_COPY || q->count >= OUTQ_REFS)
		return outq_copy(q, pool, p, n);
	if (!push_span(q, b, p, n))
		return false;
	keep(q, b, p, n);
	q->bytes += n;
	return true;
}

bool outq_prepend(struct outq *q, struct block *b, char *p, size_t n)
{
	if (q->count == OUTQ_PIECES) {
		block_unref(b);
		return false;
	}
	if (q->first == 0) {
		memmove(q->s + 1, q->s, q->count * sizeof(q->s[0]));
		q->first = 1;
	}
	q->s[--q->first] = (struct piece){ b, p, (uint32_t)n };
	q->count++;
	q->bytes += n;
	return true;
}

void outq_drop_first(struct outq *q)
{
	if (!q->count)
		return;
	struct piece *s = &q->s[q->first];
	q->bytes -= s->n;
	block_unref(s->b);
	q->first++;
	if (--q->count == 0)
		q->first = 0;
}

static void consume(struct outq *q, size_t n)
{
	q->bytes -= n;
	q->sent += n;
	while (n) {
		struct piece *s = &q->s[q->first];
		if (n < s->n) {
			s->p += n;
			s->n -= (uint32_t)n;
			return;
		}
		n -= s->n;
		block_unref(s->b);
		q->first++;
		q->count--;
	}
	if (q->count)
		return;
	q->first = 0;
	if (q->scratch) { /* nothing refers to it any more but we */
		if (q->scratch->refs == 1)
			q->scratch->start = q->scratch->end = 0;
		else {
			block_unref(q->scratch);
			q->scratch = NULL;
		}
	}
}

enum outq_result outq_write(struct outq *q, struct stream *s)
{
	while (q->count) {
		struct iovec iov[OUTQ_PIECES];
		size_t want = 0;
		for (unsigned i = 0; i < q->count; i++) {
			struct piece *sp = &q->s[q->first + i];
			iov[i] = (struct iovec){ sp->p, sp->n };
			want += sp->n;
		}
		ssize_t n = stream_writev(s, iov, q->count);
		if (n < 0)
			return OUTQ_FAILED;
		consume(q, (size_t)n);
		if ((size_t)n < want)
			return OUTQ_PART;
	}
	return OUTQ_DONE;
}
