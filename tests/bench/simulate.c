/* A landscape in virtual time: 1,000 agents call 1,000 servers through the product's own balancer and outlier code, with
 * no socket and no clock. Prints latency, failures and load skew for each policy; with a path, plots them as SVG.
 *
 *     build/bench/simulate [docs/balancing.svg]
 *
 * Servers: one in four is ten times slower, one in fifty refuses within 0.3 ms, the rest take 5 ms in the mean
 * (exponential); each has 8 threads and a queue without end. Requests arrive as a Poisson process, 100 per second and
 * agent; each agent knows only what it saw itself, and of one server it sees one request in ten seconds. A fixed seed: two runs print the same figures. */
#include "simulate.h"

#include "base/mem.h"
#include "proxy/balance_build.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS 1000u
#define SERVERS 1000u
#define THREADS 8u
#define RATE (CLIENTS * 100.0) /* requests a second, all together */
#define SERVICE_US 5000.0
#define SLOWER 10.0
#define REFUSAL_US 300.0
#define NETWORK_US 500u
#define WARM_UP (40 * USEC_SEC)
#define END (50 * USEC_SEC)
#define FLYING_MAX (1u << 20)

const double simulate_quantiles[QUANTILES] = { 0.5, 0.9, 0.99, 0.999, 0.9999 };
const char *const simulate_quantile_names[QUANTILES] = { "p50", "p90", "p99", "p999", "p9999" };

struct server {
	enum kind kind;
	usec free[THREADS]; /* when each thread is done with what it has */
	uint64_t hits;
};

struct client { /* an agent with one worker */
	struct balance_spec spec;
	struct balance_part part;
	struct balance_tally tally;
	struct balance_cell *cells;
	struct balance_cell **at;
	struct balance_stat *stats;
};

struct flight { /* a request under way */
	usec done, began;
	uint32_t client;
	bool failed;
	struct balance_ticket ticket;
};

struct world {
	struct arena arena;
	struct rng rng;
	struct server *servers;
	struct client *clients;
	struct balance_cell *cells; /* CLIENTS × SERVERS */
	struct flight *heap;        /* by done; 1 is the first */
	uint32_t n_flying;
	struct result *to;
};

static void need(const void *p)
{
	if (p)
		return;
	fputs("simulate: out of memory\n", stderr);
	exit(2);
}

/* --- the heap of what is under way -------------------------------------------------------------------------------- */

static void heap_push(struct world *w, const struct flight *f)
{
	if (w->n_flying + 1 >= FLYING_MAX) {
		fputs("simulate: the servers are overloaded without bounds\n", stderr);
		exit(2);
	}
	uint32_t at = ++w->n_flying;
	for (; at > 1 && w->heap[at / 2].done > f->done; at /= 2)
		w->heap[at] = w->heap[at / 2];
	w->heap[at] = *f;
}

static struct flight heap_pop(struct world *w)
{
	struct flight first = w->heap[1], last = w->heap[w->n_flying--];
	uint32_t at = 1;

	for (;;) {
		uint32_t child = at * 2;
		if (child > w->n_flying)
			break;
		if (child < w->n_flying && w->heap[child + 1].done < w->heap[child].done)
			child++;
		if (w->heap[child].done >= last.done)
			break;
		w->heap[at] = w->heap[child];
		at = child;
	}
	w->heap[at] = last;
	return first;
}

/* --- the world ---------------------------------------------------------------------------------------------------- */

static void make_servers(struct world *w)
{
	w->servers = mem_zarray(SERVERS, sizeof(*w->servers));
	need(w->servers);
	for (uint32_t i = 0; i < SERVERS; i++)
		w->servers[i].kind = i % 50 == 1 ? FAILING : i % 4 == 0 ? SLOW : NORMAL;
}

