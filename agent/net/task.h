/* One run of something that blocks, on a thread of its own, and its way back to a loop.
 *
 *     struct work { struct task task; … };                 owns copies of all that it needs
 *     w->task = (struct task){ .run = run, .done = done, .drop = drop };
 *     task_start(loop, &w->task)       run(&w->task)   the thread
 *                                      done(&w->task)  the loop's thread, once; owns w from then on
 *     task_leave(&w->task, 0)          nobody waits for it any more: drop(&w->task) instead of done, wherever it ends
 *
 * A file system that hangs, hangs the thread alone: who leaves a task returns after `patience` at the latest, and the
 * thread frees what is its own when it comes back, or ends with the process. */
#ifndef OUTRIDER_NET_TASK_H
#define OUTRIDER_NET_TASK_H

#include "net/loop.h"

#include <pthread.h>

struct task {
	void (*run)(struct task *t);  /* its thread; all signals blocked */
	void (*done)(struct task *t); /* the loop's thread */
	void (*drop)(struct task *t); /* any thread: only frees */
	/* private */
	struct mail mail;
	struct loop *loop;
	pthread_t thread;
	_Atomic unsigned char state;
	bool joined;
};

/* false: threads or memory are short; nothing of it is kept then. */
bool task_start(struct loop *l, struct task *t) MUST_CHECK;
/* The loop's thread, instead of waiting for done(). Blocks up to `patience` until run() has returned. t may be gone
 * afterwards; of one that had returned the loop's next turn drops it, so turn once more before freeing the loop. */
void task_leave(struct task *t, usec patience);

#endif
