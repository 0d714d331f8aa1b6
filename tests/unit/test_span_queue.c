/* The queue of spans: what goes in comes out once and in order, or is counted; the oldest go first; batches stay within their bound. */
#include "../../plugins/otlp_json.h"
#include "../../plugins/span_queue.h"
#include "../../plugins/zipkin_json.h"

#include "base/mem.h"
#include "base/rng.h"

#include <check.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#define LIT(lit) { "" lit, sizeof(lit) - 1 }

static const struct span_format zipkin = { .write = zipkin_json_span, .open = LIT("["), .close = LIT("]"), .between = LIT(",") };
static const struct span_format otlp = { .write = otlp_json_span, .by_service = true, .open = LIT("["), .close = LIT("]"), .between = LIT(","),
	.group_open = LIT("{\"service\":\""), .group_mid = LIT("\",\"spans\":["), .group_close = LIT("]}") };

static struct span_queue queue;

static void open_queue(const struct span_format *format, size_t size)
{
	struct err err = { "" };

	ck_assert_msg(span_queue_init(&queue, format, size, &err), "%s", err.text);
}

static void check_sum(void)
{
	struct exporter_counts c = span_queue_counts(&queue);

	ck_assert_uint_eq(c.produced, c.sent + c.dropped_full + c.dropped_refused + c.dropped_failed + c.queued);
	ck_assert_uint_le(queue.bytes, queue.size);
}

/* A span whose name has n bytes and whose id is `id`. */
static void add(uint64_t id, size_t n, struct str service)
{
	static char name[SPAN_VALUE_MAX];

	memset(name, 'n', sizeof(name));
	struct span s = { .trace_lo = 1, .id = id, .name = str_make(name, n), .started = 1, .duration = 1, .local.service = service };
	span_queue_add(&queue, &s);
	check_sum();
}

static cJSON *batch(void)
{
	ck_assert(span_queue_take(&queue));
	check_sum();
	ck_assert_uint_le(queue.batch_n, SPAN_BATCH_MAX);
	cJSON *root = cJSON_ParseWithLength(queue.batch, queue.batch_n);
	ck_assert(root != NULL);
	return root;
}

static uint64_t id_of(const cJSON *span, const char *key)
{
	return strtoull(cJSON_GetObjectItem(span, key)->valuestring, NULL, 16);
}

START_TEST(in_order_and_once)
{
	uint64_t next = 1;
	struct rng rng;

	rng_seed(&rng, 7);
	open_queue(&zipkin, SPAN_QUEUE_MIN);
	for (uint64_t id = 1, rounds = 0; rounds < 300; rounds++) {
		for (uint32_t n = rng_below(&rng, 1200); n; n--)
			add(id++, rng_below(&rng, SPAN_VALUE_MAX), STR("a"));
		if (!queue.waiting)
			continue;
		cJSON *root = batch(), *one;
		ck_assert_int_eq(cJSON_GetArraySize(root), (int)queue.batch_spans);
		cJSON_ArrayForEach(one, root)
		{
			uint64_t got = id_of(one, "id");
			ck_assert_msg(got >= next, "%llu after %llu", (unsigned long long)got, (unsigned long long)next);
			next = got + 1;
		}
		cJSON_Delete(root);
		span_queue_settle(&queue, 0, 0);
		ck_assert(span_queue_counts(&queue).sent + span_queue_counts(&queue).dropped_full == next - 1 || queue.waiting);
	}
	ck_assert_uint_gt(span_queue_counts(&queue).dropped_full, 0);
	span_queue_release(&queue);
}
END_TEST

START_TEST(the_oldest_are_dropped)
{
	uint64_t id = 1;

	open_queue(&zipkin, SPAN_QUEUE_MIN);
	while (!span_queue_counts(&queue).dropped_full)
		add(id++, 300, STR("a"));
	for (int i = 0; i < 5000; i++)
		add(id++, 300, STR("a"));
	cJSON *root = batch();
	struct exporter_counts c = span_queue_counts(&queue);
	ck_assert_uint_eq(id_of(cJSON_GetArrayItem(root, 0), "id"), c.dropped_full + 1);
	ck_assert_uint_eq(id_of(cJSON_GetArrayItem(root, cJSON_GetArraySize(root) - 1), "id"), id - 1);
	cJSON_Delete(root);
	span_queue_release(&queue);
}
END_TEST

/* What is under way stays as it is, however much comes in. */
START_TEST(a_batch_under_way)
{
	open_queue(&zipkin, SPAN_QUEUE_MIN);
	ck_assert(!span_queue_take(&queue));
	add(1, 3, STR("a"));
	add(2, 3, STR("a"));
	cJSON_Delete(batch());
	char *copy = strndup(queue.batch, queue.batch_n);
	for (uint64_t id = 3; id < 9000; id++)
		add(id, 200, STR("a"));
	ck_assert(!span_queue_take(&queue));
	ck_assert(memcmp(copy, queue.batch, queue.batch_n) == 0);
	free(copy);
	span_queue_settle(&queue, 1, UINT64_MAX);
	check_sum();
	struct exporter_counts c = span_queue_counts(&queue);
	ck_assert(c.sent == 0 && c.dropped_refused == 1 && c.dropped_failed == 1);
	span_queue_release(&queue);
}
END_TEST