/* All agents see the same endpoints: one spec is built, and copied with cells of its own. */
static struct balance_spec make_spec(struct world *w, const struct balance_options *o)
{
	struct balance_member *m = arena_zalloc(&w->arena, SERVERS * sizeof(*m));
	struct balance_spec spec;

	need(m);
	for (uint32_t i = 0; i < SERVERS; i++) {
		m[i].text = str_of(arena_fmt(&w->arena, "10.0.%u.%u:8080", i >> 8, i & 255));
		m[i].slot = i;
		m[i].weight = 100;
		m[i].cell = &w->cells[i];
	}
	if (!balance_build(&w->arena, o, m, SERVERS, NULL, &spec))
		need(NULL);
	return spec;
}

static void make_clients(struct world *w, const struct balance_options *o)
{
	w->cells = aligned_alloc(64, (size_t)CLIENTS * SERVERS * sizeof(*w->cells));
	w->clients = aligned_alloc(64, CLIENTS * sizeof(*w->clients));
	need(w->cells);
	need(w->clients);
	memset(w->cells, 0, (size_t)CLIENTS * SERVERS * sizeof(*w->cells));
	memset(w->clients, 0, CLIENTS * sizeof(*w->clients));
	struct balance_spec spec = make_spec(w, o);
	for (uint32_t k = 0; k < CLIENTS; k++) {
		struct client *c = &w->clients[k];
		c->spec = spec;
		c->cells = w->cells + (size_t)k * SERVERS;
		c->at = mem_zarray(SERVERS, sizeof(struct balance_cell *));
		c->stats = mem_zarray(SERVERS, sizeof(*c->stats));
		need(c->at);
		need(c->stats);
		for (uint32_t i = 0; i < SERVERS; i++)
			c->at[i] = &c->cells[i];
		c->spec.cells = c->at;
		c->spec.tally = &c->tally;
		balance_part_init(&c->part, c->stats, &w->rng);
	}
}

