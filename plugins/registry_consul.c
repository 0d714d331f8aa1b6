/* `consul:URL[|URL]`: registers with a TTL check (consul_lease.h), and keeps one blocking query per watched service
 * (consul_watch.h), so that a change is known at once; answers are read aside (consul_health.h).
 *
 * CONSUL_BLOCKING_MAX services are watched like that: Consul allows 200 connections per client. Services beyond are read in turns,
 * POLLED_AT_ONCE at a time, each once in POLL or, where they are many, as often as POLLED_GAP between two of them allows. Queries
 * are spread over fetchers, of which each takes FETCH_MAX; announcing has one of its own. A query answers early CONSUL_QUICK times in a row, then once a second:
 * a rolling update is followed, a service that changes all the time does not keep us busy. Thread: the loop's. */
#include "base/mem.h"
#include "base/table.h"
#include "consul_health.h"
#include "consul_lease.h"
#include "http_url.h"
#include "net/task.h"

#define LEASE (15 * USEC_SEC)
#define WAIT (300 * USEC_SEC) /* of one blocking query, unless outrider.registry-poll says less */
#define CONSUL_BLOCKING_MAX 144u
#define CONSUL_POOLS 3u     /* of CONSUL_BLOCKING_MAX / CONSUL_POOLS queries each */
#define POLLED CONSUL_POOLS /* the pool of the others */
#define POLLED_AT_ONCE 16u
#define POLLED_GAP (50 * USEC_MS)
#define POLL (10 * USEC_SEC) /* unless outrider.registry-poll says less */
#define CONSUL_QUICK 10u
#define PATH_MAX_BYTES 800

struct reading { /* an answer, read on a thread */
	struct task task;
	struct watched *of;
	char *body;
	size_t n;
	char *name; /* the service: the watch may be gone */
	struct file_endpoints found;
	struct err err;
	bool good;
};

struct watched {
	struct registry *of;
	struct consul_watch query;
	struct timer again;   /* tells what is known once more */
	char *service, *path; /* owned */
	unsigned pool;
	struct reading *reading;
	struct file_endpoints now;
	bool known, said;
	uint64_t sum;
	struct err trouble;
};

struct registry {
	struct loop *loop;
	struct registry_events events;
	void *arg;
	usec wait;
	struct rng rng;
	struct consul_servers own, pools[CONSUL_POOLS + 1];
	unsigned used[CONSUL_POOLS + 1];
	struct consul_leases leases;
	struct table table;
	struct err own_trouble, told;
};

/* --- what control hears ---------------------------------------------------------------------------------------------------- */

static void tell(struct registry *r)
{
	const char *why = r->own_trouble.text;
	size_t at = 0;

	for (struct watched *w; why[0] == '\0' && (w = table_next(&r->table, &at, NULL));)
		why = w->trouble.text;
	if (strcmp(r->told.text, why) == 0)
		return;
	err_set(&r->told, "%s", why);
	r->events.on_trouble(r->arg, r->told.text);
}

static void on_said(void *arg, const char *why)
{
	struct registry *r = arg;

	err_set(&r->own_trouble, "%s", why);
	tell(r);
}

static bool deliver(struct watched *w)
{
	struct registry *r = w->of;
	struct file_endpoints *f = &w->now;
	uint64_t sum = file_endpoints_sum(f, 0, f->n);

	if (f->n == 0) {
		w->said = false;
		r->events.on_gone(r->arg, str_of(w->service));
		return true;
	}
	if (w->said && w->sum == sum)
		return true;
	struct registry_endpoint *at = mem_zarray(f->n, sizeof(*at));
	if (!at)
		return false;
	for (size_t i = 0; i < f->n; i++)
		at[i] = f->at[i].endpoint;
	w->said = true;
	w->sum = sum;
	r->events.on_endpoints(r->arg, str_of(w->service), at, f->n);
	mem_free(at);
	return true;
}

static void on_again(void *arg)
{
	struct watched *w = arg;

	if (w->known)
		(void)deliver(w); /* no memory: the next change tells */
}

