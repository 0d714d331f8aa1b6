/* proxy/queue, places of a circuit, proxy/crowd: who may come in and who waits, against plain lists.
 *
 * queue.c is compiled into this file, so that what a call does afterwards (run, or an answer) can be a list's business. Three workers are three
 * loops in one thread, turned in any order; time is skipped. */
#define queue_wait tested_wait
#define queue_leave tested_leave
#define queue_wake tested_wake
#define queue_init tested_init
#define admit_placed tested_placed
#define exchange_answer tested_answer
#include "proxy/queue.c"

#include "model.h"
#include "proxy/crowd.h"

#include <pthread.h>
#include <sched.h>

#define WORKERS 3u
#define CALLS 40u

enum where { OUT, IN, WAITS };

static struct script s;
static struct circuit c;
static struct spec_upstream up;
static struct worker *w[WORKERS];
static struct wupstream *wup[WORKERS];
static struct exchange *x[CALLS];

static struct {
	enum where where;
	unsigned worker;
	uint64_t turn; /* when it began to wait: a number that grows */
	usec until;
} m[CALLS];
static uint64_t turns;
static unsigned placed, answered;

/* --- the model ------------------------------------------------------------------------------------------------------------- */

static unsigned how_many(enum where where)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CALLS; i++)
		n += m[i].where == where;
	return n;
}

/* The one of that worker that has waited longest. */
static unsigned first_of(unsigned worker)
{
	unsigned first = CALLS;

	for (unsigned i = 0; i < CALLS; i++)
		if (m[i].where == WAITS && m[i].worker == worker &&
			(first == CALLS || m[i].turn < m[first].turn))
			first = i;
	return first;
}

static unsigned number_of(const struct exchange *e)
{
	unsigned i = 0;

	while (i < CALLS && x[i] != e)
		i++;
	ck_assert_uint_lt(i, CALLS);
	return i;
}

void tested_placed(struct exchange *e)
{
	unsigned i = number_of(e);

	agree(&s, "who is placed", i, first_of(m[i].worker));
	holds(&s, how_many(IN) < up.policy.bulkhead.max);
	m[i].where = IN;
	placed++;
}

void tested_answer(struct exchange *e, enum reason why)
{
	unsigned i = number_of(e);

	agree(&s, "the reason", why, REASON_QUEUE_TIMEOUT);
	agree(&s, "an answer for one that waits", m[i].where, WAITS);
	holds(&s, loop_now(w[m[i].worker]->loop) >= m[i].until);
	m[i].where = OUT;
	answered++;
}

/* --- calls --------------------------------------------------------------------------------------------------------------------- */

static void come(unsigned i)
{
	bool would, is_free = how_many(IN) < up.policy.bulkhead.max,
		    is_room = how_many(WAITS) < up.policy.bulkhead.queue;

	m[i].worker = chance(&s, WORKERS);
	x[i]->w = w[m[i].worker];
	x[i]->wup = wup[m[i].worker];
	bool taken = circuit_take(&c, &up.policy.bulkhead, &would);
	agree(&s, "a place taken", taken, is_free);
	agree(&s, "would be refused", would, !is_free);
	if (taken) {
		m[i].where = IN;
		return;
	}
	enum queue_result got = queue_wait(x[i]);
	agree(&s, "queue_wait()", got, is_room ? QUEUE_WAIT : QUEUE_FULL);
	if (got == QUEUE_WAIT) {
		m[i].where = WAITS;
		m[i].turn = ++turns;
		m[i].until = loop_now(x[i]->w->loop) + up.policy.bulkhead.queue_time;
	}
}

static void go(unsigned i)
{
	if (m[i].where == IN) {
		circuit_give(&c);
		queue_wake(&c, x[i]->w);
	} else {
		queue_leave(x[i]); /* its client left */
		queue_leave(x[i]);
	}
	m[i].where = OUT;
}

/* So many that come would take each place before those that wait: every other time it is one that is in, or waits. */
static unsigned one_call(void)
{
	unsigned i = chance(&s, CALLS);
	bool is_known = chance(&s, 2);

	for (unsigned k = 0; k < CALLS && m[i].where == OUT && is_known; k++)
		i = (i + 1) % CALLS;
	return i;
}

static void turn_all(void)
{
	for (unsigned k = 0; k < 2 * WORKERS; k++)
		loop_turn(w[k % WORKERS]->loop, false);
}

/* All mail is read: a place that is free while calls wait is a place that nobody will wake them for. */
static void settled(void)
{
	turn_all();
	turn_all();
	holds(&s, !how_many(WAITS) || how_many(IN) >= up.policy.bulkhead.max);
	for (unsigned i = 0; i < CALLS; i++)
		holds(&s, m[i].where != WAITS || m[i].until + 2 * TIMER_TICK > loop_now(x[i]->w->loop));
}

static void figures_agree(void)
{
	agree(&s, "active", c.bulkhead.active, how_many(IN));
	agree(&s, "queued", c.bulkhead.queued, how_many(WAITS));
	for (unsigned i = 0; i < CALLS; i++)
		agree(&s, "is queued", x[i]->is_queued, m[i].where == WAITS);
}

/* --- random calls -------------------------------------------------------------------------------------------------------------- */

