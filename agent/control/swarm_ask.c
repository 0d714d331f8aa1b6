#include "control/swarm_ask.h"

#include "base/mem.h"
#include "net/lookup.h"
#include "net/timer.h"

#include <stdio.h>

#define NAMES_MAX 16u
#define PAGE_MAX 512u /* of the page's path and query */
#define ADMIN_PORT 4191
#define LEFT_MIN (50 * USEC_MS) /* for an agent whose name came late */

struct swarm {
	struct loop *loop;
	struct resolver *resolver;
	struct fetcher *fetcher;
	struct list asks;
	unsigned n_asks;
};

struct asked_agent {
	struct swarm_ask *ask;
	struct fetch *fetch; /* NULL: answered, or never asked */
	char text[ADDR_TEXT_MAX];
};

struct asked_name {
	struct swarm_ask *ask;
	struct lookup *lookup;
	uint16_t port;
	char text[256];
};

struct swarm_ask {
	struct list link;
	struct swarm *swarm;
	struct swarm_question q; /* its texts are the ask's own */
	char page[PAGE_MAX];
	unsigned open; /* lookups and fetches under way */
	unsigned n_agents, n_names;
	struct swarm_counts counts;
	usec until;
	struct timer timer; /* what takes too long, and the end when nothing is open at first */
	struct asked_agent agents[SWARM_AGENTS_MAX];
	struct asked_name names[NAMES_MAX];
};

/* --- its end ------------------------------------------------------------------------------------------------------------------ */

static void ask_free(struct swarm_ask *a)
{
	timer_clear(&a->timer);
	for (unsigned i = 0; i < a->n_names; i++)
		lookup_cancel(a->names[i].lookup);
	for (unsigned i = 0; i < a->n_agents; i++)
		if (a->agents[i].fetch)
			fetch_cancel(a->agents[i].fetch);
	list_remove(&a->link);
	a->swarm->n_asks--;
	mem_free(a);
}

void swarm_ask_cancel(struct swarm_ask *a)
{
	if (a)
		ask_free(a);
}

static void finish(struct swarm_ask *a)
{
	const struct swarm_question q = a->q;
	const struct swarm_counts counts = a->counts;

	ask_free(a);
	q.done(q.arg, &counts);
}

static void one_less(struct swarm_ask *a)
{
	if (--a->open == 0)
		finish(a);
}

/* --- answers -------------------------------------------------------------------------------------------------------------------- */

static void tell_failure(struct swarm_ask *a, const char *agent, const char *why)
{
	a->counts.failed++;
	a->q.on_answer(a->q.arg, &(struct swarm_answer){ .agent = agent, .why = why });
}

static void on_page(void *arg, const struct fetch_reply *reply)
{
	const struct json_limits limits = { .bytes = SWARM_PAGE_MAX, .nodes = 200000, .depth = 32 };
	struct asked_agent *from = arg;
	struct swarm_ask *a = from->ask;
	struct err err = { "" };
	cJSON *tree = NULL;
	char why[96];

	from->fetch = NULL;
	if (reply->status == 0) {
		tell_failure(a, from->text, reply->why);
	} else if (!(tree = bounded_json_parse(reply->body, &limits, &err))) {
		snprintf(why, sizeof(why), "its reply, status %d, is no page of an agent", reply->status);
		tell_failure(a, from->text, why);
	} else {
		a->q.on_answer(a->q.arg, &(struct swarm_answer){ .agent = from->text,
						 .status = reply->status,
						 .body = str_trim(reply->body),
						 .tree = tree,
						 .why = "" });
	}
	cJSON_Delete(tree);
	one_less(a);
}

static bool is_known(const struct swarm_ask *a, const char *text)
{
	for (unsigned i = 0; i < a->n_agents; i++)
		if (strcmp(a->agents[i].text, text) == 0)
			return true;
	return false;
}

static void ask_agent(struct swarm_ask *a, const struct addr *at)
{
	char url[FETCH_URL_MAX], text[ADDR_TEXT_MAX];
	struct err err = { "" };

	addr_text(at, text);
	if (is_known(a, text))
		return;
	if (a->n_agents == SWARM_AGENTS_MAX) {
		a->counts.left_out++;
		return;
	}
	struct asked_agent *to = &a->agents[a->n_agents++];
	a->counts.asked = a->n_agents;
	to->ask = a;
	snprintf(to->text, sizeof(to->text), "%s", text);
	snprintf(url, sizeof(url), "http://%s/%s", text, a->page);
	usec now = loop_touch(a->swarm->loop), left = a->until > now + LEFT_MIN ? a->until - now : LEFT_MIN;
	left = (left + USEC_MS - 1) / USEC_MS * USEC_MS; /* whoever falls silent is said to have been asked for "3s" */
	const struct fetch_request f = { .url = url, .body_max = a->q.page_max, .total = left, .idle = left };
	to->fetch = fetch_start(a->swarm->fetcher, &f, on_page, to, &err);
	if (to->fetch)
		a->open++;
	else
		tell_failure(a, text, err.text);
}

