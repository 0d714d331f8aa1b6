#include "consul_watch.h"

#include "base/mem.h"

#include <stdio.h>

#define PORT_TEXT ":8500"
#define SHOWN_MAX 160 /* bytes of a server's own words */

/* --- rules ------------------------------------------------------------------------------------------------------------ */

uint64_t consul_next_index(uint64_t last, struct str header, bool *known)
{
	uint64_t n;

	*known = str_u64(header, &n);
	if (!*known)
		return 0;
	if (n < 1)
		n = 1; /* 0 would not block: a busy loop */
	return n < last ? 0 : n;
}

usec consul_bucket_take(struct consul_bucket *b, usec now)
{
	usec rate = b->rate ? b->rate : CONSUL_RATE, more = now > b->filled ? (now - b->filled) / rate : 0;
	unsigned burst = b->burst ? b->burst : CONSUL_BURST;

	if (b->filled == 0 || b->tokens + more >= burst) {
		b->tokens = burst;
		b->filled = now;
	} else {
		b->tokens += (unsigned)more;
		b->filled += more * rate;
	}
	if (b->tokens > 0) {
		b->tokens--;
		return now;
	}
	b->filled += rate; /* the one that comes next is taken already */
	return b->filled;
}

/* Half of the pause is chance, so that agents do not come back in step. */
static usec pause_of(struct consul_watch *w)
{
	usec p = CONSUL_PAUSE_FIRST;

	for (unsigned i = 1; i < w->tries && p < CONSUL_PAUSE_MAX; i++)
		p *= 2;
	p = p < CONSUL_PAUSE_MAX ? p : CONSUL_PAUSE_MAX;
	return p / 2 + rng_below(&w->rng, (uint32_t)(p / 2) + 1);
}

/* --- the servers ------------------------------------------------------------------------------------------------------- */

static bool add_server(struct consul_servers *s, struct str one, struct err *err)
{
	static const char form[] = "a Consul address is http://HOST:PORT or https://HOST:PORT";
	bool http = str_istarts(one, STR("http://")), https = str_istarts(one, STR("https://"));
	size_t from = https ? 8 : http ? 7 : 0;
	struct str host = str_make(one.p + from, one.n - from);

	if (str_find(host, '@') != SIZE_MAX)
		return err_set(err,
			"Consul asks for a token, not for a user: leave out what stands before @, and set "
			"outrider.consul.token");
	while (host.n && host.p[host.n - 1] == '/')
		host.n--;
	size_t slash = str_find(host, '/'), n = slash == SIZE_MAX ? host.n : slash;
	for (size_t i = 0; i < host.n; i++)
		if ((unsigned char)host.p[i] <= ' ' || host.p[i] == 127 || host.p[i] == '?' ||
			host.p[i] == '#')
			return err_set(err, "%s; no blanks, no '?' or '#'", form);
	if (n == 0)
		return err_set(err, "%s", form);
	if (s->n == CONSUL_SERVERS_MAX)
		return err_set(err, "more than %u addresses", CONSUL_SERVERS_MAX);
	/* "[::1]" has colons, but no port behind the bracket. */
	struct str end = str_make(host.p, n);
	size_t bracket = str_rfind(end, ']');
	size_t colon = str_rfind(end, ':');
	bool port = colon != SIZE_MAX && (bracket == SIZE_MAX || colon > bracket);
	int len = snprintf(s->url[s->n], CONSUL_URL_MAX, "%s%.*s%s%.*s", https ? "https://" : "http://",
		(int)n, host.p, port || http || https ? "" : PORT_TEXT, (int)(host.n - n), host.p + n);
	if (len >= (int)CONSUL_URL_MAX)
		return err_set(err, "an address longer than %u bytes", CONSUL_URL_MAX - 1);
	s->n++;
	return true;
}

