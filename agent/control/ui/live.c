/* /ui/live: readers, and what they are sent.
 *
 *     hello, history, tick ──> a tick every UI_INTERVAL, a change when it happens, a comment when there was nothing for long
 *
 * What several readers of a scope see is made once. Who has not taken the last tick gets the next one later, and who takes nothing for
 * 30 s is dropped by httpd. */
#include "control/ui/ui_int.h"

#include "control/ui/state.h"

#define PING (20 * USEC_SEC)

void ui_live_send(struct ui_reader *q, const struct text *event)
{
	if (q->r && !event->failed && !httpd_stream_send(q->r, text_str(event)))
		q->r = NULL; /* too slow, or gone */
}

bool ui_live_late(const struct ui_reader *q)
{
	return httpd_stream_backlog(q->r) > 0;
}

bool ui_live_any(const struct ui *u, enum ui_scope s)
{
	for (unsigned i = 0; i < UI_READERS; i++)
		if (u->readers[i].r && u->readers[i].scope == s)
			return true;
	return false;
}

/* --- events ------------------------------------------------------------------------------------------------------------------------ */

static struct json event_begin(struct text *t, const char *name)
{
	text_init(t, UI_EVENT_MAX);
	text_fmt(t, "event: %s\ndata: ", name);
	return json_begin(t);
}

static void event_end(struct text *t)
{
	text_addz(t, "\n\n");
}

static void make_tick(struct text *t, const struct ui *u, const struct agent *a)
{
	struct json j = event_begin(t, "tick");

	json_object(&j);
	json_put_u64(&j, "time_ms", u->sampler.wall / USEC_MS);
	json_key(&j, "agents");
	json_array(&j);
	json_object(&j);
	json_key(&j, "node");
	json_str(&j, a->node);
	json_key(&j, "address");
	json_strz(&j, "");
	json_key(&j, "ok");
	json_bool(&j, true);
	json_key(&j, "state");
	json_object(&j);
	ui_put_state(u, a, &j, UI_STATE_MAX);
	for (int open = 0; open < 2; open++)
		json_end(&j); /* state, its agent */
	json_end(&j);
	json_end(&j);
	event_end(t);
}

static void send_hello(struct ui_reader *q, const struct admin *a)
{
	struct text t;
	struct json j = event_begin(&t, "hello");

	ui_put_hello(q->of, a->agent, &j, q->scope, ui_writes(a, q->r));
	event_end(&t);
	ui_live_send(q, &t);
	text_release(&t);
}

static void send_history(struct ui_reader *q, const struct agent *a)
{
	const struct ui *u = q->of;
	struct text t;
	struct json j = event_begin(&t, "history");

	json_object(&j);
	json_put_u64(&j, "interval_ms", UI_INTERVAL / USEC_MS);
	json_put_u64(&j, "until_ms", u->sampler.wall / USEC_MS);
	json_key(&j, "agents");
	json_array(&j);
	json_object(&j);
	ui_put_history(u, a, &j, 0, UI_EVENT_MAX - 1024);
	json_end(&j);
	json_end(&j);
	json_end(&j);
	event_end(&t);
	ui_live_send(q, &t);
	text_release(&t);
}

static void send_tick(struct ui_reader *q, const struct agent *a)
{
	struct text t;

	make_tick(&t, q->of, a);
	ui_live_send(q, &t);
	text_release(&t);
}

/* --- ticks ------------------------------------------------------------------------------------------------------------------------- */

/* Its sidecar has left: so does the reader. */
static void end(struct ui_reader *q)
{
	struct httpd_request *r = q->r;

	q->r = NULL;
	httpd_stream_end(r);
}

static void tick(struct ui *u)
{
	struct text whole;
	bool made = false;

	text_init(&whole, UI_EVENT_MAX);
	for (unsigned i = 0; i < UI_READERS; i++) {
		struct ui_reader *q = &u->readers[i];
		const struct agent *a = ui_agent(u, q->seat);
		if (!q->r || q->scope == UI_SCOPE_SWARM || ui_live_late(q))
			continue;
		if (!a) {
			end(q);
		} else if (a != u->root) {
			send_tick(q, a);
		} else {
			if (!made)
				make_tick(&whole, u, a);
			made = true;
			ui_live_send(q, &whole);
		}
	}
	text_release(&whole);
}

