#include "redis_watch.h"

#include "base/mem.h"
#include "net/task.h"
#include "redis_value.h"

#include <stdio.h>

struct reading { /* a set that was read, parsed on a thread; owned by its watch */
	struct task task;
	struct redis_watch *of; /* NULL is never: who leaves the task has it dropped */
	struct redis_members members;
	struct registry_endpoint *endpoints; /* of members; until delivered */
	struct redis_value *values;
	size_t n;
	bool short_of_memory;
};

struct redis_watch {
	struct redis_call call;
	struct redis_watcher *of;
	char *service; /* owned */
	struct timer timer;
	usec began; /* the last reading */
	bool again, deliver;
	struct reading *now, *parsing; /* owned; NULL: nothing is known; nothing is parsed */
	struct redis_members withdrawn;
	usec grace_until;
	char epoch[REDIS_EPOCH_MAX];
};

/* --- a reading ------------------------------------------------------------------------------------------------------------ */

static void drop_parsed(struct reading *r)
{
	for (size_t i = 0; r->values && i < r->n; i++)
		redis_value_release(&r->values[i]);
	mem_free(r->values);
	mem_free(r->endpoints);
	r->values = NULL;
	r->endpoints = NULL;
	r->n = 0;
}

static void reading_free(struct reading *r)
{
	if (!r)
		return;
	drop_parsed(r);
	redis_members_release(&r->members);
	mem_free(r);
}

static void on_drop(struct task *t)
{
	reading_free(LIST_OWNER(t, struct reading, task));
}

/* "<owner> <JSON>", or the JSON alone, which others than agents may write. */
static struct str json_of(struct str value)
{
	size_t space = str_find(value, ' ');

	if (space != REDIS_OWNER)
		return value;
	return str_make(value.p + space + 1, value.n - space - 1);
}

static void parse(struct task *t)
{
	struct reading *r = LIST_OWNER(t, struct reading, task);
	struct err err;

	r->endpoints = mem_zarray(r->members.n + 1, sizeof(*r->endpoints));
	r->values = mem_zarray(r->members.n + 1, sizeof(*r->values));
	if (!r->endpoints || !r->values) {
		r->short_of_memory = true;
		return;
	}
	for (size_t i = 0; i < r->members.n; i++) {
		struct str json = json_of(redis_members_value(&r->members, i));
		if (!redis_value_read(json, &r->values[r->n], &r->endpoints[r->n], &err))
			continue; /* somebody's nonsense harms nobody else */
		r->endpoints[r->n++].instance = redis_members_id(&r->members, i);
	}
}

static void tell_state(struct redis_watch *w, const char *error)
{
	struct resp_value v = { .type = error ? RESP_ERROR : RESP_STATUS };

	if (error)
		v.text = str_of(error);
	w->of->said(w->of->said_arg, str_of(w->service), &v);
}

static void on_parsed(struct task *t)
{
	struct reading *r = LIST_OWNER(t, struct reading, task);
	struct redis_watch *w = r->of;

	w->parsing = NULL;
	if (r->short_of_memory) {
		tell_state(w, "no memory for its instances");
		reading_free(r);
		return; /* the next poll tries again */
	}
	reading_free(w->now);
	w->now = r;
	if (r->n > 0)
		w->of->events.on_endpoints(w->of->arg, str_of(w->service), r->endpoints, r->n);
	else
		tell_state(w, "none of its instances is readable: see the format in the documentation of registry redis");
	drop_parsed(r);
	if (w->again)
		redis_watch_ask(w);
}

/* Takes the members. */
static void take_members(struct redis_watch *w, struct redis_members *m)
{
	struct reading *r = mem_zalloc(sizeof(*r));

	if (r) {
		r->of = w;
		r->members = *m;
		redis_members_init(m);
		r->task = (struct task){ .run = parse, .done = on_parsed, .drop = on_drop };
		w->parsing = r;
		if (task_start(w->of->loop, &r->task))
			return;
		w->parsing = NULL;
		reading_free(r);
	}
	redis_members_release(m);
	tell_state(w, "no memory for its instances");
}

/* --- grace ---------------------------------------------------------------------------------------------------------------- */

static usec grace_end(const struct redis_watch *w)
{
	return w->grace_until > w->of->grace_until ? w->grace_until : w->of->grace_until;
}

static void see_epoch(struct redis_watch *w, struct str epoch)
{
	char now[REDIS_EPOCH_MAX];

	if (!str_copy(epoch, now, sizeof(now)))
		now[0] = '\0';
	if (w->now && strcmp(now, w->epoch) != 0)
		w->grace_until = loop_now(w->of->loop) + w->of->lease;
	memcpy(w->epoch, now, sizeof(now));
}

