/* `redis:HOST:PORT` and `rediss:` as registry: instances register under a lease in Redis, changes are pushed, a periodic
 * reading is the truth. What stands there: redis_registry.h. The own instances: redis_lease.h. Those of others: redis_watch.h.
 * Two connections, for one that listens to messages can ask nothing. While Redis is away the last sets stay.
 * Thread: the loop's. */
#include "base/mem.h"
#include "base/table.h"
#include "redis_lease.h"
#include "redis_watch.h"

#define POLL (30 * USEC_SEC)
#define LEASE (15 * USEC_SEC)
#define ADDRESSES_MAX 4u

struct registry {
	struct registry_events events;
	void *arg;
	struct loop *loop;
	char *address_text;
	struct redis_address addresses[ADDRESSES_MAX];
	unsigned address_count;
	struct tls_client *tls;
	struct redis_link data, news;
	struct redis_calls calls;
	struct redis_watcher watcher;
	struct redis_leases leases;
	struct table watches; /* by service */
	struct err trouble;
	bool was_down;
};

static void tell(struct registry *r, const char *why)
{
	if (strcmp(r->trouble.text, why) == 0)
		return;
	err_set(&r->trouble, "%s", why);
	r->events.on_trouble(r->arg, r->trouble.text);
}

/* A server that cannot do its work now; another of the addresses may. */
static bool is_elsewhere(struct str error)
{
	static const char *const words[] = { "READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_starts(error, str_of(words[i])))
			return true;
	return false;
}

static void on_said(void *arg, struct str service, const struct resp_value *v)
{
	struct registry *r = arg;
	struct err why;

	if (v->type != RESP_ERROR) {
		redis_link_fine(&r->data);
		tell(r, "");
		return;
	}
	err_set(&why, "service %.*s: %.*s", STR_ARG(service), (int)(v->text.n < 200 ? v->text.n : 200), v->text.p);
	tell(r, why.text);
	if (is_elsewhere(v->text))
		redis_link_drop(&r->data, why.text);
}

/* --- connections ---------------------------------------------------------------------------------------------------------- */

static void ask_all(struct registry *r)
{
	size_t at = 0;

	for (struct redis_watch *w; (w = table_next(&r->watches, &at, NULL));)
		redis_watch_ask(w);
}

static void data_ready(void *arg)
{
	struct registry *r = arg;

	if (r->was_down)
		r->watcher.grace_until = loop_now(r->loop) + r->watcher.lease;
	r->was_down = false;
	redis_leases_ready(&r->leases);
	ask_all(r);
}

static void data_reply(void *arg, const struct resp_value *v, size_t n)
{
	struct registry *r = arg;

	if (!redis_calls_reply(&r->calls, v, n))
		redis_link_drop(&r->data, "it answers what was not asked");
}

static void data_down(void *arg, const char *why, unsigned tries)
{
	struct registry *r = arg;

	r->was_down = true;
	redis_calls_lost(&r->calls);
	tell(r, why);
	r->data.to = &r->addresses[tries % r->address_count]; /* after what was told of this one */
}

static void news_ready(void *arg)
{
	struct registry *r = arg;
	struct str argv[2] = { STR("SUBSCRIBE"), STR(REDIS_REGISTRY) };

	(void)redis_link_send(&r->news, argv, 2); /* false: it comes back by itself */
}

/* "<service>", "<service> <id>" (withdrawn) or "<service> + <id>"; from anybody. */
static void on_message(struct registry *r, struct str text)
{
	struct str mark = STR(REDIS_PUT_MARK);
	size_t space = str_find(text, ' ');
	size_t n = space == SIZE_MAX ? text.n : space;
	struct redis_watch *w = table_get(&r->watches, str_make(text.p, n));
	struct str rest = str_make(text.p + n, text.n - n);

	if (!w)
		return;
	if (rest.n == 0)
		redis_watch_ask(w);
	else if (str_starts(rest, mark))
		redis_watch_hear(w, str_make(rest.p + mark.n, rest.n - mark.n), false);
	else
		redis_watch_hear(w, str_make(rest.p + 1, rest.n - 1), true);
}

static void news_reply(void *arg, const struct resp_value *v, size_t n)
{
	struct registry *r = arg;

	if (n != 4 || v->type != RESP_ARRAY)
		return; /* an error: this user may not subscribe; the poll is there */
	if (str_eq(v[1].text, STR("message")))
		on_message(r, v[3].text);
	else if (str_eq(v[1].text, STR("subscribe"))) {
		redis_link_fine(&r->news);
		ask_all(r); /* what changed while nobody listened */
	}
}

static void news_down(void *arg, const char *why, unsigned tries)
{
	struct registry *r = arg;

	(void)why; /* the other connection has the same to say */
	r->news.to = &r->addresses[tries % r->address_count];
}

static const struct redis_link_events data_events = { data_ready, data_reply, data_down };
static const struct redis_link_events news_events = { news_ready, news_reply, news_down };

/* --- ops ------------------------------------------------------------------------------------------------------------------ */

static bool redis_watch(struct registry *r, struct str service)
{
	struct redis_watch *w = table_get(&r->watches, service);

	if (!w) {
		w = redis_watch_new(&r->watcher, service);
		if (!w || !table_put(&r->watches, redis_watch_service(w), w)) {
			redis_watch_free(w);
			return false;
		}
	}
	redis_watch_again(w);
	return true;
}

static void redis_unwatch(struct registry *r, struct str service)
{
	redis_watch_free(table_remove(&r->watches, service));
}

static bool redis_announce(struct registry *r, const struct registry_instance *self)
{
	return redis_leases_announce(&r->leases, self);
}

static void redis_withdraw(struct registry *r, struct str id, void (*done)(void *arg), void *arg)
{
	redis_leases_withdraw(&r->leases, id, done, arg);
}

static bool redis_answers(const struct registry *r, struct str service)
{
	const struct redis_watch *w = table_get(&r->watches, service);

	return w && !r->was_down && redis_watch_answers(w); /* the own instance's trouble is another matter */
}

static void redis_close(struct registry *r)
{
	size_t at = 0;

	if (!r)
		return;
	redis_link_release(&r->data);
	redis_link_release(&r->news);
	for (struct redis_watch *w; (w = table_next(&r->watches, &at, NULL));)
		redis_watch_free(w);
	table_release(&r->watches);
	redis_leases_release(&r->leases);
	tls_client_free(r->tls);
	if (r->address_text)
		mem_wipe_free(r->address_text, strlen(r->address_text));
	mem_wipe_free(r, sizeof(*r)); /* it holds passwords */
}

static bool read_addresses(struct registry *r, const struct plugin_settings *s, struct err *err)
{
	struct str rest = str_of(r->address_text), one, user = plugin_setting(s, "redis", "username"),
		   password = plugin_setting(s, "redis", "password");

	while (str_next(&rest, '|', &one)) {
		struct redis_address *a = &r->addresses[r->address_count];
		if (r->address_count == ADDRESSES_MAX)
			return err_set(err, "more than %u addresses", ADDRESSES_MAX);
		if (!redis_address_parse(one, a, err))
			return false;
		if (a->password[0] == '\0' && (!str_copy(password, a->password, sizeof(a->password)) ||
					       (a->user[0] == '\0' && !str_copy(user, a->user, sizeof(a->user)))))
			return err_set(err, "the username or the password is too long");
		r->address_count++;
	}
	return r->address_count > 0 || err_set(err, "an address is missing, such as redis:redis:6379");
}

static bool set_up(struct registry *r, const struct registry_config *c, bool secure, struct err *err)
{
	static const struct resp_limits data_limits = { 2 * REGISTRY_ENDPOINTS_MAX + 2, 64 * 1024, REDIS_MEMBERS_BYTES_MAX };
	static const struct resp_limits news_limits = { 16, 64 * 1024, 128 * 1024 };
	char ca[4097];

	r->address_text = mem_dup(c->address.p ? c->address.p : "", c->address.n);
	if (!r->address_text)
		return err_set(err, "no memory");
	if (!read_addresses(r, &c->settings, err))
		return false;
	if (!str_copy(plugin_setting(&c->settings, "redis", "ca"), ca, sizeof(ca)))
		return err_set(err, "outrider.redis.ca is too long");
	struct tls_client_config tc = { .ca = ca[0] ? ca : NULL, .ca_option = "outrider.redis.ca" };
	if (secure && !(r->tls = tls_client_new(&tc, err)))
		return false;
	struct redis_link_config lc = { c->loop, c->ns, c->resolver, r->tls, r->addresses };
	return redis_link_init(&r->data, &lc, &data_events, r, &data_limits, err) &&
	       redis_link_init(&r->news, &lc, &news_events, r, &news_limits, err);
}

static struct registry *open_as(const struct registry_config *c, const struct registry_events *events, void *arg, bool secure,
				struct err *err)
{
	struct registry *r = mem_zalloc(sizeof(*r));

	if (!r) {
		err_set(err, "no memory");
		return NULL;
	}
	r->loop = c->loop;
	r->events = *events;
	r->arg = arg;
	redis_calls_init(&r->calls, &r->data);
	r->watcher = (struct redis_watcher){ .loop = c->loop, .calls = &r->calls, .poll = c->poll ? c->poll : POLL,
					     .lease = c->lease ? c->lease : LEASE, .events = *events, .arg = arg,
					     .said = on_said, .said_arg = r };
	rng_seed_os(&r->watcher.rng);
	redis_leases_init(&r->leases, c->loop, &r->calls, r->watcher.lease);
	r->leases.said = on_said;
	r->leases.arg = r;
	table_init(&r->watches, REGISTRY_SERVICES_MAX, rng_next(&r->watcher.rng));
	if (!set_up(r, c, secure, err)) {
		redis_close(r);
		return NULL;
	}
	redis_link_open(&r->data);
	redis_link_open(&r->news);
	return r;
}

static struct registry *plain_open(const struct registry_config *c, const struct registry_events *events, void *arg, struct err *err)
{
	return open_as(c, events, arg, false, err);
}

static struct registry *secure_open(const struct registry_config *c, const struct registry_events *events, void *arg, struct err *err)
{
	return open_as(c, events, arg, true, err);
}

#define OPS(scheme, opener, about)                                                                              \
	{                                                                                                       \
		.name = scheme, .help = about, .open = opener, .watch = redis_watch, .unwatch = redis_unwatch,  \
		.announce = redis_announce, .withdraw = redis_withdraw, .refresh = ask_all, .close = redis_close, \
		.answers = redis_answers,                                                                       \
		.names = true                                                                                   \
	}
extern const struct registry_ops registry_redis, registry_rediss;
const struct registry_ops registry_redis =
	OPS("redis", plain_open, "redis:HOST:PORT[/DATABASE]: leases in Redis; several servers by |");
const struct registry_ops registry_rediss = OPS("rediss", secure_open, "rediss:HOST:PORT[/DATABASE], as redis, over TLS");
