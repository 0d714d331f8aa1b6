#include "eureka_ask.h"

#include "base/mem.h"
#include "eureka_json.h"

static bool take(struct str s, char **ret, struct err *err)
{
	*ret = NULL;
	if (!s.n)
		return true;
	*ret = mem_dup(s.p, s.n);
	return *ret || err_set(err, "no memory");
}

static bool read_servers(struct eureka_asker *a, struct str list, struct err *err)
{
	struct str one;

	while (str_next(&list, '|', &one)) {
		if (a->n == EUREKA_SERVERS_MAX)
			return err_set(err, "more than %u servers", EUREKA_SERVERS_MAX);
		if (!http_url_parse(one, &a->servers[a->n], err))
			return false;
		a->n++;
	}
	return a->n > 0 || err_set(err, "an address is missing, such as eureka:http://eureka:8761/eureka");
}

bool eureka_asker_init(struct eureka_asker *a, const struct registry_config *c, struct err *err)
{
	const struct plugin_settings *s = &c->settings;

	if (!read_servers(a, c->address, err) || !take(plugin_setting(s, "eureka", "username"), &a->user, err) ||
	    !take(plugin_setting(s, "eureka", "password"), &a->password, err) ||
	    !take(plugin_setting(s, "eureka", "ca"), &a->ca, err))
		return false;
	a->fetcher = fetcher_new(c->loop, c->resolver, c->ns, err);
	return a->fetcher != NULL;
}

void eureka_asker_release(struct eureka_asker *a)
{
	fetcher_free(a->fetcher);
	if (a->password)
		mem_wipe_free(a->password, strlen(a->password));
	mem_free(a->user);
	mem_free(a->ca);
	explicit_bzero(a, sizeof(*a));
}

struct fetch *eureka_ask(struct eureka_asker *a, const char *method, const char *path, struct str body, usec total, fetch_cb cb,
			 void *arg, struct err *err)
{
	static const char *const headers[] = { "Accept: application/json", "Content-Type: application/json", "User-Agent: outrider",
					       NULL };
	static const char *const bare[] = { "Accept: application/json", "User-Agent: outrider", NULL };
	const struct http_url *at = &a->servers[a->current];
	struct fetch *f = NULL;
	struct text url;

	text_init(&url, FETCH_URL_MAX);
	text_addz(&url, at->url);
	text_addz(&url, path);
	struct fetch_request q = {
		.url = text_z(&url),
		.method = method,
		.body = body,
		.headers = body.n ? headers : bare,
		.user = at->has_user ? at->user : a->user,
		.password = at->has_password ? at->password : a->password,
		.ca_file = a->ca,
		.ca_option = "outrider.eureka.ca",
		.body_max = EUREKA_BODY_MAX,
		.total = total,
		.idle = total,
	};
	if (url.failed)
		err_set(err, "%s: the URL is too long", at->url);
	else
		f = fetch_start(a->fetcher, &q, cb, arg, err);
	text_release(&url);
	return f;
}

static const struct {
	int from, to;
	const char *why;
} meanings[] = {
	{ 300, 399, "redirects are not followed: give the address that it points to" },
	{ 400, 400, "it refuses the instance: is outrider.service a name that it takes?" },
	{ 401, 401, "it wants a user and password, or refuses them: set outrider.eureka.username and outrider.eureka.password" },
	{ 403, 403, "it is not ready (a server that just started waits for its peers), or grants no access" },
	{ 404, 404, "it knows no such path: does the URL end in the server's prefix, usually /eureka?" },
	{ 405, 406, "is this the address of a Eureka server?" },
	{ 429, 429, "it is asked too often: raise outrider.registry-poll and outrider.registry-lease" },
	{ 500, 599, "it, or a proxy before it, fails: its log says more" },
};

bool eureka_accept(const struct eureka_asker *a, size_t server, const struct fetch_reply *reply, struct err *err)
{
	const char *why = "is this the address of a Eureka server?";

	if (reply->status == 200 || reply->status == 204)
		return true;
	if (reply->status == 0)
		return err_set(err, "%s", reply->why);
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (reply->status >= meanings[i].from && reply->status <= meanings[i].to)
			why = meanings[i].why;
	return err_set(err, "%s answers %d: %s", a->servers[server].url, reply->status, why);
}

bool eureka_is_down(const struct fetch_reply *reply)
{
	return reply->status == 0 || reply->status >= 500 || reply->status == 403;
}

void eureka_next(struct eureka_asker *a, size_t failed)
{
	if (a->current == failed)
		a->current = (a->current + 1) % a->n;
}
