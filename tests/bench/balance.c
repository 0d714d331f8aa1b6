/* What one pick costs, in nanoseconds: pick, start and end of an attempt, for each policy and size of upstream; the
 * best of several rounds, one thread, caches as warm as a loop over random endpoints leaves them.
 * Aim: a pick among 1,000 endpoints 150 ns. With `json`: that alone, of the default policy, for tests/bench/run. */
#include "base/mem.h"
#include "proxy/balance_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 7
#define PICKS 200000

struct bench {
	struct arena arena;
	struct balance_spec spec;
	struct balance_part part;
	struct balance_member *members;
	struct balance_cell *cells;
	struct balance_stat *stats;
	struct balance_tally tally;
	struct rng rng;
	usec now;
};

static const uint32_t sizes[] = { 1, 10, 1000, 10000 };

/* Of this thread: other work on the machine counts only by the caches it spoils. */
static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void need(bool ok)
{
	if (ok)
		return;
	fputs("balance: out of memory\n", stderr);
	exit(1);
}

enum shape { PLAIN, WEIGHTS, TIERS, SICK, SHAPES };
static const char *const shapes[SHAPES] = { "", ", weighted", ", 3 tiers, canary", ", 1 in 5 ejected" };

static void set_up(struct bench *b, enum balance_policy policy, uint32_t n, enum shape shape)
{
	struct balance_options o = BALANCE_DEFAULTS;
	char(*text)[32];

	memset(b, 0, sizeof(*b));
	arena_init(&b->arena, (size_t)256 << 20, NULL, 0);
	rng_seed(&b->rng, 1);
	b->now = 1000 * USEC_SEC;
	b->members = mem_zarray(n, sizeof(*b->members));
	b->cells = aligned_alloc(64, n * sizeof(*b->cells));
	b->stats = mem_zarray(n, sizeof(*b->stats));
	text = arena_alloc(&b->arena, n * sizeof(*text));
	need(b->members && b->cells && b->stats && text);
	memset(b->cells, 0, n * sizeof(*b->cells));
	for (uint32_t i = 0; i < n; i++) {
		snprintf(text[i], sizeof(text[i]), "10.%u.%u.%u:8080", i >> 16 & 255, i >> 8 & 255, i & 255);
		b->members[i] = (struct balance_member){
			.text = str_of(text[i]), .slot = i, .weight = 100, .cell = &b->cells[i]
		};
		if (shape == WEIGHTS)
			b->members[i].weight = 1 + rng_below(&b->rng, 10000);
		if (shape == TIERS) {
			b->members[i].tier = (uint8_t)(i % 3);
			b->members[i].set = i % 20 != 0;
		}
		if (shape == SICK && i % 5 == 4)
			outlier_hold(&b->cells[i], &b->tally, BALANCE_HOLD_CHECK, true, false, b->now);
	}
	o.policy = policy;
	o.n_sets = shape == TIERS ? 2 : 1;
	o.share[0] = 500;
	need(balance_build(&b->arena, &o, b->members, n, &b->tally, &b->spec));
	balance_part_init(&b->part, b->stats, &b->rng);
}

static void tear_down(struct bench *b)
{
	arena_release(&b->arena);
	mem_free(b->members);
	free(b->cells);
	mem_free(b->stats);
}

static void attempts(struct bench *b, uint32_t n, bool feed)
{
	struct balance_request q = { .has_hash = true };

	for (uint32_t k = 0; k < n; k++) {
		q.hash = (q.hash + 1) * 0x9e3779b97f4a7c15u;
		b->now += 10;
		struct balance_ticket t = balance_pick(&b->spec, &b->part, &q, b->now, &b->rng);
		__asm__ volatile("" : : "r"(&t) : "memory");
		if (!feed)
			continue;
		balance_start(&b->spec, &b->part, t, b->now);
		balance_end(&b->spec, &b->part, t, BALANCE_OK, 1000 + (q.hash & 1023), b->now, &b->rng);
	}
}

static double best(struct bench *b, bool feed)
{
	uint64_t least = UINT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = cpu_ns();
		attempts(b, PICKS, feed);
		uint64_t took = cpu_ns() - start;
		least = took < least ? took : least;
	}
	return (double)least / PICKS;
}

static void row(enum balance_policy policy, enum shape shape)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%s", balance_policy_name(policy), shapes[shape]);
	printf("%-32s", name);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct bench b;
		set_up(&b, policy, sizes[i], shape);
		attempts(&b, PICKS, true); /* every endpoint known */
		double pick = best(&b, false), all = best(&b, true);
		printf("  %6.1f %6.1f", pick, all);
		tear_down(&b);
	}
	printf("\n");
}

static void build_row(enum balance_policy policy)
{
	printf("%-32s",
		policy == BALANCE_RING_HASH ? "building a spec with ring, ms" : "building a spec, ms");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct bench b;
		set_up(&b, policy, sizes[i], PLAIN);
		struct balance_options o = BALANCE_DEFAULTS;
		struct balance_spec again;
		o.policy = policy;
		size_t used = b.arena.used;
		uint64_t start = cpu_ns();
		need(balance_build(&b.arena, &o, b.members, sizes[i], &b.tally, &again));
		printf("  %6.2f %5zuB", (double)(cpu_ns() - start) / 1e6,
			(b.arena.used - used) / sizes[i]);
		tear_down(&b);
	}
	printf("\n");
}

static void print_json(void)
{
	struct bench b;

	set_up(&b, BALANCE_PEAK_EWMA, 1000, PLAIN);
	attempts(&b, PICKS, true);
	double pick = best(&b, false), all = best(&b, true);
	printf("{\"pick_ns\": %.1f, \"attempt_ns\": %.1f}\n", pick, all);
	tear_down(&b);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "json") == 0) {
		print_json();
		return 0;
	}
	printf("ns per pick, and with start and end; endpoints:");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		printf("  %u", sizes[i]);
	printf("\n");
	for (unsigned p = 0; p < BALANCE_POLICIES; p++)
		row((enum balance_policy)p, PLAIN);
	row(BALANCE_PEAK_EWMA, WEIGHTS);
	row(BALANCE_PEAK_EWMA, TIERS);
	row(BALANCE_PEAK_EWMA, SICK);
	row(BALANCE_ROUND_ROBIN, WEIGHTS);
	build_row(BALANCE_PEAK_EWMA);
	build_row(BALANCE_RING_HASH);
	return 0;
}
