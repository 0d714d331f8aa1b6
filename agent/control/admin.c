#include "control/admin.h"

#include "control/nearest.h"
#include "control/plain.h"
#include "control/ui/page.h"

#include <stdio.h>

#define TYPE_JSON "application/json"
#define TYPE_TEXT "text/plain; charset=utf-8"

/* --- answers --------------------------------------------------------------------------------------------------- */

static bool wants_text(struct httpd_request *r)
{
	struct str format = httpd_query(r, "format");
	if (format.p)
		return str_ieq(format, STR("text"));
	struct str accept = httpd_header(r, "Accept"), piece;
	while (str_next(&accept, ',', &piece)) { /* the first of the two that is named decides */
		if (str_istarts(piece, STR("text/plain")))
			return true;
		if (str_istarts(piece, STR("application/json")))
			return false;
	}
	return false;
}

void admin_reply(struct httpd_request *r, int status, struct text *body)
{
	struct text plain;
	text_init(&plain, ADMIN_PAGE_MAX);
	httpd_reply_header(r, "Cache-Control", "no-store");
	httpd_reply_header(r, "X-Content-Type-Options", "nosniff");
	if (body->failed) {
		httpd_reply(r, 500, TYPE_TEXT, STR("the page is too large, or memory is short\n"));
	} else if (wants_text(r) && plain_from_json(&plain, text_str(body))) {
		httpd_reply(r, status, TYPE_TEXT, text_str(&plain));
	} else {
		text_char(body, '\n');
		httpd_reply(r, status, TYPE_JSON, text_str(body));
	}
	text_release(&plain);
	text_release(body);
}

void admin_refuse(
	struct httpd_request *r, int status, const char *word, const char *cause, const char *remedy)
{
	struct text t;
	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	json_key(&j, "error");
	json_strz(&j, word);
	json_key(&j, "cause");
	json_strz(&j, cause);
	json_key(&j, "remedy");
	json_strz(&j, remedy);
	json_end(&j);
	admin_reply(r, status, &t);
}

/* --- dispatch -------------------------------------------------------------------------------------------------- */

static bool same_method(const char *asked, const char *row)
{
	if (strcmp(asked, row) == 0)
		return true;
	return strcmp(asked, "HEAD") == 0 && strcmp(row, "GET") == 0;
}

static bool same_path(struct str asked, const char *row)
{
	struct str s = str_of(row);
	if (s.n && s.p[s.n - 1] == '*')
		return str_starts(asked, str_make(s.p, s.n - 1));
	return str_eq(asked, s);
}

enum admin_match admin_match(const char *method, struct str path, const struct admin_route **ret)
{
	size_t n;
	const struct admin_route *rows = admin_routes(&n);
	bool path_known = false;
	*ret = NULL;
	for (size_t i = 0; i < n; i++) {
		if (!same_path(path, rows[i].path))
			continue;
		path_known = true;
		if (!same_method(method, rows[i].method))
			continue;
		*ret = &rows[i];
		return ADMIN_FOUND;
	}
	return path_known ? ADMIN_NO_METHOD : ADMIN_NO_PATH;
}

static void reply_no_path(struct httpd_request *r)
{
	size_t n;
	const struct admin_route *rows = admin_routes(&n);
	struct str asked = httpd_path(r);
	struct text t;
	text_init(&t, ADMIN_PAGE_MAX);
	struct json j = json_begin(&t);
	json_object(&j);
	json_key(&j, "error");
	json_strz(&j, "no-such-page");
	json_key(&j, "path");
	json_str(&j, asked);
	json_key(&j, "near");
	json_array(&j);
	for (size_t i = 0; i < n; i++) {
		if (!strchr(rows[i].path, '*') && nearest_is_near(asked, str_of(rows[i].path)))
			json_strz(&j, rows[i].path);
	}
	json_end(&j);
	json_key(&j, "all");
	json_strz(&j, "/");
	json_end(&j);
	admin_reply(r, 404, &t);
}

static void reply_no_method(struct httpd_request *r)
{
	size_t n;
	const struct admin_route *rows = admin_routes(&n);
	struct text allow;
	text_init(&allow, 256);
	for (size_t i = 0; i < n; i++) {
		if (!same_path(httpd_path(r), rows[i].path))
			continue;
		bool get = strcmp(rows[i].method, "GET") == 0;
		text_fmt(&allow, "%s%s", allow.n ? ", " : "", get ? "GET, HEAD" : rows[i].method);
	}
	httpd_reply_header(r, "Allow", text_z(&allow));
	admin_refuse(r, 405, "wrong-method", "This page is not served by that method.",
		"The field Allow names those it has.");
	text_release(&allow);
}

bool admin_reveals(const struct admin_route *route)
{
	return route->fn == admin_page_app_config;
}

