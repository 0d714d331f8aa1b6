/* One event loop per thread, over libevent. The only folder that knows libevent is net/.
 *
 * A loop is driven by its thread: loop_run() turns until loop_stop(). Each turn handles what is ready,
 * then runs the end-of-turn hook (graveyards, batched work). Flags: NOLOCK, IGNORE_ENV, no precise timer,
 * no changelist (HOTPATH.md). Other threads reach a loop by loop_post() and loop_stop() only.
 *
 * Time: loop_now() is read once per turn after the poll returned, and again by loop_touch(); it is CLOCK_MONOTONIC in µs. */
#ifndef OUTRIDER_NET_LOOP_H
#define OUTRIDER_NET_LOOP_H

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdatomic.h>
#include <stdint.h>

struct loop;

/* --- life -------------------------------------------------------------------------------------------- */
struct loop *loop_new(struct err *err) MUST_CHECK;
void loop_free(struct loop *l);   /* after loop_run() returned; NULL is fine */
void loop_run(struct loop *l);    /* until stopped */
void loop_turn(struct loop *l, bool block); /* one turn, for tests and for draining */
void loop_stop(struct loop *l);   /* any thread, also a signal handler's loop; idempotent */
usec loop_now(const struct loop *l);
usec loop_touch(struct loop *l);  /* reads the clock now */
/* Tests only, on the loop's thread: time jumps by d, and all deadlines that it passes fire. */
void loop_skip(struct loop *l, usec d);
uint64_t loop_turns(const struct loop *l); /* relaxed, any thread: proof that the loop beats */
/* What net/ counts where it happens: one writer, the loop's thread; read relaxed by any. */
enum loop_count { LOOP_DNS_FOUND, LOOP_DNS_NONE, LOOP_DNS_FAILED, LOOP_TLS_OK, LOOP_TLS_FAILED, LOOP_COUNTS };
void loop_count(struct loop *l, enum loop_count what);
uint64_t loop_counted(const struct loop *l, enum loop_count what);
/* Called once at the end of every turn. One hook per loop. */
void loop_on_turn(struct loop *l, void (*fn)(void *arg), void *arg);
void loop_again(struct loop *l); /* in that hook: something is left to do, so the next turn waits for nothing */
struct event_base *loop_base(struct loop *l); /* for net/ itself */

/* --- mail: the way from one thread to another ----------------------------------------------------------- */
struct mail {
	struct mail *next;
	void (*fn)(struct mail *m); /* runs on the loop's thread; owns m from then on */
};
/* Any thread; wakes the loop (eventfd) when its box was empty. Mail is handled in order of posting. Never fails. */
void loop_post(struct loop *l, struct mail *m);

/* A word that may be said again before it was heard: the mail lies in the box once at most, for one that is posted while it lies there
 * would be its own successor, and the loop would never come to its end. Whoever rings sees it handled later than that, once
 * or several times. One loop; any thread rings. */
struct bell {
	struct mail mail;
	_Atomic bool in_box;
	void (*fn)(struct bell *b); /* on the loop's thread */
};
void bell_init(struct bell *b, void (*fn)(struct bell *b));
void bell_ring(struct loop *l, struct bell *b);

/* --- readiness ------------------------------------------------------------------------------------------- */
struct party;
struct watch {
	struct event ev;
	void (*fn)(void *arg, short what); /* EV_READ, EV_WRITE */
	void *arg;
	struct party *party; /* set by the owner after watch_init(); NULL: its turn comes first, always */
	bool on;
};
/* events: EV_READ or EV_WRITE (persistent, level-triggered). Not yet active. */
void watch_init(struct watch *w, struct loop *l, int fd, short events, void (*fn)(void *, short), void *arg);
bool watch_on(struct watch *w);  /* false: the kernel refused (out of memory or watches) */
void watch_off(struct watch *w); /* idempotent; harmless on a never-initialised zeroed watch */

/* --- whose turn it is --------------------------------------------------------------------------------------
 * One of those that share a loop (a sidecar). Who had more than a quarter of 256 events is served after the others that are
 * ready for a while, PARTY_BATCH events at a time, so that a flood of one costs another some events of waiting and not a
 * whole batch; several such take turns. Where nobody else has events, nothing changes. Some compares and counts per event. */
#define PARTY_BATCH 4
struct party {
	struct loop *loop;
	uint64_t window;      /* of its last event */
	uint64_t later_until; /* window */
	uint16_t n;           /* its events in that window */
};
void party_init(struct party *p, struct loop *l); /* no release; it must outlive the watches that name it */
/* Within an event of p: another piece of work like that of a whole event, an accepted connection whose first request is served at once.
 * It counts as one. false: enough for this turn. */
bool party_goes_on(struct party *p);
bool party_floods(const struct party *p); /* is it served after the others? */

/* --- signals (control loop only) --------------------------------------------------------------------------- */
struct sigwatch {
	struct event ev;
	void (*fn)(void *arg, int signo);
	void *arg;
};
bool sigwatch_on(struct sigwatch *s, struct loop *l, int signo, void (*fn)(void *, int), void *arg);
void sigwatch_off(struct sigwatch *s);

#endif