static void begin(int run)
{
	struct err err;

	script_begin(&s, run, 0);
	memset(&c, 0, sizeof(c));
	memset(m, 0, sizeof(m));
	up.circuit = &c;
	up.policy.bulkhead = (struct bulkhead_policy){
		.max = 1 + chance(&s, 5), .queue = 1 + chance(&s, 12), .queue_time = SEC
	};
	for (unsigned i = 0; i < WORKERS; i++) {
		w[i] = calloc(1, sizeof(*w[i]));
		wup[i] = calloc(1, sizeof(*wup[i]));
		w[i]->loop = loop_new(&err);
		ck_assert_ptr_nonnull(w[i]->loop);
		rng_seed(&w[i]->rng, s.seed + i);
		queue_init(wup[i], w[i]);
	}
	for (unsigned i = 0; i < CALLS; i++) {
		x[i] = calloc(1, sizeof(*x[i]));
		x[i]->upstream = &up;
	}
}

static void end(void)
{
	for (unsigned i = 0; i < CALLS; i++)
		if (m[i].where != OUT)
			go(i);
	settled();
	figures_agree();
	for (unsigned i = 0; i < WORKERS; i++) {
		loop_free(w[i]->loop);
		free(w[i]);
		free(wup[i]);
	}
	for (unsigned i = 0; i < CALLS; i++)
		free(x[i]);
}

START_TEST(nobody_waits_beside_a_free_place)
{
	begin(_i);
	for (; s.step < 3000; s.step++) {
		unsigned i = one_call(), n = chance(&s, 4);
		if (m[i].where == OUT)
			come(i);
		else
			go(i);
		while (n--)
			loop_turn(w[chance(&s, WORKERS)]->loop, false); /* others are late */
		if (chance(&s, 20) == 0)
			loop_skip(w[chance(&s, WORKERS)]->loop, rng_next(&s.r) % (2 * SEC));
		if (chance(&s, 10) == 0)
			settled();
		figures_agree();
	}
	end();
	ck_assert_uint_gt(placed, 50);
	ck_assert_uint_gt(answered, 0);
}
END_TEST

/* --- places over threads ------------------------------------------------------------------------------------------------------- */

static _Atomic unsigned round_of[2];
static _Atomic bool has[2], is_over;
static usec until;
static const struct bulkhead_policy one = { .max = 1 };

static void meet(unsigned me)
{
	unsigned mine = ++round_of[me];

	while (round_of[!me] < mine)
		sched_yield();
}

/* Who has the place gives it back and asks for it again; the other asks once meanwhile. */
static void *ask(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	bool would;

	for (;;) {
		if (me == 0)
			is_over = clock_now() > until;
		meet(me);
		if (is_over)
			return NULL;
		if (has[me])
			circuit_give(&c);
		has[me] = circuit_take(&c, &one, &would);
		meet(me);
		if (has[0] == has[1])
			return arg; /* both, or neither though the place is free */
		meet(me);
	}
}

START_TEST(one_of_two_gets_the_free_place)
{
	pthread_t t[2];
	void *bad[2];
	bool would;

	memset(&c, 0, sizeof(c));
	has[0] = circuit_take(&c, &one, &would);
	until = clock_now() + SEC;
	for (uintptr_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, ask, (void *)i), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(t[i], &bad[i]);
	ck_assert_msg(has[0] != has[1], "round %u: %s", round_of[0] / 3,
		has[0] ? "both have the place" : "nobody has it");
	ck_assert_uint_eq(c.bulkhead.active, 1);
}
END_TEST

/* --- crowds -------------------------------------------------------------------------------------------------------------------- */

#define CLIENTS 3000u

static struct crowd crowd;
static unsigned inside[CLIENTS];

static struct crowd_place client(unsigned i, unsigned port)
{
	char text[64];
	struct addr a;

	if (i % 2)
		snprintf(text, sizeof(text), "10.%u.%u.7", i / 256, i % 256);
	else
		snprintf(text, sizeof(text), "2001:db8:%x:%x::%x", i / 7, i, port); /* a client's own /64 */
	ck_assert(addr_parse_ip(str_of(text), (uint16_t)port, &a));
	return crowd_place(&a);
}

/* Few clients share no counter: exactly `max` each. Many share some: never more than `max`. */
static void crowds(unsigned clients, bool observe)
{
	unsigned refused = 0;

	for (; s.step < 40000; s.step++) {
		unsigned i = chance(&s, clients), max = 1 + chance(&s, 4);
		bool would;
		if (inside[i] && chance(&s, 3) == 0) {
			crowd_leave(&crowd, client(i, chance(&s, 60000)));
			inside[i]--;
			continue;
		}
		bool got = crowd_enter(&crowd, client(i, chance(&s, 60000)), max, observe, &would);
		agree(&s, "let in", got, observe || !would);
		if (clients <= 8)
			agree(&s, "too many", would, inside[i] >= max);
		holds(&s, would || inside[i] < max);
		inside[i] += got;
		refused += !got;
	}
	holds(&s, observe || refused);
	for (unsigned i = 0; i < clients; i++)
		for (; inside[i]; inside[i]--)
			crowd_leave(&crowd, client(i, 1));
	for (unsigned i = 0; i < CROWD_WIDTH; i++)
		holds(&s, crowd.n[0][i] == 0 && crowd.n[1][i] == 0);
}

START_TEST(a_client_has_so_many_under_way)
{
	script_begin(&s, _i, 0);
	memset(&crowd, 0, sizeof(crowd));
	memset(inside, 0, sizeof(inside));
	crowds(_i % 2 ? 8 : CLIENTS, _i % 4 == 3);
}
END_TEST

Suite *suite_bulkhead_model(void);
Suite *suite_bulkhead_model(void)
{
	Suite *suite = suite_create("bulkhead_model");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, nobody_waits_beside_a_free_place, 0, 2 * MODEL_RUNS);
	tcase_add_test(t, one_of_two_gets_the_free_place);
	tcase_add_loop_test(t, a_client_has_so_many_under_way, 0, MODEL_RUNS);
	suite_add_tcase(suite, t);
	return suite;
}
