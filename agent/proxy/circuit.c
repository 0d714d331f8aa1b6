#include "proxy/circuit.h"

/* --- latencies --------------------------------------------------------------------------------------------------------- */

#define LOWEST 64u /* µs: the upper end of the first bin */

/* Upper end of a bin, µs. */
static uint64_t bin_end(unsigned bin)
{
	uint64_t base = (uint64_t)LOWEST << (bin / 2);
	return bin % 2 ? base + base / 2 : base;
}

static unsigned bin_of(usec latency)
{
	if (latency <= LOWEST)
		return 0;
	unsigned octave = 63u - (unsigned)__builtin_clzll((latency - 1) / LOWEST); /* latency is above LOWEST << octave */
	unsigned bin = 2 * octave + 1;
	if (latency > bin_end(bin))
		bin++;
	return bin < LATENCY_BINS ? bin : LATENCY_BINS - 1;
}

void latencies_add(struct latencies *l, usec latency, usec now)
{
	uint32_t stamp = window_stamp(LATENCY_BUCKET, now);

	window_count(&l->n[stamp % LATENCY_BUCKETS][bin_of(latency)], stamp);
}

void latencies_look(const struct latencies *l, usec now, struct latency_view *ret)
{
	uint32_t stamp = window_stamp(LATENCY_BUCKET, now);
	uint64_t sum = 0;

	*ret = (struct latency_view){ 0 };
	for (unsigned bin = 0; bin < LATENCY_BINS; bin++) {
		for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
			ret->bins[bin] += window_value(&l->n[i][bin], stamp, LATENCY_BUCKETS);
		ret->n += ret->bins[bin];
		sum += ret->bins[bin] * ((bin ? bin_end(bin - 1) : 0) + bin_end(bin)) / 2;
	}
	ret->mean = ret->n ? sum / ret->n : 0;
}

uint64_t latency_quantile(const struct latency_view *v, unsigned permille)
{
	uint64_t want = (v->n * permille + 999) / 1000, before = 0;

	if (!v->n)
		return 0;
	for (unsigned bin = 0; bin < LATENCY_BINS; bin++) {
		if (!v->bins[bin] || before + v->bins[bin] < want) {
			before += v->bins[bin];
			continue;
		}
		uint64_t low = bin ? bin_end(bin - 1) : 0;
		return low + (bin_end(bin) - low) * (want - before) / v->bins[bin];
	}
	return bin_end(LATENCY_BINS - 1);
}

/* --- bulkhead ------------------------------------------------------------------------------------------------------------ */

uint32_t circuit_limit(const struct circuit *c, const struct bulkhead_policy *p)
{
	uint32_t found = p->adaptive ? limiter_limit(&c->limiter) : 0;

	return !found || (p->max && p->max < found) ? p->max : found;
}

static void note_peak(struct bulkhead *b, uint32_t active)
{
	if (active > atomic_load_explicit(&b->peak, memory_order_relaxed))
		atomic_store_explicit(&b->peak, active, memory_order_relaxed);
}

bool circuit_take(struct circuit *c, const struct bulkhead_policy *p, bool *would)
{
	uint32_t limit = circuit_limit(c, p), active;

	do {
		active = atomic_fetch_add_explicit(&c->bulkhead.active, 1, memory_order_seq_cst) + 1;
		*would = limit && active > limit;
		if (!*would || p->observe) {
			note_peak(&c->bulkhead, active);
			return true;
		}
		/* Two that ask at once may each have seen the other's. Who finds a place free when it takes its own back asks again. */
	} while (atomic_fetch_sub_explicit(&c->bulkhead.active, 1, memory_order_seq_cst) <= limit);
	return false;
}

void circuit_give(struct circuit *c)
{
	atomic_fetch_sub_explicit(&c->bulkhead.active, 1, memory_order_seq_cst);
}

/* An eighth of the way: one of several that write at once may be lost. */
void circuit_served(struct circuit *c, usec had)
{
	uint64_t mean = atomic_load_explicit(&c->bulkhead.service, memory_order_relaxed);

	mean = mean ? mean - mean / 8 + had / 8 : had;
	atomic_store_explicit(&c->bulkhead.service, mean ? mean : 1, memory_order_relaxed);
}

