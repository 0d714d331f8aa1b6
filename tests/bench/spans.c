/* What a span costs the control thread: written as JSON, and written, queued and put into batches, in nanoseconds of CPU; the best of several
 * rounds. Aim: 250 ns for the JSON of a CLIENT span of some 450 bytes (by sprintf: 600). */
#include "../../plugins/otlp_json.h"
#include "../../plugins/span_queue.h"
#include "../../plugins/zipkin_json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUNDS 9
#define SPANS 200000

static char out[SPAN_BYTES_MAX];
#define LIT(lit) { "" lit, sizeof(lit) - 1 }
static const struct span_format format = { .write = zipkin_json_span, .open = LIT("["), .close = LIT("]"), .between = LIT(",") };

static const struct span span = {
	.trace_hi = 0x463ac35c9f6413ad, .trace_lo = 0x48485a3953bb6124, .id = 0xa2fb4a1d1a96d312, .parent = 0x0020000000000001, .kind = SPAN_CLIENT,
	.name = LIT("get"), .started = 1754000000123456, .duration = 8123,
	.local = { .service = LIT("accountservice"), .family = 4, .ip = { 10, 0, 9, 5 } },
	.remote = { .service = LIT("quotes-service"), .family = 4, .ip = { 10, 0, 9, 8 }, .port = 8080 },
	.tags = { { "http.method", LIT("GET") }, { "http.path", LIT("/api/quote/en/12345") }, { "http.status_code", LIT("200") },
		  { "http.host", LIT("quotes-service:8080") }, { "request.id", LIT("3f2a9c1d8b7e4f60") } },
	.n_tags = 5,
};

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static size_t zipkin(struct span_queue *q)
{
	(void)q;
	return zipkin_json_span(&span, out);
}

static size_t otlp(struct span_queue *q)
{
	(void)q;
	return otlp_json_span(&span, out);
}

static size_t queued(struct span_queue *q)
{
	span_queue_add(q, &span);
	if (span_queue_has_batch(q) && span_queue_take(q))
		span_queue_settle(q, 0, 0);
	return 0;
}

static double best_of(size_t (*work)(struct span_queue *q), struct span_queue *q, size_t *bytes)
{
	double best = 0;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t began = cpu_ns();
		for (int i = 0; i < SPANS; i++)
			*bytes = work(q);
		double each = (double)(cpu_ns() - began) / SPANS;
		if (round == 0 || each < best)
			best = each;
	}
	return best;
}

int main(void)
{
	struct span_queue q;
	struct err err = { "" };
	size_t zipkin_n, otlp_n, none;

	if (!span_queue_init(&q, &format, 1u << 20, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	double a = best_of(zipkin, &q, &zipkin_n), b = best_of(otlp, &q, &otlp_n), c = best_of(queued, &q, &none);
	printf("ns per span: %.0f as Zipkin's JSON (%zu bytes; aim: 250), %.0f as OTLP's (%zu bytes), %.0f written, queued and in a batch\n", a, zipkin_n,
	       b, otlp_n, c);
	span_queue_release(&q);
	return 0;
}
