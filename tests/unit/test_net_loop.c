/* net/loop: turns, time, mail between threads, stop. */
#include "net/listen.h"
#include "net/loop.h"
#include "net/sockets.h"
#include "net/timer.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 4
#define LETTERS 5000

struct letter {
	struct mail mail; /* first: a letter is its mail */
	unsigned from, number;
	struct box *box;
};

struct box {
	struct loop *loop;
	unsigned next[THREADS]; /* the number awaited of each */
	unsigned total;
	struct letter letters[THREADS][LETTERS];
};

static void on_letter(struct mail *m)
{
	struct letter *l = (struct letter *)(void *)m;
	struct box *b = l->box;
	ck_assert_uint_eq(l->number, b->next[l->from]);
	b->next[l->from]++;
	if (++b->total == THREADS * LETTERS)
		loop_stop(b->loop);
}

struct sender {
	struct box *box;
	unsigned id;
};

static void *send_all(void *arg)
{
	struct sender *s = arg;
	for (unsigned i = 0; i < LETTERS; i++) {
		struct letter *l = &s->box->letters[s->id][i];
		*l = (struct letter){ .mail.fn = on_letter, .from = s->id, .number = i, .box = s->box };
		loop_post(s->box->loop, &l->mail);
	}
	return NULL;
}

START_TEST(mail_of_four_threads_arrives_in_order)
{
	struct box *b = calloc(1, sizeof(*b));
	ck_assert_ptr_nonnull(b);
	b->loop = loop_new(NULL);
	ck_assert_ptr_nonnull(b->loop);
	pthread_t threads[THREADS];
	struct sender senders[THREADS];
	for (unsigned i = 0; i < THREADS; i++) {
		senders[i] = (struct sender){ b, i };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
	}
	loop_run(b->loop);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(b->total, THREADS * LETTERS);
	ck_assert(loop_turns(b->loop) > 0);
	loop_free(b->loop);
	free(b);
}
END_TEST

#define RINGS 20000u

struct belfry {
	struct bell bell;
	struct loop *loop;
	_Atomic uint32_t rung; /* before each ring */
	uint32_t heard, times;
};

static void on_bell_rung(struct bell *bell)
{
	struct belfry *b = LIST_OWNER(bell, struct belfry, bell);

	b->times++;
	b->heard = atomic_load_explicit(&b->rung, memory_order_relaxed);
	if (b->heard == THREADS * RINGS)
		loop_stop(b->loop);
}

static void *ring_all(void *arg)
{
	struct belfry *b = arg;

	for (unsigned i = 0; i < RINGS; i++) {
		atomic_fetch_add_explicit(&b->rung, 1, memory_order_relaxed);
		bell_ring(b->loop, &b->bell);
	}
	return NULL;
}

/* However often it is rung, the loop comes to an end, and the last ring is heard. */
START_TEST(a_bell_rung_by_four_threads)
{
	struct belfry b = { .loop = loop_new(NULL) };
	pthread_t threads[THREADS];

	ck_assert_ptr_nonnull(b.loop);
	bell_init(&b.bell, on_bell_rung);
	bell_ring(b.loop, &b.bell);
	bell_ring(b.loop, &b.bell);
	loop_turn(b.loop, false);
	ck_assert_uint_eq(b.times, 1);
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ring_all, &b), 0);
	loop_run(b.loop);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(b.heard, THREADS * RINGS);
	ck_assert_uint_le(b.times, THREADS * RINGS + 1);
	loop_free(b.loop);
}
END_TEST

static void *run(void *arg)
{
	loop_run(arg);
	return NULL;
}

START_TEST(stops_from_another_thread)
{
	struct loop *l = loop_new(NULL);
	pthread_t t;
	ck_assert_int_eq(pthread_create(&t, NULL, run, l), 0);
	loop_stop(l);
	loop_stop(l);
	pthread_join(t, NULL);
	loop_free(l);
	loop_free(NULL);
}
END_TEST

static void count(void *arg)
{
	++*(unsigned *)arg;
}

START_TEST(a_turn_ends_with_its_hook)
{
	unsigned turns = 0;
	struct loop *l = loop_new(NULL);
	loop_on_turn(l, count, &turns);
	loop_turn(l, false);
	loop_turn(l, false);
	ck_assert_uint_eq(turns, 2);
	ck_assert_uint_eq(loop_turns(l), 2);
	loop_free(l);
}
END_TEST

START_TEST(time_stands_still_within_a_turn)
{
	struct loop *l = loop_new(NULL);
	loop_turn(l, false);
	usec first = loop_now(l);
	while (clock_now() == first)
		;
	ck_assert(loop_now(l) == first);
	ck_assert(loop_touch(l) > first);
	usec second = loop_now(l);
	loop_turn(l, false);
	ck_assert(loop_now(l) >= second);
	loop_free(l);
}
END_TEST

