/* proxy/outq and proxy/flow: bytes queued, copied, referenced, written; bodies framed anew. */
#include "proxy/flow.h"

#include "base/mem.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static struct block_pool pool;
static struct arena arena;
static char arena_mem[1024];

static void setup(void)
{
	block_pool_init(&pool, 64u << 20, 8);
	arena_init(&arena, 256 * 1024, arena_mem, sizeof(arena_mem));
}

static void teardown(void)
{
	arena_release(&arena);
	ck_assert_uint_eq(pool.out, 0); /* every block came back */
	block_pool_release(&pool);
}

/* What stands in the queue, as one text. */
static char *content(const struct outq *q, size_t *n)
{
	char *all = malloc(q->bytes + 1), *at = all;

	for (unsigned i = 0; i < q->count; i++) {
		memcpy(at, q->s[q->first + i].p, q->s[q->first + i].n);
		at += q->s[q->first + i].n;
	}
	*at = '\0';
	*n = (size_t)(at - all);
	return all;
}

static void assert_content(const struct outq *q, const char *want)
{
	size_t n;
	char *got = content(q, &n);

	ck_assert_uint_eq(n, q->bytes);
	ck_assert_str_eq(got, want);
	free(got);
}

START_TEST(small_pieces_become_one_span)
{
	struct outq q;
	outq_init(&q);
	ck_assert(outq_copy(&q, &pool, "HTTP/1.1 200 OK\r\n", 17));
	ck_assert(outq_copy(&q, &pool, "\r\nbody", 6));
	ck_assert_uint_eq(q.count, 1);
	assert_content(&q, "HTTP/1.1 200 OK\r\n\r\nbody");
	outq_clear(&q);
}
END_TEST

START_TEST(large_pieces_are_referenced)
{
	struct outq q;
	struct block *b = block_get(&pool, BLOCK_SMALL);
	memset(b->data, 'x', b->cap);
	outq_init(&q);
	ck_assert(outq_add(&q, &pool, b, b->data, OUTQ_COPY + 1));
	ck_assert_uint_eq(b->refs, 2);
	ck_assert(outq_add(&q, &pool, b, b->data, 10));
	ck_assert_uint_eq(b->refs, 2); /* the short one was copied */
	block_unref(b);
	outq_clear(&q);
}
END_TEST

START_TEST(many_tiny_chunks_never_run_out_of_pieces)
{
	struct outq q;
	struct block *b = block_get(&pool, BLOCK_LARGE);
	memset(b->data, 'x', b->cap);
	outq_init(&q);
	size_t total = 0;
	while (q.bytes < OUTQ_HIGH) {
		ck_assert(outq_copy(&q, &pool, "1000\r\n", 6));
		ck_assert(outq_add(&q, &pool, b, b->data, 4096));
		ck_assert(outq_copy(&q, &pool, "\r\n", 2));
		total += 4096 + 8;
	}
	ck_assert_uint_eq(q.bytes, total);
	ck_assert_uint_le(q.count, OUTQ_PIECES);
	block_unref(b);
	outq_clear(&q);
}
END_TEST

START_TEST(a_head_can_be_replaced_before_the_body)
{
	struct outq q;
	outq_init(&q);
	ck_assert(outq_copy(&q, &pool, "body", 4));
	struct block *b = block_get(&pool, BLOCK_SMALL);
	memcpy(b->data, "head1 ", 6);
	ck_assert(outq_prepend(&q, b, b->data, 6));
	assert_content(&q, "head1 body");
	outq_drop_first(&q);
	b = block_get(&pool, BLOCK_SMALL);
	memcpy(b->data, "head2 ", 6);
	ck_assert(outq_prepend(&q, b, b->data, 6));
	assert_content(&q, "head2 body");
	outq_clear(&q);
}
END_TEST

static void nothing(void *arg)
{
	(void)arg;
}

