/* `eureka:URL[|URL]`: a citizen of Spring estates. The own instances: eureka_lease.h. What the server knows: eureka_apps.h.
 *
 *     poll ──> /apps once, then /apps/delta ──> parsed aside ──> applied ──> hash right? ──> on_endpoints of what changed
 *                  └─ any failure: the next server; the last sets stay      └ no: /apps, once per poll: the full answer of a server's
 *                                                                             cache may be older than its delta
 *
 * A server that was away, or that suddenly lists less than half of what it listed, has lost its data: what is missing is kept for
 * GRACE, while its own agents and clients register again with their next heartbeat. Thread: the loop's. */
#include "base/mem.h"
#include "eureka_json.h"
#include "eureka_lease.h"
#include "net/task.h"
#include "net/timer.h"

#define POLL (30 * USEC_SEC)
#define LEASE (15 * USEC_SEC)
#define GRACE (90 * USEC_SEC) /* a heartbeat, the server's cache, a poll: 30 s each */
#define MANY 8u               /* fewer instances may well leave at once */
#define RETRY_FIRST (500 * USEC_MS)

struct reading { /* an answer, parsed on a thread */
	struct task task;
	struct registry *of;
	char *body;
	size_t n;
	bool full, good;
	struct eureka_answer answer;
	struct err err;
};

struct watched {
	char *service; /* owned */
	bool said, gone;
	uint64_t sum;
};

struct registry {
	struct loop *loop;
	struct registry_events events;
	void *arg;
	usec poll;
	struct rng rng;
	struct eureka_asker asker;
	struct eureka_leases leases;
	struct eureka_apps apps;
	struct table watches;
	struct timer timer, deliver; /* the next question, or the end of the grace; to those newly watched */
	struct fetch *fetch;
	struct reading *reading;
	bool known;    /* a full answer was taken */
	bool full;     /* what is being asked */
	size_t server; /* who */
	bool was_down; /* the last question failed */
	bool again;    /* refresh was asked for meanwhile */
	usec asked, full_at, grace_until, pause;
	struct err trouble, own_trouble; /* of reading; of the own instance */
	struct err told;
};

static void ask(struct registry *r, bool full);

/* --- what control hears ---------------------------------------------------------------------------------------------------- */

static void tell(struct registry *r)
{
	const char *why = r->trouble.text[0] != '\0' ? r->trouble.text : r->own_trouble.text;

	if (strcmp(r->told.text, why) == 0)
		return;
	err_set(&r->told, "%s", why);
	r->events.on_trouble(r->arg, r->told.text);
}

static void on_said(void *arg, const char *why)
{
	struct registry *r = arg;

	err_set(&r->own_trouble, "%s", why);
	tell(r);
}

static bool deliver_one(struct registry *r, struct watched *w)
{
	struct registry_endpoint *at;
	size_t n;

	if (!eureka_apps_find(&r->apps, str_of(w->service), &at, &n))
		return false;
	uint64_t sum = eureka_sum(at, n);
	if (n == 0) {
		w->said = false;
		if (!w->gone)
			r->events.on_gone(r->arg, str_of(w->service));
		w->gone = true;
		return true;
	}
	w->gone = false;
	if (!w->said || w->sum != sum)
		r->events.on_endpoints(r->arg, str_of(w->service), at, n);
	w->said = true;
	w->sum = sum;
	mem_free(at);
	return true;
}

static void deliver_all(void *arg)
{
	struct registry *r = arg;
	size_t at = 0;
	bool good = true;

	if (!r->known)
		return;
	for (struct watched *w; (w = table_next(&r->watches, &at, NULL));)
		good = deliver_one(r, w) && good;
	if (!good) {
		err_set(&r->trouble, "no memory for the instances");
		tell(r);
	}
}

/* --- rounds ----------------------------------------------------------------------------------------------------------------- */

static void plan(struct registry *r, usec pause)
{
	usec now = loop_touch(r->loop), next = now + pause - pause / 10 + rng_below(&r->rng, (uint32_t)(pause / 5) + 1);

	if (r->again)
		next = now;
	if (r->grace_until > now && r->grace_until < next)
		next = r->grace_until;
	timer_set(r->loop, &r->timer, next);
}

