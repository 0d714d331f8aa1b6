/* `dns:`: the addresses of a name, asked again and again.
 *
 *     dns:                        tasks.<service>, what Docker Swarm answers with the addresses of all tasks
 *     dns:{service}.shop.example  any name, {service} replaced
 *     dns:{service}|10.0.0.2:53   another server than those of /etc/resolv.conf
 *
 * Every poll (1 s, jittered by a tenth) asks anew: the TTL says nothing (shared knowledge: docker-swarm, section 5: 600 s
 * whatever happens). Endpoints have port 0: who calls finds out whether an agent stands there. NXDOMAIN and empty answers are
 * on_gone, failure and silence are trouble, told once three polls in a row failed for a service. When one family (A, AAAA) answers and the
 * other fails, the former addresses of that one stay, for KEEP_FAMILY at most. */
#include "plugin.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/table.h"
#include "base/text.h"
#include "net/answers.h"
#include "net/netspace.h"

#define POLL USEC_SEC
#define FRESH(poll) ((poll) / 4 * 3) /* what another asked for so long ago at most is not asked again */
#define WAIT (10 * USEC_MS)              /* for the answer to another one's question; doubled each time */
#define WAIT_DOUBLINGS 5u
#define NAME_MAX_BYTES 253u
#define FAILS_TOLD 3u
#define KEEP_FAMILY (3600 * USEC_SEC) /* as outrider.registry-keep has it for dns */

struct watched {
	struct list link;
	struct registry *owner;
	char *service, *name; /* owned; name: what is asked for, absolute */
	struct timer timer;
	struct lookup *lookup;
	unsigned fails;  /* in a row */
	unsigned waited; /* times that another one's answer was not there yet */
	struct addr *both; /* owned: the last answer that had both families; NULL: none had */
	size_t n_both;
	usec lacks_since; /* a family of it; 0: none */
};

struct registry {
	struct loop *loop;
	struct registry_events events;
	void *arg;
	struct resolver *resolver; /* of the config, or our own */
	struct resolver *own;      /* owned; NULL: the config's */
	struct netspace *ns;       /* borrowed; whose answers are shared with others on its networks */
	bool plain;                /* the engine's own names of the engine's own resolver: everybody there gets the same answer */
	char *pattern;             /* owned; "tasks.{service}" */
	usec poll;
	struct rng rng;
	struct table table;
	struct list all;
	struct err trouble;
	unsigned failing; /* services with FAILS_TOLD or more */
};

static const struct str placeholder = { "{service}", 9 };

/* --- asking ---------------------------------------------------------------------------------------------------------- */

static usec jittered(struct registry *r)
{
	return r->poll - r->poll / 10 + rng_below(&r->rng, (uint32_t)(r->poll / 5 + 1));
}

static void set_trouble(struct registry *r, const char *name, const char *why)
{
	struct err now = { "" };
	if (name)
		err_set(&now, "%s: %s", name, why);
	if (strcmp(now.text, r->trouble.text) == 0 || (name && r->trouble.text[0]))
		return; /* one is told until all are well */
	r->trouble = now;
	r->events.on_trouble(r->arg, r->trouble.text);
}

static void count_failure(struct watched *w, enum lookup_end end, const char *why)
{
	struct registry *r = w->owner;
	if (end == LOOKUP_FAILED) {
		w->fails++;
		if (w->fails == FAILS_TOLD)
			r->failing++;
		if (w->fails >= FAILS_TOLD)
			set_trouble(r, w->name, why);
		return;
	}
	if (w->fails >= FAILS_TOLD && --r->failing == 0)
		set_trouble(r, NULL, "");
	w->fails = 0;
}

static void tell(struct watched *w, const struct addr *addrs, size_t n)
{
	struct registry *r = w->owner;
	struct registry_endpoint *at = mem_zarray(n, sizeof(*at));
	if (!at)
		return; /* the next poll says it again */
	for (size_t i = 0; i < n; i++)
		at[i] = (struct registry_endpoint){ .addr = addrs[i], .weight = 100, .state = REGISTRY_UP,
			.instance = STR(""), .node = STR(""), .zone = STR("") };
	r->events.on_endpoints(r->arg, str_of(w->service), at, n);
	mem_free(at);
}

static struct answers *shared(const struct registry *r, uint64_t *group)
{
	return r->plain ? netspace_answers(r->ns, group) : NULL;
}

/* --- one family fails --------------------------------------------------------------------------------------------------- */

static size_t count_family(const struct addr *at, size_t n, int family)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		found += at[i].sa.sa_family == family;
	return found;
}

static void forget_both(struct watched *w)
{
	mem_free(w->both);
	w->both = NULL;
	w->n_both = 0;
}