START_TEST(a_full_socket_takes_a_part)
{
	struct err err;
	struct loop *l = loop_new(&err);
	int fds[2];
	ck_assert_ptr_nonnull(l);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	struct stream s;
	stream_init(&s, l, nothing, nothing, NULL);
	ck_assert(stream_open(&s, fds[0]));
	struct outq q;
	outq_init(&q);
	enum outq_result r = OUTQ_DONE;
	uint64_t queued = 0, got = 0;
	struct block *b = block_get(&pool, BLOCK_LARGE);
	memset(b->data, 'y', b->cap);
	while (r == OUTQ_DONE) {
		ck_assert(outq_add(&q, &pool, b, b->data, b->cap));
		queued += b->cap;
		r = outq_write(&q, &s);
	}
	ck_assert_int_eq(r, OUTQ_PART);
	char *sink = malloc(1 << 20);
	while (got < queued) {
		ssize_t n = read(fds[1], sink, 1 << 20);
		if (n > 0)
			got += (uint64_t)n;
		ck_assert_int_ne(outq_write(&q, &s), OUTQ_FAILED);
	}
	ck_assert_uint_eq(q.sent, queued);
	ck_assert_uint_eq(q.bytes, 0);
	close(fds[1]);
	ck_assert(outq_add(&q, &pool, b, b->data, 10));
	ck_assert_int_eq(outq_write(&q, &s), OUTQ_FAILED); /* nobody reads any more */
	block_unref(b);
	outq_clear(&q);
	stream_close(&s, STREAM_CLOSE);
	loop_free(l);
	free(sink);
}
END_TEST

/* --- flow ------------------------------------------------------------------------------------------------ */

static enum flow_result feed(struct flow *f, const char *bytes)
{
	struct block *b = block_get(&pool, BLOCK_SMALL);
	memcpy(b->data, bytes, strlen(bytes));
	b->end = (uint32_t)strlen(bytes);
	enum flow_result r = flow_feed(f, &pool, b);
	block_unref(b);
	return r;
}

static const struct {
	const char *name;
	enum body_kind in;
	uint64_t length;
	enum body_kind out;
	const char *bytes, *queued;
	enum flow_result result;
} flow_rows[] = {
	{ "length stays length", BODY_LENGTH, 5, BODY_LENGTH, "hello", "hello", FLOW_END },
	{ "what follows the length is left", BODY_LENGTH, 2, BODY_LENGTH, "hello", "he", FLOW_END },
	{ "an incomplete length waits", BODY_LENGTH, 9, BODY_LENGTH, "hello", "hello", FLOW_MORE },
	{ "chunks are framed anew", BODY_CHUNKED, 0, BODY_CHUNKED, "005;ext=1\r\nhello\r\n0\r\n\r\n",
	  "5\r\nhello\r\n0\r\n\r\n", FLOW_END },
	{ "chunks for a 1.0 client lose their frames", BODY_CHUNKED, 0, BODY_CLOSE,
	  "5\r\nhello\r\n0\r\n\r\n", "hello", FLOW_END },
	{ "until-close becomes chunks", BODY_CLOSE, 0, BODY_CHUNKED, "hello", "5\r\nhello\r\n", FLOW_MORE },
	{ "trailers are kept", BODY_CHUNKED, 0, BODY_CHUNKED, "0\r\nX-Sum: 1\r\n\r\n", "0\r\nX-Sum: 1\r\n\r\n",
	  FLOW_END },
	{ "framing in trailers is dropped", BODY_CHUNKED, 0, BODY_CHUNKED,
	  "0\r\nContent-Length: 1\r\nX-Sum: 1\r\n\r\n", "0\r\nX-Sum: 1\r\n\r\n", FLOW_END },
	{ "a bad chunk size", BODY_CHUNKED, 0, BODY_CHUNKED, "zz\r\n", "", FLOW_BAD },
};

START_TEST(bodies_are_framed_for_their_sink)
{
	struct flow f;
	flow_init(&f, &arena);
	flow_begin(&f, flow_rows[_i].in, flow_rows[_i].length, flow_rows[_i].out, 0);
	ck_assert_msg(feed(&f, flow_rows[_i].bytes) == flow_rows[_i].result, "%s", flow_rows[_i].name);
	assert_content(&f.q, flow_rows[_i].queued);
	flow_release(&f);
}
END_TEST