static void count_event(void *arg, short what)
{
	ck_assert_int_eq(what & EV_READ, EV_READ);
	++*(unsigned *)arg;
}

START_TEST(watches_go_on_and_off)
{
	struct watch w = { .on = false };
	watch_off(&w); /* zeroed: harmless */
	int fds[2];
	unsigned n = 0;
	ck_assert_int_eq(pipe(fds), 0);
	struct loop *l = loop_new(NULL);
	watch_init(&w, l, fds[0], EV_READ, count_event, &n);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	loop_turn(l, false);
	ck_assert_uint_eq(n, 0);
	ck_assert(watch_on(&w) && watch_on(&w));
	loop_turn(l, true);
	loop_turn(l, true); /* level-triggered: nobody read */
	ck_assert_uint_eq(n, 2);
	watch_off(&w);
	watch_off(&w);
	loop_turn(l, false);
	ck_assert_uint_eq(n, 2);
	loop_free(l);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

enum { SEATS = 24 };

struct seat { /* of a watch that is ready in every turn */
	struct watch w;
	struct room *room;
	unsigned mark;
	int fds[2];
};

struct room {
	struct loop *l;
	struct party parties[2];
	struct seat seats[2 * SEATS];
	unsigned n, served[2 * SEATS];
	unsigned called_at, longest; /* the calm one: n when it was written to; events that came before its own */
	struct seat *calm;
};

static void note_turn(void *arg, short what)
{
	struct seat *s = arg;
	struct room *r = s->room;
	char byte;
	(void)what;
	r->served[s->mark]++;
	if (s == r->calm) {
		ck_assert_int_eq(read(s->fds[0], &byte, 1), 1);
		if (r->n > 1024 && r->n - r->called_at > r->longest)
			r->longest = r->n - r->called_at;
	} else if (++r->n % 32 == 0 && r->calm) {
		r->called_at = r->n;
		ck_assert_int_eq(write(r->calm->fds[1], "x", 1), 1);
	}
}

static struct seat *sit(struct room *r, unsigned mark, unsigned party)
{
	struct seat *s = &r->seats[mark];
	*s = (struct seat){ .room = r, .mark = mark };
	ck_assert_int_eq(pipe(s->fds), 0);
	watch_init(&s->w, r->l, s->fds[0], EV_READ, note_turn, s);
	s->w.party = &r->parties[party];
	ck_assert(watch_on(&s->w));
	return s;
}

static void sit_ready(struct room *r, unsigned mark, unsigned party)
{
	ck_assert_int_eq(write(sit(r, mark, party)->fds[1], "x", 1), 1);
}

static void enter(struct room *r)
{
	memset(r, 0, sizeof(*r));
	r->l = loop_new(NULL);
	for (unsigned i = 0; i < 2; i++)
		party_init(&r->parties[i], r->l);
	for (unsigned i = 0; i < SEATS; i++)
		sit_ready(r, i, 0);
}

static void leave(struct room *r)
{
	for (unsigned i = 0; i < 2 * SEATS; i++) {
		if (!r->seats[i].room)
			continue;
		watch_off(&r->seats[i].w);
		close(r->seats[i].fds[0]);
		close(r->seats[i].fds[1]);
	}
	loop_free(r->l);
}

START_TEST(a_flood_lets_the_others_go_first)
{
	static struct room r;
	enter(&r);
	r.calm = sit(&r, SEATS, 1);
	while (r.n < 4096)
		loop_turn(r.l, false);
	ck_assert_uint_gt(r.served[SEATS], 4096 / 32 / 2);
	ck_assert_uint_le(r.longest, PARTY_BATCH);
	ck_assert(party_floods(&r.parties[0]) && !party_floods(&r.parties[1]));
	for (unsigned i = 0; i < SEATS; i++)
		ck_assert_msg(r.served[i] > 4096 / SEATS / 2, "%u of the flood was served %u times", i, r.served[i]);
	leave(&r);
}
END_TEST

START_TEST(two_floods_take_turns)
{
	static struct room r;
	enter(&r);
	for (unsigned i = SEATS; i < 2 * SEATS; i++)
		sit_ready(&r, i, 1);
	while (r.n < 4096)
		loop_turn(r.l, false);
	for (unsigned i = 0; i < 2 * SEATS; i++)
		ck_assert_msg(r.served[i] > 4096 / SEATS / 4, "%u was served %u times", i, r.served[i]);
	leave(&r);
}
END_TEST

START_TEST(a_party_alone_is_served_in_whole_batches)
{
	static struct room r;
	enter(&r);
	while (r.n < 1024)
		loop_turn(r.l, false);
	unsigned before = r.n;
	loop_turn(r.l, false);
	ck_assert_uint_eq(r.n - before, SEATS);
	leave(&r);
}
END_TEST

enum { CALLERS = 100 };

struct door { /* where somebody always waits */
	struct room *room;
	struct listener l;
	struct addr at;
	int callers[CALLERS];
	unsigned next;
};

static void call(struct door *d)
{
	int *fd = &d->callers[d->next++ % CALLERS];
	if (*fd)
		close(*fd);
	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(*fd, &d->at.sa, d->at.len), 0);
}

