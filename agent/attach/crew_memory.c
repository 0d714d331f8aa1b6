/* Memory of the process: how much of what the cgroup allows is used, told to the workers' ladder of overload; and what a crowd had goes
 * back to the kernel when it has left. */
#include "attach/crew.h"
#include "base/mem.h"
#include "net/task.h"

#include <malloc.h>

#define REST 30 /* percent: below that a look each second will do */
#define REST_EVERY USEC_SEC
#define EVERY (100 * USEC_MS) /* thousands of connections fill a small container within a second */
#define BUFFERS_LEAST ((size_t)1 << 20)
#define MANY 512u      /* connections and exchanges under way: what they had is worth giving back */
#define TRIM_AT 65     /* percent: before the ladder's first step */
#define TRIM_EVERY USEC_SEC
#define REPLIES_SHORT ((uint64_t)256 << 10) /* a sidecar's store of last good replies, while memory is short: a container may ask for 1 GiB */

/* The ladder counts in shares of buffers, so all of them must fit into what the container may have, with the rest of the process: a
 * quarter of it. */
size_t crew_buffers(const struct crew *c, const struct crew_config *config)
{
	uint64_t fit = c->memory.limit / 4 * 3 / (config->n_workers ? config->n_workers : 1);

	if (!c->memory.limit || options_is_set(config->options, OPT_LIMIT_BUFFERS) || fit >= config->buffers_max)
		return config->buffers_max;
	return fit > BUFFERS_LEAST ? (size_t)fit : BUFFERS_LEAST;
}

/* --- what is freed goes back ------------------------------------------------------------------------------------------ */

struct trim {
	struct task task;
	struct crew *of;
};

/* Some 3 us a free piece of memory, a worker that allocates meanwhile waits for one of its arena's: 25 ms for what 2,000 exchanges had,
 * so it is done beside the loops. */
static void run(struct task *t)
{
	(void)t;
	(void)malloc_trim(0);
}

static void drop(struct task *t)
{
	mem_free(LIST_OWNER(t, struct trim, task));
}

static void done(struct task *t)
{
	LIST_OWNER(t, struct trim, task)->of->trim = NULL;
	drop(t);
}

static void start_trim(struct crew *c)
{
	struct trim *t = mem_zalloc(sizeof(*t));

	if (!t)
		return;
	*t = (struct trim){ .task = { .run = run, .done = done, .drop = drop }, .of = c };
	c->trim = t;
	if (task_start(c->loop, &t->task))
		return;
	c->trim = NULL;
	mem_free(t);
}

/* The C library keeps what is freed, so a crowd that has left would hold the ladder up: when half of those who were there have left, and
 * now and then while memory is short. */
static void give_back(struct crew *c, unsigned load)
{
	usec now = loop_now(c->loop);
	uint64_t there = 0;

	for (unsigned w = 0; w < c->n_workers; w++)
		there += worker_busy(c->workers[w]) + worker_overload(c->workers[w]).clients;
	c->most = there > c->most ? there : c->most;
	bool left = c->most >= MANY && there <= c->most / 2;
	if ((!left && load < TRIM_AT) || now < c->next_trim || c->trim)
		return;
	if (load >= TRIM_AT)
		slots_shrink_replies(c->slots, REPLIES_SHORT);
	c->most = there;
	c->next_trim = now + TRIM_EVERY;
	start_trim(c);
}

/* --- how much is used ---------------------------------------------------------------------------------------------------- */

static void on_timer(void *arg)
{
	struct crew *c = arg;
	unsigned load = memory_load_now(&c->memory);
	usec now = loop_touch(c->loop);

	atomic_store_explicit(&c->memory_percent, load, memory_order_relaxed);
	give_back(c, load);
	timer_set(c->loop, &c->memory_timer, now + (load < REST ? REST_EVERY : EVERY));
}

void crew_look_at_memory(void *crew)
{
	struct crew *c = crew;

	if (c->memory_timer.fn)
		on_timer(c);
}

void crew_watch_memory(struct crew *c)
{
	timer_init(&c->memory_timer, on_timer, c);
	on_timer(c);
}

void crew_leave_memory(struct crew *c)
{
	if (c->memory_timer.fn)
		timer_clear(&c->memory_timer);
	c->memory_timer.fn = NULL;
	if (c->trim)
		task_leave(&c->trim->task, USEC_SEC);
	c->trim = NULL;
}