bool circuit_too_late(const struct circuit *c, usec deadline, usec now)
{
	uint64_t mean = atomic_load_explicit(&c->bulkhead.service, memory_order_relaxed);

	return deadline && mean && deadline < now + mean;
}

uint32_t circuit_peak(struct circuit *c, uint32_t active, usec now)
{
	struct peaks *p = &c->peaks;
	uint32_t taken = atomic_exchange_explicit(&c->bulkhead.peak, 0, memory_order_relaxed), most = 0;
	uint64_t second = now / PEAK_BUCKET;
	unsigned at = (unsigned)(second % PEAK_BUCKETS);

	if (p->stamp[at] != second)
		p->most[at] = 0;
	p->stamp[at] = second;
	if (taken > active)
		active = taken;
	if (active > p->most[at])
		p->most[at] = active;
	for (unsigned i = 0; i < PEAK_BUCKETS; i++)
		if (p->stamp[i] + PEAK_BUCKETS > second && p->most[i] > most)
			most = p->most[i];
	return most;
}

/* --- retry budget ---------------------------------------------------------------------------------------------------------- */

bool circuit_may_retry(struct circuit *c, const struct budget_policy *p, usec now)
{
	struct window *w = &c->breaker.counts;
	uint64_t asked = window_sum(w, CIRCUIT_REQUEST, p->bucket, now);
	uint64_t made = window_sum(w, CIRCUIT_RETRY, p->bucket, now);
	uint64_t floor = p->per_second * (p->bucket * WINDOW_BUCKETS) / USEC_SEC;

	if (p->on && made >= asked * p->percent / 100 + floor) {
		window_add(w, CIRCUIT_RETRY_REFUSED, p->bucket, now);
		return false;
	}
	window_add(w, CIRCUIT_RETRY, p->bucket, now);
	return true;
}

/* Says once what it is for. */
static void claim(struct circuit *c, struct str label)
{
	uint32_t none = 0;

	if (!atomic_compare_exchange_strong_explicit(&c->labelled, &none, 1, memory_order_acquire, memory_order_acquire)) {
		for (unsigned i = 0; none == 1 && i < 10000; i++) /* another thread is writing some bytes */
			none = atomic_load_explicit(&c->labelled, memory_order_acquire);
		return;
	}
	memcpy(c->label, label.p, label.n);
	c->label[label.n] = '\0';
	atomic_store_explicit(&c->labelled, 2, memory_order_release);
}

static bool is_labelled(const struct circuit *c)
{
	return atomic_load_explicit(&c->labelled, memory_order_acquire) == 2;
}

struct circuit *circuit_of_key(struct circuit *const *keyed, struct str label)
{
	if (label.n >= CIRCUIT_LABEL)
		label.n = CIRCUIT_LABEL - 1;
	uint64_t first = str_hash(label, 0);
	for (unsigned i = 0; i < CIRCUIT_KEYS; i++) {
		struct circuit *c = keyed[(first + i) % CIRCUIT_KEYS];
		if (!is_labelled(c))
			claim(c, label);
		const char *has = circuit_label(c);
		if (has && strncmp(has, label.p, label.n) == 0 && has[label.n] == '\0')
			return c;
	}
	return NULL;
}

const char *circuit_label(const struct circuit *c)
{
	return is_labelled(c) ? c->label : NULL;
}

void circuit_reset(struct circuit *c)
{
	atomic_store_explicit(&c->labelled, 0, memory_order_relaxed);
	breaker_reset(&c->breaker);
	limiter_reset(&c->limiter);
	atomic_store_explicit(&c->bulkhead.peak, 0, memory_order_relaxed);
	atomic_store_explicit(&c->bulkhead.service, 0, memory_order_relaxed);
	c->peaks = (struct peaks){ 0 };
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		for (unsigned bin = 0; bin < LATENCY_BINS; bin++)
			atomic_store_explicit(&c->latencies.n[i][bin], 0, memory_order_relaxed);
}