static void end_world(struct world *w)
{
	for (uint32_t k = 0; k < CLIENTS; k++) {
		mem_free(w->clients[k].at);
		mem_free(w->clients[k].stats);
	}
	free(w->clients);
	free(w->cells);
	mem_free(w->servers);
	mem_free(w->heap);
	arena_release(&w->arena);
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static double exponential(struct rng *r, double mean)
{
	return -mean * log(1.0 - rng_unit(r));
}

/* When a request that comes in now leaves the server: the thread that is free first takes it. */
static usec serve(struct world *w, struct server *s, usec now)
{
	unsigned first = 0;

	if (s->kind == FAILING)
		return now + (usec)exponential(&w->rng, REFUSAL_US);
	for (unsigned k = 1; k < THREADS; k++)
		if (s->free[k] < s->free[first])
			first = k;
	usec begin = s->free[first] > now ? s->free[first] : now;
	double mean = s->kind == SLOW ? SERVICE_US * SLOWER : SERVICE_US;
	return s->free[first] = begin + 1 + (usec)exponential(&w->rng, mean);
}

static void arrive(struct world *w, usec now)
{
	struct flight f = { .began = now, .client = rng_below(&w->rng, CLIENTS) };
	struct client *c = &w->clients[f.client];
	struct balance_request q = { .has_hash = c->spec.policy == BALANCE_RING_HASH };

	if (q.has_hash)
		q.hash = rng_next(&w->rng);
	f.ticket = balance_pick(&c->spec, &c->part, &q, now, &w->rng);
	if (f.ticket.index == BALANCE_NONE)
		return;
	balance_start(&c->spec, &c->part, f.ticket, now);
	struct server *s = &w->servers[f.ticket.index];
	if (now >= WARM_UP)
		s->hits++;
	f.failed = s->kind == FAILING;
	f.done = serve(w, s, now) + NETWORK_US;
	heap_push(w, &f);
}

static void finish(struct world *w)
{
	struct flight f = heap_pop(w);
	struct client *c = &w->clients[f.client];
	usec latency = f.done - f.began;

	balance_end(&c->spec, &c->part, f.ticket, f.failed ? BALANCE_FAILED : BALANCE_OK, latency, f.done,
		&w->rng);
	if (f.began < WARM_UP)
		return;
	w->to->requests++;
	w->to->failed += f.failed;
	if (!f.failed)
		hist_add(&w->to->latency, latency * 1000);
}

static void summarize(struct world *w)
{
	double sum[KINDS] = { 0 }, n[KINDS] = { 0 }, all = 0;

	for (uint32_t i = 0; i < SERVERS; i++) {
		const struct server *s = &w->servers[i];
		sum[s->kind] += (double)s->hits;
		n[s->kind]++;
		all += (double)s->hits;
	}
	for (unsigned k = 0; k < KINDS; k++)
		w->to->share[k] = sum[k] / n[k] / (all / SERVERS);
	for (uint32_t i = 0; i < SERVERS; i++)
		if (w->servers[i].kind == NORMAL &&
			(double)w->servers[i].hits / (all / SERVERS) > w->to->most)
			w->to->most = (double)w->servers[i].hits / (all / SERVERS);
}

static void simulate(const struct balance_options *o, struct result *to)
{
	struct world w = { .to = to };
	usec now = USEC_SEC, real = clock_now();

	arena_init(&w.arena, (size_t)64 << 20, NULL, 0);
	rng_seed(&w.rng, 2026);
	make_servers(&w);
	make_clients(&w, o);
	w.heap = mem_zarray(FLYING_MAX, sizeof(*w.heap));
	need(w.heap);
	double next = (double)now;
	while (next < (double)END) {
		next += exponential(&w.rng, 1e6 / RATE);
		now = (usec)next;
		while (w.n_flying && w.heap[1].done <= now)
			finish(&w);
		arrive(&w, now);
	}
	while (w.n_flying)
		finish(&w);
	summarize(&w);
	end_world(&w);
	to->seconds = (double)(clock_now() - real) / 1e6;
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static const enum balance_policy runs[] = { BALANCE_ROUND_ROBIN, BALANCE_LEAST_REQUEST, BALANCE_RING_HASH,
	BALANCE_PEAK_EWMA };
#define RUNS (sizeof(runs) / sizeof(runs[0]))

static void print_row(const struct result *r)
{
	printf("%-24s", r->name);
	for (unsigned q = 0; q < QUANTILES - 1; q++)
		printf(" %8.1f", (double)hist_quantile(&r->latency, simulate_quantiles[q]) / 1e6);
	printf(" %8.2f%%  %6.2f %6.2f %6.2f %6.2f   %5.1f s\n",
		100.0 * (double)r->failed / (double)r->requests, r->share[NORMAL], r->share[SLOW],
		r->share[FAILING], r->most, r->seconds);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct result results[RUNS];

	printf("%u agents, %u servers (1 in 4 ten times slower, 1 in 50 refuses), %.0f requests/s, %u s "
	       "measured\n",
		CLIENTS, SERVERS, RATE, (unsigned)((END - WARM_UP) / USEC_SEC));
	printf("%-24s %8s %8s %8s %8s %9s  %s\n", "", "p50 ms", "p90", "p99", "p999", "failed",
		"requests per server: normal, slow, refusing, busiest normal");
	for (size_t i = 0; i < RUNS; i++) {
		struct balance_options o = BALANCE_DEFAULTS;
		o.policy = runs[i];
		snprintf(results[i].name, sizeof(results[i].name), "%s", balance_policy_name(o.policy));
		simulate(&o, &results[i]);
		print_row(&results[i]);
	}
	if (argc < 2)
		return 0;
	FILE *out = fopen(argv[1], "w");
	bool ok = out && simulate_plot(out, results, RUNS);
	if (out && fclose(out) != 0)
		ok = false;
	if (!ok)
		perror(argv[1]);
	return ok ? 0 : 1;
}
