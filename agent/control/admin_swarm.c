/* /swarm/PAGE: the page of every agent of outrider.agents, asked at once, in one reply. Who does not answer is named with the cause.
 *
 *     names ──lookup──> addresses (SWARM_AGENTS_MAX) ──fetch──> pages ──> reply when all are in, or SWARM_WAIT is over
 *
 * Replies are those of peers: bounded, and checked to be JSON before they become part of ours. */
#include "control/admin.h"

#include "base/mem.h"
#include "control/options.h"
#include "http/bounded_json.h"
#include "net/fetch.h"
#include "net/lookup.h"

#include <stdio.h>

#define SWARM_AGENTS_MAX FETCH_MAX
#define SWARM_NAMES_MAX 16u
#define SWARM_WAIT (3 * USEC_SEC)
#define SWARM_PAGE_MAX (512u * 1024u) /* bytes of one agent's page */
#define SWARM_ASKS_MAX 8u             /* such requests at a time */
#define ADMIN_PORT 4191

struct swarm { /* what the asks of one admin port share */
	struct resolver *resolver;
	struct fetcher *fetcher;
	struct list asks;
	unsigned n_asks;
};

struct ask_agent {
	struct swarm_ask *ask;
	struct fetch *fetch; /* NULL: answered, or never asked */
	char text[ADDR_TEXT_MAX];
};

struct ask_name {
	struct swarm_ask *ask;
	struct lookup *lookup;
	uint16_t port;
	char text[256];
};

struct swarm_ask {
	struct list link;
	struct swarm *swarm;
	struct httpd_request *request;
	struct text out; /* the array's members */
	unsigned open;   /* lookups and fetches under way, and one while it begins */
	unsigned n_agents, n_names, n_failed, n_left_out;
	char page[512];  /* with its query */
	struct ask_agent agents[SWARM_AGENTS_MAX];
	struct ask_name names[SWARM_NAMES_MAX];
};

/* --- its end ------------------------------------------------------------------------------------------------------------------ */

static void ask_free(struct swarm_ask *q)
{
	for (unsigned i = 0; i < q->n_names; i++)
		lookup_cancel(q->names[i].lookup);
	for (unsigned i = 0; i < q->n_agents; i++)
		if (q->agents[i].fetch)
			fetch_cancel(q->agents[i].fetch);
	list_remove(&q->link);
	q->swarm->n_asks--;
	text_release(&q->out);
	mem_free(q);
}

static void ask_gone(void *arg)
{
	ask_free(arg);
}

static void ask_reply(struct swarm_ask *q)
{
	struct text t;

	text_init(&t, HTTPD_REPLY_MAX - 4096);
	text_fmt(&t, "{\"page\":\"/%s\",\"asked\":%u,\"failed\":%u,\"left_out\":%u,\"agents\":[", q->page, q->n_agents, q->n_failed, q->n_left_out);
	text_add(&t, text_str(&q->out));
	text_addz(&t, "]}");
	t.failed = t.failed || q->out.failed;
	struct httpd_request *r = q->request;
	ask_free(q);
	admin_reply(r, 200, &t);
}

static void ask_unref(struct swarm_ask *q)
{
	if (--q->open == 0)
		ask_reply(q);
}

/* --- one agent ------------------------------------------------------------------------------------------------------------------ */

static struct json begin_member(struct swarm_ask *q, const char *agent)
{
	if (q->out.n)
		text_char(&q->out, ',');
	struct json j = json_begin(&q->out);
	json_object(&j);
	json_key(&j, "agent");
	json_strz(&j, agent);
	return j;
}

static void add_failure(struct swarm_ask *q, const char *agent, const char *why)
{
	struct json j = begin_member(q, agent);

	q->n_failed++;
	json_key(&j, "why");
	json_strz(&j, why);
	json_end(&j);
}

static bool is_json(struct str body, struct err *err)
{
	static const struct json_limits limits = { .bytes = SWARM_PAGE_MAX, .nodes = 200000, .depth = 32 };
	cJSON *tree = bounded_json_parse(body, &limits, err);

	cJSON_Delete(tree);
	return tree != NULL;
}