/* --- names ------------------------------------------------------------------------------------------------------------------------ */

static void on_addresses(void *arg, enum lookup_end end, const struct addr *addrs, size_t n, int lacking, const char *why)
{
	struct asked_name *name = arg;

	(void)lacking;
	name->lookup = NULL;
	for (size_t i = 0; i < n; i++) {
		struct addr at = addrs[i];
		addr_set_port(&at, name->port);
		ask_agent(name->ask, &at);
	}
	if (end != LOOKUP_FOUND)
		tell_failure(name->ask, name->text,
			end == LOOKUP_NONE ? "there is no such name: is it the service of the agents, in a "
					     "network of this one?"
					   : why);
	one_less(name->ask);
}

static void ask_name(struct swarm_ask *a, struct str name)
{
	struct asked_name *n = &a->names[a->n_names];
	size_t colon = str_find(name, ':');
	uint64_t port = ADMIN_PORT;
	struct addr at;
	struct err err;

	if (addr_parse_ip(name, ADMIN_PORT, &at) || addr_parse(name, &at, &err)) {
		ask_agent(a, &at);
		return;
	}
	if (colon != SIZE_MAX &&
		(!str_u64(str_make(name.p + colon + 1, name.n - colon - 1), &port) || port > UINT16_MAX))
		port = ADMIN_PORT;
	if (a->n_names == NAMES_MAX ||
		!str_copy(colon == SIZE_MAX ? name : str_make(name.p, colon), n->text, sizeof(n->text))) {
		a->counts.left_out++;
		return;
	}
	n->ask = a;
	n->port = (uint16_t)port;
	n->lookup = lookup_start(a->swarm->loop, a->swarm->resolver, n->text, on_addresses, n);
	if (!n->lookup) {
		tell_failure(a, n->text, "out of memory");
		return;
	}
	a->n_names++;
	a->open++;
}

/* The first turn of an ask that has nothing open; or its time is over, and what is open fails. */
static void on_timer(void *arg)
{
	struct swarm_ask *a = arg;

	for (unsigned i = 0; i < a->n_agents; i++) {
		struct asked_agent *to = &a->agents[i];
		if (!to->fetch)
			continue;
		fetch_cancel(to->fetch);
		to->fetch = NULL;
		a->open--;
		tell_failure(a, to->text, "no answer in time");
	}
	for (unsigned i = 0; i < a->n_names; i++) {
		struct asked_name *n = &a->names[i];
		if (!n->lookup)
			continue;
		lookup_cancel(n->lookup);
		n->lookup = NULL;
		a->open--;
		tell_failure(a, n->text, "no answer of the name service in time");
	}
	if (a->open == 0)
		finish(a);
}

/* --- life ------------------------------------------------------------------------------------------------------------------------- */

struct swarm_ask *swarm_ask_start(struct swarm *s, const struct swarm_question *q, struct err *err)
{
	struct swarm_ask *a = mem_zalloc(sizeof(*a));
	struct str list = q->agents, name;

	if (!a || !str_copy(str_of(q->page), a->page, sizeof(a->page))) {
		mem_free(a);
		err_set(err, a ? "the page's name is too long" : "out of memory");
		return NULL;
	}
	a->swarm = s;
	a->q = *q;
	timer_init(&a->timer, on_timer, a);
	list_append(&s->asks, &a->link);
	s->n_asks++;
	a->until = loop_touch(s->loop) + q->total;
	while (str_next(&list, ',', &name))
		if (name.n)
			ask_name(a, name);
	timer_set(s->loop, &a->timer,
		a->open ? a->until + 2 * LEFT_MIN : 0); /* fetches say better what they waited for */
	return a;
}

unsigned swarm_asks(const struct swarm *s)
{
	return s->n_asks;
}

struct swarm *swarm_new(struct loop *l, struct err *err)
{
	struct swarm *s = mem_zalloc(sizeof(*s));

	if (!s) {
		err_set(err, "out of memory");
		return NULL;
	}
	s->loop = l;
	list_init(&s->asks);
	s->resolver = resolver_new(l, NULL, err);
	s->fetcher = s->resolver ? fetcher_new(l, s->resolver, NULL, err) : NULL;
	if (s->fetcher)
		return s;
	swarm_free(s);
	return NULL;
}

void swarm_free(struct swarm *s)
{
	if (!s)
		return;
	while (!list_empty(&s->asks))
		ask_free(LIST_OWNER(s->asks.next, struct swarm_ask, link));
	fetcher_free(s->fetcher);
	if (s->resolver)
		resolver_free(s->resolver);
	mem_free(s);
}