/* What is kept for the day on which a family fails: only of names that have both. No memory: nothing is kept. */
static void keep_both(struct watched *w, const struct addr *at, size_t n)
{
	size_t v4 = count_family(at, n, AF_INET);

	forget_both(w);
	if (v4 && v4 < n && (w->both = mem_zarray(n, sizeof(*at))) != NULL) {
		memcpy(w->both, at, n * sizeof(*at));
		w->n_both = n;
	}
}

/* The answer and the former addresses of the family that failed; owned by the caller. NULL: nothing is to be added. */
static struct addr *with_former(struct watched *w, const struct addr *at, size_t n, int lacking, size_t *ret_n)
{
	usec now = loop_now(w->owner->loop);
	size_t more = lacking ? count_family(w->both, w->n_both, lacking) : 0;

	w->lacks_since = !more ? 0 : w->lacks_since ? w->lacks_since : now;
	struct addr *all = more && now - w->lacks_since < KEEP_FAMILY ? mem_zarray(n + more, sizeof(*at)) : NULL;
	if (!all)
		return NULL;
	memcpy(all, at, n * sizeof(*at));
	for (size_t i = 0; i < w->n_both; i++)
		if (w->both[i].sa.sa_family == lacking)
			all[n++] = w->both[i];
	*ret_n = n;
	return all;
}

/* --- answers ------------------------------------------------------------------------------------------------------------ */

static void take(struct watched *w, enum lookup_end end, const struct addr *addrs, size_t n, const char *why)
{
	struct registry *r = w->owner;

	timer_set(r->loop, &w->timer, loop_now(r->loop) + jittered(r));
	count_failure(w, end, why);
	if (end == LOOKUP_FOUND) {
		tell(w, addrs, n);
		keep_both(w, addrs, n);
	} else if (end == LOOKUP_NONE)
		r->events.on_gone(r->arg, str_of(w->service));
}

static void settle(struct watched *w, enum lookup_end end, const struct addr *addrs, size_t n, const char *why)
{
	uint64_t group;
	struct answers *with = shared(w->owner, &group);

	if (with && end == LOOKUP_FAILED)
		answers_waive(with, group, w->name);
	else if (with)
		answers_put(with, group, w->name, loop_now(w->owner->loop), &(struct answer){ end, addrs, n });
	take(w, end, addrs, n, why);
}

static void on_answer(void *arg, enum lookup_end end, const struct addr *addrs, size_t n, int lacking, const char *why)
{
	struct watched *w = arg;
	struct addr *all = NULL;

	w->lookup = NULL;
	if (end == LOOKUP_FOUND && (all = with_former(w, addrs, n, lacking, &n)) != NULL)
		addrs = all;
	settle(w, end, addrs, n, why);
	mem_free(all);
}

static void on_timer(void *arg)
{
	struct watched *w = arg;
	struct registry *r = w->owner;
	struct answer a;
	uint64_t group;
	struct answers *with = shared(r, &group);

	if (w->lookup)
		return;
	if (with && answers_get(with, group, w->name, loop_touch(r->loop), FRESH(r->poll), &a)) {
		w->waited = 0;
		take(w, a.end, a.addrs, a.n, "");
		return;
	}
	if (with && !answers_claim(with, group, w->name, loop_now(r->loop))) {
		timer_set(r->loop, &w->timer, loop_now(r->loop) + (WAIT << w->waited));
		w->waited += w->waited < WAIT_DOUBLINGS;
		return;
	}
	w->waited = 0;
	w->lookup = lookup_start(r->loop, r->resolver, w->name, on_answer, w);
	if (w->lookup)
		return;
	if (with)
		answers_waive(with, group, w->name);
	timer_set(r->loop, &w->timer, loop_touch(r->loop) + jittered(r));
}

/* --- services ---------------------------------------------------------------------------------------------------------- */

/* The name that is asked for, with a dot at its end: no search list. NULL: too long, or no memory. */
static char *name_for(const char *pattern, struct str service)
{
	struct text t;
	struct str rest = str_of(pattern);
	const char *at = strstr(pattern, placeholder.p);

	text_init(&t, NAME_MAX_BYTES + 1);
	if (at) {
		text_add(&t, str_make(pattern, (size_t)(at - pattern)));
		text_add(&t, service);
		rest = str_of(at + placeholder.n);
	}
	text_add(&t, rest);
	if (!t.failed && t.n && t.p[t.n - 1] != '.')
		text_char(&t, '.');
	char *name = t.failed || !t.n ? NULL : mem_dup(t.p, t.n);
	text_release(&t);
	return name;
}

