#include "control/hystrix_swarm.h"

#include "control/reload.h"

#define ASK_WAIT (3 * USEC_SEC)
#define FAILURES_MAX 4096u

static void end_ask(struct hystrix_swarm *h)
{
	h->ask = NULL;
	hystrix_sums_release(&h->sums);
	text_release(&h->failures);
}

/* --- what they say ------------------------------------------------------------------------------------------------------------- */

/* A line of comments must stay one: what peers and resolvers say is kept to visible text. */
static void put_visible(struct text *t, const char *z)
{
	for (; *z; z++)
		text_char(t, *z >= ' ' && *z <= '~' ? *z : ' ');
}

static void name_failed(struct hystrix_swarm *h, const char *agent, const char *why)
{
	if (h->failures.n)
		text_addz(&h->failures, "; ");
	if (!str_starts(str_of(why), str_of(agent))) { /* a cause may begin with the address itself */
		put_visible(&h->failures, agent);
		text_addz(&h->failures, ": ");
	}
	put_visible(&h->failures, why);
}

static void on_answer(void *arg, const struct swarm_answer *a)
{
	struct hystrix_swarm *h = arg;
	struct err err = { "" };
	char status[48];

	if (a->status == 200) {
		if (!hystrix_sums_read(&h->sums, a->tree, &err))
			name_failed(h, a->agent, err.text);
		return;
	}
	snprintf(status, sizeof(status), "it answers %d", a->status);
	name_failed(h, a->agent, a->status ? status : a->why);
}

static void put_circuits(struct text *t, struct hystrix_swarm *h)
{
	const struct hystrix_figures *f = h->sums.first;
	usec wall = clock_wall();
	uint32_t seen = 0;

	if (h->next >= h->sums.n)
		h->next = 0;
	for (; f && t->n < HYSTRIX_TICK_BYTES; f = f->next)
		if (seen++ >= h->next)
			hystrix_figures_events(t, f, wall);
	h->next = f ? seen : 0;
}

/* Readers of events skip what begins with ':'; a person who looks at the stream does not. */
static void put_remarks(struct text *t, const struct hystrix_swarm *h, const struct swarm_counts *c)
{
	if (h->failures.n)
		text_fmt(t, ": %u agents were asked; missing: %s%s\n\n", c->asked, text_z(&h->failures), h->failures.failed ? " …" : "");
	if (c->left_out || h->sums.left_out)
		text_fmt(t, ": left out: %u agents, %u circuits\n\n", c->left_out, h->sums.left_out);
}

static void on_done(void *arg, const struct swarm_counts *c)
{
	struct hystrix_swarm *h = arg;
	struct text t;

	text_init(&t, 2 * HYSTRIX_TICK_BYTES);
	put_remarks(&t, h, c);
	put_circuits(&t, h);
	if (t.n && !t.failed)
		hystrix_readers_send(&h->readers, text_str(&t));
	text_release(&t);
	end_ask(h);
}

/* --- asking -------------------------------------------------------------------------------------------------------------------- */

static void ask(struct hystrix_swarm *h)
{
	const struct swarm_question question = { .agents = options_text(reload_options(h->agent->reload), OPT_AGENTS),
		.page = HYSTRIX_SWARM_PAGE,
		.total = ASK_WAIT,
		.page_max = SWARM_PAGE_MAX,
		.on_answer = on_answer,
		.done = on_done,
		.arg = h };
	struct err err = { "" };

	hystrix_sums_init(&h->sums, rng_next(&h->rng));
	text_init(&h->failures, FAILURES_MAX);
	h->ask = swarm_ask_start(h->swarm, &question, &err);
	if (!h->ask)
		end_ask(h); /* the next tick tries again */
}

static void on_tick(void *arg)
{
	struct hystrix_swarm *h = arg;

	hystrix_readers_send(&h->readers, STR("ping: \n\n"));
	if (!hystrix_readers_any(&h->readers)) {
		swarm_ask_cancel(h->ask);
		end_ask(h);
		return;
	}
	if (!h->ask)
		ask(h);
	timer_set(h->agent->loop, &h->timer, loop_now(h->agent->loop) + HYSTRIX_SWARM_TICK);
}

/* --- life ---------------------------------------------------------------------------------------------------------------------- */

void hystrix_swarm_init(struct hystrix_swarm *h, struct agent *agent)
{
	*h = (struct hystrix_swarm){ .agent = agent };
	timer_init(&h->timer, on_tick, h);
	rng_seed_os(&h->rng);
	hystrix_readers_init(&h->readers);
}

void hystrix_swarm_stop(struct hystrix_swarm *h)
{
	if (!h->agent)
		return;
	timer_clear(&h->timer);
	swarm_ask_cancel(h->ask);
	end_ask(h);
	h->agent = NULL;
}

void hystrix_swarm_serve(struct hystrix_swarm *h, struct swarm *swarm, struct httpd_request *r)
{
	bool first = !hystrix_readers_any(&h->readers);

	h->swarm = swarm;
	if (hystrix_readers_take(&h->readers, r) && first)
		timer_set(h->agent->loop, &h->timer, loop_now(h->agent->loop)); /* the first events as soon as all have answered */
}
