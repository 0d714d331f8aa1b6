#include "span_peers.h"

#include "base/json.h"
#include "base/mem.h"

static bool take(const struct plugin_settings *s, const char *plugin, const char *name, char **ret, struct err *err)
{
	struct str v = plugin_setting(s, plugin, name);

	if (!v.n)
		return true;
	*ret = mem_dup(v.p, v.n);
	return *ret || err_set(err, "no memory");
}

/* "http://zipkin:9411" has no path of its own. */
static bool add_path(struct http_url *u, const char *path, struct err *err)
{
	size_t scheme = u->secure ? sizeof("https://") - 1 : sizeof("http://") - 1, n = strlen(u->url);

	if (strchr(u->url + scheme, '/'))
		return true;
	return str_copy(str_of(path), u->url + n, sizeof(u->url) - n) || err_set(err, "an address is longer than %u bytes", HTTP_URL_MAX - 1);
}

static bool read_servers(struct span_peers *p, struct str list, struct err *err)
{
	struct str one;

	while (str_next(&list, '|', &one)) {
		if (one.n == 0)
			continue;
		if (p->n == SPAN_SERVERS_MAX)
			return err_set(err, "more than %u addresses", SPAN_SERVERS_MAX);
		if (!http_url_parse(one, &p->servers[p->n], err) || !add_path(&p->servers[p->n], p->kind->path, err))
			return false;
		p->n++;
	}
	return p->n > 0 || err_set(err, "an address is missing, such as %s", p->kind->form);
}

bool span_peers_init(struct span_peers *p, const struct span_kind_of_peer *kind, const struct exporter_config *c, struct err *err)
{
	const struct plugin_settings *s = &c->settings;

	p->kind = kind;
	if (!read_servers(p, c->address, err) || !take(s, kind->plugin, "username", &p->user, err) ||
	    !take(s, kind->plugin, "password", &p->password, err) || !take(s, kind->plugin, "token", &p->token, err) ||
	    !take(s, kind->plugin, "ca", &p->ca, err))
		return false;
	p->fetcher = fetcher_new(c->loop, c->resolver, c->ns, err);
	return p->fetcher != NULL;
}

void span_peers_release(struct span_peers *p)
{
	fetcher_free(p->fetcher);
	if (p->password)
		mem_wipe_free(p->password, strlen(p->password));
	if (p->token)
		mem_wipe_free(p->token, strlen(p->token));
	mem_free(p->user);
	mem_free(p->ca);
	explicit_bzero(p, sizeof(*p));
}

struct fetch *span_peers_post(struct span_peers *p, struct str body, bool packed, usec total, fetch_cb cb, void *arg, struct err *err)
{
	/* b3: 0 keeps proxies on the way, our own among them, from tracing the reports of traces. */
	static const char *const plain[] = { "Content-Type: application/json", "b3: 0", "User-Agent: outrider", NULL };
	static const char *const gzip[] = { "Content-Type: application/json", "b3: 0", "User-Agent: outrider", "Content-Encoding: gzip", NULL };
	const struct http_url *at = &p->servers[p->current];
	struct fetch_request q = {
		.url = at->url,
		.method = "POST",
		.body = body,
		.body_stays = true,
		.headers = packed ? gzip : plain,
		.user = at->has_user ? at->user : p->user,
		.password = at->has_password ? at->password : p->password,
		.bearer = p->token,
		.ca_file = p->ca,
		.ca_option = p->kind->ca_option,
		.body_max = SPAN_ANSWER_MAX,
		.total = total,
		.idle = total,
	};

	return fetch_start(p->fetcher, &q, cb, arg, err);
}

/* --- words ------------------------------------------------------------------------------------------------------------------------ */

static const struct {
	int from, to;
	const char *why;
} meanings[] = {
	{ 300, 399, "redirects are not followed: give the address that it points to" },
	{ 400, 400, "it refuses the spans" },
	{ 401, 401, "it wants credentials, or refuses them: set outrider.%s.username and .password, or .token" },
	{ 403, 403, "it grants no access: check outrider.%s.username and .password, or .token" },
	{ 404, 405, "is this the address and path of a collector of %s?" },
	{ 413, 413, "the batch is too large for it" },
	{ 429, 429, "it is sent too much" },
	{ 500, 599, "it, or a proxy before it, fails" },
};

static const char *meaning_of(int status)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (status >= meanings[i].from && status <= meanings[i].to)
			return meanings[i].why;
	return "is this the address and path of a collector of %s?";
}

void span_words(struct str body, struct err *ret)
{
	struct text t;

	body = str_trim(body);
	body.n = body.n < SPAN_WORDS_MAX ? body.n : SPAN_WORDS_MAX;
	text_init(&t, 6 * SPAN_WORDS_MAX);
	json_escape(&t, body);
	err_set(ret, "%s", text_z(&t));
	text_release(&t);
}

void span_peers_why(const struct span_peers *p, const struct fetch_reply *r, bool packed, struct err *why)
{
	struct str meaning = str_of(meaning_of(r->status));
	size_t hole = str_find(meaning, '%');
	struct err words;

	if (r->status == 0) {
		err_set(why, "%s", r->why);
		return;
	}
	span_words(r->body, &words);
	struct str before = hole == SIZE_MAX ? meaning : str_make(meaning.p, hole);
	struct str after = hole == SIZE_MAX ? STR("") : str_make(meaning.p + hole + 2, meaning.n - hole - 2);
	bool unpack = packed && (r->status == 400 || r->status == 415 || r->status == 500);
	err_set(why, "%s answers %d: %.*s%s%.*s%s%s%s%s", p->servers[p->current].url, r->status, STR_ARG(before),
		hole == SIZE_MAX ? "" : p->kind->plugin, STR_ARG(after), unpack ? " (does it know gzip?)" : "", words.text[0] ? ": \"" : "", words.text,
		words.text[0] ? "\"" : "");
}

void span_peers_partial(const struct span_peers *p, uint64_t rejected, const struct err *words, struct err *why)
{
	err_set(why, "%s refuses %llu spans of a batch%s%s%s", p->servers[p->current].url, (unsigned long long)rejected,
		words->text[0] ? ": \"" : "", words->text, words->text[0] ? "\"" : "");
}