static void went_wrong(struct registry *r, const char *why, bool elsewhere)
{
	err_set(&r->trouble, "%s", why);
	tell(r);
	r->was_down = true;
	r->pause = r->pause ? 2 * r->pause : RETRY_FIRST;
	if (r->pause > r->poll)
		r->pause = r->poll;
	if (elsewhere)
		eureka_next(&r->asker, r->server);
	plan(r, r->pause);
}

/* Less than half of what was there, and that was more than a few. */
static bool lost_its_data(const struct registry *r, const struct eureka_answer *full)
{
	return r->known && r->apps.instances.n >= MANY && full->n < r->apps.instances.n / 2;
}

static bool take_full(struct registry *r, struct eureka_answer *answer)
{
	usec now = loop_touch(r->loop);

	if (r->known && (r->was_down || lost_its_data(r, answer)) && now >= r->grace_until)
		r->grace_until = now + GRACE;
	if (!eureka_apps_replace(&r->apps, answer, now < r->grace_until))
		return false;
	r->full_at = now;
	r->known = true;
	return true;
}

/* true: the picture is the server's, or as near as it gets now. */
static bool is_right(struct registry *r, const struct eureka_answer *answer)
{
	char mine[256];

	eureka_apps_hash(&r->apps, mine);
	return answer->has_hash && strcmp(mine, answer->hash) == 0;
}

static void take(struct registry *r, struct reading *x)
{
	bool full = x->full;

	if (full ? !take_full(r, &x->answer) : !eureka_apps_apply(&r->apps, &x->answer)) {
		r->known = false; /* half of a delta: begin anew */
		went_wrong(r, "no memory for what the server knows, or more than 65,536 instances", false);
		return;
	}
	if (!full && !is_right(r, &x->answer) && loop_touch(r->loop) >= r->full_at + r->poll * 4 / 5) {
		ask(r, true);
		return;
	}
	r->was_down = false;
	r->pause = 0;
	r->trouble.text[0] = '\0';
	tell(r);
	deliver_all(r);
	plan(r, r->poll);
}

/* --- parsing, aside ---------------------------------------------------------------------------------------------------------- */

static void drop(struct task *t)
{
	struct reading *x = LIST_OWNER(t, struct reading, task);

	eureka_answer_release(&x->answer);
	mem_free(x->body);
	mem_free(x);
}

static void run(struct task *t)
{
	struct reading *x = LIST_OWNER(t, struct reading, task);

	x->good = eureka_read(str_make(x->body, x->n), &x->answer, &x->err);
}

static void done(struct task *t)
{
	struct reading *x = LIST_OWNER(t, struct reading, task);
	struct registry *r = x->of;
	struct err why;

	r->reading = NULL;
	if (x->good)
		take(r, x);
	else {
		err_set(&why, "%s: its answer cannot be used: %s", r->asker.servers[r->server].url, x->err.text);
		went_wrong(r, why.text, true);
	}
	drop(t);
}

static bool parse(struct registry *r, struct str body)
{
	struct reading *x = mem_zalloc(sizeof(*x));

	if (!x)
		return false;
	x->task = (struct task){ .run = run, .done = done, .drop = drop };
	x->of = r;
	x->full = r->full;
	x->body = mem_dup(body.p ? body.p : "", body.n);
	x->n = body.n;
	if (x->body && task_start(r->loop, &x->task)) {
		r->reading = x;
		return true;
	}
	drop(&x->task);
	return false;
}

/* --- asking ------------------------------------------------------------------------------------------------------------------ */

static void on_reply(void *arg, const struct fetch_reply *reply)
{
	struct registry *r = arg;
	struct err why;

	r->fetch = NULL;
	if (!r->full && (reply->status == 403 || reply->status == 404)) {
		ask(r, true); /* this server gives no deltas, or not yet */
		return;
	}
	if (!eureka_accept(&r->asker, r->server, reply, &why))
		went_wrong(r, why.text, eureka_is_down(reply) || r->asker.n > 1);
	else if (!parse(r, reply->body))
		went_wrong(r, "no memory for an answer", false);
}

static void ask(struct registry *r, bool full)
{
	struct err why;

	r->full = full;
	r->server = r->asker.current;
	r->again = false;
	r->asked = loop_touch(r->loop);
	r->fetch = eureka_ask(&r->asker, "GET", full ? "/apps/" : "/apps/delta", STR(""), EUREKA_TIMEOUT, on_reply, r, &why);
	if (!r->fetch)
		went_wrong(r, why.text, false);
}

