#include "spring_ask.h"

#include "base/mem.h"
#include "config_files.h"

#include <stdio.h>

#define TOKEN_LINE_MAX 4200u
#define RETRY_FIRST USEC_SEC
#define RETRY_START_MAX (2 * USEC_SEC)
#define RETRY_START_ROUNDS 6u

/* --- asking ---------------------------------------------------------------------------------------------------- */

static void add_segment(struct text *t, struct str s, const char *keep)
{
	struct str rest = s;
	size_t slash;

	text_char(t, '/');
	while ((slash = str_find(rest, '/')) != SIZE_MAX) {
		http_url_encode(t, str_make(rest.p, slash), keep);
		text_addz(t, "(_)");
		rest = str_make(rest.p + slash + 1, rest.n - slash - 1);
	}
	http_url_encode(t, rest, keep);
}

void spring_path(struct text *t, const char *application, const char *profiles, struct str label)
{
	struct str rest = str_of(profiles), one;
	struct text list;

	add_segment(t, str_of(application), ",");
	text_init(&list, 2048);
	while (str_next(&rest, ',', &one))
		if (one.n)
			text_fmt(&list, "%s%.*s", list.n ? "," : "", STR_ARG(one));
	add_segment(t, list.n ? text_str(&list) : STR("default"), ",");
	t->failed = t->failed || list.failed;
	text_release(&list);
	if (label.n)
		add_segment(t, label, "");
}

struct fetch *spring_ask(const struct spring_asker *a, const struct http_url *at, struct str label,
	const char *state, fetch_cb cb, void *arg, struct err *err)
{
	char token[TOKEN_LINE_MAX], last[SPRING_STATE_MAX + 32];
	const char *headers[5] = { "Accept: application/json", "User-Agent: outrider" };
	size_t n = 2;
	struct text url;
	struct fetch *f = NULL;

	if (a->token && snprintf(token, sizeof(token), "X-Config-Token: %s", a->token) < (int)sizeof(token))
		headers[n++] = token;
	if (state && snprintf(last, sizeof(last), "X-Config-State: %s", state) < (int)sizeof(last))
		headers[n++] = last;
	text_init(&url, FETCH_URL_MAX);
	text_addz(&url, at->url);
	spring_path(&url, a->application, a->profiles, label);
	struct fetch_request q = {
		.url = text_z(&url),
		.headers = headers,
		.user = at->has_user ? at->user : a->user,
		.password = at->has_password ? at->password : a->password,
		.ca_file = a->ca,
		.ca_option = "outrider.spring.ca",
		.body_max = CONFIG_FILE_MAX,
		.total = a->timeout,
		.idle = a->timeout,
	};
	if (url.failed)
		err_set(err, "%s: application, profiles and label make an URL of more than %u bytes", at->url,
			FETCH_URL_MAX);
	else
		f = fetch_start(a->fetcher, &q, cb, arg, err);
	text_release(&url);
	explicit_bzero(token, sizeof(token));
	explicit_bzero(last, sizeof(last));
	return f;
}

/* --- what came --------------------------------------------------------------------------------------------------- */

static const char *why_401(const struct spring_asker *a, const struct http_url *at)
{
	if (at->has_user)
		return "it refuses the user and password that stand in its URL";
	if (a->user)
		return "it refuses the user and password: check outrider.spring.username and "
		       "outrider.spring.password";
	return "it wants a user and password: set outrider.spring.username and outrider.spring.password";
}

static const char *why_403(const struct spring_asker *a, const struct http_url *at)
{
	(void)at;
	return a->token ? "it grants no access: check outrider.spring.token, and what its user may read"
			: "it grants no access: check what its user may read, and outrider.spring.token";
}

static const char *why_404(const struct spring_asker *a, const struct http_url *at)
{
	(void)at;
	return a->labels ? "it knows no such label or application: check outrider.spring.label, "
			   "outrider.service, and "
			   "whether the URL lacks the server's prefix"
			 : "it knows no such application or profile: check outrider.service and "
			   "outrider.profile, and "
			   "whether the URL lacks the server's prefix";
}

static const struct {
	int from, to;
	const char *why;
	const char *(*ask)(const struct spring_asker *a, const struct http_url *at);
} meanings[] = {
	{ 300, 399, "redirects are not followed: give the address that it points to", NULL },
	{ 400, 400,
		"it takes a character of application, profile or label for invalid, or it wants "
		"outrider.spring.token",
		NULL },
	{ 401, 401, NULL, why_401 },
	{ 403, 403, NULL, why_403 },
	{ 404, 404, NULL, why_404 },
	{ 405, 406, "is this the address of a config server?", NULL },
	{ 407, 407, "a proxy stands between: give the server's own address", NULL },
	{ 429, 429, "it is asked too often: raise outrider.config-poll", NULL },
	{ 500, 500,
		"it cannot read its repository for this application (broken YAML, a repository that is "
		"away): its log says more",
		NULL },
	{ 502, 504, "it is not ready, or a proxy before it cannot reach it", NULL },
};

static const char *meaning_of(int status, const struct spring_asker *a, const struct http_url *at)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (status >= meanings[i].from && status <= meanings[i].to)
			return meanings[i].why ? meanings[i].why : meanings[i].ask(a, at);
	return "is this the address of a config server?";
}

bool spring_accept(const struct spring_asker *a, const struct http_url *at, const struct fetch_reply *reply,
	struct err *err)
{
	struct str type = fetch_header(reply, "content-type");

	if (reply->status == 0)
		return err_set(err, "%s", reply->why);
	if (reply->status != 200)
		return err_set(
			err, "%s answers %d: %s", at->url, reply->status, meaning_of(reply->status, a, at));
	if (str_istarts(type, STR("text/html")))
		return err_set(err, "%s answers with a page of HTML: is this the address of a config server?",
			at->url);
	return true;
}

/* --- patience ------------------------------------------------------------------------------------------------------ */

usec spring_pause(usec last, unsigned n, bool known, usec poll)
{
	usec pause = last + last / 2;

	if (n <= 1) {
		pause = RETRY_FIRST;
	} else if (!known && n <= RETRY_START_ROUNDS) {
		pause = last + last / 10;
		pause = pause < RETRY_START_MAX ? pause : RETRY_START_MAX;
	}
	return pause < poll ? pause : poll;
}
