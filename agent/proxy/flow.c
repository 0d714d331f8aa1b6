#include "proxy/flow.h"

void flow_init(struct flow *f, struct arena *arena)
{
	outq_init(&f->q);
	f->left = f->bytes = f->max = 0;
	f->in = f->out = BODY_NONE;
	f->ended = false;
	f->discard = f->paused = false;
	f->arena = arena;
	f->trailers = NULL;
	f->copy = NULL;
	f->trailers_at = 0;
}

void flow_begin(struct flow *f, enum body_kind in, uint64_t length, enum body_kind out, uint64_t max)
{
	f->in = (uint8_t)in;
	f->out = (uint8_t)out;
	f->left = in == BODY_LENGTH ? length : 0;
	f->max = max;
	f->ended = in == BODY_NONE || (in == BODY_LENGTH && length == 0);
	if (in == BODY_CHUNKED)
		chunk_init(&f->chunk);
}

void flow_release(struct flow *f)
{
	outq_clear(&f->q);
	outq_forget(&f->q);
}

static bool queue_data(struct flow *f, struct block_pool *pool, struct block *b, char *p, size_t n)
{
	f->bytes += n;
	if (f->copy)
		text_add(f->copy, str_make(p, n));
	if (f->discard) {
		outq_lose(&f->q);
		return true;
	}
	if (f->out != BODY_CHUNKED)
		return outq_add(&f->q, pool, b, p, n);
	char size[24];
	return outq_copy(&f->q, pool, size, chunk_header(size, n)) && outq_add(&f->q, pool, b, p, n) &&
	       outq_copy(&f->q, pool, "\r\n", 2);
}

static bool keep_trailer(struct flow *f)
{
	const struct chunk_decoder *d = &f->chunk;
	size_t n = d->name.n + d->value.n + 4;

	if (f->out != BODY_CHUNKED || !trailer_allowed(d->name))
		return true;
	if (!f->trailers && !(f->trailers = arena_bytes(f->arena, H1_TRAILER_MAX * 2)))
		return false;
	if (f->trailers_at + n > H1_TRAILER_MAX * 2)
		return false;
	char *to = f->trailers + f->trailers_at;
	memcpy(to, d->name.p, d->name.n);
	to += d->name.n;
	memcpy(to, ": ", 2);
	if (d->value.n)
		memcpy(to + 2, d->value.p, d->value.n);
	memcpy(to + 2 + d->value.n, "\r\n", 2);
	f->trailers_at += (uint32_t)n;
	return true;
}

static enum flow_result queue_end(struct flow *f, struct block_pool *pool)
{
	f->ended = true;
	if (f->discard)
		outq_lose(&f->q);
	if (f->discard || f->out != BODY_CHUNKED)
		return FLOW_END;
	if (!outq_copy(&f->q, pool, "0\r\n", 3) ||
	    (f->trailers_at && !outq_copy(&f->q, pool, f->trailers, f->trailers_at)) ||
	    !outq_copy(&f->q, pool, "\r\n", 2))
		return FLOW_NOMEM;
	return FLOW_END;
}

static enum flow_result feed_plain(struct flow *f, struct block_pool *pool, struct block *b)
{
	size_t n = b->end - b->start;

	if (f->in == BODY_LENGTH && n > f->left)
		n = (size_t)f->left;
	if (n && !queue_data(f, pool, b, b->data + b->start, n))
		return FLOW_NOMEM;
	b->start += (uint32_t)n;
	if (f->in == BODY_LENGTH && (f->left -= n) == 0)
		return queue_end(f, pool);
	return f->q.bytes > outq_high(pool) ? FLOW_FULL : FLOW_MORE;
}

static enum flow_result feed_chunked(struct flow *f, struct block_pool *pool, struct block *b)
{
	while (b->start < b->end) {
		size_t used = 0, len = 0;
		const char *data = NULL;
		enum chunk_event e = chunk_decode(&f->chunk, b->data + b->start, b->end - b->start, &used,
						  &data, &len, f->arena);
		b->start += (uint32_t)used;
		switch (e) {
		case CHUNK_MORE:
			return FLOW_MORE;
		case CHUNK_DATA:
			if (!queue_data(f, pool, b, b->data + (data - b->data), len))
				return FLOW_NOMEM;
			if (f->max && f->bytes > f->max)
				return FLOW_LARGE;
			if (f->q.bytes > outq_high(pool))
				return FLOW_FULL;
			break;
		case CHUNK_TRAILER:
			if (!keep_trailer(f))
				return FLOW_NOMEM;
			break;
		case CHUNK_END:
			return queue_end(f, pool);
		case CHUNK_BAD:
			return FLOW_BAD;
		}
	}
	return FLOW_MORE;
}

enum flow_result flow_feed(struct flow *f, struct block_pool *pool, struct block *b)
{
	if (f->ended)
		return FLOW_END;
	return f->in == BODY_CHUNKED ? feed_chunked(f, pool, b) : feed_plain(f, pool, b);
}

enum flow_result flow_close(struct flow *f, struct block_pool *pool)
{
	if (f->ended)
		return FLOW_END;
	return f->in == BODY_CLOSE ? queue_end(f, pool) : FLOW_BAD;
}