static void on_page(void *arg, const struct fetch_reply *reply)
{
	struct ask_agent *a = arg;
	struct err err = { "" };
	char why[96];

	a->fetch = NULL;
	if (reply->status == 0) {
		add_failure(a->ask, a->text, reply->why);
	} else if (!is_json(reply->body, &err)) {
		snprintf(why, sizeof(why), "its reply, status %d, is no page of an agent", reply->status);
		add_failure(a->ask, a->text, why);
	} else {
		struct json j = begin_member(a->ask, a->text);
		json_key(&j, "status");
		json_u64(&j, (uint64_t)reply->status);
		text_addz(&a->ask->out, ",\"answer\":");
		text_add(&a->ask->out, str_trim(reply->body));
		text_char(&a->ask->out, '}');
	}
	ask_unref(a->ask);
}

static bool is_known(const struct swarm_ask *q, const char *text)
{
	for (unsigned i = 0; i < q->n_agents; i++)
		if (strcmp(q->agents[i].text, text) == 0)
			return true;
	return false;
}

static void ask_agent(struct swarm_ask *q, const struct addr *at)
{
	char url[FETCH_URL_MAX], text[ADDR_TEXT_MAX];
	struct err err = { "" };

	addr_text(at, text);
	if (is_known(q, text))
		return;
	if (q->n_agents == SWARM_AGENTS_MAX) {
		q->n_left_out++;
		return;
	}
	struct ask_agent *a = &q->agents[q->n_agents++];
	a->ask = q;
	snprintf(a->text, sizeof(a->text), "%s", text);
	snprintf(url, sizeof(url), "http://%s/%s", text, q->page);
	const struct fetch_request f = { .url = url, .body_max = SWARM_PAGE_MAX, .total = SWARM_WAIT, .idle = SWARM_WAIT };
	a->fetch = fetch_start(q->swarm->fetcher, &f, on_page, a, &err);
	if (a->fetch)
		q->open++;
	else
		add_failure(q, text, err.text);
}

/* --- names ------------------------------------------------------------------------------------------------------------------------- */

static void on_addresses(void *arg, enum lookup_end end, const struct addr *addrs, size_t n, const char *why)
{
	struct ask_name *name = arg;

	name->lookup = NULL;
	for (size_t i = 0; i < n; i++) {
		struct addr at = addrs[i];
		addr_set_port(&at, name->port);
		ask_agent(name->ask, &at);
	}
	if (end != LOOKUP_FOUND)
		add_failure(name->ask, name->text, end == LOOKUP_NONE ? "there is no such name: is it the service of the agents, in a network of this one?" : why);
	ask_unref(name->ask);
}

static void ask_name(struct swarm_ask *q, struct agent *agent, struct str name)
{
	struct ask_name *n = &q->names[q->n_names];
	size_t colon = str_find(name, ':');
	uint64_t port = ADMIN_PORT;
	struct addr at;
	struct err err;

	if (addr_parse_ip(name, ADMIN_PORT, &at) || addr_parse(name, &at, &err)) {
		ask_agent(q, &at);
		return;
	}
	if (colon != SIZE_MAX && (!str_u64(str_make(name.p + colon + 1, name.n - colon - 1), &port) || port > UINT16_MAX))
		port = ADMIN_PORT;
	if (q->n_names == SWARM_NAMES_MAX || !str_copy(colon == SIZE_MAX ? name : str_make(name.p, colon), n->text, sizeof(n->text))) {
		q->n_left_out++;
		return;
	}
	n->ask = q;
	n->port = (uint16_t)port;
	n->lookup = lookup_start(agent->loop, q->swarm->resolver, n->text, on_addresses, n);
	if (!n->lookup) {
		add_failure(q, n->text, "out of memory");
		return;
	}
	q->n_names++;
	q->open++;
}

/* --- the page ------------------------------------------------------------------------------------------------------------------------ */

static bool prepare(struct admin *a, struct err *err)
{
	struct swarm *s = a->swarm ? a->swarm : mem_zalloc(sizeof(*s));

	if (!s)
		return err_set(err, "out of memory");
	if (!a->swarm)
		list_init(&s->asks);
	a->swarm = s;
	if (!s->resolver)
		s->resolver = resolver_new(a->agent->loop, NULL, err);
	if (s->resolver && !s->fetcher)
		s->fetcher = fetcher_new(a->agent->loop, s->resolver, NULL, err);
	return s->fetcher != NULL;
}

