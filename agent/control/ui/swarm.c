/* Scope swarm: what all agents of outrider.agents say, for all readers together.
 *
 *     every UI_INTERVAL: /ui/state of each, in parallel ──> one tick, and a change for each that was not told before
 *     a reader comes:    /ui/history of each            ──> its history
 *
 * Each agent is asked for its share of what one event may have. Whose answer does not fit all the same is named in place of it.
 *
 * One round of each kind at a time; a round ends before the next is due. What agents say is that of peers: bounded, parsed, on one line, and
 * of their changes only the known fields are passed on. The page takes all of it for text. */
#include "control/ui/ui_int.h"

#include "base/mem.h"
#include "control/ui/state.h"

#include <stdio.h>

#define ROUND (UI_INTERVAL - 300 * USEC_MS)
#define CHANGES_MS 15000u /* asked of each: more than a round or two that failed */
#define ALL_BYTES                                                                                            \
	(768u * 1024u) /* what all agents together are asked for; who says more than its share takes it from what is spare of an event */
#define HISTORY_POINTS 150u
#define HISTORY_BYTES (160u * 1024u) /* of one agent */
#define WHY_BYTES 640u               /* of an agent that is only named, with the cause */
#define TOO_LONG "left out: what all agents say is too long for one event"
#define TEXT_MAX 512u

struct told { /* the newest change of an agent that readers know */
	char agent[ADDR_TEXT_MAX];
	uint64_t time_ms, number;
};

struct round {
	struct ui *of;
	struct swarm *swarm;   /* owned; its own, so that one kind does not take the other's places */
	struct swarm_ask *ask; /* NULL: none is under way */
	struct text event;
};

struct ui_swarm {
	struct round state, history;
	unsigned agents; /* of the last round: what each may say */
	bool counted;    /* there was one */
	struct told told[SWARM_AGENTS_MAX];
	unsigned n_told;
};

/* --- making events -------------------------------------------------------------------------------------------------------------------- */

/* As JSON it is the same; a line break would end the event's line. */
static void add_on_one_line(struct text *t, struct str json)
{
	size_t from = t->n;

	text_add(t, json);
	for (size_t i = from; i < t->n; i++)
		if (t->p[i] == '\n' || t->p[i] == '\r')
			t->p[i] = ' ';
}

static const char *text_of(const cJSON *object, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(v) ? v->valuestring : NULL;
}

static uint64_t number_of(const cJSON *object, const char *key)
{
	uint64_t v = 0;

	(void)str_u64(str_of(text_of(object, key)), &v);
	return v;
}

static void put_text(struct json *j, const char *key, const char *z)
{
	json_key(j, key);
	if (z)
		json_str(j, str_make(z, strnlen(z, TEXT_MAX)));
	else
		json_null(j);
}

static struct json begin_member(struct text *t)
{
	if (t->n && t->p[t->n - 1] != '[')
		text_char(t, ',');
	struct json j = json_begin(t);
	json_object(&j);
	return j;
}

static void begin_event(struct text *t, const char *name, usec interval)
{
	text_init(t, UI_EVENT_MAX);
	text_fmt(t, "event: %s\ndata: {\"%s_ms\":%llu,", name, interval ? "interval" : "time",
		(unsigned long long)((interval ? interval : clock_wall()) / USEC_MS));
	if (interval)
		text_fmt(
			t, "\"until_ms\":%llu,\"changes\":[],", (unsigned long long)(clock_wall() / USEC_MS));
	text_addz(t, "\"agents\":[");
}

static void send_all(struct round *r, bool to_waiting)
{
	struct ui *u = r->of;

	text_addz(&r->event, "]}\n\n");
	for (unsigned i = 0; i < UI_READERS; i++) {
		struct ui_reader *q = &u->readers[i];
		if (!q->r || q->scope != UI_SCOPE_SWARM ||
			(to_waiting ? !q->waits : !q->ready || ui_live_late(q)))
			continue;
		ui_live_send(q, &r->event);
		if (to_waiting) {
			q->waits = false;
			q->ready = true;
		}
	}
	text_release(&r->event);
}

/* --- changes ----------------------------------------------------------------------------------------------------------------------------- */

