/* /swarm/PAGE: the page of every agent of outrider.agents, asked at once (swarm_ask.h), in one reply. Who does not answer is named with
 * the cause, and so is who said more than fits into the reply beside the others. */
#include "control/admin.h"

#include "base/mem.h"
#include "control/options.h"
#include "control/swarm_ask.h"

#define SWARM_WAIT (3 * USEC_SEC)
#define SWARM_ASKS_MAX 8u /* such requests at a time */
#define MEMBERS_MAX (HTTPD_REPLY_MAX - 8192u)
#define WHY_BYTES 512u /* of an agent that is only named, with the cause */

struct page_ask {
	struct httpd_request *request;
	struct swarm_ask *ask;
	struct text out; /* the array's members */
	unsigned cut;    /* answers that did not fit */
	char page[1024]; /* with its query */
};

static void ask_free(struct page_ask *q)
{
	text_release(&q->out);
	mem_free(q);
}

static void ask_gone(void *arg)
{
	struct page_ask *q = arg;

	swarm_ask_cancel(q->ask);
	ask_free(q);
}

static void on_done(void *arg, const struct swarm_counts *c)
{
	struct page_ask *q = arg;
	struct text t;

	text_init(&t, HTTPD_REPLY_MAX - 4096);
	text_fmt(&t, "{\"page\":\"/%s\",\"asked\":%u,\"failed\":%u,\"left_out\":%u,\"agents\":[", q->page,
		c->asked, c->failed + q->cut, c->left_out);
	text_add(&t, text_str(&q->out));
	text_addz(&t, "]}");
	t.failed = t.failed || q->out.failed;
	struct httpd_request *r = q->request;
	ask_free(q);
	admin_reply(r, 200, &t);
}

static void on_answer(void *arg, const struct swarm_answer *a)
{
	struct page_ask *q = arg;
	bool fits = q->out.n + a->body.n + (1 + SWARM_AGENTS_MAX) * WHY_BYTES <= MEMBERS_MAX;

	q->cut += !fits;
	if (q->out.n)
		text_char(&q->out, ',');
	struct json j = json_begin(&q->out);
	json_object(&j);
	json_key(&j, "agent");
	json_strz(&j, a->agent);
	if (a->status && fits) {
		json_key(&j, "status");
		json_u64(&j, (uint64_t)a->status);
		json_key(&j, "answer");
		json_raw(&j, a->body);
	} else {
		json_key(&j, "why");
		json_strz(&j, a->status ? "left out: the reply would be too long" : a->why);
	}
	json_end(&j);
}

void admin_swarm_stop(struct admin *a)
{
	swarm_free(a->swarm);
	a->swarm = NULL;
}

/* What may be asked of others: pages that end, and show nothing that needs a guard. */
static bool may_ask(struct str page)
{
	static const char *const streams[] = { "/hystrix.stream", "/tap", "/log/tail", "/ui/live", "/ui/*",
		"/swarm/*", "/swarm/hystrix.stream", "/" };
	const struct admin_route *row;

	if (page.n == 0 || page.p[0] != '/' || admin_match("GET", page, &row) != ADMIN_FOUND ||
		row->changes_state || admin_reveals(row))
		return false;
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
		if (strcmp(row->path, streams[i]) == 0)
			return false;
	return true;
}

static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
			    (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-' || s.p[i] == '.' ||
			    s.p[i] == '_' || s.p[i] == '/'))
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

/* The filters of the pages, which each agent judges for itself; of other parameters (format, wait) the one here is meant. Any byte of
 * a value is passed on as it came, as a percent code: text to look for may have blanks. */