static void watched_free(struct watched *w)
{
	uint64_t group;
	struct answers *with = shared(w->owner, &group);

	if (w->fails >= FAILS_TOLD)
		w->owner->failing--;
	if (w->lookup && with)
		answers_waive(with, group, w->name);
	lookup_cancel(w->lookup);
	timer_clear(&w->timer);
	list_remove(&w->link);
	forget_both(w);
	mem_free(w->service);
	mem_free(w->name);
	mem_free(w);
}

static bool dns_watch(struct registry *r, struct str service)
{
	struct watched *w = table_get(&r->table, service);
	if (w) {
		if (!w->lookup)
			timer_set(r->loop, &w->timer, loop_touch(r->loop));
		return true;
	}
	w = mem_zalloc(sizeof(*w));
	if (!w)
		return false;
	w->owner = r;
	list_init(&w->link);
	timer_init(&w->timer, on_timer, w);
	w->service = mem_dup(service.p, service.n);
	w->name = name_for(r->pattern, service);
	if (!w->service || !w->name || !table_put(&r->table, str_of(w->service), w)) {
		watched_free(w);
		return false;
	}
	list_append(&r->all, &w->link);
	timer_set(r->loop, &w->timer, loop_touch(r->loop)); /* not inside this call */
	return true;
}

static void dns_unwatch(struct registry *r, struct str service)
{
	struct watched *w = table_remove(&r->table, service);
	if (w)
		watched_free(w);
}

static void dns_refresh(struct registry *r)
{
	LIST_EACH(it, tmp, &r->all) {
		struct watched *w = LIST_OWNER(it, struct watched, link);
		if (!w->lookup)
			timer_set(r->loop, &w->timer, loop_touch(r->loop));
	}
}

static bool dns_answers(const struct registry *r, struct str service)
{
	const struct watched *w = table_get(&r->table, service);
	return w && !w->fails;
}

/* --- life ---------------------------------------------------------------------------------------------------------------- */

static void dns_close(struct registry *r)
{
	if (!r)
		return;
	LIST_EACH(it, tmp, &r->all)
		watched_free(LIST_OWNER(it, struct watched, link));
	table_release(&r->table);
	if (r->own)
		resolver_free(r->own);
	mem_free(r->pattern);
	mem_free(r);
}

/* "PATTERN", "PATTERN|server:port", "|server:port"; all may be empty. */
static bool read_address(struct registry *r, const struct registry_config *c, struct err *err)
{
	struct str address = str_trim(c->address), pattern = address, server = STR("");
	size_t bar = str_find(address, '|');
	char servers[256];

	if (bar != SIZE_MAX) {
		pattern = str_trim(str_make(address.p, bar));
		server = str_trim(str_make(address.p + bar + 1, address.n - bar - 1));
	}
	if (!pattern.n)
		pattern = STR("tasks.{service}");
	r->plain = !server.n && str_eq(pattern, STR("tasks.{service}"));
	r->pattern = mem_dup(pattern.p, pattern.n);
	if (!r->pattern)
		return err_set(err, "out of memory");
	if (!strstr(r->pattern, placeholder.p) || pattern.n > NAME_MAX_BYTES)
		return err_set(err, "expected dns: alone, or a name with {service} in it, such as dns:{service}.example.org");
	if (!server.n)
		return true;
	if (!str_copy(server, servers, sizeof(servers)))
		return err_set(err, "the list of servers is too long");
	for (char *p = servers; *p; p++)
		if (*p == '|')
			*p = ',';
	struct resolver_options o = { .servers = servers, .dns_only = true };
	r->own = resolver_new_with(c->loop, c->ns, &o, err);
	r->resolver = r->own;
	return r->own != NULL;
}

static struct registry *dns_open(const struct registry_config *c, const struct registry_events *events, void *arg,
	struct err *err)
{
	struct registry *r = mem_zalloc(sizeof(*r));
	if (!r) {
		err_set(err, "out of memory");
		return NULL;
	}
	r->loop = c->loop;
	r->events = *events;
	r->arg = arg;
	r->resolver = c->dns;
	r->ns = c->ns;
	r->poll = c->poll ? c->poll : POLL;
	rng_seed_os(&r->rng);
	table_init(&r->table, REGISTRY_SERVICES_MAX, rng_next(&r->rng));
	list_init(&r->all);
	if (read_address(r, c, err))
		return r;
	dns_close(r);
	return NULL;
}

extern const struct registry_ops registry_dns;
const struct registry_ops registry_dns = {
	.name = "dns",
	.help = "dns: asks for tasks.<service>; dns:{service}.example.org for any name; dns:|10.0.0.2:53 another server",
	.open = dns_open,
	.watch = dns_watch,
	.unwatch = dns_unwatch,
	.refresh = dns_refresh,
	.close = dns_close,
	.answers = dns_answers,
	.lazy = true,
	.names = true,
};