START_TEST(a_batch_is_bounded)
{
	open_queue(&zipkin, 4 << 20);
	for (uint64_t id = 1; id <= 3000; id++)
		add(id, 400, STR("a"));
	ck_assert(span_queue_has_batch(&queue));
	cJSON_Delete(batch());
	ck_assert_uint_gt(queue.batch_n, SPAN_BATCH_MAX - 1000);
	ck_assert_uint_gt(queue.waiting, 1000);
	span_queue_settle(&queue, 0, 0);
	check_sum();
	span_queue_release(&queue);
}
END_TEST

/* Large batches share their memory one after another; it is given back with the first small one. */
START_TEST(memory_of_batches)
{
	open_queue(&zipkin, 4 << 20);
	for (uint64_t id = 1; id <= 3000; id++)
		add(id, 400, STR("a"));
	ck_assert(span_queue_take(&queue));
	const char *first = queue.batch;
	span_queue_settle(&queue, 0, 0);
	ck_assert(span_queue_take(&queue));
	ck_assert_ptr_eq(queue.batch, first);
	char *packed = mem_dup("[]", 2);
	ck_assert_ptr_nonnull(packed);
	span_queue_packed(&queue, packed, 2);
	ck_assert_ptr_eq(queue.kept, first);
	while (queue.batch || queue.waiting) {
		span_queue_settle(&queue, 0, 0);
		(void)!span_queue_take(&queue);
	}
	add(3001, 3, STR("a"));
	cJSON_Delete(batch());
	ck_assert_ptr_null(queue.kept);
	span_queue_settle(&queue, 0, 0);
	ck_assert_ptr_null(queue.kept);
	check_sum();
	span_queue_release(&queue);
}
END_TEST

/* Spans of one service lie together, in order; a service without a name has one; more than SPAN_GROUPS_MAX make two batches. */
START_TEST(by_service)
{
	open_queue(&otlp, SPAN_QUEUE_MIN);
	add(1, 3, STR("a\"b"));
	add(2, 3, STR(""));
	add(3, 3, STR("a\"b"));
	cJSON *root = batch(), *first = cJSON_GetArrayItem(root, 0), *second = cJSON_GetArrayItem(root, 1);
	ck_assert_str_eq(cJSON_GetObjectItem(first, "service")->valuestring, "a\"b");
	ck_assert_str_eq(cJSON_GetObjectItem(second, "service")->valuestring, "unknown_service");
	cJSON *spans = cJSON_GetObjectItem(first, "spans");
	ck_assert_int_eq(cJSON_GetArraySize(spans), 2);
	ck_assert_uint_eq(id_of(cJSON_GetArrayItem(spans, 1), "spanId"), 3);
	cJSON_Delete(root);
	span_queue_settle(&queue, 0, 0);
	for (unsigned i = 0; i < SPAN_GROUPS_MAX + 1; i++) {
		char name[16];
		add(i + 1, 3, str_make(name, (size_t)snprintf(name, sizeof(name), "s%u", i)));
	}
	for (unsigned n = SPAN_GROUPS_MAX; n; n = n == 1 ? 0 : 1) {
		root = batch();
		ck_assert_int_eq(cJSON_GetArraySize(root), (int)n);
		cJSON_Delete(root);
		span_queue_settle(&queue, 0, 0);
	}
	ck_assert_uint_eq(span_queue_counts(&queue).sent, 3 + SPAN_GROUPS_MAX + 1);
	span_queue_release(&queue);
}
END_TEST

START_TEST(without_ids_refused)
{
	open_queue(&zipkin, SPAN_QUEUE_MIN);
	add(0, 3, STR("a"));
	ck_assert_uint_eq(span_queue_counts(&queue).dropped_refused, 1);
	ck_assert(!span_queue_take(&queue));
	span_queue_release(&queue);
}
END_TEST

START_TEST(memory_short)
{
	struct err err;

	for (unsigned long k = 1; k <= 2; k++) {
		mem_fail_at(k);
		ck_assert(!span_queue_init(&queue, &zipkin, SPAN_QUEUE_MIN, &err));
		mem_fail_at(0);
		span_queue_release(&queue);
	}
	open_queue(&zipkin, SPAN_QUEUE_MIN);
	add(1, 3, STR("a"));
	mem_fail_at(1);
	ck_assert(!span_queue_take(&queue));
	mem_fail_at(0);
	ck_assert_uint_eq(span_queue_counts(&queue).queued, 1);
	cJSON_Delete(batch());
	span_queue_release(&queue);
}
END_TEST

Suite *suite_span_queue(void);
Suite *suite_span_queue(void)
{
	Suite *s = suite_create("span_queue");
	TCase *c = tcase_create("pure");

	tcase_add_test(c, in_order_and_once);
	tcase_add_test(c, the_oldest_are_dropped);
	tcase_add_test(c, a_batch_under_way);
	tcase_add_test(c, a_batch_is_bounded);
	tcase_add_test(c, memory_of_batches);
	tcase_add_test(c, by_service);
	tcase_add_test(c, without_ids_refused);
	tcase_add_test(c, memory_short);
	suite_add_tcase(s, c);
	return s;
}
