/* What breaker, retry budget and bulkhead together cost per request, in nanoseconds of CPU: what admit() and admit_leave() call, without
 * sockets; the best of several rounds, by one thread, and by two that share one circuit. Aim: 300 ns. With `json`: for tests/bench/run. */
#include "proxy/circuit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUNDS 9
#define CALLS 1000000
#define RETRY_EVERY 8u /* calls, of which one asks the budget for a retry */

static struct circuit circuit;
static const struct breaker_policy breaker = { .on = true, .error_percent = 100, .probes = 1, .volume = 20, .bucket = USEC_SEC, .sleep = USEC_SEC };
static const struct bulkhead_policy bulkhead = { .max = 1000, .adaptive = true };

static const struct budget_policy budget = { .on = true, .percent = 20, .per_second = 10, .bucket = USEC_SEC };

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void call(usec now)
{
	struct breaker_ticket t;
	bool would;

	window_add(&circuit.breaker.counts, CIRCUIT_REQUEST, breaker.bucket, now);
	(void)breaker_enter(&circuit.breaker, &breaker, now, &t);
	(void)circuit_take(&circuit, &bulkhead, &would);
	if (now / 10 % RETRY_EVERY == 0)
		(void)circuit_may_retry(&circuit, &budget, now);
	(void)breaker_leave(&circuit.breaker, &breaker, &t, CIRCUIT_SUCCESS, now);
	latencies_add(&circuit.latencies, 500 + now % 1000, now);
	limiter_report(&circuit.limiter, 500, 1, now);
	circuit_give(&circuit);
}

static void *many(void *arg)
{
	double *best = arg;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t began = cpu_ns();
		for (usec k = 0; k < CALLS; k++)
			call(100 * USEC_SEC + k * 10);
		double each = (double)(cpu_ns() - began) / CALLS;
		if (round == 0 || each < *best)
			*best = each;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	double one = 0, two[2] = { 0 };
	pthread_t t[2];

	many(&one);
	memset(&circuit, 0, sizeof(circuit));
	for (int i = 0; i < 2; i++)
		if (pthread_create(&t[i], NULL, many, &two[i]) != 0)
			return 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	if (argc > 1 && strcmp(argv[1], "json") == 0) {
		printf("{\"one_ns\": %.1f, \"two_ns\": %.1f}\n", one, two[0] > two[1] ? two[0] : two[1]);
		return 0;
	}
	printf("ns per request for breaker, budget, bulkhead with its limiter, latencies: %.0f by one thread, %.0f and %.0f by two on one circuit (aim: 300)\n",
		one, two[0], two[1]);
	return 0;
}
