/* How loaded an endpoint looks, and what a finished attempt changes of that. */
#include "proxy/balance_int.h"

#define GHOSTS 3.0f        /* loads of an average endpoint that one failure is worth */
#define GHOSTS_MAX 16.0f   /* failures that pile up */
#define GHOST_LEAST 0.5f   /* what is less is forgotten: an idle upstream would shun it for ever */
#define MEAN_WEIGHT 0.02f  /* of one reply in the upstream's mean, of one pause in its rate */
#define TURNS 20.0f        /* requests per endpoint during which a bad one is remembered, at least */
#define PATIENCE_MAX 30.0f /* times decay, at most */
#define BAD 2.0f           /* times the mean: what is slower is a bad answer, as failures are */
#define BAD_OFTEN 2u       /* in a row; fewer may be a pause of that instance, which is over */
#define FEW 32u            /* endpoints: among more, one answer is all that is known of each for long */
#define WARM_LEAST 0.1f    /* a new endpoint's share at first; Envoy's min_weight_percent */

/* e^-x within 4 % up to x = 2 and falling throughout, without libm: the square of one over four terms of e^(x/2). */
static float fade(usec dt, usec decay)
{
	float h = decay ? (float)dt / (2.0f * (float)decay) : 1e3f;
	float root = 1.0f / (1.0f + h * (1.0f + h * (0.5f + h * (1.0f / 6.0f))));

	return root * root;
}

static usec age(const struct balance_stat *st, usec now)
{
	usec updated = STAT_GET(st, updated);

	return now > updated ? now - updated : 0;
}

/* How long silence takes to make a bad endpoint average again. Each time that it does, a request goes to find out; where
 * endpoints are many and requests few, that would be most requests, so the time grows until it is some in a hundred. Among few
 * only for one that was found bad again: a collection of garbage or a cold start is over long before that. */
static usec patience(
	const struct balance_spec *s, const struct balance_part *p, const struct balance_stat *st)
{
	if (s->n <= FEW && STAT_GET(st, bad) < BAD_OFTEN)
		return s->decay;
	float wanted = STAT_GET(p, gap) * (float)s->n * TURNS, most = (float)s->decay * PATIENCE_MAX;

	if (wanted <= (float)s->decay)
		return s->decay;
	return (usec)(wanted < most ? wanted : most);
}

float balance_cost(
	const struct balance_spec *s, const struct balance_part *p, const struct balance_stat *st, usec now)
{
	float cost = STAT_GET(st, cost), mean = STAT_GET(p, mean);

	if (cost <= 0.0f)
		return mean > 0.0f ? mean : 1.0f; /* unknown: as good as the others */
	if (cost <= mean)
		return cost;
	cost *= fade(age(st, now), patience(s, p, st));
	return cost > mean ? cost : mean;
}

float balance_ghost(
	const struct balance_spec *s, const struct balance_part *p, const struct balance_stat *st, usec now)
{
	float ghost = STAT_GET(st, ghost);

	if (ghost <= 0.0f)
		return 0.0f;
	ghost *= fade(age(st, now), patience(s, p, st));
	return ghost > GHOST_LEAST ? ghost : 0.0f;
}

/* Weights scale what is in flight and not the whole, so that an idle upstream is shared by weight (the draw does that)
 * and a busy one is, too. */
float balance_load(const struct balance_spec *s, const struct balance_part *p, uint32_t i, usec now)
{
	const struct balance_stat *st = balance_stat_of(s, p, i);
	float load = (float)STAT_GET(st, in_flight) + balance_ghost(s, p, st, now);

	return 1.0f + (s->weights ? load * (float)BALANCE_WEIGHT / (float)s->weights[i] : load);
}

/* One that fails is at best as fast as the mean: else the nearest endpoint, being the fastest, could afford to fail. */
float balance_score(const struct balance_spec *s, const struct balance_part *p, uint32_t i, usec now)
{
	const struct balance_stat *st = balance_stat_of(s, p, i);
	float load = balance_load(s, p, i, now);

	if (s->policy != BALANCE_PEAK_EWMA)
		return load;
	float cost = balance_cost(s, p, st, now), mean = STAT_GET(p, mean);
	/* Never measured, and nothing speaks against it: one request finds out. Beside a quick one it would not be called for hours. */
	if (STAT_GET(st, cost) <= 0.0f && load <= 1.0f && mean > 0.0f)
		return 0.0f;
	return load * (STAT_GET(st, ghost) > 0.0f && cost < mean ? mean : cost);
}