START_TEST(only_until_close_may_end_by_closing)
{
	struct flow f;
	flow_init(&f, &arena);
	flow_begin(&f, BODY_LENGTH, 5, BODY_LENGTH, 0);
	ck_assert_int_eq(feed(&f, "hel"), FLOW_MORE);
	ck_assert_int_eq(flow_close(&f, &pool), FLOW_BAD);
	flow_release(&f);
	flow_init(&f, &arena);
	flow_begin(&f, BODY_CLOSE, 0, BODY_CHUNKED, 0);
	ck_assert_int_eq(feed(&f, "hel"), FLOW_MORE);
	ck_assert_int_eq(flow_close(&f, &pool), FLOW_END);
	assert_content(&f.q, "3\r\nhel\r\n0\r\n\r\n");
	flow_release(&f);
}
END_TEST

START_TEST(a_limit_stops_a_chunked_body)
{
	struct flow f;
	flow_init(&f, &arena);
	flow_begin(&f, BODY_CHUNKED, 0, BODY_CHUNKED, 8);
	ck_assert_int_eq(feed(&f, "5\r\nhello\r\n"), FLOW_MORE);
	ck_assert_int_eq(feed(&f, "5\r\nhello\r\n"), FLOW_LARGE);
	flow_release(&f);
}
END_TEST

START_TEST(a_dead_sink_costs_no_memory)
{
	struct flow f;
	flow_init(&f, &arena);
	flow_begin(&f, BODY_LENGTH, 5, BODY_LENGTH, 0);
	f.discard = true;
	ck_assert_int_eq(feed(&f, "hello"), FLOW_END);
	ck_assert_uint_eq(f.q.bytes, 0);
	flow_release(&f);
}
END_TEST

START_TEST(no_memory_is_said_and_nothing_leaks)
{
	struct block_pool tiny;
	struct arena a;
	struct flow f;
	block_pool_init(&tiny, BLOCK_SMALL_BYTES * 2, 0);
	arena_init(&a, 1 << 20, NULL, 0);
	for (unsigned long k = 1; k < 6; k++) {
		struct block *b = block_get(&tiny, BLOCK_SMALL);
		static const char bytes[] = "5\r\nhello\r\n0\r\nA: b\r\n\r\n";
		memcpy(b->data, bytes, sizeof(bytes) - 1);
		b->end = sizeof(bytes) - 1;
		flow_init(&f, &a);
		flow_begin(&f, BODY_CHUNKED, 0, BODY_CHUNKED, 0);
		mem_fail_at(k);
		enum flow_result r = flow_feed(&f, &tiny, b);
		mem_fail_at(0);
		ck_assert(r == FLOW_END || r == FLOW_NOMEM || r == FLOW_BAD);
		flow_release(&f);
		arena_reset(&a);
		block_unref(b);
		ck_assert_uint_eq(tiny.out, 0);
	}
	arena_release(&a);
	block_pool_release(&tiny);
}
END_TEST

Suite *suite_proxy_outq(void);
Suite *suite_proxy_outq(void)
{
	Suite *s = suite_create("proxy_outq");
	TCase *t = tcase_create("outq");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, small_pieces_become_one_span);
	tcase_add_test(t, large_pieces_are_referenced);
	tcase_add_test(t, many_tiny_chunks_never_run_out_of_pieces);
	tcase_add_test(t, a_head_can_be_replaced_before_the_body);
	tcase_add_test(t, a_full_socket_takes_a_part);
	tcase_add_loop_test(t, bodies_are_framed_for_their_sink, 0, sizeof(flow_rows) / sizeof(flow_rows[0]));
	tcase_add_test(t, only_until_close_may_end_by_closing);
	tcase_add_test(t, a_limit_stops_a_chunked_body);
	tcase_add_test(t, a_dead_sink_costs_no_memory);
	tcase_add_test(t, no_memory_is_said_and_nothing_leaks);
	suite_add_tcase(s, t);
	return s;
}