static void add_filters(struct text *t, struct httpd_request *r)
{
	static const char *const filters[] = { "service", "upstream", "route", "status", "reason", "path",
		"method", "host", "slow", "failed", "retried", "kind", "level", "subsystem", "q", "from",
		"limit", "before", "bytes" };
	char mark = '?';

	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		struct str value = httpd_query(r, filters[i]);
		if (!value.n)
			continue;
		text_fmt(t, "%c%s=", mark, filters[i]);
		mark = '&';
		for (size_t k = 0; k < value.n; k++)
			text_fmt(t, is_plain(str_make(value.p + k, 1)) ? "%c" : "%%%02X",
				(unsigned char)value.p[k]);
	}
}

static bool name_page(struct page_ask *q, struct httpd_request *r, struct str page)
{
	struct text t;

	text_init(&t, sizeof(q->page) - 1);
	bool good = is_plain(httpd_query(r, "service")) && add_coded(&t, str_make(page.p + 1, page.n - 1));
	add_filters(&t, r);
	good = good && !t.failed && str_copy(text_str(&t), q->page, sizeof(q->page));
	text_release(&t);
	return good;
}

static bool begin(struct admin *a, struct page_ask *q, struct httpd_request *r, struct err *err)
{
	const struct swarm_question question = { .agents = options_text(
							 reload_options(a->agent->reload), OPT_AGENTS),
		.page = q->page,
		.total = SWARM_WAIT,
		.page_max = SWARM_PAGE_MAX,
		.on_answer = on_answer,
		.done = on_done,
		.arg = q };

	q->request = r;
	text_init(&q->out, MEMBERS_MAX);
	q->ask = swarm_ask_start(a->swarm, &question, err);
	if (q->ask)
		httpd_on_gone(r, ask_gone, q);
	return q->ask != NULL;
}

static void refuse_busy(struct httpd_request *r, const struct err *err)
{
	admin_refuse(r, 503, "busy",
		err->text[0] ? err->text
			     : "As many such requests as may be are under way, or memory is short.",
		"Ask again in a moment.");
}

/* Are the other agents to be seen from here? Else the request is answered. */
static bool is_seen(const struct admin *a, struct httpd_request *r)
{
	if (!a->agent->sees_swarm)
		admin_refuse(r, 404, "not-here", "In a container's network only its own sidecar is shown.",
			"Ask the admin port of the node's agent.");
	return a->agent->sees_swarm;
}

/* What asks the agents; NULL and err: no memory. */
static struct swarm *swarm_of(struct admin *a, struct err *err)
{
	if (!a->swarm)
		a->swarm = swarm_new(a->agent->loop, err);
	return a->swarm;
}

void admin_page_swarm_hystrix(struct admin *a, struct httpd_request *r)
{
	struct err err = { "" };

	if (!is_seen(a, r))
		return;
	if (swarm_of(a, &err))
		hystrix_swarm_serve(&a->hystrix_swarm, a->swarm, r);
	else
		refuse_busy(r, &err);
}

void admin_page_swarm(struct admin *a, struct httpd_request *r)
{
	static const struct str prefix = { "/swarm", 6 };
	struct str path = httpd_path(r), page = str_make(path.p + prefix.n, path.n - prefix.n);
	struct err err = { "" };

	if (!is_seen(a, r))
		return;
	if (!may_ask(page)) {
		admin_refuse(r, 404, "no-such-page", "There is no such page to ask of the agents.",
			"/swarm/circuits, /swarm/sidecars, /swarm/upstreams, /swarm/stats …");
		return;
	}
	bool may = swarm_of(a, &err) && swarm_asks(a->swarm) < SWARM_ASKS_MAX;
	struct page_ask *q = may ? mem_zalloc(sizeof(*q)) : NULL;
	if (!q) {
		refuse_busy(r, &err);
		return;
	}
	if (!name_page(q, r, page)) {
		mem_free(q);
		admin_refuse(r, 400, "bad-query",
			"The page or ?service= has bytes that no such name has, or all of it is longer than "
			"1 KiB.",
			"Give the name as the page shows it, or fewer filters.");
		return;
	}
	if (!begin(a, q, r, &err)) {
		ask_free(q);
		refuse_busy(r, &err);
	}
}