static struct told *told_of(struct ui_swarm *s, const char *agent)
{
	for (unsigned i = 0; i < s->n_told && i < SWARM_AGENTS_MAX; i++)
		if (strcmp(s->told[i].agent, agent) == 0)
			return &s->told[i];
	struct told *t = &s->told[s->n_told++ %
				  SWARM_AGENTS_MAX]; /* of more agents, those known longest are forgotten */
	*t = (struct told){ .number = 0 };
	str_copy(str_of(agent), t->agent, sizeof(t->agent));
	return t;
}

static void pass_on(struct ui *u, const cJSON *change)
{
	static const char *const texts[] = { "node", "kind", "service", "upstream", "subject", "text" };
	struct text t;

	text_init(&t, 32 * 1024); /* six texts of TEXT_MAX bytes that may each need six */
	text_addz(&t, "event: change\ndata: ");
	struct json j = json_begin(&t);
	json_object(&j);
	json_key(&j, "number");
	json_u64(&j, number_of(change, "number"));
	json_key(&j, "time_ms");
	json_u64(&j, number_of(change, "time_ms"));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		put_text(&j, texts[i], text_of(change, texts[i]));
	json_end(&j);
	text_addz(&t, "\n\n");
	for (unsigned i = 0; i < UI_READERS; i++)
		if (u->readers[i].r && u->readers[i].scope == UI_SCOPE_SWARM && u->readers[i].ready)
			ui_live_send(&u->readers[i], &t);
	text_release(&t);
}

/* By the agent's own clock and numbers: one that began anew counts from one again, later. */
static bool is_news(const struct told *t, const cJSON *change)
{
	uint64_t at = number_of(change, "time_ms"), number = number_of(change, "number");

	return at > t->time_ms || (at == t->time_ms && number > t->number);
}

static void pass_changes(struct ui *u, const struct swarm_answer *a)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(a->tree, "changes"), *one;
	struct told *t = told_of(u->swarm, a->agent);
	bool first = !t->time_ms; /* what was before a reader came stands in its history */
	unsigned n = 0;

	cJSON_ArrayForEach(one, list)
	{
		if (!is_news(t, one) || n++ >= CHANGES_KEPT)
			continue;
		t->time_ms = number_of(one, "time_ms");
		t->number = number_of(one, "number");
		if (!first)
			pass_on(u, one);
	}
	if (first && !t->time_ms)
		t->time_ms = 1; /* it was asked, and had none */
}

/* --- ticks -------------------------------------------------------------------------------------------------------------------------------- */

static void put_failure(struct json *j, const struct swarm_answer *a, const char *why)
{
	put_text(j, "node", NULL);
	put_text(j, "address", a->agent);
	json_key(j, "ok");
	json_bool(j, false);
	put_text(j, "error", why);
	json_end(j);
}

/* An agent of before has no such page, and another program no such object. */
static const char *what_is_wrong(const struct swarm_answer *a)
{
	if (!a->status)
		return a->why;
	if (a->status != 200)
		return a->status == 404 ? "its agent is older, and has no such page"
					: "its agent refused to say it";
	return cJSON_IsObject(a->tree) && a->tree->child ? NULL : "its answer is no state of an agent";
}

/* Room stays for the names of those that did not answer yet. */
static bool fits(const struct round *r, const struct swarm_answer *a)
{
	return r->event.n + a->body.n + (1 + SWARM_AGENTS_MAX) * WHY_BYTES <= UI_EVENT_MAX;
}

static void on_state(void *arg, const struct swarm_answer *a)
{
	struct round *r = arg;
	const char *wrong = what_is_wrong(a);

	if (!wrong)
		pass_changes(r->of, a);
	if (!wrong && !fits(r, a))
		wrong = TOO_LONG;
	struct json j = begin_member(&r->event);

	if (wrong) {
		put_failure(&j, a, wrong);
		return;
	}
	put_text(&j, "node", text_of(cJSON_GetObjectItemCaseSensitive(a->tree, "hello"), "node"));
	put_text(&j, "address", a->agent);
	json_key(&j, "ok");
	json_bool(&j, true);
	json_key(&j, "state");
	add_on_one_line(&r->event, a->body);
	text_char(&r->event, '}');
}

static bool somebody_waits(const struct ui *u)
{
	for (unsigned i = 0; i < UI_READERS; i++)
		if (u->readers[i].r && u->readers[i].waits)
			return true;
	return false;
}

