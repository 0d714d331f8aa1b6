#include "proxy/breaker.h"

#define FORCE_SHIFT 2
#define GIVEN_SHIFT 4
#define PASSED_SHIFT 8
#define EPOCH_SHIFT 12
#define UNTIL_SHIFT 28
#define TICK_SHIFT 12 /* until counts 4,096 µs */

struct word { /* unpacked */
	uint8_t state, force, given, passed;
	uint16_t epoch;
	usec until;
};

static struct word unpack(uint64_t v)
{
	return (struct word){ .state = v & 3,
		.force = v >> FORCE_SHIFT & 3,
		.given = v >> GIVEN_SHIFT & 15,
		.passed = v >> PASSED_SHIFT & 15,
		.epoch = (uint16_t)(v >> EPOCH_SHIFT),
		.until = (v >> UNTIL_SHIFT) << TICK_SHIFT };
}

static uint64_t pack(const struct word *w)
{
	usec until = (w->until + (((usec)1 << TICK_SHIFT) - 1)) >> TICK_SHIFT;
	return (uint64_t)w->state | (uint64_t)w->force << FORCE_SHIFT | (uint64_t)w->given << GIVEN_SHIFT |
	       (uint64_t)w->passed << PASSED_SHIFT | (uint64_t)w->epoch << EPOCH_SHIFT |
	       (uint64_t)until << UNTIL_SHIFT;
}

static uint64_t load(const struct breaker *b)
{
	return atomic_load_explicit(&b->word, memory_order_acquire);
}

/* A change of state: the epoch grows, the caller's `next` says the rest. */
static bool turn(struct breaker *b, uint64_t *had, struct word next, usec now)
{
	next.epoch++;
	if (!atomic_compare_exchange_strong_explicit(
		    &b->word, had, pack(&next), memory_order_acq_rel, memory_order_acquire))
		return false;
	atomic_store_explicit(&b->since, now, memory_order_relaxed);
	return true;
}

/* --- counting ------------------------------------------------------------------------------------------------------ */

static void totals(
	const struct breaker *b, const struct breaker_policy *p, usec now, uint64_t *total, uint64_t *errors)
{
	uint64_t good = window_sum(&b->counts, CIRCUIT_SUCCESS, p->bucket, now);

	*errors = window_sum(&b->counts, CIRCUIT_FAILURE, p->bucket, now) +
		  window_sum(&b->counts, CIRCUIT_TIMEOUT, p->bucket, now) +
		  window_sum(&b->counts, CIRCUIT_REJECTED, p->bucket, now);
	*total = good + *errors;
}

static struct word opened(struct word w, const struct breaker_policy *p, usec now)
{
	w.state = BREAKER_OPEN;
	w.given = w.passed = 0;
	w.until = now + p->sleep;
	return w;
}

/* For those who look: by the time that somebody does, the window may be empty. */
static void remember(struct breaker *b, usec now, uint64_t total, uint64_t errors)
{
	uint64_t n = total < UINT32_MAX ? total : UINT32_MAX, bad = errors < n ? errors : n;

	atomic_store_explicit(&b->cause, n << 32 | bad, memory_order_relaxed);
	atomic_store_explicit(&b->probes_failed, 0, memory_order_relaxed);
	atomic_store_explicit(&b->opened, now, memory_order_relaxed);
}

/* Every half second the first call that comes looks at the counts. */
static enum breaker_change look(struct breaker *b, const struct breaker_policy *p, usec now)
{
	uint64_t due = atomic_load_explicit(&b->tick, memory_order_relaxed), total, errors;

	if (now < due || !atomic_compare_exchange_strong_explicit(&b->tick, &due, now + BREAKER_TICK,
				 memory_order_relaxed, memory_order_relaxed))
		return BREAKER_UNCHANGED;
	uint64_t had = load(b);
	struct word w = unpack(had);
	if (w.state != BREAKER_CLOSED)
		return BREAKER_UNCHANGED;
	totals(b, p, now, &total, &errors);
	if (total < p->volume || errors * 100 / total < p->error_percent)
		return BREAKER_UNCHANGED;
	if (!turn(b, &had, opened(w, p, now), now))
		return BREAKER_UNCHANGED;
	remember(b, now, total, errors);
	return BREAKER_OPENED;
}