void admin_swarm_stop(struct admin *a)
{
	struct swarm *s = a->swarm;

	if (!s)
		return;
	while (!list_empty(&s->asks))
		ask_free(LIST_OWNER(s->asks.next, struct swarm_ask, link));
	fetcher_free(s->fetcher);
	if (s->resolver)
		resolver_free(s->resolver);
	mem_free(s);
	a->swarm = NULL;
}

/* What may be asked of others: pages that end, and show nothing that needs a guard. */
static bool may_ask(struct str page)
{
	static const char *const streams[] = { "/hystrix.stream", "/tap", "/swarm/*", "/" };
	const struct admin_route *row;

	if (page.n == 0 || page.p[0] != '/' || admin_match("GET", page, &row) != ADMIN_FOUND || row->changes_state || admin_reveals(row))
		return false;
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
		if (strcmp(row->path, streams[i]) == 0)
			return false;
	return true;
}

static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
			    s.p[i] == '-' || s.p[i] == '.' || s.p[i] == '_' || s.p[i] == '/'))
			return false;
	return true;
}

/* A request id may be any visible text: what is not plain is written as percent codes, so that it stands in a URL and in JSON. */
static bool add_coded(struct text *t, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (is_plain(str_make(s.p + i, 1)))
			text_char(t, (char)c);
		else if (c > 0x20 && c < 0x7f)
			text_fmt(t, "%%%02X", c);
		else
			return false;
	}
	return !t->failed;
}

static bool name_page(struct swarm_ask *q, struct httpd_request *r, struct str page)
{
	struct str service = httpd_query(r, "service");
	struct text t;

	text_init(&t, sizeof(q->page) - 1);
	bool good = is_plain(service) && add_coded(&t, str_make(page.p + 1, page.n - 1));
	if (service.n)
		text_fmt(&t, "?service=%.*s", STR_ARG(service));
	good = good && !t.failed && str_copy(text_str(&t), q->page, sizeof(q->page));
	text_release(&t);
	return good;
}

static void begin(struct admin *a, struct swarm_ask *q, struct httpd_request *r)
{
	struct str list = options_text(reload_options(a->agent->reload), OPT_AGENTS), name;

	q->swarm = a->swarm;
	q->request = r;
	q->open = 1;
	text_init(&q->out, HTTPD_REPLY_MAX - 8192);
	list_append(&q->swarm->asks, &q->link);
	q->swarm->n_asks++;
	httpd_on_gone(r, ask_gone, q);
	while (str_next(&list, ',', &name))
		ask_name(q, a->agent, name);
	ask_unref(q);
}

void admin_page_swarm(struct admin *a, struct httpd_request *r)
{
	static const struct str prefix = { "/swarm", 6 };
	struct str path = httpd_path(r), page = str_make(path.p + prefix.n, path.n - prefix.n);
	struct err err = { "" };

	if (!a->agent->sees_swarm) {
		admin_refuse(r, 404, "not-here", "In a container's network only its own sidecar is shown.", "Ask the admin port of the node's agent.");
		return;
	}
	if (!may_ask(page)) {
		admin_refuse(r, 404, "no-such-page", "There is no such page to ask of the agents.", "/swarm/circuits, /swarm/sidecars, /swarm/upstreams, /swarm/stats …");
		return;
	}
	struct swarm_ask *q = prepare(a, &err) && a->swarm->n_asks < SWARM_ASKS_MAX ? mem_zalloc(sizeof(*q)) : NULL;
	if (!q) {
		admin_refuse(r, 503, "busy", err.text[0] ? err.text : "As many such requests as may be are under way, or memory is short.", "Ask again in a moment.");
		return;
	}
	if (!name_page(q, r, page)) {
		mem_free(q);
		admin_refuse(r, 400, "bad-query", "The page or ?service= has bytes that no such name has.", "Give the name as the page shows it.");
		return;
	}
	begin(a, q, r);
}
