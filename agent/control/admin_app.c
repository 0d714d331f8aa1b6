/* /app/config: what the service beside the agent may read of its own properties.
 *
 * They may hold secrets, so the guard asks for more than on other pages: `X-Outrider: 1` (a service that is tricked into
 * fetching a URL sends no such field), a token off loopback, and nothing that a proxy adds. */
#include "control/admin.h"

#include "base/mem.h"
#include "control/app_env.h"
#include "control/option_value.h"
#include "net/timer.h"

#define WAIT_MAX (300 * USEC_SEC)
#define WAITERS_MAX 16u /* of the 64 connections of the admin port */
#define PREFIX "/app/config"

struct waiter { /* a request that waits for a change */
	struct list link;
	struct admin *a;
	struct httpd_request *request;
	struct timer timer;
};

/* --- who may ask ------------------------------------------------------------------------------------------------------ */

static bool came_through_proxy(const struct httpd_request *r)
{
	static const char *const fields[] = { "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP" };
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (httpd_header(r, fields[i]).p)
			return true;
	return false;
}

/* --- answers ---------------------------------------------------------------------------------------------------------- */

static void etag(const struct admin *a, char dst[24])
{
	struct text t;
	text_init(&t, 23);
	text_fmt(&t, "\"%016llx\"", (unsigned long long)reload_stats(a->agent->reload).hash);
	str_copy(text_str(&t), dst, 24);
	text_release(&t);
}

static bool has_current(const struct admin *a, struct httpd_request *r)
{
	char now[24];
	struct str list = httpd_header(r, "If-None-Match"), piece;
	etag(a, now);
	while (str_next(&list, ',', &piece)) {
		if (str_starts(piece, STR("W/")))
			piece = str_make(piece.p + 2, piece.n - 2);
		if (str_eq(piece, str_of(now)) || str_eq(piece, STR("*")))
			return true;
	}
	return false;
}

static void reply(struct admin *a, struct httpd_request *r, int status, const char *type, struct text *t)
{
	char tag[24];
	etag(a, tag);
	httpd_reply_header(r, "Cache-Control", "no-store");
	httpd_reply_header(r, "X-Content-Type-Options", "nosniff");
	httpd_reply_header(r, "ETag", tag);
	if (t->failed)
		httpd_reply(r, 500, "text/plain; charset=utf-8", STR("the page is too large, or memory is short\n"));
	else
		httpd_reply(r, status, type, text_str(t));
	if (t->p)
		explicit_bzero(t->p, t->n);
	text_release(t);
}

static void print_json(struct text *t, const struct properties *p)
{
	struct json j = json_begin(t);
	json_object(&j);
	for (size_t i = 0; i < p->n; i++) {
		if (!app_owns(p->at[i].key))
			continue;
		json_keyn(&j, p->at[i].key);
		json_str(&j, p->at[i].value);
	}
	json_end(&j);
	text_char(t, '\n');
}

/* "json", "properties", "env": by ?format=, or the end of the path. */
static struct str format_of(struct httpd_request *r)
{
	struct str path = httpd_path(r), asked = httpd_query(r, "format");
	if (asked.p)
		return asked;
	if (str_eq(path, STR(PREFIX ".properties")))
		return STR("properties");
	return str_eq(path, STR(PREFIX ".env")) ? STR("env") : STR("json");
}

static void reply_all(struct admin *a, struct httpd_request *r)
{
	const struct properties *p = reload_properties(a->agent->reload);
	struct str format = format_of(r);
	struct text t;

	text_init(&t, HTTPD_REPLY_MAX);
	if (str_eq(format, STR("properties"))) {
		app_print_properties(&t, p);
		reply(a, r, 200, "text/plain; charset=utf-8", &t);
	} else if (str_eq(format, STR("env"))) {
		app_print_env(&t, p);
		reply(a, r, 200, "text/plain; charset=utf-8", &t);
	} else if (str_eq(format, STR("json"))) {
		print_json(&t, p);
		reply(a, r, 200, "application/json", &t);
	} else {
		admin_refuse(r, 400, "bad-format", "The query's format is none of those that there are.",
			"?format=json, properties or env.");
	}
}

static void reply_one(struct admin *a, struct httpd_request *r, struct str key)
{
	const struct property *p = app_owns(key) ? properties_find(reload_properties(a->agent->reload), key) : NULL;
	struct text t;

	if (!p) {
		admin_refuse(r, 404, "no-such-property", "No source of outrider.config has this property.",
			"GET " PREFIX " lists those that there are, GET /config the sources.");
		return;
	}
	text_init(&t, HTTPD_REPLY_MAX);
	text_add(&t, p->value);
	reply(a, r, 200, "text/plain; charset=utf-8", &t);
}

static void answer(struct admin *a, struct httpd_request *r)
{
	struct str path = httpd_path(r), prefix = STR(PREFIX "/");
	struct text none;

	if (has_current(a, r)) {
		text_init(&none, 16);
		reply(a, r, 304, "application/json", &none);
	} else if (str_starts(path, prefix) && path.n > prefix.n) {
		reply_one(a, r, str_make(path.p + prefix.n, path.n - prefix.n));
	} else {
		reply_all(a, r);
	}
}

/* --- waiting ---------------------------------------------------------------------------------------------------------- */

static void waiter_end(struct waiter *w)
{
	w->a->n_waiters--;
	list_remove(&w->link);
	timer_clear(&w->timer);
	mem_free(w);
}

static void on_gone(void *arg)
{
	waiter_end(arg);
}

static void waiter_answer(void *arg)
{
	struct waiter *w = arg;
	struct admin *a = w->a;
	struct httpd_request *r = w->request;
	waiter_end(w);
	answer(a, r);
}

static void wait_for_change(struct admin *a, struct httpd_request *r, usec limit)
{
	struct waiter *w = a->n_waiters < WAITERS_MAX ? mem_zalloc(sizeof(*w)) : NULL;
	if (!w) {
		admin_refuse(r, 503, "too-many-waiters", "Too many requests wait for a change already, or memory is short.",
			"Let one request of the service wait and share what it gets.");
		return;
	}
	w->a = a;
	w->request = r;
	a->n_waiters++;
	list_append(&a->waiters, &w->link);
	timer_init(&w->timer, waiter_answer, w);
	timer_set(a->agent->loop, &w->timer, loop_touch(a->agent->loop) + (limit < WAIT_MAX ? limit : WAIT_MAX));
	httpd_on_gone(r, on_gone, w);
}

void admin_app_changed(void *arg)
{
	struct admin *a = arg;
	LIST_EACH(it, tmp, &a->waiters) {
		struct waiter *w = LIST_OWNER(it, struct waiter, link);
		if (!has_current(a, w->request))
			waiter_answer(w);
	}
}

void admin_page_app_config(struct admin *a, struct httpd_request *r)
{
	struct str wait = httpd_query(r, "wait");
	usec limit = 0;

	if (came_through_proxy(r)) {
		admin_refuse(r, 403, "forwarded",
			"The request came through a proxy: it has Forwarded, Via, X-Forwarded-For, X-Forwarded-Host or X-Real-IP.",
			"Only the service itself may ask, directly.");
	} else if (wait.p && !duration_parse(wait, &limit)) {
		admin_refuse(r, 400, "bad-wait", "The query's wait is no duration.", "?wait=30s");
	} else if (limit && (has_current(a, r) || !httpd_header(r, "If-None-Match").p)) {
		wait_for_change(a, r, limit);
	} else {
		answer(a, r);
	}
}
