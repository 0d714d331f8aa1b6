#include "net/task.h"

#include <signal.h>
#include <time.h>

/* RUNNING ──thread──> RETURNED ──mail──> done()
 *    └──task_leave──> LEFT ──thread──> drop()      after RETURNED: its mail drops it */
enum { RUNNING, RETURNED, LEFT };

static void on_mail(struct mail *m)
{
	struct task *t = LIST_OWNER(m, struct task, mail);

	if (!t->joined)
		pthread_join(t->thread, NULL); /* it only has to return from loop_post() */
	if (atomic_load(&t->state) == LEFT)
		t->drop(t);
	else
		t->done(t);
}

static void *thread_main(void *arg)
{
	struct task *t = arg;
	unsigned char running = RUNNING;

	t->run(t);
	if (atomic_compare_exchange_strong(&t->state, &running, RETURNED))
		loop_post(t->loop, &t->mail);
	else
		t->drop(t);
	return NULL;
}

bool task_start(struct loop *l, struct task *t)
{
	sigset_t all, old;

	t->loop = l;
	t->joined = false;
	t->mail.fn = on_mail;
	atomic_init(&t->state, RUNNING);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = pthread_create(&t->thread, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r == 0;
}

void task_leave(struct task *t, usec patience)
{
	const struct timespec nap = { .tv_nsec = 1000 * 1000 };
	unsigned char running = RUNNING;
	usec end = clock_now() + patience;

	while (patience && atomic_load(&t->state) == RUNNING && clock_now() < end)
		(void)nanosleep(&nap, NULL);
	pthread_t thread = t->thread; /* t may be gone as soon as it is LEFT */
	if (atomic_compare_exchange_strong(&t->state, &running, LEFT)) {
		pthread_detach(thread);
		return;
	}
	pthread_join(thread, NULL); /* its mail is posted then, and drops it */
	t->joined = true;
	atomic_store(&t->state, LEFT);
}