static enum guard_verdict judge(const struct admin *a, struct httpd_request *r, bool changes_state)
{
	struct guard_request g = {
		.host = httpd_header(r, "Host"),
		.host_repeated = httpd_header_repeated(r, "Host"),
		.origin = httpd_header(r, "Origin"),
		.fetch_site = httpd_header(r, "Sec-Fetch-Site"),
		.fetch_mode = httpd_header(r, "Sec-Fetch-Mode"),
		.mark = httpd_header(r, "X-Outrider"),
		.authorization = httpd_header(r, "Authorization"),
		.changes_state = changes_state,
		.local = httpd_local(r),
		.peer = httpd_peer(r),
	};
	return guard_judge(&a->guard, &g);
}

/* /sidecars/NAME/PAGE is PAGE of that sidecar; the path is cut. NULL: there is none of that name. */
static struct admin *of_sidecar(struct admin *a, struct httpd_request *r)
{
	static const struct str prefix = { "/sidecars/", 10 };
	struct str path = httpd_path(r);

	if (!a->agent->find_sidecar || !str_starts(path, prefix))
		return a;
	struct str name = str_make(path.p + prefix.n, path.n - prefix.n);
	size_t slash = str_find(name, '/');
	if (slash == SIZE_MAX)
		slash = name.n;
	struct admin *found = a->agent->find_sidecar(a->agent->put_arg, str_make(name.p, slash));
	if (found)
		httpd_path_cut(r, prefix.n + slash);
	return found;
}

/* NAME of /sidecars/NAME without a slash behind it; empty: it is none such. */
static struct str bare_sidecar(const struct admin *a, const struct httpd_request *r)
{
	static const struct str prefix = { "/sidecars/", 10 };
	struct str path = httpd_path(r);

	if (!a->agent->find_sidecar || !str_starts(path, prefix) || str_rfind(path, '/') != prefix.n - 1)
		return STR("");
	return str_make(path.p + prefix.n, path.n - prefix.n);
}

/* The page names its files from where it stands. A name with other bytes was no name of Docker's. */
static void redirect_to_folder(struct httpd_request *r, struct str name)
{
	char location[300];

	for (size_t i = 0; i < name.n; i++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.", name.p[i] ? name.p[i] : '?'))
			name.n = 0;
	snprintf(location, sizeof(location), "%.*s/", (int)(name.n < 256 ? name.n : 256), name.p);
	httpd_reply_header(r, "Location", location);
	httpd_reply(r, name.n ? 308 : 404, "text/plain; charset=utf-8", STR("a sidecar's page is /sidecars/NAME/\n"));
}

static void on_request(struct httpd_request *r, void *arg)
{
	struct admin *own = arg;
	struct str bare = bare_sidecar(own, r);
	struct admin *a = of_sidecar(own, r);

	if (!a) {
		admin_refuse(r, 404, "no-such-sidecar", "No sidecar of this agent has that service, task or container.",
			"GET /sidecars lists them.");
		return;
	}
	const struct admin_route *route = NULL;
	enum admin_match m = admin_match(httpd_method(r), httpd_path(r), &route);
	/* Judged before anything is said, so that a foreign page learns nothing of the routes either. */
	enum guard_verdict v = judge(own, r, route && (route->changes_state || admin_reveals(route)));
	if (v != GUARD_ALLOW) {
		const struct guard_row *row = guard_row(v);
		if (v == GUARD_TOKEN_WRONG)
			httpd_reply_header(r, "WWW-Authenticate", "Bearer");
		admin_refuse(r, row->status, row->word, row->cause, row->remedy);
	} else if (m == ADMIN_NO_PATH) {
		reply_no_path(r);
	} else if (m == ADMIN_NO_METHOD || !route) {
		reply_no_method(r);
	} else if (bare.n && ui_page_wanted(r)) {
		redirect_to_folder(r, bare);
	} else {
		a->door = own;
		route->fn(a, r);
	}
}

/* --- life ------------------------------------------------------------------------------------------------------ */

bool admin_start(struct admin *a, struct agent *agent, const struct guard_policy *guard, struct err *err)
{
	*a = (struct admin){ .agent = agent, .guard = *guard };
	list_init(&a->waiters);
	hystrix_init(&a->hystrix, agent);
	hystrix_swarm_init(&a->hystrix_swarm, agent);
	a->watch = (struct reload_watch){ .fn = admin_app_changed, .arg = a };
	a->httpd = httpd_new(agent->loop, on_request, a, err);
	if (a->httpd)
		reload_watch(agent->reload, &a->watch);
	return a->httpd != NULL;
}

bool admin_listen(struct admin *a, int fd, struct err *err)
{
	return httpd_listen(a->httpd, fd, err);
}

void admin_stop(struct admin *a)
{
	reload_unwatch(&a->watch);
	hystrix_stop(&a->hystrix);
	hystrix_swarm_stop(&a->hystrix_swarm);
	if (a->httpd)
		httpd_free(a->httpd);
	a->httpd = NULL;
	admin_swarm_stop(a); /* who asked was told that nobody waits any more */
}