static void on_timer(void *arg)
{
	struct registry *r = arg;
	usec now = loop_touch(r->loop);

	if (r->fetch || r->reading) {
		r->again = true;
		return;
	}
	if (r->grace_until && now >= r->grace_until) {
		r->grace_until = 0;
		eureka_apps_forget(&r->apps);
		deliver_all(r);
	}
	if (r->watches.n == 0)
		plan(r, r->poll); /* nobody wants to know */
	else
		ask(r, !r->known || r->was_down);
}

/* --- ops ------------------------------------------------------------------------------------------------------------------ */

static void watched_free(struct watched *w)
{
	if (w)
		mem_free(w->service);
	mem_free(w);
}

static bool eureka_watch(struct registry *r, struct str service)
{
	struct watched *w = table_get(&r->watches, service);
	usec now = loop_touch(r->loop);

	if (!w) {
		w = mem_zalloc(sizeof(*w));
		if (!w)
			return false;
		w->service = mem_dup(service.p, service.n);
		if (!w->service || !table_put(&r->watches, str_of(w->service), w)) {
			watched_free(w);
			return false;
		}
	}
	w->said = w->gone = false;
	if (r->known && now < r->asked + r->poll * 6 / 5)
		timer_set(r->loop, &r->deliver, now); /* not inside watch() */
	else if (!r->fetch && !r->reading && !r->pause)
		timer_set(r->loop, &r->timer, now); /* what is known is old, or nothing is */
	return true;
}

static void eureka_unwatch(struct registry *r, struct str service)
{
	watched_free(table_remove(&r->watches, service));
}

static bool eureka_announce(struct registry *r, const struct registry_instance *self)
{
	return eureka_leases_announce(&r->leases, self);
}

static void eureka_withdraw(struct registry *r, struct str id, void (*done_fn)(void *arg), void *arg)
{
	eureka_leases_withdraw(&r->leases, id, done_fn, arg);
}

static void eureka_refresh(struct registry *r)
{
	if (r->fetch || r->reading)
		r->again = true;
	else
		timer_set(r->loop, &r->timer, loop_touch(r->loop));
}

static bool eureka_answers(const struct registry *r, struct str service)
{
	(void)service;
	return r->trouble.text[0] == '\0'; /* the own instance's is another matter */
}

static void eureka_close(struct registry *r)
{
	size_t at = 0;

	if (!r)
		return;
	if (r->fetch)
		fetch_cancel(r->fetch);
	if (r->reading)
		task_leave(&r->reading->task, 0);
	timer_clear(&r->timer);
	timer_clear(&r->deliver);
	eureka_leases_release(&r->leases);
	eureka_asker_release(&r->asker);
	for (struct watched *w; (w = table_next(&r->watches, &at, NULL));)
		watched_free(w);
	table_release(&r->watches);
	eureka_apps_release(&r->apps);
	mem_free(r);
}

static struct registry *eureka_open(const struct registry_config *c, const struct registry_events *events, void *arg, struct err *err)
{
	struct registry *r = mem_zalloc(sizeof(*r));

	if (!r) {
		err_set(err, "no memory");
		return NULL;
	}
	r->loop = c->loop;
	r->events = *events;
	r->arg = arg;
	r->poll = c->poll ? c->poll : POLL;
	rng_seed_os(&r->rng);
	timer_init(&r->timer, on_timer, r);
	timer_init(&r->deliver, deliver_all, r);
	table_init(&r->watches, REGISTRY_SERVICES_MAX, rng_next(&r->rng));
	eureka_apps_init(&r->apps, rng_next(&r->rng));
	eureka_leases_init(&r->leases, c->loop, &r->asker, c->lease ? c->lease : LEASE);
	r->leases.said = on_said;
	r->leases.arg = r;
	if (!eureka_asker_init(&r->asker, c, err)) {
		eureka_close(r);
		return NULL;
	}
	timer_set(r->loop, &r->timer, loop_touch(r->loop));
	return r;
}

extern const struct registry_ops registry_eureka;
const struct registry_ops registry_eureka = {
	.name = "eureka",
	.help = "eureka:URL, such as eureka:http://eureka:8761/eureka; several servers by |",
	.open = eureka_open,
	.watch = eureka_watch,
	.unwatch = eureka_unwatch,
	.announce = eureka_announce,
	.withdraw = eureka_withdraw,
	.refresh = eureka_refresh,
	.close = eureka_close,
	.answers = eureka_answers,
	.names = true,
};