float balance_warmth(const struct balance_spec *s, const struct balance_cell *c, usec now)
{
	usec ready = atomic_load_explicit(&c->ready, memory_order_relaxed);

	if (s->slow_start == 0 || ready == 0 || now >= ready + s->slow_start)
		return 1.0f;
	float warm = now > ready ? (float)(now - ready) / (float)s->slow_start : 0.0f;
	return warm > WARM_LEAST ? warm : WARM_LEAST;
}

/* --- feedback ----------------------------------------------------------------------------------------------------- */

void balance_start(const struct balance_spec *s, struct balance_part *p, struct balance_ticket t, usec now)
{
	struct balance_stat *st = balance_stat_of(s, p, t.index);

	usec pause = p->last && now > p->last ? now - p->last : 0;
	float gap = STAT_GET(p, gap);

	STAT_SET(st, in_flight, STAT_GET(st, in_flight) + 1);
	p->in_flight++;
	p->last = now;
	if (pause > USEC_SEC)
		pause = USEC_SEC; /* a night says nothing of the day */
	STAT_SET(p, gap, gap + ((float)pause - gap) * MEAN_WEIGHT);
}

/* Counts bad answers in a row. Those to requests that were under way together tell of one pause, and count once. */
static void judge(struct balance_stat *st, bool bad, usec latency, usec now)
{
	uint32_t n = STAT_GET(st, bad);

	if (!bad)
		n = 0;
	else if (n < BAD_OFTEN && (n == 0 || age(st, now) >= latency))
		n++;
	STAT_SET(st, bad, n);
}

/* A reply that is one: the cost jumps up to a peak, or moves towards the latency by the time that passed. */
static void replied(const struct balance_spec *s, struct balance_part *p, struct balance_stat *st,
	float latency, usec now)
{
	float cost = STAT_GET(st, cost), mean = STAT_GET(p, mean), w = fade(age(st, now), s->decay);

	STAT_SET(st, cost, latency >= cost ? latency : cost * w + latency * (1.0f - w));
	STAT_SET(p, mean, mean > 0.0f ? mean + (latency - mean) * MEAN_WEIGHT : latency);
}

/* A failure never lowers the cost; one that took long shows how slow the endpoint is. */
static void refused(const struct balance_spec *s, struct balance_part *p, struct balance_stat *st,
	float latency, float ghost, usec now)
{
	uint32_t n = p->census.available ? p->census.available : 1;
	float each = GHOSTS * (1.0f + (float)p->in_flight / (float)n), cost = balance_cost(s, p, st, now);

	STAT_SET(st, ghost, ghost + each < GHOSTS_MAX * each ? ghost + each : GHOSTS_MAX * each);
	if (latency > cost &&
		STAT_GET(p, mean) > 0.0f) /* without good replies there is nothing to compare with */
		STAT_SET(st, cost, latency);
	else if (STAT_GET(st, cost) > 0.0f)
		STAT_SET(st, cost, cost); /* as faded until now */
}

enum outlier_verdict balance_end(const struct balance_spec *s, struct balance_part *p,
	struct balance_ticket t, enum balance_outcome outcome, usec latency, usec now, struct rng *r)
{
	struct balance_stat *st = balance_stat_of(s, p, t.index);
	struct outlier_report how = {
		.outcome = outcome, .epoch = t.epoch, .probe = t.probe, .n_endpoints = s->n
	};
	uint32_t in_flight = STAT_GET(st, in_flight);

	if (in_flight) /* the slot may have got another address meanwhile */
		STAT_SET(st, in_flight, in_flight - 1);
	if (p->in_flight)
		p->in_flight--;
	if (outcome != BALANCE_CANCELLED) {
		float ghost = balance_ghost(s, p, st, now), took = latency ? (float)latency : 1.0f;
		float mean = STAT_GET(p, mean);
		judge(st, outcome != BALANCE_OK || (mean > 0.0f && took > BAD * mean), latency, now);
		if (outcome == BALANCE_OK) {
			replied(s, p, st, took, now);
			STAT_SET(st, ghost,
				t.probe || ghost < 2 * GHOST_LEAST
					? 0.0f
					: ghost / 2); /* back by a probe: slow start does the rest */
			STAT_SET(st, ok, STAT_GET(st, ok) + 1);
		} else {
			refused(s, p, st, took, ghost, now);
			if (outcome != BALANCE_OVERLOADED)
				STAT_SET(st, failed, STAT_GET(st, failed) + 1);
		}
		STAT_SET(st, updated, now);
	}
	return outlier_report(&s->outlier, s->cells[t.index], s->tally, &how, now, r);
}
