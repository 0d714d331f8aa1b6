/* proxy/outlier: any events in any order against a model that knows each endpoint as words: in, out, on trial. */
#include "model.h"
#include "proxy/outlier.h"

#include <math.h>

#define HOSTS 12u
#define UNDER_WAY 64u
#define TICK ((usec)1 << OUTLIER_TICK_SHIFT) /* instants in words are rounded up by less than that */

static struct script s;
static struct rng jitter;
static struct outlier_policy p;
static struct balance_tally tally;
static struct balance_cell cells[HOSTS];
static uint32_t n; /* hosts of the upstream */

static struct {
	enum outlier_state state;
	unsigned holds, row, times;
	uint64_t life; /* grows with each change of state */
	usec until;    /* as it may be at the earliest */
} m[HOSTS];

static struct call {
	uint32_t host; /* HOSTS: none */
	uint64_t life;
	uint16_t epoch;
	bool probe;
} calls[UNDER_WAY];

/* --- the model ------------------------------------------------------------------------------------------------------------------- */

static unsigned model_out(void)
{
	unsigned out = 0;

	for (unsigned i = 0; i < HOSTS; i++)
		out += m[i].state != OUTLIER_IN;
	return out;
}

/* A share of all, but one may go when there are two, and never all. */
static unsigned model_cap(void)
{
	unsigned share = n * p.max_percent / 100;

	if (n < 2 || !p.max_percent)
		return 0;
	return share < 1 ? 1 : share > n - 1 ? n - 1 : share;
}

static void model_state(unsigned i, enum outlier_state state, usec until)
{
	m[i].state = state;
	m[i].until = until;
	m[i].life++;
}

static usec model_penalty(unsigned times)
{
	double d = (double)p.base * (times ? times : 1), most = (double)(p.max > p.base ? p.max : p.base);

	return (usec)(d < most ? d : most);
}

static void model_sentence(unsigned i, unsigned more)
{
	m[i].times = m[i].times + more > OUTLIER_TIMES_MAX ? OUTLIER_TIMES_MAX : m[i].times + more;
	model_state(i, OUTLIER_OUT, s.now + model_penalty(m[i].times));
}

static enum outlier_verdict model_eject(unsigned i)
{
	m[i].row = 0;
	if (p.observe)
		return OUTLIER_WOULD_EJECT;
	if (model_out() >= model_cap())
		return OUTLIER_CAPPED;
	model_sentence(i, 1);
	return OUTLIER_EJECTED;
}

static enum outlier_verdict model_probed(unsigned i, enum balance_outcome o)
{
	switch (o) {
	case BALANCE_OK:
		m[i].row = 0;
		model_state(i, OUTLIER_IN, 0);
		return OUTLIER_READMITTED;
	case BALANCE_CANCELLED:
		model_state(i, OUTLIER_OUT, s.now);
		return OUTLIER_NOTHING;
	default:
		model_sentence(i, o != BALANCE_OVERLOADED);
		return OUTLIER_STAYS_OUT;
	}
}

static enum outlier_verdict model_report(const struct call *c, enum balance_outcome o)
{
	unsigned i = c->host;

	if (c->life != m[i].life)
		return OUTLIER_NOTHING; /* it is of another time */
	if (c->probe)
		return model_probed(i, o);
	if (m[i].state != OUTLIER_IN)
		return OUTLIER_NOTHING;
	if (o == BALANCE_OK || o == BALANCE_ERROR)
		m[i].row = 0;
	if (o != BALANCE_FAILED || ++m[i].row < p.consecutive || !p.consecutive)
		return OUTLIER_NOTHING;
	return model_eject(i);
}

/* --- events ------------------------------------------------------------------------------------------------------------------------ */

static void states_agree(void)
{
	agree(&s, "how many are out", tally.ejected, model_out());
	for (unsigned i = 0; i < HOSTS; i++) {
		uint64_t word = cell_word(&cells[i]);
		agree(&s, "the state", outlier_state(word), m[i].state);
		agree(&s, "the holds", word & BALANCE_HOLDS, m[i].holds);
		agree(&s, "times", outlier_times(word), m[i].times);
		agree(&s, "is available", outlier_available(word), m[i].state == OUTLIER_IN && !m[i].holds);
		if (m[i].state == OUTLIER_OUT && outlier_until(word) >= m[i].until + TICK) {
			usec penalty = model_penalty(m[i].times); /* a fifth of it by chance */
			holds(&s, outlier_until(word) <= m[i].until + penalty / 5 + TICK);
			m[i].until = outlier_until(word);
		}
		holds(&s, outlier_until(word) >= m[i].until &&
				  (m[i].state != OUTLIER_TRIAL || outlier_until(word) < m[i].until + TICK));
	}
}