static void ping(struct ui *u)
{
	struct text t;

	text_init(&t, 16);
	text_addz(&t, ": ping\n\n");
	for (unsigned i = 0; i < UI_READERS; i++)
		ui_live_send(&u->readers[i], &t);
	text_release(&t);
}

void ui_live_tick(struct ui *u, usec now)
{
	tick(u);
	if (ui_live_any(u, UI_SCOPE_SWARM))
		ui_swarm_tick(u);
	if (now < u->pinged + PING)
		return;
	u->pinged = now;
	ping(u);
}

void ui_live_changed(void *arg, uint64_t number, struct str json)
{
	struct ui *u = arg;
	struct text t;

	text_init(&t, UI_EVENT_MAX);
	text_fmt(&t, "event: change\ndata: ");
	text_add(&t, json);
	event_end(&t);
	for (unsigned i = 0; i < UI_READERS; i++) {
		struct ui_reader *q = &u->readers[i];
		if (q->r && q->scope != UI_SCOPE_SWARM && changes_is_of(u->changes, number, q->seat))
			ui_live_send(q, &t);
	}
	text_release(&t);
}

/* --- readers ------------------------------------------------------------------------------------------------------------------------ */

static void on_gone(void *arg)
{
	struct ui_reader *q = arg;

	q->r = NULL;
}

static struct ui_reader *free_place(struct ui *u)
{
	for (unsigned i = 0; i < UI_READERS; i++)
		if (!u->readers[i].r)
			return &u->readers[i];
	return NULL;
}

/* The scope that is asked for, else the widest that needs no other agent. */
static bool scope_of(struct httpd_request *r, unsigned scopes, enum ui_scope *ret)
{
	struct str asked = httpd_query(r, "scope");

	for (unsigned s = 0; s < UI_SCOPES; s++) {
		if (!(scopes & 1u << s) ||
			(asked.p && !str_eq(asked, str_of(ui_scope_word((enum ui_scope)s)))))
			continue;
		*ret = (enum ui_scope)s;
		return true;
	}
	return false;
}

static void begin_stream(struct httpd_request *r)
{
	httpd_reply_header(r, "Cache-Control", "no-store");
	httpd_reply_header(r, "X-Content-Type-Options", "nosniff");
	httpd_reply_header(r, "X-Accel-Buffering", "no"); /* a proxy between must not keep it back */
	httpd_stream_begin(r, 200, "text/event-stream; charset=utf-8");
}

static void begin_reader(struct ui_reader *q, struct admin *a, struct httpd_request *r, enum ui_scope scope)
{
	struct ui *u = q->of;

	*q = (struct ui_reader){ .of = u,
		.r = r,
		.scope = scope,
		.seat = ui_seat(u, a->agent),
		.waits = scope == UI_SCOPE_SWARM };
	httpd_on_gone(r, on_gone, q);
	begin_stream(r);
	send_hello(q, a);
	if (scope == UI_SCOPE_SWARM) {
		ui_swarm_history(u);
		ui_swarm_tick(u);
		return;
	}
	send_history(q, a->agent);
	q->ready = true;
	send_tick(q, a->agent);
}

void ui_page_live(struct admin *a, struct httpd_request *r)
{
	struct ui *u = a->agent->ui;
	enum ui_scope scope;

	if (!u || !u->root) {
		admin_refuse(r, 503, "starting", "The agent has not begun to look at its traffic.",
			"Ask again in a moment.");
		return;
	}
	if (!scope_of(r, ui_scopes(u, a->agent), &scope)) {
		admin_refuse(r, 400, "bad-scope", "There is no such scope here.",
			"Leave ?scope= out, or take one that the event hello names in `scopes`.");
		return;
	}
	if (strcmp(httpd_method(r), "HEAD") == 0) { /* no stream follows: it takes no place */
		begin_stream(r);
		httpd_stream_end(r);
		return;
	}
	struct ui_reader *q = free_place(u);
	if (q)
		begin_reader(q, a, r, scope);
	else
		admin_refuse(r, 503, "busy", "As many readers as may be are there already.",
			"Close one of the pages; there may be ten.");
}
