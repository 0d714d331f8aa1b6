#include "redis_watch.h"

#include "base/mem.h"
#include "net/task.h"
#include "redis_known.h"

#include <stdio.h>

struct reading { /* a set that was read, parsed on a thread; owned by its watch */
	struct task task;
	struct redis_watch *of; /* NULL is never: who leaves the task has it dropped */
	struct redis_known known;
	bool short_of_memory;
};

struct redis_watch {
	struct redis_call call;
	struct redis_watcher *of;
	char *service; /* owned */
	struct timer timer;
	usec began;   /* the last whole reading */
	usec poll_at; /* the next one, whatever messages say; 0: none is planned */
	usec few_due; /* when readings of a few would be due, had they come REDIS_WATCH_GAP apart */
	bool whole;   /* a whole reading is wanted; what few say then counts for nothing */
	bool deliver, flying_few;
	bool refused; /* its last reading was answered by an error, or by nonsense */
	struct redis_members few;      /* ids to be asked for; their values are empty */
	struct reading *now, *parsing; /* owned; NULL: nothing is known; nothing is parsed */
	struct redis_members withdrawn;
	usec grace_until;
	char epoch[REDIS_EPOCH_MAX];
};

static void arm(struct redis_watch *w);

/* --- a reading ------------------------------------------------------------------------------------------------------------ */

static void reading_free(struct reading *r)
{
	if (!r)
		return;
	redis_known_release(&r->known);
	mem_free(r);
}

static void on_drop(struct task *t)
{
	reading_free(LIST_OWNER(t, struct reading, task));
}

static void parse(struct task *t)
{
	struct reading *r = LIST_OWNER(t, struct reading, task);

	r->short_of_memory = !redis_known_parse(&r->known);
}

static void tell_state(struct redis_watch *w, const char *error)
{
	struct resp_value v = { .type = error ? RESP_ERROR : RESP_STATUS };

	w->refused = error != NULL;
	if (error)
		v.text = str_of(error);
	w->of->said(w->of->said_arg, str_of(w->service), &v);
}

static void gone(struct redis_watch *w)
{
	reading_free(w->now);
	w->now = NULL;
	w->of->events.on_gone(w->of->arg, str_of(w->service));
}

static void deliver(struct redis_watch *w)
{
	const struct redis_known *k = &w->now->known;

	if (k->members.n == 0)
		gone(w);
	else if (k->n > 0)
		w->of->events.on_endpoints(w->of->arg, str_of(w->service), k->at, k->n);
	else
		tell_state(w, "none of its instances is readable: see the format in the documentation of registry redis");
}

static void on_parsed(struct task *t)
{
	struct reading *r = LIST_OWNER(t, struct reading, task);
	struct redis_watch *w = r->of;

	w->parsing = NULL;
	if (r->short_of_memory) {
		tell_state(w, "no memory for its instances"); /* the next poll tries again */
		reading_free(r);
	} else {
		reading_free(w->now);
		w->now = r;
		deliver(w);
	}
	arm(w);
}