/* Picked: by a request, which probes it when it is due; others stay away from what is out. */
static void start(struct call *c)
{
	unsigned i = chance(&s, n);
	bool want = m[i].state != OUTLIER_IN && !m[i].holds && outlier_until(cell_word(&cells[i])) <= s.now;

	*c = (struct call){ .host = i, .epoch = outlier_epoch(cell_word(&cells[i])) };
	c->probe = outlier_probe(&cells[i], &p, s.now, &c->epoch);
	agree(&s, "probes", c->probe, want);
	if (want)
		model_state(i, OUTLIER_TRIAL, s.now + p.lease);
	c->life = m[i].life;
	uint16_t other;
	if (want)
		agree(&s, "a second one probes", outlier_probe(&cells[i], &p, s.now, &other), false);
}

static void finish(struct call *c)
{
	static const enum balance_outcome often[] = { BALANCE_OK, BALANCE_FAILED, BALANCE_FAILED,
		BALANCE_FAILED, BALANCE_FAILED, BALANCE_FAILED };
	enum balance_outcome o = chance(&s, 4) ? often[chance(&s, 6)] : (enum balance_outcome)chance(&s, 5);
	struct outlier_report how = { .outcome = o, .epoch = c->epoch, .probe = c->probe, .n_endpoints = n };

	enum outlier_verdict want = model_report(c, o);
	agree(&s, "the verdict", outlier_report(&p, &cells[c->host], &tally, &how, s.now, &jitter), want);
	if (want == OUTLIER_READMITTED)
		agree(&s, "slow start", cells[c->host].ready, s.now);
	c->host = HOSTS;
}

static void control(void)
{
	unsigned i = chance(&s, HOSTS), bits = 1 + chance(&s, 15);

	if (chance(&s, 3) == 0) {
		outlier_reset(&cells[i], &tally, s.now);
		m[i].holds = m[i].row = m[i].times = 0;
		model_state(i, OUTLIER_IN, 0);
		return;
	}
	bool on = chance(&s, 3) == 0;
	outlier_hold(&cells[i], &tally, bits, on, false, s.now);
	m[i].holds = on ? m[i].holds | bits : m[i].holds & ~bits;
}

static void change_options(void)
{
	p.consecutive = chance(&s, 5);
	p.max_percent = chance(&s, 101);
	p.observe = chance(&s, 5) == 0;
	n = 1 + chance(&s, HOSTS);
}

static void begin(int run, usec now, unsigned epoch)
{
	script_begin(&s, run, now);
	rng_seed(&jitter, s.seed * 7);
	p = (struct outlier_policy)OUTLIER_DEFAULTS;
	p.consecutive = 3;
	p.max = 40 * SEC;
	n = HOSTS;
	memset(&tally, 0, sizeof(tally));
	memset(cells, 0, sizeof(cells));
	memset(m, 0, sizeof(m));
	for (unsigned i = 0; i < HOSTS; i++)
		cells[i].word = (uint64_t)epoch << OUTLIER_EPOCH_SHIFT;
	for (unsigned i = 0; i < UNDER_WAY; i++)
		calls[i].host = HOSTS;
}

/* The rarest matter: 65,536 changes of state while a call is under way would make it one of the present. None is that long here. */
static void live(unsigned steps)
{
	for (; s.step < steps; s.step++) {
		struct call *c = &calls[chance(&s, UNDER_WAY)];
		if (c->host == HOSTS)
			start(c);
		else
			finish(c);
		if (chance(&s, 100) == 0)
			control();
		if (chance(&s, 400) == 0)
			change_options();
		pass(&s, 300 * MS, 60 * SEC);
		if (chance(&s, 300) == 0)
			s.now -= rng_next(&s.r) % (5 * SEC); /* another clock */
		states_agree();
	}
}

START_TEST(any_events_as_the_model_says)
{
	begin(_i, 1000 * SEC, 0);
	live(6000);
}
END_TEST

START_TEST(epochs_wrap)
{
	unsigned wrapped = 0;

	begin(_i, 1000 * SEC, UINT16_MAX - 6);
	live(6000);
	for (unsigned i = 0; i < HOSTS; i++)
		wrapped += outlier_epoch(cell_word(&cells[i])) < UINT16_MAX / 2;
	holds(&s, wrapped > 0);
}
END_TEST