static bool add_token(struct consul_servers *s, struct str token)
{
	static const char name[] = "X-Consul-Token: ";
	size_t n = sizeof(name) - 1;

	if (token.n == 0)
		return true;
	s->token_line = mem_alloc(n + token.n + 1);
	if (!s->token_line)
		return false;
	memcpy(s->token_line, name, n);
	memcpy(s->token_line + n, token.p, token.n);
	s->token_line[n + token.n] = '\0';
	return true;
}

bool consul_servers_init(struct consul_servers *s, struct loop *loop, struct resolver *resolver,
	struct netspace *ns, struct str address, const struct plugin_settings *settings, struct err *err)
{
	struct str one, ca = plugin_setting(settings, "consul", "ca");

	*s = (struct consul_servers){ .loop = loop };
	while (str_next(&address, '|', &one))
		if (!add_server(s, one, err))
			return false;
	if (s->n == 0)
		return err_set(err, "an address is missing: http://HOST:PORT");
	if (!add_token(s, plugin_setting(settings, "consul", "token")) ||
		(ca.n && !(s->ca = mem_dup(ca.p, ca.n))))
		return err_set(err, "out of memory");
	s->fetcher = fetcher_new(loop, resolver, ns, err);
	return s->fetcher != NULL;
}

void consul_servers_release(struct consul_servers *s)
{
	fetcher_free(s->fetcher);
	if (s->token_line)
		mem_wipe_free(s->token_line, strlen(s->token_line));
	mem_free(s->ca);
	*s = (struct consul_servers){ .n = 0 };
}

/* --- trouble ------------------------------------------------------------------------------------------------------------ */

static void tell(struct consul_watch *w, const char *why)
{
	struct err said = { .text = "" };

	if (why[0] != '\0')
		err_set(&said, "%s%s: %s", w->servers->url[w->server], w->path, why);
	if (strcmp(w->told.text, said.text) == 0)
		return;
	w->told = said;
	w->events->on_trouble(w->arg, w->told.text);
}

static void back_off(struct consul_watch *w, const char *why)
{
	w->tries++;
	w->index = 0;
	tell(w, why);
	w->server = (w->server + 1) % w->servers->n;
	timer_set(w->servers->loop, &w->timer, loop_now(w->servers->loop) + pause_of(w));
}

/* One line of what the server says, without what could be no text. */
static void words_of(struct str body, char *ret, size_t cap)
{
	struct str line = str_trim(body);
	size_t end = str_find(line, '\n');

	if (end != SIZE_MAX)
		line.n = end;
	(void)str_copy(line, ret, cap);
	for (char *c = ret; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 127)
			*c = '?';
}

static void refused(struct consul_watch *w, const struct fetch_reply *r)
{
	struct err why;
	char words[SHOWN_MAX];

	words_of(r->body, words, sizeof(words));
	if (r->status == 403 || r->status == 401)
		err_set(&why,
			"it answers %d (%s): the token of outrider.consul.token may not read this; grant it "
			"key_prefix read",
			r->status, words);
	else if (r->status == 404)
		err_set(&why,
			"it answers 404 without X-Consul-Index: is this the address of a Consul agent?");
	else
		err_set(&why, "it answers %d%s%s", r->status, words[0] ? ": " : "", words);
	back_off(w, why.text);
}

/* --- taking turns --------------------------------------------------------------------------------------------------------- */

/* Is it this one's turn? Else it comes back a little later: with answers within milliseconds hundreds pass in a second. */
static bool takes_turn(struct consul_watch *w)
{
	struct consul_servers *s = w->servers;

	if (s->at_once && s->busy >= s->at_once) {
		timer_set(s->loop, &w->timer,
			loop_touch(s->loop) + 10 * USEC_MS + rng_below(&w->rng, 90 * USEC_MS));
		return false;
	}
	s->busy++;
	return true;
}

static void cancel(struct consul_watch *w)
{
	if (w->fetch) {
		fetch_cancel(w->fetch);
		w->servers->busy--;
	}
	w->fetch = NULL;
}

/* --- asking --------------------------------------------------------------------------------------------------------------- */