/* Takes the members. */
static void take_members(struct redis_watch *w, struct redis_members *m)
{
	struct reading *r = mem_zalloc(sizeof(*r));

	if (r) {
		r->of = w;
		redis_known_init(&r->known, m);
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

static void note_withdrawn(struct redis_watch *w, struct str id)
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
	const struct redis_known *k = w->now ? &w->now->known : NULL;
	bool same = k && k->members.n == m->n && k->members.sum == m->sum && k->stale < REDIS_STALE_MAX;

	if (m->n == 0)
		gone(w);
	else if (!same || w->deliver)
		take_members(w, m);
	w->deliver = false;
}

static void plan_poll(struct redis_watch *w)
{
	usec now = loop_touch(w->of->loop), poll = w->of->poll, grace = grace_end(w);

	w->poll_at = now + poll - poll / 10 + rng_below(&w->of->rng, (uint32_t)(poll / 5) + 1);
	if (grace > now && grace < w->poll_at)
		w->poll_at = grace; /* who said nothing by then is gone */
	arm(w);
}

static void on_whole(struct redis_watch *w, const struct resp_value *v, size_t n)
{
	struct redis_members m;
	const char *why;

	if (v->type == RESP_ERROR) {
		plan_poll(w);
		w->refused = true;
		w->of->said(w->of->said_arg, str_of(w->service), v);
		return; /* the link may be gone now */
	}
	redis_members_init(&m);
	bool good = read_members(v, n, &m, &why);
	if (good) {
		tell_state(w, NULL);
		see_epoch(w, v[1].text);
		if (w->now && loop_now(w->of->loop) < grace_end(w))
			good = redis_members_keep(&m, &w->now->known.members, &w->withdrawn);
		else
			redis_members_release(&w->withdrawn);
		why = "no memory for its instances";
	}
	if (good)
		compare(w, &m);
	else
		tell_state(w, why);
	redis_members_release(&m);
	plan_poll(w);
}

/* --- a few ---------------------------------------------------------------------------------------------------------------- */

/* While nobody is to be forgotten (grace), only whole readings count: they alone know whom to keep. */
static bool can_take_few(const struct redis_watch *w)
{
	return w->now && w->now->known.stale < REDIS_STALE_MAX && loop_now(w->of->loop) >= grace_end(w);
}

/* Of an answer to a few: is it one, and of the same data set? An error is none: the whole reading says it if it is one there, too. */
static bool is_of_few(const struct redis_watch *w, const struct resp_value *v, size_t n)
{
	if (v->type != RESP_ARRAY || v->count != n - 1 || n < 2 || n % 2 != 0 || v[1].type != RESP_TEXT)
		return false;
	for (size_t i = 2; i + 1 < n; i += 2)
		if (v[i].type != RESP_TEXT || (v[i + 1].type != RESP_TEXT && v[i + 1].type != RESP_NIL))
			return false;
	return str_eq(v[1].text, str_of(w->epoch));
}

static void on_few(struct redis_watch *w, const struct resp_value *v, size_t n)
{
	bool good = can_take_few(w) && is_of_few(w, v, n), changed = false;

	for (size_t i = 2; i + 1 < n && good; i += 2) {
		enum redis_change c = redis_known_put(
			&w->now->known, v[i].text, v[i + 1].type == RESP_TEXT ? &v[i + 1].text : NULL);
		good = c != REDIS_UNABLE;
		changed = changed || c == REDIS_CHANGED;
	}
	if (changed && w->now->known.n > 0)
		tell_state(w, NULL);
	if (changed)
		deliver(w);
	if (good)
		arm(w);
	else
		redis_watch_ask(w);
}

/* Of more than fit into one command all is read. */
static void remember(struct redis_watch *w, struct str id)
{
	if (redis_members_find(&w->few, id) != SIZE_MAX)
		return;
	if (w->few.n == REDIS_FEW_MAX || w->few.bytes.n + id.n > REDIS_FEW_BYTES_MAX || !redis_members_add(&w->few, id, STR("")))
		w->whole = true;
}

/* --- asking --------------------------------------------------------------------------------------------------------------- */

static bool wants_all(const struct redis_watch *w)
{
	return w->whole || !can_take_few(w);
}

static bool on_send(struct redis_call *c)
{
	struct redis_watch *w = LIST_OWNER(c, struct redis_watch, call);
	usec now = loop_now(w->of->loop);
	bool sent;

	w->flying_few = w->few.n > 0 && !wants_all(w) && now < w->poll_at;
	if (w->flying_few) {
		w->few_due = (w->few_due > now ? w->few_due : now) + REDIS_WATCH_GAP;
		sent = redis_registry_read_few(w->of->calls->link, str_of(w->service), &w->few);
	} else {
		w->whole = false;
		w->began = now;
		sent = redis_registry_read(w->of->calls->link, str_of(w->service));
	}
	redis_members_release(&w->few); /* whatever they were told of, was before this reading */
	return sent;
}

static void on_reply(struct redis_call *c, const struct resp_value *v, size_t n)
{
	struct redis_watch *w = LIST_OWNER(c, struct redis_watch, call);

	if (w->flying_few)
		on_few(w, v, n);
	else
		on_whole(w, v, n);
}

static bool is_busy(const struct redis_watch *w)
{
	return w->call.flying || w->parsing;
}

static void ask_now(struct redis_watch *w)
{
	bool is_queued = !list_empty(&w->call.link); /* it keeps its place */

	if (w->of->calls->link->state == REDIS_READY && !is_queued)
		redis_calls_ask(w->of->calls, &w->call, false);
}

static void on_timer(void *arg)
{
	struct redis_watch *w = arg;

	if (!is_busy(w)) /* else its end arms anew */
		ask_now(w);
}

/* When messages alone decide. 0: at once. */
static usec due(const struct redis_watch *w)
{
	if (wants_all(w))
		return w->began ? w->began + REDIS_WATCH_GAP : 0;
	usec ahead = (REDIS_FEW_BURST - 1) * REDIS_WATCH_GAP;
	return w->few_due > ahead ? w->few_due - ahead : 0;
}

/* The next reading, when nothing is under way; whatever is, arms at its end. */
static void arm(struct redis_watch *w)
{
	usec at = w->whole || w->few.n > 0 ? due(w) : w->poll_at;

	if (is_busy(w))
		return;
	if (w->poll_at && w->poll_at < at)
		at = w->poll_at;
	usec now = loop_touch(w->of->loop);
	timer_set(w->of->loop, &w->timer, at > now ? at : now);
}

void redis_watch_ask(struct redis_watch *w)
{
	w->whole = true;
	arm(w);
}

void redis_watch_again(struct redis_watch *w)
{
	w->deliver = true;
	redis_watch_ask(w);
}

void redis_watch_hear(struct redis_watch *w, struct str id, bool withdrawn)
{
	bool named = id.n > 0 && id.n <= REDIS_ID_MAX;

	if (named)
		remember(w, id);
	else
		w->whole = true;
	if (named && withdrawn)
		note_withdrawn(w, id);
	if (!is_busy(w) && due(w) <= loop_touch(w->of->loop))
		ask_now(w); /* a timer would be some milliseconds late */
	else
		arm(w);
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
	redis_members_init(&w->few);
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
	redis_members_release(&w->few);
	mem_free(w->service);
	mem_free(w);
}

bool redis_watch_answers(const struct redis_watch *w)
{
	return !w->refused;
}

struct str redis_watch_service(const struct redis_watch *w)
{
	return str_of(w->service);
}