/* Up to eight years after the machine began: what the 36 bits of an instant hold. */
START_TEST(years_later)
{
	begin(_i, 8ull * 365 * 86400 * SEC, 5);
	live(4000);
}
END_TEST

/* --- sweeps -------------------------------------------------------------------------------------------------------------------------- */

static double model_rate(const struct outlier_host *h)
{
	return (double)h->ok / (h->ok + h->failed);
}

static bool counts(const struct outlier_host *h)
{
	return h->ok + h->failed >= p.min_volume && outlier_state(cell_word(h->cell)) == OUTLIER_IN;
}

/* Below mean − k × deviation of those with volume, and by more than the gap. 2: too close to say. */
static int model_outlier(const struct outlier_host *hosts, unsigned at)
{
	double sum = 0, off = 0;
	unsigned with = 0;

	for (unsigned i = 0; i < n; i++)
		if (counts(&hosts[i])) {
			sum += model_rate(&hosts[i]);
			with++;
		}
	double mean = sum / with;
	for (unsigned i = 0; i < n; i++)
		if (counts(&hosts[i]))
			off += pow(model_rate(&hosts[i]) - mean, 2);
	if (with < p.min_hosts || !counts(&hosts[at]))
		return 0;
	double below = mean - model_rate(&hosts[at]),
	       by = fmax(p.stdev_permille / 1000.0 * sqrt(off / with), p.gap_permille / 1000.0);
	return fabs(below - by) < 1e-9 ? 2 : below > by;
}

static void sweep(void)
{
	struct outlier_host hosts[HOSTS];
	int want[HOSTS];
	unsigned bad = 0;
	double worst_left = 2, best_out = -1;

	for (unsigned i = 0; i < n; i++) {
		unsigned calls_of = chance(&s, 5) ? 100 + chance(&s, 1000) : chance(&s, 100);
		unsigned failed = chance(&s, 6) ? calls_of / 50 : calls_of - chance(&s, calls_of + 1);
		hosts[i] = (struct outlier_host){ .cell = &cells[i],
			.ok = calls_of - failed,
			.failed = failed,
			.epoch = outlier_epoch(cell_word(&cells[i])) };
	}
	for (unsigned i = 0; i < n; i++)
		bad += (want[i] = model_outlier(hosts, i)) != 0;
	uint32_t before = tally.ejected, got = outlier_sweep(&p, &tally, hosts, n, s.now, &jitter);
	for (unsigned i = 0; i < n; i++) {
		unsigned at = (unsigned)(hosts[i].cell - cells);
		holds(&s, want[at] == 2 || (hosts[i].verdict != OUTLIER_NOTHING) == want[at]);
		if (hosts[i].verdict == OUTLIER_EJECTED)
			best_out = fmax(best_out, model_rate(&hosts[i]));
		if (hosts[i].verdict == OUTLIER_CAPPED)
			worst_left = fmin(worst_left, model_rate(&hosts[i]));
	}
	holds(&s, got <= bad && tally.ejected == before + got);
	holds(&s, got == 0 || tally.ejected <= model_cap());
	holds(&s, best_out <= worst_left); /* the worst first */
}

START_TEST(sweeps_take_the_worst)
{
	unsigned ejected = 0;

	begin(_i, 1000 * SEC, 0);
	for (; s.step < 3000; s.step++, s.now += p.interval) {
		uint32_t before = tally.ejected;
		n = 1 + chance(&s, HOSTS);
		p.max_percent = chance(&s, 101);
		sweep();
		ejected += tally.ejected - before;
		for (unsigned i = 0; i < HOSTS; i++)
			if (chance(&s, 3) == 0)
				outlier_reset(&cells[i], &tally, s.now);
	}
	holds(&s, ejected > 100);
}
END_TEST

Suite *suite_outlier_model(void);
Suite *suite_outlier_model(void)
{
	Suite *suite = suite_create("outlier_model");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, any_events_as_the_model_says, 0, 2 * MODEL_RUNS);
	tcase_add_loop_test(t, epochs_wrap, 0, MODEL_RUNS);
	tcase_add_loop_test(t, years_later, 0, MODEL_RUNS);
	tcase_add_loop_test(t, sweeps_take_the_worst, 0, MODEL_RUNS);
	suite_add_tcase(suite, t);
	return suite;
}