static void let_in(void *arg, int fd, const struct addr *peer)
{
	struct door *d = arg;
	(void)peer;
	close(fd);
	call(d);
	d->room->served[0]++;
	if (++d->room->n % 32 == 0 && d->room->calm) {
		d->room->called_at = d->room->n;
		ck_assert_int_eq(write(d->room->calm->fds[1], "x", 1), 1);
	}
}

static void open_door(struct door *d, struct room *r)
{
	memset(r, 0, sizeof(*r));
	r->l = loop_new(NULL);
	for (unsigned i = 0; i < 2; i++)
		party_init(&r->parties[i], r->l);
	*d = (struct door){ .room = r };
	ck_assert(addr_parse(STR("127.0.0.1:0"), &d->at, NULL));
	int fd = socket_listen(NULL, &d->at, NULL);
	ck_assert(fd >= 0 && socket_local(fd, &d->at) && listener_start(&d->l, r->l, fd, let_in, d));
	d->l.rd.party = &r->parties[0];
	for (unsigned i = 0; i < CALLERS; i++)
		call(d);
}

static void close_door(struct door *d)
{
	listener_stop(&d->l);
	close(d->l.fd);
	for (unsigned i = 0; i < CALLERS; i++)
		close(d->callers[i]);
	leave(d->room);
}

START_TEST(a_flood_of_connections_lets_the_others_go_first)
{
	static struct room r;
	static struct door d;
	open_door(&d, &r);
	r.calm = sit(&r, SEATS, 1);
	while (r.n < 4096)
		loop_turn(r.l, false);
	ck_assert_uint_gt(r.served[SEATS], 4096 / 32 / 2);
	ck_assert_uint_le(r.longest, PARTY_BATCH);
	close_door(&d);
}
END_TEST

START_TEST(connections_of_a_party_alone_come_in_whole_batches)
{
	static struct room r;
	static struct door d;
	open_door(&d, &r);
	while (r.n < 1024)
		loop_turn(r.l, false);
	unsigned before = r.n;
	loop_turn(r.l, false);
	ck_assert_uint_eq(r.n - before, LISTEN_BATCH);
	close_door(&d);
}
END_TEST

START_TEST(a_turn_that_left_something_waits_for_nothing)
{
	struct loop *l = loop_new(NULL);
	loop_again(l);
	loop_turn(l, true); /* with nothing to wait for it would wait for ever */
	loop_free(l);
}
END_TEST

static void on_signal(void *arg, int signo)
{
	*(int *)arg = signo;
}

START_TEST(signals_arrive)
{
	int got = 0;
	struct sigwatch s = { .fn = NULL };
	struct loop *l = loop_new(NULL);
	ck_assert(sigwatch_on(&s, l, SIGUSR2, on_signal, &got));
	raise(SIGUSR2);
	while (!got)
		loop_turn(l, true);
	ck_assert_int_eq(got, SIGUSR2);
	sigwatch_off(&s);
	sigwatch_off(&s);
	loop_free(l);
}
END_TEST

Suite *suite_net_loop(void);
Suite *suite_net_loop(void)
{
	Suite *s = suite_create("net/loop");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, mail_of_four_threads_arrives_in_order);
	tcase_add_test(t, a_bell_rung_by_four_threads);
	tcase_add_test(t, stops_from_another_thread);
	tcase_add_test(t, a_turn_ends_with_its_hook);
	tcase_add_test(t, time_stands_still_within_a_turn);
	tcase_add_test(t, watches_go_on_and_off);
	tcase_add_test(t, a_flood_lets_the_others_go_first);
	tcase_add_test(t, two_floods_take_turns);
	tcase_add_test(t, a_party_alone_is_served_in_whole_batches);
	tcase_add_test(t, a_flood_of_connections_lets_the_others_go_first);
	tcase_add_test(t, connections_of_a_party_alone_come_in_whole_batches);
	tcase_add_test(t, a_turn_that_left_something_waits_for_nothing);
	tcase_add_test(t, signals_arrive);
	suite_add_tcase(s, t);
	return s;
}