static void on_states(void *arg, const struct swarm_counts *c)
{
	struct round *r = arg;

	r->ask = NULL;
	r->of->swarm->agents = c->asked;
	r->of->swarm->counted = true;
	send_all(r, false);
	if (somebody_waits(r->of))
		ui_swarm_history(r->of);
}

/* --- history ------------------------------------------------------------------------------------------------------------------------------ */

static void on_history(void *arg, const struct swarm_answer *a)
{
	struct round *r = arg;
	struct str body = a->body;
	const char *wrong = what_is_wrong(a);

	if (!wrong && !fits(r, a))
		wrong = TOO_LONG;
	if (wrong || body.n < 2 || body.p[body.n - 1] != '}') {
		struct json j = begin_member(&r->event);
		put_failure(&j, a, wrong ? wrong : "its answer is no history of an agent");
		return;
	}
	if (r->event.p[r->event.n - 1] != '[')
		text_char(&r->event, ',');
	add_on_one_line(&r->event, str_make(body.p, body.n - 1));
	text_addz(&r->event, ",\"address\":\"");
	json_escape(&r->event, str_of(a->agent));
	text_addz(&r->event, "\"}");
}

static void on_histories(void *arg, const struct swarm_counts *c)
{
	struct round *r = arg;

	(void)c;
	r->ask = NULL;
	send_all(r, true);
	ui_swarm_tick(r->of); /* who waited for it sees figures at once, not at the next interval */
}

/* --- rounds --------------------------------------------------------------------------------------------------------------------------------- */

static struct ui_swarm *swarm_of(struct ui *u)
{
	struct err err = { "" };

	if (!u->swarm)
		u->swarm = mem_zalloc(sizeof(*u->swarm));
	if (!u->swarm)
		return NULL;
	u->swarm->state.of = u->swarm->history.of = u;
	if (!u->swarm->state.swarm)
		u->swarm->state.swarm = swarm_new(u->loop, &err);
	if (!u->swarm->history.swarm)
		u->swarm->history.swarm = swarm_new(u->loop, &err);
	return u->swarm->state.swarm && u->swarm->history.swarm ? u->swarm : NULL;
}

static void begin_round(struct round *r, struct swarm_question *q)
{
	struct err err = { "" };

	q->agents = options_text(reload_options(r->of->root->reload), OPT_AGENTS);
	q->total = ROUND;
	q->arg = r;
	r->ask = swarm_ask_start(r->swarm, q, &err);
	if (!r->ask)
		text_release(&r->event);
}

static size_t share_of(const struct ui_swarm *s, size_t most)
{
	size_t bytes = ALL_BYTES / (s->agents ? s->agents : SWARM_AGENTS_MAX);

	return bytes < most ? bytes : most;
}

void ui_swarm_tick(struct ui *u)
{
	struct ui_swarm *s = swarm_of(u);
	char page[96];

	if (!s || s->state.ask)
		return;
	size_t bytes = share_of(s, UI_STATE_MAX / 2);
	snprintf(page, sizeof(page), "ui/state?bytes=%zu&changes_ms=%u", bytes, CHANGES_MS);
	begin_event(&s->state.event, "tick", 0);
	begin_round(&s->state,
		&(struct swarm_question){
			.page = page, .page_max = SWARM_PAGE_MAX, .on_answer = on_state, .done = on_states });
}

void ui_swarm_history(struct ui *u)
{
	struct ui_swarm *s = swarm_of(u);
	char page[96];

	if (!s || s->history.ask || !s->counted)
		return; /* how much each may say is known when a round of states is over, which asks again */
	snprintf(page, sizeof(page), "ui/history?points=%u&bytes=%zu", HISTORY_POINTS,
		share_of(s, HISTORY_BYTES - 1024));
	begin_event(&s->history.event, "history", ui_history_step(HISTORY_POINTS) * UI_INTERVAL);
	begin_round(&s->history, &(struct swarm_question){ .page = page,
					 .page_max = HISTORY_BYTES,
					 .on_answer = on_history,
					 .done = on_histories });
}

static void round_free(struct round *r)
{
	swarm_free(r->swarm); /* its asks end without a word */
	text_release(&r->event);
}

void ui_swarm_free(struct ui_swarm *s)
{
	if (!s)
		return;
	round_free(&s->state);
	round_free(&s->history);
	mem_free(s);
}