/* --- calls ---------------------------------------------------------------------------------------------------------- */

static enum breaker_force force_of(const struct breaker_policy *p, const struct word *w)
{
	if (p->force == BREAKER_FORCE_OPEN || w->force == BREAKER_FORCE_OPEN)
		return BREAKER_FORCE_OPEN;
	return p->force == BREAKER_FORCE_CLOSED || w->force == BREAKER_FORCE_CLOSED ? BREAKER_FORCE_CLOSED
										    : BREAKER_AUTO;
}

static enum breaker_pass refuse(struct breaker *b, const struct breaker_policy *p, usec now)
{
	window_add(&b->counts, CIRCUIT_SHORT, p->bucket, now);
	return p->observe ? BREAKER_WOULD_REFUSE : BREAKER_REFUSED;
}

/* Takes one of the leases of a half-open circuit, or half-opens it; false: there is none. */
static bool take_probe(struct breaker *b, const struct breaker_policy *p, usec now, struct breaker_ticket *t)
{
	uint64_t had = load(b);

	for (;;) {
		struct word w = unpack(had);
		bool more = w.state == BREAKER_HALF_OPEN && w.given < p->probes && w.until > now;
		if (w.state == BREAKER_CLOSED || (!more && w.until > now))
			return false;
		struct word next = w;
		next.state = BREAKER_HALF_OPEN;
		next.given = more ? (uint8_t)(w.given + 1) : 1;
		next.passed = more ? w.passed : 0;
		next.until = more ? w.until : now + p->sleep;
		if (!more && turn(b, &had, next, now)) {
			t->epoch = (uint16_t)(w.epoch + 1);
			t->change = w.state == BREAKER_OPEN ? BREAKER_HALF_OPENED : BREAKER_UNCHANGED;
			return true;
		}
		if (more && atomic_compare_exchange_strong_explicit(&b->word, &had, pack(&next),
				    memory_order_acq_rel, memory_order_acquire)) {
			t->epoch = w.epoch;
			return true;
		}
	}
}

enum breaker_pass breaker_enter(
	struct breaker *b, const struct breaker_policy *p, usec now, struct breaker_ticket *t)
{
	*t = (struct breaker_ticket){ .change = (uint8_t)(p->on ? look(b, p, now) : BREAKER_UNCHANGED) };
	struct word w = unpack(load(b));
	enum breaker_force f = force_of(p, &w);

	t->epoch = w.epoch;
	if (f == BREAKER_FORCE_OPEN)
		return refuse(b, p, now);
	if (!p->on || f == BREAKER_FORCE_CLOSED || w.state == BREAKER_CLOSED)
		return BREAKER_PASS;
	t->probe = take_probe(b, p, now, t);
	return t->probe ? BREAKER_PROBE : refuse(b, p, now);
}

/* The outcome of a probe of the present half-open time. */
static enum breaker_change judge(
	struct breaker *b, const struct breaker_policy *p, uint16_t epoch, enum circuit_event how, usec now)
{
	bool good = how == CIRCUIT_SUCCESS || how == CIRCUIT_BAD;
	uint64_t had = load(b);

	for (;;) {
		struct word w = unpack(had);
		if (w.state != BREAKER_HALF_OPEN || w.epoch != epoch)
			return BREAKER_UNCHANGED; /* its lease expired, or another probe decided */
		if (!good) {
			if (!turn(b, &had, opened(w, p, now), now))
				continue;
			atomic_fetch_add_explicit(&b->probes_failed, 1, memory_order_relaxed);
			return BREAKER_REOPENED;
		}
		w.passed++;
		if (w.passed < p->probes) {
			if (w.given)
				w.given--; /* its place goes to the next one */
			if (atomic_compare_exchange_strong_explicit(
				    &b->word, &had, pack(&w), memory_order_acq_rel, memory_order_acquire))
				return BREAKER_UNCHANGED;
			continue;
		}
		struct word next = { .force = w.force, .epoch = w.epoch };
		window_clear(&b->counts);
		if (turn(b, &had, next, now))
			return BREAKER_CLOSED_AGAIN;
	}
}