static void on_reply(void *arg, const struct fetch_reply *r)
{
	struct consul_watch *w = arg;
	bool known;

	w->fetch = NULL;
	w->servers->busy--;
	if (r->status == 0) {
		back_off(w, r->why);
		return;
	}
	uint64_t next = consul_next_index(w->index, fetch_header(r, "X-Consul-Index"), &known);
	if (r->status != 200 && !(r->status == 404 && known)) {
		refused(w, r);
		return;
	}
	if (w->whole && str_ieq(fetch_header(r, "X-Consul-Results-Filtered-By-ACLs"), STR("true"))) {
		back_off(w, "its answer is filtered by ACLs: outrider.consul.token lacks service:read or "
			    "node:read");
		return;
	}
	w->answered = next;
	w->indexless = !known;
	w->waiting = true;
	w->events->on_answer(
		w->arg, r->status, r->status == 200 ? r->body : STR(""), w->servers->url[w->server]);
}

static void ask(void *arg)
{
	struct consul_watch *w = arg;
	struct consul_servers *s = w->servers;
	const char *const headers[] = { s->token_line, NULL };
	char url[FETCH_URL_MAX], blocking[80] = "";
	usec time = CONSUL_READ_TIME;
	struct err err;

	if (!takes_turn(w))
		return;
	if (w->index > 0) {
		snprintf(blocking, sizeof(blocking), "%sindex=%llu&wait=%llums", w->query ? "&" : "",
			(unsigned long long)w->index, (unsigned long long)(w->wait / USEC_MS));
		time += w->wait + w->wait / 16; /* the server adds up to that */
	}
	snprintf(url, sizeof(url), "%s%s?%s%s", s->url[w->server], w->path, w->query ? w->query : "",
		blocking);
	struct fetch_request q = { .url = url,
		.headers = headers,
		.ca_file = s->ca,
		.body_max = w->body_max,
		.total = time,
		.idle = time };
	w->asked = loop_touch(s->loop);
	w->fetch = fetch_start(s->fetcher, &q, on_reply, w, &err);
	if (!w->fetch) {
		s->busy--;
		back_off(w, err.text);
	}
}

/* When to ask next. What came before its wait was over, or made a full read necessary, is limited in its rate. */
static usec next_time(struct consul_watch *w, usec now)
{
	bool early = w->index > 0 && now < w->asked + w->wait;

	usec period = w->every ? w->every : w->wait;

	if (w->indexless || w->every) /* it cannot, or shall not, block */
		return now + period - period / 10 + rng_below(&w->rng, (uint32_t)(period / 5) + 1);
	return early || w->answered == 0 ? consul_bucket_take(&w->bucket, now) : now;
}

void consul_watch_taken(struct consul_watch *w, const char *why)
{
	usec now = loop_touch(w->servers->loop);

	w->waiting = false;
	if (why && why[0] != '\0') {
		back_off(w, why);
		return;
	}
	w->tries = 0;
	tell(w, "");
	timer_set(w->servers->loop, &w->timer, w->hasty ? now : next_time(w, now));
	w->index = w->hasty || w->every ? 0 : w->answered;
	w->hasty = false;
}

void consul_watch_refresh(struct consul_watch *w)
{
	if (w->waiting || (w->fetch && w->index == 0)) {
		w->hasty = w->waiting; /* a full read is under way */
		return;
	}
	cancel(w);
	w->index = 0;
	timer_set(w->servers->loop, &w->timer, loop_now(w->servers->loop));
}

/* --- life -------------------------------------------------------------------------------------------------------------------- */

void consul_watch_start(struct consul_watch *w)
{
	rng_seed_os(&w->rng);
	timer_init(&w->timer, ask, w);
	timer_set(w->servers->loop, &w->timer, loop_now(w->servers->loop));
}

void consul_watch_stop(struct consul_watch *w)
{
	cancel(w);
	if (w->timer.fn)
		timer_clear(&w->timer);
}