void redis_watch_withdrawn(struct redis_watch *w, struct str id)
{
	if (w->withdrawn.n < REDIS_WITHDRAWN_MAX && loop_now(w->of->loop) < grace_end(w))
		(void)!redis_members_add(&w->withdrawn, id, str_make("", 0)); /* no memory: it is kept a little longer */
}

/* --- replies -------------------------------------------------------------------------------------------------------------- */

/* false: no list of pairs, or no memory; then why says so. */
static bool read_members(const struct resp_value *v, size_t n, struct redis_members *m, const char **why)
{
	*why = "the answer is no list of instances";
	if (v->type != RESP_ARRAY || v->count != n - 1 || n < 2 || n % 2 != 0)
		return false;
	for (size_t i = 1; i < n; i++)
		if (v[i].type != RESP_TEXT)
			return false;
	*why = "its instances are more than 32 MiB in all, or memory is short";
	for (size_t i = 2; i + 1 < n; i += 2)
		if (!redis_members_add(m, v[i].text, v[i + 1].text))
			return false;
	return true;
}

static void compare(struct redis_watch *w, struct redis_members *m)
{
	bool same = w->now && w->now->members.n == m->n && w->now->members.sum == m->sum;

	if (m->n == 0) {
		reading_free(w->now);
		w->now = NULL;
		w->of->events.on_gone(w->of->arg, str_of(w->service));
	} else if (!same || w->deliver)
		take_members(w, m);
	w->deliver = false;
}

static void plan(struct redis_watch *w)
{
	usec now = loop_touch(w->of->loop), poll = w->of->poll, grace = grace_end(w);
	usec next = now + poll - poll / 10 + rng_below(&w->of->rng, (uint32_t)(poll / 5) + 1);

	if (grace > now && grace < next)
		next = grace; /* who said nothing by then is gone */
	timer_set(w->of->loop, &w->timer, next);
	if (w->again && !w->parsing)
		redis_watch_ask(w);
}

static void on_reply(struct redis_call *c, const struct resp_value *v, size_t n)
{
	struct redis_watch *w = LIST_OWNER(c, struct redis_watch, call);
	struct redis_members m;
	const char *why;

	if (v->type == RESP_ERROR) {
		plan(w);
		w->of->said(w->of->said_arg, str_of(w->service), v);
		return; /* the link may be gone now */
	}
	redis_members_init(&m);
	bool good = read_members(v, n, &m, &why);
	if (good) {
		tell_state(w, NULL);
		see_epoch(w, v[1].text);
		if (w->now && loop_now(w->of->loop) < grace_end(w))
			good = redis_members_keep(&m, &w->now->members, &w->withdrawn);
		else
			redis_members_release(&w->withdrawn);
		why = "no memory for its instances";
	}
	if (good)
		compare(w, &m);
	else
		tell_state(w, why);
	redis_members_release(&m);
	plan(w);
}

/* --- asking --------------------------------------------------------------------------------------------------------------- */

static bool on_send(struct redis_call *c)
{
	struct redis_watch *w = LIST_OWNER(c, struct redis_watch, call);

	w->again = false;
	w->began = loop_now(w->of->loop);
	return redis_registry_read(w->of->calls->link, str_of(w->service));
}

static void on_timer(void *arg)
{
	struct redis_watch *w = arg;

	if (w->call.flying || w->parsing)
		w->again = true;
	else if (w->of->calls->link->state == REDIS_READY)
		redis_calls_ask(w->of->calls, &w->call, false);
}

void redis_watch_ask(struct redis_watch *w)
{
	usec now = loop_touch(w->of->loop), at = w->began + REDIS_WATCH_GAP;

	w->again = w->call.flying || w->parsing;
	if (!w->again)
		timer_set(w->of->loop, &w->timer, w->began && at > now ? at : now);
}

void redis_watch_again(struct redis_watch *w)
{
	w->deliver = true;
	redis_watch_ask(w);
}

/* --- life ----------------------------------------------------------------------------------------------------------------- */

struct redis_watch *redis_watch_new(struct redis_watcher *of, struct str service)
{
	struct redis_watch *w = service.n <= REDIS_SERVICE_MAX ? mem_zalloc(sizeof(*w)) : NULL;

	if (!w)
		return NULL;
	redis_call_init(&w->call, on_send, on_reply);
	timer_init(&w->timer, on_timer, w);
	redis_members_init(&w->withdrawn);
	w->of = of;
	w->service = mem_dup(service.p, service.n);
	if (w->service)
		return w;
	redis_watch_free(w);
	return NULL;
}

void redis_watch_free(struct redis_watch *w)
{
	if (!w)
		return;
	redis_calls_leave(w->of->calls, &w->call);
	timer_clear(&w->timer);
	if (w->parsing)
		task_leave(&w->parsing->task, 0);
	reading_free(w->now);
	redis_members_release(&w->withdrawn);
	mem_free(w->service);
	mem_free(w);
}

struct str redis_watch_service(const struct redis_watch *w)
{
	return str_of(w->service);
}