/* --- answers, read aside ------------------------------------------------------------------------------------------------------ */

static void drop(struct task *t)
{
	struct reading *x = LIST_OWNER(t, struct reading, task);

	file_endpoints_release(&x->found);
	mem_free(x->body);
	mem_free(x->name);
	mem_free(x);
}

static void run(struct task *t)
{
	struct reading *x = LIST_OWNER(t, struct reading, task);

	x->good = consul_health_read(&x->found, str_make(x->body, x->n), str_of(x->name), &x->err);
}

static usec period_of_polled(const struct registry *r)
{
	usec least = r->wait < POLL ? r->wait : POLL, fair = r->used[POLLED] * POLLED_GAP;

	return fair > least ? fair : least;
}

static void done(struct task *t)
{
	struct reading *x = LIST_OWNER(t, struct reading, task);
	struct watched *w = x->of;
	struct err why = { "" };

	w->reading = NULL;
	if (x->good) {
		file_endpoints_release(&w->now);
		w->now = x->found;
		file_endpoints_init(&x->found);
		w->known = true;
		if (!deliver(w))
			err_set(&why, "no memory for the instances of %s", w->service);
	} else
		err_set(&why, "its answer for %s cannot be used: %s", w->service, x->err.text);
	drop(t);
	if (w->pool == POLLED)
		w->query.every = period_of_polled(w->of);
	consul_watch_taken(&w->query, why.text);
}

static void on_answer(void *arg, int status, struct str body, const char *server)
{
	struct watched *w = arg;
	struct reading *x = mem_zalloc(sizeof(*x));

	(void)server;
	if (x) {
		x->task = (struct task){ .run = run, .done = done, .drop = drop };
		x->of = w;
		file_endpoints_init(&x->found);
		struct str text = status == 200 ? body : STR("[]");
		x->body = mem_dup(text.p ? text.p : "", text.n);
		x->n = text.n;
		x->name = mem_dup(w->service, strlen(w->service));
		if (x->body && x->name && task_start(w->of->loop, &x->task)) {
			w->reading = x;
			return;
		}
		drop(&x->task);
	}
	consul_watch_taken(&w->query, "no memory for an answer");
}

static void on_trouble(void *arg, const char *why)
{
	struct watched *w = arg;

	err_set(&w->trouble, "%s", why);
	tell(w->of);
}

static const struct consul_watch_events watch_events = { on_answer, on_trouble };

/* --- ops ----------------------------------------------------------------------------------------------------------------------- */

static void watched_free(struct watched *w)
{
	if (!w)
		return;
	if (w->path) {
		consul_watch_stop(&w->query);
		w->of->used[w->pool]--;
	}
	if (w->reading)
		task_leave(&w->reading->task, 0);
	timer_clear(&w->again);
	file_endpoints_release(&w->now);
	mem_free(w->service);
	mem_free(w->path);
	mem_free(w);
}

static char *path_of(struct str service)
{
	struct text t;

	text_init(&t, PATH_MAX_BYTES);
	text_addz(&t, "/v1/health/service/");
	http_url_encode(&t, service, "");
	char *path = t.failed ? NULL : text_detach(&t);
	text_release(&t);
	return path;
}

static unsigned free_pool(const struct registry *r)
{
	unsigned pool = 0;

	for (unsigned i = 1; i < CONSUL_POOLS; i++)
		if (r->used[i] < r->used[pool])
			pool = i;
	return r->used[pool] < CONSUL_BLOCKING_MAX / CONSUL_POOLS ? pool : POLLED;
}

static struct watched *watched_new(struct registry *r, struct str service)
{
	struct watched *w = mem_zalloc(sizeof(*w));