enum breaker_change breaker_leave(struct breaker *b, const struct breaker_policy *p,
	const struct breaker_ticket *t, enum circuit_event how, usec now)
{
	struct word w = unpack(load(b));

	if (t->probe) {
		enum breaker_change c = judge(b, p, t->epoch, how, now);
		if (c != BREAKER_CLOSED_AGAIN)
			window_add(&b->counts, how, p->bucket, now);
		return c;
	}
	if (w.state == BREAKER_CLOSED && w.epoch != t->epoch)
		return BREAKER_UNCHANGED; /* it began before the circuit closed again */
	window_add(&b->counts, how, p->bucket, now);
	return p->on ? look(b, p, now) : BREAKER_UNCHANGED;
}

void breaker_set_force(struct breaker *b, enum breaker_force f, usec now)
{
	uint64_t had = load(b);

	for (;;) {
		struct word next = unpack(had);
		if (f == BREAKER_AUTO && next.force != BREAKER_AUTO)
			next = (struct word){ .epoch = next.epoch };
		next.force = (uint8_t)f;
		if (f == BREAKER_AUTO)
			window_clear(&b->counts);
		if (turn(b, &had, next, now))
			return;
	}
}

void breaker_reset(struct breaker *b)
{
	atomic_store_explicit(&b->word, 0, memory_order_relaxed);
	atomic_store_explicit(&b->tick, 0, memory_order_relaxed);
	atomic_store_explicit(&b->since, 0, memory_order_relaxed);
	remember(b, 0, 0, 0);
	window_clear(&b->counts);
}

/* --- looking ---------------------------------------------------------------------------------------------------------- */

void breaker_look(const struct breaker *b, const struct breaker_policy *p, usec now, struct breaker_view *ret)
{
	struct word w = unpack(load(b));
	enum breaker_force f = force_of(p, &w);
	uint64_t n[WINDOW_KINDS];

	*ret = (struct breaker_view){ .state = (enum breaker_state)w.state,
		.force = (enum breaker_force)w.force };
	window_sums(&b->counts, p->bucket, now, n);
	for (unsigned i = 0; i < CIRCUIT_EVENTS; i++)
		ret->n[i] = n[i];
	totals(b, p, now, &ret->total, &ret->errors);
	ret->error_percent = ret->total ? (unsigned)(ret->errors * 100 / ret->total) : 0;
	ret->open = f == BREAKER_FORCE_OPEN || (f == BREAKER_AUTO && w.state != BREAKER_CLOSED);
	ret->since = atomic_load_explicit(&b->since, memory_order_relaxed);
	if (w.state == BREAKER_CLOSED)
		return;
	ret->until = w.until;
	ret->opened = atomic_load_explicit(&b->opened, memory_order_relaxed);
	uint64_t cause = atomic_load_explicit(&b->cause, memory_order_relaxed);
	ret->cause_total = (uint32_t)(cause >> 32);
	ret->cause_errors = (uint32_t)cause;
	ret->probes_failed = atomic_load_explicit(&b->probes_failed, memory_order_relaxed);
}

const char *breaker_state_word(enum breaker_state s)
{
	static const char *const words[] = { "closed", "open", "half-open" };
	return s <= BREAKER_HALF_OPEN ? words[s] : "?";
}

const char *breaker_force_word(enum breaker_force f)
{
	static const char *const words[] = { "auto", "open", "closed" };
	return f <= BREAKER_FORCE_CLOSED ? words[f] : "?";
}