	if (!w)
		return NULL;
	w->of = r;
	file_endpoints_init(&w->now);
	timer_init(&w->again, on_again, w);
	w->pool = free_pool(r);
	w->service = mem_dup(service.p, service.n);
	w->path = w->service ? path_of(service) : NULL;
	if (!w->path) {
		watched_free(w);
		return NULL;
	}
	r->used[w->pool]++;
	w->query.servers = &r->pools[w->pool];
	w->query.events = &watch_events;
	w->query.arg = w;
	w->query.path = w->path;
	w->query.wait = r->wait;
	w->query.every = w->pool == POLLED ? period_of_polled(r) : 0;
	w->query.body_max = CONSUL_BODY_MAX;
	w->query.whole = true;
	w->query.bucket.burst = CONSUL_QUICK;
	w->query.bucket.rate = USEC_SEC;
	return w;
}

static bool consul_registry_watch(struct registry *r, struct str service)
{
	struct watched *w = table_get(&r->table, service);

	if (w) {
		w->said = false;
		timer_set(r->loop, &w->again, loop_touch(r->loop)); /* not inside watch() */
		return true;
	}
	w = watched_new(r, service);
	if (!w || !table_put(&r->table, str_of(w->service), w)) {
		watched_free(w);
		return false;
	}
	consul_watch_start(&w->query);
	return true;
}

static void consul_unwatch(struct registry *r, struct str service)
{
	watched_free(table_remove(&r->table, service));
}

static bool consul_announce(struct registry *r, const struct registry_instance *self)
{
	return consul_leases_announce(&r->leases, self);
}

static void consul_withdraw(struct registry *r, struct str id, void (*done_fn)(void *arg), void *arg)
{
	consul_leases_withdraw(&r->leases, id, done_fn, arg);
}

static void consul_refresh(struct registry *r)
{
	size_t at = 0;

	for (struct watched *w; (w = table_next(&r->table, &at, NULL));)
		consul_watch_refresh(&w->query);
}

static bool consul_answers(const struct registry *r, struct str service)
{
	const struct watched *w = table_get(&r->table, service);

	return w && w->trouble.text[0] == '\0'; /* the own instance's is another matter */
}

static void consul_close(struct registry *r)
{
	size_t at = 0;

	if (!r)
		return;
	for (struct watched *w; (w = table_next(&r->table, &at, NULL));)
		watched_free(w);
	table_release(&r->table);
	consul_leases_release(&r->leases);
	consul_servers_release(&r->own);
	for (unsigned i = 0; i <= POLLED; i++)
		consul_servers_release(&r->pools[i]);
	mem_free(r);
}

static bool connect_all(struct registry *r, const struct registry_config *c, struct err *err)
{
	if (!consul_servers_init(&r->own, c->loop, c->resolver, c->ns, c->address, &c->settings, err))
		return false;
	for (unsigned i = 0; i <= POLLED; i++)
		if (!consul_servers_init(
			    &r->pools[i], c->loop, c->resolver, c->ns, c->address, &c->settings, err))
			return false;
	r->pools[POLLED].at_once = POLLED_AT_ONCE;
	return true;
}

static struct registry *consul_open(
	const struct registry_config *c, const struct registry_events *events, void *arg, struct err *err)
{
	struct registry *r = mem_zalloc(sizeof(*r));

	if (!r) {
		err_set(err, "no memory");
		return NULL;
	}
	r->loop = c->loop;
	r->events = *events;
	r->arg = arg;
	r->wait = c->poll && c->poll < WAIT ? c->poll : WAIT;
	rng_seed_os(&r->rng);
	table_init(&r->table, REGISTRY_SERVICES_MAX, rng_next(&r->rng));
	consul_leases_init(&r->leases, c->loop, &r->own, c->lease ? c->lease : LEASE);
	r->leases.said = on_said;
	r->leases.arg = r;
	if (connect_all(r, c, err))
		return r;
	consul_close(r);
	return NULL;
}

extern const struct registry_ops registry_consul;
const struct registry_ops registry_consul = {
	.name = "consul",
	.help = "consul:URL, such as consul:http://consul:8500; several by |",
	.open = consul_open,
	.watch = consul_registry_watch,
	.unwatch = consul_unwatch,
	.announce = consul_announce,
	.withdraw = consul_withdraw,
	.refresh = consul_refresh,
	.close = consul_close,
	.answers = consul_answers,
	.names = true,
};
